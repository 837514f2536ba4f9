//! What the engine asks of whoever carries out activities.

use std::sync::Arc;

use async_trait::async_trait;
use tokio_util::sync::CancellationToken;

use super::journal::{self, Envelope, Journal, MessageId};
use super::lease::Epoch;
use super::mailbox::POSTED_MAX;
use super::room;
use super::trace::Trace;
use crate::domain::{Address, Failure};

/// An activity to be carried out.
#[derive(Clone)]
pub struct Work {
    /// The effect that ordered it; the same on every repetition.
    pub id: MessageId,
    /// The actor that ordered it.
    pub actor: Address,
    /// The lane whose place it holds.
    pub lane: Arc<str>,
    /// What it is given, as JSON.
    pub input: Arc<str>,
    epoch: Option<Epoch>,
    journal: Journal,
}

/// Whether an activity begins for the first time.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Beginning {
    /// No run of it has begun before.
    First,
    /// One may have, and nobody heard how it ended.
    Again,
}

impl Work {
    /// The work that `envelope` orders, of a partition in this epoch.
    #[must_use]
    pub fn new(envelope: Envelope, epoch: Option<Epoch>, journal: Journal) -> Self {
        let Envelope { id, to, lane, body, .. } = envelope;
        Self { id, actor: to, lane: room::lane_of_places(&lane).into(), input: body, epoch, journal }
    }

    /// The trace of the call that its actor was born in, for calls that are made because of it. Not knowing it holds
    /// nothing up.
    pub async fn trace(&self) -> Option<Trace> {
        self.journal.trace_of(&self.actor).await.unwrap_or_else(|error| {
            tracing::warn!(id = %self.id, error = &error as &dyn std::error::Error, "a trace could not be read");
            None
        })
    }

    /// For what cannot be repeated blindly: notes in the outbox that this work begins to act, and says whether a run
    /// before may have. To be called directly before the act; a crash in between looks as if it had happened. Where
    /// another node owns the partition by now it never answers: this run is about to be stopped.
    pub async fn begin(&self) -> Beginning {
        match self.journal.note_begun(&self.id, self.epoch).await {
            Ok(true) => Beginning::First,
            Ok(false) => Beginning::Again,
            Err(error @ journal::Error::Fenced { .. }) => {
                tracing::warn!(id = %self.id, %error, "an activity does not begin");
                std::future::pending().await
            }
            Err(error) => {
                tracing::warn!(id = %self.id, %error, "it could not be noted that an activity begins");
                Beginning::Again
            }
        }
    }
}

/// Says how far an activity is: a fraction from 0 to 1.
pub type Progress = dyn Fn(f32) + Send + Sync;

/// Carries out activities. A run may be repeated with the same [`Work`] after a crash and must then not act twice.
#[async_trait]
pub trait Activities: Send + Sync {
    /// Carries one out, until it ends or is cancelled. A cancelled run stops within a second; what it answers is not
    /// read.
    async fn run(
        &self,
        work: &Work,
        progress: &Progress,
        cancel: &CancellationToken,
    ) -> Result<serde_json::Value, Failure>;
}

/// A lane of activities.
#[derive(Clone, Debug)]
pub struct LaneOptions {
    /// Its name, as in orders.
    pub name: Arc<str>,
    /// Activities of this lane that run on this node at once.
    pub concurrency: usize,
    /// Activities of this lane that a partition takes in hand at once: those that run and those that wait next. Those
    /// with a turn are not counted: a partition takes all of them in hand that its mailbox holds.
    pub ahead: usize,
}

impl LaneOptions {
    /// How many activities a partition takes in hand from which lanes of its mailbox.
    pub(super) fn ahead_by_lane(&self) -> [(Arc<str>, usize); 2] {
        [(self.name.clone(), self.ahead), (room::lane_of_turns(&self.name), POSTED_MAX)]
    }
}
