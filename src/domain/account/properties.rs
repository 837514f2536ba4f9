//! Payment, refunds and account together: whatever happens, in whatever order messages arrive and however often, nothing is
//! promised that is not there, and the books add up after every step.
//!
//! A small engine delivers what the machines order, as the real one does: each message once for its id, in any order, from
//! states that are read from their texts for every message, as after a crash.

use std::collections::{BTreeMap, BTreeSet};

use proptest::prelude::*;
use strum::IntoEnumIterator as _;
use uuid::Uuid;

use super::*;
use crate::domain::payment::{News, PaymentMachine, Receipt};
use crate::domain::rail::{Ask, Call, Dispute, DisputeStanding, Fact, GatewayRefund, Rail, RefundStatus};
use crate::domain::refund::{Reason, RefundMachine, Request};
use crate::domain::{EffectNo, Verdict};

const RECEIVER: &str = "platform";

#[derive(Clone, Debug)]
enum Event {
    /// A message is delivered; one is delivered again; a call reaches the gateway; its answer is lost, or it never arrives.
    Delivered(usize),
    Again(usize),
    Answered(usize),
    Lost(usize),
    Silent(usize),
    /// The gateway decides about a refund, or takes back what had succeeded.
    Decides(usize, bool),
    Reverses(usize),
    /// A refund of a payment is asked for, perhaps marked.
    Refund(u8, Option<i64>, bool),
    /// Others give money back at the gateway, the bank disputes, the receiver withdraws, an operator pays or does not.
    Foreign(u8, i64),
    Disputes(u8, DisputeStanding),
    Withdraws(u8),
    Pays(usize, bool),
    /// Somebody has the gateway asked about a payment or a refund.
    Look(u8),
    Sync(usize),
}

fn events() -> impl Strategy<Value = Vec<Event>> {
    use Event::*;
    let which = || any::<usize>();
    let payment = || 0..3_u8;
    let standing = prop_oneof![Just(DisputeStanding::Open), Just(DisputeStanding::Won), Just(DisputeStanding::Lost)];
    let minor = prop_oneof![1 => Just(None), 4 => (1..1_100_i64).prop_map(Some)];
    let event = prop_oneof![
        30 => which().prop_map(Delivered), 3 => which().prop_map(Again), 8 => which().prop_map(Answered),
        2 => which().prop_map(Lost), 2 => which().prop_map(Silent),
        4 => (which(), any::<bool>()).prop_map(|(which, well)| Decides(which, well)), 2 => which().prop_map(Reverses),
        8 => (payment(), minor, prop::bool::weighted(0.2)).prop_map(|(of, minor, marked)| Refund(of, minor, marked)),
        2 => (payment(), 1..900_i64).prop_map(|(of, minor)| Foreign(of, minor)),
        2 => (payment(), standing).prop_map(|(of, standing)| Disputes(of, standing)),
        1 => payment().prop_map(Withdraws), 2 => (which(), any::<bool>()).prop_map(|(which, well)| Pays(which, well)),
        2 => payment().prop_map(Look), 2 => which().prop_map(Sync),
    ];
    proptest::collection::vec(event, 0..150)
}

/// A message on its way.
#[derive(Clone)]
struct Mail {
    id: String,
    to: Address,
    body: String,
}

#[derive(Clone, Default)]
struct Actor {
    version: u64,
    state: Option<String>,
    inbox: BTreeSet<String>,
}

/// What a gateway has of a payment: ours by key, others' by number.
#[derive(Default)]
struct Gateway {
    refunds: Vec<(String, GatewayRefund)>,
}

#[derive(Default)]
struct World {
    actors: BTreeMap<Address, Actor>,
    mail: Vec<Mail>,
    delivered: Vec<Mail>,
    calls: Vec<(Address, EffectNo, Call)>,
    gateways: BTreeMap<String, Gateway>,
    ledger: Vec<Posting>,
    refunds: Vec<RefundId>,
    said: usize,
    now: i64,
}

fn payment_id(number: u8) -> PaymentId {
    PaymentId::new(Uuid::from_u128(100 + u128::from(number)))
}

fn usd() -> Currency {
    Currency::parse("usd").unwrap()
}

fn asker() -> Address {
    Address::new("input", "in_1")
}

fn read<S: serde::de::DeserializeOwned>(world: &World, address: &Address) -> Option<S> {
    let text = world.actors.get(address)?.state.as_ref()?;
    Some(serde_json::from_str(text).unwrap())
}

