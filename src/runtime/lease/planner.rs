//! What a node does about its leases, decided without IO or a clock.
//!
//! The keeper carries commands out and reports; one round with the database is under way at a time. Times are those of
//! the node's own monotonic clock; the database's clock shows only as what is left of a lease at the time of a round.

use std::collections::{BTreeMap, BTreeSet};

use super::{Epoch, Identity, Limits, NodeId, Ownership, View, division};
use crate::runtime::clock::Monotonic;

/// The database is not asked twice within this many milliseconds, unless something happened here.
const GAP_MS: i64 = 20;
/// A lease that ran out is looked at this many milliseconds later: the database's clock is the one that counts.
const AFTER_EXPIRY_MS: i64 = 30;

/// One exchange with the database.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Round {
    /// Leases to renew, with the node's own.
    pub renew: Vec<(u32, Epoch)>,
    /// Partitions to release.
    pub release: Vec<Release>,
    /// Partitions to claim if nobody holds them, and the epoch that they had when they were seen.
    pub claim: Vec<(u32, Epoch)>,
    /// How the node stands.
    pub standing: Standing,
}

/// A partition that is given back.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Release {
    /// Which.
    pub partition: u32,
    /// The epoch it was held in.
    pub epoch: Epoch,
    /// The least generation of a node that can read it, as far as is known here.
    pub generation: u32,
}

/// How a node stands.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Standing {
    /// It takes its share.
    #[default]
    Member,
    /// It is ending.
    Draining,
    /// It has ended and is to be forgotten.
    Gone,
}

/// What came of a round.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Answer {
    /// Whose lease was renewed.
    pub renewed: Vec<u32>,
    /// What was claimed, with its new epoch.
    pub claimed: Vec<(u32, Epoch)>,
    /// How everything stands after it.
    pub view: View,
}

/// What happened.
#[derive(Clone, Debug)]
pub enum Event {
    /// Time passed.
    Tick,
    /// Somebody released something, came or went.
    Rung,
    /// The round ended.
    Answered(Answer),
    /// The round failed; what it did is not known.
    Unanswered,
    /// Nothing of a partition is in hand any more.
    Drained {
        /// Which.
        partition: u32,
        /// In which epoch.
        epoch: Epoch,
    },
    /// The journal refused what was decided in this epoch.
    Fenced {
        /// Which.
        partition: u32,
        /// In which epoch.
        epoch: Epoch,
    },
    /// A partition holds what only a newer release can read.
    Newer {
        /// Which.
        partition: u32,
    },
    /// The node ends: everything is given back.
    Leave,
}

/// What to do.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Command {
    /// Ask the database; answer with [`Event::Answered`] or [`Event::Unanswered`].
    Ask(Round),
    /// The partition is ours until `until`.
    Open {
        /// Which.
        partition: u32,
        /// In this epoch.
        epoch: Epoch,
        /// Unless it is extended.
        until: Monotonic,
    },
    /// These leases last until `until`.
    Extend {
        /// Whose.
        partitions: Vec<u32>,
        /// Until when.
        until: Monotonic,
    },
    /// Finish what is in hand of a partition; answer with [`Event::Drained`].
    Drain {
        /// Which.
        partition: u32,
    },
    /// Stop everything of a partition at once, and forget what was known of it.
    Close {
        /// Which.
        partition: u32,
    },
    /// The node is a member and has what it can have.
    Joined,
    /// Everything was given back.
    Left,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Phase {
    Open,
    Draining,
    /// To be released.
    Drained,
}

#[derive(Clone, Copy, Debug)]
struct Held {
    epoch: Epoch,
    until: Monotonic,
    since: Monotonic,
    phase: Phase,
}

/// A node's plan. See the module's documentation.
pub struct Planner {
    me: Identity,
    limits: Limits,
    held: BTreeMap<u32, Held>,
    /// Partitions in which this release met what it cannot read.
    unreadable: BTreeSet<u32>,
    view: View,
    /// When the round under way was asked for.
    asked: Option<Monotonic>,
    /// The next one must follow at once.
    again: bool,
    round_at: Monotonic,
    joined: bool,
    leaving: bool,
    /// The farewell was sent.
    parting: bool,
    left: bool,
    out: Vec<Command>,
}

impl Planner {
    /// A node that holds nothing and asks at its first tick.
    #[must_use]
    pub fn new(me: Identity, limits: Limits) -> Self {
        Self {
            me,
            limits,
            held: BTreeMap::new(),
            unreadable: BTreeSet::new(),
            view: View::default(),
            asked: None,
            again: false,
            round_at: Monotonic(i64::MIN),
            joined: false,
            leaving: false,
            parting: false,
            left: false,
            out: Vec::new(),
        }
    }

