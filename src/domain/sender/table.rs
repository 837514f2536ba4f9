//! Every state of a sender meets every message. The snapshot is the specification: read it before accepting a change.

use std::fmt::Write as _;

use uuid::Uuid;

use super::*;
use crate::domain::ethereum_address::EthereumAddress;
use crate::domain::money::Currency;
use crate::domain::rail::RefundStatus;
use crate::domain::{Failure, table};

pub(super) const POLICY: Policy =
    Policy { confirmations: 3, look_ms: 4_000, stuck_ms: 60_000, fee_max: 200_000_000_000 };
/// The nonce that the address has before we send anything.
pub(super) const FIRST: u64 = 7;
const GWEI: u64 = 1_000_000_000;
const ETHER: u128 = 1_000_000_000_000_000_000;

pub(super) fn ethereum(digit: char) -> EthereumAddress {
    EthereumAddress::parse(&format!("0x{}", digit.to_string().repeat(40))).unwrap()
}

pub(super) fn account() -> Account {
    Account { chain_id: 31337, address: ethereum('1') }
}

pub(super) fn refund(number: u128) -> RefundId {
    RefundId::new(Uuid::from_u128(number))
}

pub(super) fn wish(number: u128) -> Wish {
    let transfer = Transfer { to: ethereum('2'), asset: Asset::Native, units: Units(ETHER) };
    let amount = Money::new(1_000_000_000, Currency::parse("eth").unwrap());
    Wish { refund: refund(number), amount, transfer }
}

pub(super) fn token_wish(number: u128) -> Wish {
    let transfer = Transfer { to: ethereum('2'), asset: Asset::Token(ethereum('9')), units: Units(5_000_000) };
    Wish { transfer, ..wish(number) }
}

pub(super) fn view() -> View {
    View {
        chain_id: 31337,
        head: 100,
        nonce: FIRST,
        pending_nonce: FIRST,
        base_fee: 10 * GWEI,
        tip: GWEI,
        balance: Units(100 * ETHER),
        tokens: vec![(ethereum('9'), Units(8_000_000))],
        found: Vec::new(),
    }
}

pub(super) fn signed(nonce: u64, fees: Fees) -> Signed {
    Signed { raw: format!("0xraw-{nonce}-{}", fees.max), hash: format!("0xhash-{nonce}-{}", fees.max) }
}

fn silent() -> Fact {
    Fact::Silent { why: "connection refused".into() }
}

/// A sender on its way through its life.
#[derive(Clone)]
pub(super) struct Run {
    pub state: Option<State>,
    pub version: u64,
    pub now: Timestamp,
    pub effects: Vec<(EffectNo, Effect)>,
}

impl Run {
    pub fn unborn() -> Self {
        Self { state: None, version: 0, now: Timestamp(1_000_000), effects: Vec::new() }
    }

    pub fn opened() -> Self {
        Self::unborn().then(Message::Open(account())).sees(view())
    }

    /// One transfer, signed and broadcast.
    pub fn sent() -> Self {
        Self::opened().then(Message::Send(Box::new(wish(1)))).sees(view()).signs(FIRST).hears(FIRST, Fact::Taken)
    }

    pub fn state(&self) -> &State {
        self.state.as_ref().unwrap()
    }

    pub fn sending(&self, nonce: u64) -> &Sending {
        &self.state().sendings[&nonce]
    }

    fn moment(&self) -> Moment {
        Moment { now: self.now, version: self.version + 1 }
    }

    /// The state is read from its text for every message, as after a crash.
    pub fn say(&mut self, message: Message) -> Decision<State, Effect> {
        let moment = self.moment();
        let text = serde_json::to_string(&self.state).unwrap();
        let state: Option<State> = serde_json::from_str(&text).unwrap();
        assert_eq!(state, self.state);
        let decision = SenderMachine { policy: POLICY }.apply(state.as_ref(), message, moment).unwrap();
        self.version += 1;
        self.effects
            .extend((0..).zip(decision.effects.iter().cloned()).map(|(at, effect)| (moment.effect(at), effect)));
        if let Some(state) = decision.state.clone() {
            self.state = Some(state);
        }
        decision
    }

    pub fn then(mut self, message: Message) -> Self {
        self.say(message);
        self
    }

    pub fn reports(self, effect: EffectNo, fact: Fact) -> Self {
        self.then(Message::Reported(Report { effect, outcome: Ok(serde_json::to_value(fact).unwrap()) }))
    }

    pub fn looks(self, fact: Fact) -> Self {
        let run = if self.state().looking.is_some() { self } else { self.rings() };
        let looking = run.state().looking.expect("a look is under way");
        run.reports(looking, fact)
    }

