//! What is said between us and a gateway of payments, as values: an order, the three ways it can end, what the gateway
//! knows of checkouts, refunds and disputes, and the events it sends. Who says it, and how, is `crate::gateway`.
//!
//! Amounts are in minor units of a currency that is written as the gateway writes it: an event may name one that we do
//! not sell in, and is a fact all the same.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use super::Timestamp;

/// How long after its first sending an order may be sent again, in milliseconds: gateways forget keys after 24 hours.
pub const REPEATABLE_MS: i64 = 23 * 60 * 60 * 1_000;

/// An order that changes something at a gateway. It is journaled before it is sent for the first time.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Call {
    /// The idempotency key: the same for every sending of the same order.
    pub key: String,
    /// When it was sent first.
    pub first_sent: Timestamp,
    /// Whether it may have been sent before: then the gateway is asked whether it knows it already.
    pub again: bool,
}

impl Call {
    /// A call that nobody has sent yet.
    #[must_use]
    pub fn first(key: impl Into<String>, now: Timestamp) -> Self {
        Self { key: key.into(), first_sent: now, again: false }
    }

    /// The same call, which may have been sent before.
    #[must_use]
    pub fn repeated(&self) -> Self {
        Self { again: true, ..self.clone() }
    }

    /// Whether the gateway still remembers the key.
    #[must_use]
    pub const fn is_repeatable(&self, now: Timestamp) -> bool {
        now.since_ms(self.first_sent) < REPEATABLE_MS
    }
}

/// How a call ends.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Answer<T> {
    /// It is done, or known.
    Accepted(T),
    /// It is not done.
    Rejected(Rejection),
    /// Whether it is done is not known.
    Unknown(Doubt),
}

impl<T> Answer<T> {
    /// The same answer about something else.
    pub fn map<U>(self, change: impl FnOnce(T) -> U) -> Answer<U> {
        match self {
            Self::Accepted(known) => Answer::Accepted(change(known)),
            Self::Rejected(rejection) => Answer::Rejected(rejection),
            Self::Unknown(doubt) => Answer::Unknown(doubt),
        }
    }

    /// What is accepted.
    #[must_use]
    pub fn accepted(self) -> Option<T> {
        match self {
            Self::Accepted(known) => Some(known),
            Self::Rejected(_) | Self::Unknown(_) => None,
        }
    }
}

/// The gateway said in its own words that nothing was done.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, thiserror::Error)]
#[error("{message}")]
pub struct Rejection {
    /// What follows from it.
    pub reason: Reason,
    /// The gateway's code, such as `charge_already_refunded`; empty when it gave none.
    pub code: String,
    /// The gateway's words.
    pub message: String,
}

/// Why nothing was done.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Reason {
    /// The payer's bank says no.
    Declined,
    /// It cannot be done, and asking again changes nothing.
    Invalid,
    /// What it is about does not exist there.
    Missing,
    /// The gateway does not take our key: an operator must look. The same call may be sent again then.
    Unauthorized,
    /// Not now: it was too busy, or could not be reached. The same call may be sent again.
    Busy {
        /// After how long, in milliseconds, when it says.
        after_ms: Option<i64>,
    },
}

impl Reason {
    /// Whether the same call may be sent again.
    #[must_use]
    pub const fn is_passing(self) -> bool {
        matches!(self, Self::Unauthorized | Self::Busy { .. })
    }
}

/// Whether it was done is not known.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, thiserror::Error)]
#[error("{why}")]
pub struct Doubt {
    /// What may follow.
    pub next: Next,
    /// What happened, in words.
    pub why: String,
}

/// What may follow an unknown outcome.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Next {
    /// The same call under the same key, [`Call::repeated`].
    Repeat,
    /// The gateway was asked, knows of nothing, and answers this key with a failure that it keeps: the next call takes
    /// another key, journaled before it is sent.
    NewKey,
    /// The key is too old to be used: only asking is safe, and a person must look.
    AskOnly,
}

/// Our ids, as metadata of what a gateway keeps; never anything of a customer.
pub type Ids = BTreeMap<String, String>;

/// The metadata that holds a payment's id.
pub const PAYMENT: &str = "payment_id";
/// The metadata that holds a refund's id.
pub const REFUND: &str = "refund_id";

