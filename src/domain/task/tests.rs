//! What is promised about tasks, one rule at a time, and the means to walk one through its life.

use serde_json::json;

use super::*;
use crate::domain::job::{Fact, Pace, Told};
use crate::domain::machine::Verdict;
use crate::domain::workflow::{BUNDLED, Definition, Retry};
use crate::domain::{Permit, Priority};

/// Two steps side by side between a first and a last one.
const FILM: &str = r#"
name = "film"
description = "For tests."
produces = "video"

[parameters.imageUrl]
kind = "picture"
required = true

[parameters.seconds]
kind = "number"
default = 5

[[steps]]
name = "take"
activity = "picture"
weight = 10
retry = { attempts = 2, first_delay = "1s", max_delay = "1m", factor = 2 }
with = { source = "{parameters.imageUrl}" }

[[steps]]
name = "left"
activity = "noop"
needs = ["take"]
timeout = "2m"
weight = 60
with = { picture = "{steps.take.file}", seconds = "{parameters.seconds}", title = "for {parameters.who}" }

[[steps]]
name = "right"
activity = "image"
needs = ["take"]
weight = 20
with = { picture = "{steps.take.file}" }

[[steps]]
name = "store"
activity = "store"
needs = ["left", "right"]
weight = 10
with = { file = "{steps.left.file}", kind = "video" }

[parameters.who]
kind = "text"
"#;

/// Two alternatives between a first and a last step; one of them is skipped.
const ALBUM: &str = r#"
name = "album"
description = "For tests."
produces = "image"
priority = "high"

[parameters.style]
kind = "text"
one_of = ["poster", "sepia"]
default = "poster"

[[steps]]
name = "take"
activity = "noop"
weight = 10

[[steps]]
name = "poster"
activity = "noop"
needs = ["take"]
when = { parameter = "style", is = "poster" }
concurrency = { key = "{steps.take.file} of {user}", limit = 2 }
weight = 30

[[steps]]
name = "sepia"
activity = "noop"
needs = ["take"]
when = { parameter = "style", is = "sepia" }
weight = 70

[[steps]]
name = "frame"
activity = "noop"
needs = ["poster", "sepia"]
weight = 10
with = { picture = "{steps.poster.file}{steps.sepia.file}", poster = "{steps.poster.file}" }

[[steps]]
name = "keep_poster"
activity = "store"
needs = ["frame", "poster"]
when = { parameter = "style", is = "poster" }
with = { file = "{steps.poster.file}", kind = "image" }

[[steps]]
name = "keep_sepia"
activity = "store"
needs = ["frame", "sepia"]
when = { parameter = "style", is = "sepia" }
with = { file = "{steps.sepia.file}", kind = "image" }
"#;

pub(super) fn album() -> Definition {
    Definition::parse("album.toml", ALBUM).unwrap()
}

pub(super) fn film() -> Definition {
    Definition::parse("film.toml", FILM).unwrap()
}

pub fn machine_of(definition: Definition) -> TaskMachine {
    TaskMachine::new(Arc::new(Library::new([definition]).unwrap()))
}

pub(super) fn creation(pinned: Pinned) -> Create {
    let request = json!({
        "type": "video_generation",
        "template_code": "template_001",
        "owner": "key_1",
        "parameters": { "imageUrl": { "file": "pictures/1" } },
    });
    Create {
        id: TaskId::parse("order-1").unwrap(),
        request: serde_json::from_value(request).unwrap(),
        workflow: pinned,
    }
}

/// One step, a job at a provider.
const HIRED: &str = r#"
name = "hired"
description = "For tests."
produces = "video"

[[steps]]
name = "film"
activity = "provider"
result = true
timeout = "30m"
retry = { attempts = 2, first_delay = "1s", max_delay = "1m", factor = 2 }
with = { provider = "films", prompt = "a {parameters.who}" }

[parameters.who]
kind = "text"
default = "cat"
"#;

pub(super) fn hired() -> Definition {
    Definition::parse("hired.toml", HIRED).unwrap()
}

