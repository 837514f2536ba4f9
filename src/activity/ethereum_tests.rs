//! The machine of senders on a real chain. A small engine carries its orders out as the real one does: again, and from a state
//! that is read from its text, when a process died before the end was written down.

use std::collections::BTreeSet;
use std::time::Duration;

use serde_json::json;
use uuid::Uuid;

use super::*;
use crate::domain::ids::RefundId;
use crate::domain::money::{Currency, Money};
use crate::domain::rail::RefundStatus;
use crate::domain::sender::{Effect, Message, Policy, SenderMachine, State, Trouble, Wish};
use crate::domain::{EffectNo, Machine as _, Moment, Report, Timestamp, refund};

#[path = "../../ethereum/tests/node/anvil.rs"]
mod anvil;

use anvil::{Anvil, CHAIN, RICH_KEY};

const POLICY: Policy = Policy { confirmations: 2, look_ms: 1_000, stuck_ms: 60_000, fee_max: 500_000_000_000 };
const LIMIT: Duration = Duration::from_secs(30);
/// Somebody without anything.
const POOR: &str = "0x5aAeb6053F3E94C9b9A09f33669435E7Ef1BeAed";
/// Looks after which whatever is to come has come.
const ROUNDS_MAX: usize = 200;

fn treasury(url: &str) -> Treasury {
    Treasury::new(Node::new(url, LIMIT).unwrap(), Key::of_digits(&RICH_KEY.into()).unwrap())
}

fn wish(number: u128, to: &str, units: u128) -> Wish {
    let transfer = Transfer { to: EthereumAddress::parse(to).unwrap(), asset: Asset::Native, units: Units(units) };
    let amount = Money::new(1, Currency::parse("eth").unwrap());
    Wish { refund: RefundId::new(Uuid::from_u128(number)), amount, transfer }
}

type IsTold = fn(&Trouble) -> bool;

/// A sender, the orders of it that have not ended, and what it told refunds.
struct Bench {
    treasury: Treasury,
    state: Option<State>,
    moment: Moment,
    orders: Vec<(EffectNo, Call)>,
    timer: Option<(Timestamp, EffectNo)>,
    told: Vec<(RefundId, bool)>,
    given: Vec<u64>,
    carried_out: usize,
    /// The process dies once, when so many orders were carried out, before the last one's end is written down.
    dies_after: Option<usize>,
}

impl Bench {
    async fn open(treasury: Treasury) -> Self {
        let account = Account { chain_id: CHAIN, address: treasury.address().unwrap() };
        let mut bench = Self {
            treasury,
            state: None,
            moment: Moment { now: Timestamp(1_000_000), version: 0 },
            orders: Vec::new(),
            timer: None,
            told: Vec::new(),
            given: Vec::new(),
            carried_out: 0,
            dies_after: None,
        };
        bench.say(Message::Open(account));
        bench.work().await;
        bench
    }

    fn state(&self) -> &State {
        self.state.as_ref().unwrap()
    }

    fn say(&mut self, message: Message) {
        self.moment.version += 1;
        let decision = SenderMachine { policy: POLICY }.apply(self.state.as_ref(), message, self.moment).unwrap();
        self.state = decision.state.or(self.state.take());
        for (index, effect) in (0..).zip(decision.effects) {
            match effect {
                Effect::Call(call) => self.orders.push((self.moment.effect(index), call)),
                Effect::Give(given) => self.given.push(given.nonce),
                Effect::Arm { due, timer } => self.timer = Some((due, timer)),
                Effect::Disarm(_) => self.timer = None,
                Effect::TellRefund { refund, message: refund::Message::Seen { told } } => {
                    self.told.push((refund, told.status == RefundStatus::Succeeded));
                }
                Effect::TellRefund { message, .. } => panic!("{message:?}"),
            }
        }
    }

    fn send(&mut self, wish: Wish) {
        self.say(Message::Send(Box::new(wish)));
    }

    /// Carries everything out that is ordered.
    async fn work(&mut self) {
        while let Some((effect, call)) = self.orders.first().cloned() {
            let fact = self.treasury.carry_out(&call).await;
            self.carried_out += 1;
            if self.dies_after.is_some_and(|after| self.carried_out >= after) {
                // The order still stands in the outbox.
                self.dies_after = None;
                let text = serde_json::to_string(&self.state).unwrap();
                self.state = serde_json::from_str(&text).unwrap();
                continue;
            }
            self.orders.remove(0);
            self.say(Message::Reported(Report { effect, outcome: Ok(serde_json::to_value(fact).unwrap()) }));
        }
    }

    /// The next look, with what follows from it.
    async fn look(&mut self) {
        let (due, timer) = self.timer.take().expect("a look is to come");
        self.moment.now = due;
        self.say(Message::Due { timer });
        self.work().await;
    }

