//! The partition: what it remembers, and which part of it hears which event.

use std::collections::{BTreeSet, HashMap, HashSet};
use std::sync::Arc;

use super::lanes::{Fixed, Lanes};
use super::seat::Seat;
use super::sweeping::{Retry, Sweep};
use super::trial::Trial;
use super::{Command, Event, Limits};
use crate::domain::{Address, Timestamp};
use crate::runtime::journal::MessageId;

/// How often all actors are looked at for those that hang or are idle, in milliseconds.
pub const SCAN_MS: i64 = 1_000;

/// One partition's scheduler. See the module's documentation.
pub struct Partition {
    pub(super) limits: Limits,
    pub(super) now: Timestamp,
    pub(super) seats: HashMap<Address, Seat, Fixed>,
    pub(super) resting: BTreeSet<(Timestamp, Address)>,
    pub(super) lanes: Lanes,
    pub(super) trial: Trial,
    /// Suspects whose accusation or removal the journal did not answer.
    pub(super) trial_stuck: bool,
    /// Sweeps under way.
    pub(super) sweeping: HashMap<Arc<str>, Sweep, Fixed>,
    /// What was settled within the last scan and the one before: reads and sweeps under way may still show it.
    pub(super) settled_lately: [HashSet<MessageId, Fixed>; 2],
    /// Actors whose birth messages wait for; a hint, so that they need not wait for a sweep as well.
    pub(super) awaited: HashSet<Address, Fixed>,
    /// Effects ordered by this owner's own commits, and by births handed to it, that have not come back to be started.
    pub(super) ordered: HashSet<MessageId, Fixed>,
    pub(super) sweep_at: Timestamp,
    /// How soon the outbox is swept after something failed.
    pub(super) retry: Retry,
    pub(super) scan_at: Timestamp,
    pub(super) tickets: u64,
    pub(super) opened: bool,
    pub(super) draining: bool,
    pub(super) drained: bool,
    pub(super) out: Vec<Command>,
}

impl Partition {
    /// A partition that does nothing until it is opened.
    #[must_use]
    pub fn new(limits: Limits) -> Self {
        let lanes = Lanes::new(&limits);
        Self {
            limits,
            now: Timestamp(0),
            seats: HashMap::default(),
            resting: BTreeSet::new(),
            lanes,
            trial: Trial::default(),
            trial_stuck: false,
            sweeping: HashMap::default(),
            settled_lately: <[HashSet<MessageId, Fixed>; 2]>::default(),
            awaited: HashSet::default(),
            ordered: HashSet::default(),
            sweep_at: Timestamp(0),
            retry: Retry::default(),
            scan_at: Timestamp(0),
            tickets: 0,
            opened: false,
            draining: false,
            drained: false,
            out: Vec::new(),
        }
    }

    /// What to do now that `event` happened.
    pub fn on_event(&mut self, event: Event, now: Timestamp) -> Vec<Command> {
        self.now = now;
        match event {
            Event::Opened { suspects } => self.opened(suspects),
            Event::Accused { id, outstanding } => self.accused(&id, outstanding),
            Event::Rang { lanes } => self.lanes.ring(&lanes),
            Event::Forgot => self.forgot(),
            Event::PostFailed => self.post_failed(),
            Event::Delivered { lane, envelopes, drained } => self.delivered(&lane, envelopes, drained),
            Event::Posted { full, swept } => self.posted(&full, swept),
            Event::Loaded { actor, found } => self.loaded(&actor, found),
            Event::Born { actor, ordered } => self.born(actor, ordered),
            Event::Decided { actor, ticket, unit, is_final, failed } => {
                self.decided(&actor, ticket, unit, is_final, failed);
            }
            Event::Lost { actor } => self.lost(&actor, "the actor died while it decided"),
            Event::Committed { actor, ticket, outcome } => self.committed(&actor, ticket, outcome),
            Event::Ended { id, body } => self.ended(&id, body),
            Event::Recalled { ids } => self.recalled(&ids),
            Event::Unneeded { id } => self.settle(vec![id]),
            Event::SetAside { actor, id, result } => self.set_aside(&actor, &id, result),
            Event::Swept { lane, envelopes, next } => self.swept(lane, envelopes, next),
            Event::SweepFailed { lane } => self.sweep_failed(&lane),
            Event::Tick => self.tick(),
            Event::Drain => self.drain(),
            Event::Stop => self.stop(),
        }
        if self.opened && !self.draining && !self.trial.is_open() {
            self.out.extend(self.lanes.reads());
        }
        self.report_drained();
        std::mem::take(&mut self.out)
    }

    /// When a [`Event::Tick`] is needed at the latest.
    #[must_use]
    pub fn next_wake(&self) -> Timestamp {
        let resting = self.resting.first().map(|(until, _)| *until);
        let sweep = self.may_sweep().then_some(self.sweep_at);
        resting.into_iter().chain(sweep).fold(self.scan_at, Timestamp::min)
    }

    /// The lanes of its mailbox.
    pub fn lanes(&self) -> impl Iterator<Item = &Arc<str>> {
        self.lanes.names()
    }

    /// Actors in memory or with messages.
    #[must_use]
    pub fn seated(&self) -> usize {
        self.seats.len()
    }

    /// Messages and activities in hand.
    #[must_use]
    pub fn in_hand(&self) -> usize {
        self.lanes.held()
    }

    fn tick(&mut self) {
        self.wake();
        if self.scan_at <= self.now {
            self.scan_at = self.now.plus_ms(SCAN_MS);
            self.scan();
            self.forget_settled();
        }
        if self.trial_stuck && !self.draining {
            self.retry_suspect();
        }
        if self.may_sweep() && self.sweep_at <= self.now {
            self.sweep_all();
        }
    }
}