    pub fn sees(self, view: View) -> Self {
        self.looks(Fact::Seen(Box::new(view)))
    }

    pub fn hears(self, nonce: u64, fact: Fact) -> Self {
        let effect = self.sending(nonce).under_way.expect("a call is under way");
        self.reports(effect, fact)
    }

    pub fn signs(self, nonce: u64) -> Self {
        let fees = self.sending(nonce).attempts.last().unwrap().fees;
        self.hears(nonce, Fact::Signed(signed(nonce, fees)))
    }

    pub fn rings(mut self) -> Self {
        let timer = self.state().timer.expect("a timer is armed");
        self.now = self.now.plus_ms(4_000);
        self.then(Message::Due { timer })
    }

    pub fn later(mut self, ms: i64) -> Self {
        self.now = self.now.plus_ms(ms);
        self
    }

    /// Everything that was ordered to be broadcast.
    pub fn broadcasts(&self) -> Vec<Signed> {
        let broadcast = |effect: &'_ Effect| match effect {
            Effect::Call(Call { ask: Ask::Broadcast { signed }, .. }) => Some(signed.clone()),
            _ => None,
        };
        self.effects.iter().filter_map(|(_, effect)| broadcast(effect)).collect()
    }

    /// What refunds were told: whether they succeeded.
    pub fn told(&self) -> Vec<(RefundId, bool)> {
        let told = |effect: &Effect| match effect {
            Effect::TellRefund { refund, message: refund::Message::Seen { told } } => {
                Some((*refund, told.status == RefundStatus::Succeeded))
            }
            _ => None,
        };
        self.effects.iter().filter_map(|(_, effect)| told(effect)).collect()
    }
}

/// The transfer with a nonce, by its first attempt, as the chain has it.
fn found(at: At) -> Vec<Found> {
    let fees = Fees { max: 21 * GWEI, tip: GWEI };
    vec![Found { hash: signed(FIRST, fees).hash, at }]
}

/// A look that finds the first transfer in block 101 below `head`.
pub(super) fn mined(head: u64, succeeded: bool) -> View {
    let found = found(At::Mined { block: 101, succeeded });
    View { head, nonce: FIRST + 1, pending_nonce: FIRST + 1, found, ..view() }
}

pub(super) fn waiting() -> View {
    View { pending_nonce: FIRST + 1, found: found(At::Waiting), ..view() }
}

/// A look that finds nothing of what is known to be sent, twice, so that it is believed.
fn twice(run: Run, view: View) -> Run {
    run.sees(view.clone()).sees(view)
}

fn poor() -> View {
    View { balance: Units(ETHER / 2), ..view() }
}

fn send(number: u128) -> Message {
    Message::Send(Box::new(wish(number)))
}

fn states() -> Vec<(&'static str, Run)> {
    let unknown = || Run::unborn().then(Message::Open(account()));
    vec![
        ("unborn", Run::unborn()),
        ("opened", unknown()),
        ("opened, node down", unknown().looks(silent())),
        ("idle", Run::opened()),
        ("asked to send, looks", Run::opened().then(send(1))),
        ("signing", Run::opened().then(send(1)).sees(view())),
        ("broadcasting", Run::opened().then(send(1)).sees(view()).signs(FIRST)),
        ("sent, rests", Run::sent()),
        ("sent, looks", Run::sent().rings()),
        ("stuck, signing anew", Run::sent().later(60_000).sees(waiting())),
        ("mined", Run::sent().sees(mined(101, true))),
        ("mined, looks", Run::sent().sees(mined(101, true)).rings()),
        ("confirmed, looks", Run::sent().sees(mined(103, true)).rings()),
        ("reverted, looks", Run::sent().sees(mined(103, false)).rings()),
        ("short, looks", Run::opened().then(send(1)).sees(poor()).rings()),
        ("sent, node down", Run::sent().looks(silent())),
        ("sent, node behind", twice(Run::sent(), View { head: 99, ..waiting() })),
        ("sent, key used elsewhere", twice(Run::sent(), View { nonce: FIRST + 2, ..waiting() })),
    ]
}

