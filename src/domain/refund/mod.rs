//! A refund: it has its amount promised by the payment, then set aside in the receiver's account, sends it to the gateway
//! once, and settles with both when the gateway says how it ended. It alone coordinates the two: they never talk about it.
//! Where there is no gateway an operator says so; what is only marked was given back elsewhere
//! already and has succeeded as soon as it is promised.
//!
//! A refund whose answer is lost is *unknown*, never failed: the payment's refunds are listed and ours is looked for by
//! the id it carries. Only when it is not among them, and the gateway still remembers keys, is it sent again, under the
//! same key. Later than that the gateway is only asked, and a person is called.

mod decide;
mod faces;

#[cfg(test)]
mod properties;
#[cfg(test)]
mod table;

use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};

use super::ids::{InputId, PaymentId, RefundId};
use super::machine::json;
use super::money::Money;
use super::rail::{self, Call, GatewayRefund, Rail};
use super::{Address, Broken, Decision, EffectNo, Machine, Moment, Order, Report, Timestamp, account, input, payment};

/// Callers that wait for the same look at the gateway, at most; one more is told to ask again.
pub const ASKERS_MAX: usize = 32;

pub use faces::{Face, Shown};

/// Why money goes back, as Mixvideo's own API has it. The names are documented.
#[derive(
    Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, strum::EnumIter, strum::EnumString, strum::IntoStaticStr,
)]
#[serde(rename_all = "snake_case")]
#[strum(serialize_all = "snake_case")]
pub enum Reason {
    /// The customer asked for it.
    UserRequest,
    /// It did not work.
    TechnicalIssue,
    /// It was paid twice.
    Duplicate,
    /// It was not the owner of the card who paid.
    Fraudulent,
}

impl Reason {
    /// Its documented name.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        self.into()
    }
}

/// How far a refund is. The names are durable.
#[derive(
    Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, strum::EnumIter, strum::EnumString, strum::IntoStaticStr,
)]
#[serde(rename_all = "snake_case")]
#[strum(serialize_all = "snake_case")]
pub enum Status {
    /// It waits for the payment's promise.
    Requested,
    /// The payment promised it; it waits for the receiver's account to set the money aside.
    ReservingAccount,
    /// The account has not enough: it waits for the payment to take its promise back.
    Releasing,
    /// It is promised, and known not to be at the gateway.
    Reserved,
    /// It is on its way to the gateway, or there and not decided; or an operator is to say how it ended.
    Submitted,
    /// It was sent, and nobody knows whether it arrived.
    OutcomeUnknown,
    /// The money is on its way to the customer.
    Succeeded,
    /// Nothing went back.
    Failed,
    /// It gave way before it was sent.
    Cancelled,
    /// It had succeeded, and the money came back; payment and account are told.
    ReversalInitiated,
    /// One of them has it in its books.
    ReversalProcessing,
    /// Both have: the money can be refunded again.
    ReversalSucceeded,
}

impl Status {
    /// Whether nothing more is done about it by itself. It is not the last word: the gateway may still say otherwise.
    #[must_use]
    pub const fn is_settled(self) -> bool {
        match self {
            Self::Requested
            | Self::ReservingAccount
            | Self::Releasing
            | Self::Reserved
            | Self::Submitted
            | Self::OutcomeUnknown => false,
            Self::Succeeded
            | Self::Failed
            | Self::Cancelled
            | Self::ReversalInitiated
            | Self::ReversalProcessing
            | Self::ReversalSucceeded => true,
        }
    }
}

/// What is to be given back.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Request {
    /// Its id.
    pub id: RefundId,
    /// Of which payment.
    pub payment: PaymentId,
    /// How much, in minor units; `None` for all that is left.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub minor: Option<i64>,
    /// Why: the name of a [`Reason`] in Mixvideo's own API, the caller's words in the others; may be empty there.
    pub reason: String,
    /// What the caller wants to keep with it.
    #[serde(default, skip_serializing_if = "Map::is_empty")]
    pub metadata: Map<String, Value>,
    /// Who asks.
    pub asked_by: String,
    /// In which API.
    #[serde(default)]
    pub face: Face,
    /// The address that coins go to.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub refund_to: Option<String>,
    /// The caller's own number of it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub external_no: Option<String>,
    /// It was given back elsewhere already: no gateway is called, and it has succeeded once it is promised.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub marked: bool,
}

