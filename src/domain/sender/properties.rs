//! A sender against a chain that changes its mind, a node that lies and is away, and a process that dies at any moment:
//! each refund has one nonce, nonces have no hole, and in the end each transfer is in the chain exactly once.

use std::collections::BTreeSet;

use proptest::prelude::*;

use super::table::{FIRST, POLICY, Run, account, refund, view, wish};
use super::*;

/// Wei: what a block asks for a unit of gas while all is calm.
const CALM: u64 = 10_000_000_000;

#[derive(Clone, Copy, Debug)]
enum Lie {
    LowNonce,
    LowNonceAndNothingFound,
    HighNonce,
    NothingFound,
    FewBlocks,
    OtherChain,
}

#[derive(Clone, Debug)]
enum Event {
    /// A refund asks, or its message comes once more.
    Send,
    SendAgain(usize),
    /// An order is carried out and its answer comes; or is lost; or the process dies before it is written down.
    Answered(usize),
    Lost(usize),
    Dies(usize),
    /// A look is answered with a lie.
    Lied(Lie),
    /// An answer comes that was heard already.
    AnsweredAgain,
    Rings,
    /// A block comes; blocks are replaced, and what was in them waits again, or is gone; the node forgets what waits.
    Block,
    Reorg(usize, bool),
    Drops,
    /// The price of gas, in times of a calm day's.
    Price(u64),
    /// A long time passes.
    Waits,
}

fn events() -> impl Strategy<Value = Vec<Event>> {
    use Event::*;
    let which = || any::<usize>();
    let lie = prop::sample::select(vec![
        Lie::LowNonce,
        Lie::LowNonceAndNothingFound,
        Lie::HighNonce,
        Lie::NothingFound,
        Lie::FewBlocks,
        Lie::OtherChain,
    ]);
    let event = prop_oneof![
        6 => Just(Send), 1 => which().prop_map(SendAgain), 24 => which().prop_map(Answered),
        2 => which().prop_map(Lost), 3 => which().prop_map(Dies), 2 => lie.prop_map(Lied), 2 => Just(AnsweredAgain),
        10 => Just(Rings), 8 => Just(Block), 3 => (1..6_usize, any::<bool>()).prop_map(|(deep, back)| Reorg(deep, back)),
        2 => Just(Drops), 2 => (1..12_u64).prop_map(Price), 2 => Just(Waits),
    ];
    proptest::collection::vec(event, 0..250)
}

/// A transaction, read from its bytes.
#[derive(Clone, Debug, PartialEq, Eq)]
struct Transaction {
    hash: String,
    nonce: u64,
    units: u128,
    fees: Fees,
}

impl Transaction {
    fn sign(nonce: u64, transfer: &Transfer, fees: Fees) -> Signed {
        let raw = format!("{nonce}/{}/{}/{}", transfer.units, fees.max, fees.tip);
        Signed { hash: format!("hash of {raw}"), raw }
    }

    fn read(signed: &Signed) -> Self {
        let parts: Vec<u128> = signed.raw.split('/').map(|part| part.parse().unwrap()).collect();
        let small = |at: usize| u64::try_from(parts[at]).unwrap();
        let fees = Fees { max: small(2), tip: small(3) };
        Self { hash: signed.hash.clone(), nonce: small(0), units: parts[1], fees }
    }

    /// Every fifth receiver does not take it.
    fn succeeds(&self) -> bool {
        !self.units.is_multiple_of(5)
    }
}

/// The chain and its node.
struct Chain {
    blocks: Vec<Vec<Transaction>>,
    pool: Vec<Transaction>,
    base: u64,
}

impl Chain {
    fn mined(&self) -> impl Iterator<Item = (u64, &Transaction)> {
        (0..).zip(&self.blocks).flat_map(|(number, block)| block.iter().map(move |transaction| (number, transaction)))
    }

    fn nonce(&self) -> u64 {
        FIRST + self.mined().count() as u64
    }

    fn block(&mut self) {
        let mut block = Vec::new();
        let mut nonce = self.nonce();
        while let Some(at) = self.pool.iter().position(|one| one.nonce == nonce && one.fees.max >= self.base) {
            block.push(self.pool.remove(at));
            nonce += 1;
        }
        self.blocks.push(block);
        self.pool.retain(|one| one.nonce >= nonce);
    }

    fn reorg(&mut self, deep: usize, back: bool) {
        let kept = self.blocks.len().saturating_sub(deep).max(1);
        let lost: Vec<Transaction> = self.blocks.split_off(kept).into_iter().flatten().collect();
        self.blocks.resize(kept + deep, Vec::new());
        if back {
            for transaction in lost {
                self.take(transaction).ok();
            }
        }
    }

