//! The rules of a refund: one function for each message, over a decision that is being made.

use super::{ASKERS_MAX, Effect, Failure, Message, Request, State, Status, What};
use crate::domain::money::Money;
use crate::domain::rail::{Ask, Call, Fact, GatewayRefund, KEY_AGE_MS_MAX, Rail, RefundStatus, rest_ms};
use crate::domain::{Address, Decision, EffectNo, Moment, Report, account, payment};

/// A refund of which nobody knows whether it arrived is shown to a person after this time, in milliseconds.
const DOUBT_MS: i64 = 3_600_000;
/// The first look at a refund that the gateway has and has not decided, in milliseconds; each further rest doubles.
const PENDING_MS: i64 = 60_000;
/// The longest rest between two looks, in milliseconds.
const PENDING_MS_MAX: i64 = 6 * 3_600_000;

/// The code of a refund that the payment did not promise.
pub(super) const REFUSED: &str = "reservation_refused";
/// The code of a refund that the receiver's account has not enough for.
pub(super) const INSUFFICIENT: &str = "insufficient_funds";
/// The code of a refund that had succeeded and came back.
const REVERSED: &str = "reversed";
/// The code of a refund that an operator will not pay.
const NOT_PAID: &str = "not_paid";

struct Turn {
    state: State,
    effects: Vec<Effect>,
    moment: Moment,
    ignored: bool,
    refused: Option<String>,
}

pub(super) fn born(request: Request, moment: Moment) -> Decision<State, Effect> {
    let Request { id: refund, minor, marked, .. } = request;
    let state = State {
        request,
        status: Status::Requested,
        amount: None,
        intent: None,
        rail: Rail::default(),
        account: None,
        held: false,
        yielding: false,
        unbooked: 0,
        askers: Vec::new(),
        first_sent_at: None,
        spent: 0,
        in_doubt: false,
        under_way: None,
        timer: None,
        tries: 0,
        gateway_id: None,
        failure: None,
        attention: None,
        created_at: moment.now,
        ended_at: None,
    };
    let mut turn = Turn { state, effects: Vec::new(), moment, ignored: false, refused: None };
    turn.tell(payment::Message::ReserveRefund { refund, minor, marked });
    turn.decided()
}

pub(super) fn decide(state: &State, message: Message, moment: Moment) -> Decision<State, Effect> {
    let mut turn = Turn { state: state.clone(), effects: Vec::new(), moment, ignored: false, refused: None };
    match message {
        Message::Request(request) if *request == state.request => turn.ignore(),
        Message::Request(request) => {
            return Decision::refused(format!("refund {} exists already, for something else", request.id));
        }
        Message::Reserved { amount, intent, rail, receiver } => turn.reserved(amount, intent, rail, receiver),
        Message::AccountReserved => turn.account_reserved(),
        Message::AccountRefused { reason } => turn.account_refused(reason),
        Message::Released => turn.released(),
        Message::ReversalBooked => turn.reversal_booked(),
        Message::ReservationRefused { reason } => turn.reservation_refused(reason),
        Message::GatewayReported(report) => turn.reported(report),
        Message::Due { timer } => turn.due(timer),
        Message::Yield => turn.give_way(),
        Message::Seen { told } => turn.seen(&told),
        Message::Sync { input } => turn.sync(input),
        Message::Paid { input, reference } => turn.paid(input, reference),
        Message::NotPaid { input, reason } => turn.not_paid(input, reason),
    }
    turn.decided()
}

impl Turn {
    fn decided(self) -> Decision<State, Effect> {
        if let Some(reason) = self.refused {
            return Decision::refused(reason).and(self.effects);
        }
        if self.ignored {
            return Decision::ignored().and(self.effects);
        }
        Decision::applied(self.state, self.effects)
    }

    const fn ignore(&mut self) {
        self.ignored = true;
    }

    fn order(&mut self, effect: Effect) -> EffectNo {
        let number = self.next_effect();
        self.effects.push(effect);
        number
    }

    fn next_effect(&self) -> EffectNo {
        self.moment.effect(u32::try_from(self.effects.len()).expect("a decision orders a few effects"))
    }

    fn tell(&mut self, message: payment::Message) {
        let payment = self.state.request.payment;
        self.order(Effect::TellPayment { payment, message });
    }

    fn answer(&mut self, input: Address, refused: Option<String>) {
        self.order(Effect::Answer { input, refused });
    }

    fn tell_account(&mut self, message: impl FnOnce(&State, Money) -> account::Message) {
        let state = &self.state;
        let (Some(receiver), Some(amount)) = (state.account.clone(), state.amount) else { return };
        let message = message(state, amount);
        self.order(Effect::TellAccount { receiver, message });
    }

