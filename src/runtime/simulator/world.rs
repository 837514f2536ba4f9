//! The world of one run: virtual time, an agenda, the owners of the partition and the clients outside.

use std::collections::{BTreeMap, BTreeSet};
use std::hash::{DefaultHasher, Hash, Hasher};
use std::mem::discriminant;

use super::dice::Dice;
use super::journal::Journal;
use super::machine::kind_of;
use super::owner::{Owner, Task};
use super::plan::{Mutation, Plan};
use super::room::SimulatedRoom;
use crate::domain::{Address, Timestamp};
use crate::runtime::fold::{Snapshot, fold};
use crate::runtime::journal::{DECIDE, Envelope, MessageId, Outcome};
use crate::runtime::partition::Event;
use crate::runtime::room::Guest;

/// Steps a run takes at most.
const STEPS_MAX: usize = 60_000;
/// How long after the faults everything must be done, in milliseconds.
const PATIENCE_MS: i64 = 400_000;
/// How long a client waits before it asks again, in milliseconds.
const CLIENT_MS: i64 = 300;
/// How long a drain may take before activities are stopped, in milliseconds.
const DRAIN_MS: i64 = 700;

/// Something on the agenda.
#[derive(Clone)]
pub enum Due {
    /// A command is carried out by the owner of this number.
    Carry(u32, Task),
    /// Something is reported to the owner of this number.
    Report(u32, Event, Option<(Address, Snapshot)>),
    /// A client asks for a birth.
    Ask(usize),
    /// The partition is opened by a new owner.
    Open(Vec<MessageId>),
    /// The owner that was taken over stops.
    Expire(u32),
    /// The lease of this owner has ended in the database.
    LeaseEnds(u32),
    Drain,
    Stop(u32),
    /// The owner of this number finds that its mailbox forgot: it is emptied.
    Forgot(u32),
    /// Somebody leaves the room of a process.
    Leave(u32, Guest),
    /// A supervisor begins in the process where one died.
    Revive(u32),
}

/// Characters of a line of the trace.
const LINE_MAX: usize = 260;

/// One run.
pub struct World {
    pub dice: Dice,
    pub plan: Plan,
    pub now: Timestamp,
    agenda: BTreeMap<(Timestamp, u64), Box<Due>>,
    planned: u64,
    pub journal: Journal,
    pub owners: Vec<Owner>,
    pub opened: u32,
    /// The room of each process.
    pub rooms: BTreeMap<u32, SimulatedRoom>,
    pub crashes: u32,
    /// Activities that were given up before they began.
    pub recalled: usize,
    /// Activities that came in after they had waited.
    pub turns_taken: usize,
    /// Owners that could not renew their lease.
    pub lapses: u32,
    /// What the journal refused to owners that were taken over.
    pub fenced: usize,
    /// Activities that did not begin because the lease was over.
    pub withheld: usize,
    /// Supervisors that died and whose process lived on.
    pub deaths: u32,
    /// Births that were answered with success.
    pub accepted: BTreeSet<usize>,
    /// In which owner's time an activity was started.
    pub runs: BTreeMap<MessageId, Vec<u32>>,
    /// Which owners noted that they try a message.
    pub accused: BTreeMap<MessageId, BTreeSet<u32>>,
    pub mailed_late: BTreeSet<MessageId>,
    /// What the mailbox of an owner forgot, and by when it is to be posted again.
    pub forgotten: Vec<(Timestamp, u32, Vec<MessageId>)>,
    /// How often it did.
    pub forgettings: usize,
    /// Actors whose state could not be read once.
    pub unreadable: BTreeSet<Address>,
    pub broken: Option<String>,
    pub steps: usize,
    pub drains: u32,
    hash: DefaultHasher,
    /// What happened, when it is to be printed.
    pub trace: Option<Vec<String>>,
}

