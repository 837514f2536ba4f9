//! How a payment learns whether money came: its session is opened, looked at and closed.

use super::decide::Turn;
use super::{ASKERS_MAX, Effect, KnownSession, Status, UnderWay, What};
use crate::domain::money::Money;
use crate::domain::rail::{Ask, Call, Fact, KEY_AGE_MS_MAX, OpenSession, Session, SessionStatus, rest_ms};
use crate::domain::{Address, EffectNo, Report};

/// The first look at a session nobody told about, in milliseconds after it was opened; each further rest doubles.
const LOOK_MS: i64 = 60_000;
/// The longest rest between two looks, in milliseconds.
const LOOK_MS_MAX: i64 = 3_600_000;
/// A session's end is looked at so long after it, in milliseconds: the gateway's clock is not ours.
const END_GRACE_MS: i64 = 30_000;

impl Turn {
    /// What there is to ask the gateway now.
    fn wanted(&self) -> Option<What> {
        let state = &self.state;
        match (state.status, &state.session) {
            (Status::Created | Status::AwaitingPayer, None) => Some(What::Open),
            (Status::Created | Status::AwaitingPayer, Some(_)) if state.cancelling => Some(What::Expire),
            (Status::Created | Status::AwaitingPayer, Some(_)) => Some(What::Look),
            (Status::Held | Status::Completed | Status::Cancelled | Status::Expired | Status::Failed, session) => {
                match (&state.intent, session) {
                    (Some(_), _) => Some(What::Refunds),
                    (None, Some(_)) => Some(What::Look),
                    (None, None) => None,
                }
            }
        }
    }

    /// Calls the gateway, unless a call is under way: then one more follows it. Answers whether anything is asked.
    pub(super) fn ask_gateway(&mut self) -> bool {
        if let Some(under_way) = &mut self.state.under_way {
            under_way.again = true;
            return true;
        }
        let Some(what) = self.wanted() else { return false };
        self.disarm();
        if what == What::Open && self.moment.now.since_ms(self.state.created_at) > KEY_AGE_MS_MAX {
            self.give_up_opening();
            return false;
        }
        let call = self.call(what);
        let effect = self.order(Effect::Call(call));
        if what == What::Refunds {
            self.state.refunds_moved = false;
        }
        self.state.under_way = Some(UnderWay { effect, what, again: false });
        true
    }

    fn call(&self, what: What) -> Call {
        let state = &self.state;
        let session = || state.session.as_ref().map(|known| known.id.clone()).unwrap_or_default();
        let ask = match what {
            What::Open => Ask::OpenSession(OpenSession {
                payment: state.id,
                price: state.price,
                name: state.name.clone(),
                success_url: state.urls.0.clone(),
                cancel_url: state.urls.1.clone(),
                expires_at: state.expires_at,
            }),
            What::Look => Ask::ReadSession { session: session() },
            What::Expire => Ask::ExpireSession { session: session() },
            What::Refunds => Ask::ListRefunds { intent: state.intent.clone().unwrap_or_default() },
        };
        let word: &str = what.into();
        let key = format!("{}-{word}-{}", state.id, state.spent + 1);
        Call { ask, key, first_sent_at: state.created_at, again: state.tries > 0 }
    }

    /// A session that no answer ever told of was shown to no payer, so no money can come of it.
    fn give_up_opening(&mut self) {
        let sentence = "the gateway never said whether it opened a session; nobody was sent to it";
        self.state.failure = Some(sentence.to_owned());
        self.end(if self.state.cancelling { Status::Cancelled } else { Status::Expired });
        self.answer_askers();
    }

    pub(super) fn reported(&mut self, report: Report) {
        let Some(under_way) = self.state.under_way.filter(|call| call.effect == report.effect) else {
            return self.ignore();
        };
        self.state.under_way = None;
        self.told(under_way.what, Fact::of(report.outcome));
        let more = under_way.again || self.state.refunds_moved || self.state.cancelling;
        if self.state.under_way.is_none() && more && self.may_ask_at_once(under_way.what) {
            self.ask_gateway();
        }
        if self.state.under_way.is_none() {
            self.answer_askers();
            self.rest();
        }
    }

