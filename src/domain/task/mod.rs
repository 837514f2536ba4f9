//! A task: one run of a workflow for one customer.
//!
//! It starts each step when what the step needs is done, tries again what may pass, and ends as completed, failed or
//! cancelled. It never does a step's work itself and never learns how the work is done.
//!
//! The state is written at every transition, so it is kept short: what is empty is left out, and what can be derived
//! (the execution's id, the progress) is not in it.

mod decide;
mod job;
mod view;

#[cfg(test)]
mod job_tests;
#[cfg(test)]
mod properties;
#[cfg(test)]
mod table;
#[cfg(test)]
mod tests;

use std::collections::BTreeMap;
use std::sync::Arc;

use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};

use super::ids::{ExecutionId, InputId, PaymentId, TaskId};
use super::job::{Job, JobId};
use super::machine::json;
use super::payment::{self, TaskEnd};
use super::workflow::{Library, Pinned, StepCall};
use super::{Address, Broken, Decision, EffectNo, Failure, Machine, Moment, Order, Report, Timestamp, Turn, input};

use job::Call;
pub use view::{documented_status, progress};

/// The code of the failure that a cancelled task shows.
pub const CANCELLED: &str = "cancelled";

/// What a customer asked for. The names are durable, and documented.
#[derive(
    Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, strum::EnumIter, strum::EnumString, strum::IntoStaticStr,
)]
#[serde(rename_all = "snake_case")]
#[strum(serialize_all = "snake_case")]
pub enum TaskType {
    /// A video.
    VideoGeneration,
    /// A picture.
    ImageGeneration,
}

/// The request that a task fulfils, checked before its birth.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Request {
    /// What is asked for.
    #[serde(rename = "type")]
    pub task_type: TaskType,
    /// The template it follows.
    pub template_code: String,
    /// Which revision of the template it began with; the parameters hold what it said.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub template_revision: Option<u64>,
    /// The customer, when one is known.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub user_id: Option<String>,
    /// Who may see and cancel it: the caller that the key or token stands for.
    pub owner: String,
    /// The payment that it was bought with, which is told how it ends.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub payment: Option<PaymentId>,
    /// The customer's parameters over the template's settings; keys the workflow does not know are kept.
    #[serde(default, skip_serializing_if = "Map::is_empty")]
    pub parameters: Map<String, Value>,
}

/// How far a task has come. The names are durable.
#[derive(
    Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, strum::EnumIter, strum::EnumString, strum::IntoStaticStr,
)]
#[serde(rename_all = "snake_case")]
#[strum(serialize_all = "snake_case")]
pub enum Status {
    /// Its first steps wait for their turn; none has reported.
    Pending,
    /// At least one step has reported.
    Running,
    /// Every step is done or skipped.
    Completed,
    /// A step failed for good.
    Failed,
    /// Somebody stopped it.
    Cancelled,
}

impl Status {
    /// Whether nothing can change any more.
    #[must_use]
    pub const fn is_final(self) -> bool {
        match self {
            Self::Pending | Self::Running => false,
            Self::Completed | Self::Failed | Self::Cancelled => true,
        }
    }
}

/// How far a step has come; a step that is not in the state has not begun. The tags are durable.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, strum::IntoStaticStr)]
#[serde(rename_all = "snake_case")]
#[strum(serialize_all = "snake_case")]
pub enum StepState {
    /// An attempt is under way, or waits for its turn in a lane.
    Started {
        /// The effect that runs it; its report settles it.
        effect: EffectNo,
        /// Which attempt, from 1.
        attempt: u32,
        /// Where its job at a provider stands, when it has one: `effect` is then the job's call or rest.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        job: Option<Box<Job>>,
    },
    /// The last attempt failed; a timer will start the next.
    Resting {
        /// The timer.
        timer: EffectNo,
        /// The attempt that the timer will start.
        attempt: u32,
        /// Why the last attempt failed.
        failure: Failure,
    },
    /// Its condition did not hold when the task was born: it never runs.
    Skipped,
    /// It is done.
    Done {
        /// What it gave; absent when that is nothing.
        #[serde(default, skip_serializing_if = "Value::is_null")]
        result: Value,
    },
    /// It failed for good; the task's failure says why.
    Failed,
    /// It was under way when the task failed or was cancelled.
    Stopped,
}

