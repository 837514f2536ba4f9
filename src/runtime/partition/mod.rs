//! The core: what happens next in one partition, decided without IO.
//!
//! [`Partition::on_event`] takes what happened and answers with what to do. The shell ([`super::supervisor`]) carries it
//! out against real stores and reports back; the simulator does the same against modelled ones, with faults. The core
//! holds no state of an actor, only where each one stands; losing all of it loses nothing.
//!
//! It promises: one run of messages of an actor is under way at a time; a message is settled in the mailbox only after
//! the commit that settles it, or when the journal shows that it was committed before; what is not committed is tried
//! again until it is committed, parked or set aside; an activity runs at most once at a time.
//!
//! It asks of a shell: [`Command::Post`] and [`Command::Settle`] are carried out in the order given; [`Command::Adopt`]
//! and [`Command::Forget`] take effect before the next event is reported; [`Command::Abort`] also stops an activity that
//! was ordered to start and has not begun. A read that fails is answered as drained (the bell or a sweep repeats it), a
//! swept post that fails with [`Event::SweepFailed`].
//!
//! `scheduler` holds what a partition remembers and hands each event to its part: `trial` (suspects of the last death),
//! `arriving`, `residence` (who is in memory), `deciding`, `committing`, `settling`, `waiting` (rests, hangs, idleness),
//! `sweeping` and `draining`. `lanes` counts what is in hand, `seat` is where one actor stands.

mod arriving;
mod committing;
mod deciding;
mod draining;
#[cfg(test)]
mod examples;
mod lanes;
mod residence;
mod scheduler;
mod seat;
mod settling;
mod sweeping;
mod trial;
mod waiting;

use std::sync::Arc;

pub use self::scheduler::Partition;
use super::fold::Failed;
use super::journal::{Envelope, MessageId, Outcome, Unit};
use crate::domain::{Address, Timestamp};

/// Distinguishes one order to decide from every other, so that an answer that comes too late is recognised.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Ticket(pub u64);

/// Where a sweep of the outbox goes on: after this due time and id.
pub type Cursor = (Timestamp, MessageId);

/// The limits of one partition.
#[derive(Clone, Debug)]
pub struct Limits {
    /// Messages to be decided that are read and not yet settled.
    pub decide_ahead: usize,
    /// Activities of each lane that are ordered to start and not yet ended, with the lane's name.
    pub lanes: Vec<(Arc<str>, usize)>,
    /// Messages of one actor that become one commit.
    pub fold: usize,
    /// Actors kept in memory.
    pub cached: usize,
    /// How often a message is tried before it is set aside.
    pub tries: u32,
    /// The wait before the first repetition in milliseconds; each further one waits four times as long.
    pub rest_ms: i64,
    /// How long a decision may take in milliseconds before the actor is given up.
    pub decide_ms: i64,
    /// How long an actor without messages stays in memory, in milliseconds.
    pub idle_ms: i64,
    /// How often the outbox is swept, in milliseconds.
    pub sweep_ms: i64,
    /// Rows of the outbox a sweep reads at a time.
    pub page: usize,
    /// Deaths of the process as the only suspect that set a message aside.
    pub deaths: u32,
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            decide_ahead: 1_024,
            lanes: Vec::new(),
            fold: 64,
            cached: 256,
            tries: 4,
            rest_ms: 50,
            decide_ms: 30_000,
            idle_ms: 60_000,
            sweep_ms: 30_000,
            page: 1_000,
            deaths: 3,
        }
    }
}

impl Limits {
    /// What is due within this many milliseconds is posted; what is due later waits in the outbox for a sweep.
    #[must_use]
    pub const fn horizon_ms(&self) -> i64 {
        self.sweep_ms.saturating_mul(2)
    }
}

/// Why an actor could not be loaded.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum LoadFailure {
    /// The journal did not answer; try again.
    Unavailable(String),
    /// The state cannot be read by this release: its messages cannot be decided here.
    Unreadable(String),
    /// The state was written by a newer release: it waits for a node that can read it.
    Newer(String),
}