    /// A call that told nothing is repeated by the timer, not at once.
    fn may_ask_at_once(&self, done: What) -> bool {
        match self.wanted() {
            Some(What::Open) | None => false,
            Some(What::Expire) => done != What::Expire,
            Some(What::Look | What::Refunds) => self.state.tries == 0,
        }
    }

    /// What a call found out.
    fn told(&mut self, what: What, fact: Fact) {
        let tries = std::mem::take(&mut self.state.tries);
        match (what, fact) {
            (_, Fact::Session(session)) => {
                // That a session was just opened is no look: its payer may come back from it a moment later.
                if what == What::Look {
                    self.state.looks = self.state.looks.saturating_add(1);
                    self.state.looked_at = Some(self.moment.now);
                }
                self.session_told(&session);
            }
            (_, Fact::Refunds(refunds)) => self.import(&refunds),
            (What::Open, Fact::Rejected { code, message }) => {
                self.state.failure = Some(format!("the payment gateway refuses it: {message} ({code})"));
                self.end(Status::Failed);
            }
            // It is complete or expired by now: the next look says which.
            (What::Expire, Fact::Rejected { .. }) => {
                self.state.cancelling = false;
                self.ask_gateway();
            }
            (What::Look | What::Refunds, Fact::Rejected { code, message }) => {
                self.state.tries = tries.saturating_add(1);
                self.flag(format!("the gateway does not say how it stands: {message} ({code})"));
            }
            (_, Fact::NotDone { .. } | Fact::Refund(_)) => self.state.tries = tries.saturating_add(1),
            (_, Fact::Unknown { spent, .. }) => {
                self.state.tries = tries.saturating_add(1);
                self.state.spent += u32::from(spent && what == What::Open);
            }
        }
    }

    /// How a session stands, from whichever side it came.
    pub(super) fn session_told(&mut self, session: &Session) {
        let state = &mut self.state;
        match &state.session {
            Some(known) if known.id != session.id => {
                let paid = session.paid.map_or_else(String::new, |paid| format!(", in which {paid} came,"));
                return self.flag(format!("the gateway names another session {}{paid} for it", session.id));
            }
            Some(KnownSession { url: Some(_), .. }) => {}
            Some(_) | None => {
                state.session = Some(KnownSession { id: session.id.clone(), url: session.url.clone() });
            }
        }
        if state.intent.is_none() {
            state.intent.clone_from(&session.intent);
        }
        if state.status == Status::Created {
            state.status = Status::AwaitingPayer;
        }
        match (session.paid, session.status) {
            (Some(paid), _) => self.paid(paid),
            (None, SessionStatus::Expired) if self.state.status.is_pending() => {
                let cancelled = self.state.cancelling;
                self.end(if cancelled { Status::Cancelled } else { Status::Expired });
            }
            (None, SessionStatus::Expired | SessionStatus::Open | SessionStatus::Complete) => {}
        }
    }

    /// Money came: a fact, whatever is thought of it. Told again, it changes nothing.
    fn paid(&mut self, paid: Money) {
        let state = &mut self.state;
        let ours = paid.currency == state.price.currency;
        let heard = state.amounts.captured > 0 || state.status == Status::Held || state.status == Status::Completed;
        if heard {
            return;
        }
        if ours {
            state.amounts.captured = paid.minor;
            state.amounts.weigh();
        }
        match state.status {
            Status::Created | Status::AwaitingPayer if paid == state.price => self.complete(),
            Status::Created | Status::AwaitingPayer => {
                let price = state.price;
                self.end(Status::Held);
                self.flag(format!("{paid} came instead of {price}: nothing is executed; refund it, or settle by hand"));
            }
            Status::Cancelled | Status::Expired | Status::Failed => {
                let was: &str = state.status.into();
                self.flag(format!("{paid} came after it was {was}: nothing is executed; refund it"));
            }
            Status::Held | Status::Completed => {}
        }
    }