impl StepState {
    /// Whether steps that need it may go on.
    #[must_use]
    pub const fn is_over(&self) -> bool {
        match self {
            Self::Skipped | Self::Done { .. } => true,
            Self::Started { .. } | Self::Resting { .. } | Self::Failed | Self::Stopped => false,
        }
    }
}

/// Why a task did not complete, as its customer sees it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct TaskFailure {
    /// A stable code in snake case; [`CANCELLED`] when somebody stopped the task.
    pub code: String,
    /// A sentence for the customer.
    pub message: String,
    /// The step that failed; `None` for a cancelled task.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub step: Option<String>,
}

/// Everything a task knows.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct State {
    /// Its id.
    pub id: TaskId,
    /// How far it has come.
    pub status: Status,
    /// What was asked for.
    pub request: Request,
    /// The definition it began with and ends with.
    pub workflow: Pinned,
    /// The steps that have begun, by name.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub steps: BTreeMap<String, StepState>,
    /// What the workflow's result step gave, once completed; a list when several did.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub result: Option<Value>,
    /// Why it did not complete.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub failure: Option<TaskFailure>,
    /// When it was accepted.
    pub created_at: Timestamp,
    /// When it ended, however it did.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub completed_at: Option<Timestamp>,
}

impl Request {
    /// For whom the task runs: whoever waits with it for the same thing takes turns with others by this name.
    #[must_use]
    pub fn user(&self) -> &str {
        self.user_id.as_deref().unwrap_or(&self.owner)
    }
}

impl State {
    /// The id of this execution, derived from the task's.
    #[must_use]
    pub fn execution_id(&self) -> ExecutionId {
        ExecutionId::of_task(&self.id)
    }
}

/// What a task is born with.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Create {
    /// Its id, the key of its address.
    pub id: TaskId,
    /// What is asked for.
    pub request: Request,
    /// The definition to follow: named here and not looked up, so that deciding again gives the same.
    pub workflow: Pinned,
}

/// What can be said to a task. The tags are durable.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, strum::IntoStaticStr)]
#[serde(rename_all = "snake_case")]
#[strum(serialize_all = "snake_case")]
pub enum Message {
    /// The birth.
    Create(Box<Create>),
    /// A step's activity has ended.
    StepReported(Report),
    /// A step has rested long enough.
    RetryDue {
        /// The step.
        step: String,
        /// The attempt to start.
        attempt: u32,
    },
    /// A job at a provider has rested long enough.
    JobDue {
        /// The step.
        step: String,
        /// The timer that rings.
        timer: EffectNo,
    },
    /// A provider says that a job wants to be looked at.
    ProviderCalled {
        /// The step.
        step: String,
        /// The attempt that the job is of.
        attempt: u32,
        /// The job.
        id: JobId,
        /// The input that brings it and wants to be told.
        input: Address,
    },
    /// Stop.
    Cancel {
        /// Why, as the customer will see it.
        reason: String,
        /// The input that asks and wants to be told; `None` when nobody does.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        input: Option<Address>,
    },
}

/// What a task orders.
#[derive(Clone, Debug, PartialEq)]
pub enum Effect {
    /// Run an attempt of a step.
    StartStep {
        /// What is to be done.
        call: StepCall,
        /// How it waits for room, when there is more to say than its lane.
        turn: Option<Turn>,
    },
    /// Wake the task for the next attempt of a step.
    ArmRetry {
        /// Not before this time.
        due: Timestamp,
        /// The step.
        step: String,
        /// The attempt to start then.
        attempt: u32,
    },
    /// Wake the task for the next call of a job at a provider.
    ArmJob {
        /// Not before this time.
        due: Timestamp,
        /// The step.
        step: String,
        /// The number of this order.
        timer: EffectNo,
    },
    /// Stop a running attempt.
    Stop(EffectNo),
    /// Forget a timer.
    Disarm(EffectNo),
    /// Tell the payment how it ended.
    TellPayment {
        /// The payment.
        payment: PaymentId,
        /// How.
        end: TaskEnd,
    },
    /// Tell an input what became of its wish.
    Answer {
        /// The input.
        input: Address,
        /// Why it was refused; `None` when it was accepted.
        refused: Option<String>,
    },
}

