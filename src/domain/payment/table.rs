//! Every state of a payment meets every message. The snapshot is the specification: read it before accepting a change.

use std::fmt::Write as _;

use strum::IntoEnumIterator;

use super::tests::{Run, asker, checkout, dispute, listed, paid_news, receipt, refund, session, told, unknown, usd};
use super::*;
use crate::domain::rail::{Ask, Fact, RefundStatus, SessionStatus};
use crate::domain::table;

fn reserve(number: u128, minor: i64) -> Message {
    Message::ReserveRefund { refund: refund(number), minor: Some(minor), marked: false }
}

fn reserved() -> Run {
    Run::paid().then(reserve(1, 400))
}

fn received() -> Run {
    Run::unborn().then(receipt(usd(1000))).then(Message::Credited)
}

fn withdraw() -> Message {
    Message::Withdraw { input: asker() }
}

fn states() -> Vec<(&'static str, Run)> {
    let expired = || Fact::Session(session(SessionStatus::Expired, None));
    let cancel = || Message::Cancel { input: asker() };
    vec![
        ("unborn", Run::unborn()),
        ("opening", Run::born()),
        ("opening, unknown", Run::born().hears(unknown())),
        ("opening, to be cancelled", Run::born().then(cancel())),
        ("refused by the gateway", Run::born().hears(Fact::Rejected { code: "c".into(), message: "No.".into() })),
        ("open", Run::open()),
        ("open, looked at", Run::open().rings()),
        ("open, to be closed", Run::open().then(cancel())),
        ("cancelled", Run::open().then(cancel()).hears(expired())),
        ("expired", Run::open().rings().hears(expired())),
        ("paid after its end", Run::open().rings().hears(expired()).then(paid_news())),
        ("held", Run::open().then(told(News::Session(session(SessionStatus::Complete, Some(usd(999))))))),
        ("free", Run::unborn().then(checkout(usd(0)))),
        ("paid, not in the books", Run::open().then(paid_news())),
        ("paid, promised, not in the books", Run::open().then(paid_news()).then(reserve(1, 400))),
        ("paid", Run::paid()),
        ("paid, executed", Run::paid().then(Message::TaskEnded { end: TaskEnd::Completed })),
        ("paid, failed", Run::paid().then(Message::TaskEnded { end: TaskEnd::Failed })),
        ("paid, refunds looked at", Run::paid().then(Message::Sync { input: asker() })),
        ("paid, promised in part", reserved()),
        (
            "refunded in part",
            reserved().then(Message::RefundSucceeded { refund: refund(1), minor: 400, as_of: 1, booked: true }),
        ),
        (
            "refunded",
            Run::paid()
                .then(Message::ReserveRefund { refund: refund(1), minor: None, marked: false })
                .then(Message::RefundSucceeded { refund: refund(1), minor: 1000, as_of: 1, booked: true }),
        ),
        ("withdrawn", Run::paid().then(withdraw())),
        ("received elsewhere", received()),
        ("received elsewhere, withdrawn", received().then(withdraw())),
        ("disputed", Run::paid().then(dispute(DisputeStanding::Open))),
    ]
}