/// A provider's fact as its leg reports it.
pub(super) fn fact(fact: Fact) -> Value {
    let pace = Pace { first_ms: 1_000, max_ms: 10_000, settle_ms: 60_000 };
    serde_json::to_value(Told { fact, pace }).unwrap()
}

pub(super) fn job_id() -> JobId {
    JobId::parse("p1").unwrap()
}

pub(super) fn called(step: &str, attempt: u32) -> Message {
    let input = Address::new("input", "in_2");
    Message::ProviderCalled { step: step.to_owned(), attempt, id: job_id(), input }
}

/// A task in the hands of a very small engine.
#[derive(Clone)]
pub(super) struct Run {
    pub machine: TaskMachine,
    pub state: Option<State>,
    pub version: u64,
    pub now: Timestamp,
}

impl Run {
    pub fn unborn() -> Self {
        Self { machine: machine_of(film()), state: None, version: 0, now: Timestamp(1_000_000) }
    }

    pub fn born() -> Self {
        let mut run = Self::unborn();
        run.say(Message::Create(Box::new(creation(film().pinned()))));
        run
    }

    /// Born of a payment.
    pub fn bought() -> Self {
        let mut run = Self::unborn();
        let mut create = creation(film().pinned());
        create.request.payment = Some(PaymentId::new(uuid::Uuid::from_u128(7)));
        run.say(Message::Create(Box::new(create)));
        run
    }

    /// A task that follows the album, in this style or the default one.
    pub fn of_album(style: Option<&str>) -> Self {
        let mut run = Self { machine: machine_of(album()), ..Self::unborn() };
        let mut create = creation(album().pinned());
        create.request.parameters.extend(style.map(|style| ("style".to_owned(), json!(style))));
        run.say(Message::Create(Box::new(create)));
        run
    }

    /// Born with a job at a provider.
    pub fn hired() -> Self {
        let mut run = Self { machine: machine_of(hired()), ..Self::unborn() };
        run.say(Message::Create(Box::new(creation(hired().pinned()))));
        run
    }

    /// The job's leg reports.
    pub fn finds(mut self, found: Fact) -> Self {
        self.report("film", Ok(fact(found)));
        self
    }

    /// The job's timer rings.
    pub fn rings(mut self) -> Self {
        let timer = self.effect("film");
        self.say(Message::JobDue { step: "film".to_owned(), timer });
        self
    }

    pub fn job(&self) -> &Job {
        match &self.state().steps["film"] {
            StepState::Started { job: Some(job), .. } => job,
            other => panic!("there is no job: {other:?}"),
        }
    }

    pub fn moment(&self) -> Moment {
        Moment { now: self.now, version: self.version + 1 }
    }

    pub fn say(&mut self, message: Message) -> Decision<State, Effect> {
        let decision = self.machine.apply(self.state.as_ref(), message, self.moment()).unwrap();
        self.version += 1;
        self.now = self.now.plus_ms(1_000);
        if let Some(state) = &decision.state {
            self.state = Some(state.clone());
        }
        decision
    }

    pub fn state(&self) -> &State {
        self.state.as_ref().unwrap()
    }

    /// The number of the attempt of `step` that is under way.
    pub fn effect(&self, step: &str) -> EffectNo {
        match &self.state().steps[step] {
            StepState::Started { effect, .. } => *effect,
            other => panic!("{step} is not under way: {other:?}"),
        }
    }

    pub fn report(&mut self, step: &str, outcome: Result<Value, Failure>) -> Decision<State, Effect> {
        let effect = self.effect(step);
        self.say(Message::StepReported(Report { effect, outcome }))
    }

    pub fn done(mut self, step: &str) -> Self {
        self.report(step, Ok(json!({ "file": format!("{step}.bin") })));
        self
    }

    pub fn trips(mut self, step: &str) -> Self {
        self.report(step, Err(Failure::passing("busy", "The machine is busy.")));
        self
    }

