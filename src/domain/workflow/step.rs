//! One step: what it can do, and what it is told when its turn has come.

use serde::{Deserialize, Serialize};

use crate::domain::job::JobCall;

/// What a step can do.
#[derive(
    Clone,
    Copy,
    Debug,
    PartialEq,
    Eq,
    Hash,
    Serialize,
    Deserialize,
    strum::EnumIter,
    strum::EnumString,
    strum::IntoStaticStr,
)]
#[serde(rename_all = "snake_case")]
#[strum(serialize_all = "snake_case")]
pub enum Activity {
    /// Nothing; it shows that the engine runs.
    Noop,
    /// Takes the customer's picture: decodes it within limits and keeps an upright working copy.
    Picture,
    /// Makes a video of a picture.
    Render,
    /// Makes a picture of a picture, locally.
    Image,
    /// Publishes a step's file as the task's result.
    Store,
    /// Has a provider of models make something: a durable job there.
    Provider,
}

impl Activity {
    /// The lane in which it waits for its turn: what decodes or encodes shares the machine's cores, the rest is cheap.
    #[must_use]
    pub const fn lane(self) -> &'static str {
        match self {
            Self::Noop | Self::Store => "local",
            Self::Picture | Self::Render | Self::Image => "media",
            Self::Provider => "provider",
        }
    }

    /// The settings it takes; `None` when it takes any. A definition with another key is refused at start, where a
    /// misspelt setting would otherwise silently leave the default in force.
    #[must_use]
    pub const fn settings(self) -> Option<Settings> {
        Some(match self {
            Self::Noop => return None,
            Self::Picture => Settings { required: &["source"], optional: &[] },
            Self::Render => Settings {
                required: &["picture"],
                optional: &["seconds", "fps", "format", "width", "height", "move", "transition", "transition_ms"],
            },
            Self::Image => Settings { required: &["picture"], optional: &["style", "width", "height"] },
            Self::Store => Settings { required: &["file", "kind"], optional: &[] },
            Self::Provider => Settings {
                required: &["provider"],
                optional: &["prompt", "picture", "picture_field", "model", "options"],
            },
        })
    }
}

/// Which settings an activity takes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Settings {
    /// Those it cannot do without.
    pub required: &'static [&'static str],
    /// Those it has a default for.
    pub optional: &'static [&'static str],
}

/// An order to run a step, as it stands in the outbox: the input of its activity.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct StepCall {
    /// The task's id.
    pub task: String,
    /// The step's name in its workflow.
    pub step: String,
    /// Which attempt this is, from 1.
    pub attempt: u32,
    /// What to do.
    pub activity: Activity,
    /// How long it may take before it is stopped and counts as failed.
    pub timeout_ms: u64,
    /// The step's settings, placeholders filled in.
    pub with: serde_json::Map<String, serde_json::Value>,
    /// Which call of a provider's job this is; only for [`Activity::Provider`].
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub job: Option<JobCall>,
}