    /// What to do now that `event` happened.
    pub fn on_event(&mut self, event: Event, now: Monotonic) -> Vec<Command> {
        // First of all, whatever happened: a node that slept finds out here.
        self.expire(now);
        match event {
            Event::Tick => {}
            Event::Rung => self.hurry(now),
            Event::Answered(answer) => self.answered(answer, now),
            Event::Unanswered => {
                self.asked = None;
                self.round_at = now.plus_ms(self.limits.retry_ms);
                if self.parting {
                    // Nobody waits for a farewell: the lease ends by itself.
                    self.leave_for_good();
                }
            }
            Event::Drained { partition, epoch } => {
                if let Some(held) = self.held.get_mut(&partition).filter(|held| held.epoch == epoch) {
                    held.phase = Phase::Drained;
                    self.hurry(now);
                }
            }
            Event::Fenced { partition, epoch } => {
                if self.held.get(&partition).is_some_and(|held| held.epoch == epoch) {
                    self.close(partition);
                    self.hurry(now);
                }
            }
            Event::Newer { partition } => {
                if self.unreadable.insert(partition) {
                    self.hand_back_unreadable();
                }
            }
            Event::Leave => {
                self.leaving = true;
                for partition in self.open_partitions() {
                    self.drain(partition);
                }
                self.hurry(now);
            }
        }
        self.ask_if_due(now);
        std::mem::take(&mut self.out)
    }

    /// When a [`Event::Tick`] is needed at the latest.
    #[must_use]
    pub fn next_wake(&self) -> Monotonic {
        let round = (self.asked.is_none() && !self.left).then_some(self.round_at);
        self.held.values().map(|held| held.until).chain(round).min().unwrap_or(Monotonic(i64::MAX))
    }

    /// What is held by the node's own reckoning.
    #[cfg(test)]
    pub fn holds(&self, now: Monotonic) -> impl Iterator<Item = (u32, Epoch)> {
        let held = self.held.iter().filter(move |(_, held)| held.phase != Phase::Drained && now < held.until);
        held.map(|(partition, held)| (*partition, held.epoch))
    }

    fn expire(&mut self, now: Monotonic) {
        let gone: Vec<u32> = self.held.iter().filter(|(_, held)| held.until <= now).map(|(p, _)| *p).collect();
        for partition in gone {
            self.close(partition);
        }
    }

    fn close(&mut self, partition: u32) {
        self.held.remove(&partition);
        self.out.push(Command::Close { partition });
    }

    fn drain(&mut self, partition: u32) {
        if let Some(held) = self.held.get_mut(&partition).filter(|held| held.phase == Phase::Open) {
            held.phase = Phase::Draining;
            self.out.push(Command::Drain { partition });
        }
    }

    fn open_partitions(&self) -> Vec<u32> {
        self.held.iter().filter(|(_, held)| held.phase == Phase::Open).map(|(partition, _)| *partition).collect()
    }

    /// The next round is due now, or right after the one under way.
    fn hurry(&mut self, now: Monotonic) {
        self.again = true;
        self.round_at = self.round_at.min(now);
    }

    fn ask_if_due(&mut self, now: Monotonic) {
        if self.asked.is_some() || self.left || now < self.round_at {
            return;
        }
        self.again = false;
        self.parting = self.leaving && self.held.values().all(|held| held.phase == Phase::Drained);
        let standing = match (self.leaving, self.parting) {
            (_, true) => Standing::Gone,
            (true, false) => Standing::Draining,
            (false, false) => Standing::Member,
        };
        let (drained, kept): (Vec<_>, Vec<_>) = self.held.iter().partition(|(_, held)| held.phase == Phase::Drained);
        let round = Round {
            renew: kept.into_iter().map(|(partition, held)| (*partition, held.epoch)).collect(),
            release: drained.into_iter().map(|(partition, held)| self.release(*partition, held.epoch)).collect(),
            claim: self.claims().map(|owned| (owned.partition, owned.epoch)).collect(),
            standing,
        };
        self.asked = Some(now);
        self.round_at = now.plus_ms(self.limits.renewal_ms);
        self.out.push(Command::Ask(round));
    }

    fn release(&self, partition: u32, epoch: Epoch) -> Release {
        let generation = if self.unreadable.contains(&partition) { self.me.generation.saturating_add(1) } else { 0 };
        Release { partition, epoch, generation }
    }

    /// What is nobody's and should be ours. What the database calls ours and we do not hold is taken anew: its epoch may
    /// have been written by a round that was never answered.
    fn claims(&self) -> impl Iterator<Item = &Ownership> {
        let heirs = if self.leaving { BTreeMap::new() } else { division::heirs(&self.view) };
        self.view.partitions.iter().filter(move |owned| {
            let free = owned.holder().is_none_or(|holder| *holder == self.me.id);
            free && !self.held.contains_key(&owned.partition) && heirs.get(&owned.partition) == Some(&self.me.id)
        })
    }

