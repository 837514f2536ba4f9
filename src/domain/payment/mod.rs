//! A payment: what a customer pays for one execution of a template.
//!
//! It opens a session at the gateway, learns from it whether money came, starts the execution exactly once, and keeps
//! count of what is promised and given back. What a caller or a browser says about money is never believed: the gateway
//! is asked. What the gateway says is a fact: it is never refused, whenever it comes and however often.
//!
//! One call to the gateway is under way at a time. Whatever arrives meanwhile makes it look once more.

mod amounts;
mod decide;
mod execution;
mod held;
mod money_back;
mod session;

#[cfg(test)]
mod properties;
#[cfg(test)]
mod table;
#[cfg(test)]
mod tests;

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use super::ids::{AttemptId, ExecutionId, InputId, InvoiceId, PaymentId, RefundId, TaskId};
use super::machine::json;
use super::money::Money;
use super::rail::{self, Call, Dispute, DisputeStanding, Rail, Session};
use super::task::{self, Create};
use super::{Address, Broken, Decision, EffectNo, Machine, Moment, Order, Report, Timestamp, account, input, refund};

pub use amounts::Amounts;

/// Callers that wait for the same look at the gateway, at most; one more is told to ask again.
pub const ASKERS_MAX: usize = 32;
/// The first schema of payments that tell their receiver's account what their money does.
pub const FIRST_BOOKED_SCHEMA: i64 = 2;
/// Sentences for a person that are kept, at most: the first ones say what went wrong.
pub const ATTENTION_MAX: usize = 8;

/// How far a payment is. The names are durable.
#[derive(
    Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, strum::EnumIter, strum::EnumString, strum::IntoStaticStr,
)]
#[serde(rename_all = "snake_case")]
#[strum(serialize_all = "snake_case")]
pub enum Status {
    /// Its session is being opened.
    Created,
    /// The payer can pay.
    AwaitingPayer,
    /// Money came, but not what was asked for: a person decides.
    Held,
    /// It is paid, or costs nothing.
    Completed,
    /// The gateway refused it.
    Failed,
    /// It was cancelled before money came.
    Cancelled,
    /// Nobody paid in time.
    Expired,
}

impl Status {
    /// Whether it still waits for money.
    #[must_use]
    pub const fn is_pending(self) -> bool {
        match self {
            Self::Created | Self::AwaitingPayer => true,
            Self::Held | Self::Completed | Self::Failed | Self::Cancelled | Self::Expired => false,
        }
    }
}

/// What is bought, by whom and at which price: fixed at the birth.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Checkout {
    /// Its id; the invoice and the attempt share its digits.
    pub id: PaymentId,
    /// The template's name, as the payer reads it.
    pub name: String,
    /// What it costs.
    pub price: Money,
    /// Who is paid.
    pub receiver: String,
    /// What it travels on.
    #[serde(default)]
    pub rail: Rail,
    /// What is executed once it is paid: the task's id is chosen here.
    pub execution: Box<Create>,
    /// Where the payer goes after paying.
    pub success_url: String,
    /// Where the payer goes instead.
    pub cancel_url: String,
    /// For how long it can be paid, in milliseconds.
    pub open_ms: i64,
}

/// What was paid elsewhere, as an operator says it: it pays for no execution.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Receipt {
    /// Its id.
    pub id: PaymentId,
    /// What came: more than nothing.
    pub paid: Money,
    /// Who was paid.
    pub receiver: String,
    /// By which it is known elsewhere, such as a transaction's hash.
    pub reference: String,
    /// Who may see it.
    pub owner: String,
    /// The customer; empty when nobody said.
    #[serde(default)]
    pub user_id: String,
}

/// The session in which it is paid.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct KnownSession {
    /// The gateway's id of it.
    pub id: String,
    /// Where the payer pays.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub url: Option<String>,
}

/// A call to the gateway that has not come back.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct UnderWay {
    /// The effect that carries it.
    pub effect: EffectNo,
    /// What it asks for.
    pub what: What,
    /// Something happened since it was ordered: one more look follows at once.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub again: bool,
}

