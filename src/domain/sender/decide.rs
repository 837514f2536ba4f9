//! The rules of a sender: one function for each message, over a decision that is being made.

use std::collections::{BTreeMap, BTreeSet, VecDeque};

use super::{
    Account, Ask, Asset, Attempt, Call, Effect, Fact, Given, IN_FLIGHT_MAX, Message, Policy, Sending, State, Trouble,
    Wish,
};
use crate::domain::ethereum_address::EthereumAddress;
use crate::domain::rail::rest_ms;
use crate::domain::{Broken, Decision, EffectNo, Moment, Report};

/// The longest rest of a sender whose node tells nothing, in milliseconds.
const SILENT_MS_MAX: i64 = 60_000;

/// A decision that is being made.
pub(super) struct Turn {
    pub policy: Policy,
    pub state: State,
    pub effects: Vec<Effect>,
    pub moment: Moment,
    ignored: bool,
}

/// A sender looks at the chain as soon as it is there: it has to know its nonce.
pub(super) fn born(policy: Policy, account: Account, moment: Moment) -> Decision<State, Effect> {
    let state = State {
        account,
        next: None,
        queue: VecDeque::new(),
        sendings: BTreeMap::new(),
        head: 0,
        doubts: 0,
        tries: 0,
        looking: None,
        timer: None,
        trouble: None,
    };
    let mut turn = Turn { policy, state, effects: Vec::new(), moment, ignored: false };
    turn.look();
    turn.decided()
}

pub(super) fn decide(
    policy: Policy,
    state: &State,
    message: Message,
    moment: Moment,
) -> Result<Decision<State, Effect>, Broken> {
    let mut turn = Turn { policy, state: state.clone(), effects: Vec::new(), moment, ignored: false };
    match message {
        Message::Open(account) if account != state.account => {
            return Err(Broken(format!("a sender of {:?} was opened for {account:?}", state.account)));
        }
        Message::Open(_) => turn.look(),
        Message::Send(wish) => match state.knows(wish.refund) {
            Some(known) if *known == *wish => turn.ignored = true,
            Some(_) => {
                let refusal = format!("refund {} is being sent already, otherwise than this", wish.refund);
                return Ok(Decision::refused(refusal));
            }
            None => turn.send(*wish),
        },
        Message::Reported(report) => turn.reported(report),
        Message::Due { timer } => turn.due(timer),
    }
    Ok(turn.decided())
}

impl Turn {
    fn decided(self) -> Decision<State, Effect> {
        if self.ignored { Decision::ignored() } else { Decision::applied(self.state, self.effects) }
    }

    pub fn order(&mut self, effect: Effect) -> EffectNo {
        let number = self.next_effect();
        self.effects.push(effect);
        number
    }

    fn next_effect(&self) -> EffectNo {
        self.moment.effect(u32::try_from(self.effects.len()).expect("a decision orders a few effects"))
    }

    pub fn call(&mut self, ask: Ask) -> EffectNo {
        let account = self.state.account;
        self.order(Effect::Call(Call { account, ask }))
    }

    /// It waits for the next look, which comes at once when that can give it a nonce.
    fn send(&mut self, wish: Wish) {
        self.state.queue.push_back(wish);
        let has_room = self.in_flight() < IN_FLIGHT_MAX && self.state.trouble.is_none();
        if has_room || self.state.timer.is_none() {
            self.look();
        }
    }

    /// Transfers that have a nonce and are in no block.
    pub fn in_flight(&self) -> usize {
        self.state.sendings.values().filter(|sending| sending.mined.is_none()).count()
    }

    fn due(&mut self, timer: EffectNo) {
        if self.state.timer != Some(timer) {
            self.ignored = true;
            return;
        }
        self.state.timer = None;
        self.look();
    }

    /// Looks at the chain, unless that is under way.
    pub fn look(&mut self) {
        if self.state.looking.is_some() {
            return;
        }
        if let Some(timer) = self.state.timer.take() {
            self.order(Effect::Disarm(timer));
        }
        let hashes = self.state.sendings.values().flat_map(Sending::hashes).map(str::to_owned).collect();
        let tokens = self.tokens();
        self.state.looking = Some(self.call(Ask::Look { hashes, tokens }));
    }