    fn answered(&mut self, answer: Answer, now: Monotonic) {
        let Some(asked) = self.asked.take() else { return };
        if self.parting {
            return self.leave_for_good();
        }
        // Counted from before the round was sent: the database's lease began later than that.
        let until = asked.plus_ms(self.limits.lease_ms - self.limits.margin_ms);
        self.view = answer.view;
        self.settle_held(&answer.renewed, until, asked);
        for (partition, epoch) in answer.claimed {
            if until > now && !self.leaving {
                self.held.insert(partition, Held { epoch, until, since: now, phase: Phase::Open });
                self.out.push(Command::Open { partition, epoch, until });
            }
        }
        if !std::mem::replace(&mut self.joined, true) {
            self.out.push(Command::Joined);
        }
        if !self.leaving {
            self.hand_back_unreadable();
            self.give_up(now);
        }
        self.plan_next(now);
    }

    /// What was renewed lasts longer; what was not is somebody else's by now; what was released is gone.
    fn settle_held(&mut self, renewed: &[u32], until: Monotonic, asked: Monotonic) {
        let mut lost = Vec::new();
        self.held.retain(|partition, held| {
            let ours = self.view.partitions.iter().any(|owned| {
                owned.partition == *partition && owned.epoch == held.epoch && owned.owner.as_ref() == Some(&self.me.id)
            });
            if held.phase == Phase::Drained {
                // It may have been drained while the round was under way.
                return ours;
            }
            if renewed.contains(partition) {
                held.until = held.until.max(until);
            } else if held.since <= asked && !ours {
                lost.push(*partition);
            }
            true
        });
        let extended: Vec<u32> = renewed.iter().copied().filter(|p| self.held.contains_key(p)).collect();
        if !extended.is_empty() {
            self.out.push(Command::Extend { partitions: extended, until });
        }
        for partition in lost {
            self.close(partition);
        }
    }

    /// A partition goes to its heir when that one has less than its share, or this node more. Otherwise it stays: what is
    /// balanced is not moved for the hash's sake. What has just come here is not given up yet.
    fn give_up(&mut self, now: Monotonic) {
        let heirs = division::heirs(&self.view);
        let members = self.view.nodes.iter().filter(|node| node.takes()).count();
        let all = self.view.partitions.len();
        let (least, most) = match members {
            0 => return,
            _ => (all / members, all.div_ceil(members)),
        };
        let mut shares: BTreeMap<NodeId, usize> = BTreeMap::new();
        for owned in &self.view.partitions {
            let ours = self.held.get(&owned.partition).is_some_and(|held| held.phase == Phase::Open);
            let stays = |holder: &NodeId| {
                *holder != self.me.id && self.view.nodes.iter().any(|n| n.identity.id == *holder && n.takes())
            };
            let whose = if ours {
                Some(&self.me.id)
            } else {
                // What moves counts as its heir's already.
                owned.holder().filter(|holder| stays(holder)).or_else(|| heirs.get(&owned.partition))
            };
            if let Some(whose) = whose {
                *shares.entry(whose.clone()).or_default() += 1;
            }
        }
        let mut share = |node: &NodeId, by: isize| {
            let share = shares.entry(node.clone()).or_default();
            *share = share.saturating_add_signed(by);
            *share
        };
        for for_the_poor in [true, false] {
            for partition in self.open_partitions() {
                let Some(heir) = heirs.get(&partition).filter(|heir| **heir != self.me.id) else { continue };
                let stayed =
                    self.held.get(&partition).is_some_and(|held| now.since_ms(held.since) >= self.limits.stay_ms);
                let wanted = if for_the_poor { share(heir, 0) < least } else { share(&self.me.id, 0) > most };
                if (wanted && stayed) || self.is_beyond_us(partition) {
                    share(heir, 1);
                    share(&self.me.id, -1);
                    self.drain(partition);
                }
            }
        }
    }

    /// Whether others have met there what this release cannot read, and one that can is here.
    fn is_beyond_us(&self, partition: u32) -> bool {
        let least = self.view.partitions.iter().find(|owned| owned.partition == partition).map_or(0, |o| o.generation);
        least > self.me.generation && self.newer_lives()
    }

    fn newer_lives(&self) -> bool {
        self.view.nodes.iter().any(|node| node.takes() && node.identity.generation > self.me.generation)
    }

    /// Without a newer node nobody could do better: then the partition stays, and only what cannot be read waits.
    fn hand_back_unreadable(&mut self) {
        if self.newer_lives() {
            for partition in self.unreadable.clone() {
                self.drain(partition);
            }
        }
    }

    fn plan_next(&mut self, now: Monotonic) {
        let wants = self.again || self.claims().next().is_some();
        if wants {
            self.round_at = now.plus_ms(if self.again { 0 } else { GAP_MS });
            return;
        }
        // The next lease of somebody else that would run out: its owner may be dead.
        let others = self.view.partitions.iter().filter(|owned| !self.held.contains_key(&owned.partition));
        let expiry = others.filter_map(|owned| owned.holder().map(|_| owned.lease_left_ms)).min();
        if let Some(left) = expiry {
            self.round_at = self.round_at.min(now.plus_ms(left.max(0).saturating_add(AFTER_EXPIRY_MS)));
        }
    }

    fn leave_for_good(&mut self) {
        self.held.clear();
        self.left = true;
        self.out.push(Command::Left);
    }
}