/// What a payment asks of the gateway.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, strum::EnumIter, strum::IntoStaticStr)]
#[serde(rename_all = "snake_case")]
#[strum(serialize_all = "snake_case")]
pub enum What {
    /// Open the session.
    Open,
    /// How the session stands.
    Look,
    /// Close the session.
    Expire,
    /// All refunds.
    Refunds,
}

/// How the execution stands, as far as the payment was told.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, strum::EnumIter, strum::IntoStaticStr)]
#[serde(rename_all = "snake_case")]
#[strum(serialize_all = "snake_case")]
pub enum Standing {
    /// It has not begun, and may never.
    #[default]
    Unstarted,
    /// It was started.
    Started,
    /// It is being stopped because the money went back.
    Stopping,
    /// It is done.
    Completed,
    /// It failed for good.
    Failed,
    /// It was stopped.
    Cancelled,
}

/// Everything a payment knows.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct State {
    /// Its id.
    pub id: PaymentId,
    /// How far it is.
    pub status: Status,
    /// The template; empty for what was paid elsewhere.
    pub template_code: String,
    /// The template's name, as the payer reads it; empty for what was paid elsewhere.
    pub name: String,
    /// The customer; empty when nobody said.
    pub user_id: String,
    /// Who may see it.
    pub owner: String,
    /// Who is paid.
    pub receiver: String,
    /// What it travels on.
    #[serde(default)]
    pub rail: Rail,
    /// By which it is known elsewhere, on the manual rail.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub reference: Option<String>,
    /// What it costs.
    pub price: Money,
    /// What of it its receiver has withdrawn, in minor units; 0 until then.
    #[serde(default, skip_serializing_if = "is_zero")]
    pub withdrawn: i64,
    /// What came in and what became of it, in the price's currency.
    pub amounts: Amounts,
    /// Where the payer goes after paying, and instead.
    pub urls: (String, String),
    /// When nobody can pay any more.
    pub expires_at: Timestamp,
    /// Its session, once it is known.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub session: Option<KnownSession>,
    /// The gateway's id of what was paid.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub intent: Option<String>,
    /// The call that is under way.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub under_way: Option<UnderWay>,
    /// The timer of the next call.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub timer: Option<EffectNo>,
    /// Keys that are spent: the session is opened under the next.
    #[serde(default)]
    pub spent: u32,
    /// Calls in a row that told nothing: the next rest follows from them.
    #[serde(default)]
    pub tries: u32,
    /// Looks at the session so far: the next rest follows from them.
    #[serde(default)]
    pub looks: u32,
    /// When the gateway last said how it stands.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub looked_at: Option<Timestamp>,
    /// Somebody asked for it to be cancelled.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub cancelling: bool,
    /// Refunds moved at the gateway and were not looked at since.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub refunds_moved: bool,
    /// The inputs that wait for the next look.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub askers: Vec<Address>,
    /// What is promised to our refunds, in minor units.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub reservations: BTreeMap<RefundId, i64>,
    /// What our refunds gave back, in minor units.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub refunds: BTreeMap<RefundId, i64>,
    /// The latest word of each refund of ours that had one: what is older comes too late.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub heard: BTreeMap<RefundId, u64>,
    /// What the receiver's account was told.
    #[serde(default)]
    pub told: account::Moved,
    /// The account has what came in: promises count from then on.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub credited: bool,
    /// What went back through refunds that told the account themselves, in minor units.
    #[serde(default, skip_serializing_if = "is_zero")]
    pub told_by_refunds: i64,
    /// What others gave back, in minor units, by the gateway's id.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub imported: BTreeMap<String, i64>,
    /// Disputes, by the gateway's id.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub disputes: BTreeMap<String, Dispute>,
    /// The task that it pays for, chosen at the birth; `None` for what was paid elsewhere.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub task: Option<TaskId>,
    /// How that task stands.
    #[serde(default)]
    pub standing: Standing,
    /// The task's birth, until it is ordered.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub execution: Option<Box<Create>>,
    /// What a person should look at, a sentence each.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub attention: Vec<String>,
    /// Why the latest attempt to pay was declined.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub declined: Option<String>,
    /// Why it failed.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub failure: Option<String>,
    /// When it was born.
    pub created_at: Timestamp,
    /// When it stopped waiting for money.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub ended_at: Option<Timestamp>,
}