    /// The tokens that wait to be sent.
    fn tokens(&self) -> Vec<EthereumAddress> {
        let token = |wish: &Wish| match wish.transfer.asset {
            Asset::Token(contract) => Some(contract),
            Asset::Native => None,
        };
        let tokens: BTreeSet<_> = self.state.queue.iter().filter_map(token).collect();
        tokens.into_iter().collect()
    }

    fn reported(&mut self, report: Report) {
        let fact = Fact::of(report.outcome);
        if self.state.looking == Some(report.effect) {
            self.state.looking = None;
            return self.looked(fact);
        }
        let is_its = |sending: &Sending| sending.under_way == Some(report.effect);
        let Some((&nonce, sending)) = self.state.sendings.iter_mut().find(|(_, sending)| is_its(sending)) else {
            self.ignored = true;
            return;
        };
        sending.under_way = None;
        match fact {
            Fact::Signed(signed) => {
                if let Some(attempt) = sending.attempts.last_mut() {
                    attempt.signed = Some(signed);
                }
                sending.refused = None;
                self.broadcast(nonce);
            }
            Fact::Taken => sending.refused = None,
            Fact::Refused { why } | Fact::Silent { why } => sending.refused = Some(why),
            // What only a look finds out.
            Fact::Seen(_) => {}
        }
    }

    /// The chain was looked at, or could not be.
    fn looked(&mut self, fact: Fact) {
        match fact {
            Fact::Seen(view) => {
                self.state.tries = 0;
                self.seen(&view);
            }
            Fact::Silent { why } | Fact::Refused { why } => {
                self.state.tries = self.state.tries.saturating_add(1);
                self.state.trouble = Some(Trouble::Down { why });
            }
            Fact::Signed(_) | Fact::Taken => {}
        }
        self.rest();
    }

    /// The bytes of the last attempt go out: they are in the state, so they are in the journal before that.
    pub fn broadcast(&mut self, nonce: u64) {
        let Some(sending) = self.state.sendings.get(&nonce) else { return };
        let Some(signed) = sending.attempts.last().and_then(|attempt| attempt.signed.clone()) else { return };
        if sending.mined.is_some() {
            return;
        }
        let order = self.call(Ask::Broadcast { signed });
        self.under_way(nonce, order);
    }

    /// Has the last attempt signed.
    pub fn sign(&mut self, nonce: u64) {
        let Some(sending) = self.state.sendings.get(&nonce) else { return };
        let Some(fees) = sending.attempts.last().map(|attempt| attempt.fees) else { return };
        let transfer = sending.wish.transfer;
        let order = self.call(Ask::Sign { nonce, transfer, gas: transfer.gas(), fees });
        self.under_way(nonce, order);
    }

    fn under_way(&mut self, nonce: u64, order: EffectNo) {
        if let Some(sending) = self.state.sendings.get_mut(&nonce) {
            sending.under_way = Some(order);
        }
    }

    /// Gives a wish its nonce, for ever.
    pub fn give(&mut self, nonce: u64, wish: Wish, first: Attempt) {
        self.order(Effect::Give(Given { nonce, refund_id: wish.refund }));
        let attempts = vec![first];
        let sending = Sending { wish, attempts, under_way: None, mined: None, told: None, refused: None };
        self.state.sendings.insert(nonce, sending);
        self.state.next = Some(nonce.saturating_add(1));
        self.sign(nonce);
    }

    /// Rests before the next look, while there is anything to look for.
    fn rest(&mut self) {
        let state = &self.state;
        let is_idle = state.queue.is_empty() && state.sendings.is_empty();
        let is_well = state.next.is_some() && state.trouble.is_none() && state.doubts == 0;
        if (is_idle && is_well) || state.looking.is_some() || state.timer.is_some() {
            return;
        }
        let look_ms = self.policy.look_ms;
        let rest = match state.tries {
            0 => look_ms,
            tries => rest_ms(tries).min(SILENT_MS_MAX).max(look_ms),
        };
        let timer = self.next_effect();
        self.order(Effect::Arm { due: self.moment.now.plus_ms(rest), timer });
        self.state.timer = Some(timer);
    }
}
