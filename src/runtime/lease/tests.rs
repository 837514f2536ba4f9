//! The planner in a world of several nodes: clocks that run apart, rounds that are lost, nodes that die, sleep and leave.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use super::planner::{Answer, Command, Event, Planner, Round, Standing};
use super::{Epoch, Identity, Limits, Node, NodeId, Ownership, View, division};
use crate::runtime::clock::Monotonic;
use crate::runtime::simulator::dice::Dice;

/// Worlds that are played each time.
const SEEDS: u64 = 400;
/// Worlds within which a broken rule must be noticed.
const MUTANT_SEEDS: u64 = 1_000;
const PARTITIONS: u32 = 16;
/// When faults end, and by when everything must be in its place, in milliseconds.
const CALM_MS: i64 = 60_000;
const END_MS: i64 = 100_000;

fn identity(number: usize, generation: u32) -> Identity {
    let id = NodeId(format!("{:08x}", number.wrapping_mul(2_654_435_761) & 0xffff_ffff).into());
    Identity { id, host: "host".to_owned(), pid: 1, generation }
}

/// Lines of the table `partitions`.
#[derive(Clone, Debug)]
struct Row {
    owner: Option<NodeId>,
    epoch: i64,
    until: i64,
    since: i64,
    generation: u32,
}

/// What the statements of `store` do.
struct Database {
    nodes: BTreeMap<NodeId, (Identity, i64, bool)>,
    rows: Vec<Row>,
    moves: usize,
    /// Broken: it lets everybody claim everything.
    arbitrates: bool,
}

impl Database {
    fn new() -> Self {
        let row = Row { owner: None, epoch: 0, until: 0, since: 0, generation: 0 };
        Self { nodes: BTreeMap::new(), rows: vec![row; PARTITIONS as usize], moves: 0, arbitrates: true }
    }

    fn carry_out(&mut self, me: &Identity, round: &Round, lease_ms: i64, now: i64) -> Answer {
        match round.standing {
            Standing::Gone => drop(self.nodes.remove(&me.id)),
            standing => {
                let row = (me.clone(), now + lease_ms, standing == Standing::Draining);
                self.nodes.insert(me.id.clone(), row);
            }
        }
        let mut renewed = Vec::new();
        for (partition, epoch) in &round.renew {
            let row = &mut self.rows[*partition as usize];
            if row.owner.as_ref() == Some(&me.id) && row.epoch == epoch.0 {
                row.until = now + lease_ms;
                renewed.push(*partition);
            }
        }
        for release in &round.release {
            let row = &mut self.rows[release.partition as usize];
            if row.owner.as_ref() == Some(&me.id) && row.epoch == release.epoch.0 {
                let generation = row.generation.max(release.generation);
                *row = Row { owner: None, until: 0, since: now, generation, ..*row };
            }
        }
        let mut claimed = Vec::new();
        for (partition, epoch) in &round.claim {
            let row = &mut self.rows[*partition as usize];
            let free = row.owner.is_none() || row.owner.as_ref() == Some(&me.id) || row.until <= now;
            if (row.epoch == epoch.0 && free) || !self.arbitrates {
                *row =
                    Row { owner: Some(me.id.clone()), epoch: row.epoch + 1, until: now + lease_ms, since: now, ..*row };
                claimed.push((*partition, Epoch(row.epoch)));
                self.moves += 1;
            }
        }
        Answer { renewed, claimed, view: self.view(now) }
    }

    fn view(&self, now: i64) -> View {
        let nodes = self.nodes.values().map(|(identity, until, draining)| Node {
            identity: identity.clone(),
            up_ms: 0,
            lease_left_ms: until - now,
            draining: *draining,
        });
        let partitions = self.rows.iter().zip(0..).map(|(row, partition)| Ownership {
            partition,
            owner: row.owner.clone(),
            epoch: Epoch(row.epoch),
            lease_left_ms: row.until - now,
            since_ms: now - row.since,
            generation: row.generation,
        });
        View { nodes: nodes.collect(), partitions: partitions.collect() }
    }
}

