//! The rules of a task, one function for each message.

use std::collections::{BTreeMap, BTreeSet};

use serde_json::Value;
use sha2::{Digest, Sha256};

use super::{CANCELLED, Create, Effect, State, Status, StepState, TaskFailure, job};
use crate::domain::ids::TaskId;
use crate::domain::payment::TaskEnd;
use crate::domain::workflow::{Activity, Definition, Library, Retry, Step, StepCall};
use crate::domain::{self, Address, Broken, Decision, EffectNo, Failure, Moment, Report};

/// The longest rest that the other side of an activity can ask for: a day, in milliseconds.
pub(super) const RETRY_AFTER_MS_MAX: u64 = 86_400_000;

pub(super) type Decided = Result<Decision<State, Effect>, Broken>;

/// A decision being made: the state as it will be, and the orders so far.
pub(super) struct Turn<'a> {
    pub definition: &'a Definition,
    pub moment: Moment,
    pub state: State,
    pub effects: Vec<Effect>,
}

/// Adds an order and says which number it will have.
pub(super) fn order(effects: &mut Vec<Effect>, moment: Moment, effect: Effect) -> EffectNo {
    let index = u32::try_from(effects.len()).expect("a decision orders at most a few effects for each step");
    effects.push(effect);
    moment.effect(index)
}

pub(super) fn create(library: &Library, create: Create, moment: Moment) -> Decided {
    let Create { id, request, workflow } = create;
    let state = State {
        id,
        status: Status::Pending,
        request,
        workflow,
        steps: BTreeMap::new(),
        result: None,
        failure: None,
        created_at: moment.now,
        completed_at: None,
    };
    let mut turn = Turn { definition: definition_of(library, &state)?, moment, state, effects: Vec::new() };
    turn.skip();
    turn.start_ready();
    turn.end_if_over();
    Ok(turn.decided())
}

/// A second birth under the same id changes nothing; it is refused when it asks for something else.
pub(super) fn create_again(state: &State, create: &Create) -> Decision<State, Effect> {
    if state.request == create.request {
        return Decision::ignored();
    }
    Decision::refused(format!("task {} exists already, with another request", state.id))
}

pub(super) fn reported(library: &Library, state: &State, report: Report, moment: Moment) -> Decided {
    let outstanding = state.steps.iter().find_map(|(name, step)| match step {
        StepState::Started { effect, attempt, job } if *effect == report.effect => Some((name, *attempt, job)),
        StepState::Started { .. }
        | StepState::Resting { .. }
        | StepState::Skipped
        | StepState::Done { .. }
        | StepState::Failed
        | StepState::Stopped => None,
    });
    let Some((name, attempt, job)) = outstanding else { return Ok(Decision::ignored()) };
    let definition = definition_of(library, state)?;
    let step = step_of(definition, state, name)?;
    let mut turn = Turn { definition, moment, state: state.clone(), effects: Vec::new() };
    turn.state.status = Status::Running;
    match (job, report.outcome) {
        (Some(job), outcome) => turn.job_told(step, attempt, job, Report { outcome, ..report }),
        (None, Ok(result)) => turn.step_done(step, result),
        (None, Err(failure)) => turn.attempt_failed(step, attempt, failure),
    }
    Ok(turn.decided())
}

pub(super) fn retry_due(library: &Library, state: &State, name: &str, due: u32, moment: Moment) -> Decided {
    match state.steps.get(name) {
        Some(StepState::Resting { attempt, .. }) if *attempt == due => {
            let definition = definition_of(library, state)?;
            let step = step_of(definition, state, name)?;
            let mut turn = Turn { definition, moment, state: state.clone(), effects: Vec::new() };
            turn.start(step, due);
            Ok(turn.decided())
        }
        Some(
            StepState::Resting { .. }
            | StepState::Started { .. }
            | StepState::Skipped
            | StepState::Done { .. }
            | StepState::Failed
            | StepState::Stopped,
        )
        | None => Ok(Decision::ignored()),
    }
}

