//! How messages travel: a mailbox per partition, in lanes.
//!
//! A mailbox is a copy of outbox rows on their way; the outbox is the record. It may forget everything: posting the
//! partition's outbox rows again rebuilds it. Posting is idempotent by message id while the message is present.

use std::sync::Arc;

use async_trait::async_trait;

use super::journal::{Envelope, MessageId};
use crate::domain::Timestamp;

pub mod memory;

pub use memory::Memory;

/// How many messages of one lane a partition's mailbox holds; the rest waits in the outbox. More would only cost memory:
/// what waits is read in pages as soon as there is room.
pub const POSTED_MAX: usize = 2_000;

/// Where the messages of partitions wait to be read.
#[async_trait]
pub trait Mailbox: Send + Sync {
    /// A new owner takes the partition: nothing counts as read any more. What the mailbox lost is posted by the owner's
    /// first sweep.
    ///
    /// # Errors
    /// [`Error`] when the mailbox cannot be reached.
    async fn open(&self, partition: u32) -> Result<(), Error>;

    /// Posts what is not present yet. Answers the lanes that are full: what did not fit waits in the outbox.
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

    /// Waits until something may be readable that was not before; the lanes in which that is.
    async fn rang(&self, partition: u32) -> Vec<Arc<str>>;

    /// How many messages each lane of the partition holds, read ones included.
    ///
    /// # Errors
    /// [`Error`] when the mailbox cannot be reached.
    async fn depths(&self, partition: u32) -> Result<Vec<(Arc<str>, usize)>, Error>;
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