/// A checkout to be opened.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct NewCheckout {
    /// Our payment.
    pub payment: String,
    /// What the payer pays, in minor units.
    pub amount: i64,
    /// In this currency: three lower-case letters.
    pub currency: String,
    /// What the payer buys.
    pub name: String,
    /// Where the payer comes back to when it is paid. `{CHECKOUT_SESSION_ID}` in it becomes the session's id.
    pub success_url: String,
    /// Where the payer comes back to otherwise.
    pub cancel_url: String,
    /// When it may no longer be paid: 30 minutes to 24 hours from now.
    pub expires_at: Timestamp,
    /// More ids of ours.
    pub ids: Ids,
}

/// A checkout as the gateway knows it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Checkout {
    /// The session's id.
    pub id: String,
    /// Where the payer pays, while it is open.
    pub url: Option<String>,
    /// Whether it is still open.
    pub status: CheckoutStatus,
    /// Whether the money is there.
    pub payment_status: PaymentStatus,
    /// What is or was to be paid, in minor units.
    pub amount_total: Option<i64>,
    /// In this currency.
    pub currency: Option<String>,
    /// The gateway's payment, as soon as there is one.
    pub payment_intent: Option<String>,
    /// Our payment, as the session's metadata has it.
    pub payment: Option<String>,
    /// When it may no longer be paid.
    pub expires_at: Option<Timestamp>,
}

/// Whether a checkout is still open.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, strum::EnumString, strum::IntoStaticStr)]
#[serde(rename_all = "snake_case")]
#[strum(serialize_all = "snake_case")]
pub enum CheckoutStatus {
    /// It may be paid.
    Open,
    /// The payer is through; the money may still be on its way.
    Complete,
    /// It can no longer be paid.
    Expired,
    /// A status of another version of the gateway's API.
    Other,
}

/// Whether the money of a checkout is there.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, strum::EnumString, strum::IntoStaticStr)]
#[serde(rename_all = "snake_case")]
#[strum(serialize_all = "snake_case")]
pub enum PaymentStatus {
    /// It is.
    Paid,
    /// It is not, or not yet.
    Unpaid,
    /// None is needed.
    NoPaymentRequired,
    /// A status of another version of the gateway's API.
    Other,
}

/// A refund to be made.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct NewRefund {
    /// Our refund.
    pub refund: String,
    /// Our payment.
    pub payment: String,
    /// The gateway's payment.
    pub payment_intent: String,
    /// How much, in minor units of the payment's currency.
    pub amount: i64,
}

/// A refund as the gateway knows it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Refund {
    /// The gateway's id.
    pub id: String,
    /// The gateway's payment.
    pub payment_intent: Option<String>,
    /// The charge.
    pub charge: Option<String>,
    /// How much, in minor units.
    pub amount: i64,
    /// In this currency.
    pub currency: String,
    /// How it is doing.
    pub status: RefundStatus,
    /// Why it failed.
    pub failure_reason: Option<String>,
    /// Our refund, when it is one of ours.
    pub refund: Option<String>,
}

/// How a refund is doing.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, strum::EnumString, strum::IntoStaticStr)]
#[serde(rename_all = "snake_case")]
#[strum(serialize_all = "snake_case")]
pub enum RefundStatus {
    /// On its way.
    Pending,
    /// The payer must do something.
    RequiresAction,
    /// Done.
    Succeeded,
    /// The money came back to us.
    Failed,
    /// It was taken back before it was done.
    Canceled,
    /// A status of another version of the gateway's API.
    Other,
}

/// A payment as the gateway knows it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct PaymentIntent {
    /// The gateway's id.
    pub id: String,
    /// How it is doing, in the gateway's words, such as `succeeded`.
    pub status: String,
    /// What was to be paid, in minor units.
    pub amount: i64,
    /// What was paid, in minor units.
    pub amount_received: i64,
    /// In this currency.
    pub currency: String,
    /// Our payment, when it is one of ours.
    pub payment: Option<String>,
    /// Why the last try to pay failed.
    pub failure: Option<PaymentFailure>,
    /// Its charges, the newest first; empty in an event, which does not have them.
    pub charges: Vec<Charge>,
}

/// Why a try to pay failed.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct PaymentFailure {
    /// The gateway's code, such as `card_declined`; empty when it gave none.
    pub code: String,
    /// Its words.
    pub message: String,
}