    fn take(&mut self, new: Transaction) -> Result<(), String> {
        if new.nonce < self.nonce() {
            return Err("nonce too low".into());
        }
        if let Some(old) = self.pool.iter_mut().find(|old| old.nonce == new.nonce) {
            let is_enough = |new: u64, old: u64| new >= old + old / 8;
            if *old != new && !(is_enough(new.fees.max, old.fees.max) && is_enough(new.fees.tip, old.fees.tip)) {
                return Err("replacement transaction underpriced".into());
            }
            *old = new;
        } else {
            self.pool.push(new);
        }
        Ok(())
    }

    fn view(&self, hashes: &[String]) -> View {
        let mined = self
            .mined()
            .map(|(block, transaction)| (&transaction.hash, At::Mined { block, succeeded: transaction.succeeds() }));
        let all: BTreeMap<&String, At> =
            self.pool.iter().map(|transaction| (&transaction.hash, At::Waiting)).chain(mined).collect();
        let found = |hash: &String| all.get(hash).map(|at| Found { hash: hash.clone(), at: at.clone() });
        let nonce = self.nonce();
        View {
            head: self.blocks.len() as u64 - 1,
            nonce,
            pending_nonce: nonce + self.pool.len() as u64,
            base_fee: self.base,
            found: hashes.iter().filter_map(found).collect(),
            ..view()
        }
    }

    fn carry_out(&mut self, ask: &Ask) -> Fact {
        match ask {
            Ask::Look { hashes, .. } => Fact::Seen(Box::new(self.view(hashes))),
            Ask::Sign { nonce, transfer, fees, .. } => Fact::Signed(Transaction::sign(*nonce, transfer, *fees)),
            Ask::Broadcast { signed } => match self.take(Transaction::read(signed)) {
                Ok(()) => Fact::Taken,
                Err(why) => Fact::Refused { why },
            },
        }
    }
}

struct World {
    run: Run,
    chain: Chain,
    /// Orders whose end was not written down yet.
    orders: Vec<(EffectNo, Ask)>,
    seen: usize,
    heard: Option<(EffectNo, Fact)>,
    asked: u128,
    given: BTreeMap<u64, RefundId>,
}

fn wanted(number: u128) -> Wish {
    let plain = wish(number);
    Wish { transfer: Transfer { units: Units(number), ..plain.transfer }, ..plain }
}

impl World {
    fn new() -> Self {
        let chain = Chain { blocks: vec![Vec::new(); 10], pool: Vec::new(), base: CALM };
        let run = Run::unborn().then(Message::Open(account()));
        let mut world = Self { run, chain, orders: Vec::new(), seen: 0, heard: None, asked: 0, given: BTreeMap::new() };
        world.check();
        world.answer(0, None);
        world
    }

    /// Takes up what was ordered since, and sees that it may be.
    fn check(&mut self) {
        for (number, effect) in &self.run.effects[self.seen..] {
            match effect {
                Effect::Call(Call { ask, .. }) => {
                    if let Ask::Broadcast { signed } = ask {
                        let kept = self.run.state().sendings.values().flat_map(|sending| &sending.attempts);
                        assert!(kept.into_iter().any(|attempt| attempt.signed.as_ref() == Some(signed)), "{signed:?}");
                    }
                    self.orders.push((*number, ask.clone()));
                }
                Effect::Give(Given { nonce, refund_id }) => {
                    assert_eq!(*nonce, FIRST + self.given.len() as u64, "a hole, or a nonce given twice");
                    assert!(self.given.values().all(|known| known != refund_id), "two nonces for {refund_id}");
                    self.given.insert(*nonce, *refund_id);
                }
                Effect::Arm { .. } | Effect::Disarm(_) | Effect::TellRefund { .. } => {}
            }
        }
        self.seen = self.run.effects.len();
        let state = self.run.state();
        let sleeps = state.looking.is_none() && state.timer.is_none();
        assert!(!sleeps || (state.queue.is_empty() && state.sendings.is_empty()), "nobody would ever look: {state:?}");
        for (_, transaction) in self.chain.mined() {
            assert_eq!(self.given.get(&transaction.nonce), Some(&refund(transaction.units)));
        }
    }

    fn say(&mut self, message: Message) {
        self.run.say(message);
        self.check();
    }

    fn report(&mut self, effect: EffectNo, fact: &Fact) {
        self.say(Message::Reported(Report { effect, outcome: Ok(serde_json::to_value(fact).unwrap()) }));
    }

    /// Carries an order out; what comes back is what `instead` makes of it.
    fn answer(&mut self, which: usize, instead: Option<fn(Fact) -> Fact>) {
        let Some(at) = which.checked_rem(self.orders.len()) else { return };
        let (effect, ask) = self.orders.remove(at);
        let fact = self.chain.carry_out(&ask);
        let fact = instead.map_or_else(|| fact.clone(), |instead| instead(fact.clone()));
        self.heard = Some((effect, fact.clone()));
        self.report(effect, &fact);
    }