    /// The payment's promise: the first step.
    fn reserved(&mut self, amount: Money, intent: String, rail: Rail, receiver: Option<String>) {
        if self.state.status != Status::Requested {
            return self.ignore();
        }
        self.state.amount = Some(amount);
        self.state.intent = Some(intent);
        self.state.rail = rail;
        self.state.account = receiver;
        if self.state.yielding {
            self.cancel();
        } else if self.state.account.is_some() {
            self.state.status = Status::ReservingAccount;
            self.tell_account(|state, amount| account::Message::ReserveRefund {
                refund: state.request.id,
                payment: state.request.payment,
                amount,
            });
        } else {
            self.proceed(amount);
        }
    }

    /// The account's promise: the second step.
    fn account_reserved(&mut self) {
        self.state.held = true;
        match (self.state.status, self.state.amount) {
            (Status::ReservingAccount, _) if self.state.yielding => self.cancel(),
            (Status::ReservingAccount, Some(amount)) => self.proceed(amount),
            // It ended meanwhile.
            _ => self.let_account_go(),
        }
    }

    /// The payment's promise is given back before it counts as failed, so that whoever sees that can ask again.
    fn account_refused(&mut self, reason: String) {
        if self.state.status != Status::ReservingAccount {
            return self.ignore();
        }
        self.state.status = Status::Releasing;
        self.state.failure = Some(Failure { code: INSUFFICIENT.to_owned(), message: reason });
        self.let_payment_go();
    }

    fn released(&mut self) {
        if self.state.status != Status::Releasing {
            return self.ignore();
        }
        let failure = self.state.failure.take();
        self.end(Status::Failed, failure);
    }

    /// Both promises stand.
    fn proceed(&mut self, amount: Money) {
        self.state.first_sent_at = Some(self.moment.now);
        if self.state.request.marked {
            self.succeeded(amount);
        } else if self.state.rail.has_gateway() {
            self.send();
        } else {
            // An operator gives it back, and says so.
            self.state.status = Status::Submitted;
        }
    }

    fn let_payment_go(&mut self) {
        let (refund, as_of) = (self.state.request.id, self.moment.version);
        self.tell(payment::Message::RefundReleased { refund, as_of });
    }

    fn let_account_go(&mut self) {
        if std::mem::take(&mut self.state.held) {
            self.tell_account(|state, amount| account::Message::RefundReleased {
                refund: state.request.id,
                payment: state.request.payment,
                amount,
            });
        }
    }

    fn cancel(&mut self) {
        self.end(Status::Cancelled, None);
        self.let_payment_go();
        self.let_account_go();
    }

    fn succeeded(&mut self, amount: Money) {
        self.end(Status::Succeeded, None);
        self.state.attention = None;
        self.state.unbooked = 0;
        let (refund, as_of, booked) = (self.state.request.id, self.moment.version, self.state.account.is_some());
        self.tell(payment::Message::RefundSucceeded { refund, minor: amount.minor, as_of, booked });
        let held = std::mem::take(&mut self.state.held);
        self.tell_account(|state, amount| account::Message::RefundSucceeded {
            refund: state.request.id,
            payment: state.request.payment,
            amount,
            held,
            marked: state.request.marked,
        });
    }

    /// The money of what had succeeded came back: payment and account say when they have that in their books.
    fn reversed(&mut self, message: String) {
        self.end(Status::ReversalInitiated, Some(Failure { code: REVERSED.to_owned(), message }));
        let (refund, as_of, booked) = (self.state.request.id, self.moment.version, self.state.account.is_some());
        self.tell(payment::Message::RefundReversed { refund, as_of, booked });
        self.tell_account(|state, amount| account::Message::RefundReversed {
            refund: state.request.id,
            payment: state.request.payment,
            amount,
            marked: state.request.marked,
        });
        self.state.unbooked = 1 + u8::from(booked);
    }

    fn reversal_booked(&mut self) {
        if !matches!(self.state.status, Status::ReversalInitiated | Status::ReversalProcessing) {
            return self.ignore();
        }
        self.state.unbooked = self.state.unbooked.saturating_sub(1);
        self.state.status =
            if self.state.unbooked == 0 { Status::ReversalSucceeded } else { Status::ReversalProcessing };
    }

    /// Asks the gateway for `input`, which is told when the answer is there. What has ended may stand otherwise by now.
    fn sync(&mut self, input: Address) {
        let state = &self.state;
        if state.request.marked || !state.rail.has_gateway() {
            let refusal = format!("no gateway knows of refund {}", state.request.id);
            self.refused = Some(refusal.clone());
            return self.answer(input, Some(refusal));
        }
        if state.first_sent_at.is_none() {
            self.ignore();
            return self.answer(input, None);
        }
        if state.askers.len() >= ASKERS_MAX {
            return self.answer(input, Some("the gateway is being asked already; look again in a moment".to_owned()));
        }
        self.state.askers.push(input);
        if self.state.under_way.is_none() {
            self.call(What::Ask);
        }
    }

