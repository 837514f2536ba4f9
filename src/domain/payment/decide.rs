//! The rules of a payment: one function for each message, over a decision that is being made.

use super::{ATTENTION_MAX, Checkout, Effect, Message, News, Standing, State, Status};
use crate::domain::payment::amounts::Amounts;
use crate::domain::{Broken, Decision, EffectNo, Moment};

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
    let Checkout { id, name, price, receiver, execution, success_url, cancel_url, open_ms } = checkout;
    if price.minor < 0 {
        return Err(Broken(format!("payment {id} has a negative price")));
    }
    let request = &execution.request;
    let state = State {
        id,
        status: Status::Created,
        template_code: request.template_code.clone(),
        name,
        user_id: request.user().to_owned(),
        owner: request.owner.clone(),
        receiver,
        price,
        amounts: Amounts::default(),
        urls: (success_url, cancel_url),
        expires_at: moment.now.plus_ms(open_ms),
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
        task: execution.id.clone(),
        standing: Standing::Unstarted,
        execution: Some(execution),
        attention: Vec::new(),
        declined: None,
        failure: None,
        created_at: moment.now,
        ended_at: None,
    };
    let mut turn = Turn::of(state, moment);
    if price.minor == 0 {
        turn.complete();
    } else {
        turn.ask_gateway();
    }
    turn.decided()
}

pub(super) fn decide(state: &State, message: Message, moment: Moment) -> Decided {
    let mut turn = Turn::of(state.clone(), moment);
    match message {
        Message::Checkout(checkout) => turn.born_again(&checkout),
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
        Message::Acknowledge { input } => turn.acknowledge(input),
        Message::Resolve { how, input } => turn.resolve(how, input),
        Message::ReserveRefund { refund, minor } => turn.reserve(refund, minor),
        Message::RefundSucceeded { refund, minor } => turn.refund_succeeded(refund, minor),
        Message::RefundReleased { refund } => turn.refund_released(refund),
        Message::RefundReversed { refund } => turn.refund_reversed(refund),
        Message::TaskEnded { end } => turn.task_ended(end),
    }
    turn.decided()
}

impl Turn {
    const fn of(state: State, moment: Moment) -> Self {
        Self { state, effects: Vec::new(), moment, refused: None, ignored: false }
    }

    fn decided(self) -> Decided {
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
    fn born_again(&mut self, checkout: &Checkout) {
        if checkout.price != self.state.price || checkout.execution.id != self.state.task {
            return self.refuse(format!("payment {} exists already, for something else", self.state.id));
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

    pub(super) fn answer(&mut self, input: crate::domain::Address, refused: Option<String>) {
        self.order(Effect::Answer { input, refused });
    }

    /// What was flagged is seen to.
    fn acknowledge(&mut self, input: crate::domain::Address) {
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
