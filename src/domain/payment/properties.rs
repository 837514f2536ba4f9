//! Whatever comes, in whatever order and however often: what always holds of a payment.
//!
//! A small gateway plays along: what it is asked happens or not, and its answer arrives or is lost. Its webhooks come
//! twice, late, in another order or never; whoever pays, cancels or looks does so at any time. At the end everything is
//! reconciled by the payment's own timers alone.

use proptest::prelude::*;

use super::tests::{Run, asker, refund, session, told, unknown, usd};
use super::*;
use crate::domain::rail::{Ask, Fact, GatewayRefund, RefundStatus, SessionStatus};

/// What happens next. Numbers choose among what is possible then.
#[derive(Clone, Debug)]
enum Event {
    /// The call under way is carried out, and its answer arrives.
    Answered,
    /// It is carried out, and its answer is lost.
    Lost,
    /// It is not carried out, and nobody knows.
    Silent,
    /// The timer rings.
    Rings,
    /// The payer pays, or lets the session expire.
    Pays,
    Expires,
    /// A webhook that the gateway has sent at some time arrives, perhaps not for the first time.
    Webhook(usize),
    /// Somebody looks, or cancels.
    Sync,
    Cancel,
    /// A refund of ours asks for so much, or ends.
    Reserve(u8, Option<i64>),
    Succeeds(u8),
    Releases(u8),
    Reverses(u8),
    /// Somebody gives money back at the gateway.
    Foreign(i64),
    /// A dispute opens, or is decided.
    Disputes(DisputeStanding),
    /// The task ends.
    Ends(TaskEnd),
}

fn events() -> impl Strategy<Value = Vec<Event>> {
    use Event::*;
    let minor = prop_oneof![Just(None), (-10..1_200_i64).prop_map(Some)];
    let end = prop_oneof![
        Just(TaskEnd::Completed),
        Just(TaskEnd::Failed),
        any::<bool>().prop_map(|begun| TaskEnd::Cancelled { begun })
    ];
    let standing = prop_oneof![Just(DisputeStanding::Open), Just(DisputeStanding::Won), Just(DisputeStanding::Lost)];
    let event = prop_oneof![
        10 => Just(Answered), 2 => Just(Lost), 2 => Just(Silent), 4 => Just(Rings), 3 => Just(Pays), 1 => Just(Expires),
        6 => any::<usize>().prop_map(Webhook), 3 => Just(Sync), 2 => Just(Cancel),
        4 => (0..4_u8, minor).prop_map(|(refund, minor)| Reserve(refund, minor)),
        2 => (0..4_u8).prop_map(Succeeds), 2 => (0..4_u8).prop_map(Releases), 1 => (0..4_u8).prop_map(Reverses),
        1 => (1..900_i64).prop_map(Foreign), 1 => standing.prop_map(Disputes), 2 => end.prop_map(Ends),
    ];
    proptest::collection::vec(event, 0..60)
}

/// The gateway: one session, and its refunds.
struct World {
    run: Run,
    session: Option<Session>,
    refunds: Vec<GatewayRefund>,
    webhooks: Vec<News>,
}

impl World {
    fn new() -> Self {
        Self { run: Run::born(), session: None, refunds: Vec::new(), webhooks: Vec::new() }
    }

    /// Delivers a message, and checks what always holds.
    fn say(&mut self, message: Message) {
        self.run.say(message.clone());
        let state = self.run.state().clone();
        assert!(state.amounts.hold(), "{:?}", state.amounts);
        assert_eq!(state.amounts.reserved, state.reservations.values().sum::<i64>());
        let ours: i64 = state.refunds.values().sum();
        assert_eq!(state.amounts.refunded, ours + state.imported.values().sum::<i64>());
        let limit = state.amounts.captured + state.amounts.over;
        assert!(state.amounts.refunded + state.amounts.reserved + state.amounts.disputed <= limit);
        assert!(self.executions() <= 1, "executed twice");
        assert!(self.given_back() <= 1, "given back twice");
        assert!(state.under_way.is_none() || state.timer.is_none(), "it asks or rests, never both");
        let waits = state.under_way.is_some() || state.timer.is_some();
        assert!(!state.status.is_pending() || waits, "it waits for money and for nothing else");
        assert_eq!(state.moved(), self.told_to_account(), "the account is told everything, once");
        assert!(state.askers.is_empty() || state.under_way.is_some(), "whoever asks is told");
        // A message twice equals once, but for those whose callers are remembered.
        if !matches!(message, Message::Sync { .. } | Message::Cancel { .. } | Message::Told { .. }) {
            let mut again = self.run.clone();
            again.say(message);
            let (once, twice) = (self.run.state(), again.state());
            assert_eq!((once.status, once.amounts, once.standing), (twice.status, twice.amounts, twice.standing));
        }
    }