/// Cancelling needs no definition: a task whose definition is lost can still be stopped.
pub(super) fn cancel(state: &State, reason: String, input: Option<Address>, moment: Moment) -> Decision<State, Effect> {
    let answer = |refused| input.map(|input| Effect::Answer { input, refused });
    match state.status {
        Status::Pending | Status::Running => {
            let begun = has_begun_what_costs(state);
            let mut state = state.clone();
            let mut effects = Vec::new();
            stop_all(&mut state, moment, &mut effects);
            effects.extend(told(&state, TaskEnd::Cancelled { begun }));
            state.status = Status::Cancelled;
            state.failure = Some(TaskFailure { code: CANCELLED.to_owned(), message: reason, step: None });
            state.completed_at = Some(moment.now);
            Decision::applied(state, effects).and(answer(None))
        }
        Status::Cancelled => Decision::ignored().and(answer(None)),
        Status::Completed | Status::Failed => {
            let ended: &str = state.status.into();
            let refusal = format!("task {} has {ended} already", state.id);
            Decision::refused(refusal.clone()).and(answer(Some(refusal)))
        }
    }
}

impl Turn<'_> {
    pub(super) fn decided(self) -> Decision<State, Effect> {
        Decision::applied(self.state, self.effects)
    }

    /// What the request does not need is known from the start.
    fn skip(&mut self) {
        let skipped = self.definition.skipped(&self.state.request.parameters);
        let skipped = skipped.map(|step| (step.name.clone(), StepState::Skipped));
        self.state.steps = skipped.collect();
    }

    pub(super) fn step_done(&mut self, step: &Step, result: Value) {
        self.state.steps.insert(step.name.clone(), StepState::Done { result });
        self.start_ready();
        self.end_if_over();
    }

    fn end_if_over(&mut self) {
        let is_over = |step: &Step| self.state.steps.get(&step.name).is_some_and(StepState::is_over);
        if !self.definition.steps().iter().all(is_over) {
            return;
        }
        self.state.status = Status::Completed;
        self.effects.extend(told(&self.state, TaskEnd::Completed));
        self.state.completed_at = Some(self.moment.now);
        let results = self.definition.result_steps().iter().filter_map(|step| result_of(&self.state, step));
        let mut results: Vec<Value> = results.filter(|result| !result.is_null()).cloned().collect();
        self.state.result = if results.len() > 1 { Some(Value::Array(results)) } else { results.pop() };
    }

    pub(super) fn attempt_failed(&mut self, step: &Step, attempt: u32, failure: Failure) {
        if failure.retryable && attempt < step.retry.attempts {
            self.rest(step, attempt, failure);
        } else {
            self.fail(step, failure);
        }
    }

    fn rest(&mut self, step: &Step, failed: u32, failure: Failure) {
        let rest_ms = rest_ms(&step.retry, &self.state.id, &step.name, failed, failure.retry_after_ms);
        let due = self.moment.now.plus_ms(i64::try_from(rest_ms).unwrap_or(i64::MAX));
        let attempt = failed + 1;
        let arm = Effect::ArmRetry { due, step: step.name.clone(), attempt };
        let timer = order(&mut self.effects, self.moment, arm);
        self.state.steps.insert(step.name.clone(), StepState::Resting { timer, attempt, failure });
    }

    fn fail(&mut self, step: &Step, failure: Failure) {
        self.state.steps.insert(step.name.clone(), StepState::Failed);
        stop_all(&mut self.state, self.moment, &mut self.effects);
        self.effects.extend(told(&self.state, TaskEnd::Failed));
        let Failure { code, message, .. } = failure;
        self.state.failure = Some(TaskFailure { code, message, step: Some(step.name.clone()) });
        self.state.status = Status::Failed;
        self.state.completed_at = Some(self.moment.now);
    }

    /// Starts every step that has not begun and whose needs are over.
    fn start_ready(&mut self) {
        let definition = self.definition;
        let steps = || self.state.steps.iter();
        let begun: BTreeSet<&str> = steps().map(|(name, _)| name.as_str()).collect();
        let over: BTreeSet<&str> = steps().filter(|(_, step)| step.is_over()).map(|(name, _)| name.as_str()).collect();
        for step in definition.ready(&over, &begun) {
            self.start(step, 1);
        }
    }

    fn start(&mut self, step: &Step, attempt: u32) {
        if step.activity == Activity::Provider {
            return self.submit_job(step, attempt);
        }
        let call = self.call(step, attempt);
        let turn = self.turn(step);
        let effect = order(&mut self.effects, self.moment, Effect::StartStep { call, turn });
        self.state.steps.insert(step.name.clone(), StepState::Started { effect, attempt, job: None });
    }

    /// The order for an attempt, with everything the step is told.
    pub(super) fn call(&self, step: &Step, attempt: u32) -> StepCall {
        let state = &self.state;
        StepCall {
            task: state.id.to_string(),
            step: step.name.clone(),
            attempt,
            activity: step.activity,
            timeout_ms: step.timeout_ms,
            with: self.definition.fill(step, &state.request.parameters, |name| result_of(state, name)),
            job: None,
        }
    }

    /// How the step waits for room.
    pub(super) fn turn(&self, step: &Step) -> Option<domain::Turn> {
        let (state, request) = (&self.state, &self.state.request);
        self.definition.turn(step, &request.parameters, |name| result_of(state, name), request.user())
    }
}