impl World {
    pub fn new(seed: u64, plan: Plan, traced: bool) -> Self {
        let mut world = Self {
            dice: Dice::new(seed.wrapping_mul(31).wrapping_add(7)),
            plan,
            now: Timestamp(1_000_000),
            agenda: BTreeMap::new(),
            planned: 0,
            journal: Journal::default(),
            owners: Vec::new(),
            opened: 0,
            rooms: BTreeMap::new(),
            crashes: 0,
            recalled: 0,
            turns_taken: 0,
            lapses: 0,
            fenced: 0,
            withheld: 0,
            deaths: 0,
            accepted: BTreeSet::new(),
            runs: BTreeMap::new(),
            accused: BTreeMap::new(),
            mailed_late: BTreeSet::new(),
            forgotten: Vec::new(),
            forgettings: 0,
            unreadable: BTreeSet::new(),
            broken: None,
            steps: 0,
            drains: 0,
            hash: DefaultHasher::new(),
            trace: traced.then(Vec::new),
        };
        world.plan_in(0, Due::Open(Vec::new()));
        for index in 0..world.plan.births.len() {
            world.plan_in(world.plan.births[index].0, Due::Ask(index));
        }
        if let Some(drain_ms) = world.plan.drain_ms {
            world.plan_in(drain_ms, Due::Drain);
        }
        world
    }

    /// Plays until everything is done; says what went wrong otherwise.
    pub fn play(&mut self) -> Result<(), String> {
        let end = self.calm_from().plus_ms(PATIENCE_MS);
        while let Some(((at, _), due)) = self.agenda.pop_first() {
            self.now = at;
            self.steps += 1;
            self.step(*due);
            if let Some(broken) = self.broken.take() {
                return Err(broken);
            }
            if self.is_done() {
                return self.check();
            }
            if self.steps > STEPS_MAX || self.now > end {
                return Err(format!("not done after {} steps: {}", self.steps, self.leftovers()));
            }
        }
        Err("nothing more happens".to_owned())
    }

    pub fn digest(&self) -> u64 {
        self.hash.finish()
    }

    fn calm_from(&self) -> Timestamp {
        Timestamp(1_000_000 + self.plan.calm_ms)
    }

    fn is_calm(&self) -> bool {
        self.now >= self.calm_from()
    }

    fn is_done(&self) -> bool {
        self.is_calm()
            && self.accepted.len() == self.plan.births.len()
            && self.journal.is_quiet()
            && self.owners.len() == 1
            && self.owners.iter().all(|owner| !owner.draining && owner.is_at_rest())
            && !self.agenda.values().any(|due| {
                matches!(&**due, Due::Carry(_, task) if task.is_work())
                    || matches!(**due, Due::Drain | Due::Open(_) | Due::LeaseEnds(_) | Due::Leave(..) | Due::Revive(_))
            })
    }

    pub fn plan_in(&mut self, ms: i64, due: Due) {
        // Chance breaks ties, so that what is due at the same time comes in any order.
        self.planned += 1;
        let tie = (self.dice.below(1 << 20) << 40) | self.planned;
        self.agenda.insert((self.now.plus_ms(ms.max(0)), tie), Box::new(due));
    }

    /// For what keeps its order among its like.
    pub fn plan_at(&mut self, at: Timestamp, due: Due) {
        self.planned += 1;
        self.agenda.insert((at, self.planned), Box::new(due));
    }

    /// How long something takes.
    pub fn delay(&mut self) -> i64 {
        if self.dice.one_in(self.plan.slow) { self.dice.ms(20, 250) } else { self.dice.ms(0, 6) }
    }

    /// Whether something goes wrong that goes wrong once in `chance` times.
    pub fn strikes(&mut self, chance: u64) -> bool {
        !self.is_calm() && self.dice.one_in(chance)
    }

    pub fn fail(&mut self, what: String) {
        self.note(|| format!("FAILED {what}"));
        self.broken.get_or_insert(what);
    }

    pub fn note(&mut self, what: impl FnOnce() -> String) {
        if let Some(trace) = &mut self.trace {
            let line: String = what().chars().take(LINE_MAX).collect();
            trace.push(format!("{:>8} {line}", self.now.0 - 1_000_000));
        }
    }

