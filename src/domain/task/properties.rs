//! Whatever comes, in whatever order and however often: what always holds of a task.
//!
//! A very small engine carries the orders out; proptest decides which outstanding order ends next and how, which old
//! message comes once more, and when somebody cancels.

use std::collections::{BTreeMap, BTreeSet};

use proptest::prelude::*;
use serde_json::json;

use super::tests::{Run, album, called, cancel, creation, fact, film, job_id};
use super::*;
use crate::domain::job::{Fact, JobCall, Leg};
use crate::domain::machine::Verdict;
use crate::domain::workflow::Definition;

/// Kinds of task that are walked through.
const KINDS: usize = 3;

/// What happens next. Numbers choose among what is possible then.
#[derive(Clone, Debug)]
enum Event {
    /// An order that is outstanding ends: a step is done, trips or fails; a timer rings.
    Ends { which: usize, how: u8 },
    /// A message that was delivered before comes again.
    Again { which: usize },
    /// A report or a timer of an order that was settled long ago, with another outcome.
    Late { which: usize },
    /// Somebody cancels, through an input or not.
    Cancel { by_input: bool },
}

fn events() -> impl Strategy<Value = Vec<Event>> {
    let event = prop_oneof![
        12 => (any::<usize>(), 0..10_u8).prop_map(|(which, how)| Event::Ends { which, how }),
        3 => any::<usize>().prop_map(|which| Event::Again { which }),
        3 => any::<usize>().prop_map(|which| Event::Late { which }),
        1 => any::<bool>().prop_map(|by_input| Event::Cancel { by_input }),
    ];
    proptest::collection::vec(event, 0..40)
}

/// What an order becomes when it ends.
#[derive(Clone, Debug, PartialEq)]
enum Ordered {
    Step { step: String, attempt: u32 },
    Timer { step: String, attempt: u32 },
}

impl Ordered {
    fn ends(&self, effect: EffectNo, how: u8) -> Message {
        match self {
            Self::Timer { step, attempt } => Message::RetryDue { step: step.clone(), attempt: *attempt },
            Self::Step { step, .. } => {
                let outcome = match how {
                    0..=5 => Ok(json!({ "file": format!("{step}.bin") })),
                    6..=8 => Err(Failure::passing("busy", "The machine is busy.")),
                    _ => Err(Failure::fatal("broken", "It cannot be done.")),
                };
                Message::StepReported(Report { effect, outcome })
            }
        }
    }
}

struct Engine {
    definition: Definition,
    run: Run,
    outstanding: BTreeMap<EffectNo, Ordered>,
    ever: Vec<(EffectNo, Ordered)>,
    delivered: Vec<(Message, Moment)>,
}

impl Engine {
    /// A task of one of the kinds below: all its steps needed, or one or the other of two alternatives.
    fn new(kind: usize) -> Self {
        let (definition, style) = match kind {
            0 => (film(), None),
            1 => (album(), Some("poster")),
            _ => (album(), Some("sepia")),
        };
        let mut create = creation(definition.pinned());
        create.request.parameters.extend(style.map(|style| ("style".to_owned(), json!(style))));
        let library = Library::new([definition.clone()]).unwrap();
        let mut engine = Self {
            definition,
            run: Run { machine: TaskMachine::new(Arc::new(library)), ..Run::unborn() },
            outstanding: BTreeMap::new(),
            ever: Vec::new(),
            delivered: Vec::new(),
        };
        engine.deliver(Message::Create(Box::new(create)), None);
        engine
    }

