//! How messages travel: a mailbox per partition, in lanes.
//!
//! A mailbox is a copy of outbox rows on their way; the outbox is the record. It may forget everything: posting the
//! partition's outbox rows again rebuilds it. Posting is idempotent by message id while the message is present.

use std::sync::Arc;

use async_trait::async_trait;

use super::journal::{Envelope, MessageId};
use crate::domain::Timestamp;

pub mod memory;
pub mod redis;

pub use memory::Memory;
pub use redis::Redis;

/// How many messages of one lane a partition's mailbox holds; the rest waits in the outbox. More would only cost memory:
/// what waits is read in pages as soon as there is room.
pub const POSTED_MAX: usize = 2_000;

/// Where the messages of partitions wait to be read.
#[async_trait]
pub trait Mailbox: Send + Sync {
    /// This node takes the partition, in an epoch of its own: the mailbox is emptied, and its outbox is posted by the
    /// owner's first sweep. An owner of an earlier epoch can no longer read or settle.
    ///
    /// # Errors
    /// [`Error`] when the mailbox cannot be reached, or has an owner of a later epoch. It is tried again for as long as
    /// somebody waits for [`Mailbox::rang`], which then says [`Ring::Forgot`].
    async fn open(&self, partition: u32, epoch: u64) -> Result<(), Error>;

    /// This node owns the partition no longer.
    async fn close(&self, partition: u32);

    /// Whether a post is done when it is first polled, so that nothing is won by gathering.
    fn posts_at_once(&self) -> bool {
        false
    }

    /// Posts what is not present yet; any node may. Answers the lanes that are full: what did not fit waits in the outbox.
    ///
    /// # Errors
    /// [`Error`] when the mailbox cannot be reached; what was posted by then stays posted.
    async fn post(&self, partition: u32, envelopes: Vec<Envelope>) -> Result<Vec<Arc<str>>, Error>;

    /// Up to `max` messages of `lane` that are due and were not read since the partition was opened. Fewer than `max`:
    /// the lane holds no more.
    ///
    /// # Errors
    /// [`Error`] when the mailbox cannot be reached.
    async fn read(&self, partition: u32, lane: &str, max: usize, now: Timestamp) -> Result<Vec<Envelope>, Error>;

    /// Removes messages, read or not. Absent ones are no error.
    ///
    /// # Errors
    /// [`Error`] when the mailbox cannot be reached.
    async fn settle(&self, partition: u32, ids: Vec<MessageId>) -> Result<(), Error>;

    /// Waits until something may be readable that was not before. For one waiter at a time.
    async fn rang(&self, partition: u32) -> Ring;

    /// How many messages each lane of the partition holds, read ones included.
    ///
    /// # Errors
    /// [`Error`] when the mailbox cannot be reached.
    async fn depths(&self, partition: u32) -> Result<Vec<(Arc<str>, usize)>, Error>;
}

/// What the doorbell says.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Ring {
    /// Something may be readable in these lanes.
    Lanes(Vec<Arc<str>>),
    /// Something may be readable in any lane.
    All,
    /// The mailbox has forgotten what it held, or may have. It is open and empty: the outbox is to be posted again.
    Forgot,
}

/// The mailbox did not answer.
#[derive(Debug, thiserror::Error)]
#[error("the mailbox of partition {partition} could not be reached")]
pub struct Error {
    /// Whose mailbox.
    pub partition: u32,
    /// What the transport said.
    #[source]
    pub source: Box<dyn std::error::Error + Send + Sync>,
}