    fn lie(&mut self, lie: Lie) {
        let Some(at) = self.orders.iter().position(|(_, ask)| matches!(ask, Ask::Look { .. })) else { return };
        let instead: fn(Fact) -> Fact = match lie {
            Lie::LowNonce => |fact| altered(fact, |view| view.nonce = view.nonce.saturating_sub(2)),
            Lie::LowNonceAndNothingFound => |fact| {
                altered(fact, |view| {
                    view.nonce = view.nonce.saturating_sub(1);
                    view.found.clear();
                })
            },
            Lie::HighNonce => |fact| altered(fact, |view| view.nonce += 3),
            Lie::NothingFound => |fact| altered(fact, |view| view.found.clear()),
            Lie::FewBlocks => |fact| altered(fact, |view| view.head = view.head.saturating_sub(3)),
            Lie::OtherChain => |fact| altered(fact, |view| view.chain_id = 1),
        };
        self.answer(at, Some(instead));
    }

    fn happens(&mut self, event: &Event) {
        match *event {
            Event::Send => {
                self.asked += 1;
                self.say(Message::Send(Box::new(wanted(self.asked))));
            }
            // The engine knows the message again; what still is in the state is known to the machine as well.
            Event::SendAgain(which) => {
                let state = self.run.state();
                let known: Vec<Wish> =
                    state.queue.iter().cloned().chain(state.sendings.values().map(|one| one.wish.clone())).collect();
                if let Some(at) = which.checked_rem(known.len()) {
                    self.say(Message::Send(Box::new(known[at].clone())));
                }
            }
            Event::Answered(which) => self.answer(which, None),
            Event::Lost(which) => self.answer(which, Some(|_| Fact::Silent { why: "the line is cut".into() })),
            Event::Dies(which) => {
                if let Some(at) = which.checked_rem(self.orders.len()) {
                    let ask = self.orders[at].1.clone();
                    self.chain.carry_out(&ask);
                }
            }
            Event::Lied(lie) => self.lie(lie),
            Event::AnsweredAgain => {
                if let Some((effect, fact)) = self.heard.clone() {
                    self.report(effect, &fact);
                }
            }
            Event::Rings => {
                if self.run.state().timer.is_some() {
                    self.run = std::mem::replace(&mut self.run, Run::unborn()).rings();
                    self.check();
                }
            }
            Event::Block => self.chain.block(),
            Event::Reorg(deep, back) => self.chain.reorg(deep, back),
            Event::Drops => self.chain.pool.clear(),
            Event::Price(times) => self.chain.base = CALM * times,
            Event::Waits => self.run.now = self.run.now.plus_ms(POLICY.stuck_ms),
        }
    }

    /// From here on the node is honest and there, and blocks come.
    fn settle(&mut self) {
        self.chain.base = CALM;
        for _ in 0..200 {
            while !self.orders.is_empty() {
                self.answer(0, None);
            }
            let state = self.run.state();
            if state.queue.is_empty() && state.sendings.is_empty() && state.timer.is_none() {
                return;
            }
            self.chain.block();
            self.happens(&Event::Rings);
        }
    }
}

fn altered(fact: Fact, alter: fn(&mut View)) -> Fact {
    match fact {
        Fact::Seen(mut view) => {
            alter(&mut view);
            Fact::Seen(view)
        }
        other => other,
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 128, ..ProptestConfig::default() })]

    #[test]
    fn each_refund_is_one_transfer_whatever_the_chain_the_node_and_the_process_do(events in events()) {
        let mut world = World::new();
        for event in &events {
            world.happens(event);
        }
        world.settle();
        let state = world.run.state();
        prop_assert!(state.queue.is_empty() && state.sendings.is_empty() && state.trouble.is_none(), "{:?}", state);
        prop_assert_eq!(world.given.len() as u128, world.asked);
        let sent: Vec<u128> = world.chain.mined().map(|(_, transaction)| transaction.units).collect();
        prop_assert_eq!(sent.len() as u128, world.asked, "a transfer is lost, or was made twice");
        prop_assert_eq!(sent.iter().collect::<BTreeSet<_>>().len(), sent.len());
        let told: BTreeMap<RefundId, bool> = world.run.told().into_iter().collect();
        for (_, transaction) in world.chain.mined() {
            prop_assert_eq!(told.get(&refund(transaction.units)), Some(&transaction.succeeds()));
        }
        prop_assert_eq!(world.run.told().len() as u128, world.asked, "a refund is told once");
    }
}