    pub fn fails(mut self, step: &str) -> Self {
        self.report(step, Err(Failure::fatal("broken", "It cannot be done.")));
        self
    }

    pub fn wakes(mut self, step: &str, attempt: u32) -> Self {
        self.say(Message::RetryDue { step: step.to_owned(), attempt });
        self
    }

    pub fn cancelled(mut self) -> Self {
        self.say(cancel(None));
        self
    }
}

pub(super) fn cancel(input: Option<Address>) -> Message {
    Message::Cancel { reason: "Changed my mind.".to_owned(), input }
}

pub fn started(effects: &[Effect]) -> Vec<&StepCall> {
    effects
        .iter()
        .filter_map(|effect| match effect {
            Effect::StartStep { call, .. } => Some(call),
            _ => None,
        })
        .collect()
}

#[test]
fn a_birth_starts_every_step_without_needs_with_its_settings() {
    let mut run = Run::unborn();
    let decision = run.say(Message::Create(Box::new(creation(film().pinned()))));
    let calls = started(&decision.effects);
    assert_eq!(calls.len(), 1);
    assert_eq!((calls[0].task.as_str(), calls[0].step.as_str(), calls[0].attempt), ("order-1", "take", 1));
    assert_eq!(calls[0].timeout_ms, 60_000);
    assert_eq!(Value::Object(calls[0].with.clone()), json!({ "source": { "file": "pictures/1" } }));
    assert_eq!(run.effect("take"), EffectNo { version: 1, index: 0 });
    assert_eq!(run.state().status, Status::Pending);
}

#[test]
fn a_step_is_given_the_results_it_needs() {
    let mut run = Run::born();
    let decision = run.report("take", Ok(json!({ "file": "take.bin" })));
    let calls = started(&decision.effects);
    assert_eq!(calls.iter().map(|call| call.step.as_str()).collect::<Vec<_>>(), ["left", "right"]);
    assert_eq!(Value::Object(calls[0].with.clone()), json!({ "picture": "take.bin", "seconds": 5, "title": "for " }));
    assert_eq!((run.effect("left").index, run.effect("right").index), (0, 1));
}

#[test]
fn a_task_completes_with_the_result_of_its_result_step() {
    let run = Run::born().done("take").done("right").done("left").done("store");
    assert_eq!(run.state().status, Status::Completed);
    assert_eq!(run.state().result, Some(json!({ "file": "store.bin" })));
    assert!(run.state().completed_at.is_some());
    assert!(TaskMachine::is_final(run.state()));
}

#[test]
fn a_step_whose_condition_does_not_hold_is_skipped_and_those_that_need_it_go_on() {
    for (style, runs, skipped) in
        [(None, "poster", "sepia"), (Some("poster"), "poster", "sepia"), (Some("sepia"), "sepia", "poster")]
    {
        let mut run = Run::of_album(style);
        assert_eq!(run.state().steps[skipped], StepState::Skipped);
        let decision = run.report("take", Ok(json!({ "file": "take.bin" })));
        assert_eq!(started(&decision.effects).iter().map(|call| call.step.as_str()).collect::<Vec<_>>(), [runs]);
        let decision = run.report(runs, Ok(json!({ "file": format!("{runs}.bin") })));
        let calls = started(&decision.effects);
        assert_eq!(calls[0].step, "frame");
        assert_eq!(calls[0].with["picture"], format!("{runs}.bin"), "what is skipped has no result");
        assert_eq!(calls[0].with.contains_key("poster"), runs == "poster", "a setting without a value is left out");
        let keep = format!("keep_{runs}");
        let run = run.done("frame").done(&keep);
        assert_eq!(run.state().status, Status::Completed);
        assert_eq!(run.state().result, Some(json!({ "file": format!("{keep}.bin") })));
    }
}

