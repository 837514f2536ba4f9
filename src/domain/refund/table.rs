//! Every state of a refund meets every message. The snapshot is the specification: read it before accepting a change.

use strum::IntoEnumIterator;
use uuid::Uuid;

use super::*;
use crate::domain::money::Currency;
use crate::domain::rail::{Fact, KEY_AGE_MS_MAX, RefundStatus};
use crate::domain::table;

pub(super) fn usd(minor: i64) -> Money {
    Money::new(minor, Currency::parse("usd").unwrap())
}

pub(super) fn id() -> RefundId {
    RefundId::new(Uuid::from_u128(9))
}

pub(super) fn request() -> Request {
    let payment = PaymentId::new(Uuid::from_u128(7));
    Request { minor: Some(400), ..Request::new(id(), payment, Reason::UserRequest, "client:shop".into()) }
}

pub(super) fn promised(rail: Rail) -> Message {
    let intent = if rail.has_gateway() { "pi_1".into() } else { String::new() };
    Message::Reserved { amount: usd(400), intent, rail, receiver: Some("platform".into()) }
}

pub(super) fn asker() -> Address {
    Address::new("input", "in_1")
}

pub(super) fn told(status: RefundStatus) -> GatewayRefund {
    GatewayRefund { id: "re_gw".into(), refund: Some(id()), amount: usd(400), status, reason: None }
}

pub(super) fn unknown() -> Fact {
    Fact::Unknown { why: "silence".into(), spent: false }
}

pub(super) fn busy() -> Fact {
    Fact::NotDone { why: "busy".into(), retry_after_ms: Some(9_000) }
}

pub(super) fn rejected() -> Fact {
    Fact::Rejected { code: "charge_disputed".into(), message: "No.".into() }
}

/// A refund on its way through its life.
#[derive(Clone)]
pub(super) struct Run {
    pub state: Option<State>,
    pub version: u64,
    pub now: Timestamp,
    pub effects: Vec<Effect>,
}

impl Run {
    pub fn unborn() -> Self {
        Self { state: None, version: 0, now: Timestamp(1_000_000), effects: Vec::new() }
    }

    pub fn born() -> Self {
        Self::unborn().then(Message::Request(Box::new(request())))
    }

    pub fn sent() -> Self {
        Self::born().then(promised(Rail::Stripe)).then(Message::AccountReserved)
    }

    pub fn state(&self) -> &State {
        self.state.as_ref().unwrap()
    }

    pub fn moment(&self) -> Moment {
        Moment { now: self.now, version: self.version + 1 }
    }

    pub fn say(&mut self, message: Message) -> Decision<State, Effect> {
        let decision = RefundMachine.apply(self.state.as_ref(), message, self.moment()).unwrap();
        self.version += 1;
        self.effects.extend(decision.effects.iter().cloned());
        if let Some(state) = decision.state.clone() {
            self.state = Some(state);
        }
        decision
    }

    pub fn then(mut self, message: Message) -> Self {
        self.say(message);
        self
    }

    pub fn hears(self, fact: Fact) -> Self {
        let (effect, _) = self.state().under_way.expect("a call is under way");
        self.then(Message::GatewayReported(Report { effect, outcome: Ok(serde_json::to_value(fact).unwrap()) }))
    }

    pub fn rings(mut self) -> Self {
        let timer = self.state().timer.expect("a timer is armed");
        self.now = self.now.plus_ms(60_000);
        self.then(Message::Due { timer })
    }

    pub fn sends(&self) -> Vec<&Call> {
        let call = |effect: &'_ Effect| matches!(effect, Effect::Call(Call { ask: rail::Ask::Refund { .. }, .. }));
        let sent = self.effects.iter().filter(|effect| call(effect));
        sent.filter_map(|effect| if let Effect::Call(call) = effect { Some(call) } else { None }).collect()
    }
}

use crate::domain::rail;

fn old(mut run: Run) -> Run {
    run.now = run.now.plus_ms(KEY_AGE_MS_MAX + 1);
    run
}

fn sync() -> Message {
    Message::Sync { input: asker() }
}

fn short() -> Run {
    Run::born().then(promised(Rail::Stripe)).then(Message::AccountRefused { reason: "Too little.".into() })
}

fn legacy() -> Run {
    let intent = "pi_1".into();
    Run::born().then(Message::Reserved { amount: usd(400), intent, rail: Rail::Stripe, receiver: None })
}

fn reversed() -> Run {
    let run = Run::sent().hears(Fact::Refund(told(RefundStatus::Succeeded)));
    run.then(Message::Seen { told: told(RefundStatus::Failed) })
}

fn by_hand() -> Run {
    Run::born().then(promised(Rail::Manual)).then(Message::AccountReserved)
}

fn marked() -> Run {
    let request = Request { marked: true, ..request() };
    Run::unborn().then(Message::Request(Box::new(request))).then(promised(Rail::Stripe)).then(Message::AccountReserved)
}

