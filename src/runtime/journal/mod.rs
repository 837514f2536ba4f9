//! The journal: what was decided, in SQL.
//!
//! A [`Unit`] is everything one actor decided in one go: rows of history, the new state, the effects that must happen
//! and the effects that are settled. The [`committer`] writes many units in one transaction. A unit wins as a whole
//! or leaves nothing behind.

mod batch;
pub mod committer;
mod connect;
mod dialect;
mod error;
mod open;
mod outside;
mod postgres;
mod read;
mod script;
mod sqlite;
mod writer;

use std::fmt;
use std::sync::Arc;

pub use committer::{Busy, Committer, CommitterStats};
pub use error::{Error, Reaction};
pub use open::{Faults, Journal, Options, migrate, partition_of};
pub use outside::{DeadLetter, Pruned};
pub use read::{Cursor, LaneDepth, Past, Stored};

use super::lease::Epoch;
use super::trace::Trace;
use crate::domain::{Address, EffectNo, Timestamp, Verdict};

/// The id of a message: of the effect it settles (`kind/key:version:index`), or chosen by whoever stands outside.
///
/// Unique per actor: the journal is the inbox.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct MessageId(pub Arc<str>);

impl MessageId {
    /// The id of the effect `number` of `actor`, and of the message that settles it.
    #[must_use]
    pub fn of_effect(actor: &Address, number: EffectNo) -> Self {
        Self(format!("{actor}:{}:{}", number.version, number.index).into())
    }

    /// The effect's number, when this is the id of an effect.
    #[must_use]
    pub fn effect(&self) -> Option<EffectNo> {
        let mut parts = self.0.rsplitn(3, ':');
        let index = parts.next()?.parse().ok()?;
        let version = parts.next()?.parse().ok()?;
        parts.next()?;
        Some(EffectNo { version, index })
    }

    /// Whose effect it is, when this is the id of an effect.
    #[must_use]
    pub fn sender(&self) -> Option<Address> {
        self.effect()?;
        Address::parse(self.0.rsplitn(3, ':').last()?).ok()
    }

    /// The id as it is stored.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl From<&str> for MessageId {
    fn from(text: &str) -> Self {
        Self(text.into())
    }
}

impl fmt::Display for MessageId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// The lane of messages to be decided on: tells, timers and the ends of activities. Every other lane is named by an
/// activity's order and holds activities that wait for their turn.
pub const DECIDE: &str = "decide";

/// A message or an activity on its way: a row of the outbox, and an entry of a mailbox.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Envelope {
    /// The id of the effect that sent it.
    pub id: MessageId,
    /// Who receives it; for an activity, the actor that ordered it.
    pub to: Address,
    /// [`DECIDE`], or the lane of an activity.
    pub lane: Arc<str>,
    /// Not before this time.
    pub due: Timestamp,
    /// The message, or the activity's input, as JSON.
    pub body: Arc<str>,
    /// The schema number of the body: the receiver's, for an activity that of the kind that ordered it; 0 when it was not
    /// noted.
    pub schema: u32,
    /// How often the process died while this message was the only suspect.
    pub deaths: u32,
    /// How an activity waits for room, as JSON, when there is more to say than its lane.
    pub turn: Option<Arc<str>>,
    /// Whether it was read back from the outbox rather than posted by the commit that ordered it: such an activity
    /// may have been settled in between and is checked before it starts.
    pub recovered: bool,
}

/// A column that a kind adds to its state table, for search.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Column {
    /// Its name in SQL.
    pub name: &'static str,
    /// What it holds.
    pub holds: ColumnType,
}

/// What a column holds. Both may be null.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ColumnType {
    /// Text.
    Text,
    /// A 64-bit integer.
    Integer,
}

/// A value for a [`Column`].
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Cell {
    /// For a [`ColumnType::Text`] column.
    Text(Option<String>),
    /// For a [`ColumnType::Integer`] column.
    Integer(Option<i64>),
}

/// Where the current states of one kind of actor live. Each such table has the columns `id` (the address's key, primary key), `version`,
/// `status`, `schema`, `state` (JSON text), `created_at`, `updated_at` (milliseconds), and the kind's own.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct StateTable {
    /// The kind, as in addresses.
    pub kind: &'static str,
    /// The table's name.
    pub table: &'static str,
    /// The kind's own columns.
    pub columns: &'static [Column],
    /// Where the records of the kind go, if it has any.
    pub records: Option<RecordTable>,
}