    /// Blocks come until there is nothing left to look for.
    async fn settle(&mut self, anvil: &Anvil) {
        self.work().await;
        for _ in 0..ROUNDS_MAX {
            if self.timer.is_none() {
                return;
            }
            anvil.mine(1).await;
            self.look().await;
        }
        panic!("it does not come to rest: {:?}", self.state());
    }
}

async fn sent(anvil: &Anvil) -> u64 {
    let count = anvil.call("eth_getTransactionCount", json!([anvil::RICH, "latest"])).await;
    u64::from_str_radix(count.as_str().unwrap().trim_start_matches("0x"), 16).unwrap()
}

#[tokio::test]
async fn five_hundred_refunds_go_out_of_one_treasury_and_nonces_have_no_hole() {
    const COUNT: u64 = 500;
    let anvil = Anvil::start().await;
    let mut bench = Bench::open(treasury(anvil.url())).await;
    for number in 0..COUNT {
        bench.send(wish(number.into(), POOR, 1));
    }
    bench.settle(&anvil).await;
    assert_eq!((anvil.balance(POOR).await, sent(&anvil).await), (u128::from(COUNT), COUNT));
    assert_eq!(bench.given, (0..COUNT).collect::<Vec<_>>());
    let told: BTreeSet<String> = bench.told.iter().map(|(refund, _)| refund.to_string()).collect();
    assert_eq!((told.len(), bench.told.len()), (500, 500), "each is told once");
    assert!(bench.told.iter().all(|(_, succeeded)| *succeeded));
    assert!(bench.state().sendings.is_empty(), "what has ended is forgotten");
}

#[tokio::test]
async fn a_process_that_dies_anywhere_makes_one_transfer() {
    for dies_after in 1.. {
        let anvil = Anvil::start().await;
        let mut bench = Bench::open(treasury(anvil.url())).await;
        bench.dies_after = Some(bench.carried_out + dies_after);
        bench.send(wish(1, POOR, 7));
        bench.settle(&anvil).await;
        assert_eq!((anvil.balance(POOR).await, sent(&anvil).await, bench.told.len()), (7, 1, 1), "{dies_after}");
        if bench.dies_after.is_some() {
            assert!(dies_after > 5, "to look, sign, broadcast and look again are more orders than {dies_after}");
            return;
        }
    }
}

#[tokio::test]
async fn a_reorganisation_that_removes_a_refund_has_it_sent_again_as_it_was() {
    let anvil = Anvil::start().await;
    let mut bench = Bench::open(treasury(anvil.url())).await;
    bench.send(wish(1, POOR, 7));
    bench.work().await;
    anvil.mine(1).await;
    bench.look().await;
    assert!(bench.state().sendings[&0].mined.is_some());
    anvil.reorg(1).await;
    assert_eq!(anvil.balance(POOR).await, 0);
    bench.look().await;
    assert!(bench.state().sendings[&0].mined.is_none());
    bench.settle(&anvil).await;
    assert_eq!((anvil.balance(POOR).await, sent(&anvil).await), (7, 1));
    assert_eq!(bench.told, [(wish(1, POOR, 7).refund, true)]);
}

#[tokio::test]
async fn what_the_node_dropped_is_sent_again_as_it_was() {
    let anvil = Anvil::start().await;
    let mut bench = Bench::open(treasury(anvil.url())).await;
    bench.send(wish(1, POOR, 7));
    bench.work().await;
    let attempts = bench.state().sendings[&0].attempts.clone();
    anvil.drop_transaction(&attempts[0].signed.as_ref().unwrap().hash).await;
    bench.look().await;
    assert_eq!(bench.state().sendings[&0].attempts, attempts);
    bench.settle(&anvil).await;
    assert_eq!((anvil.balance(POOR).await, sent(&anvil).await), (7, 1));
}

#[tokio::test]
async fn a_stuck_fee_is_raised_under_the_same_nonce() {
    let anvil = Anvil::start().await;
    let mut bench = Bench::open(treasury(anvil.url())).await;
    bench.send(wish(1, POOR, 7));
    bench.work().await;
    let offered = bench.state().sendings[&0].attempts[0].fees.max;
    anvil.price(offered + 1_000_000_000).await;
    anvil.mine(1).await;
    bench.look().await;
    assert_eq!(bench.state().sendings[&0].mined, None, "no block takes so little");
    bench.moment.now = bench.moment.now.plus_ms(POLICY.stuck_ms);
    bench.timer = bench.timer.map(|(due, timer)| (due.plus_ms(POLICY.stuck_ms), timer));
    bench.look().await;
    assert_eq!(bench.state().sendings[&0].attempts.len(), 2);
    bench.settle(&anvil).await;
    assert_eq!((anvil.balance(POOR).await, sent(&anvil).await, bench.given.len()), (7, 1, 1));
}

