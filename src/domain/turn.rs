//! Whose turn it is, where activities wait for room.

use std::sync::Arc;

use serde::{Deserialize, Serialize};

/// Who goes first. The names are durable.
#[derive(
    Clone,
    Copy,
    Debug,
    Default,
    PartialEq,
    Eq,
    PartialOrd,
    Ord,
    Hash,
    Serialize,
    Deserialize,
    strum::EnumIter,
    strum::EnumString,
    strum::IntoStaticStr,
)]
#[serde(rename_all = "snake_case")]
#[strum(serialize_all = "snake_case")]
pub enum Priority {
    /// Before everything else.
    High,
    /// What nothing is said about.
    #[default]
    Normal,
    /// After everything else.
    Low,
}

/// A permit that an activity holds while it runs.
#[derive(Clone, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct Permit {
    /// What it is a permit of. The text means the same wherever it stands: activities of all actors share its permits.
    pub key: Arc<str>,
    /// How many of them there are at once. When activities that wait or run name different numbers, the least holds.
    pub limit: u32,
}

/// How an activity waits, when there is more to say than its lane. Kept beside its order; the names are durable.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct Turn {
    /// The permit it needs beside its place in the lane.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub permit: Option<Permit>,
    /// For whom it is: those that wait for permits of one key are served in turns, one of each group.
    pub group: Arc<str>,
    /// Who goes first.
    #[serde(default)]
    pub priority: Priority,
}