/// Money that was taken.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Charge {
    /// The gateway's id.
    pub id: String,
    /// The gateway's payment.
    pub payment_intent: Option<String>,
    /// Our payment, when it is one of ours.
    pub payment: Option<String>,
    /// What was captured, in minor units.
    pub amount_captured: i64,
    /// What was given back of it, in minor units, whoever did that.
    pub amount_refunded: i64,
    /// In this currency.
    pub currency: String,
    /// Whether the payer's bank disputes it.
    pub disputed: bool,
    /// Whether it succeeded.
    pub paid: bool,
}

/// A dispute as the gateway knows it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Dispute {
    /// The gateway's id.
    pub id: String,
    /// The charge.
    pub charge: Option<String>,
    /// The gateway's payment.
    pub payment_intent: Option<String>,
    /// How much, in minor units.
    pub amount: i64,
    /// In this currency.
    pub currency: String,
    /// How it is doing, in the gateway's words: `needs_response`, `under_review`, `won`, `lost`, `warning_...`.
    pub status: String,
}

impl Dispute {
    /// Whether it is an inquiry, which moves no money.
    #[must_use]
    pub fn is_inquiry(&self) -> bool {
        self.status.starts_with("warning_")
    }
}

/// What an operator sells, at the gateway.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Product {
    /// Its id, which we choose.
    pub id: String,
    /// Its name for people.
    pub name: String,
    /// What it is.
    pub description: String,
    /// Whether it is sold.
    pub active: bool,
}

/// A price of a product.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Price {
    /// Its id.
    pub id: String,
    /// Its product.
    pub product: String,
    /// How much, in minor units; `None` for prices that are no fixed amount.
    pub amount: Option<i64>,
    /// In this currency.
    pub currency: String,
    /// Whether it is offered.
    pub active: bool,
    /// Whether it is one that we made.
    pub ours: bool,
}

/// A price to be made.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct NewPrice {
    /// Its product.
    pub product: String,
    /// How much, in minor units.
    pub amount: i64,
    /// In this currency: three lower-case letters.
    pub currency: String,
}

/// Whose account it is.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Account {
    /// The gateway's id.
    pub id: String,
    /// Its country: two upper-case letters.
    pub country: Option<String>,
    /// Whether it can take money.
    pub charges_enabled: bool,
    /// Whether it pays money out.
    pub payouts_enabled: bool,
}

/// Something happened at the gateway.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Event {
    /// The gateway's id: the same however often it is sent.
    pub id: String,
    /// What kind of event, in the gateway's words, such as `checkout.session.completed`.
    pub kind: String,
    /// When.
    pub created: Timestamp,
    /// The version of the gateway's API that it is written in.
    pub api_version: Option<String>,
    /// What happened.
    pub what: What,
}

/// A page of what happened at the gateway, the newest first.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Events {
    /// Each as its webhook brings it.
    pub raw: Vec<String>,
    /// The event that the next page comes after; `None` when this is the last page.
    pub next: Option<String>,
}

/// What happened.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum What {
    /// The payer is through. It is paid only when its payment status says so.
    CheckoutCompleted(Checkout),
    /// It can no longer be paid.
    CheckoutExpired(Checkout),
    /// Money that was on its way is there.
    CheckoutAsyncSucceeded(Checkout),
    /// Money that was on its way does not come.
    CheckoutAsyncFailed(Checkout),
    /// A try to pay failed; the payer may try again.
    PaymentFailed(PaymentIntent),
    /// It is paid.
    PaymentSucceeded(PaymentIntent),
    /// It will not be paid.
    PaymentCanceled(PaymentIntent),
    /// Money was given back, by whomever. It does not say by which refunds: they are listed.
    ChargeRefunded(Charge),
    /// A refund was made, changed or failed: its status says which.
    RefundChanged(Refund),
    /// A dispute was opened, changed, closed, or moved money.
    DisputeChanged(Dispute, DisputeStep),
    /// Something that is not acted on.
    Other,
}

/// What happened to a dispute.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum DisputeStep {
    /// It was opened.
    Created,
    /// Something about it changed.
    Updated,
    /// It is decided: its status says how.
    Closed,
    /// The money was taken from us.
    FundsWithdrawn,
    /// The money was given back to us.
    FundsReinstated,
}