    fn step(&mut self, due: Due) {
        (self.now.0, self.steps, discriminant(&due)).hash(&mut self.hash);
        let Some(due) = self.unless_asleep(due) else { return };
        match due {
            Due::Carry(number, task) => {
                if self.owner(number).is_none() {
                    return;
                }
                task.code().hash(&mut self.hash);
                if self.is_current(number) && self.crashes < self.plan.crashes_max && self.strikes(self.plan.crash) {
                    return self.crash(None);
                }
                if self.is_current(number) && self.owners.len() == 1 && self.strikes(self.plan.takeover) {
                    if self.plan.leased {
                        self.lose_touch(number);
                        return self.plan_in(0, Due::Carry(number, task));
                    }
                    self.take_over(number);
                }
                let is_alone = self.owners.len() == 1 && self.owners.iter().all(|owner| !owner.draining);
                if self.is_current(number) && is_alone && self.strikes(self.plan.death) {
                    return self.supervisor_dies();
                }
                self.note(|| format!("#{number} does {task:?}"));
                self.carry(number, task);
            }
            Due::Report(number, event, brought) => self.report(number, event, brought),
            Due::Ask(client) => self.ask(client),
            Due::Open(suspects) => self.open(&suspects),
            Due::Expire(number) => self.owners.retain(|owner| owner.number != number),
            Due::LeaseEnds(number) => {
                // It may have died since then.
                if self.is_current(number) {
                    self.note(|| format!("#{number} is taken over"));
                    self.open(&[]);
                }
            }
            Due::Drain => self.drain(self.opened),
            Due::Stop(number) => self.report(number, Event::Stop, None),
            Due::Leave(node, guest) => self.leave(node, guest),
            Due::Revive(node) => self.open_in(node, &[]),
            Due::Forgot(number) => self.forgot(number),
        }
        self.must_be_posted_again();
    }

    pub fn owner(&mut self, number: u32) -> Option<&mut Owner> {
        self.owners.iter_mut().find(|owner| owner.number == number)
    }

    /// Whether this owner owns the partition, rather than believing it.
    pub fn is_current(&self, number: u32) -> bool {
        self.opened == number
    }

    /// Opens the partition in a process of its own.
    fn open(&mut self, suspects: &[MessageId]) {
        let node = self.opened + 1;
        self.rooms.insert(node, SimulatedRoom::new(self.plan.places));
        self.open_in(node, suspects);
    }

    fn open_in(&mut self, node: u32, suspects: &[MessageId]) {
        self.opened += 1;
        let number = self.opened;
        let suspects = self.journal.suspects(suspects);
        self.note(|| format!("#{number} opens with {} suspects", suspects.len()));
        self.owners.push(Owner::new(number, node, &self.plan, self.now));
        self.report(number, Event::Opened { suspects }, None);
    }

    /// The process dies: all but the journal is gone. `poison` is what killed it, if it was a message.
    pub fn crash(&mut self, poison: Option<&[Envelope]>) {
        self.crashes += u32::from(poison.is_none());
        let Some(owner) = self.owners.pop() else { return };
        self.rooms.remove(&owner.node);
        let mut hands = owner.hands();
        hands.extend(poison.into_iter().flatten().map(|envelope| envelope.id.clone()));
        self.note(|| format!("#{} dies with {hands:?} in hand", owner.number));
        // Both owners live in other processes: the one that was taken over goes on.
        self.opened += 1;
        self.plan_in(20, Due::Open(hands.into_iter().collect()));
    }

    /// The process lives on, and so does its room: the activities stop, each in its own time, and another supervisor
    /// begins.
    fn supervisor_dies(&mut self) {
        let Some(owner) = self.owners.pop() else { return };
        self.note(|| format!("the supervisor #{} dies", owner.number));
        self.deaths += 1;
        if self.plan.mutation != Some(Mutation::TheDeadKeepTheirPlaces) {
            for guest in owner.guests.into_values() {
                let stops_in = self.dice.ms(0, 60);
                self.plan_in(stops_in, Due::Leave(owner.node, guest));
            }
        }
        self.opened += 1;
        self.plan_in(20, Due::Revive(owner.node));
    }

    fn drain(&mut self, number: u32) {
        let Some(owner) = self.owner(number) else { return self.plan_in(50, Due::Drain) };
        owner.draining = true;
        self.drains += 1;
        self.plan_in(DRAIN_MS, Due::Stop(number));
        self.report(number, Event::Drain, None);
    }

    fn take_over(&mut self, number: u32) {
        self.note(|| format!("#{number} is taken over"));
        let lives = self.dice.ms(20, 400);
        self.plan_in(lives, Due::Expire(number));
        self.open(&[]);
    }

