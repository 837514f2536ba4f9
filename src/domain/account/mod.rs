//! An account: what one receiver has here, and the books of it.
//!
//! Payments and refunds tell it what happened; it writes a posting for each move of money and keeps the sums. What
//! happened is never refused, in whatever order it is told, so `available` may fall below zero: then the receiver owes.
//! Only to set money aside for a refund is a request, and is refused beyond what is available.

mod decide;

#[cfg(test)]
mod properties;
#[cfg(test)]
mod table;

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use super::ids::{PaymentId, RefundId};
use super::machine::json;
use super::money::{Currency, Money};
use super::{Address, Broken, Decision, Machine, Moment, Order, Report, Timestamp, payment, refund};

/// Where money is. The names are durable: they stand in the ledger.
#[derive(
    Clone,
    Copy,
    Debug,
    PartialEq,
    Eq,
    PartialOrd,
    Ord,
    Serialize,
    Deserialize,
    strum::EnumIter,
    strum::EnumString,
    strum::IntoStaticStr,
)]
#[serde(rename_all = "snake_case")]
#[strum(serialize_all = "snake_case")]
pub enum Bucket {
    /// The receiver's, and free.
    Available,
    /// The receiver's, and promised to refunds.
    Reserved,
    /// The receiver's, and held back by disputes.
    Disputed,
    /// The receiver has it.
    Withdrawn,
    /// What others gave back, or took, beyond what a payment brought.
    Suspense,
    /// At gateways, and with customers: where money comes from and goes back to.
    Clearing,
    /// Given back elsewhere.
    External,
}

/// What is in each bucket, in minor units; together they are nothing.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Balances {
    /// Below zero, the receiver owes it.
    pub available: i64,
    /// Never below zero.
    pub reserved: i64,
    /// Never below zero once everything is told.
    pub disputed: i64,
    /// Never below zero.
    pub withdrawn: i64,
    /// Never above zero once everything is told.
    pub suspense: i64,
    /// What came in and did not go back, with its sign turned.
    pub clearing: i64,
    /// Never below zero.
    pub external: i64,
}

impl Balances {
    /// What is in a bucket.
    #[must_use]
    pub const fn of(&self, bucket: Bucket) -> i64 {
        match bucket {
            Bucket::Available => self.available,
            Bucket::Reserved => self.reserved,
            Bucket::Disputed => self.disputed,
            Bucket::Withdrawn => self.withdrawn,
            Bucket::Suspense => self.suspense,
            Bucket::Clearing => self.clearing,
            Bucket::External => self.external,
        }
    }

    /// A bucket, to be changed.
    pub const fn of_mut(&mut self, bucket: Bucket) -> &mut i64 {
        match bucket {
            Bucket::Available => &mut self.available,
            Bucket::Reserved => &mut self.reserved,
            Bucket::Disputed => &mut self.disputed,
            Bucket::Withdrawn => &mut self.withdrawn,
            Bucket::Suspense => &mut self.suspense,
            Bucket::Clearing => &mut self.clearing,
            Bucket::External => &mut self.external,
        }
    }
}

/// Why money moved. The names are durable: they stand in the ledger.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, strum::EnumIter, strum::IntoStaticStr)]
#[serde(rename_all = "snake_case")]
#[strum(serialize_all = "snake_case")]
pub enum Cause {
    /// A payment came in.
    Capture,
    /// A refund that others made at the gateway.
    ForeignRefund,
    /// A dispute opened or was won.
    Dispute,
    /// A dispute was lost.
    DisputeLost,
    /// Others took more than a payment brought; or less of that than was known.
    Over,
    /// The receiver took it out.
    Withdrawal,
    /// A refund was promised its amount.
    Reservation,
    /// A refund gave its promise back.
    Release,
    /// A refund succeeded.
    Refund,
    /// A refund that had succeeded came back.
    Reversal,
}

/// One move of money between two buckets: balanced by its form.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Posting {
    /// Where it comes from.
    pub debit: Bucket,
    /// Where it goes.
    pub credit: Bucket,
    /// Of which currency.
    pub currency: Currency,
    /// How much, in minor units: more than nothing.
    pub amount: i64,
    /// Why.
    pub cause: Cause,
    /// The payment it is of.
    pub payment_id: PaymentId,
    /// The refund that moved it.
    pub refund_id: Option<RefundId>,
}

