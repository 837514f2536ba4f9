//! Leases: which node owns which partition, and until when it may believe so.
//!
//! The database holds one row a partition: its owner, an epoch that every change of the owner raises, and when the lease
//! ends on the database's clock. Nodes renew what they hold together; what is free or has run out is claimed by the node
//! that rendezvous hashing names. Nobody elects anybody: the rows arbitrate.
//!
//! It promises: a commit of an owner that lost its partition is refused ([`Epoch`], checked by the journal); an owner that
//! cannot renew stops by its own clock before the lease can end in the database ([`Lease`]); a partition that was released
//! is taken within a round trip, and one whose owner died once its lease has ended.
//!
//! `planner` decides, without IO; `division` says whose a partition should be; `store` asks the database; `keeper` carries
//! out what the planner decides, on a thread of its own, so that a busy node renews in time.

mod division;
mod keeper;
mod planner;
mod store;
#[cfg(test)]
mod tests;

use std::fmt;
use std::sync::Arc;
use std::sync::atomic::{AtomicI64, Ordering};

pub use keeper::{Door, Keeper, Order, Report, Seen};
pub use store::Error;

use super::clock::{Monotonic, monotonic};

/// How often a partition has changed its owner. Larger than that of every owner before.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Epoch(pub i64);

/// A node, for as long as its process lives; drawn at the start and never configured.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct NodeId(pub Arc<str>);

impl fmt::Display for NodeId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// What a node says of itself.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Identity {
    /// Who it is.
    pub id: NodeId,
    /// The machine it runs on.
    pub host: String,
    /// Its process there.
    pub pid: u32,
    /// How new its release is: the sum of the schema numbers that it can read, which releases only raise.
    pub generation: u32,
}

impl Identity {
    /// This process, under an id of its own.
    #[must_use]
    pub fn draw(id: uuid::Uuid, generation: u32) -> Self {
        let host = std::fs::read_to_string("/proc/sys/kernel/hostname").unwrap_or_default();
        let host = if host.trim().is_empty() { "unknown".to_owned() } else { host.trim().to_owned() };
        Self { id: NodeId(id.simple().to_string().into()), host, pid: std::process::id(), generation }
    }
}

/// The limits of leases, in milliseconds.
#[derive(Clone, Copy, Debug)]
pub struct Limits {
    /// How long a lease lasts from its last renewal on.
    pub lease_ms: i64,
    /// How often leases are renewed.
    pub renewal_ms: i64,
    /// How long before its lease can end a node stops: what it takes to stop what runs, and for which clocks may drift.
    pub margin_ms: i64,
    /// The wait before the database is asked again after it did not answer.
    pub retry_ms: i64,
    /// A partition that came here is not given up for balance before this.
    pub stay_ms: i64,
}

impl Default for Limits {
    fn default() -> Self {
        Self::of_lease(7_000)
    }
}

impl Limits {
    /// The limits that go with a lease of this length. Three renewals fit into the time before its owner stops.
    #[must_use]
    pub const fn of_lease(lease_ms: i64) -> Self {
        Self { lease_ms, renewal_ms: lease_ms / 5, margin_ms: lease_ms / 4, retry_ms: 200, stay_ms: lease_ms / 3 }
    }
}

/// How a node takes part in the leases of its database.
#[derive(Clone, Debug)]
pub struct Options {
    /// The database, PostgreSQL.
    pub url: String,
    /// Drawn for this process.
    pub node: uuid::Uuid,
    /// The limits, the same on every node.
    pub limits: Limits,
}

/// What an owner has of its partition. Clones are the same lease.
#[derive(Clone, Debug)]
pub struct Lease(Option<Arc<Term>>);

#[derive(Debug)]
struct Term {
    epoch: Epoch,
    until: AtomicI64,
}

impl Lease {
    /// For the only server of a database: it owns everything for as long as it runs, which a lock sees to.
    #[must_use]
    pub const fn sole() -> Self {
        Self(None)
    }

    /// A lease that may be believed in until `until`.
    #[must_use]
    pub fn new(epoch: Epoch, until: Monotonic) -> Self {
        Self(Some(Arc::new(Term { epoch, until: AtomicI64::new(until.0) })))
    }

    /// The epoch that commits are to be checked for; `None` when nobody else can own the partition.
    #[must_use]
    pub fn epoch(&self) -> Option<Epoch> {
        self.0.as_ref().map(|term| term.epoch)
    }

    /// Whether the partition is still this node's, by its own clock. Once it is not, it never is again by this lease,
    /// unless it was renewed in time.
    #[must_use]
    pub fn is_held(&self) -> bool {
        self.0.as_ref().is_none_or(|term| monotonic().0 < term.until.load(Ordering::Acquire))
    }

    fn renew(&self, until: Monotonic) {
        if let Some(term) = &self.0 {
            term.until.fetch_max(until.0, Ordering::AcqRel);
        }
    }

    /// Ends it before its time.
    fn end(&self) {
        if let Some(term) = &self.0 {
            term.until.store(i64::MIN, Ordering::Release);
        }
    }
}

/// A node as the database knows it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Node {
    /// What it says of itself.
    pub identity: Identity,
    /// For how long it has been known, in milliseconds.
    pub up_ms: i64,
    /// What is left of its leases, in milliseconds; it is dead once nothing is.
    pub lease_left_ms: i64,
    /// It is ending, and takes nothing new.
    pub draining: bool,
}

impl Node {
    /// Whether it lives.
    #[must_use]
    pub const fn lives(&self) -> bool {
        self.lease_left_ms > 0
    }

    /// Whether partitions may be given to it.
    #[must_use]
    pub const fn takes(&self) -> bool {
        self.lives() && !self.draining
    }
}

/// A partition as the database knows it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Ownership {
    /// Which.
    pub partition: u32,
    /// Whose it is, unless it was released.
    pub owner: Option<NodeId>,
    /// How often it has changed hands.
    pub epoch: Epoch,
    /// What is left of its lease, in milliseconds.
    pub lease_left_ms: i64,
    /// For how long it has been as it is, in milliseconds.
    pub since_ms: i64,
    /// Nodes of an older generation have met something there that they cannot read.
    pub generation: u32,
}

impl Ownership {
    /// Who owns it and has a lease of it.
    #[must_use]
    pub fn holder(&self) -> Option<&NodeId> {
        self.owner.as_ref().filter(|_| self.lease_left_ms > 0)
    }
}

/// All nodes and partitions, at one time of the database's clock.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct View {
    /// The nodes, by id; also those that died a moment ago.
    pub nodes: Vec<Node>,
    /// The partitions, in order.
    pub partitions: Vec<Ownership>,
}