    /// All that the account was told, together.
    fn told_to_account(&self) -> account::Moved {
        let nothing = account::Moved::default();
        self.run.effects.iter().fold(nothing, |sum, (_, effect)| match effect {
            Effect::TellAccount { message: account::Message::PaymentMoved { moved, .. }, .. } => {
                moved.since(nothing.since(sum))
            }
            _ => sum,
        })
    }

    fn executions(&self) -> usize {
        self.run.effects.iter().filter(|(_, effect)| matches!(effect, Effect::Execute(_))).count()
    }

    fn given_back(&self) -> usize {
        self.run.effects.iter().filter(|(_, effect)| matches!(effect, Effect::GiveBack(_))).count()
    }

    fn call(&self) -> Option<Call> {
        let effect = self.run.state().under_way?.effect;
        self.run.effects.iter().find_map(|(number, ordered)| match ordered {
            Effect::Call(call) if *number == effect => Some(call.clone()),
            _ => None,
        })
    }

    fn tells(&mut self) {
        self.webhooks.extend(self.session.clone().map(News::Session));
    }

    fn carry_out(&mut self, ask: &Ask) -> Fact {
        match ask {
            Ask::OpenSession(_) => {
                let opened = self.session.get_or_insert_with(|| session(SessionStatus::Open, None)).clone();
                Fact::Session(opened)
            }
            Ask::ReadSession { .. } => Fact::Session(self.session.clone().unwrap()),
            Ask::ExpireSession { .. } => match self.session.clone().unwrap().status {
                SessionStatus::Open => {
                    self.expire();
                    Fact::Session(self.session.clone().unwrap())
                }
                SessionStatus::Complete | SessionStatus::Expired => {
                    Fact::Rejected { code: "not_open".into(), message: "It is not open.".into() }
                }
            },
            Ask::ListRefunds { .. } => Fact::Refunds(self.refunds.clone()),
            Ask::Refund { .. } => unreachable!("a payment refunds nothing by itself"),
        }
    }

    fn expire(&mut self) {
        self.session = Some(session(SessionStatus::Expired, None));
        self.tells();
    }

    fn is(&self, status: SessionStatus) -> bool {
        self.session.as_ref().is_some_and(|session| session.status == status)
    }

    fn report(&mut self, fact: Fact) {
        let Some(call) = self.run.state().under_way else { return };
        let outcome = Ok(serde_json::to_value(fact).unwrap());
        self.say(Message::GatewayReported(Report { effect: call.effect, outcome }));
    }

