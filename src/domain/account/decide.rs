//! The rules of an account: which posting follows from what it is told.

use super::{Bucket, Cause, Effect, Message, Moved, Posting, State};
use crate::domain::ids::{PaymentId, RefundId};
use crate::domain::money::{Currency, Money};
use crate::domain::{Broken, Decision, payment, refund};

/// A decision being made.
struct Turn {
    state: State,
    effects: Vec<Effect>,
    /// What the postings are about.
    about: (PaymentId, Option<RefundId>),
    currency: Currency,
}

pub(super) fn decide(state: State, message: Message) -> Result<Decision<State, Effect>, Broken> {
    match message {
        Message::PaymentMoved { payment, currency, moved } => {
            let mut turn = Turn { state, effects: Vec::new(), about: (payment, None), currency };
            turn.payment_moved(moved)?;
            if moved.captured != 0 {
                turn.effects.push(Effect::TellPayment(payment, payment::Message::Credited));
            }
            Ok(turn.decided())
        }
        Message::ReserveRefund { refund, payment, amount } => {
            let mut turn = Turn::of(state, refund, payment, amount);
            let left = turn.state.of(amount.currency).available;
            if amount.minor <= 0 || amount.minor > left {
                let left = Money::new(left, amount.currency);
                let reason = format!("{amount} is more than the {left} that the receiver has available for refunds");
                let told = refund::Message::AccountRefused { reason: reason.clone() };
                turn.effects.push(Effect::TellRefund(refund, told));
                // It stays applied when it opens the account: nobody is born by a refusal.
                return Ok(turn.decided());
            }
            turn.post(Cause::Reservation, Bucket::Available, Bucket::Reserved, amount.minor)?;
            turn.effects.push(Effect::TellRefund(refund, refund::Message::AccountReserved));
            Ok(turn.decided())
        }
        Message::RefundReleased { refund, payment, amount } => {
            let mut turn = Turn::of(state, refund, payment, amount);
            turn.post(Cause::Release, Bucket::Reserved, Bucket::Available, amount.minor)?;
            Ok(turn.decided())
        }
        Message::RefundSucceeded { refund, payment, amount, held, marked } => {
            let mut turn = Turn::of(state, refund, payment, amount);
            let from = if held { Bucket::Reserved } else { Bucket::Available };
            turn.post(Cause::Refund, from, gone(marked), amount.minor)?;
            Ok(turn.decided())
        }
        Message::RefundReversed { refund, payment, amount, marked } => {
            let mut turn = Turn::of(state, refund, payment, amount);
            turn.post(Cause::Reversal, gone(marked), Bucket::Available, amount.minor)?;
            turn.effects.push(Effect::TellRefund(refund, refund::Message::ReversalBooked));
            Ok(turn.decided())
        }
        Message::Reported(report) => {
            Ok(Decision::refused(format!("an account starts no activity, and effect {:?} is none", report.effect)))
        }
    }
}

/// Where a refund's money goes.
const fn gone(marked: bool) -> Bucket {
    if marked { Bucket::External } else { Bucket::Clearing }
}

impl Turn {
    const fn of(state: State, refund: RefundId, payment: PaymentId, amount: Money) -> Self {
        Self { state, effects: Vec::new(), about: (payment, Some(refund)), currency: amount.currency }
    }

    fn decided(self) -> Decision<State, Effect> {
        Decision::applied(self.state, self.effects)
    }

    fn payment_moved(&mut self, moved: Moved) -> Result<(), Broken> {
        let Moved { captured, refunded, disputed, lost, over, withdrawn } = moved;
        self.post(Cause::Capture, Bucket::Clearing, Bucket::Available, captured)?;
        self.post(Cause::Over, Bucket::Suspense, Bucket::Available, over)?;
        self.post(Cause::ForeignRefund, Bucket::Available, Bucket::Clearing, refunded)?;
        self.post(Cause::Dispute, Bucket::Available, Bucket::Disputed, disputed)?;
        self.post(Cause::DisputeLost, Bucket::Disputed, Bucket::Clearing, lost)?;
        self.post(Cause::Withdrawal, Bucket::Available, Bucket::Withdrawn, withdrawn)
    }

    /// Moves money; what is negative moves the other way.
    fn post(&mut self, cause: Cause, from: Bucket, to: Bucket, minor: i64) -> Result<(), Broken> {
        let (debit, credit, amount) = match minor {
            0 => return Ok(()),
            1.. => (from, to, Some(minor)),
            _ => (to, from, minor.checked_neg()),
        };
        let balances = self.state.balances.entry(self.currency).or_default();
        let less = amount.and_then(|amount| balances.of(debit).checked_sub(amount));
        let more = amount.and_then(|amount| balances.of(credit).checked_add(amount));
        let (Some(amount), Some(less), Some(more)) = (amount, less, more) else {
            return Err(Broken(format!("{minor} {} do not fit into the account", self.currency)));
        };
        *balances.of_mut(debit) = less;
        *balances.of_mut(credit) = more;
        let (payment_id, refund_id) = self.about;
        let currency = self.currency;
        self.effects.push(Effect::Post(Posting { debit, credit, currency, amount, cause, payment_id, refund_id }));
        Ok(())
    }
}