impl State {
    /// The execution it pays for, if any.
    #[must_use]
    pub fn execution_id(&self) -> Option<ExecutionId> {
        self.task.as_ref().map(ExecutionId::of_task)
    }

    /// Its invoice.
    #[must_use]
    pub const fn invoice_id(&self) -> InvoiceId {
        InvoiceId::new(self.id.uuid())
    }

    /// Its attempt.
    #[must_use]
    pub const fn attempt_id(&self) -> AttemptId {
        AttemptId::new(self.id.uuid())
    }

    /// Whether the execution was ordered.
    #[must_use]
    pub fn is_executed(&self) -> bool {
        self.standing != Standing::Unstarted
    }

    /// Whether its receiver has withdrawn what was left of it.
    #[must_use]
    pub const fn is_withdrawn(&self) -> bool {
        self.withdrawn > 0
    }

    /// What its money has done but for our refunds, which the account is told by themselves.
    #[must_use]
    pub fn moved(&self) -> account::Moved {
        let lost = self.disputes.values().filter(|dispute| dispute.standing == DisputeStanding::Lost);
        account::Moved {
            captured: self.amounts.captured,
            refunded: self.amounts.refunded.saturating_sub(self.told_by_refunds),
            disputed: self.amounts.disputed,
            lost: lost.map(|dispute| dispute.amount.minor.max(0)).fold(0, i64::saturating_add),
            over: self.amounts.over,
            withdrawn: self.withdrawn,
        }
    }

    /// Whether a dispute holds money back right now.
    #[must_use]
    pub fn is_disputed(&self) -> bool {
        self.disputes.values().any(|dispute| dispute.standing == DisputeStanding::Open)
    }
}

/// The status by its documented name.
#[must_use]
pub const fn documented_status(status: Status, amounts: &Amounts) -> &'static str {
    match status {
        _ if amounts.is_refunded() => "refunded",
        Status::Created | Status::AwaitingPayer | Status::Held => "pending",
        Status::Completed => "completed",
        Status::Failed => "failed",
        Status::Cancelled | Status::Expired => "cancelled",
    }
}

/// What a gateway told by itself. The tags are durable.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum News {
    /// How a session stands.
    Session(Session),
    /// An attempt to pay was declined; the payer may try again.
    Declined {
        /// Why, for the payer.
        reason: String,
    },
    /// Money that was on its way does not come, and the session takes no other.
    NotPaid {
        /// Why, for the payer.
        reason: String,
    },
    /// A refund was made or changed: the list of refunds says how all of them stand.
    RefundsMoved {
        /// The gateway's id of what was paid.
        intent: String,
    },
    /// How a dispute stands.
    Dispute(Dispute),
}

/// How a task ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum TaskEnd {
    /// It is done.
    Completed,
    /// It failed for good.
    Failed,
    /// It was stopped.
    Cancelled {
        /// Something of it that costs money had begun.
        begun: bool,
    },
}

/// What a person decides about money that is held. The names are durable.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Resolution {
    /// It is enough: execute.
    Execute,
    /// It goes back, and nothing is executed.
    GiveBack,
}

