//! What a seed plays: who is there, what goes wrong, and how small the limits are.

use super::dice::Dice;
use super::machine::{LANE, LinkMessage, Terms, TransferMessage, Trouble, text, transfer_key};
use crate::domain::{Address, Permit, Priority, Turn};
use crate::runtime::partition::Limits;
use crate::runtime::room::lane_of_turns;

/// A rule broken on purpose, to show that the invariants would notice.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Mutation {
    /// Refused messages are settled without a row.
    RefusalsLeaveNoRow,
    /// The mailbox forgets messages when they are decided, before the commit.
    SettlesBeforeCommit,
    /// The sweep posts what is present already.
    SweepsTwice,
    /// Who lost goes on with the state it had.
    LosersKeepTheirState,
    /// Activities start before their turn has come.
    TurnsAreIgnored,
    /// The activities of a supervisor that died keep their places.
    TheDeadKeepTheirPlaces,
    /// The journal takes what an owner decided that lost its partition.
    NoFence,
    /// Who slept past the end of its lease goes on where it was.
    SleepersGoOn,
    /// Nobody notices that the mailbox is another one than it was.
    IdentityIsNotChecked,
}

/// The scenario of one seed. Chances are "once in so many times", 0 for never.
#[derive(Clone, Debug)]
pub struct Plan {
    pub limits: Limits,
    pub posted_max: usize,
    /// Activities that run at once in one process.
    pub places: usize,
    /// Births from outside: when, of whom, with which message.
    pub births: Vec<(i64, Address, String)>,
    /// The process dies at a command.
    pub crash: u64,
    pub crashes_max: u32,
    /// Another owner takes over while this one goes on for a while.
    pub takeover: u64,
    /// Owners have leases: one that cannot renew stops by its own clock, and the journal refuses what it decides after it
    /// was taken over. Otherwise the versions alone must hold.
    pub leased: bool,
    /// The supervisor dies, and another one begins in the same process.
    pub death: u64,
    /// The journal or the mailbox does not answer.
    pub unavailable: u64,
    /// The mailbox is in a Redis, which forgets everything or what it was told last, and whose answers may be lost.
    pub forgets: u64,
    /// Something arrives twice.
    pub twice: u64,
    /// Something takes long.
    pub slow: u64,
    /// When a drain begins, in milliseconds.
    pub drain_ms: Option<i64>,
    /// From then on nothing more goes wrong, but for messages that are troubled themselves.
    pub calm_ms: i64,
    pub mutation: Option<Mutation>,
}

impl Plan {
    /// The scenario of a seed.
    pub fn roll(dice: &mut Dice) -> Self {
        let posted_max = 6 + dice.index(60);
        let mut plan = Self {
            limits: limits(dice, posted_max),
            posted_max,
            places: 1 + dice.index(2),
            births: Vec::new(),
            crash: 0,
            crashes_max: 0,
            takeover: 0,
            leased: false,
            death: 0,
            unavailable: 0,
            forgets: 0,
            twice: 0,
            slow: 10 + dice.below(30),
            drain_ms: None,
            calm_ms: 2_500,
            mutation: None,
        };
        // Some come all at once, so that they wait for each other.
        let come_within_ms = if dice.one_in(3) { 60 } else { 800 };
        plan.people(dice, come_within_ms);
        // One seed in eight is without faults: there the strictest promises hold.
        if !dice.one_in(8) {
            let crash = 60 + dice.below(400);
            let or_never = |dice: &mut Dice, chance: u64| if dice.one_in(2) { chance } else { 0 };
            plan.crash = or_never(dice, crash);
            plan.crashes_max = 6;
            plan.takeover = or_never(dice, 150);
            plan.leased = dice.one_in(2);
            plan.death = or_never(dice, 150);
            plan.unavailable = or_never(dice, 25);
            plan.twice = or_never(dice, 20);
            plan.forgets = or_never(dice, 40);
            if plan.forgets > 0 {
                // What is forgotten must be posted again because it was noticed, not because a slow sweep came by.
                plan.limits.sweep_ms = 30_000;
            }
        }
        if dice.one_in(3) {
            plan.drain_ms = Some(dice.ms(20, come_within_ms + 100));
        }
        plan
    }