fn states() -> Vec<(&'static str, Run)> {
    let refused = Message::ReservationRefused { reason: "Nothing is left.".into() };
    vec![
        ("unborn", Run::unborn()),
        ("requested", Run::born()),
        ("refused by the payment", Run::born().then(refused)),
        ("requested, to give way", Run::born().then(Message::Yield)),
        ("reserving account", Run::born().then(promised(Rail::Stripe))),
        ("reserving account, to give way", Run::born().then(promised(Rail::Stripe)).then(Message::Yield)),
        ("releasing", short()),
        ("refused by the account", short().then(Message::Released)),
        ("promised before there were accounts", legacy()),
        ("sent", Run::sent()),
        ("busy, rests", Run::sent().hears(busy())),
        ("pending at the gateway", Run::sent().hears(Fact::Refund(told(RefundStatus::Pending)))),
        ("pending, looked at", Run::sent().hears(Fact::Refund(told(RefundStatus::Pending))).rings()),
        ("unknown", Run::sent().hears(unknown())),
        ("unknown, asked", Run::sent().hears(unknown()).rings()),
        ("unknown, asked too late for its key", old(Run::sent().hears(unknown()).rings())),
        ("succeeded", Run::sent().hears(Fact::Refund(told(RefundStatus::Succeeded)))),
        ("succeeded, asked", Run::sent().hears(Fact::Refund(told(RefundStatus::Succeeded))).then(sync())),
        ("reversed", reversed()),
        ("reversed, booked by one", reversed().then(Message::ReversalBooked)),
        ("reversed, booked", reversed().then(Message::ReversalBooked).then(Message::ReversalBooked)),
        ("failed", Run::sent().hears(rejected())),
        ("to be paid by hand", by_hand()),
        ("paid by hand", by_hand().then(Message::Paid { input: asker(), reference: "0xabc".into() })),
        (
            "not paid by hand",
            by_hand().then(Message::NotPaid { input: asker(), reason: "The address is wrong.".into() }),
        ),
        ("marked", marked()),
        ("gave way", Run::sent().hears(busy()).then(Message::Yield)),
    ]
}

fn messages(run: &Run) -> Vec<(&'static str, Message)> {
    let stranger = EffectNo { version: 99, index: 0 };
    let state = run.state.as_ref();
    let effect = state.and_then(|state| state.under_way).map_or(stranger, |(effect, _)| effect);
    let timer = state.and_then(|state| state.timer).unwrap_or(stranger);
    let report =
        |fact: Fact| Message::GatewayReported(Report { effect, outcome: Ok(serde_json::to_value(fact).unwrap()) });
    let seen = |status| Message::Seen { told: told(status) };
    let other = Request { minor: Some(5), ..request() };
    vec![
        ("request", Message::Request(Box::new(request()))),
        ("request of another", Message::Request(Box::new(other))),
        ("reserved", promised(Rail::Stripe)),
        ("reservation refused", Message::ReservationRefused { reason: "Nothing is left.".into() }),
        ("reported succeeded", report(Fact::Refund(told(RefundStatus::Succeeded)))),
        ("reported pending", report(Fact::Refund(told(RefundStatus::Pending)))),
        ("reported failed", report(Fact::Refund(told(RefundStatus::Failed)))),
        ("reported refused", report(rejected())),
        ("reported busy", report(busy())),
        ("reported unknown", report(unknown())),
        ("reported unknown, key spent", report(Fact::Unknown { why: "stored".into(), spent: true })),
        ("reported not listed", report(Fact::Refunds(vec![]))),
        ("reported listed", report(Fact::Refunds(vec![told(RefundStatus::Succeeded)]))),
        ("reported, not ours", Message::GatewayReported(Report { effect: stranger, outcome: Ok(Value::Null) })),
        ("due", Message::Due { timer }),
        ("due, other timer", Message::Due { timer: EffectNo { version: 98, index: 0 } }),
        ("yield", Message::Yield),
        ("seen succeeded", seen(RefundStatus::Succeeded)),
        ("seen pending", seen(RefundStatus::Pending)),
        ("seen failed", seen(RefundStatus::Failed)),
        ("account reserved", Message::AccountReserved),
        ("account refused", Message::AccountRefused { reason: "Too little.".into() }),
        ("released", Message::Released),
        ("reversal booked", Message::ReversalBooked),
        ("sync", sync()),
        ("paid by hand", Message::Paid { input: asker(), reference: "0xabc".into() }),
        ("not paid by hand", Message::NotPaid { input: asker(), reason: "The address is wrong.".into() }),
    ]
}