impl Request {
    /// All that is left of a payment, for one of the documented reasons.
    #[must_use]
    pub fn new(id: RefundId, payment: PaymentId, reason: Reason, asked_by: String) -> Self {
        Self {
            id,
            payment,
            minor: None,
            reason: reason.as_str().to_owned(),
            metadata: Map::new(),
            asked_by,
            face: Face::Mixvideo,
            refund_to: None,
            external_no: None,
            marked: false,
        }
    }
}

/// What a refund asks of the gateway.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, strum::IntoStaticStr)]
#[serde(rename_all = "snake_case")]
#[strum(serialize_all = "snake_case")]
pub enum What {
    /// Give the money back.
    Send,
    /// Which refunds there are.
    Ask,
}

/// Why it failed.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Failure {
    /// A stable code: the gateway's, or `reservation_refused`, `insufficient_funds`, `not_paid`, `reversed`.
    pub code: String,
    /// A sentence.
    pub message: String,
}

impl Failure {
    /// Whether it was refused before anything was sent: whoever asked can do otherwise.
    #[must_use]
    pub fn is_refusal(&self) -> bool {
        matches!(self.code.as_str(), decide::REFUSED | decide::INSUFFICIENT)
    }
}

/// Everything a refund knows.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct State {
    /// What is asked for.
    pub request: Request,
    /// How far it is.
    pub status: Status,
    /// What was promised.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub amount: Option<Money>,
    /// The gateway's id of what was paid.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub intent: Option<String>,
    /// What the payment travelled on.
    #[serde(default)]
    pub rail: Rail,
    /// The receiver whose account it is taken from; `None` for what was promised before there were accounts.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub account: Option<String>,
    /// The account holds its amount for it.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub held: bool,
    /// It is to give way as soon as it knows what it holds.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub yielding: bool,
    /// How many have yet to say that they have its reversal in their books.
    #[serde(default, skip_serializing_if = "is_zero")]
    pub unbooked: u8,
    /// The inputs that wait for the next word of the gateway.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub askers: Vec<Address>,
    /// When it was first ordered to be sent: it was not sent before.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub first_sent_at: Option<Timestamp>,
    /// Keys that are spent: it is sent under the next.
    #[serde(default)]
    pub spent: u32,
    /// A send went unanswered: it may have arrived, or still arrive, whatever becomes of the next.
    #[serde(default)]
    pub in_doubt: bool,
    /// The call that is under way.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub under_way: Option<(EffectNo, What)>,
    /// The timer of the next call.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub timer: Option<EffectNo>,
    /// Calls since it last got further: the next rest follows from them.
    #[serde(default)]
    pub tries: u32,
    /// The gateway's id of it; where there is none, the operator's reference.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub gateway_id: Option<String>,
    /// Why it failed.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub failure: Option<Failure>,
    /// What a person should look at.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub attention: Option<String>,
    /// When it was asked for.
    pub created_at: Timestamp,
    /// When it was settled last.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub ended_at: Option<Timestamp>,
}

impl State {
    /// Whether an operator is to give it back and say so: there is no gateway that could.
    #[must_use]
    pub fn waits_for_operator(&self) -> bool {
        self.status == Status::Submitted && !self.rail.has_gateway()
    }
}

