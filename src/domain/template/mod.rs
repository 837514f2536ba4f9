//! Templates: what is offered, as its operator writes it, and how it meets a workflow and a customer's parameters.
//!
//! Only `Content` lives here: whether a template is offered right now, and what Stripe knows of it, are rows and no
//! rules.

mod fit;
mod parameters;
pub mod prompt;
#[cfg(test)]
mod tests;

use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};

use super::task::TaskType;
use super::workflow::Produces;

/// What a template makes. The names are documented.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, strum::EnumString, strum::IntoStaticStr)]
#[serde(rename_all = "UPPERCASE")]
#[strum(serialize_all = "UPPERCASE")]
pub enum TemplateType {
    /// A picture.
    Image,
    /// A video.
    Video,
}

impl TemplateType {
    /// The type of the tasks that follow such a template.
    #[must_use]
    pub const fn task_type(self) -> TaskType {
        match self {
            Self::Image => TaskType::ImageGeneration,
            Self::Video => TaskType::VideoGeneration,
        }
    }

    /// The type of the templates that may run a workflow which makes this; `None` when any may.
    #[must_use]
    pub const fn making(produces: Produces) -> Option<Self> {
        match produces {
            Produces::Image => Some(Self::Image),
            Produces::Video => Some(Self::Video),
            Produces::Nothing => None,
        }
    }
}

/// What a revision of a template holds. The names are documented, and durable: revisions are kept as JSON.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Content {
    /// Its name for people.
    pub name: String,
    /// What it makes, in a sentence.
    #[serde(default)]
    pub description: String,
    /// Its price in credits.
    pub credit_cost: i64,
    /// Its version for people, such as 1.0.0.
    pub version: String,
    /// What it makes.
    pub template_type: TemplateType,
    /// The workflow it runs.
    pub workflow: String,
    /// Words to find it by.
    #[serde(default)]
    pub tags: Vec<String>,
    /// The model for pictures.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub image_model: Option<String>,
    /// The prompt for pictures; see [`prompt`].
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub image_prompt: Option<String>,
    /// The model for videos.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub video_model: Option<String>,
    /// The prompt for videos; see [`prompt`].
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub video_prompt: Option<String>,
    /// What its workflow is given unless the customer says otherwise.
    #[serde(default)]
    pub settings: Map<String, Value>,
    /// Who is paid; the service's own account when missing.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub receiver_id: Option<String>,
}

/// A model or a prompt of a template: it reaches the workflow as the parameter of the same name.
struct Preset<'a> {
    name: &'static str,
    text: &'a str,
    is_prompt: bool,
}

impl Content {
    /// Its models and prompts that are set.
    fn presets(&self) -> impl Iterator<Item = Preset<'_>> {
        let all = [
            ("imageModel", &self.image_model, false),
            ("imagePrompt", &self.image_prompt, true),
            ("videoModel", &self.video_model, false),
            ("videoPrompt", &self.video_prompt, true),
        ];
        all.into_iter().filter_map(|(name, text, is_prompt)| Some(Preset { name, text: text.as_deref()?, is_prompt }))
    }
}