struct Process {
    me: Identity,
    planner: Planner,
    /// Its clock began then, and gains this many milliseconds in a thousand seconds.
    began: i64,
    drift: i64,
    sleeps_until: i64,
    /// When its next tick is on the agenda.
    ticks_at: i64,
    left: bool,
}

impl Process {
    fn clock(&self, now: i64) -> Monotonic {
        let since = now - self.began;
        Monotonic(5_000 + since + since * self.drift / 1_000_000)
    }
}

enum Due {
    Hear(usize, Event),
    /// The database carries a round out; whether its answer arrives.
    Arrive(usize, Round, bool),
    Start,
    Kill,
    Sleep,
    Leave,
}

struct World {
    dice: Dice,
    limits: Limits,
    now: i64,
    agenda: BTreeMap<(i64, u64), Due>,
    planned: u64,
    database: Database,
    processes: BTreeMap<usize, Process>,
    started: usize,
    /// When each partition was last in somebody's hands.
    cared_for: Vec<i64>,
    deaths: BTreeMap<&'static str, usize>,
}

impl World {
    fn new(seed: u64, limits: Limits) -> Self {
        let mut world = Self {
            dice: Dice::new(seed.wrapping_mul(97).wrapping_add(13)),
            limits,
            now: 0,
            agenda: BTreeMap::new(),
            planned: 0,
            database: Database::new(),
            processes: BTreeMap::new(),
            started: 0,
            cared_for: vec![0; PARTITIONS as usize],
            deaths: BTreeMap::new(),
        };
        world.plan(0, Due::Start);
        for _ in 0..1 + world.dice.below(3) {
            let at = world.dice.ms(0, 20_000);
            world.plan(at, Due::Start);
        }
        for _ in 0..world.dice.below(6) {
            let at = world.dice.ms(2_000, CALM_MS - 10_000);
            let due = match world.dice.below(4) {
                0 => Due::Kill,
                1 | 2 => Due::Sleep,
                _ => Due::Leave,
            };
            world.plan(at, due);
            // Somebody takes its place, sooner or later.
            let again = at + world.dice.ms(100, 9_000);
            world.plan(again, Due::Start);
        }
        world
    }

    fn plan(&mut self, at: i64, due: Due) {
        self.planned += 1;
        let tie = (self.dice.below(1 << 20) << 40) | self.planned;
        self.agenda.insert((at.max(self.now), tie), due);
    }

    fn play(&mut self) -> Result<(), String> {
        let mut settled_moves = None;
        while let Some(((at, _), due)) = self.agenda.pop_first() {
            if at > END_MS {
                break;
            }
            self.now = at;
            self.step(due);
            self.nobody_believes_in_vain()?;
            if at > END_MS - 15_000 {
                let moves = *settled_moves.get_or_insert(self.database.moves);
                if moves != self.database.moves {
                    return Err(format!("partitions still move at {at}"));
                }
            }
        }
        self.everything_has_its_place()
    }

