//! Money that goes back: promises to our refunds, refunds that others made, disputes.

use super::decide::Turn;
use super::{Effect, own_refund};
use crate::domain::ids::RefundId;
use crate::domain::money::Money;
use crate::domain::rail::{Dispute, DisputeStanding, GatewayRefund, RefundStatus};
use crate::domain::{Address, refund};

impl Turn {
    /// A limit on what we authorise: never more than is left.
    pub(super) fn reserve(&mut self, refund: RefundId, minor: Option<i64>, marked: bool) {
        let state = &self.state;
        if state.refunds.contains_key(&refund) {
            return self.ignore();
        }
        if let Some(promised) = state.reservations.get(&refund).copied() {
            self.ignore();
            return self.grant(refund, promised);
        }
        match self.refusal(minor, marked) {
            Ok(minor) => {
                self.state.reservations.insert(refund, minor);
                self.state.amounts.reserved = self.state.amounts.reserved.saturating_add(minor);
                self.grant(refund, minor);
            }
            Err(reason) => {
                if refund == own_refund(self.state.id) {
                    // It stays applied, so that the sentence for a person is kept.
                    self.flag(format!("its execution did not happen and cannot be paid back: {reason}"));
                } else {
                    self.refuse(reason.clone());
                }
                self.tell(refund, refund::Message::ReservationRefused { reason });
            }
        }
    }

    /// Tells a refund what it is promised, once the account has the money that the promise is made of.
    fn grant(&mut self, refund: RefundId, minor: i64) {
        let state = &self.state;
        if !state.credited {
            return;
        }
        let amount = Money::new(minor, state.price.currency);
        let intent = state.intent.clone().unwrap_or_default();
        let receiver = Some(state.receiver.clone());
        let granted = refund::Message::Reserved { amount, intent, rail: state.rail, receiver };
        self.tell(refund, granted);
    }

    /// The account has what came in: whoever waits for that is told.
    pub(super) fn credited(&mut self) {
        if self.state.credited {
            return self.ignore();
        }
        self.state.credited = true;
        let promised: Vec<(RefundId, i64)> = self.state.reservations.iter().map(|(id, minor)| (*id, *minor)).collect();
        for (refund, minor) in promised {
            self.grant(refund, minor);
        }
    }

    /// How much can be promised, or why nothing can.
    fn refusal(&self, minor: Option<i64>, marked: bool) -> Result<i64, String> {
        let state = &self.state;
        let (id, left) = (state.id, state.amounts.remainder());
        let shown = |minor| Money::new(minor, state.price.currency);
        if state.amounts.captured == 0 {
            return Err(format!("nothing was paid for payment {id}"));
        }
        if state.is_disputed() {
            return Err(format!("payment {id} is disputed: its money is held back until that is decided"));
        }
        if state.is_withdrawn() && state.rail.ends_at_withdrawal() {
            return Err(format!("payment {id} was withdrawn by its receiver: it is given back there"));
        }
        if left == 0 {
            return Err(format!("nothing is left of payment {id} to refund"));
        }
        if state.intent.is_none() && state.rail.has_gateway() && !marked {
            return Err(format!("the gateway never said what was paid with payment {id}"));
        }
        match minor {
            None => Ok(left),
            Some(minor) if minor <= 0 => Err("a refund must be more than nothing".to_owned()),
            Some(minor) if minor > left => {
                Err(format!("{} is more than the {} left of payment {id}", shown(minor), shown(left)))
            }
            Some(minor) => Ok(minor),
        }
    }

    /// A mark, so what is left must be there: a promise may still turn out to be free again.
    pub(super) fn withdraw(&mut self, input: Address) {
        let state = &self.state;
        let (id, left) = (state.id, state.amounts.remainder());
        let refusal = if state.is_withdrawn() {
            format!("payment {id} is withdrawn already")
        } else if state.amounts.captured == 0 {
            format!("nothing was paid for payment {id}")
        } else if state.amounts.reserved > 0 {
            format!("a refund of payment {id} is under way: wait until it has ended")
        } else if left == 0 {
            format!("nothing is left of payment {id} to withdraw")
        } else {
            self.state.withdrawn = left;
            return self.answer(input, None);
        };
        self.refuse(refusal.clone());
        self.answer(input, Some(refusal));
    }

    fn tell(&mut self, refund: RefundId, message: refund::Message) {
        self.order(Effect::TellRefund { refund, message });
    }

    /// A fact: it counts even when nothing was promised.
    pub(super) fn refund_succeeded(&mut self, refund: RefundId, minor: i64, as_of: u64, booked: bool) {
        if !self.is_latest(refund, as_of) || self.state.refunds.contains_key(&refund) {
            return self.ignore();
        }
        self.free(refund);
        self.state.refunds.insert(refund, minor);
        self.state.amounts.refunded = self.state.amounts.refunded.saturating_add(minor);
        if booked {
            self.state.told_by_refunds = self.state.told_by_refunds.saturating_add(minor);
        }
        self.weigh();
        self.stop_if_unpaid();
    }

    pub(super) fn refund_released(&mut self, refund: RefundId, as_of: u64) {
        let freed = self.is_latest(refund, as_of) && self.free(refund);
        self.tell(refund, refund::Message::Released);
        if !freed {
            return self.ignore();
        }
        self.state.amounts.weigh();
        if refund == own_refund(self.state.id) {
            self.flag("its execution did not happen and its refund failed: refund it by hand".to_owned());
        }
    }