    fn answer_askers(&mut self) {
        for input in std::mem::take(&mut self.state.askers) {
            self.answer(input, None);
        }
    }

    /// An operator's word counts where no gateway has one.
    fn paid(&mut self, input: Address, reference: String) {
        match (self.state.waits_for_operator(), self.state.amount) {
            (true, Some(amount)) => {
                self.state.gateway_id = Some(reference);
                self.succeeded(amount);
                self.answer(input, None);
            }
            _ if self.state.status == Status::Succeeded && self.state.gateway_id.as_ref() == Some(&reference) => {
                self.ignore();
                self.answer(input, None);
            }
            _ => self.refuse(input),
        }
    }

    fn not_paid(&mut self, input: Address, reason: String) {
        if !self.state.waits_for_operator() {
            return self.refuse(input);
        }
        self.failed(Failure { code: NOT_PAID.to_owned(), message: reason });
        self.answer(input, None);
    }

    fn refuse(&mut self, input: Address) {
        let state = &self.state;
        let (id, status): (_, &str) = (state.request.id, state.status.into());
        let refusal = if state.amount.is_some() && state.rail.has_gateway() {
            format!("refund {id} is at a gateway, which says how it ends: have it asked instead")
        } else {
            format!("refund {id} is {status}: it does not wait for an operator")
        };
        self.refused = Some(refusal.clone());
        self.answer(input, Some(refusal));
    }

    fn reservation_refused(&mut self, reason: String) {
        if self.state.status != Status::Requested {
            return self.ignore();
        }
        self.end(Status::Failed, Some(Failure { code: REFUSED.to_owned(), message: reason }));
    }

    /// The key and the time of the first send are part of the commit that orders it.
    fn send(&mut self) {
        self.state.status = Status::Submitted;
        self.call(What::Send);
    }

    fn call(&mut self, what: What) {
        self.disarm();
        let state = &self.state;
        let (Some(amount), Some(intent)) = (state.amount, state.intent.clone()) else { return };
        let (refund, payment) = (state.request.id, state.request.payment);
        let ask = match what {
            What::Send => Ask::Refund { intent, amount, refund, payment },
            What::Ask => Ask::ListRefunds { intent },
        };
        let first_sent_at = state.first_sent_at.unwrap_or(self.moment.now);
        let key = format!("{refund}-{}", state.spent + 1);
        let call = Call { ask, key, first_sent_at, again: state.tries > 0 };
        let effect = self.order(Effect::Call(call));
        self.state.under_way = Some((effect, what));
    }

    fn reported(&mut self, report: Report) {
        let Some((_, what)) = self.state.under_way.filter(|(effect, _)| *effect == report.effect) else {
            return self.ignore();
        };
        self.state.under_way = None;
        match (what, Fact::of(report.outcome)) {
            (_, Fact::Refund(told)) => self.seen(&told),
            (What::Ask, Fact::Refunds(all)) => {
                match all.iter().find(|told| told.refund == Some(self.state.request.id)) {
                    Some(told) => self.seen(told),
                    None => self.absent(),
                }
            }
            _ if self.state.status.is_settled() => {}
            (What::Send, Fact::Rejected { code, message }) => self.failed(Failure { code, message }),
            (What::Send, Fact::NotDone { retry_after_ms, .. }) => {
                // That this send did nothing says nothing of one before it.
                let in_doubt = self.state.in_doubt;
                self.state.status = if in_doubt { Status::OutcomeUnknown } else { Status::Reserved };
                let asked = retry_after_ms.and_then(|ms| i64::try_from(ms).ok()).unwrap_or(0);
                self.rest(asked);
            }
            (What::Send, Fact::Unknown { spent, .. }) => {
                self.state.spent += u32::from(spent);
                self.doubt();
            }
            (What::Send, Fact::Session(_) | Fact::Refunds(_)) => self.doubt(),
            (What::Ask, _) => self.rest(0),
        }
        if self.state.under_way.is_none() {
            self.answer_askers();
        }
    }

    fn doubt(&mut self) {
        self.state.status = Status::OutcomeUnknown;
        self.state.in_doubt = true;
        self.rest(0);
    }