    /// Whether nothing goes wrong, so that the strictest promises hold.
    pub const fn is_faultless(&self) -> bool {
        self.crash == 0
            && self.takeover == 0
            && self.death == 0
            && self.unavailable == 0
            && self.twice == 0
            && self.forgets == 0
    }

    fn people(&mut self, dice: &mut Dice, come_within_ms: i64) {
        let born = |dice: &mut Dice| dice.ms(0, come_within_ms);
        let accounts = 2 + dice.below(4);
        for index in 0..accounts {
            let balance = dice.ms(0, 300);
            let at = born(dice);
            self.births.push((at, Address::new("account", &index.to_string()), open(balance)));
        }
        let mut troubles = 0;
        for index in 0..4 + dice.below(10) {
            let amount = 10 + i64::try_from(index).unwrap_or(0);
            let from = Address::new("account", &dice.below(accounts).to_string());
            // Some receivers are opened by the deposit, some are opened never.
            let (to, opens) = match dice.below(6) {
                0 => (format!("new{}", dice.below(3)), true),
                1 if dice.one_in(3) => ("nobody".to_owned(), false),
                _ => (dice.below(accounts).to_string(), false),
            };
            let trouble = (troubles < 2 && dice.one_in(8)).then(|| Trouble::ALL[dice.index(Trouble::ALL.len())]);
            troubles += u32::from(trouble.is_some());
            let to = Address::new("account", &to);
            let (patience_ms, turn) = (dice.ms(20, 400), turn(dice));
            let terms = Terms { from, to, amount, opens, patience_ms, turn, trouble };
            let at = born(dice);
            let actor = Address::new("transfer", &transfer_key(&terms));
            self.births.push((at, actor, text(&TransferMessage::Begin(terms))));
        }
        for index in 0..dice.below(4) {
            let key = index.to_string();
            let burst = if dice.one_in(3) { 20 } else { 1 };
            let message = LinkMessage { key: key.clone(), hops: u32::try_from(dice.below(4)).unwrap_or(0), burst };
            let at = born(dice);
            self.births.push((at, Address::new("link", &key), text(&message)));
        }
        let at = born(dice);
        self.births.push((at, Address::new("counter", "hub"), "\"Open\"".to_owned()));
    }
}

fn open(balance: i64) -> String {
    text(&super::machine::AccountMessage::Open { balance })
}

/// Most need a permit.
fn turn(dice: &mut Dice) -> Option<Turn> {
    let permit = (!dice.one_in(4)).then(|| {
        let (key, limit) = [("till", 1), ("desk", 2)][dice.index(2)];
        Permit { key: key.into(), limit }
    });
    let priority = [Priority::High, Priority::Normal, Priority::Low][dice.index(3)];
    let group = dice.below(3).to_string().into();
    (permit.is_some() || priority != Priority::Normal).then_some(Turn { permit, group, priority })
}

fn limits(dice: &mut Dice, posted_max: usize) -> Limits {
    Limits {
        decide_ahead: 2 + dice.index(30),
        lanes: vec![(LANE.into(), 1 + dice.index(4)), (lane_of_turns(LANE), posted_max)],
        fold: if dice.one_in(3) { 64 } else { 1 + dice.index(8) },
        cached: 2 + dice.index(20),
        tries: 2 + u32::from(dice.one_in(2)),
        rest_ms: 10,
        decide_ms: 400,
        idle_ms: dice.ms(200, 3_000),
        sweep_ms: dice.ms(300, 2_000),
        page: 2 + dice.index(20),
        deaths: 3,
    }
}