    /// It may be told before the success is, which is old by then.
    pub(super) fn refund_reversed(&mut self, refund: RefundId, as_of: u64, booked: bool) {
        let latest = self.is_latest(refund, as_of);
        self.tell(refund, refund::Message::ReversalBooked);
        if !latest {
            return self.ignore();
        }
        self.free(refund);
        if let Some(minor) = self.state.refunds.remove(&refund) {
            self.state.amounts.refunded = self.state.amounts.refunded.saturating_sub(minor);
            if booked {
                self.state.told_by_refunds = self.state.told_by_refunds.saturating_sub(minor);
            }
        }
        self.state.amounts.weigh();
        self.flag(format!("refund {refund} had succeeded and failed after all: the customer has not got the money"));
    }

    /// Whether a refund's word is later than what was heard of it.
    fn is_latest(&mut self, refund: RefundId, as_of: u64) -> bool {
        match self.state.heard.get(&refund) {
            Some(heard) if *heard >= as_of => false,
            Some(_) | None => {
                self.state.heard.insert(refund, as_of);
                true
            }
        }
    }

    /// Takes a promise back; answers whether there was one.
    fn free(&mut self, refund: RefundId) -> bool {
        let promised = self.state.reservations.remove(&refund);
        self.state.amounts.reserved = self.state.amounts.reserved.saturating_sub(promised.unwrap_or(0));
        promised.is_some()
    }

    pub(super) fn refunds_moved(&mut self, intent: String) {
        self.state.intent.get_or_insert(intent);
        self.state.refunds_moved = true;
        self.ask_gateway();
    }

    /// All refunds as the gateway has them: what is ours goes to its refund when it stands otherwise than we know, what
    /// others made is counted.
    pub(super) fn import(&mut self, refunds: &[GatewayRefund]) {
        for told in refunds {
            match told.refund.filter(|refund| self.is_ours(*refund)) {
                Some(refund) if self.is_news(refund, told.status) => {
                    self.tell(refund, refund::Message::Seen { told: told.clone() });
                }
                Some(_) => {}
                None => self.import_foreign(told),
            }
        }
        self.weigh();
        self.stop_if_unpaid();
    }

    fn is_ours(&self, refund: RefundId) -> bool {
        let state = &self.state;
        state.reservations.contains_key(&refund)
            || state.refunds.contains_key(&refund)
            || state.heard.contains_key(&refund)
    }

    fn is_news(&self, refund: RefundId, status: RefundStatus) -> bool {
        match status {
            RefundStatus::Pending => false,
            RefundStatus::Succeeded => !self.state.refunds.contains_key(&refund),
            RefundStatus::Failed => {
                self.state.reservations.contains_key(&refund) || self.state.refunds.contains_key(&refund)
            }
        }
    }

    fn import_foreign(&mut self, told: &GatewayRefund) {
        let counts = match told.status {
            _ if told.amount.currency != self.state.price.currency => 0,
            RefundStatus::Pending | RefundStatus::Succeeded => told.amount.minor.max(0),
            RefundStatus::Failed => 0,
        };
        let before = self.state.imported.insert(told.id.clone(), counts).unwrap_or(0);
        let refunded = &mut self.state.amounts.refunded;
        *refunded = refunded.saturating_sub(before).saturating_add(counts);
    }

    pub(super) fn dispute_told(&mut self, dispute: Dispute) {
        let counted = |dispute: &Dispute| match dispute.standing {
            DisputeStanding::Open | DisputeStanding::Lost => dispute.amount.minor.max(0),
            DisputeStanding::Won => 0,
        };
        let known = self.state.disputes.get(&dispute.id);
        // What is decided does not open again: the news of its beginning is late.
        let decided = known.is_some_and(|known| known.standing != DisputeStanding::Open);
        if known == Some(&dispute) || decided && dispute.standing == DisputeStanding::Open {
            return self.ignore();
        }
        let before = known.map_or(0, counted);
        let disputed = &mut self.state.amounts.disputed;
        *disputed = disputed.saturating_sub(before).saturating_add(counted(&dispute));
        match dispute.standing {
            DisputeStanding::Open => self.flag(format!(
                "dispute {} over {} is open: answer it at the gateway in time",
                dispute.id, dispute.amount
            )),
            DisputeStanding::Lost => self.flag(format!("dispute {} over {} was lost", dispute.id, dispute.amount)),
            DisputeStanding::Won => {}
        }
        self.state.disputes.insert(dispute.id.clone(), dispute);
        self.weigh();
        self.stop_if_unpaid();
    }

    /// After a fact that took money: promises that nothing was sent for are taken back first, the rest is flagged.
    fn weigh(&mut self) {
        let over = self.state.amounts.over;
        self.state.amounts.weigh();
        if self.state.amounts.over <= over {
            return;
        }
        let promised: Vec<RefundId> = self.state.reservations.keys().copied().collect();
        for refund in promised {
            self.tell(refund, refund::Message::Yield);
        }
        let more = Money::new(self.state.amounts.over, self.state.price.currency);
        self.flag(format!("{more} more went back, or is promised, than came in: look at its refunds and disputes"));
    }
}