    fn step(&mut self, due: Due) {
        let calm = self.now > CALM_MS;
        match due {
            Due::Start => {
                let number = self.started;
                self.started += 1;
                let me = identity(number, 1);
                let drift = self.dice.ms(-5_000, 5_000);
                let planner = Planner::new(me.clone(), self.limits);
                let process =
                    Process { me, planner, began: self.now, drift, sleeps_until: 0, ticks_at: -1, left: false };
                self.processes.insert(number, process);
                self.hear(number, Event::Tick);
            }
            Due::Kill if self.processes.len() > 1 => {
                let number = self.any();
                self.processes.remove(&number);
                *self.deaths.entry("killed").or_default() += 1;
            }
            Due::Sleep => {
                let number = self.any();
                let until = self.now + self.dice.ms(500, 15_000);
                if let Some(process) = self.processes.get_mut(&number) {
                    process.sleeps_until = until;
                }
                *self.deaths.entry("slept").or_default() += 1;
            }
            Due::Leave if self.processes.len() > 1 => {
                let number = self.any();
                self.hear(number, Event::Leave);
                *self.deaths.entry("left").or_default() += 1;
            }
            Due::Kill | Due::Leave => {}
            Due::Hear(number, event) => {
                let Some(process) = self.processes.get(&number) else { return };
                if process.sleeps_until > self.now {
                    let at = process.sleeps_until;
                    return self.plan(at, Due::Hear(number, event));
                }
                self.hear(number, event);
            }
            Due::Arrive(number, round, answered) => {
                let Some(process) = self.processes.get(&number) else { return };
                let answer = self.database.carry_out(&process.me, &round, self.limits.lease_ms, self.now);
                if !round.release.is_empty() || round.standing != Standing::Member || round.renew.is_empty() {
                    for other in self.processes.keys().copied().filter(|other| *other != number).collect::<Vec<_>>() {
                        if calm || !self.dice.one_in(4) {
                            let at = self.now + self.dice.ms(0, 20);
                            self.plan(at, Due::Hear(other, Event::Rung));
                        }
                    }
                }
                let event = if answered { Event::Answered(answer) } else { Event::Unanswered };
                let at = self.now + self.delay();
                self.plan(at, Due::Hear(number, event));
            }
        }
    }

    fn any(&mut self) -> usize {
        let numbers: Vec<usize> = self.processes.keys().copied().collect();
        numbers[self.dice.index(numbers.len())]
    }

    fn delay(&mut self) -> i64 {
        if self.now < CALM_MS && self.dice.one_in(20) { self.dice.ms(200, 3_000) } else { self.dice.ms(0, 15) }
    }

    fn hear(&mut self, number: usize, event: Event) {
        let now = self.now;
        let Some(process) = self.processes.get_mut(&number) else { return };
        if process.left {
            return;
        }
        let commands = process.planner.on_event(event, process.clock(now));
        let wake = process.planner.next_wake().since_ms(process.clock(now));
        // Its clock may be slower than ours.
        let ticks_at = now + wake.clamp(0, 1_000_000) + 1 + wake.clamp(0, 1_000_000) / 100;
        if process.ticks_at <= now || ticks_at < process.ticks_at {
            process.ticks_at = ticks_at;
            self.plan(ticks_at, Due::Hear(number, Event::Tick));
        }
        for command in commands {
            self.carry_out(number, command);
        }
    }

    fn carry_out(&mut self, number: usize, command: Command) {
        let calm = self.now > CALM_MS;
        match command {
            Command::Ask(round) => {
                let at = self.now + self.delay();
                match self.dice.below(if calm { 1 } else { 30 }) {
                    1 => self.plan(at, Due::Hear(number, Event::Unanswered)),
                    2 => self.plan(at, Due::Arrive(number, round, false)),
                    _ => self.plan(at, Due::Arrive(number, round, true)),
                }
            }
            Command::Drain { partition } => {
                let Some(process) = self.processes.get(&number) else { return };
                let clock = process.clock(self.now);
                let epoch = process.planner.holds(clock).find(|(held, _)| *held == partition).map(|(_, epoch)| epoch);
                let at = self.now + self.dice.ms(0, 900);
                if let Some(epoch) = epoch {
                    self.plan(at, Due::Hear(number, Event::Drained { partition, epoch }));
                }
            }
            Command::Left => {
                if let Some(process) = self.processes.get_mut(&number) {
                    process.left = true;
                }
                if self.processes.len() > 1 {
                    self.processes.remove(&number);
                }
            }
            Command::Open { .. } | Command::Extend { .. } | Command::Close { .. } | Command::Joined => {}
        }
    }