    /// It is paid, or costs nothing: the execution starts.
    pub(super) fn complete(&mut self) {
        self.end(Status::Completed);
        self.execute();
    }

    pub(super) fn declined(&mut self, reason: String) {
        if self.state.status.is_pending() {
            self.state.declined = Some(reason);
        } else {
            self.ignore();
        }
    }

    pub(super) fn not_paid(&mut self, reason: String) {
        if !self.state.status.is_pending() {
            return self.ignore();
        }
        self.state.failure = Some(reason);
        self.end(Status::Failed);
    }

    /// It stops waiting for money.
    pub(super) fn end(&mut self, status: Status) {
        self.state.status = status;
        self.state.ended_at = Some(self.moment.now);
        self.state.tries = 0;
        self.state.cancelling = false;
        self.disarm();
        if status != Status::Held && status != Status::Completed {
            // Kept no longer than it may be needed: money that comes now is not executed.
            self.state.execution = None;
        }
    }

    pub(super) fn sync(&mut self, input: Address) {
        self.ask_for(input);
    }

    pub(super) fn cancel(&mut self, input: Address) {
        match self.state.status {
            Status::Created | Status::AwaitingPayer => {
                self.state.cancelling = true;
                self.ask_for(input);
            }
            Status::Cancelled | Status::Expired => {
                self.ignore();
                self.answer(input, None);
            }
            Status::Held | Status::Completed | Status::Failed => {
                let ended: &str = self.state.status.into();
                let refusal = format!("payment {} is {ended} and can no longer be cancelled", self.state.id);
                self.refuse(refusal.clone());
                self.answer(input, Some(refusal));
            }
        }
    }

    /// Asks the gateway for `input`, which is told when the answer is there.
    fn ask_for(&mut self, input: Address) {
        if self.state.askers.len() >= ASKERS_MAX {
            return self.answer(input, Some("the gateway is being asked already; look again in a moment".to_owned()));
        }
        self.state.askers.push(input);
        if !self.ask_gateway() {
            self.answer_askers();
        }
    }

    fn answer_askers(&mut self) {
        for input in std::mem::take(&mut self.state.askers) {
            self.answer(input, None);
        }
    }

    pub(super) fn due(&mut self, timer: EffectNo) {
        if self.state.timer != Some(timer) {
            return self.ignore();
        }
        self.state.timer = None;
        if !self.ask_gateway() {
            self.rest();
        }
    }

    /// Arms the timer of the next call, where one is needed.
    pub(super) fn rest(&mut self) {
        let (now, state) = (self.moment.now, &self.state);
        if state.under_way.is_some() || state.timer.is_some() {
            return;
        }
        let due = match self.wanted() {
            Some(What::Open | What::Expire) => now.plus_ms(rest_ms(state.tries)),
            Some(What::Refunds | What::Look) if state.tries > 0 => now.plus_ms(rest_ms(state.tries)),
            Some(What::Look) if state.status.is_pending() => {
                let rest = LOOK_MS.saturating_mul(1 << state.looks.min(10)).min(LOOK_MS_MAX);
                let end = state.expires_at.plus_ms(END_GRACE_MS);
                let due = now.plus_ms(rest);
                if now < end { due.min(end) } else { due }
            }
            // What has ended is looked at again only when somebody asks, or the gateway calls.
            Some(What::Refunds | What::Look) | None => return,
        };
        let timer = self.next_effect();
        self.order(Effect::Arm { due, timer });
        self.state.timer = Some(timer);
    }

    fn disarm(&mut self) {
        if let Some(timer) = self.state.timer.take() {
            self.order(Effect::Disarm(timer));
        }
    }
}