    /// Delivers a message, which settles `settles`, carries out what is ordered, and checks what always holds.
    fn deliver(&mut self, message: Message, settles: Option<EffectNo>) -> Decision<State, Effect> {
        let before = self.run.state.clone();
        let moment = self.run.moment();
        let decision = self.run.say(message.clone());
        self.delivered.push((message.clone(), moment));
        if let Some(effect) = settles {
            self.outstanding.remove(&effect);
        }
        for (index, effect) in (0..).zip(&decision.effects) {
            self.carry_out(moment.effect(index), effect);
        }
        if let Some(before) = before.filter(|state| state.status.is_final()) {
            assert_eq!(self.run.state(), &before, "what has ended changes no more");
        }
        if decision.verdict != Verdict::Applied {
            assert_eq!(decision.state, None, "only what is applied changes something");
        }
        self.check_outstanding();
        self.check_twice(message);
        decision
    }

    fn carry_out(&mut self, number: EffectNo, effect: &Effect) {
        let ordered = match effect {
            Effect::StartStep { call, .. } => Ordered::Step { step: call.step.clone(), attempt: call.attempt },
            Effect::ArmRetry { step, attempt, .. } => Ordered::Timer { step: step.clone(), attempt: *attempt },
            Effect::Stop(number) => {
                let stopped = self.outstanding.remove(number);
                assert!(matches!(stopped, Some(Ordered::Step { .. })), "only what runs is stopped: {stopped:?}");
                return;
            }
            Effect::Disarm(number) => {
                let disarmed = self.outstanding.remove(number);
                assert!(matches!(disarmed, Some(Ordered::Timer { .. })), "only what rests is disarmed: {disarmed:?}");
                return;
            }
            Effect::Answer { .. } | Effect::TellPayment { .. } => return,
            Effect::ArmJob { .. } => unreachable!("this workflow has no job"),
        };
        assert!(self.ever.iter().all(|(_, other)| *other != ordered), "ordered twice: {ordered:?}");
        if let Ordered::Step { step, attempt } = &ordered {
            let step = self.definition.step(step).unwrap();
            assert!((1..=step.retry.attempts).contains(attempt), "too many attempts: {ordered:?}");
            for need in &step.needs {
                let need = &self.run.state().steps[need];
                assert!(matches!(need, StepState::Done { .. } | StepState::Skipped), "it did not wait: {need:?}");
            }
        }
        self.outstanding.insert(number, ordered.clone());
        self.ever.push((number, ordered));
    }

    /// What the state waits for is exactly what was ordered and is not settled.
    fn check_outstanding(&self) {
        let waits = self.run.state().steps.iter().filter_map(|(name, step)| match step {
            StepState::Started { effect, attempt, .. } => {
                Some((*effect, Ordered::Step { step: name.clone(), attempt: *attempt }))
            }
            StepState::Resting { timer, attempt, .. } => {
                Some((*timer, Ordered::Timer { step: name.clone(), attempt: *attempt }))
            }
            StepState::Skipped | StepState::Done { .. } | StepState::Failed | StepState::Stopped => None,
        });
        assert_eq!(waits.collect::<BTreeMap<_, _>>(), self.outstanding);
        let final_ = self.run.state().status.is_final();
        assert_eq!(final_, self.outstanding.is_empty(), "who waits for nothing has ended, and the other way round");
    }

    /// The same message once more changes nothing and orders nothing but an answer.
    fn check_twice(&self, message: Message) {
        let again = self.run.machine.apply(self.run.state.as_ref(), message, self.run.moment()).unwrap();
        assert_eq!(again.state, None);
        assert_ne!(again.verdict, Verdict::Applied);
        assert!(again.effects.iter().all(|effect| matches!(effect, Effect::Answer { .. })));
    }

