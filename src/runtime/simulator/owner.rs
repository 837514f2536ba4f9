//! An owner of the partition: the production core and mailbox, and what a shell keeps in memory.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use super::plan::Plan;
use crate::domain::{Address, Timestamp};
use crate::runtime::fold::Snapshot;
use crate::runtime::journal::{Envelope, MessageId, Unit};
use crate::runtime::mailbox::memory::Pigeonhole;
use crate::runtime::partition::{Command, Partition, Ticket};
use crate::runtime::room::Guest;

/// Something to be carried out.
#[derive(Clone, Debug)]
pub enum Task {
    /// A command of the core.
    Command(Command),
    /// The effects of a birth are posted, and the client is answered.
    Greet(usize, Arc<Unit>),
    /// An activity ends.
    End(MessageId),
    Tick,
}

impl Task {
    /// Whether it is more than waiting.
    pub const fn is_work(&self) -> bool {
        matches!(self, Self::Command(Command::Commit { .. } | Command::Decide { .. } | Command::Settle { .. }))
            || matches!(self, Self::Greet(..))
    }

    /// For the digest of a run.
    pub fn code(&self) -> String {
        match self {
            Self::Command(Command::Commit { actor, ticket, .. } | Command::Decide { actor, ticket, .. }) => {
                format!("{actor}{}", ticket.0)
            }
            Self::Command(Command::Settle { ids }) => ids.iter().map(MessageId::as_str).collect(),
            Self::Greet(client, _) => client.to_string(),
            Self::End(id) => id.as_str().to_owned(),
            Self::Command(_) | Self::Tick => String::new(),
        }
    }
}

/// An actor in memory.
#[derive(Default)]
pub struct Resident {
    pub snapshot: Option<Snapshot>,
    pub decided: Option<Snapshot>,
}

/// Who owns the partition, or believes so: its memory.
pub struct Owner {
    pub number: u32,
    /// The process it lives in, whose room it shares with those before it.
    pub node: u32,
    pub partition: Partition,
    pub hole: Pigeonhole,
    pub memory: BTreeMap<Address, Resident>,
    pub running: BTreeMap<MessageId, Envelope>,
    /// Activities that wait for room, and whether this owner ordered them.
    pub waiting: BTreeMap<MessageId, (Envelope, bool)>,
    /// The places of those that run and of those that wait.
    pub guests: BTreeMap<MessageId, Guest>,
    pub deciding: BTreeMap<Address, (Ticket, Vec<MessageId>)>,
    /// Ordered to start, and not stopped before they did.
    pub starting: BTreeSet<MessageId>,
    /// Effects of units that this owner wrote, and of births handed to it.
    pub ordered: BTreeSet<MessageId>,
    /// What the core said is settled.
    pub settled: BTreeSet<MessageId>,
    /// Read from the mailbox since it was opened.
    pub read: BTreeSet<MessageId>,
    pub draining: bool,
    /// It does nothing until then.
    pub sleeps_until: Timestamp,
    /// When its lease is over by its own clock, once it cannot renew it.
    pub until: Option<Timestamp>,
    /// Mailbox commands are carried out in the order given.
    pub mail_at: Timestamp,
    pub wake_at: Option<Timestamp>,
    /// When the mailbox rings next by itself.
    pub rings_at: Option<Timestamp>,
    /// What a mutated shell goes on with after a loss.
    pub kept: BTreeMap<Address, Snapshot>,
}

impl Owner {
    pub fn new(number: u32, node: u32, plan: &Plan, now: Timestamp) -> Self {
        Self {
            number,
            node,
            partition: Partition::new(plan.limits.clone()),
            hole: Pigeonhole::with_room(plan.posted_max),
            memory: BTreeMap::new(),
            running: BTreeMap::new(),
            waiting: BTreeMap::new(),
            guests: BTreeMap::new(),
            deciding: BTreeMap::new(),
            starting: BTreeSet::new(),
            ordered: BTreeSet::new(),
            settled: BTreeSet::new(),
            read: BTreeSet::new(),
            draining: false,
            sleeps_until: now,
            until: None,
            mail_at: now,
            wake_at: None,
            rings_at: None,
            kept: BTreeMap::new(),
        }
    }

    /// What the in-flight file names.
    pub fn hands(&self) -> BTreeSet<MessageId> {
        self.deciding.values().flat_map(|(_, ids)| ids).cloned().collect()
    }

    /// Whether neither the core nor the mailbox holds anything, and nothing runs.
    pub fn is_at_rest(&self) -> bool {
        self.partition.in_hand() == 0 && self.running.is_empty() && self.waiting.is_empty() && self.posted() == 0
    }

    pub fn posted(&self) -> usize {
        self.hole.depths().iter().map(|(_, depth)| depth).sum()
    }

    pub fn running(&self) -> Vec<&MessageId> {
        self.running.keys().collect()
    }
}
