//! The rules of a payment: one function for each message, over a decision that is being made.

use super::{ATTENTION_MAX, Checkout, Effect, Message, News, Receipt, Standing, State, Status};
use crate::domain::account::{self, Moved};
use crate::domain::ids::{PaymentId, TaskId};
use crate::domain::money::Money;
use crate::domain::payment::amounts::Amounts;
use crate::domain::rail::Rail;
use crate::domain::{Address, Broken, Decision, EffectNo, Moment};

pub(super) type Decided = Result<Decision<State, Effect>, Broken>;

/// A decision being made: the state as it will be, and the orders so far.
pub(super) struct Turn {
    pub state: State,
    pub effects: Vec<Effect>,
    pub moment: Moment,
    refused: Option<String>,
    ignored: bool,
}

pub(super) fn born(checkout: Checkout, moment: Moment) -> Decided {
    let Checkout { id, name, price, receiver, rail, execution, success_url, cancel_url, open_ms } = checkout;
    if price.minor < 0 {
        return Err(Broken(format!("payment {id} has a negative price")));
    }
    let request = &execution.request;
    let state = State {
        template_code: request.template_code.clone(),
        name,
        user_id: request.user().to_owned(),
        rail,
        urls: (success_url, cancel_url),
        expires_at: moment.now.plus_ms(open_ms),
        task: Some(execution.id.clone()),
        ..blank(id, price, receiver, request.owner.clone(), moment)
    };
    let mut turn = Turn::of(State { execution: Some(execution), ..state }, moment);
    if price.minor == 0 {
        turn.complete();
    } else {
        turn.ask_gateway();
    }
    turn.decided()
}

/// What was paid elsewhere is confirmed at once.
pub(super) fn received(receipt: Receipt, moment: Moment) -> Decided {
    let Receipt { id, paid, receiver, reference, owner, user_id } = receipt;
    if paid.minor <= 0 {
        return Err(Broken(format!("payment {id} is said to have brought {paid}")));
    }
    let state = State {
        status: Status::Completed,
        user_id,
        rail: Rail::Manual,
        reference: Some(reference),
        amounts: Amounts { captured: paid.minor, ..Amounts::default() },
        ended_at: Some(moment.now),
        ..blank(id, paid, receiver, owner, moment)
    };
    Turn::of(state, moment).decided()
}

/// A payment of which nothing happened yet.
fn blank(id: PaymentId, price: Money, receiver: String, owner: String, moment: Moment) -> State {
    State {
        id,
        status: Status::Created,
        template_code: String::new(),
        name: String::new(),
        user_id: String::new(),
        owner,
        receiver,
        rail: Rail::default(),
        reference: None,
        price,
        withdrawn: 0,
        amounts: Amounts::default(),
        urls: Default::default(),
        expires_at: moment.now,
        session: None,
        intent: None,
        under_way: None,
        timer: None,
        spent: 0,
        tries: 0,
        looks: 0,
        looked_at: None,
        cancelling: false,
        refunds_moved: false,
        askers: Vec::new(),
        reservations: Default::default(),
        refunds: Default::default(),
        imported: Default::default(),
        disputes: Default::default(),
        heard: Default::default(),
        told: Moved::default(),
        credited: false,
        told_by_refunds: 0,
        task: None,
        standing: Standing::Unstarted,
        execution: None,
        attention: Vec::new(),
        declined: None,
        failure: None,
        created_at: moment.now,
        ended_at: None,
    }
}