/// What can be said in a state: a name for the table, and the message.
fn messages(run: &Run) -> Vec<(&'static str, Message)> {
    let stranger = EffectNo { version: 99, index: 0 };
    let state = run.state.as_ref();
    let effect = state.and_then(|state| state.under_way).map_or(stranger, |call| call.effect);
    let timer = state.and_then(|state| state.timer).unwrap_or(stranger);
    let report =
        |fact: Fact| Message::GatewayReported(Report { effect, outcome: Ok(serde_json::to_value(fact).unwrap()) });
    let fact = |status, paid| report(Fact::Session(session(status, paid)));
    let mut other = session(SessionStatus::Complete, Some(usd(1000)));
    other.id = "cs_other".into();
    vec![
        ("checkout", checkout(state.map_or(usd(1000), |state| state.price))),
        ("checkout of another", checkout(usd(5))),
        ("reported open", fact(SessionStatus::Open, None)),
        ("reported complete, unpaid", fact(SessionStatus::Complete, None)),
        ("reported paid", fact(SessionStatus::Complete, Some(usd(1000)))),
        ("reported paid, too little", fact(SessionStatus::Complete, Some(usd(999)))),
        ("reported expired", fact(SessionStatus::Expired, None)),
        ("reported refused", report(Fact::Rejected { code: "c".into(), message: "No.".into() })),
        ("reported busy", report(Fact::NotDone { why: "busy".into(), retry_after_ms: None })),
        ("reported unknown", report(unknown())),
        ("reported no refunds", report(Fact::Refunds(vec![]))),
        ("reported a foreign refund", report(Fact::Refunds(vec![listed(1, None, 1000, RefundStatus::Succeeded)]))),
        ("reported our refund", report(Fact::Refunds(vec![listed(1, Some(refund(1)), 400, RefundStatus::Succeeded)]))),
        (
            "reported, not ours",
            Message::GatewayReported(Report { effect: stranger, outcome: Ok(serde_json::Value::Null) }),
        ),
        ("due", Message::Due { timer }),
        ("due, other timer", Message::Due { timer: EffectNo { version: 98, index: 0 } }),
        ("told paid", paid_news()),
        ("told expired", told(News::Session(session(SessionStatus::Expired, None)))),
        ("told of another session", told(News::Session(other))),
        ("told declined", told(News::Declined { reason: "No funds.".into() })),
        ("told not paid", told(News::NotPaid { reason: "It did not come.".into() })),
        ("told refunds moved", told(News::RefundsMoved { intent: "pi_1".into() })),
        ("told disputed", dispute(DisputeStanding::Open)),
        ("told dispute won", dispute(DisputeStanding::Won)),
        ("told dispute lost", dispute(DisputeStanding::Lost)),
        ("sync", Message::Sync { input: asker() }),
        ("cancel", Message::Cancel { input: asker() }),
        ("received elsewhere", receipt(state.map_or(usd(1000), |state| state.price))),
        ("withdraw", withdraw()),
        ("acknowledge", Message::Acknowledge { input: asker() }),
        ("execute anyway", Message::Resolve { how: Resolution::Execute, input: asker() }),
        ("give back", Message::Resolve { how: Resolution::GiveBack, input: asker() }),
        ("reserve a part", Message::ReserveRefund { refund: refund(2), minor: Some(100), marked: false }),
        ("reserve the rest", Message::ReserveRefund { refund: refund(2), minor: None, marked: false }),
        ("reserve again", Message::ReserveRefund { refund: refund(1), minor: Some(400), marked: false }),
        ("reserve nothing", Message::ReserveRefund { refund: refund(2), minor: Some(0), marked: false }),
        ("reserve too much", Message::ReserveRefund { refund: refund(2), minor: Some(1001), marked: false }),
        ("reserve a mark", Message::ReserveRefund { refund: refund(2), minor: Some(100), marked: true }),
        ("refund succeeded", Message::RefundSucceeded { refund: refund(1), minor: 400, as_of: 1, booked: true }),
        ("refund released", Message::RefundReleased { refund: refund(1), as_of: 1 }),
        ("refund reversed", Message::RefundReversed { refund: refund(1), as_of: 2, booked: true }),
        ("credited", Message::Credited),
        ("book", Message::Book { input: asker() }),
        ("task completed", Message::TaskEnded { end: TaskEnd::Completed }),
        ("task failed", Message::TaskEnded { end: TaskEnd::Failed }),
        ("task cancelled early", Message::TaskEnded { end: TaskEnd::Cancelled { begun: false } }),
        ("task cancelled late", Message::TaskEnded { end: TaskEnd::Cancelled { begun: true } }),
    ]
}

/// Fails to compile when a message is added, so that the table is thought of; counts the kinds above.
fn kind(message: &Message) -> usize {
    match message {
        Message::Checkout(_) => 0,
        Message::GatewayReported(_) => 1,
        Message::Due { .. } => 2,
        Message::Told { .. } => 3,
        Message::Sync { .. } => 4,
        Message::Cancel { .. } => 5,
        Message::ReceivedElsewhere(_) => 6,
        Message::Withdraw { .. } => 7,
        Message::Acknowledge { .. } => 8,
        Message::Resolve { .. } => 9,
        Message::ReserveRefund { .. } => 10,
        Message::RefundSucceeded { .. } => 11,
        Message::RefundReleased { .. } => 12,
        Message::RefundReversed { .. } => 13,
        Message::Credited => 14,
        Message::Book { .. } => 15,
        Message::TaskEnded { .. } => 16,
    }
}