#[test]
fn a_task_that_needs_none_of_its_steps_is_completed_at_its_birth() {
    let source = "name = \"w\"\ndescription = \"d\"\nproduces = \"nothing\"\n[parameters.loud]\nkind = \"flag\"\n\
                  [[steps]]\nname = \"shout\"\nactivity = \"noop\"\nwhen = { parameter = \"loud\", is = true }\n";
    let shout = Definition::parse("w.toml", source).unwrap();
    let mut run = Run { machine: machine_of(shout.clone()), ..Run::unborn() };
    let decision = run.say(Message::Create(Box::new(creation(shout.pinned()))));
    assert_eq!((decision.effects.len(), run.state().status), (0, Status::Completed));
    assert_eq!(run.state().completed_at, Some(run.state().created_at));
}

#[test]
fn what_several_steps_publish_is_the_result_together() {
    let both = FILM.replace("needs = [\"left\", \"right\"]", "needs = [\"left\"]")
        + "[[steps]]\nname = \"cover\"\nactivity = \"store\"\nneeds = [\"right\"]\n\
           with = { file = \"{steps.right.file}\", kind = \"image\" }\n";
    let both = Definition::parse("film.toml", &both).unwrap();
    let mut run = Run { machine: machine_of(both.clone()), ..Run::unborn() };
    run.say(Message::Create(Box::new(creation(both.pinned()))));
    let run = run.done("take").done("right").done("cover").done("left").done("store");
    assert_eq!(run.state().result, Some(json!([{ "file": "store.bin" }, { "file": "cover.bin" }])));
}

#[test]
fn a_step_waits_for_a_permit_of_its_key_and_all_of_them_by_priority() {
    let turn = |decision: &Decision<State, Effect>| match &decision.effects[..] {
        [Effect::StartStep { turn, .. }] => turn.clone(),
        other => panic!("{other:?}"),
    };
    let mut run = Run::unborn();
    assert_eq!(turn(&run.say(Message::Create(Box::new(creation(film().pinned()))))), None, "there is nothing to say");
    let mut run = Run { machine: machine_of(album()), ..Run::unborn() };
    let mut create = creation(album().pinned());
    create.request.user_id = Some("ada".to_owned());
    let first = turn(&run.say(Message::Create(Box::new(create)))).unwrap();
    assert_eq!(first, Turn { permit: None, group: "ada".into(), priority: Priority::High });
    let poster = turn(&run.report("take", Ok(json!({ "file": 7 })))).unwrap();
    assert_eq!(poster.permit, Some(Permit { key: "7 of ada".into(), limit: 2 }));
    let owned = turn(&Run::of_album(None).report("take", Ok(json!({ "file": "x".repeat(300) })))).unwrap();
    let key = owned.permit.unwrap().key;
    assert!(key.starts_with("sha256:") && key.len() == 71, "a long key is replaced by its digest: {key}");
    assert_eq!(&*owned.group, "key_1", "who is nobody's user stands for the owner");
}

#[test]
fn a_noop_task_is_two_transitions_and_a_short_state() {
    let noop = Definition::parse("noop.toml", BUNDLED[2].1).unwrap();
    let id = TaskId::new(uuid::Uuid::from_u128(1));
    let mut create = creation(noop.pinned());
    create.id = id;
    create.request.parameters.clear();
    let mut run = Run { machine: machine_of(noop), ..Run::unborn() };
    run.now = Timestamp(1_763_800_000_000);
    run.say(Message::Create(Box::new(create)));
    let born = serde_json::to_string(run.state()).unwrap();
    run.report("noop", Ok(Value::Null));
    assert_eq!((run.version, run.state().status), (2, Status::Completed));
    let completed = serde_json::to_string(run.state()).unwrap();
    assert!(born.len() < 450 && completed.len() < 450, "{born}\n{completed}");
    assert_eq!(serde_json::from_str::<State>(&completed).unwrap(), *run.state());
}