    /// The owner cannot reach the database any more, and may sleep. It stops by its own clock before its lease ends there;
    /// if it sleeps longer, others own the partition when it wakes up, and it finds out a little later.
    fn lose_touch(&mut self, number: u32) {
        let (lease, margin, sleeps) = (self.dice.ms(60, 200), self.dice.ms(10, 50), self.dice.ms(0, 500));
        // A timer that went off meanwhile is heard a little after it wakes up.
        let finds_out = sleeps + self.dice.ms(0, 40);
        let now = self.now;
        let Some(owner) = self.owner(number) else { return };
        if owner.until.is_some() {
            return;
        }
        owner.sleeps_until = now.plus_ms(sleeps);
        owner.until = Some(now.plus_ms(lease - margin));
        self.lapses += 1;
        self.note(|| format!("#{number} sleeps for {sleeps} ms and has {lease} ms of its lease"));
        let stops = if sleeps < lease - margin { lease - margin } else { finds_out };
        self.plan_in(stops, Due::Expire(number));
        self.plan_in(lease, Due::LeaseEnds(number));
    }

    /// What an owner that sleeps does, it does when it wakes up.
    fn unless_asleep(&mut self, due: Due) -> Option<Due> {
        let number = match &due {
            Due::Carry(number, _) | Due::Report(number, ..) | Due::Stop(number) => *number,
            Due::Drain => self.opened,
            _ => return Some(due),
        };
        let wakes = self.owner(number).map_or(Timestamp(0), |owner| owner.sleeps_until);
        if wakes <= self.now {
            return Some(due);
        }
        self.plan_at(wakes, due);
        None
    }

    /// Whether the owner may still act, by its own clock.
    pub fn may_act(&mut self, number: u32) -> bool {
        let now = self.now;
        self.owner(number).is_some_and(|owner| owner.until.is_none_or(|until| now < until))
    }

    /// Whether the journal refuses what this owner writes.
    pub fn is_fenced(&mut self, number: u32) -> bool {
        let stale = self.plan.leased && !self.is_current(number);
        if stale && self.plan.mutation == Some(Mutation::NoFence) {
            self.fail(format!("#{number} writes although another owner has its partition"));
            return false;
        }
        self.fenced += usize::from(stale);
        stale
    }

    /// The partition was let go in order; another owner opens it.
    pub fn hand_over(&mut self, number: u32) {
        let waits_for_its_lease = self.owner(number).is_some_and(|owner| owner.until.is_some());
        self.owners.retain(|owner| owner.number != number);
        if !self.is_current(number) || waits_for_its_lease {
            return;
        }
        self.plan_in(20, Due::Open(Vec::new()));
    }

    /// A client asks for a birth until it is answered.
    fn ask(&mut self, client: usize) {
        if self.accepted.contains(&client) {
            return;
        }
        self.plan_in(CLIENT_MS, Due::Ask(client));
        let number = self.opened;
        if self.owner(number).is_none_or(|owner| owner.draining) {
            return;
        }
        let (_, actor, body) = self.plan.births[client].clone();
        let id = MessageId::from(&*format!("outside-{client}"));
        let envelope = Envelope {
            id,
            to: actor.clone(),
            lane: DECIDE.into(),
            due: self.now,
            body: body.into(),
            schema: 1,
            deaths: 0,
            turn: None,
            recovered: false,
        };
        let unborn = Snapshot { version: 0, state: None };
        let born = fold(kind_of(&actor), &actor, &unborn, &[envelope], self.now);
        let Some(unit) = born.unit else { return self.fail(format!("{actor} cannot be born")) };
        let outcome = self.journal.commit(&unit);
        self.note(|| format!("client {client} bears {actor}: {outcome:?}"));
        if self.strikes(self.plan.unavailable) {
            return;
        }
        match outcome {
            Outcome::Won => {
                let started = unit.posts.iter().filter(|post| *post.lane != *DECIDE).map(|post| post.id.clone());
                let ordered: Vec<MessageId> = started.collect();
                if let Some(owner) = self.owner(number) {
                    owner.ordered.extend(ordered.iter().cloned());
                }
                let event = Event::Born { actor: actor.clone(), ordered };
                self.plan_in(3, Due::Report(number, event, Some((actor, born.after))));
                // Answered only after this: a crash in between makes the client ask again.
                let delay = self.delay();
                self.plan_in(4 + delay, Due::Carry(number, Task::Greet(client, unit)));
            }
            Outcome::Duplicate(_) => drop(self.accepted.insert(client)),
            other => self.fail(format!("the birth of {actor} is answered with {other:?}")),
        }
    }
}
