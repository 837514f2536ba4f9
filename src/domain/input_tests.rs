//! Every state of an input meets every message, and what is promised about them.

use std::fmt::Write as _;

use strum::IntoEnumIterator;

use super::*;
use crate::domain::machine::Verdict;

const NOW: Timestamp = Timestamp(1_000_000);

fn receive() -> Message {
    let (concerns, deliver) = (Address::new("task", "order-1"), r#"{"cancel":{}}"#.to_owned());
    Message::Receive { concerns, deliver, schema: 1, asked_by: "key_1".to_owned(), raw: None }
}

fn keep() -> Message {
    Message::Keep { raw: "{}".to_owned(), asked_by: "stripe".to_owned(), reason: "Nobody knows it.".to_owned() }
}

fn pass_on() -> Message {
    Message::PassOn {
        concerns: Address::new("payment", "pay_1"),
        deliver: r#"{"told":{}}"#.to_owned(),
        schema: 2,
        input: Address::new("input", "in_9"),
    }
}

fn refused() -> Message {
    Message::Answered { refused: Some("It has completed already.".to_owned()) }
}

fn park() -> Message {
    Message::Park { reason: "Nobody takes it.".to_owned() }
}

fn apply(state: Option<&State>, message: Message) -> Result<Decision<State, Effect>, Broken> {
    InputMachine.apply(state, message, Moment { now: NOW, version: 2 })
}

fn after(messages: impl IntoIterator<Item = Message>) -> Option<State> {
    messages.into_iter().fold(None, |state, message| apply(state.as_ref(), message).unwrap().state.or(state))
}

fn states() -> Vec<(&'static str, Option<State>)> {
    vec![
        ("unborn", None),
        ("delivered", after([receive()])),
        ("accepted", after([receive(), Message::Answered { refused: None }])),
        ("refused", after([receive(), refused()])),
        ("parked", after([receive(), park()])),
        ("kept", after([keep()])),
        ("kept and passed on", after([keep(), pass_on()])),
    ]
}

fn messages() -> Vec<(&'static str, Message)> {
    vec![
        ("receive", receive()),
        ("accepted", Message::Answered { refused: None }),
        ("refused", refused()),
        ("park", park()),
        ("keep", keep()),
        ("pass on", pass_on()),
    ]
}

/// Fails to compile when a message is added, so that the table is thought of; counts the kinds above.
fn kind(message: &Message) -> usize {
    match message {
        Message::Receive { .. } => 0,
        Message::Answered { .. } => 1,
        Message::Park { .. } => 2,
        Message::Keep { .. } => 3,
        Message::PassOn { .. } => 4,
    }
}

fn shown(state: &State) -> String {
    let status: &str = state.status.into();
    format!("{status} [{}]", state.reason.as_deref().unwrap_or(""))
}

fn cell(state: Option<&State>, message: Message) -> String {
    let decision = match apply(state, message) {
        Ok(decision) => decision,
        Err(broken) => return format!("broken: {broken}"),
    };
    let mut cell = match &decision.verdict {
        Verdict::Applied => "applied".to_owned(),
        Verdict::Refused(reason) => format!("refused: {reason}"),
        Verdict::Ignored => "ignored".to_owned(),
    };
    if let Some(state) = &decision.state {
        write!(cell, " -> {}", shown(state)).unwrap();
    }
    for Effect::Tell { to, message, .. } in &decision.effects {
        write!(cell, "; tell {to} {message}").unwrap();
    }
    cell
}

#[test]
fn every_state_meets_every_message() {
    let mut table = String::new();
    for (name, state) in states() {
        writeln!(table, "\n== {name}: {}", state.as_ref().map_or_else(|| "-".to_owned(), shown)).unwrap();
        for (said, message) in messages() {
            writeln!(table, "{said:<10} {}", cell(state.as_ref(), message)).unwrap();
        }
    }
    insta::assert_snapshot!(table.trim_start());
}

#[test]
fn the_table_has_every_status_and_every_message() {
    for status in Status::iter() {
        assert!(states().iter().any(|(_, state)| state.as_ref().is_some_and(|state| state.status == status)));
    }
    let mut said: Vec<usize> = messages().iter().map(|(_, message)| kind(message)).collect();
    said.dedup();
    assert_eq!(said, [0, 1, 2, 3, 4]);
}

#[test]
fn saying_a_thing_twice_changes_nothing() {
    for (name, state) in states() {
        for (said, message) in messages() {
            let Ok(first) = apply(state.as_ref(), message.clone()) else { continue };
            let Some(after) = first.state.or_else(|| state.clone()) else { continue };
            let second = apply(Some(&after), message).unwrap();
            assert_eq!((second.verdict, second.state), (Verdict::Ignored, None), "{name}: {said}");
        }
    }
}

#[test]
fn only_an_answered_input_is_final() {
    let ends: Vec<bool> =
        states().into_iter().filter_map(|(_, state)| state.as_ref().map(InputMachine::is_final)).collect();
    assert_eq!(ends, [false, true, true, false, false, false]);
}

/// These texts are in databases: a change of one loses what is stored.
#[test]
fn durable_names_are_as_written_down() {
    assert_eq!(InputMachine::KIND, "input");
    let statuses: Vec<&str> = Status::iter().map(Into::into).collect();
    assert_eq!(statuses, ["delivered", "answered", "parked"]);
    let texts: Vec<String> = messages().iter().map(|(_, message)| serde_json::to_string(message).unwrap()).collect();
    assert_eq!(
        texts,
        [
            r#"{"receive":{"concerns":"task/order-1","deliver":"{\"cancel\":{}}","schema":1,"asked_by":"key_1"}}"#,
            r#"{"answered":{}}"#,
            r#"{"answered":{"refused":"It has completed already."}}"#,
            r#"{"park":{"reason":"Nobody takes it."}}"#,
            r#"{"keep":{"raw":"{}","asked_by":"stripe","reason":"Nobody knows it."}}"#,
            r#"{"pass_on":{"concerns":"payment/pay_1","deliver":"{\"told\":{}}","schema":2,"input":"input/in_9"}}"#,
        ]
    );
    let before_schemas = r#"{"receive":{"concerns":"task/order-1","deliver":"{}","asked_by":"key_1"}}"#;
    assert!(matches!(serde_json::from_str(before_schemas).unwrap(), Message::Receive { schema: 0, .. }));
    let state = after([receive(), refused()]).unwrap();
    assert_eq!(
        serde_json::to_string(&state).unwrap(),
        concat!(
            r#"{"status":"answered","concerns":"task/order-1","asked_by":"key_1","#,
            r#""reason":"It has completed already.","received_at":1000000,"answered_at":1000000}"#
        )
    );
}