#[test]
fn a_passing_failure_rests_and_comes_back_as_the_next_attempt() {
    let mut run = Run::born();
    let before = run.now;
    let decision = run.report("take", Err(Failure::passing("busy", "The machine is busy.")));
    let [Effect::ArmRetry { due, step, attempt }] = &decision.effects[..] else { panic!("{decision:?}") };
    assert_eq!((step.as_str(), *attempt), ("take", 2));
    assert!((500..=1_000).contains(&due.since_ms(before)), "{due:?}");
    let decision = run.say(Message::RetryDue { step: "take".into(), attempt: 2 });
    assert_eq!(started(&decision.effects)[0].attempt, 2);
}

#[test]
fn the_last_attempt_that_fails_fails_the_task() {
    let run = Run::born().trips("take").wakes("take", 2).trips("take");
    assert_eq!(run.state().status, Status::Failed);
    let failure = run.state().failure.clone().unwrap();
    assert_eq!((failure.code.as_str(), failure.step.as_deref()), ("busy", Some("take")));
}

#[test]
fn a_failed_task_stops_what_runs_and_disarms_what_rests() {
    let mut run = Run::born().done("take").trips("right");
    let StepState::Resting { timer, .. } = run.state().steps["right"] else { panic!() };
    let decision = run.report("left", Err(Failure::fatal("broken", "It cannot be done.")));
    assert_eq!(decision.effects, [Effect::Disarm(timer)]);
    assert_eq!(run.state().steps["right"], StepState::Stopped);
    let mut run = Run::born().done("take");
    let right = run.effect("right");
    let decision = run.report("left", Err(Failure::fatal("broken", "It cannot be done.")));
    assert_eq!(decision.effects, [Effect::Stop(right)]);
}