/// What happened.
#[derive(Clone, Debug)]
pub enum Event {
    /// The partition is ours. `suspects` are outstanding messages that were in hand when the process last died.
    Opened {
        /// Messages to be tried alone, before anything else.
        suspects: Vec<Envelope>,
    },
    /// It is noted that a suspect is about to be tried.
    Accused {
        /// Which.
        id: MessageId,
        /// Whether it is still in the outbox; an error when the journal did not answer.
        outstanding: Result<bool, String>,
    },
    /// The mailbox may hold something new.
    Rang {
        /// In these lanes.
        lanes: Vec<Arc<str>>,
    },
    /// The mailbox has forgotten what it held, or may have; it is open and empty.
    Forgot,
    /// Something stayed behind in the outbox, because the mailbox did not take it.
    PostFailed,
    /// A read ended.
    Delivered {
        /// Which lane was read.
        lane: Arc<str>,
        /// What it held.
        envelopes: Vec<Envelope>,
        /// Whether the lane holds no more for now.
        drained: bool,
    },
    /// A post ended; these lanes were full.
    Posted {
        /// Lanes in which something stayed behind in the outbox.
        full: Vec<Arc<str>>,
        /// The lane whose sweep posted it, if one did.
        swept: Option<Arc<str>>,
    },
    /// An actor is in memory, whether it is born or not, or could not be read.
    Loaded {
        /// Which.
        actor: Address,
        /// Why it is not in memory.
        found: Result<(), LoadFailure>,
    },
    /// An actor was born elsewhere in this process and is already in memory.
    Born {
        /// Which.
        actor: Address,
        /// The activities its birth ordered; they are posted after this event.
        ordered: Vec<MessageId>,
    },
    /// A decision was made.
    Decided {
        /// By whom.
        actor: Address,
        /// On which order.
        ticket: Ticket,
        /// What to commit, if anything was decided.
        unit: Option<Arc<Unit>>,
        /// Whether the actor can be put away once the unit has won.
        is_final: bool,
        /// The message that could not be decided, if any.
        failed: Option<Failed>,
    },
    /// The actor's part of the shell died.
    Lost {
        /// Which.
        actor: Address,
    },
    /// A unit's fate is known.
    Committed {
        /// Whose.
        actor: Address,
        /// Of which decision.
        ticket: Ticket,
        /// What became of it.
        outcome: Outcome,
    },
    /// An activity ended; the body is the message that says how.
    Ended {
        /// The effect that started it.
        id: MessageId,
        /// The actor's message, as JSON.
        body: Arc<str>,
    },
    /// These activities had not begun and will not.
    Recalled {
        /// The effects that order them.
        ids: Vec<MessageId>,
    },
    /// An activity was not started because its effect is settled.
    Unneeded {
        /// The effect.
        id: MessageId,
    },
    /// A message was set aside, parked, or that failed.
    SetAside {
        /// The actor it was for.
        actor: Address,
        /// Which.
        id: MessageId,
        /// Whether it is gone from the outbox.
        result: Result<(), String>,
    },
    /// A page of the outbox was read.
    Swept {
        /// Of which lane.
        lane: Arc<str>,
        /// The rows.
        envelopes: Vec<Envelope>,
        /// Where the next page starts; `None` after the last one.
        next: Option<Cursor>,
    },
    /// A page of the outbox could not be read, or what it held not be posted.
    SweepFailed {
        /// Of which lane.
        lane: Arc<str>,
    },
    /// Time passed.
    Tick,
    /// Finish what is in hand and take nothing new.
    Drain,
    /// Drain no longer: stop the activities that still run.
    Stop,
}

/// What to do.
#[derive(Clone, Debug)]
pub enum Command {
    /// Note that a suspect is about to be tried; answer with [`Event::Accused`].
    Accuse {
        /// Which.
        id: MessageId,
        /// The deaths that count against it should the process die of this trial too. Noting the same number again
        /// changes nothing.
        deaths: u32,
    },
    /// Read the mailbox; answer with [`Event::Delivered`].
    Read {
        /// Which lane.
        lane: Arc<str>,
        /// How many at most.
        max: usize,
    },
    /// Bring an actor into memory; answer with [`Event::Loaded`].
    Load {
        /// Which.
        actor: Address,
    },
    /// Let an actor decide; answer with [`Event::Decided`].
    Decide {
        /// Which.
        actor: Address,
        /// To be answered with.
        ticket: Ticket,
        /// The messages, in turn.
        messages: Vec<Envelope>,
    },
    /// Write a unit; answer with [`Event::Committed`].
    Commit {
        /// Whose.
        actor: Address,
        /// To be answered with.
        ticket: Ticket,
        /// What to write.
        unit: Arc<Unit>,
    },
    /// The decided state is the actor's state from now on.
    Adopt {
        /// Which actor.
        actor: Address,
    },
    /// Drop an actor from memory.
    Forget {
        /// Which.
        actor: Address,
    },
    /// Remove messages from the mailbox.
    Settle {
        /// Which.
        ids: Vec<MessageId>,
    },
    /// Post messages to the mailboxes of their partitions; answer with [`Event::Posted`].
    Post {
        /// The messages.
        envelopes: Vec<Envelope>,
        /// The lane whose sweep found them, if one did.
        swept: Option<Arc<str>>,
    },
    /// Start an activity as soon as there is room; answer with [`Event::Ended`], or with [`Event::Unneeded`] when its effect is settled.
    Start {
        /// The effect that orders it.
        envelope: Envelope,
        /// Whether this very owner ordered it. The journal is asked about every other one before it starts: it may
        /// have been settled while it was on its way.
        ours: bool,
    },
    /// Give up the activities that wait for room; answer with [`Event::Recalled`]. Those that run go on.
    Recall,
    /// Stop an activity; it is not answered.
    Abort {
        /// The effect that started it.
        id: MessageId,
    },
    /// Move a message from the outbox to the dead; answer with [`Event::SetAside`].
    Quarantine {
        /// The actor it is for.
        actor: Address,
        /// Which.
        id: MessageId,
        /// Why, for the operator.
        reason: String,
    },
    /// Mark a message as waiting for its actor's birth; answer with [`Event::SetAside`].
    Park {
        /// The actor it is for.
        actor: Address,
        /// Which.
        id: MessageId,
    },
    /// Read a page of the outbox; answer with [`Event::Swept`].
    Sweep {
        /// Which lane.
        lane: Arc<str>,
        /// Where to start.
        after: Option<Cursor>,
        /// Rows due by then.
        due_by: Timestamp,
        /// Rows at most.
        max: usize,
    },
    /// The suspects are dealt with; everything else begins.
    Opened,
    /// Nothing is in hand any more.
    Drained,
}
