//! A step that is a job at a provider: what [`Job`] decides becomes orders of the task.

use serde_json::{Map, Value};

use super::decide::{Decided, Turn, definition_of, order, step_of};
use super::{Effect, State, StepState};
use crate::domain::ids::TaskId;
use crate::domain::job::{Job, JobId, Leg, Next, Token, Told};
use crate::domain::workflow::limits::TIMEOUT_MS_DEFAULT;
use crate::domain::workflow::{Activity, Library, Step, StepCall};
use crate::domain::{Address, Decision, EffectNo, Moment, Report};

/// What a provider calls about.
pub(super) struct Call<'a> {
    pub step: &'a str,
    pub attempt: u32,
    pub id: &'a JobId,
}

/// A job has rested long enough.
pub(super) fn due(library: &Library, state: &State, name: &str, rang: EffectNo, moment: Moment) -> Decided {
    let Some(StepState::Started { effect, attempt, job: Some(job) }) = state.steps.get(name) else {
        return Ok(Decision::ignored());
    };
    let Some(next) = job.due().filter(|_| *effect == rang) else { return Ok(Decision::ignored()) };
    let definition = definition_of(library, state)?;
    let step = step_of(definition, state, name)?;
    let mut turn = Turn { definition, moment, state: state.clone(), effects: Vec::new() };
    turn.go_on(step, *attempt, *effect, next);
    Ok(turn.decided())
}

/// A provider called. What it says of another attempt, or of a step that has ended, does not matter any more.
pub(super) fn called(library: &Library, state: &State, call: &Call<'_>, input: Address, moment: Moment) -> Decided {
    let answer = Effect::Answer { input, refused: None };
    let Some(StepState::Started { effect, attempt, job: Some(job) }) = state.steps.get(call.step) else {
        return Ok(Decision::ignored().and([answer]));
    };
    if *attempt != call.attempt {
        return Ok(Decision::ignored().and([answer]));
    }
    let definition = definition_of(library, state)?;
    let step = step_of(definition, state, call.step)?;
    let mut turn = Turn { definition, moment, state: state.clone(), effects: Vec::new() };
    let next = job.called(call.id);
    if !matches!(next, Next::Keep(_)) {
        order(&mut turn.effects, moment, give_up(job, *effect));
    }
    turn.go_on(step, *attempt, *effect, next);
    Ok(turn.decided().and([answer]))
}

/// Stops what is under way for a job that nobody wants any more, and has it cancelled at the provider. Whether the
/// provider has it need not be known: whoever cancels finds out.
pub(super) fn stop(
    task: &TaskId,
    (step, attempt): (&str, u32),
    job: &Job,
    effect: EffectNo,
    moment: Moment,
    effects: &mut Vec<Effect>,
) {
    order(effects, moment, give_up(job, effect));
    order(effects, moment, plain(cancel(task, (step, attempt), job, job.id().cloned())));
}

fn give_up(job: &Job, effect: EffectNo) -> Effect {
    if job.rests() { Effect::Disarm(effect) } else { Effect::Stop(effect) }
}

/// A call that takes no turn. Only the first submit does: what follows is about work that the provider has already.
fn plain(call: StepCall) -> Effect {
    Effect::StartStep { call, turn: None }
}

/// The order that cancels a job: it needs no definition.
fn cancel(task: &TaskId, (step, attempt): (&str, u32), job: &Job, id: Option<JobId>) -> StepCall {
    StepCall {
        task: task.to_string(),
        step: step.to_owned(),
        attempt,
        activity: Activity::Provider,
        timeout_ms: TIMEOUT_MS_DEFAULT,
        with: Map::new(),
        job: Some(job.call(Leg::Cancel { id })),
    }
}

impl Turn<'_> {
    /// Starts an attempt: the token and the time of the first send are written before anything is sent.
    pub(super) fn submit_job(&mut self, step: &Step, attempt: u32) {
        let filled = self.call(step, attempt);
        let provider = filled.with.get("provider").and_then(Value::as_str).unwrap_or_default().to_owned();
        let token = Token::of(self.state.id.as_str(), self.state.created_at, &step.name, attempt);
        let (job, leg) = Job::submit(provider, token, self.moment.now);
        let call = StepCall { job: Some(job.call(leg)), ..filled };
        let turn = self.turn(step);
        let effect = order(&mut self.effects, self.moment, Effect::StartStep { call, turn });
        self.under_way(step, attempt, effect, job);
    }

    /// A call of the job has ended.
    pub(super) fn job_told(&mut self, step: &Step, attempt: u32, job: &Job, report: Report) {
        let deadline = job.first_sent_at.plus_ms(i64::try_from(step.timeout_ms).unwrap_or(i64::MAX));
        let next = job.told(Told::of(report.outcome), self.moment.now, deadline);
        if let Next::Failed(_, Some(id)) = &next {
            let cancel = cancel(&self.state.id, (&step.name, attempt), job, Some(id.clone()));
            order(&mut self.effects, self.moment, plain(cancel));
        }
        self.go_on(step, attempt, report.effect, next);
    }

    /// Carries out what follows; `outstanding` is what is under way and stays so when nothing new is ordered.
    fn go_on(&mut self, step: &Step, attempt: u32, outstanding: EffectNo, next: Next) {
        match next {
            Next::Run(job, leg) => {
                let submits = leg == Leg::Submit;
                let call = StepCall { job: Some(job.call(leg)), ..self.call(step, attempt) };
                // Only a submit needs to be told what to make.
                let call = if submits { call } else { StepCall { with: Map::new(), ..call } };
                let effect = order(&mut self.effects, self.moment, plain(call));
                self.under_way(step, attempt, effect, job);
            }
            Next::Rest(job, due) => {
                let index = u32::try_from(self.effects.len()).expect("a decision orders a few effects");
                let arm = Effect::ArmJob { due, step: step.name.clone(), timer: self.moment.effect(index) };
                let timer = order(&mut self.effects, self.moment, arm);
                self.under_way(step, attempt, timer, job);
            }
            Next::Keep(job) => self.under_way(step, attempt, outstanding, job),
            Next::Done(result) => self.step_done(step, result),
            Next::Failed(failure, _) => self.attempt_failed(step, attempt, failure),
        }
    }

    fn under_way(&mut self, step: &Step, attempt: u32, effect: EffectNo, job: Job) {
        let started = StepState::Started { effect, attempt, job: Some(Box::new(job)) };
        self.state.steps.insert(step.name.clone(), started);
    }
}
