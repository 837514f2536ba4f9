//! What nodes tell each other, and how it travels.

use std::collections::BTreeMap;

use async_trait::async_trait;
use serde::{Deserialize, Serialize};
use uuid::Uuid;

use crate::domain::{Address, EffectNo};

/// What connects the nodes did not answer. News may be lost: whoever watches looks for itself now and then.
#[derive(Clone, Debug, thiserror::Error)]
#[error("the other nodes could not be told: {0}")]
pub struct Away(pub String);

/// What a node hears.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Heard {
    /// A node said this.
    Bulletin(String),
    /// The connection was lost and is back: something may have been missed.
    Gap,
}

/// How far an activity is.
#[derive(Clone, Debug, PartialEq)]
pub struct ProgressChange {
    /// Whose.
    pub actor: Address,
    /// Which.
    pub effect: EffectNo,
    /// From 0 to 1; `None` when it ended.
    pub fraction: Option<f32>,
}

/// What connects the nodes: one channel that all of them hear, and a place where progress is kept.
#[async_trait]
pub trait Wire: Send + Sync {
    /// Tells all nodes, this one included.
    ///
    /// # Errors
    /// [`Away`]: some heard it or nobody did.
    async fn publish(&self, bulletin: String) -> Result<(), Away>;

    /// The next thing heard. One listener at a time.
    async fn hear(&self) -> Heard;

    /// Keeps the progress of activities for [`PROGRESS_KEPT`](super::PROGRESS_KEPT) from now on.
    ///
    /// # Errors
    /// [`Away`]: some of it is kept, or nothing.
    async fn keep_progress(&self, changes: Vec<ProgressChange>) -> Result<(), Away>;

    /// The progress that is kept of an actor's activities.
    ///
    /// # Errors
    /// [`Away`].
    async fn progress(&self, actor: &Address) -> Result<BTreeMap<EffectNo, f32>, Away>;
}

/// What a node says, as JSON on the wire.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Bulletin {
    /// Who.
    pub node: Uuid,
    /// What.
    pub said: Said,
}

#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(super) enum Said {
    /// Something about these actors changed.
    News(Vec<Address>),
    /// Something about any actor may have changed.
    LookAgain,
    /// Clients of this node watch: it wants to hear news.
    Watching,
}
