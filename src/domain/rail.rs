//! What the machines of payments and refunds ask of a gateway and what they hear from it: few words, the same for every
//! rail. What travels between a gateway and us is in `gateway`; the activity translates.
//!
//! A call that changes something carries its key and the time it was first ordered: both are part of the commit that
//! orders it, so they are on disk before anything is sent. A call never fails as an activity: what happened, silence
//! included, is a [`Fact`].

use serde::{Deserialize, Serialize};
use serde_json::Value;

use super::gateway::REPEATABLE_MS;
use super::ids::{PaymentId, RefundId};
use super::money::Money;
use super::{Failure, Timestamp};

/// The lane in which calls to gateways wait for their turn.
pub const LANE: &str = "gateway";
/// Gateways forget keys after 24 hours: so long after the first send one is trusted to remember, in milliseconds.
pub const KEY_AGE_MS_MAX: i64 = REPEATABLE_MS;

/// What a payment travels on. The names are durable.
#[derive(
    Clone,
    Copy,
    Debug,
    Default,
    PartialEq,
    Eq,
    Serialize,
    Deserialize,
    strum::EnumIter,
    strum::EnumString,
    strum::IntoStaticStr,
)]
#[serde(rename_all = "snake_case")]
#[strum(serialize_all = "snake_case")]
pub enum Rail {
    /// Cards, at Stripe. Payments that were made before rails had names are here.
    #[default]
    Stripe,
    /// Cards, at the gateway in the house.
    Sandbox,
    /// Elsewhere: an operator says what was paid and what was given back.
    Manual,
    /// Coins.
    Ethereum,
}

impl Rail {
    /// Whether a gateway can be asked how its payments and refunds stand.
    #[must_use]
    pub const fn has_gateway(self) -> bool {
        match self {
            Self::Stripe | Self::Sandbox => true,
            Self::Manual | Self::Ethereum => false,
        }
    }

    /// Whether money that its receiver has withdrawn can no longer be given back from here.
    #[must_use]
    pub const fn ends_at_withdrawal(self) -> bool {
        match self {
            Self::Stripe | Self::Sandbox => false,
            Self::Manual | Self::Ethereum => true,
        }
    }
}

/// One call, as it is ordered. The tags are durable.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Call {
    /// What is asked for.
    pub ask: Ask,
    /// The idempotency key: the same on every repetition.
    pub key: String,
    /// When it was ordered for the first time: it was not sent before.
    pub first_sent_at: Timestamp,
    /// It may have been sent before.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub again: bool,
}

/// What is asked for.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, strum::IntoStaticStr)]
#[serde(rename_all = "snake_case")]
#[strum(serialize_all = "snake_case")]
pub enum Ask {
    /// Open a checkout session.
    OpenSession(OpenSession),
    /// How a session stands.
    ReadSession {
        /// The session.
        session: String,
    },
    /// Let nobody pay any more.
    ExpireSession {
        /// The session.
        session: String,
    },
    /// Give money back.
    Refund {
        /// The gateway's id of what was paid.
        intent: String,
        /// How much.
        amount: Money,
        /// Our id, which the gateway keeps with it.
        refund: RefundId,
        /// Our payment.
        payment: PaymentId,
    },
    /// All refunds of what was paid, ours and others'.
    ListRefunds {
        /// The gateway's id of what was paid.
        intent: String,
    },
}

/// Everything a session needs. The customer's own words are not in it: the gateway gets our ids only.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct OpenSession {
    /// Our id.
    pub payment: PaymentId,
    /// What it costs.
    pub price: Money,
    /// What the payer reads.
    pub name: String,
    /// Where the payer goes after paying.
    pub success_url: String,
    /// Where the payer goes instead.
    pub cancel_url: String,
    /// When nobody can pay any more.
    pub expires_at: Timestamp,
}

/// How far a session is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, strum::EnumIter)]
#[serde(rename_all = "snake_case")]
pub enum SessionStatus {
    /// It can be paid.
    Open,
    /// The payer is through; whether money came is [`Session::paid`].
    Complete,
    /// It cannot be paid any more.
    Expired,
}

/// A session as its gateway tells it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Session {
    /// The gateway's id of it.
    pub id: String,
    /// Where the payer pays.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub url: Option<String>,
    /// How far it is.
    pub status: SessionStatus,
    /// What was paid, once it is.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub paid: Option<Money>,
    /// The gateway's id of what was paid.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub intent: Option<String>,
}

