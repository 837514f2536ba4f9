//! Every state of a task meets every message. The snapshot is the specification: read it before accepting a change.

use strum::IntoEnumIterator;

use super::tests::job_id;
use super::tests::{Run, called, cancel, creation, fact, film};
use super::*;
use crate::domain::job::Fact;
use crate::domain::table;

fn states() -> Vec<(&'static str, Run)> {
    let working = || Run::born().done("take");
    vec![
        ("unborn", Run::unborn()),
        ("born", Run::born()),
        ("resting", Run::born().trips("take")),
        ("last attempt", Run::born().trips("take").wakes("take", 2)),
        ("two at work", working()),
        ("one at work, one resting", working().trips("left")),
        ("one at work, one done", working().done("left")),
        ("last step", working().done("left").done("right")),
        ("completed", working().done("left").done("right").done("store")),
        ("failed", working().fails("left")),
        ("bought", Run::bought()),
        ("bought, at work", Run::bought().done("take")),
        ("bought, last step", Run::bought().done("take").done("left").done("right")),
        ("cancelled", working().cancelled()),
        ("one skipped", Run::of_album(None)),
        ("one skipped, its alternative at work", Run::of_album(None).done("take")),
        ("one skipped, its alternative done", Run::of_album(Some("sepia")).done("take").done("sepia")),
        ("one skipped, last step", Run::of_album(None).done("take").done("poster").done("frame")),
        (
            "completed with one skipped",
            Run::of_album(None).done("take").done("poster").done("frame").done("keep_poster"),
        ),
        ("failed with one skipped", Run::of_album(None).fails("take")),
        ("job submitting", Run::hired()),
        ("job asking", Run::hired().finds(Fact::Unknown { why: "x".into(), repeatable: false })),
        ("job waiting", Run::hired().finds(Fact::Accepted { id: job_id() })),
        ("job looking", Run::hired().finds(Fact::Accepted { id: job_id() }).rings()),
        ("job done", Run::hired().finds(Fact::Done { result: serde_json::json!({ "file": "f" }) })),
        ("job refused", Run::hired().finds(Fact::Failed(Failure::fatal("oops", "It went wrong.")))),
        ("job cancelled", Run::hired().cancelled()),
    ]
}

/// What can be said in a state: a name for the table, and the message.
fn messages(run: &Run) -> Vec<(&'static str, Message)> {
    let born = EffectNo { version: 1, index: 0 };
    let steps = || run.state.iter().flat_map(|state| &state.steps);
    let under_way = steps().find_map(|(_, step)| match step {
        StepState::Started { effect, .. } => Some(*effect),
        _ => None,
    });
    let (resting, attempt) = steps()
        .find_map(|(name, step)| match step {
            StepState::Resting { attempt, .. } => Some((name.clone(), *attempt)),
            _ => None,
        })
        .unwrap_or_else(|| ("take".to_owned(), 2));
    let report = |outcome| Message::StepReported(Report { effect: under_way.unwrap_or(born), outcome });
    let failed = |retryable| Failure { retryable, ..Failure::fatal("oops", "It went wrong.") };
    // What the task was born with, where it was.
    let mut same = creation(film().pinned());
    if let Some(state) = &run.state {
        same.request = state.request.clone();
        same.workflow = state.workflow.clone();
    }
    let mut other = same.clone();
    other.request.template_code = "template_002".into();
    let stranger = EffectNo { version: 99, index: 0 };
    vec![
        ("create", Message::Create(Box::new(same))),
        ("create another", Message::Create(Box::new(other))),
        ("reported done", report(Ok(serde_json::json!({ "file": "f" })))),
        ("reported running", report(Ok(fact(Fact::Running { percent: None })))),
        ("reported unknown", report(Ok(fact(Fact::Unknown { why: "x".into(), repeatable: false })))),
        ("reported result", report(Ok(fact(Fact::Done { result: serde_json::json!({ "file": "f" }) })))),
        ("reported refused", report(Ok(fact(Fact::Failed(failed(false)))))),
        ("reported busy", report(Ok(fact(Fact::Failed(failed(true)))))),
        ("reported passing failure", report(Err(failed(true)))),
        ("reported fatal failure", report(Err(failed(false)))),
        ("reported, not ours", Message::StepReported(Report { effect: stranger, outcome: Ok(Value::Null) })),
        ("retry due", Message::RetryDue { step: resting.clone(), attempt }),
        ("retry due, other attempt", Message::RetryDue { step: resting, attempt: attempt + 1 }),
        ("retry due, unknown step", Message::RetryDue { step: "nowhere".into(), attempt: 1 }),
        ("job due", Message::JobDue { step: "film".into(), timer: under_way.unwrap_or(born) }),
        ("job due, other timer", Message::JobDue { step: "film".into(), timer: stranger }),
        ("provider called", called("film", 1)),
        ("provider called, other attempt", called("film", 2)),
        ("cancel", cancel(None)),
        ("cancel by an input", cancel(Some(Address::new("input", "in_1")))),
    ]
}