    fn happens(&mut self, event: Event) {
        match event {
            Event::Answered => {
                let Some(call) = self.call() else { return };
                let fact = self.carry_out(&call.ask);
                self.report(fact);
            }
            Event::Lost => {
                let Some(call) = self.call() else { return };
                self.carry_out(&call.ask);
                self.report(unknown());
            }
            Event::Silent => self.report(unknown()),
            Event::Rings => {
                let Some(timer) = self.run.state().timer else { return };
                self.run.now = self.run.now.plus_ms(60_000);
                self.say(Message::Due { timer });
            }
            Event::Pays if self.is(SessionStatus::Open) => {
                self.session = Some(session(SessionStatus::Complete, Some(usd(1000))));
                self.tells();
            }
            Event::Expires if self.is(SessionStatus::Open) => self.expire(),
            Event::Pays | Event::Expires => {}
            Event::Webhook(which) => {
                if let Some(news) = which.checked_rem(self.webhooks.len()).map(|which| self.webhooks[which].clone()) {
                    self.say(told(news));
                }
            }
            Event::Sync => self.say(Message::Sync { input: asker() }),
            Event::Cancel => self.say(Message::Cancel { input: asker() }),
            Event::Reserve(number, minor) => {
                self.say(Message::ReserveRefund { refund: refund(number.into()), minor, marked: false });
            }
            Event::Succeeds(number) => {
                let refund = refund(number.into());
                if let Some(minor) = self.run.state().reservations.get(&refund).copied() {
                    self.say(Message::RefundSucceeded { refund, minor, as_of: self.run.version, booked: true });
                }
            }
            Event::Releases(number) => {
                self.say(Message::RefundReleased { refund: refund(number.into()), as_of: self.run.version });
            }
            Event::Reverses(number) => {
                let (refund, as_of) = (refund(number.into()), self.run.version);
                self.say(Message::RefundReversed { refund, as_of, booked: true });
            }
            Event::Foreign(minor) => {
                if self.is(SessionStatus::Complete) {
                    let id = format!("re_gw_{}", self.refunds.len());
                    let status = RefundStatus::Succeeded;
                    self.refunds.push(GatewayRefund { id, refund: None, amount: usd(minor), status, reason: None });
                    self.webhooks.push(News::RefundsMoved { intent: "pi_1".into() });
                }
            }
            Event::Disputes(standing) => {
                self.say(told(News::Dispute(Dispute { id: "dp_1".into(), amount: usd(1000), standing })));
            }
            Event::Ends(end) => {
                if self.run.state().is_executed() {
                    self.say(Message::TaskEnded { end });
                }
            }
        }
    }

    /// No webhook comes any more: the payment finds out by itself.
    fn reconcile(&mut self) {
        for _ in 0..200 {
            if self.run.state().under_way.is_some() {
                self.happens(Event::Answered);
            } else if self.run.state().timer.is_some() && !self.is_settled() {
                self.happens(Event::Rings);
            } else {
                return;
            }
            if self.is(SessionStatus::Open) && self.run.now > self.run.state().expires_at {
                self.expire();
            }
        }
        panic!("it never comes to rest: {:?}", self.run.state());
    }

    fn is_settled(&self) -> bool {
        !self.run.state().status.is_pending()
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 512, ..ProptestConfig::default() })]

    #[test]
    fn what_the_gateway_was_paid_is_executed_once_whatever_arrives_how_often_and_in_which_order(events in events()) {
        let mut world = World::new();
        for event in events {
            world.happens(event);
        }
        world.reconcile();
        let state = world.run.state().clone();
        if world.is(SessionStatus::Complete) {
            prop_assert_eq!((state.status, state.amounts.captured), (Status::Completed, 1000));
            prop_assert_eq!(world.executions(), 1);
        } else {
            prop_assert!(matches!(state.status, Status::Cancelled | Status::Expired), "{:?}", state.status);
            prop_assert_eq!((world.executions(), state.amounts.captured), (0, 0));
        }
    }

    #[test]
    fn no_sequence_of_refunds_promises_more_than_came_in(wishes in proptest::collection::vec((0..9_u8, -5..1_500_i64, 0..3_u8), 0..40)) {
        let mut run = Run::paid();
        for (number, minor, then) in wishes {
            let refund = refund(number.into());
            run.say(Message::ReserveRefund { refund, minor: Some(minor), marked: false });
            let promised = run.state().reservations.get(&refund).copied();
            match (then, promised) {
                (1, Some(minor)) => drop(run.say(Message::RefundSucceeded { refund, minor, as_of: 1, booked: true })),
                (2, Some(_)) => drop(run.say(Message::RefundReleased { refund, as_of: 1 })),
                _ => {}
            }
            let amounts = run.state().amounts;
            prop_assert!(amounts.refunded + amounts.reserved <= amounts.captured);
            prop_assert_eq!(amounts.over, 0, "nobody else took anything");
        }
    }
}