impl From<Effect> for Order {
    fn from(effect: Effect) -> Self {
        match effect {
            Effect::StartStep { call, turn } => Self::Start { lane: call.activity.lane(), input: json(&call), turn },
            Effect::ArmRetry { due, step, attempt } => {
                Self::Timer { due, message: json(&Message::RetryDue { step, attempt }) }
            }
            Effect::ArmJob { due, step, timer } => Self::Timer { due, message: json(&Message::JobDue { step, timer }) },
            Effect::Stop(effect) | Effect::Disarm(effect) => Self::Cancel { effect },
            Effect::TellPayment { payment, end } => {
                Self::tell::<payment::PaymentMachine>(payment::address(payment), &payment::Message::TaskEnded { end })
            }
            Effect::Answer { input, refused } => {
                Self::tell::<input::InputMachine>(input, &input::Message::Answered { refused })
            }
        }
    }
}

/// The address of a task.
#[must_use]
pub fn address(id: &TaskId) -> Address {
    Address::new(TaskMachine::KIND, id.as_str())
}

/// The birth of the input `id` through which `asked_by` cancels `task`; the task answers that input.
#[must_use]
pub fn cancel_through(id: InputId, task: &TaskId, reason: impl Into<String>, asked_by: &str) -> input::Message {
    let cancel = Message::Cancel { reason: reason.into(), input: Some(input::address(id)) };
    input::receive::<TaskMachine>(address(task), &cancel, asked_by)
}

/// The birth of the input `id` through which `provider` says that the job `job` of an attempt wants to be looked at.
#[must_use]
pub fn call_through(
    id: InputId,
    task: &TaskId,
    (step, attempt): (&str, u32),
    job: JobId,
    provider: &str,
) -> input::Message {
    let call = Message::ProviderCalled { step: step.to_owned(), attempt, id: job, input: input::address(id) };
    input::receive::<TaskMachine>(address(task), &call, &format!("provider:{provider}"))
}

/// The machine of tasks.
#[derive(Clone, Debug)]
pub struct TaskMachine {
    library: Arc<Library>,
}

impl TaskMachine {
    /// The machine over the definitions that tasks may be pinned to.
    #[must_use]
    pub const fn new(library: Arc<Library>) -> Self {
        Self { library }
    }

    /// The definitions it knows.
    #[must_use]
    pub const fn library(&self) -> &Arc<Library> {
        &self.library
    }
}

impl Machine for TaskMachine {
    const KIND: &'static str = "task";
    // 2: steps that are skipped, and jobs at providers.
    const SCHEMA: u32 = 2;
    type State = State;
    type Message = Message;
    type Effect = Effect;

    fn apply(
        &self,
        state: Option<&State>,
        message: Message,
        moment: Moment,
    ) -> Result<Decision<State, Effect>, Broken> {
        match (state, message) {
            (None, Message::Create(create)) => decide::create(&self.library, *create, moment),
            (None, other) => {
                let tag: &str = (&other).into();
                Err(Broken(format!("`{tag}` reached a task that was never created")))
            }
            (Some(state), Message::Create(create)) => Ok(decide::create_again(state, &create)),
            (Some(state), Message::StepReported(report)) => decide::reported(&self.library, state, report, moment),
            (Some(state), Message::RetryDue { step, attempt }) => {
                decide::retry_due(&self.library, state, &step, attempt, moment)
            }
            (Some(state), Message::JobDue { step, timer }) => job::due(&self.library, state, &step, timer, moment),
            (Some(state), Message::ProviderCalled { step, attempt, id, input }) => {
                job::called(&self.library, state, &Call { step: &step, attempt, id: &id }, input, moment)
            }
            (Some(state), Message::Cancel { reason, input }) => Ok(decide::cancel(state, reason, input, moment)),
        }
    }

    fn is_birth(message: &Message) -> bool {
        matches!(message, Message::Create(_))
    }

    fn reported(report: Report) -> Message {
        Message::StepReported(report)
    }

    fn status(state: &State) -> &'static str {
        state.status.into()
    }

    fn is_final(state: &State) -> bool {
        state.status.is_final()
    }
}