/// Fails to compile when a message is added, so that the table is thought of; counts the kinds above.
fn kind(message: &Message) -> usize {
    match message {
        Message::Create(_) => 0,
        Message::StepReported(_) => 1,
        Message::RetryDue { .. } => 2,
        Message::JobDue { .. } => 3,
        Message::ProviderCalled { .. } => 4,
        Message::Cancel { .. } => 5,
    }
}

fn number(effect: EffectNo) -> String {
    format!("{}:{}", effect.version, effect.index)
}

fn steps(state: &State) -> String {
    let step = |(name, step): (&String, &StepState)| {
        let how = match step {
            StepState::Started { effect, attempt, job: None } => format!("attempt {attempt} as {}", number(*effect)),
            StepState::Started { effect, attempt, job: Some(job) } => {
                let phase: &str = (&job.phase).into();
                format!("attempt {attempt}, job {phase} as {}", number(*effect))
            }
            StepState::Resting { timer, attempt, failure } => {
                format!("{} rests for attempt {attempt} until {}", failure.code, number(*timer))
            }
            StepState::Done { result } => format!("done {}", result["file"].as_str().unwrap_or("-")),
            StepState::Skipped => "skipped".to_owned(),
            StepState::Failed => "failed".to_owned(),
            StepState::Stopped => "stopped".to_owned(),
        };
        format!("{name} {how}")
    };
    state.steps.iter().map(step).collect::<Vec<_>>().join(", ")
}

fn shown(state: &State) -> String {
    let status: &str = state.status.into();
    format!("{status} [{}]", steps(state))
}

fn effect(effect: &Effect, moment: Moment) -> String {
    match effect {
        Effect::StartStep { call, turn } => {
            let permit = turn.iter().filter_map(|turn| turn.permit.as_ref());
            let permit: String = permit.map(|permit| format!(" with a permit of {}", permit.key)).collect();
            let leg = call.job.iter().map(|job| serde_json::to_string(&job.leg).unwrap());
            let leg: String = leg.map(|leg| format!(" {leg}")).collect();
            format!("start {} attempt {}{leg}{permit}", call.step, call.attempt)
        }
        Effect::ArmJob { due, step, timer } => {
            format!("arm job of {step} as {} in {}ms", number(*timer), due.since_ms(moment.now))
        }
        Effect::ArmRetry { due, step, attempt } => {
            format!("arm {step} attempt {attempt} in {}ms", due.since_ms(moment.now))
        }
        Effect::Stop(effect) => format!("stop {}", number(*effect)),
        Effect::Disarm(effect) => format!("disarm {}", number(*effect)),
        Effect::TellPayment { payment, end } => format!("tell {payment}: {end:?}"),
        Effect::Answer { input, refused } => {
            format!("answer {input}: {}", refused.as_deref().unwrap_or("accepted"))
        }
    }
}

#[test]
fn every_state_meets_every_message() {
    let words = table::Words { state: shown, effect, width: 26 };
    let rows = states().into_iter().map(|(name, run)| {
        let (messages, moment) = (messages(&run), run.moment());
        table::Row { name, machine: run.machine, state: run.state, moment, messages }
    });
    insta::assert_snapshot!(table::of(&words, rows));
}

#[test]
fn the_table_has_every_status_every_step_state_and_every_message() {
    let states = states();
    for status in Status::iter() {
        assert!(
            states.iter().any(|(_, run)| run.state.as_ref().is_some_and(|state| state.status == status)),
            "{status:?}"
        );
    }
    let steps = states.iter().filter_map(|(_, run)| run.state.as_ref()).flat_map(|state| state.steps.values());
    let shown: std::collections::BTreeSet<&'static str> = steps.map(Into::into).collect();
    assert_eq!(shown.into_iter().collect::<Vec<_>>(), ["done", "failed", "resting", "skipped", "started", "stopped"]);
    let mut said: Vec<usize> = messages(&Run::unborn()).iter().map(|(_, message)| kind(message)).collect();
    said.dedup();
    assert_eq!(said, [0, 1, 2, 3, 4, 5]);
}