impl World {
    /// Two payments by card, which the gateway said were paid, and one that was received elsewhere; each 1000.
    fn new() -> Self {
        let mut world = Self { now: 1_000_000, ..Self::default() };
        for number in 0..2 {
            let id = payment_id(number);
            let execution = serde_json::json!({
                "id": format!("task_{number}"),
                "request": {
                    "type": "video_generation", "template_code": "film", "user_id": "ada", "owner": "client:shop",
                    "payment": id, "parameters": {},
                },
                "workflow": { "name": "noop", "digest": "d" },
            });
            let checkout = payment::Checkout {
                id,
                name: "A film".into(),
                price: Money::new(1000, usd()),
                receiver: RECEIVER.into(),
                rail: Rail::Stripe,
                execution: serde_json::from_value(execution).unwrap(),
                success_url: String::new(),
                cancel_url: String::new(),
                open_ms: 3_600_000,
            };
            world.tell(payment::address(id), &payment::Message::Checkout(Box::new(checkout)));
            world.deliver(world.mail.len() - 1);
            let session = serde_json::from_value(serde_json::json!({
                "id": format!("cs_{number}"), "status": "complete", "paid": { "minor": 1000, "currency": "usd" },
                "intent": format!("pi_{number}"),
            }));
            let news = News::Session(session.unwrap());
            world.tell(payment::address(id), &payment::Message::Told { news, input: asker() });
            world.deliver(world.mail.len() - 1);
        }
        let receipt = Receipt {
            id: payment_id(2),
            paid: Money::new(1000, usd()),
            receiver: RECEIVER.into(),
            reference: "0xabc".into(),
            owner: "client:shop".into(),
            user_id: String::new(),
        };
        let message = payment::Message::ReceivedElsewhere(Box::new(receipt));
        world.tell(payment::address(payment_id(2)), &message);
        world.deliver(world.mail.len() - 1);
        world
    }

    /// Something said from outside.
    fn tell(&mut self, to: Address, message: &impl Serialize) {
        self.said += 1;
        self.mail.push(Mail { id: format!("outside {}", self.said), to, body: json(message) });
    }

    fn deliver(&mut self, index: usize) {
        let mail = self.mail.remove(index);
        self.delivered.push(mail.clone());
        self.receive(&mail);
    }

    /// The engine's part: the inbox, the fence, the outbox.
    fn receive(&mut self, mail: &Mail) {
        let actor = self.actors.get(&mail.to).cloned().unwrap_or_default();
        if actor.inbox.contains(&mail.id) {
            return;
        }
        match mail.to.kind() {
            "payment" => self.step(&PaymentMachine, mail, actor),
            "refund" => self.step(&RefundMachine, mail, actor),
            "account" => self.step(&AccountMachine, mail, actor),
            "input" | "task" => {}
            kind => panic!("nobody is a {kind}"),
        }
    }

    fn step<M: Machine>(&mut self, machine: &M, mail: &Mail, mut actor: Actor) {
        let message: M::Message = serde_json::from_str(&mail.body).unwrap();
        let state: Option<M::State> = actor.state.as_ref().map(|text| serde_json::from_str(text).unwrap());
        if state.is_none() && !M::is_birth(&message) {
            self.mail.push(mail.clone());
            return;
        }
        self.now += 1;
        let moment = Moment { now: Timestamp(self.now), version: actor.version + 1 };
        let decision = machine.apply(state.as_ref(), message, moment).unwrap();
        actor.version += 1;
        actor.inbox.insert(mail.id.clone());
        if let Some(state) = decision.state {
            actor.state = Some(serde_json::to_string(&state).unwrap());
        }
        assert!(actor.state.is_some() || !matches!(decision.verdict, Verdict::Applied));
        self.actors.insert(mail.to.clone(), actor);
        for (index, effect) in (0..).zip(decision.effects) {
            let number = moment.effect(index);
            let id = |number: EffectNo| format!("{}:{}:{}", mail.to, number.version, number.index);
            match effect.into() {
                Order::Tell { to, message, .. } => self.mail.push(Mail { id: id(number), to, body: message }),
                Order::Timer { message, .. } => {
                    self.mail.push(Mail { id: id(number), to: mail.to.clone(), body: message });
                }
                Order::Start { input, .. } => {
                    self.calls.push((mail.to.clone(), number, serde_json::from_str(&input).unwrap()));
                }
                Order::Record { row } => self.ledger.push(serde_json::from_str(&row).unwrap()),
                Order::Cancel { effect } => self.mail.retain(|mail| mail.id != id(effect)),
            }
        }
        self.check();
    }

