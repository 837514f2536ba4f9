//! Where one actor stands.

use std::collections::VecDeque;
use std::sync::Arc;

use super::Ticket;
use crate::domain::Timestamp;
use crate::runtime::fold::Failed;
use crate::runtime::journal::{Envelope, MessageId, Unit};

/// What an actor is doing.
#[derive(Clone, Debug)]
pub enum Phase {
    /// Its state is being read.
    Loading,
    /// It has nothing in hand.
    Idle,
    /// It decides about what is in hand.
    Deciding { ticket: Ticket, since: Timestamp },
    /// What it decided is being written.
    Committing { ticket: Ticket, unit: Arc<Unit>, is_final: bool, failed: Option<Failed> },
    /// It waits before it tries again.
    Resting { until: Timestamp },
    /// A message of it is being taken out of the way.
    SettingAside { id: MessageId },
}

/// An actor with messages, or in memory.
#[derive(Debug)]
pub struct Seat {
    pub phase: Phase,
    /// Whether the shell has its state in memory.
    pub loaded: bool,
    /// What waits, in order of arrival.
    pub queue: VecDeque<Envelope>,
    /// What it decides about now.
    pub hand: Vec<Envelope>,
    /// How many messages it still takes in hand one by one, because a run of them was rejected as a whole.
    pub single: usize,
    /// The message that failed last, and how often.
    pub failing: Option<(MessageId, u32)>,
    /// How often in a row it lost or could not be loaded or written.
    pub setbacks: u32,
    /// When it last did something.
    pub touched: Timestamp,
}

impl Seat {
    pub fn new(phase: Phase, loaded: bool, now: Timestamp) -> Self {
        Self {
            phase,
            loaded,
            queue: VecDeque::new(),
            hand: Vec::new(),
            single: 0,
            failing: None,
            setbacks: 0,
            touched: now,
        }
    }

    /// Puts what is in hand back in front of the queue, but for `except`.
    pub fn put_back(&mut self, except: &[MessageId]) {
        for envelope in self.hand.drain(..).rev() {
            if !except.contains(&envelope.id) {
                self.queue.push_front(envelope);
            }
        }
    }

    /// Whether something of it is under way that will be answered.
    pub const fn is_busy(&self) -> bool {
        !matches!(self.phase, Phase::Idle | Phase::Resting { .. })
    }
}
