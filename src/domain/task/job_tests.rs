//! What a task with a job at a provider does, case by case.

use serde_json::json;

use super::tests::{Run, called, cancel, creation, fact, hired, job_id, machine_of, started};
use super::*;
use crate::domain::job::{Fact, JobCall, Leg, Phase, Token};
use crate::domain::machine::Verdict;

#[test]
fn a_job_is_written_down_with_its_token_before_it_is_sent() {
    let mut run = Run { machine: machine_of(hired()), ..Run::unborn() };
    let born = run.now;
    let decision = run.say(Message::Create(Box::new(creation(hired().pinned()))));
    let call = started(&decision.effects)[0].clone();
    let token = Token::of("order-1", born, "film", 1);
    let ordered = JobCall { provider: "films".into(), token: token.clone(), first_sent_at: born, leg: Leg::Submit };
    assert_eq!(call.job, Some(ordered));
    assert_eq!(Value::Object(call.with), json!({ "provider": "films", "prompt": "a cat" }));
    assert_eq!((&run.job().token, run.job().first_sent_at), (&token, born));
    let order: Order = decision.effects.into_iter().next().unwrap().into();
    assert!(matches!(order, Order::Start { lane: "provider", .. }), "{order:?}");
}

#[test]
fn a_job_waits_on_a_timer_and_is_looked_at_until_it_is_done() {
    let mut run = Run::hired().finds(Fact::Accepted { id: job_id() });
    let timer = run.effect("film");
    let decision = run.say(Message::JobDue { step: "film".into(), timer });
    let [call] = started(&decision.effects)[..] else { panic!("{decision:?}") };
    assert_eq!(call.job.as_ref().unwrap().leg, Leg::Look { id: job_id() });
    assert!(call.with.is_empty(), "a look needs no prompt");
    let run = run.finds(Fact::Running { percent: Some(40) }).rings();
    assert_eq!(progress(run.state(), &hired(), &BTreeMap::new()), 40);
    let run = run.finds(Fact::Done { result: json!({ "file": "film.mp4" }) });
    assert_eq!((run.state().status, &run.state().result), (Status::Completed, &Some(json!({ "file": "film.mp4" }))));
}

#[test]
fn a_busy_provider_is_asked_again_after_its_time_as_another_attempt() {
    let mut run = Run::hired();
    let busy = Failure { retry_after_ms: Some(20_000), ..Failure::passing("provider_busy", "It is busy.") };
    let now = run.now;
    let decision = run.report("film", Ok(fact(Fact::Failed(busy))));
    let [Effect::ArmRetry { due, attempt: 2, .. }] = decision.effects[..] else { panic!("{decision:?}") };
    assert!((20_000..21_000).contains(&due.since_ms(now)), "{due:?}");
    let first = Token::of("order-1", run.state().created_at, "film", 1);
    let run = run.wakes("film", 2);
    assert_ne!(run.job().token, first, "another attempt is another request");
}

#[test]
fn a_call_ends_a_rest_and_looks_at_once() {
    let mut run = Run::hired().finds(Fact::Accepted { id: job_id() });
    let timer = run.effect("film");
    let decision = run.say(called("film", 1));
    assert_eq!(decision.effects[0], Effect::Disarm(timer));
    assert_eq!(started(&decision.effects)[0].job.as_ref().unwrap().leg, Leg::Look { id: job_id() });
    assert!(matches!(decision.effects[2], Effect::Answer { refused: None, .. }));
}

#[test]
fn a_call_of_another_attempt_or_an_ended_step_changes_nothing_and_is_answered() {
    for mut run in [Run::hired(), Run::hired().cancelled(), Run::born()] {
        let decision = run.say(called("film", 7));
        assert_eq!((decision.verdict, decision.state), (Verdict::Ignored, None));
        assert!(matches!(decision.effects[..], [Effect::Answer { refused: None, .. }]));
    }
}

#[test]
fn cancelling_a_task_cancels_its_job_whatever_is_known_of_it() {
    for (mut run, id) in [
        (Run::hired(), None),
        (Run::hired().finds(Fact::Accepted { id: job_id() }), Some(job_id())),
        (Run::hired().finds(Fact::Accepted { id: job_id() }).rings(), Some(job_id())),
    ] {
        let under_way = run.effect("film");
        let stop = if run.job().rests() { Effect::Disarm(under_way) } else { Effect::Stop(under_way) };
        let decision = run.say(cancel(None));
        assert_eq!(decision.effects[0], stop);
        let [call] = started(&decision.effects)[..] else { panic!("{decision:?}") };
        assert_eq!(call.job.as_ref().unwrap().leg, Leg::Cancel { id });
        let cancelled = Report { effect: EffectNo { version: run.version, index: 1 }, outcome: Ok(Value::Null) };
        assert_eq!(run.say(Message::StepReported(cancelled)).verdict, Verdict::Ignored);
    }
}

#[test]
fn a_job_that_takes_too_long_is_cancelled_and_the_attempt_fails_for_good() {
    let mut run = Run::hired().finds(Fact::Accepted { id: job_id() }).rings();
    run.now = run.now.plus_ms(1_800_000);
    let decision = run.report("film", Ok(fact(Fact::Running { percent: None })));
    let [call] = started(&decision.effects)[..] else { panic!("{decision:?}") };
    assert_eq!(call.job.as_ref().unwrap().leg, Leg::Cancel { id: Some(job_id()) });
    assert_eq!(run.state().failure.as_ref().unwrap().code, "provider_timed_out");
}

#[test]
fn an_unknown_outcome_is_never_tried_again() {
    let unknown = || Fact::Unknown { why: "it hung up".into(), repeatable: false };
    let cannot = || Fact::CannotTell { why: "it has no list".into() };
    let mut run = Run::hired().finds(unknown()).finds(cannot());
    assert_eq!(run.job().phase, Phase::Doubting { asks: 1 });
    run.now = run.now.plus_ms(60_000);
    let run = run.rings().finds(cannot());
    let failure = run.state().failure.clone().unwrap();
    assert_eq!((run.state().status, failure.code.as_str()), (Status::Failed, "outcome_unknown"));
}
