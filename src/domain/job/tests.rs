//! What is promised about jobs, one rule at a time.

use serde_json::json;

use super::*;

pub(super) const BEGUN: Timestamp = Timestamp(1_000_000);
/// Half an hour later.
pub(super) const DEADLINE: Timestamp = Timestamp(2_800_000);
pub(super) const PACE: Pace = Pace { first_ms: 1_000, max_ms: 10_000, settle_ms: 60_000 };

pub(super) fn id(text: &str) -> JobId {
    JobId::parse(text).unwrap()
}

pub(super) fn submitted() -> Job {
    Job::submit("films".into(), Token::of("task_1", BEGUN, "film", 1), BEGUN).0
}

pub(super) fn in_phase(phase: Phase) -> Job {
    Job { phase, ..submitted() }
}

pub(super) fn told(fact: Fact) -> Told {
    Told { fact, pace: PACE }
}

fn at(ms: i64) -> Timestamp {
    BEGUN.plus_ms(ms)
}

fn unknown(repeatable: bool) -> Fact {
    Fact::Unknown { why: "it hung up".into(), repeatable }
}

fn silent() -> Fact {
    Fact::Silent { why: "it hung up".into(), after_ms: None }
}

/// Says facts one after the other, each at its time; timers ring in between by themselves.
fn walk(facts: &[(i64, Fact)]) -> Next {
    let mut job = submitted();
    let mut next = Next::Keep(job.clone());
    for (ms, fact) in facts {
        if job.rests() {
            let Some(Next::Run(woken, _)) = job.due() else { panic!("{job:?}") };
            job = woken;
        }
        next = job.told(told(fact.clone()), at(*ms), DEADLINE);
        match &next {
            Next::Run(on, _) | Next::Rest(on, _) | Next::Keep(on) => job = on.clone(),
            Next::Done(_) | Next::Failed(..) => {}
        }
    }
    next
}

fn failure(next: Next) -> Failure {
    let Next::Failed(failure, _) = next else { panic!("{next:?}") };
    failure
}

#[test]
fn a_lost_answer_is_asked_for_and_never_sent_again_blindly() {
    let Next::Run(job, Leg::Ask) = walk(&[(10, unknown(false))]) else { panic!() };
    assert_eq!((job.phase, job.in_doubt_since), (Phase::Asking { asks: 1 }, Some(at(10))));
    let Next::Run(job, Leg::Ask) = walk(&[(10, silent())]) else { panic!("a leg that broke down is unknown too") };
    assert_eq!(job.phase, Phase::Asking { asks: 1 });
}

#[test]
fn a_lost_answer_is_repeated_under_the_same_token_where_there_are_keys() {
    let Next::Rest(job, due) = walk(&[(10, unknown(true))]) else { panic!() };
    assert_eq!((&job.phase, due), (&Phase::Resending { sends: 1 }, at(1_010)));
    let Some(Next::Run(again, leg)) = job.due() else { panic!() };
    assert_eq!((again.phase, leg, again.token), (Phase::Submitting { sends: 2 }, Leg::Submit, job.token));
}

#[test]
fn a_repetition_that_fails_says_nothing_of_the_first_send() {
    let again = in_phase(Phase::Submitting { sends: 2 });
    let busy = Failure { retry_after_ms: Some(7_000), ..Failure::passing("provider_busy", "It is busy.") };
    let Next::Rest(job, due) = again.told(told(Fact::Failed(busy)), at(0), DEADLINE) else { panic!() };
    assert_eq!((job.phase, due), (Phase::Resending { sends: 2 }, at(7_000)));
    let refused = Fact::Failed(Failure::fatal("provider_refused", "It refuses."));
    let next = again.told(told(refused), at(0), DEADLINE);
    assert!(matches!(next, Next::Run(_, Leg::Ask)), "{next:?}");
}

#[test]
fn a_key_that_the_provider_may_have_forgotten_is_not_used_again() {
    let next = submitted().told(told(unknown(true)), BEGUN.plus_ms(KEY_AGE_MS_MAX), BEGUN.plus_ms(2 * KEY_AGE_MS_MAX));
    assert!(matches!(next, Next::Run(_, Leg::Ask)), "{next:?}");
}

#[test]
fn a_job_that_turns_up_is_looked_at_at_once() {
    let next = walk(&[(10, unknown(false)), (20, Fact::Accepted { id: id("p1") })]);
    let Next::Run(job, Leg::Look { id: found }) = next else { panic!("{next:?}") };
    assert_eq!((found, job.in_doubt_since), (id("p1"), None));
}