/// What can be said to a payment. The tags are durable.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, strum::IntoStaticStr)]
#[serde(rename_all = "snake_case")]
#[strum(serialize_all = "snake_case")]
pub enum Message {
    /// The birth of what is to be paid.
    Checkout(Box<Checkout>),
    /// The birth of what was paid elsewhere.
    ReceivedElsewhere(Box<Receipt>),
    /// A call to the gateway has ended.
    GatewayReported(Report),
    /// It is time to ask the gateway.
    Due {
        /// The timer that rings.
        timer: EffectNo,
    },
    /// The gateway told something.
    Told {
        /// What.
        news: News,
        /// The input that brings it and wants to be told.
        input: Address,
    },
    /// Ask the gateway now.
    Sync {
        /// The input that is told once the gateway has answered.
        input: Address,
    },
    /// Let nobody pay any more.
    Cancel {
        /// The input that is told once the gateway has answered.
        input: Address,
    },
    /// Its receiver has withdrawn what is left of it.
    Withdraw {
        /// The input that brings it and wants to be told.
        input: Address,
    },
    /// A person has looked at what was flagged.
    Acknowledge {
        /// The input that brings it and wants to be told.
        input: Address,
    },
    /// A person has decided about the money that is held.
    Resolve {
        /// What.
        how: Resolution,
        /// The input that brings it and wants to be told.
        input: Address,
    },
    /// Promise money to a refund.
    ReserveRefund {
        /// The refund.
        refund: RefundId,
        /// How much, in minor units; `None` for all that is left.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        minor: Option<i64>,
        /// It was given back elsewhere already: the gateway is not called.
        #[serde(default, skip_serializing_if = "std::ops::Not::not")]
        marked: bool,
    },
    /// A refund gave its money back to the customer.
    RefundSucceeded {
        /// The refund.
        refund: RefundId,
        /// How much, in minor units.
        minor: i64,
        /// The version of the refund that says so.
        #[serde(default)]
        as_of: u64,
        /// The refund tells the account itself.
        #[serde(default)]
        booked: bool,
    },
    /// A refund will not give anything back: what it was promised is free.
    RefundReleased {
        /// The refund, which is told.
        refund: RefundId,
        /// The version of the refund that says so.
        #[serde(default)]
        as_of: u64,
    },
    /// A refund that had succeeded failed after all: the money came back.
    RefundReversed {
        /// The refund, which is told.
        refund: RefundId,
        /// The version of the refund that says so.
        #[serde(default)]
        as_of: u64,
        /// The refund tells the account itself.
        #[serde(default)]
        booked: bool,
    },
    /// The account has what came in.
    Credited,
    /// Tell the account what it was not told: payments that were made before there were accounts.
    Book {
        /// The input that brings it and wants to be told.
        input: Address,
    },
    /// The task it pays for has ended.
    TaskEnded {
        /// How.
        end: TaskEnd,
    },
}

/// What a payment orders.
#[derive(Clone, Debug, PartialEq)]
pub enum Effect {
    /// Call the gateway.
    Call(Call),
    /// Wake the payment.
    Arm {
        /// Not before this time.
        due: Timestamp,
        /// The number of this order.
        timer: EffectNo,
    },
    /// Forget a timer.
    Disarm(EffectNo),
    /// Start the execution: the birth of its task.
    Execute(Box<Create>),
    /// Stop the execution.
    StopExecution {
        /// The task.
        task: TaskId,
        /// Why, as the customer reads it.
        reason: String,
    },
    /// Give all that is left back: the birth of a refund.
    GiveBack(Box<refund::Request>),
    /// Tell a refund something.
    TellRefund {
        /// The refund.
        refund: RefundId,
        /// What.
        message: refund::Message,
    },
    /// Tell the receiver's account something.
    TellAccount {
        /// Whose account.
        receiver: String,
        /// What.
        message: account::Message,
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
            Effect::Call(call) => Self::Start { lane: rail::LANE, input: json(&call), turn: None },
            Effect::Arm { due, timer } => Self::Timer { due, message: json(&Message::Due { timer }) },
            Effect::Disarm(effect) => Self::Cancel { effect },
            Effect::Execute(create) => {
                Self::tell::<task::TaskMachine>(task::address(&create.id), &task::Message::Create(create))
            }
            Effect::StopExecution { task, reason } => {
                Self::tell::<task::TaskMachine>(task::address(&task), &task::Message::Cancel { reason, input: None })
            }
            Effect::GiveBack(request) => {
                Self::tell::<refund::RefundMachine>(refund::address(request.id), &refund::Message::Request(request))
            }
            Effect::TellRefund { refund, message } => {
                Self::tell::<refund::RefundMachine>(refund::address(refund), &message)
            }
            Effect::TellAccount { receiver, message } => {
                Self::tell::<account::AccountMachine>(account::address(&receiver), &message)
            }
            Effect::Answer { input, refused } => {
                Self::tell::<input::InputMachine>(input, &input::Message::Answered { refused })
            }
        }
    }
}