/// The payment that the task was bought with hears how it ended.
fn told(state: &State, end: TaskEnd) -> Option<Effect> {
    state.request.payment.map(|payment| Effect::TellPayment { payment, end })
}

/// Whether a step has ended, or a job was ordered from a provider: what is stopped before costs nobody anything.
fn has_begun_what_costs(state: &State) -> bool {
    let hired = |step: &StepState| matches!(step, StepState::Started { job: Some(_), .. });
    state.status != Status::Pending || state.steps.values().any(hired)
}

/// Stops what runs and disarms what rests.
fn stop_all(state: &mut State, moment: Moment, effects: &mut Vec<Effect>) {
    for (name, step) in &mut state.steps {
        match step {
            StepState::Started { effect, attempt, job: Some(job) } => {
                job::stop(&state.id, (name, *attempt), job, *effect, moment, effects);
            }
            StepState::Started { effect, job: None, .. } => {
                order(effects, moment, Effect::Stop(*effect));
            }
            StepState::Resting { timer, .. } => {
                order(effects, moment, Effect::Disarm(*timer));
            }
            StepState::Skipped | StepState::Done { .. } | StepState::Failed | StepState::Stopped => continue,
        }
        *step = StepState::Stopped;
    }
}

fn result_of<'a>(state: &'a State, step: &str) -> Option<&'a Value> {
    match state.steps.get(step)? {
        StepState::Done { result } => Some(result),
        StepState::Started { .. }
        | StepState::Resting { .. }
        | StepState::Skipped
        | StepState::Failed
        | StepState::Stopped => None,
    }
}

pub(super) fn definition_of<'a>(library: &'a Library, state: &State) -> Result<&'a Definition, Broken> {
    let pinned = &state.workflow;
    library.by_digest(&pinned.digest).map(AsRef::as_ref).ok_or_else(|| {
        Broken(format!(
            "task {} follows workflow `{}` with digest {}, which is not loaded",
            state.id, pinned.name, pinned.digest
        ))
    })
}

pub(super) fn step_of<'a>(definition: &'a Definition, state: &State, name: &str) -> Result<&'a Step, Broken> {
    definition.step(name).ok_or_else(|| {
        let workflow = definition.name();
        Broken(format!("task {} has a step `{name}` that its workflow `{workflow}` does not have", state.id))
    })
}

/// How long a step rests after attempt number `failed`, in milliseconds: the upper half of its delay, spread by a
/// digest of who waits (so that a crowd that failed together does not come back together, and deciding again gives the
/// same), but not less than the other side asked for.
pub(super) fn rest_ms(retry: &Retry, task: &TaskId, step: &str, failed: u32, asked_ms: Option<u64>) -> u64 {
    let delay = retry.delay_ms(failed);
    let spread = delay / 2;
    let least = (delay - spread).max(asked_ms.unwrap_or(0).min(RETRY_AFTER_MS_MAX));
    let digest = Sha256::digest(format!("{task}/{step}/{failed}"));
    let mut bytes = [0; 8];
    bytes.copy_from_slice(&digest[..8]);
    least + u64::from_be_bytes(bytes) % (spread + 1)
}