/// How a refund stands at its gateway.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, strum::EnumIter, strum::IntoStaticStr)]
#[serde(rename_all = "snake_case")]
#[strum(serialize_all = "snake_case")]
pub enum RefundStatus {
    /// On its way.
    Pending,
    /// The money is on its way to the customer for good, as far as the gateway knows.
    Succeeded,
    /// Failed or cancelled: the money stays, or has come back.
    Failed,
}

/// A refund as its gateway tells it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct GatewayRefund {
    /// The gateway's id of it.
    pub id: String,
    /// Ours, when it is ours.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub refund: Option<RefundId>,
    /// How much.
    pub amount: Money,
    /// How it stands.
    pub status: RefundStatus,
    /// Why it failed.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub reason: Option<String>,
}

/// How a dispute stands. An inquiry moves nothing and is no dispute.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, strum::EnumIter)]
#[serde(rename_all = "snake_case")]
pub enum DisputeStanding {
    /// The money is held back.
    Open,
    /// It came back.
    Won,
    /// It is gone.
    Lost,
}

/// A dispute as its gateway tells it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Dispute {
    /// The gateway's id of it.
    pub id: String,
    /// How much is disputed.
    pub amount: Money,
    /// How it stands.
    pub standing: DisputeStanding,
}

/// What a call found out. The tags are durable.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Fact {
    /// A session was opened, read or expired.
    Session(Session),
    /// A refund was taken.
    Refund(GatewayRefund),
    /// All refunds.
    Refunds(Vec<GatewayRefund>),
    /// The gateway refuses; nothing happened.
    Rejected {
        /// Its stable code.
        code: String,
        /// Its sentence.
        message: String,
    },
    /// Nothing happened, and asking again later may help.
    NotDone {
        /// Why.
        why: String,
        /// How long the gateway wants to be left alone, in milliseconds.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        retry_after_ms: Option<u64>,
    },
    /// Whether it happened is not known.
    Unknown {
        /// What happened on our side of it.
        why: String,
        /// The gateway was asked, knows of nothing, and keeps a failure under the key: the next call takes another key.
        #[serde(default, skip_serializing_if = "std::ops::Not::not")]
        spent: bool,
    },
}

impl Fact {
    /// The fact that an activity's end tells; what cannot be read says nothing, and so does a failure.
    #[must_use]
    pub fn of(outcome: Result<Value, Failure>) -> Self {
        match outcome {
            Ok(value) => serde_json::from_value(value).unwrap_or_else(|error| Self::Unknown {
                why: format!("the call's end cannot be read: {error}"),
                spent: false,
            }),
            Err(failure) => Self::Unknown { why: failure.to_string(), spent: false },
        }
    }
}

/// How long to rest after `tries` tries that told nothing, in milliseconds: doubled each time, from 2 seconds to an hour.
#[must_use]
pub fn rest_ms(tries: u32) -> i64 {
    const FIRST_MS: i64 = 2_000;
    const LONGEST_MS: i64 = 3_600_000;
    FIRST_MS.saturating_mul(1 << tries.saturating_sub(1).min(20)).min(LONGEST_MS)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rests_double_up_to_an_hour() {
        assert_eq!(
            [0, 1, 2, 3, 11, 12, u32::MAX].map(rest_ms),
            [2_000, 2_000, 4_000, 8_000, 2_048_000, 3_600_000, 3_600_000]
        );
    }

    #[test]
    fn what_cannot_be_read_is_unknown() {
        assert!(matches!(Fact::of(Ok(Value::Null)), Fact::Unknown { .. }));
        assert!(matches!(Fact::of(Err(Failure::fatal("x", "y"))), Fact::Unknown { .. }));
    }

    /// These texts are in databases: a change of one loses what is stored.
    #[test]
    fn durable_names_are_as_written_down() {
        let text = r#"{"session":{"id":"cs_1","status":"complete","paid":{"minor":5,"currency":"usd"}}}"#;
        assert_eq!(serde_json::to_string(&serde_json::from_str::<Fact>(text).unwrap()).unwrap(), text);
        let call = r#"{"ask":{"list_refunds":{"intent":"pi_1"}},"key":"k","first_sent_at":5}"#;
        assert_eq!(serde_json::to_string(&serde_json::from_str::<Call>(call).unwrap()).unwrap(), call);
    }
}