#[expect(clippy::trivially_copy_pass_by_ref, reason = "serde asks for a reference")]
const fn is_zero(minor: &i64) -> bool {
    *minor == 0
}

/// The address of a payment.
#[must_use]
pub fn address(id: PaymentId) -> Address {
    Address::new(PaymentMachine::KIND, &id.to_string())
}

/// The refund that a payment orders by itself when its execution fails: one at most, so it shares the payment's digits.
#[must_use]
pub const fn own_refund(id: PaymentId) -> RefundId {
    RefundId::new(id.uuid())
}

/// The birth of the input `id` through which `asked_by` has the gateway asked about a payment.
#[must_use]
pub fn sync_through(id: InputId, payment: PaymentId, asked_by: &str) -> input::Message {
    through(id, payment, asked_by, |input| Message::Sync { input })
}

/// The birth of the input `id` through which `asked_by` cancels a payment.
#[must_use]
pub fn cancel_through(id: InputId, payment: PaymentId, asked_by: &str) -> input::Message {
    through(id, payment, asked_by, |input| Message::Cancel { input })
}

/// The birth of the input `id` through which `asked_by` says that the receiver has withdrawn what is left of a payment.
#[must_use]
pub fn withdraw_through(id: InputId, payment: PaymentId, asked_by: &str) -> input::Message {
    through(id, payment, asked_by, |input| Message::Withdraw { input })
}

/// The birth of the input `id` through which `asked_by` has the account told of a payment that is older than it.
#[must_use]
pub fn book_through(id: InputId, payment: PaymentId, asked_by: &str) -> input::Message {
    through(id, payment, asked_by, |input| Message::Book { input })
}

/// The birth of the input `id` through which `asked_by` says that what was flagged is seen to.
#[must_use]
pub fn acknowledge_through(id: InputId, payment: PaymentId, asked_by: &str) -> input::Message {
    through(id, payment, asked_by, |input| Message::Acknowledge { input })
}

/// The birth of the input `id` through which `asked_by` decides about money that is held.
#[must_use]
pub fn resolve_through(id: InputId, payment: PaymentId, how: Resolution, asked_by: &str) -> input::Message {
    through(id, payment, asked_by, |input| Message::Resolve { how, input })
}

/// The birth of the input `id` through which `gateway` tells a payment its news.
#[must_use]
pub fn told_through(id: InputId, payment: PaymentId, gateway: &str, news: News) -> input::Message {
    through(id, payment, gateway, |input| Message::Told { news, input })
}

/// How often a payment may be looked at because somebody asks, in milliseconds.
pub const LOOK_EVERY_MS: i64 = 2_000;

fn through(id: InputId, payment: PaymentId, by: &str, message: impl FnOnce(Address) -> Message) -> input::Message {
    input::receive::<PaymentMachine>(address(payment), &message(input::address(id)), by)
}

/// The machine of payments.
#[derive(Clone, Copy, Debug, Default)]
pub struct PaymentMachine;

impl Machine for PaymentMachine {
    const KIND: &'static str = "payment";
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
            (None, Message::Checkout(checkout)) => decide::born(*checkout, moment),
            (None, Message::ReceivedElsewhere(receipt)) => decide::received(*receipt, moment),
            (None, other) => {
                let tag: &str = (&other).into();
                Err(Broken(format!("`{tag}` reached a payment that was never created")))
            }
            (Some(state), message) => decide::decide(state, message, moment),
        }
    }

    fn is_birth(message: &Message) -> bool {
        matches!(message, Message::Checkout(_) | Message::ReceivedElsewhere(_))
    }

    fn reported(report: Report) -> Message {
        Message::GatewayReported(report)
    }

    fn status(state: &State) -> &'static str {
        state.status.into()
    }

    fn is_final(state: &State) -> bool {
        let ended = matches!(state.standing, Standing::Completed | Standing::Failed | Standing::Cancelled)
            || !state.is_executed() && !state.status.is_pending();
        ended && state.under_way.is_none() && state.timer.is_none() && state.reservations.is_empty()
    }
}