/// Fails to compile when a message is added, so that the table is thought of; counts the kinds above.
fn kind(message: &Message) -> usize {
    match message {
        Message::Request(_) => 0,
        Message::Reserved { .. } => 1,
        Message::ReservationRefused { .. } => 2,
        Message::GatewayReported(_) => 3,
        Message::Due { .. } => 4,
        Message::Yield => 5,
        Message::Seen { .. } => 6,
        Message::AccountReserved => 7,
        Message::AccountRefused { .. } => 8,
        Message::Released => 9,
        Message::ReversalBooked => 10,
        Message::Sync { .. } => 11,
        Message::Paid { .. } => 12,
        Message::NotPaid { .. } => 13,
    }
}

fn shown(state: &State) -> String {
    let status: &str = state.status.into();
    let what = state.under_way.map(|(_, what)| <&str>::from(what)).map(|what| format!(" calls {what}"));
    let rests = if state.timer.is_some() { " rests" } else { "" };
    let held = if state.held { " held" } else { "" };
    let why = state.failure.as_ref().map(|failure| format!(" ({})", failure.code)).unwrap_or_default();
    let attention = if state.attention.is_some() { " !" } else { "" };
    format!("{status}{held}{}{rests}{why}{attention}", what.unwrap_or_default())
}

fn effect(effect: &Effect, now: Timestamp) -> String {
    match effect {
        Effect::Call(Call { ask, key, again, .. }) => {
            let what: &str = ask.into();
            format!("{what} under {}{}", &key[key.len() - 2..], if *again { " again" } else { "" })
        }
        Effect::Arm { due, .. } => format!("arm in {}s", due.since_ms(now) / 1_000),
        Effect::Disarm(_) => "disarm".to_owned(),
        Effect::TellPayment { message, .. } => {
            let what: &str = message.into();
            format!("tell payment {what}")
        }
        Effect::TellAccount { message, .. } => {
            let what: &str = message.into();
            let how = match message {
                account::Message::RefundSucceeded { held, marked, .. } => {
                    format!("{}{}", if *held { ", held" } else { "" }, if *marked { ", marked" } else { "" })
                }
                _ => String::new(),
            };
            format!("tell account {what}{how}")
        }
        Effect::Answer { refused: None, .. } => "answer accepted".to_owned(),
        Effect::Answer { refused: Some(why), .. } => format!("answer refused: {why}"),
    }
}

#[test]
fn every_state_meets_every_message() {
    let words = table::Words { state: shown, effect: |ordered, moment| effect(ordered, moment.now), width: 28 };
    let rows = states().into_iter().map(|(name, run)| {
        let (messages, moment) = (messages(&run), run.moment());
        table::Row { name, machine: RefundMachine, state: run.state, moment, messages }
    });
    insta::assert_snapshot!(table::of(&words, rows));
}

#[test]
fn the_table_has_every_status_and_every_message() {
    let states = states();
    for status in Status::iter() {
        assert!(
            states.iter().any(|(_, run)| run.state.as_ref().is_some_and(|state| state.status == status)),
            "{status:?}"
        );
    }
    let mut said: Vec<usize> = messages(&Run::unborn()).iter().map(|(_, message)| kind(message)).collect();
    said.dedup();
    assert_eq!(said, (0..=13).collect::<Vec<_>>());
}

#[test]
fn a_lost_answer_is_asked_for_before_anything_is_sent_again_and_then_under_the_same_key() {
    let run = Run::sent().hears(unknown()).rings();
    assert_eq!(run.sends().len(), 1, "asked, not sent");
    let run = run.hears(Fact::Refunds(vec![]));
    let sends = run.sends();
    assert_eq!((sends.len(), &sends[0].key, sends[0].first_sent_at), (2, &sends[1].key, sends[1].first_sent_at));
    let found = Run::sent().hears(unknown()).rings().hears(Fact::Refunds(vec![told(RefundStatus::Succeeded)]));
    assert_eq!((found.state().status, found.sends().len()), (Status::Succeeded, 1));
}

#[test]
fn after_the_key_is_forgotten_the_gateway_is_only_asked_and_a_person_is_called() {
    let run = old(Run::sent().hears(unknown()).rings()).hears(Fact::Refunds(vec![]));
    assert_eq!((run.state().status, run.sends().len()), (Status::OutcomeUnknown, 1));
    assert!(run.state().attention.is_some());
    // And should it turn up after all:
    let run = run.rings().hears(Fact::Refunds(vec![told(RefundStatus::Succeeded)]));
    assert_eq!((run.state().status, &run.state().attention), (Status::Succeeded, &None));
}

#[test]
fn success_is_not_the_last_word() {
    let run = Run::sent().hears(Fact::Refund(told(RefundStatus::Succeeded)));
    let run = run.then(Message::Seen { told: told(RefundStatus::Failed) });
    assert_eq!(run.state().status, Status::ReversalInitiated);
    let reversed = payment::Message::RefundReversed { refund: id(), as_of: run.version, booked: true };
    assert!(run.effects.contains(&Effect::TellPayment { payment: request().payment, message: reversed }));
}