/// What a payment's money has done by itself, in minor units: all that is not done by a refund of ours. As a message, how
/// much of it is new; may be negative then.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct Moved {
    /// Came in.
    #[serde(skip_serializing_if = "is_zero")]
    pub captured: i64,
    /// Went back through others.
    #[serde(skip_serializing_if = "is_zero")]
    pub refunded: i64,
    /// Held back or taken by disputes.
    #[serde(skip_serializing_if = "is_zero")]
    pub disputed: i64,
    /// Of that, taken.
    #[serde(skip_serializing_if = "is_zero")]
    pub lost: i64,
    /// Taken beyond what came in.
    #[serde(skip_serializing_if = "is_zero")]
    pub over: i64,
    /// Taken out by the receiver.
    #[serde(skip_serializing_if = "is_zero")]
    pub withdrawn: i64,
}

#[expect(clippy::trivially_copy_pass_by_ref, reason = "serde asks for a reference")]
const fn is_zero(minor: &i64) -> bool {
    *minor == 0
}

impl Moved {
    /// What is new since `told`.
    #[must_use]
    pub const fn since(self, told: Self) -> Self {
        Self {
            captured: self.captured.saturating_sub(told.captured),
            refunded: self.refunded.saturating_sub(told.refunded),
            disputed: self.disputed.saturating_sub(told.disputed),
            lost: self.lost.saturating_sub(told.lost),
            over: self.over.saturating_sub(told.over),
            withdrawn: self.withdrawn.saturating_sub(told.withdrawn),
        }
    }
}

/// Everything an account knows: sums, whatever their number.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct State {
    /// What is where, by currency.
    pub balances: BTreeMap<Currency, Balances>,
    /// When the first of it was told.
    pub opened_at: Timestamp,
}

impl State {
    /// What is where of a currency.
    #[must_use]
    pub fn of(&self, currency: Currency) -> Balances {
        self.balances.get(&currency).copied().unwrap_or_default()
    }
}

/// What can be said to an account; whatever comes first opens it. The tags are durable.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, strum::IntoStaticStr)]
#[serde(rename_all = "snake_case")]
#[strum(serialize_all = "snake_case")]
pub enum Message {
    /// A payment's money moved.
    PaymentMoved {
        /// The payment; it is told once money that came in is in the books.
        payment: PaymentId,
        /// Of which currency.
        currency: Currency,
        /// How.
        moved: Moved,
    },
    /// Set money aside for a refund.
    ReserveRefund {
        /// The refund, which is told.
        refund: RefundId,
        /// Of which payment.
        payment: PaymentId,
        /// How much.
        amount: Money,
    },
    /// A refund does not need what was set aside.
    RefundReleased {
        /// The refund.
        refund: RefundId,
        /// Of which payment.
        payment: PaymentId,
        /// How much.
        amount: Money,
    },
    /// A refund gave money back.
    RefundSucceeded {
        /// The refund.
        refund: RefundId,
        /// Of which payment.
        payment: PaymentId,
        /// How much.
        amount: Money,
        /// It was set aside for it.
        held: bool,
        /// It was given back elsewhere.
        marked: bool,
    },
    /// What a refund had given back came back.
    RefundReversed {
        /// The refund, which is told.
        refund: RefundId,
        /// Of which payment.
        payment: PaymentId,
        /// How much.
        amount: Money,
        /// It was given back elsewhere.
        marked: bool,
    },
    /// An activity has ended: an account starts none, so it is refused.
    Reported(Report),
}

/// What an account orders.
#[derive(Clone, Debug, PartialEq)]
pub enum Effect {
    /// Write a posting into the ledger.
    Post(Posting),
    /// Tell a payment something.
    TellPayment(PaymentId, payment::Message),
    /// Tell a refund something.
    TellRefund(RefundId, refund::Message),
}

impl From<Effect> for Order {
    fn from(effect: Effect) -> Self {
        match effect {
            Effect::Post(posting) => Self::Record { row: json(&posting) },
            Effect::TellPayment(payment, message) => {
                Self::tell::<payment::PaymentMachine>(payment::address(payment), &message)
            }
            Effect::TellRefund(refund, message) => {
                Self::tell::<refund::RefundMachine>(refund::address(refund), &message)
            }
        }
    }
}

/// The address of a receiver's account.
#[must_use]
pub fn address(receiver: &str) -> Address {
    Address::new(AccountMachine::KIND, receiver)
}

/// The machine of accounts.
#[derive(Clone, Copy, Debug, Default)]
pub struct AccountMachine;

impl Machine for AccountMachine {
    const KIND: &'static str = "account";
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
        let state = state.cloned().unwrap_or_else(|| State { opened_at: moment.now, ..State::default() });
        decide::decide(state, message)
    }

    fn is_birth(message: &Message) -> bool {
        !matches!(message, Message::Reported(_))
    }

    fn reported(report: Report) -> Message {
        Message::Reported(report)
    }

    fn status(_: &State) -> &'static str {
        "open"
    }

    fn is_final(_: &State) -> bool {
        false
    }
}