    fn happens(&mut self, event: &Event) {
        match event {
            Event::Ends { which, how } => {
                let Some(index) = which.checked_rem(self.outstanding.len()) else { return };
                let Some((effect, ordered)) = self.outstanding.clone().into_iter().nth(index) else { return };
                let decision = self.deliver(ordered.ends(effect, *how), Some(effect));
                assert_eq!(decision.verdict, Verdict::Applied, "the end of what is outstanding counts");
            }
            Event::Again { which } => {
                let (message, _) = self.delivered[which % self.delivered.len()].clone();
                self.deliver(message, None);
            }
            Event::Late { which } => {
                let (effect, ordered) = self.ever[which % self.ever.len()].clone();
                if !self.outstanding.contains_key(&effect) {
                    let decision = self.deliver(ordered.ends(effect, 9), None);
                    assert_eq!(decision.verdict, Verdict::Ignored);
                }
            }
            Event::Cancel { by_input } => {
                let input = by_input.then(|| Address::new("input", "in_1"));
                let decision = self.deliver(cancel(input), None);
                let answers = decision.effects.iter().filter(|effect| matches!(effect, Effect::Answer { .. })).count();
                assert_eq!(answers, usize::from(*by_input), "every input is answered, once");
            }
        }
    }
}

fn after(kind: usize, events: &[Event]) -> Engine {
    let mut engine = Engine::new(kind);
    events.iter().for_each(|event| engine.happens(event));
    engine
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 300, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn whatever_comes_a_task_stays_consistent(kind in 0..KINDS, events in events()) {
        let skipped = |engine: &Engine| {
            let steps = engine.run.state().steps.iter();
            steps.filter(|(_, step)| **step == StepState::Skipped).map(|(name, _)| name.clone()).collect::<Vec<_>>()
        };
        let from_birth = skipped(&Engine::new(kind));
        prop_assert_eq!(skipped(&after(kind, &events)), from_birth, "what is skipped is so from birth to end");
    }

    #[test]
    fn a_task_whose_orders_all_end_ends(kind in 0..KINDS, events in events(), hows in proptest::collection::vec(0..10_u8, 20)) {
        let mut engine = after(kind, &events);
        for how in hows {
            engine.happens(&Event::Ends { which: 0, how });
        }
        let state = engine.run.state();
        prop_assert!(state.status.is_final(), "{state:?}");
        prop_assert_eq!(state.completed_at.is_some(), true);
        prop_assert_eq!(state.status == Status::Completed, state.failure.is_none());
        prop_assert_eq!(state.status == Status::Completed, state.result.is_some());
    }

    #[test]
    fn the_same_messages_give_the_same_state(kind in 0..KINDS, events in events()) {
        let engine = after(kind, &events);
        let mut state: Option<State> = None;
        for (message, moment) in &engine.delivered {
            // Through JSON, as the journal keeps them.
            let message: Message = serde_json::from_str(&serde_json::to_string(message).unwrap()).unwrap();
            let decision = engine.run.machine.apply(state.as_ref(), message, *moment).unwrap();
            if let Some(next) = decision.state {
                state = Some(serde_json::from_str(&serde_json::to_string(&next).unwrap()).unwrap());
            }
        }
        prop_assert_eq!(state.as_ref(), engine.run.state.as_ref());
    }

    #[test]
    fn progress_stays_in_its_bounds(kind in 0..KINDS, events in events(), told in any::<f64>()) {
        let engine = after(kind, &events);
        let definition = engine.definition.clone();
        let live: BTreeMap<String, f64> = definition.steps().iter().map(|step| (step.name.clone(), told)).collect();
        let state = engine.run.state();
        let percent = progress(state, &definition, &live);
        prop_assert!(percent <= 100);
        prop_assert_eq!(percent == 100, state.status == Status::Completed);
    }
}

#[test]
fn the_walk_reaches_every_end() {
    use proptest::strategy::ValueTree;
    let mut runner = proptest::test_runner::TestRunner::deterministic();
    let mut ends = BTreeSet::new();
    for _ in 0..200 {
        let events = events().new_tree(&mut runner).unwrap().current();
        let status: &str = after(0, &events).run.state().status.into();
        ends.insert(status);
    }
    assert_eq!(ends.into_iter().collect::<Vec<_>>(), ["cancelled", "completed", "failed", "pending", "running"]);
}

/// What happens to a step that is a job at a provider.
#[derive(Clone, Debug)]
enum JobEvent {
    /// What is outstanding ends: a leg reports the fact, a timer rings.
    Ends(Fact),
    /// An effect that was settled long ago ends once more.
    Late(usize),
    /// The provider calls, about this attempt or another.
    Called(u32),
    /// Somebody cancels.
    Cancel,
}