    /// Who holds a partition by its own reckoning holds it in the database: so no two ever do.
    fn nobody_believes_in_vain(&mut self) -> Result<(), String> {
        for (number, process) in &self.processes {
            for (partition, epoch) in process.planner.holds(process.clock(self.now)) {
                let row = &self.database.rows[partition as usize];
                if row.owner.as_ref() != Some(&process.me.id) || row.epoch != epoch.0 || row.until <= self.now {
                    return Err(format!("at {} node {number} believes in {partition} in {epoch:?}: {row:?}", self.now));
                }
                self.cared_for[partition as usize] = self.now;
            }
        }
        Ok(())
    }

    fn everything_has_its_place(&self) -> Result<(), String> {
        let living: Vec<&Process> = self.processes.values().filter(|process| !process.left).collect();
        if living.is_empty() {
            return Ok(());
        }
        let shares: Vec<usize> =
            living.iter().map(|process| process.planner.holds(process.clock(self.now)).count()).collect();
        let all: usize = shares.iter().sum();
        if all != PARTITIONS as usize {
            return Err(format!("{all} partitions are held: {shares:?}"));
        }
        let (least, most) = (all / living.len(), all.div_ceil(living.len()));
        if shares.iter().any(|share| *share < least || *share > most) {
            return Err(format!("the shares are {shares:?}"));
        }
        Ok(())
    }
}

fn first_failure(seeds: u64, limits: Limits, change: impl Fn(&mut World)) -> Option<(u64, String)> {
    (0..seeds).find_map(|seed| {
        let mut world = World::new(seed, limits);
        change(&mut world);
        world.play().err().map(|why| (seed, why))
    })
}

#[test]
fn every_partition_has_one_owner_whatever_happens_to_nodes_clocks_and_answers() {
    if let Some((seed, why)) = first_failure(SEEDS, Limits::default(), |_| {}) {
        panic!("seed {seed}: {why}");
    }
}

#[test]
fn nodes_of_these_worlds_die_sleep_and_leave() {
    let mut met: BTreeMap<&str, usize> = BTreeMap::new();
    for seed in 0..100 {
        let mut world = World::new(seed, Limits::default());
        let _ = world.play();
        for (what, times) in world.deaths {
            *met.entry(what).or_default() += times;
        }
    }
    assert!(met.len() == 3 && met.values().all(|times| *times >= 20), "{met:?}");
}

#[test]
fn owners_that_do_not_stop_before_their_lease_ends_are_noticed() {
    let late = Limits { margin_ms: -500, ..Limits::default() };
    let failure = first_failure(MUTANT_SEEDS, late, |_| {});
    assert!(failure.as_ref().is_some_and(|(_, why)| why.contains("believes in")), "{failure:?}");
}

#[test]
fn a_database_that_does_not_arbitrate_is_noticed() {
    let failure = first_failure(MUTANT_SEEDS, Limits::default(), |world| world.database.arbitrates = false);
    assert!(failure.as_ref().is_some_and(|(_, why)| why.contains("believes in")), "{failure:?}");
}

/// Nodes without faults, played for as long as it takes them to settle.
fn settle(world: &mut World, until: i64) {
    while let Some(entry) = world.agenda.first_entry() {
        if entry.key().0 > until {
            break;
        }
        let ((at, _), due) = world.agenda.pop_first().expect("there is a first one");
        world.now = at;
        world.step(due);
        world.nobody_believes_in_vain().unwrap();
    }
}

fn quiet_world(nodes: usize) -> World {
    let mut world = World::new(7, Limits::default());
    world.agenda.clear();
    world.now = CALM_MS + 1;
    for _ in 0..nodes {
        world.plan(CALM_MS + 1, Due::Start);
    }
    settle(&mut world, CALM_MS + 20_000);
    world.everything_has_its_place().unwrap();
    world
}

#[test]
fn a_death_is_taken_over_within_the_lease_and_little_more() {
    let mut world = quiet_world(3);
    let died = world.now;
    world.processes.remove(&1);
    let until = died + world.limits.lease_ms + 200;
    settle(&mut world, until);
    let held: usize = world.processes.values().map(|p| p.planner.holds(p.clock(world.now)).count()).sum();
    assert_eq!(held, PARTITIONS as usize);
}