/// What can be said to a refund. The tags are durable.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, strum::IntoStaticStr)]
#[serde(rename_all = "snake_case")]
#[strum(serialize_all = "snake_case")]
pub enum Message {
    /// The birth.
    Request(Box<Request>),
    /// The payment promises it.
    Reserved {
        /// How much.
        amount: Money,
        /// The gateway's id of what was paid; empty where there is no gateway.
        intent: String,
        /// What the payment travelled on.
        #[serde(default)]
        rail: Rail,
        /// Whose account it is to be taken from.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        receiver: Option<String>,
    },
    /// The payment does not.
    ReservationRefused {
        /// Why.
        reason: String,
    },
    /// The account has set its amount aside.
    AccountReserved,
    /// The account has not enough.
    AccountRefused {
        /// Why.
        reason: String,
    },
    /// The payment has taken its promise back.
    Released,
    /// The payment, or the account, has its reversal in its books.
    ReversalBooked,
    /// A call to the gateway has ended.
    GatewayReported(Report),
    /// It is time to call the gateway.
    Due {
        /// The timer that rings.
        timer: EffectNo,
    },
    /// Give the promise back unless something was sent.
    Yield,
    /// The gateway says how it stands.
    Seen {
        /// How.
        told: GatewayRefund,
    },
    /// Ask the gateway now, also about what has ended.
    Sync {
        /// The input that is told once the gateway has answered.
        input: Address,
    },
    /// An operator has given the money back, where there is no gateway that could.
    Paid {
        /// The input that brings it and wants to be told.
        input: Address,
        /// By which it is known elsewhere, such as a transaction's hash.
        reference: String,
    },
    /// An operator will not give the money back.
    NotPaid {
        /// The input that brings it and wants to be told.
        input: Address,
        /// Why.
        reason: String,
    },
}

/// What a refund orders.
#[derive(Clone, Debug, PartialEq)]
pub enum Effect {
    /// Call the gateway.
    Call(Call),
    /// Wake the refund.
    Arm {
        /// Not before this time.
        due: Timestamp,
        /// The number of this order.
        timer: EffectNo,
    },
    /// Forget a timer.
    Disarm(EffectNo),
    /// Tell the payment something.
    TellPayment {
        /// The payment.
        payment: PaymentId,
        /// What.
        message: payment::Message,
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
            Effect::TellPayment { payment, message } => {
                Self::tell::<payment::PaymentMachine>(payment::address(payment), &message)
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
const fn is_zero(count: &u8) -> bool {
    *count == 0
}

/// The address of a refund.
#[must_use]
pub fn address(id: RefundId) -> Address {
    Address::new(RefundMachine::KIND, &id.to_string())
}

/// The birth of the input `id` through which `asked_by` has the gateway asked about a refund.
#[must_use]
pub fn sync_through(id: InputId, refund: RefundId, asked_by: &str) -> input::Message {
    through(id, refund, asked_by, |input| Message::Sync { input })
}

/// The birth of the input `id` through which `asked_by` says that a refund was paid elsewhere, under `reference`.
#[must_use]
pub fn paid_through(id: InputId, refund: RefundId, asked_by: &str, reference: String) -> input::Message {
    through(id, refund, asked_by, |input| Message::Paid { input, reference })
}

/// The birth of the input `id` through which `asked_by` says that a refund will not be paid.
#[must_use]
pub fn not_paid_through(id: InputId, refund: RefundId, asked_by: &str, reason: String) -> input::Message {
    through(id, refund, asked_by, |input| Message::NotPaid { input, reason })
}

fn through(id: InputId, refund: RefundId, by: &str, message: impl FnOnce(Address) -> Message) -> input::Message {
    input::receive::<RefundMachine>(address(refund), &message(input::address(id)), by)
}

/// The machine of refunds.
#[derive(Clone, Copy, Debug, Default)]
pub struct RefundMachine;

impl Machine for RefundMachine {
    const KIND: &'static str = "refund";
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
            (None, Message::Request(request)) => Ok(decide::born(*request, moment)),
            (None, other) => {
                let tag: &str = (&other).into();
                Err(Broken(format!("`{tag}` reached a refund that was never requested")))
            }
            (Some(state), message) => Ok(decide::decide(state, message, moment)),
        }
    }

    fn is_birth(message: &Message) -> bool {
        matches!(message, Message::Request(_))
    }

    fn reported(report: Report) -> Message {
        Message::GatewayReported(report)
    }

    fn status(state: &State) -> &'static str {
        state.status.into()
    }

    fn is_final(state: &State) -> bool {
        state.status.is_settled() && state.under_way.is_none() && state.unbooked == 0
    }
}