    fn carry_out(&mut self, call: &Call) -> Fact {
        match &call.ask {
            Ask::Refund { intent, amount, refund, .. } => {
                let gateway = self.gateways.entry(intent.clone()).or_default();
                if let Some((_, known)) = gateway.refunds.iter().find(|(key, _)| *key == call.key) {
                    return Fact::Refund(known.clone());
                }
                let id = format!("re_gw_{}", call.key);
                let status = RefundStatus::Pending;
                let made = GatewayRefund { id, refund: Some(*refund), amount: *amount, status, reason: None };
                gateway.refunds.push((call.key.clone(), made.clone()));
                Fact::Refund(made)
            }
            Ask::ListRefunds { intent } => {
                let gateway = self.gateways.entry(intent.clone()).or_default();
                Fact::Refunds(gateway.refunds.iter().map(|(_, refund)| refund.clone()).collect())
            }
            Ask::OpenSession(_) | Ask::ReadSession { .. } | Ask::ExpireSession { .. } => {
                Fact::NotDone { why: "busy".into(), retry_after_ms: None }
            }
        }
    }

    fn report(&mut self, index: usize, fact: &Fact) {
        let (to, effect, _) = self.calls.remove(index);
        let report = Report { effect, outcome: Ok(serde_json::to_value(fact).unwrap()) };
        let body = match to.kind() {
            "payment" => json(&payment::Message::GatewayReported(report)),
            _ => json(&refund::Message::GatewayReported(report)),
        };
        let mail = Mail { id: format!("{to}:{}:{}", effect.version, effect.index), to, body };
        self.receive(&mail);
    }

    /// The refund of ours, or of others, at a gateway, that `which` chooses.
    fn at_gateway(&mut self, which: usize, wanted: RefundStatus) -> Option<&mut GatewayRefund> {
        let all: Vec<&mut GatewayRefund> = self
            .gateways
            .values_mut()
            .flat_map(|gateway| gateway.refunds.iter_mut().map(|(_, refund)| refund))
            .filter(|refund| refund.status == wanted)
            .collect();
        let count = all.len();
        all.into_iter().nth(which.checked_rem(count)?)
    }

    fn happens(&mut self, event: &Event) {
        let pick = |which: usize, count: usize| which.checked_rem(count);
        match event {
            Event::Delivered(which) => {
                if let Some(index) = pick(*which, self.mail.len()) {
                    self.deliver(index);
                }
            }
            Event::Again(which) => {
                if let Some(index) = pick(*which, self.delivered.len()) {
                    let mail = self.delivered[index].clone();
                    self.receive(&mail);
                }
            }
            Event::Answered(which) => {
                if let Some(index) = pick(*which, self.calls.len()) {
                    let call = self.calls[index].2.clone();
                    let fact = self.carry_out(&call);
                    self.report(index, &fact);
                }
            }
            Event::Lost(which) | Event::Silent(which) => {
                if let Some(index) = pick(*which, self.calls.len()) {
                    if matches!(event, Event::Lost(_)) {
                        let call = self.calls[index].2.clone();
                        self.carry_out(&call);
                    }
                    self.report(index, &Fact::Unknown { why: "silence".into(), spent: false });
                }
            }
            Event::Decides(which, well) => {
                if let Some(refund) = self.at_gateway(*which, RefundStatus::Pending) {
                    refund.status = if *well { RefundStatus::Succeeded } else { RefundStatus::Failed };
                }
            }
            Event::Reverses(which) => {
                if let Some(refund) = self.at_gateway(*which, RefundStatus::Succeeded) {
                    refund.status = RefundStatus::Failed;
                }
            }
            Event::Refund(of, minor, marked) => {
                let id = RefundId::new(Uuid::from_u128(1_000 + self.refunds.len() as u128));
                self.refunds.push(id);
                let request = Request::new(id, payment_id(*of), Reason::UserRequest, "client:shop".into());
                let request = Request { minor: *minor, marked: *marked, ..request };
                self.tell(refund::address(id), &refund::Message::Request(Box::new(request)));
            }
            Event::Foreign(of, minor) if *of < 2 => {
                let gateway = self.gateways.entry(format!("pi_{of}")).or_default();
                let id = format!("re_other_{of}_{}", gateway.refunds.len());
                let (amount, status) = (Money::new(*minor, usd()), RefundStatus::Succeeded);
                gateway.refunds.push((id.clone(), GatewayRefund { id, refund: None, amount, status, reason: None }));
                self.look(*of);
            }
            Event::Disputes(of, standing) if *of < 2 => {
                let amount = Money::new(700, usd());
                let news = News::Dispute(Dispute { id: format!("dp_{of}"), amount, standing: *standing });
                self.tell(payment::address(payment_id(*of)), &payment::Message::Told { news, input: asker() });
            }
            Event::Foreign(..) | Event::Disputes(..) => {}
            Event::Withdraws(of) => {
                self.tell(payment::address(payment_id(*of)), &payment::Message::Withdraw { input: asker() });
            }
            Event::Pays(which, well) => {
                let Some(index) = pick(*which, self.refunds.len()) else { return };
                let input = asker();
                let message = if *well {
                    refund::Message::Paid { input, reference: "0xdef".into() }
                } else {
                    refund::Message::NotPaid { input, reason: "No.".into() }
                };
                self.tell(refund::address(self.refunds[index]), &message);
            }
            Event::Look(of) => self.look(*of),
            Event::Sync(which) => {
                let Some(index) = pick(*which, self.refunds.len()) else { return };
                self.tell(refund::address(self.refunds[index]), &refund::Message::Sync { input: asker() });
            }
        }
    }