#[test]
fn a_cancel_through_an_input_is_answered_to_it() {
    let id = InputId::new(uuid::Uuid::from_u128(7));
    let input::Message::Receive { concerns, deliver, asked_by, .. } =
        cancel_through(id, &TaskId::parse("order-1").unwrap(), "Changed my mind.", "key_1")
    else {
        panic!()
    };
    assert_eq!((concerns.as_str(), asked_by.as_str()), ("task/order-1", "key_1"));
    let mut run = Run::born();
    let decision = run.say(serde_json::from_str(&deliver).unwrap());
    let orders: Vec<Order> = decision.effects.into_iter().map(Into::into).collect();
    let answer = Order::Tell { to: input::address(id), message: r#"{"answered":{}}"#.into(), schema: 1 };
    assert_eq!(orders, [Order::Cancel { effect: EffectNo { version: 1, index: 0 } }, answer]);
    assert_eq!(run.state().failure.as_ref().unwrap().code, CANCELLED);
}

#[test]
fn a_cancel_of_a_completed_task_is_refused_with_the_reason() {
    let mut run = Run::born().done("take").done("right").done("left").done("store");
    let input = input::address(InputId::new(uuid::Uuid::from_u128(7)));
    let decision = run.say(cancel(Some(input.clone())));
    let reason = "task order-1 has completed already".to_owned();
    assert_eq!(decision.verdict, Verdict::Refused(reason.clone()));
    assert_eq!(decision.effects, [Effect::Answer { input, refused: Some(reason) }]);
    assert_eq!(decision.state, None);
}

#[test]
fn a_lost_definition_stops_no_cancel_and_no_late_message() {
    let mut run = Run::born().done("take");
    let left = run.effect("left");
    run.machine = TaskMachine::new(Arc::new(Library::default()));
    let report = Message::StepReported(Report { effect: left, outcome: Ok(Value::Null) });
    let broken = run.machine.apply(run.state.as_ref(), report.clone(), run.moment()).unwrap_err();
    let digest = film().digest().to_owned();
    assert_eq!(
        broken.to_string(),
        format!("task order-1 follows workflow `film` with digest {digest}, which is not loaded")
    );
    run.say(cancel(None));
    assert_eq!(run.state().status, Status::Cancelled);
    assert_eq!(run.say(report).verdict, Verdict::Ignored);
}

#[test]
fn a_birth_with_an_unknown_definition_is_broken() {
    let create = creation(Pinned { name: "film".into(), digest: "0".into() });
    let run = Run::unborn();
    let broken = run.machine.apply(None, Message::Create(Box::new(create)), run.moment()).unwrap_err();
    assert_eq!(broken.to_string(), "task order-1 follows workflow `film` with digest 0, which is not loaded");
}

#[test]
fn a_task_under_way_finishes_with_the_definition_it_began_with() {
    let run = Run::born();
    let changed = FILM.replace("timeout = \"2m\"", "timeout = \"3m\"");
    let changed = Definition::parse("film.toml", &changed).unwrap();
    let library = Library::new([changed.clone()]).unwrap().with_old([film()]);
    let mut run = Run { machine: TaskMachine::new(Arc::new(library)), ..run };
    let decision = run.report("take", Ok(json!({ "file": "take.bin" })));
    assert_eq!(started(&decision.effects)[0].timeout_ms, 120_000);
    assert_eq!(run.machine.library().current("film").unwrap().digest(), changed.digest());
}

#[test]
fn the_other_side_may_ask_for_a_longer_rest_but_not_for_ever() {
    let retry = Retry { attempts: 9, first_delay_ms: 1_000, max_delay_ms: 8_000, factor: 2 };
    let id = TaskId::parse("order-1").unwrap();
    let rest = |failed, asked| decide::rest_ms(&retry, &id, "left", failed, asked);
    assert!((10_000..=10_500).contains(&rest(1, Some(10_000))));
    assert!((500..=1_000).contains(&rest(1, Some(1))));
    assert!(rest(1, Some(u64::MAX)) <= decide::RETRY_AFTER_MS_MAX + 500);
    assert!((2_000..=4_000).contains(&rest(3, None)));
    assert!((4_000..=8_000).contains(&rest(900, None)));
}

#[test]
fn rests_are_spread_and_the_same_each_time() {
    let retry = Retry { attempts: 9, first_delay_ms: 1_000, max_delay_ms: 8_000, factor: 2 };
    let rest = |n: u32| decide::rest_ms(&retry, &TaskId::parse(&format!("task-{n}")).unwrap(), "left", 1, None);
    let rests: std::collections::BTreeSet<u64> = (0..100).map(rest).collect();
    assert!(rests.len() > 60, "{rests:?}");
    assert_eq!(rest(1), rest(1));
}

#[test]
fn progress_follows_the_weights_and_reaches_100_only_when_completed() {
    let live = |step: &str, fraction| BTreeMap::from([(step.to_owned(), fraction)]);
    let none = BTreeMap::new();
    let film = film();
    let of = |run: &Run, live: &BTreeMap<String, f64>| progress(run.state(), &film, live);
    assert_eq!(of(&Run::born(), &none), 0);
    assert_eq!(of(&Run::born(), &live("take", 0.5)), 5);
    let halfway = Run::born().done("take");
    assert_eq!(of(&halfway, &live("left", 0.5)), 40);
    assert_eq!(of(&halfway, &live("left", f64::NAN)), 10);
    assert_eq!(of(&halfway, &live("left", 7.0)), 70);
    assert_eq!(of(&halfway, &live("store", 1.0)), 10, "a step that has not begun has done nothing");
    let last = halfway.done("left").done("right");
    assert_eq!(of(&last, &live("store", 1.0)), 99);
    assert_eq!(of(&last.clone().cancelled(), &none), 90);
    assert_eq!(of(&last.done("store"), &none), 100);
}

#[test]
fn progress_counts_only_the_steps_that_are_needed() {
    let none = BTreeMap::new();
    let of = |run: &Run| progress(run.state(), &album(), &none);
    let poster = Run::of_album(None).done("take");
    assert_eq!(of(&poster), 19, "10 of 10 + 30 + 10 + 1");
    let sepia = Run::of_album(Some("sepia")).done("take");
    assert_eq!(of(&sepia), 10, "10 of 10 + 70 + 10 + 1");
    assert_eq!(of(&sepia.done("sepia").done("frame").done("keep_sepia")), 100);
}

#[test]
fn a_cancelled_task_shows_as_failed() {
    assert_eq!(documented_status(Run::born().state().status), "pending");
    assert_eq!(documented_status(Run::born().done("take").state().status), "running");
    assert_eq!(documented_status(Run::born().fails("take").state().status), "failed");
    assert_eq!(documented_status(Run::born().cancelled().state().status), "failed");
}

/// These texts are in databases: a change of one loses what is stored.
#[test]
fn durable_names_are_as_written_down() {
    use strum::IntoEnumIterator;
    assert_eq!(TaskMachine::KIND, "task");
    let statuses: Vec<&str> = Status::iter().map(Into::into).collect();
    assert_eq!(statuses, ["pending", "running", "completed", "failed", "cancelled"]);
    let types: Vec<&str> = TaskType::iter().map(Into::into).collect();
    assert_eq!(types, ["video_generation", "image_generation"]);
    let retry = Message::RetryDue { step: "take".into(), attempt: 2 };
    assert_eq!(serde_json::to_string(&retry).unwrap(), r#"{"retry_due":{"step":"take","attempt":2}}"#);
    assert_eq!(serde_json::to_string(&cancel(None)).unwrap(), r#"{"cancel":{"reason":"Changed my mind."}}"#);
    let due = Message::JobDue { step: "film".into(), timer: EffectNo { version: 1, index: 0 } };
    assert_eq!(serde_json::to_string(&due).unwrap(), r#"{"job_due":{"step":"film","timer":{"version":1,"index":0}}}"#);
    assert_eq!(
        serde_json::to_string(&called("film", 1)).unwrap(),
        r#"{"provider_called":{"step":"film","attempt":1,"id":"p1","input":"input/in_2"}}"#
    );
    let report = Message::StepReported(Report { effect: EffectNo { version: 1, index: 0 }, outcome: Ok(json!(1)) });
    let text = r#"{"step_reported":{"effect":{"version":1,"index":0},"outcome":{"Ok":1}}}"#;
    assert_eq!(serde_json::to_string(&report).unwrap(), text);
    let create = Message::Create(Box::new(creation(Pinned { name: "film".into(), digest: "d1".into() })));
    assert_eq!(
        serde_json::to_string(&create).unwrap(),
        concat!(
            r#"{"create":{"id":"order-1","request":{"type":"video_generation","template_code":"template_001","#,
            r#""owner":"key_1","parameters":{"imageUrl":{"file":"pictures/1"}}},"workflow":{"name":"film","digest":"d1"}}}"#
        )
    );
}

#[test]
fn the_stored_state_is_as_written_down() {
    let mut state = Run::born().done("take").trips("right").fails("left").state().clone();
    state.workflow.digest = "d1".into();
    assert_eq!(
        serde_json::to_string(&state).unwrap(),
        concat!(
            r#"{"id":"order-1","status":"failed","request":{"type":"video_generation","template_code":"template_001","#,
            r#""owner":"key_1","parameters":{"imageUrl":{"file":"pictures/1"}}},"workflow":{"name":"film","digest":"d1"},"#,
            r#""steps":{"left":"failed","right":"stopped","take":{"done":{"result":{"file":"take.bin"}}}},"#,
            r#""failure":{"code":"broken","message":"It cannot be done.","step":"left"},"#,
            r#""created_at":1000000,"completed_at":1003000}"#
        )
    );
    let steps = serde_json::to_string(&Run::of_album(None).state().steps).unwrap();
    assert!(steps.contains(r#""sepia":"skipped""#), "{steps}");
    let under_way = Run::born().done("take").trips("right");
    assert_eq!(
        serde_json::to_string(&under_way.state().steps).unwrap(),
        concat!(
            r#"{"left":{"started":{"effect":{"version":2,"index":0},"attempt":1}},"#,
            r#""right":{"resting":{"timer":{"version":3,"index":0},"attempt":2,"#,
            r#""failure":{"code":"busy","message":"The machine is busy.","retryable":true}}},"#,
            r#""take":{"done":{"result":{"file":"take.bin"}}}}"#
        )
    );
}