#[test]
fn a_node_that_leaves_hands_over_within_its_drain_and_a_moment() {
    let mut world = quiet_world(2);
    let leaves = world.now;
    world.plan(leaves, Due::Hear(0, Event::Leave));
    // Drains of this world take up to 900 ms.
    settle(&mut world, leaves + 900 + 150);
    assert_eq!(world.processes.keys().copied().collect::<Vec<_>>(), [1]);
    world.everything_has_its_place().unwrap();
}

#[test]
fn a_node_that_joins_gets_its_share_and_little_else_moves() {
    for nodes in 1..5 {
        let mut world = quiet_world(nodes);
        let before = world.database.moves;
        world.plan(world.now, Due::Start);
        settle(&mut world, CALM_MS + 40_000);
        world.everything_has_its_place().unwrap();
        let (moved, share) = (world.database.moves - before, (PARTITIONS as usize).div_ceil(nodes + 1));
        assert!(moved <= share + nodes, "{moved} partitions moved for a share of {share}");
    }
}

#[test]
fn what_an_old_release_cannot_read_goes_to_a_newer_one_and_stays_while_that_lives() {
    let mut world = quiet_world(2);
    let strange = world.processes[&0].planner.holds(world.processes[&0].clock(world.now)).next().unwrap().0;
    let owner = |world: &World| {
        world.processes.iter().find_map(|(number, process)| {
            let mut held = process.planner.holds(process.clock(world.now));
            held.any(|(partition, _)| partition == strange).then_some(*number)
        })
    };
    world.plan(world.now, Due::Hear(0, Event::Newer { partition: strange }));
    let until = world.now + 5_000;
    settle(&mut world, until);
    assert_eq!(owner(&world), Some(0), "nobody could do better");
    let newer = world.started;
    world.step(Due::Start);
    let me = identity(newer, 2);
    world.processes.get_mut(&newer).unwrap().me = me.clone();
    world.processes.get_mut(&newer).unwrap().planner = Planner::new(me, world.limits);
    world.agenda.retain(|_, due| !matches!(due, Due::Hear(number, _) | Due::Arrive(number, ..) if *number == newer));
    world.step(Due::Hear(newer, Event::Tick));
    let until = world.now + 15_000;
    settle(&mut world, until);
    assert_eq!(owner(&world), Some(newer));
    world.processes.remove(&newer);
    let until = world.now + 10_000;
    settle(&mut world, until);
    assert!(owner(&world).is_some(), "without a newer one, somebody has it");
}

#[test]
fn heirs_have_equal_shares_and_differ_little_when_a_node_dies() {
    let partition =
        |partition| Ownership { partition, owner: None, epoch: Epoch(0), lease_left_ms: 0, since_ms: 0, generation: 0 };
    let view = |numbers: &BTreeSet<usize>| View {
        nodes: numbers
            .iter()
            .map(|number| Node { identity: identity(*number, 1), up_ms: 0, lease_left_ms: 1, draining: false })
            .collect(),
        partitions: (0..64).map(partition).collect(),
    };
    for count in 2..9_usize {
        let all: BTreeSet<usize> = (0..count).collect();
        let before = division::heirs(&view(&all));
        let mut shares: BTreeMap<Arc<str>, usize> = BTreeMap::new();
        for heir in before.values() {
            *shares.entry(heir.0.clone()).or_default() += 1;
        }
        assert!(shares.values().all(|share| (64 / count..=64_usize.div_ceil(count)).contains(share)), "{shares:?}");
        let fewer: BTreeSet<usize> = (1..count).collect();
        let after = division::heirs(&view(&fewer));
        let dead = identity(0, 1).id;
        let moved = before.iter().filter(|(place, heir)| **heir != dead && after[*place] != **heir).count();
        assert!(moved <= 64 / count, "{moved} of 64 moved that need not, of {count} nodes");
    }
}