    /// The gateway says that refunds of a payment moved.
    fn look(&mut self, of: u8) {
        let message = payment::Message::Sync { input: asker() };
        self.tell(payment::address(payment_id(of)), &message);
    }

    fn account(&self) -> Balances {
        read::<State>(self, &address(RECEIVER)).map(|state| state.of(usd())).unwrap_or_default()
    }

    fn payments(&self) -> impl Iterator<Item = payment::State> {
        (0..3).map(|number| read(self, &payment::address(payment_id(number))).unwrap())
    }

    /// What holds after every step.
    fn check(&self) {
        let account = self.account();
        let mut sums = Balances::default();
        for posting in &self.ledger {
            assert!(posting.amount > 0 && posting.debit != posting.credit, "{posting:?}");
            *sums.of_mut(posting.debit) -= posting.amount;
            *sums.of_mut(posting.credit) += posting.amount;
        }
        assert_eq!(account, sums, "the account is the sum of its postings");
        assert_eq!(Bucket::iter().map(|bucket| account.of(bucket)).sum::<i64>(), 0, "{account:?}");
        assert!(account.reserved >= 0, "more was released than was promised: {account:?}");
        for number in 0..3 {
            let Some(payment) = read::<payment::State>(self, &payment::address(payment_id(number))) else { continue };
            assert!(payment.amounts.hold(), "{:?}", payment.amounts);
            // What we sent or have promised, and what we alone decide about, never exceeds what came in: nobody else took.
            if payment.imported.is_empty() && payment.disputes.is_empty() {
                assert_eq!(payment.amounts.over, 0, "{:?}", payment.amounts);
            }
        }
        for gateway in self.gateways.values() {
            let ours: Vec<_> = gateway.refunds.iter().filter_map(|(_, refund)| refund.refund).collect();
            assert_eq!(ours.len(), ours.iter().collect::<BTreeSet<_>>().len(), "a refund was made twice");
        }
    }

    /// Everything that is on its way arrives, and the gateway decides.
    fn settle(&mut self) {
        for round in 0..400 {
            while !self.mail.is_empty() {
                let unborn = |mail: &Mail| {
                    !self.actors.contains_key(&mail.to)
                        && matches!(mail.to.kind(), "refund")
                        && !mail.body.starts_with("{\"request\"")
                };
                let Some(index) = self.mail.iter().position(|mail| !unborn(mail)) else { break };
                // A pending refund rests and is looked at for ever: it is decided first.
                if mail_is_timer(&self.mail[index]) && !self.calls.is_empty() {
                    break;
                }
                self.deliver(index);
            }
            if self.calls.is_empty() && self.mail.iter().all(|mail| !mail_is_timer(mail)) {
                break;
            }
            for which in 0..20 {
                self.happens(&Event::Decides(which, round % 2 == 0));
            }
            while !self.calls.is_empty() {
                self.happens(&Event::Answered(0));
            }
        }
    }