pub(super) fn decide(state: &State, message: Message, moment: Moment) -> Decided {
    let mut turn = Turn::of(state.clone(), moment);
    match message {
        Message::Checkout(checkout) => turn.born_again(checkout.price, Some(&checkout.execution.id), None),
        Message::ReceivedElsewhere(receipt) => turn.born_again(receipt.paid, None, Some(receipt.reference.as_str())),
        Message::GatewayReported(report) => turn.reported(report),
        Message::Due { timer } => turn.due(timer),
        Message::Told { news, input } => {
            match news {
                News::Session(session) => {
                    turn.session_told(&session);
                    turn.rest();
                }
                News::Declined { reason } => turn.declined(reason),
                News::NotPaid { reason } => turn.not_paid(reason),
                News::RefundsMoved { intent } => turn.refunds_moved(intent),
                News::Dispute(dispute) => turn.dispute_told(dispute),
            }
            turn.answer(input, None);
        }
        Message::Sync { input } => turn.sync(input),
        Message::Cancel { input } => turn.cancel(input),
        Message::Withdraw { input } => turn.withdraw(input),
        Message::Acknowledge { input } => turn.acknowledge(input),
        Message::Resolve { how, input } => turn.resolve(how, input),
        Message::ReserveRefund { refund, minor, marked } => turn.reserve(refund, minor, marked),
        Message::RefundSucceeded { refund, minor, as_of, booked } => {
            turn.refund_succeeded(refund, minor, as_of, booked);
        }
        Message::RefundReleased { refund, as_of } => turn.refund_released(refund, as_of),
        Message::RefundReversed { refund, as_of, booked } => turn.refund_reversed(refund, as_of, booked),
        Message::Credited => turn.credited(),
        // Whatever it was told, the account is told what it does not know.
        Message::Book { input } => turn.answer(input, None),
        Message::TaskEnded { end } => turn.task_ended(end),
    }
    turn.decided()
}

impl Turn {
    const fn of(state: State, moment: Moment) -> Self {
        Self { state, effects: Vec::new(), moment, refused: None, ignored: false }
    }

    /// Tells the account what its money has done since it was told.
    fn book(&mut self) {
        let moved = self.state.moved();
        let new = moved.since(self.state.told);
        if new == Moved::default() {
            return;
        }
        let (payment, currency, receiver) = (self.state.id, self.state.price.currency, self.state.receiver.clone());
        let message = account::Message::PaymentMoved { payment, currency, moved: new };
        self.order(Effect::TellAccount { receiver, message });
        self.state.told = moved;
    }

    fn decided(mut self) -> Decided {
        if self.refused.is_none() && !self.ignored {
            self.book();
        }
        if !self.state.amounts.hold() {
            let Self { state, .. } = self;
            return Err(Broken(format!("the amounts of payment {} do not hold: {:?}", state.id, state.amounts)));
        }
        Ok(match self {
            Self { refused: Some(reason), effects, .. } => Decision::refused(reason).and(effects),
            Self { ignored: true, effects, .. } => Decision::ignored().and(effects),
            Self { state, effects, .. } => Decision::applied(state, effects),
        })
    }

    /// A second birth under the same id changes nothing; it is refused when it asks for something else.
    fn born_again(&mut self, price: Money, task: Option<&TaskId>, reference: Option<&str>) {
        let state = &self.state;
        if (price, task, reference) != (state.price, state.task.as_ref(), state.reference.as_deref()) {
            return self.refuse(format!("payment {} exists already, for something else", state.id));
        }
        self.ignore();
    }

    /// Nothing changes: the message is late, or says what is known.
    pub(super) const fn ignore(&mut self) {
        self.ignored = true;
    }

    /// Nothing changes, for this reason.
    pub(super) fn refuse(&mut self, reason: String) {
        self.refused = Some(reason);
    }

    /// Adds an order and says which number it will have.
    pub(super) fn order(&mut self, effect: Effect) -> EffectNo {
        let number = self.next_effect();
        self.effects.push(effect);
        number
    }

    /// The number that the next order will have.
    pub(super) fn next_effect(&self) -> EffectNo {
        let index = u32::try_from(self.effects.len()).expect("a decision orders a few effects for each refund");
        self.moment.effect(index)
    }

    pub(super) fn answer(&mut self, input: Address, refused: Option<String>) {
        self.order(Effect::Answer { input, refused });
    }

    /// What was flagged is seen to.
    fn acknowledge(&mut self, input: Address) {
        if self.state.attention.is_empty() {
            self.ignore();
        }
        self.state.attention.clear();
        self.answer(input, None);
    }

    /// Asks for a person; what was asked before is not asked twice.
    pub(super) fn flag(&mut self, sentence: String) {
        let attention = &mut self.state.attention;
        if attention.len() < ATTENTION_MAX && !attention.contains(&sentence) {
            attention.push(sentence);
        }
    }
}