    /// The gateway lists refunds and ours is not among them.
    fn absent(&mut self) {
        match self.state.status {
            Status::OutcomeUnknown if self.is_key_known() => self.send(),
            Status::Submitted | Status::OutcomeUnknown | Status::Reserved => self.rest(0),
            Status::Requested
            | Status::ReservingAccount
            | Status::Releasing
            | Status::Succeeded
            | Status::Failed
            | Status::Cancelled
            | Status::ReversalInitiated
            | Status::ReversalProcessing
            | Status::ReversalSucceeded => {}
        }
    }

    fn is_key_known(&self) -> bool {
        self.age_ms() <= KEY_AGE_MS_MAX
    }

    fn age_ms(&self) -> i64 {
        self.moment.now.since_ms(self.state.first_sent_at.unwrap_or(self.moment.now))
    }

    /// How it stands at the gateway: a fact, whatever was thought of it.
    fn seen(&mut self, told: &GatewayRefund) {
        let amount = *self.state.amount.get_or_insert(told.amount);
        self.state.gateway_id = Some(told.id.clone());
        match (self.state.status, told.status) {
            (Status::Succeeded, RefundStatus::Succeeded | RefundStatus::Pending)
            | (Status::Failed, RefundStatus::Failed | RefundStatus::Pending)
            | (Status::Cancelled, RefundStatus::Failed | RefundStatus::Pending)
            | (
                Status::ReversalInitiated | Status::ReversalProcessing | Status::ReversalSucceeded,
                RefundStatus::Failed | RefundStatus::Pending,
            ) => {}
            (Status::Succeeded, RefundStatus::Failed) => {
                self.reversed(told.reason.clone().unwrap_or_else(|| "the gateway does not say why".to_owned()));
            }
            (_, RefundStatus::Succeeded) => {
                self.succeeded(amount);
            }
            (_, RefundStatus::Failed) => {
                let message = told.reason.clone().unwrap_or_else(|| "the gateway does not say why".to_owned());
                self.failed(Failure { code: "refund_failed".to_owned(), message });
            }
            (_, RefundStatus::Pending) => {
                if self.state.status != Status::Submitted {
                    self.state.tries = 0;
                }
                self.state.status = Status::Submitted;
                self.state.attention = None;
                self.rest(0);
            }
        }
    }

    /// Nothing went back: what was promised is free again.
    fn failed(&mut self, failure: Failure) {
        self.end(Status::Failed, Some(failure));
        self.let_payment_go();
        self.let_account_go();
    }

    fn end(&mut self, status: Status, failure: Option<Failure>) {
        self.disarm();
        self.state.status = status;
        self.state.failure = failure;
        self.state.ended_at = Some(self.moment.now);
    }

    fn give_way(&mut self) {
        match self.state.status {
            Status::Reserved => self.cancel(),
            // What it holds is not known yet: it gives way as soon as it is.
            Status::Requested | Status::ReservingAccount => self.state.yielding = true,
            Status::Releasing
            | Status::Submitted
            | Status::OutcomeUnknown
            | Status::Succeeded
            | Status::Failed
            | Status::Cancelled
            | Status::ReversalInitiated
            | Status::ReversalProcessing
            | Status::ReversalSucceeded => self.ignore(),
        }
    }

    fn due(&mut self, timer: EffectNo) {
        if self.state.timer != Some(timer) {
            return self.ignore();
        }
        self.state.timer = None;
        match self.state.status {
            // It never arrived, so its key is as good as new.
            Status::Reserved => self.send(),
            Status::Submitted | Status::OutcomeUnknown => self.call(What::Ask),
            Status::Requested
            | Status::ReservingAccount
            | Status::Releasing
            | Status::Succeeded
            | Status::Failed
            | Status::Cancelled
            | Status::ReversalInitiated
            | Status::ReversalProcessing
            | Status::ReversalSucceeded => self.ignore(),
        }
    }

    /// Rests before the next call, at least so long as the gateway asked for.
    fn rest(&mut self, asked_ms: i64) {
        if self.state.under_way.is_some() || self.state.timer.is_some() {
            return;
        }
        let tries = self.state.tries;
        self.state.tries = tries.saturating_add(1);
        let rest = match self.state.status {
            Status::Submitted => PENDING_MS.saturating_mul(1 << tries.min(20)).min(PENDING_MS_MAX),
            _ => rest_ms(self.state.tries),
        };
        if self.state.status == Status::OutcomeUnknown && self.age_ms() > DOUBT_MS {
            let sentence = "the gateway does not say whether it has this refund: look for it there by the payment";
            self.state.attention = Some(sentence.to_owned());
        }
        let timer = self.next_effect();
        self.order(Effect::Arm { due: self.moment.now.plus_ms(rest.max(asked_ms)), timer });
        self.state.timer = Some(timer);
    }

    fn disarm(&mut self) {
        if let Some(timer) = self.state.timer.take() {
            self.order(Effect::Disarm(timer));
        }
    }
}