#[test]
fn an_absent_job_counts_as_lost_only_after_it_had_time_to_show_up() {
    let Next::Rest(job, due) = walk(&[(10, unknown(false)), (20, Fact::Absent)]) else { panic!() };
    assert_eq!((job.phase, due), (Phase::Doubting { asks: 1 }, at(60_010)));
    let lost = failure(walk(&[(10, unknown(false)), (20, Fact::Absent), (60_010, Fact::Absent)]));
    assert_eq!((lost.code.as_str(), lost.retryable), (REQUEST_LOST, true));
}

#[test]
fn what_nobody_can_tell_is_unknown_and_is_not_tried_again() {
    let cannot = || Fact::CannotTell { why: "it has no list".into() };
    let next = walk(&[(10, unknown(false)), (20, cannot()), (60_010, cannot())]);
    let failure = failure(next);
    assert_eq!((failure.code.as_str(), failure.retryable), (OUTCOME_UNKNOWN, false));
    assert!(failure.message.contains("it has no list") && failure.message.contains(submitted().token.as_str()));
}

#[test]
fn a_silent_provider_is_asked_beyond_the_steps_time_before_it_is_given_up() {
    let since = DEADLINE.since_ms(BEGUN) - 1;
    let asked = |ms| walk(&[(since, unknown(false)), (since + ms, silent())]);
    assert!(matches!(asked(DOUBT_MS_MAX - 1), Next::Rest(..)));
    assert_eq!(failure(asked(DOUBT_MS_MAX)).code, OUTCOME_UNKNOWN);
}

#[test]
fn rests_between_looks_grow_to_their_bound_and_end_with_the_steps_time() {
    let rests: Vec<u64> = (1..8).map(|looks| PACE.rest_ms(looks)).collect();
    assert_eq!(rests, [1_000, 1_501, 2_252, 3_379, 5_069, 7_604, 10_000]);
    assert_eq!(PACE.rest_ms(u32::MAX), 10_000);
    let looking = in_phase(Phase::Looking { id: id("p1"), looks: 9, called: false });
    let next = looking.told(told(Fact::Running { percent: None }), DEADLINE.plus_ms(-5), DEADLINE);
    assert!(matches!(next, Next::Rest(_, due) if due == DEADLINE), "{next:?}");
}

#[test]
fn a_job_still_at_work_when_the_time_is_over_is_cancelled() {
    let looking = in_phase(Phase::Looking { id: id("p1"), looks: 9, called: false });
    let next = looking.told(told(Fact::Running { percent: Some(9) }), DEADLINE, DEADLINE);
    let Next::Failed(failure, Some(cancelled)) = next else { panic!("{next:?}") };
    assert_eq!((failure.code.as_str(), failure.retryable, cancelled), (TIMED_OUT, false, id("p1")));
}

#[test]
fn a_job_that_was_done_while_nobody_could_look_counts_however_late() {
    let looking = in_phase(Phase::Looking { id: id("p1"), looks: 9, called: false });
    let done = Fact::Done { result: json!({ "file": "f" }) };
    assert_eq!(
        looking.told(told(done), DEADLINE.plus_ms(DOUBT_MS_MAX * 9), DEADLINE),
        Next::Done(json!({ "file": "f" }))
    );
}

#[test]
fn a_call_before_the_answer_to_the_submit_leads_to_a_look() {
    let next = submitted().called(&id("p1"));
    let Next::Run(job, Leg::Look { .. }) = next else { panic!("{next:?}") };
    assert_eq!(job.phase, Phase::Looking { id: id("p1"), looks: 1, called: false });
}

#[test]
fn a_call_during_a_look_leads_to_one_more_at_once_however_often_it_comes() {
    let looking = in_phase(Phase::Looking { id: id("p1"), looks: 1, called: false });
    let Next::Keep(once) = looking.called(&id("p1")) else { panic!() };
    assert_eq!(once.called(&id("p1")), Next::Keep(once.clone()));
    let next = once.told(told(Fact::Running { percent: None }), at(5), DEADLINE);
    assert!(
        matches!(&next, Next::Run(Job { phase: Phase::Looking { called: false, looks: 2, .. }, .. }, _)),
        "{next:?}"
    );
}

#[test]
fn a_provider_may_ask_to_be_left_alone_but_not_for_ever() {
    let looking = in_phase(Phase::Looking { id: id("p1"), looks: 1, called: false });
    let due = |after_ms| {
        let silent = Fact::Silent { why: "busy".into(), after_ms: Some(after_ms) };
        match looking.told(told(silent), at(0), DEADLINE) {
            Next::Rest(_, due) => due.since_ms(BEGUN),
            other => panic!("{other:?}"),
        }
    };
    assert_eq!((due(1), due(30_000), due(u64::MAX)), (1_000, 30_000, 600_000));
}

