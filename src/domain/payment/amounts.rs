//! What was captured of a payment, and what of it is promised or gone.

use serde::{Deserialize, Serialize};

/// Amounts in minor units of the payment's currency; none is ever negative.
///
/// `refunded + reserved + disputed <= captured + over`: the machine keeps to it, and so does a constraint of the table.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Amounts {
    /// What came in.
    pub captured: i64,
    /// Promised to refunds that are under way.
    pub reserved: i64,
    /// Given back.
    pub refunded: i64,
    /// Held back, or taken for good, by disputes.
    pub disputed: i64,
    /// By how much others gave back or took more than was left. Only facts raise it, never a reservation.
    pub over: i64,
}

impl Amounts {
    /// What can still be promised.
    #[must_use]
    pub const fn remainder(&self) -> i64 {
        let left = self.captured.saturating_sub(self.bound());
        if left > 0 { left } else { 0 }
    }

    const fn bound(&self) -> i64 {
        self.refunded.saturating_add(self.reserved).saturating_add(self.disputed)
    }

    /// Whether the promise holds.
    #[must_use]
    pub const fn hold(&self) -> bool {
        let negative =
            self.captured < 0 || self.reserved < 0 || self.refunded < 0 || self.disputed < 0 || self.over < 0;
        !negative && self.bound() <= self.captured.saturating_add(self.over)
    }

    /// Everything that came in was given back.
    #[must_use]
    pub const fn is_refunded(&self) -> bool {
        self.captured > 0 && self.refunded >= self.captured
    }

    /// After a fact: how much more others took than was there.
    pub(super) fn weigh(&mut self) {
        self.over = self.bound().saturating_sub(self.captured).max(0);
    }
}