pub(super) fn shown(state: &State) -> String {
    let status: &str = state.status.into();
    let standing: &str = state.standing.into();
    let Amounts { captured, reserved, refunded, disputed, over } = state.amounts;
    let mut text = format!("{status}, {standing} [{captured} in, {reserved}+{refunded}+{disputed} out, {over} over]");
    if let Some(call) = state.under_way {
        let what: &str = call.what.into();
        write!(text, " asks {what}{}", if call.again { " and again" } else { "" }).unwrap();
    }
    if state.timer.is_some() {
        text += " rests";
    }
    if state.cancelling {
        text += " cancelling";
    }
    if state.is_withdrawn() {
        write!(text, " {} withdrawn", state.withdrawn).unwrap();
    }
    if !state.attention.is_empty() {
        write!(text, " !{}", state.attention.len()).unwrap();
    }
    text
}

fn effect(effect: &Effect, now: Timestamp) -> String {
    match effect {
        Effect::Call(Call { ask, key, again, .. }) => {
            let what: &str = ask.into();
            let session = match ask {
                Ask::OpenSession(_) => format!(" under {}", &key[key.len() - 6..]),
                Ask::ReadSession { session } | Ask::ExpireSession { session } => format!(" {session}"),
                Ask::Refund { .. } => String::new(),
                Ask::ListRefunds { intent } => format!(" {intent}"),
            };
            format!("{what}{session}{}", if *again { " again" } else { "" })
        }
        Effect::Arm { due, .. } => format!("arm in {}s", due.since_ms(now) / 1_000),
        Effect::Disarm(_) => "disarm".to_owned(),
        Effect::Execute(create) => format!("execute {}", create.id),
        Effect::StopExecution { task, reason } => format!("stop {task}: {reason}"),
        Effect::GiveBack(request) => format!("give back for {}", request.reason),
        Effect::TellRefund { message, .. } => {
            let what: &str = message.into();
            format!("tell refund {what}")
        }
        Effect::TellAccount { message: account::Message::PaymentMoved { moved, .. }, .. } => {
            let parts = serde_json::to_value(moved).unwrap();
            let parts = parts.as_object().unwrap().iter().map(|(what, minor)| format!(" {what} {minor}"));
            format!("tell account{}", parts.collect::<String>())
        }
        Effect::TellAccount { message, .. } => unreachable!("a payment tells no {message:?}"),
        Effect::Answer { refused: None, .. } => "answer accepted".to_owned(),
        Effect::Answer { refused: Some(why), .. } => format!("answer refused: {why}"),
    }
}

#[test]
fn every_state_meets_every_message() {
    let words = table::Words { state: shown, effect: |ordered, moment| effect(ordered, moment.now), width: 26 };
    let rows = states().into_iter().map(|(name, run)| {
        let (messages, moment) = (messages(&run), run.moment());
        table::Row { name, machine: PaymentMachine, state: run.state, moment, messages }
    });
    insta::assert_snapshot!(table::of(&words, rows));
}

#[test]
fn the_table_has_every_status_every_standing_and_every_message() {
    let states = states();
    let has = |wanted: &dyn Fn(&State) -> bool| states.iter().any(|(_, run)| run.state.as_ref().is_some_and(wanted));
    for status in Status::iter() {
        assert!(has(&|state| state.status == status), "{status:?}");
    }
    for what in What::iter() {
        assert!(has(&|state| state.under_way.is_some_and(|call| call.what == what)), "{what:?}");
    }
    let mut said: Vec<usize> = messages(&Run::unborn()).iter().map(|(_, message)| kind(message)).collect();
    said.dedup();
    assert_eq!(said, (0..=16).collect::<Vec<_>>());
}