    /// What holds once everything is told.
    fn check_settled(&self) {
        let account = self.account();
        let sum = |of: fn(&payment::State) -> i64| self.payments().map(|payment| of(&payment)).sum::<i64>();
        assert_eq!(account.reserved, sum(|payment| payment.amounts.reserved), "{account:?}");
        assert_eq!(account.withdrawn, sum(|payment| payment.withdrawn), "{account:?}");
        assert_eq!(account.suspense, -sum(|payment| payment.amounts.over), "{account:?}");
        assert_eq!(account.disputed, sum(|payment| payment.moved().disputed - payment.moved().lost), "{account:?}");
        let left = sum(|payment| {
            let amounts = payment.amounts;
            amounts.captured + amounts.over - amounts.refunded - amounts.reserved - amounts.disputed - payment.withdrawn
        });
        assert_eq!(account.available, left, "{account:?}");
        for id in &self.refunds {
            let Some(refund) = read::<refund::State>(self, &refund::address(*id)) else { continue };
            let waits_for_operator = refund.status == refund::Status::Submitted && !refund.rail.has_gateway();
            assert!(refund.status.is_settled() || waits_for_operator, "{refund:?}");
            assert_eq!(refund.held, waits_for_operator, "{refund:?}");
            assert!(
                !matches!(refund.status, refund::Status::ReversalInitiated | refund::Status::ReversalProcessing),
                "{refund:?}"
            );
        }
        // What the gateway gave back, and what was given back elsewhere, is what the payments count.
        let at_gateway: i64 = self
            .gateways
            .values()
            .flat_map(|gateway| &gateway.refunds)
            .filter(|(_, refund)| refund.status == RefundStatus::Succeeded)
            .map(|(_, refund)| refund.amount.minor)
            .sum();
        let elsewhere: i64 = self
            .refunds
            .iter()
            .filter_map(|id| read::<refund::State>(self, &refund::address(*id)))
            .filter(|refund| refund.request.marked || !refund.rail.has_gateway())
            .filter(|refund| refund.status == refund::Status::Succeeded)
            .filter_map(|refund| refund.amount)
            .map(|amount| amount.minor)
            .sum();
        assert_eq!(sum(|payment| payment.amounts.refunded), at_gateway + elsewhere);
    }
}

fn mail_is_timer(mail: &Mail) -> bool {
    mail.body.starts_with("{\"due\"")
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 256, ..ProptestConfig::default() })]

    #[test]
    fn the_books_add_up_after_every_step_and_say_the_same_as_payments_and_refunds_in_the_end(events in events()) {
        let mut world = World::new();
        for event in &events {
            world.happens(event);
        }
        world.settle();
        // Whatever the gateway said last is known once it is asked.
        for number in 0..2 {
            world.look(number);
        }
        world.settle();
        world.check_settled();
    }
}

#[test]
fn refunds_of_one_payment_get_what_was_captured_and_not_a_cent_more() {
    let mut world = World::new();
    for _ in 0..40 {
        world.happens(&Event::Refund(0, Some(70), false));
    }
    world.settle();
    world.check_settled();
    let payment: payment::State = read(&world, &payment::address(payment_id(0))).unwrap();
    let made: i64 = world.gateways["pi_0"].refunds.iter().map(|(_, refund)| refund.amount.minor).sum();
    assert_eq!((payment.amounts.reserved, made), (0, 14 * 70), "14 of 70 are the most of 1000");
}

#[test]
fn a_refund_waits_for_the_account_to_have_what_came_in() {
    let mut world = World::new();
    world.happens(&Event::Refund(0, Some(400), false));
    while let Some(index) = world.mail.iter().position(|mail| mail.to.kind() != "account") {
        world.deliver(index);
    }
    assert!(world.ledger.is_empty() && world.calls.iter().all(|(to, ..)| to.kind() == "payment"), "nothing is sent");
    world.settle();
    assert_eq!(world.gateways["pi_0"].refunds.len(), 1);
}

#[test]
fn what_the_account_has_not_is_promised_to_nobody_and_the_payment_gets_its_promise_back() {
    let mut world = World::new();
    // Withdrawn on the card rail, a payment may be refunded out of what else the receiver has, and out of no more.
    for number in 0..3 {
        world.happens(&Event::Withdraws(number));
    }
    world.settle();
    world.happens(&Event::Refund(0, Some(400), false));
    world.settle();
    world.check_settled();
    let refund: refund::State = read(&world, &refund::address(world.refunds[0])).unwrap();
    let code = refund.failure.map(|failure| failure.code);
    assert_eq!((refund.status, code.as_deref()), (refund::Status::Failed, Some("insufficient_funds")));
    let payment: payment::State = read(&world, &payment::address(payment_id(0))).unwrap();
    assert_eq!((payment.amounts.reserved, payment.amounts.remainder()), (0, 1000));
    assert!(world.gateways.values().all(|gateway| gateway.refunds.is_empty()), "nothing was sent");
}
