//! Whatever a provider does, in whatever order: what always holds of a job.
//!
//! A model of a provider takes the submits and loses answers; proptest decides what happens next.

use proptest::prelude::*;
use serde_json::json;

use super::tests::{BEGUN, DEADLINE, id, submitted, told};
use super::*;

fn facts() -> impl Strategy<Value = Fact> {
    let why = || "it hung up".to_owned();
    prop_oneof![
        2 => Just(Fact::Accepted { id: id("p1") }),
        1 => any::<bool>().prop_map(|passing| Fact::Failed(Failure { retryable: passing, ..Failure::fatal("x", "y") })),
        3 => any::<bool>().prop_map(move |repeatable| Fact::Unknown { why: why(), repeatable }),
        3 => Just(Fact::Absent),
        2 => Just(Fact::CannotTell { why: why() }),
        5 => proptest::option::of(0..=100_u8).prop_map(|percent| Fact::Running { percent }),
        5 => proptest::option::of(any::<u64>()).prop_map(move |after_ms| Fact::Silent { why: why(), after_ms }),
        1 => Just(Fact::Done { result: json!("f") }),
    ]
}

/// A fact or a call, and how long it took to come.
fn events() -> impl Strategy<Value = Vec<(Option<Fact>, i64)>> {
    let event = prop_oneof![9 => facts().prop_map(Some), 1 => Just(None)];
    proptest::collection::vec((event, 0..300_000_i64), 0..60)
}

/// What was seen of a job on its way.
#[derive(Default)]
struct Seen {
    /// How often it was sent.
    sends: u32,
    /// What followed each event.
    steps: Vec<Next>,
    end: Option<Next>,
}

fn walked(events: &[(Option<Fact>, i64)]) -> Seen {
    let mut seen = Seen { sends: 1, ..Seen::default() };
    let (mut job, mut now) = (submitted(), BEGUN);
    for (event, took) in events {
        now = now.plus_ms(*took);
        let before = job.clone();
        let next = match event {
            None => job.called(&id("p1")),
            Some(fact) => {
                if let Some(Next::Run(woken, leg)) = job.due() {
                    seen.sends += u32::from(leg == Leg::Submit);
                    job = woken;
                }
                let next = job.told(told(fact.clone()), now, DEADLINE);
                // The same once more, on the same state, is the same.
                assert_eq!(next, job.told(told(fact.clone()), now, DEADLINE));
                check(&job, fact, &next, now);
                next
            }
        };
        seen.steps.push(next.clone());
        match next {
            Next::Run(on, leg) => {
                assert!(leg != Leg::Submit, "nothing is sent again without a rest");
                assert!(!on.rests());
                job = on;
            }
            Next::Rest(on, due) => {
                assert!(on.rests() && due >= now, "{on:?} until {due:?} at {now:?}");
                now = due;
                job = on;
            }
            Next::Keep(on) => job = on,
            Next::Done(_) | Next::Failed(..) => {
                seen.end = Some(next);
                return seen;
            }
        }
        assert_eq!((&job.token, job.first_sent_at), (&before.token, BEGUN), "they are fixed before the first send");
        // Through JSON, as the journal keeps it.
        assert_eq!(serde_json::from_str::<Job>(&serde_json::to_string(&job).unwrap()).unwrap(), job);
    }
    seen
}

fn check(job: &Job, fact: &Fact, next: &Next, now: Timestamp) {
    if let Next::Rest(Job { phase: Phase::Resending { .. }, .. }, _) = next {
        let keyed = matches!(job.phase, Phase::Submitting { sends } if sends > 1);
        let allowed = matches!(fact, Fact::Unknown { repeatable: true, .. }) || keyed;
        assert!(allowed, "only keys allow a repetition: {fact:?}");
        assert!(now.since_ms(BEGUN) < KEY_AGE_MS_MAX);
    }
    if let Next::Failed(failure, cancel) = next {
        let repeated = matches!(job.phase, Phase::Submitting { sends } if sends > 1);
        assert!(!repeated, "a repetition that fails says nothing of the first send");
        let known = matches!(fact, Fact::Failed(_) | Fact::Absent | Fact::Running { .. });
        assert_eq!(failure.code == OUTCOME_UNKNOWN, !known, "unknown is not failed, and failed is not unknown");
        assert!(failure.code != OUTCOME_UNKNOWN || !failure.retryable);
        let may_work = matches!(fact, Fact::Running { .. }) || failure.code == OUTCOME_UNKNOWN;
        assert_eq!(cancel.as_ref(), job.id().filter(|_| may_work), "what may be at work is cancelled");
    }
    if let Next::Failed(Failure { code, .. }, _) = next
        && code == REQUEST_LOST
    {
        assert!(now.since_ms(job.in_doubt_since.unwrap()) >= 60_000, "it had time to show up");
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 1_000, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn whatever_comes_a_job_stays_consistent(events in events()) {
        walked(&events);
    }

    #[test]
    fn without_keys_a_job_is_sent_once_whatever_comes(events in events()) {
        let keyless = events.into_iter().map(|(event, took)| match event {
            Some(Fact::Unknown { why, .. }) => (Some(Fact::Unknown { why, repeatable: false }), took),
            other => (other, took),
        });
        prop_assert_eq!(walked(&keyless.collect::<Vec<_>>()).sends, 1);
    }

    #[test]
    fn a_provider_that_only_says_running_or_nothing_is_given_up_in_the_end(
        facts in proptest::collection::vec(any::<bool>(), 2_000),
    ) {
        let fact = |running| if running {
            Fact::Running { percent: None }
        } else {
            Fact::Silent { why: "it hung up".into(), after_ms: None }
        };
        let events: Vec<_> = facts.into_iter().map(|running| (Some(fact(running)), 100)).collect();
        prop_assert!(walked(&events).end.is_some());
    }

    #[test]
    fn a_call_never_ends_a_job_and_never_sends_it(events in events()) {
        let seen = walked(&events);
        for (next, (event, _)) in seen.steps.iter().zip(&events) {
            if event.is_none() {
                prop_assert!(matches!(next, Next::Run(_, Leg::Look { .. }) | Next::Keep(_)), "{:?}", next);
            }
        }
    }
}
