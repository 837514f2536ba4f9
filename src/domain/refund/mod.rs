//! A refund on the card rail: it has its amount promised by the payment, sends it to the gateway once, and settles with
//! the payment when the gateway says how it ended.
//!
//! A refund whose answer is lost is *unknown*, never failed: the payment's refunds are listed and ours is looked for by
//! the id it carries. Only when it is not among them, and the gateway still remembers keys, is it sent again, under the
//! same key. Later than that the gateway is only asked, and a person is called.

mod decide;

#[cfg(test)]
mod properties;
#[cfg(test)]
mod table;

use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};

use super::ids::{PaymentId, RefundId};
use super::money::Money;
use super::rail::{self, Call, GatewayRefund};
use super::{Address, Broken, Decision, EffectNo, Machine, Moment, Order, Report, Timestamp, payment};

/// Why money goes back. The names are documented.
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

/// How far a refund is. The names are durable.
#[derive(
    Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, strum::EnumIter, strum::EnumString, strum::IntoStaticStr,
)]
#[serde(rename_all = "snake_case")]
#[strum(serialize_all = "snake_case")]
pub enum Status {
    /// It waits for the payment's promise.
    Requested,
    /// It is promised, and known not to be at the gateway.
    Reserved,
    /// It is on its way to the gateway, or there and not decided.
    Submitted,
    /// It was sent, and nobody knows whether it arrived.
    OutcomeUnknown,
    /// The money is on its way to the customer.
    Succeeded,
    /// Nothing went back.
    Failed,
    /// It gave way before it was sent.
    Cancelled,
}

impl Status {
    /// Whether nothing more is done about it by itself. It is not the last word: the gateway may still say otherwise.
    #[must_use]
    pub const fn is_settled(self) -> bool {
        match self {
            Self::Requested | Self::Reserved | Self::Submitted | Self::OutcomeUnknown => false,
            Self::Succeeded | Self::Failed | Self::Cancelled => true,
        }
    }
}

/// The status by the name that Mixvideo's own API documents.
#[must_use]
pub const fn documented_status(status: Status) -> &'static str {
    match status {
        Status::Requested | Status::Reserved | Status::Submitted | Status::OutcomeUnknown => "pending",
        Status::Succeeded => "succeeded",
        Status::Failed => "failed",
        Status::Cancelled => "cancelled",
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
    /// Why.
    pub reason: Reason,
    /// What the caller wants to keep with it.
    #[serde(default, skip_serializing_if = "Map::is_empty")]
    pub metadata: Map<String, Value>,
    /// Who asks.
    pub asked_by: String,
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
    /// A stable code: the gateway's, or `reservation_refused`.
    pub code: String,
    /// A sentence.
    pub message: String,
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
    /// The gateway's id of it.
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
        /// The gateway's id of what was paid.
        intent: String,
    },
    /// The payment does not.
    ReservationRefused {
        /// Why.
        reason: String,
    },
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
}

impl From<Effect> for Order {
    fn from(effect: Effect) -> Self {
        match effect {
            Effect::Call(call) => Self::Start { lane: rail::LANE, input: json(&call), turn: None },
            Effect::Arm { due, timer } => Self::Timer { due, message: json(&Message::Due { timer }) },
            Effect::Disarm(effect) => Self::Cancel { effect },
            Effect::TellPayment { payment, message } => {
                Self::Tell { to: payment::address(payment), message: json(&message) }
            }
        }
    }
}

fn json(value: &impl Serialize) -> String {
    serde_json::to_string(value).expect("maps with text keys and finite numbers always have a JSON text")
}

/// The address of a refund.
#[must_use]
pub fn address(id: RefundId) -> Address {
    Address::new(RefundMachine::KIND, &id.to_string())
}

/// The machine of refunds.
#[derive(Clone, Copy, Debug, Default)]
pub struct RefundMachine;

impl Machine for RefundMachine {
    const KIND: &'static str = "refund";
    const SCHEMA: u32 = 1;
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
        state.status.is_settled() && state.under_way.is_none()
    }
}