fn messages(run: &Run) -> Vec<(&'static str, Message)> {
    let stranger = EffectNo { version: 99, index: 0 };
    let state = run.state.as_ref();
    let looking = state.and_then(|state| state.looking).unwrap_or(stranger);
    let sending = state.and_then(|state| state.sendings.get(&FIRST));
    let effect = sending.and_then(|sending| sending.under_way).unwrap_or(stranger);
    let timer = state.and_then(|state| state.timer).unwrap_or(stranger);
    let report =
        |effect, fact: Fact| Message::Reported(Report { effect, outcome: Ok(serde_json::to_value(fact).unwrap()) });
    let seen = |view| report(looking, Fact::Seen(Box::new(view)));
    let other = Wish { amount: Money::new(5, Currency::parse("eth").unwrap()), ..wish(1) };
    let fees = sending.and_then(|sending| sending.attempts.last()).map_or(Fees { max: 1, tip: 1 }, |last| last.fees);
    vec![
        ("open", Message::Open(account())),
        ("send", send(1)),
        ("send otherwise", Message::Send(Box::new(other))),
        ("send another", send(2)),
        ("send a token", Message::Send(Box::new(token_wish(3)))),
        ("saw nothing of it", seen(view())),
        ("saw it waiting", seen(waiting())),
        ("saw it mined", seen(mined(101, true))),
        ("saw it confirmed", seen(mined(103, true))),
        ("saw it undone", seen(mined(103, false))),
        ("saw it deep", seen(mined(106, true))),
        ("saw little money", seen(poor())),
        ("saw another chain", seen(View { chain_id: 1, ..view() })),
        ("saw fewer blocks", seen(View { head: 99, ..view() })),
        ("saw a lower nonce", seen(View { nonce: FIRST - 1, ..view() })),
        ("saw a higher nonce", seen(View { nonce: FIRST + 2, ..view() })),
        ("saw nothing", report(looking, silent())),
        ("signed", report(effect, Fact::Signed(signed(FIRST, fees)))),
        ("taken", report(effect, Fact::Taken)),
        ("refused", report(effect, Fact::Refused { why: "underpriced".into() })),
        ("silence", report(effect, silent())),
        ("failed", Message::Reported(Report { effect, outcome: Err(Failure::fatal("no_key", "there is no key")) })),
        ("reported, not ours", report(stranger, Fact::Taken)),
        ("due", Message::Due { timer }),
        ("due, other timer", Message::Due { timer: EffectNo { version: 98, index: 0 } }),
    ]
}

/// Fails to compile when a message is added, so that the table is thought of; counts the kinds above.
fn kind(message: &Message) -> usize {
    match message {
        Message::Open(_) => 0,
        Message::Send(_) => 1,
        Message::Reported(_) => 2,
        Message::Due { .. } => 3,
    }
}

fn shown(state: &State) -> String {
    let mut shown = SenderMachine::status(state).to_owned();
    write!(shown, ", {} queued", state.queue.len()).unwrap();
    for (nonce, sending) in &state.sendings {
        let signed = sending.hashes().count();
        write!(shown, ", {nonce} signed {signed} of {}", sending.attempts.len()).unwrap();
        for (is, what) in [
            (sending.under_way.is_some(), " calls"),
            (sending.mined.is_some(), " mined"),
            (sending.told == Some(true), " succeeded"),
            (sending.told == Some(false), " failed"),
            (sending.refused.is_some(), " refused"),
        ] {
            shown.push_str(if is { what } else { "" });
        }
    }
    for (is, what) in [(state.looking.is_some(), ", looks"), (state.timer.is_some(), ", rests")] {
        shown.push_str(if is { what } else { "" });
    }
    shown
}

fn effect(effect: &Effect, now: Timestamp) -> String {
    match effect {
        Effect::Call(Call { ask, .. }) => match ask {
            Ask::Look { hashes, tokens } => format!("look for {} and {} tokens", hashes.len(), tokens.len()),
            Ask::Sign { nonce, gas, fees, .. } => format!("sign {nonce} gas {gas} at {}/{}", fees.max, fees.tip),
            Ask::Broadcast { signed } => format!("broadcast {}", signed.hash),
        },
        Effect::Give(Given { nonce, .. }) => format!("give {nonce}"),
        Effect::Arm { due, .. } => format!("arm in {}s", due.since_ms(now) / 1_000),
        Effect::Disarm(_) => "disarm".to_owned(),
        Effect::TellRefund { message: refund::Message::Seen { told }, .. } => {
            let status: &str = told.status.into();
            format!("tell refund {status} as {}", told.id)
        }
        Effect::TellRefund { message, .. } => format!("tell refund {}", <&str>::from(message)),
    }
}

#[test]
fn every_state_meets_every_message() {
    let words = table::Words { state: shown, effect: |ordered, moment| effect(ordered, moment.now), width: 20 };
    let rows = states().into_iter().map(|(name, run)| {
        let (messages, moment) = (messages(&run), run.moment());
        table::Row { name, machine: SenderMachine { policy: POLICY }, state: run.state, moment, messages }
    });
    insta::assert_snapshot!(table::of(&words, rows));
}

#[test]
fn the_table_has_every_message() {
    let mut said: Vec<usize> = messages(&Run::unborn()).iter().map(|(_, message)| kind(message)).collect();
    said.dedup();
    assert_eq!(said, (0..=3).collect::<Vec<_>>());
}