#[test]
fn ids_that_lead_elsewhere_are_refused() {
    for good in ["gm3qorzdhgbfurvjtvhg6dckhu", "video_68d7512d07848190", "video_bGl0ZWxsbQ==", "a.b:c~d"] {
        assert_eq!(JobId::parse(good).unwrap().as_str(), good);
    }
    for wrong in ["", ".", "..", "a/b", "a?b", "a#b", "a b", "a%2f", "ä", "a\n", &"x".repeat(JOB_ID_CHARS_MAX + 1)] {
        assert_eq!(JobId::parse(wrong), Err(MalformedJobId), "{wrong:?}");
    }
    assert!(serde_json::from_str::<JobId>("\"../secret\"").is_err());
}

#[test]
fn a_token_is_one_attempts_alone_and_the_same_each_time() {
    let token = |task, born, step, attempt| Token::of(task, Timestamp(born), step, attempt);
    let ours = token("order-1", 5, "film", 1);
    assert_eq!(ours.as_str(), "mixvideo-83b8f038f3ecfb54ffd55bdce564ad8f");
    for other in [token("order-2", 5, "film", 1), token("order-1", 6, "film", 1), token("order-1", 5, "film", 2)] {
        assert_ne!(ours, other);
    }
}

#[test]
fn a_report_that_cannot_be_read_has_found_out_nothing() {
    for outcome in [Ok(json!({ "fact": "surprise" })), Ok(Value::Null), Err(Failure::passing("activity_panicked", "x"))]
    {
        assert!(matches!(Told::of(outcome).fact, Fact::Silent { .. }));
    }
}

/// These texts are in databases: a change of one loses what is stored.
#[test]
fn durable_names_are_as_written_down() {
    let text = |value: &dyn erased::Json| value.json();
    let job = in_phase(Phase::Looking { id: id("p1"), looks: 2, called: true });
    let job = Job { token: Token("t".into()), in_doubt_since: Some(Timestamp(7)), percent: Some(9), ..job };
    assert_eq!(
        text(&job),
        concat!(
            r#"{"provider":"films","token":"t","first_sent_at":1000000,"#,
            r#""phase":{"looking":{"id":"p1","looks":2,"called":true}},"in_doubt_since":7,"percent":9}"#
        )
    );
    for (phase, written) in [
        (Phase::Submitting { sends: 1 }, r#"{"submitting":{"sends":1}}"#),
        (Phase::Resending { sends: 1 }, r#"{"resending":{"sends":1}}"#),
        (Phase::Asking { asks: 1 }, r#"{"asking":{"asks":1}}"#),
        (Phase::Doubting { asks: 1 }, r#"{"doubting":{"asks":1}}"#),
        (Phase::Waiting { id: id("p1"), looks: 0 }, r#"{"waiting":{"id":"p1","looks":0}}"#),
    ] {
        assert_eq!(text(&phase), written);
    }
    for (leg, written) in [
        (Leg::Submit, r#""submit""#),
        (Leg::Ask, r#""ask""#),
        (Leg::Look { id: id("p1") }, r#"{"look":{"id":"p1"}}"#),
        (Leg::Cancel { id: None }, r#"{"cancel":{}}"#),
    ] {
        assert_eq!(text(&leg), written);
    }
    for (fact, written) in [
        (Fact::Accepted { id: id("p1") }, r#"{"accepted":{"id":"p1"}}"#),
        (unknown(true), r#"{"unknown":{"why":"it hung up","repeatable":true}}"#),
        (Fact::Absent, r#""absent""#),
        (Fact::CannotTell { why: "x".into() }, r#"{"cannot_tell":{"why":"x"}}"#),
        (Fact::Running { percent: None }, r#"{"running":{}}"#),
        (silent(), r#"{"silent":{"why":"it hung up"}}"#),
        (Fact::Done { result: json!(1) }, r#"{"done":{"result":1}}"#),
    ] {
        assert_eq!(text(&fact), written);
    }
    assert_eq!(
        text(&told(Fact::Absent)),
        r#"{"fact":"absent","pace":{"first_ms":1000,"max_ms":10000,"settle_ms":60000}}"#
    );
}

mod erased {
    pub trait Json {
        fn json(&self) -> String;
    }

    impl<T: serde::Serialize> Json for T {
        fn json(&self) -> String {
            serde_json::to_string(self).unwrap()
        }
    }
}