/// Where a kind's records go: rows that its decisions order, written in the commit of the decision and never changed. Each such
/// table has the columns `id` (of the order, primary key), `actor` (the address's key), `at` (milliseconds), and its own.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct RecordTable {
    /// The table's name.
    pub table: &'static str,
    /// Its own columns.
    pub columns: &'static [Column],
}

/// A row for a [`RecordTable`].
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Record {
    /// The id of the order.
    pub id: MessageId,
    /// Values for the table's own columns, in their order.
    pub cells: Vec<Cell>,
}

/// The state of an actor as a unit leaves it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct StateRow {
    /// Its name for operators and searches.
    pub status: &'static str,
    /// The schema number of `state`.
    pub schema: u32,
    /// The state as JSON.
    pub state: String,
    /// Values for the kind's own columns, in their order.
    pub cells: Vec<Cell>,
}

/// One decision: a row of the journal.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Entry {
    /// The actor's version from this decision on.
    pub version: u64,
    /// The message decided on.
    pub message: MessageId,
    /// The message's JSON.
    pub body: Arc<str>,
    /// What became of it.
    pub verdict: Verdict,
    /// The time the decision was given.
    pub now: Timestamp,
}

/// A name that only one birth may take, such as an idempotency key.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Claim {
    /// The name, unique among all claims.
    pub name: String,
    /// What the same caller must repeat to be the same call: a digest of the body.
    pub fingerprint: String,
    /// The answer to repeat, as the caller's code stores it.
    pub answer: String,
    /// When the claim may be forgotten.
    pub expires: Timestamp,
}

/// Why an actor was born.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Origin {
    /// By a call that is traced.
    Call(Trace),
    /// Another actor told it to: it has that one's trace, if it has one.
    Actor(Address),
}

/// Everything one actor decided in one go.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Unit {
    /// Who decided.
    pub actor: Address,
    /// Where its state lives.
    pub table: &'static StateTable,
    /// The version the decisions were made on; 0 for a birth.
    pub expected: u64,
    /// The decisions, of versions `expected + 1` on without a hole; at least one.
    pub entries: Vec<Entry>,
    /// The state after the last of them.
    pub state: StateRow,
    /// Effects that must happen from now on. None of them is settled by this same unit.
    pub posts: Vec<Envelope>,
    /// Rows for the kind's table of records.
    pub records: Vec<Record>,
    /// Effects that are settled: the messages handled, and what was cancelled. Rows that don't exist are no error.
    pub settled: Vec<MessageId>,
    /// The name this birth takes, if any.
    pub claim: Option<Claim>,
    /// Why the actor was born, where that is to be found again; `None` also for whoever is born already.
    pub origin: Option<Origin>,
    /// The epoch in which its owner decided it; `None` for a birth, which whoever accepts it may commit, and where
    /// partitions have but one owner.
    pub epoch: Option<Epoch>,
}

impl Unit {
    /// The actor's version once this unit has won.
    #[must_use]
    pub fn version(&self) -> u64 {
        self.expected + self.entries.len() as u64
    }
}

/// What became of a unit.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Outcome {
    /// It is on disk.
    Won,
    /// These of its messages are in the journal already; nothing was written.
    Duplicate(Vec<MessageId>),
    /// The actor is at another version than expected (for a birth: it exists, and was born by another message);
    /// nothing was written.
    Stale,
    /// Its partition has changed its owner since it was decided; nothing was written.
    Fenced,
    /// Its claim belongs to an earlier birth; nothing was written.
    Claimed {
        /// The fingerprint the claim was taken with.
        fingerprint: String,
        /// The actor that was born with it.
        actor: Address,
        /// The answer stored with it.
        answer: String,
    },
    /// The database refuses its data, alone and without neighbours; nothing was written.
    Rejected(String),
    /// The database could not be reached, or did not say in time whether it wrote; nothing is known to be written. Ask again with the
    /// same unit: if it was written, the answer is [`Outcome::Duplicate`].
    Unavailable(String),
}