#[tokio::test]
async fn what_the_receiver_does_not_take_has_failed_and_the_next_goes_on() {
    let anvil = Anvil::start().await;
    let token = anvil.token().await;
    let mut bench = Bench::open(treasury(anvil.url())).await;
    // A contract that takes no coins.
    bench.send(wish(1, &token, 7));
    bench.send(wish(2, POOR, 7));
    bench.settle(&anvil).await;
    assert_eq!(bench.told, [(wish(1, POOR, 7).refund, false), (wish(2, POOR, 7).refund, true)]);
    assert_eq!((anvil.balance(&token).await, anvil.balance(POOR).await), (0, 7));
}

#[tokio::test]
async fn a_token_is_given_back() {
    let anvil = Anvil::start().await;
    let token = EthereumAddress::parse(&anvil.token().await).unwrap();
    let mut bench = Bench::open(treasury(anvil.url())).await;
    let plain = wish(1, POOR, 700);
    bench.send(Wish { transfer: Transfer { asset: Asset::Token(token), ..plain.transfer }, ..plain });
    bench.settle(&anvil).await;
    let held = bench.treasury.node.standing(POOR.parse().unwrap(), &[written(token)]).await.unwrap().tokens;
    assert_eq!((held, bench.told.len()), (vec![U256::from(700)], 1));
}

#[tokio::test]
async fn a_short_treasury_waits_and_goes_on() {
    let anvil = Anvil::start().await;
    let mut bench = Bench::open(treasury(anvil.url())).await;
    anvil.call("anvil_setBalance", json!([anvil::RICH, "0x5"])).await;
    bench.send(wish(1, POOR, 7));
    bench.work().await;
    assert!(matches!(bench.state().trouble, Some(Trouble::Short { waiting: 1, .. })), "{:?}", bench.state());
    anvil.call("anvil_setBalance", json!([anvil::RICH, "0xde0b6b3a7640000"])).await;
    bench.settle(&anvil).await;
    assert_eq!((anvil.balance(POOR).await, &bench.state().trouble), (7, &None));
}

#[tokio::test]
async fn a_node_that_is_away_behind_or_of_another_chain_changes_nothing() {
    let anvil = Anvil::start().await;
    let (behind, elsewhere) = (Anvil::start().await, Anvil::start_with(&["--no-mining", "--chain-id", "5"]).await);
    let mut away = Anvil::start().await;
    anvil.mine(5).await;
    let mut bench = Bench::open(treasury(anvil.url())).await;
    bench.send(wish(1, POOR, 7));
    bench.work().await;
    away.kill().await;
    let before = bench.state().sendings.clone();
    let expected: [(&Anvil, IsTold); 3] = [
        (&away, |trouble| matches!(trouble, Trouble::Down { .. })),
        (&behind, |trouble| matches!(trouble, Trouble::Behind { head: 0 })),
        (&elsewhere, |trouble| matches!(trouble, Trouble::OtherChain { chain_id: 5 })),
    ];
    for (node, is_told) in expected {
        bench.treasury = treasury(node.url());
        bench.look().await;
        bench.look().await;
        assert!(bench.state().trouble.as_ref().is_some_and(is_told), "{:?}", bench.state().trouble);
        assert_eq!(bench.state().sendings, before);
    }
    bench.treasury = treasury(anvil.url());
    bench.settle(&anvil).await;
    assert_eq!((anvil.balance(POOR).await, sent(&anvil).await, bench.told.len()), (7, 1, 1));
}

#[tokio::test]
async fn a_key_that_somebody_else_uses_stops_the_sender() {
    let anvil = Anvil::start().await;
    let mut bench = Bench::open(treasury(anvil.url())).await;
    let foreign = json!([{ "from": anvil::RICH, "to": POOR, "value": "0x1" }]);
    anvil.call("eth_sendTransaction", foreign).await;
    anvil.mine(1).await;
    for number in 1..=3 {
        bench.send(wish(number, POOR, 7));
    }
    bench.work().await;
    bench.look().await;
    assert!(matches!(bench.state().trouble, Some(Trouble::KeyUsedElsewhere { nonce: 1 })), "{:?}", bench.state());
    assert_eq!((bench.state().queue.len(), anvil.balance(POOR).await), (3, 1), "nothing is sent");
}

#[tokio::test]
async fn another_key_carries_nothing_out() {
    let anvil = Anvil::start().await;
    let other = Key::of_digits(&"0x59c6995e998f97a5a0044966f0945389dc9e86dae88c7a8412f4603b6b78690d".into()).unwrap();
    let account = Account { chain_id: CHAIN, address: treasury(anvil.url()).address().unwrap() };
    let call = Call { account, ask: Ask::Look { hashes: Vec::new(), tokens: Vec::new() } };
    let other = Treasury::new(Node::new(anvil.url(), LIMIT).unwrap(), other);
    assert!(matches!(other.carry_out(&call).await, Fact::Silent { why } if why.contains("not configured")));
    assert!(matches!(treasury(anvil.url()).carry_out(&call).await, Fact::Seen(_)));
}