fn job_events() -> impl Strategy<Value = Vec<JobEvent>> {
    let why = || "it hung up".to_owned();
    let fact = prop_oneof![
        3 => Just(Fact::Accepted { id: job_id() }),
        1 => Just(Fact::Failed(Failure::passing("provider_busy", "It is busy."))),
        3 => any::<bool>().prop_map(move |repeatable| Fact::Unknown { why: why(), repeatable }),
        2 => Just(Fact::Absent),
        4 => Just(Fact::Running { percent: None }),
        2 => Just(Fact::Silent { why: why(), after_ms: None }),
        1 => Just(Fact::Done { result: json!({ "file": "f" }) }),
    ];
    let event = prop_oneof![
        12 => fact.prop_map(JobEvent::Ends),
        2 => any::<usize>().prop_map(JobEvent::Late),
        2 => (1..3_u32).prop_map(JobEvent::Called),
        1 => Just(JobEvent::Cancel),
    ];
    proptest::collection::vec(event, 0..40)
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 300, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn a_task_waits_for_exactly_what_it_ordered_for_its_job(events in job_events()) {
        let mut run = Run::hired();
        let mut outstanding = BTreeSet::from([run.effect("film")]);
        let mut settled = Vec::new();
        for event in events {
            let (step, waits_for) = match &run.state().steps["film"] {
                StepState::Started { effect, job: Some(job), .. } if job.rests() => {
                    (Some(Message::JobDue { step: "film".into(), timer: *effect }), Some(*effect))
                }
                StepState::Started { effect, .. } => (None, Some(*effect)),
                StepState::Resting { timer, attempt, .. } => {
                    (Some(Message::RetryDue { step: "film".into(), attempt: *attempt }), Some(*timer))
                }
                StepState::Skipped | StepState::Done { .. } | StepState::Failed | StepState::Stopped => (None, None),
            };
            prop_assert_eq!(&waits_for.into_iter().collect::<BTreeSet<_>>(), &outstanding);
            let report = |effect, found| Message::StepReported(Report { effect, outcome: Ok(fact(found)) });
            let message = match (event, waits_for) {
                (JobEvent::Ends(found), Some(effect)) => {
                    outstanding.remove(&effect);
                    settled.push(effect);
                    step.unwrap_or_else(|| report(effect, found))
                }
                (JobEvent::Late(which), _) if !settled.is_empty() => {
                    let effect = settled[which % settled.len()];
                    report(effect, Fact::Done { result: json!({ "file": "late" }) })
                }
                (JobEvent::Called(attempt), _) => called("film", attempt),
                (JobEvent::Cancel, _) => cancel(None),
                (JobEvent::Ends(_) | JobEvent::Late(_), _) => continue,
            };
            let moment = run.moment();
            let decision = run.say(message);
            for (number, effect) in (0..).map(|index| moment.effect(index)).zip(&decision.effects) {
                match effect {
                    Effect::StartStep {
                        call: StepCall { job: Some(JobCall { leg: Leg::Cancel { .. }, .. }), .. }, ..
                    }
                    | Effect::Answer { .. }
                    | Effect::TellPayment { .. } => {}
                    Effect::StartStep { .. } | Effect::ArmRetry { .. } => drop(outstanding.insert(number)),
                    Effect::ArmJob { timer, .. } => {
                        prop_assert_eq!(*timer, number, "a timer knows its own number");
                        outstanding.insert(number);
                    }
                    Effect::Stop(stopped) | Effect::Disarm(stopped) => {
                        prop_assert!(outstanding.remove(stopped), "what is stopped was outstanding");
                        settled.push(*stopped);
                    }
                }
            }
        }
        prop_assert_eq!(run.state().status.is_final(), outstanding.is_empty());
    }
}
