//! What nodes tell each other of the permits of keys, so that a key's limit holds over all of them.
//!
//! A node says of a key how many permits it holds and how many it could use; it is answered how many it holds from now
//! on, never fewer than it said, and how many of them it may keep. It gives back by saying less, and keeps what it holds
//! by saying it again before the [`lease`](Terms::lease) is over. An answer that got lost costs nothing: the next
//! exchange says how it is.

use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use uuid::Uuid;

/// How long a node's permits hold by default without being heard of: so long they are missed after its death, and so
/// long nobody gets another one after the permits were forgotten.
const LEASE: Duration = Duration::from_secs(8);
/// Into how many renewals a lease is divided.
const RENEWALS: u32 = 4;

/// How permits are held.
#[derive(Clone, Copy, Debug)]
pub struct Terms {
    /// How long a node's permits hold without being heard of.
    pub lease: Duration,
}

impl Default for Terms {
    fn default() -> Self {
        Self { lease: LEASE }
    }
}

impl Terms {
    /// How often a node says again what it holds.
    #[must_use]
    pub fn renewal(&self) -> Duration {
        self.lease / RENEWALS
    }

    /// How long after it last said what it holds a node counts on it: a renewal less than a lease, because clocks differ.
    #[must_use]
    pub fn counted_on(&self) -> Duration {
        self.lease - self.renewal()
    }
}

/// What a node says of one key.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Statement {
    /// Which.
    pub key: Arc<str>,
    /// The limit it knows of.
    pub limit: u32,
    /// Permits it holds, used or not.
    pub held: u32,
    /// Permits it could use, with those that it holds; 0 of both gives everything back.
    pub wanted: u32,
}

/// What a node is answered about one key.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Grant {
    /// Which.
    pub key: Arc<str>,
    /// Permits it holds from now on.
    pub held: u32,
    /// Permits it may keep; what is beyond is another node's when an activity ends.
    pub keep: u32,
}

/// Activities with a key.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Totals {
    /// That run.
    pub running: usize,
    /// That wait.
    pub waiting: usize,
}

/// Everything a node says at once.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Saying {
    /// Who; another one after each start of the process.
    pub node: Uuid,
    /// Counts up, so that what was said before and arrives later is known.
    pub number: u64,
    /// How it is doing.
    pub totals: Totals,
    /// Keys.
    pub statements: Vec<Statement>,
}

/// Activities with a key, of all nodes.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Everywhere {
    /// Nodes that were heard of within a lease.
    pub nodes: usize,
    /// Their activities.
    pub totals: Totals,
}

/// A reason to exchange again.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Ring {
    /// Something about these keys changed for another node than the one that says so.
    Keys(Vec<Arc<str>>),
    /// Something may have been missed.
    Gap,
}

/// Where permits are kept did not answer. Who holds one goes on; nobody else comes in.
#[derive(Clone, Debug, thiserror::Error)]
#[error("the permits that all nodes share cannot be had: {0}")]
pub struct Away(pub String);

/// Where the permits of all nodes are kept.
#[async_trait]
pub trait Permits: Send + Sync {
    /// Says and hears how it is.
    ///
    /// # Errors
    /// [`Away`]: whether it was heard is not known.
    async fn exchange(&self, saying: Saying) -> Result<Vec<Grant>, Away>;

    /// Waits until another node's exchange changes something. One listener at a time.
    async fn rang(&self) -> Ring;

    /// How all nodes are doing.
    ///
    /// # Errors
    /// [`Away`].
    async fn everywhere(&self) -> Result<Everywhere, Away>;
}
