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
use super::workflow::{Definition, Produces};

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

/// A model or a prompt of a template, on its way to a workflow.
#[derive(Clone, Copy)]
struct Preset<'a> {
    /// The template's field.
    field: &'static str,
    /// What a workflow calls it that makes one thing only.
    short: &'static str,
    makes: TemplateType,
    text: &'a str,
}

impl Preset<'_> {
    fn is_prompt(self) -> bool {
        self.short == "prompt"
    }

    /// The parameter of `workflow` that it becomes: the one of its own name, or `model` and `prompt` where the template
    /// makes what it is for. `None` when the workflow takes neither.
    fn parameter_of(self, workflow: &Definition, template_type: TemplateType) -> Option<&'static str> {
        let takes = |name: &str| workflow.parameters().contains_key(name);
        if takes(self.field) {
            return Some(self.field);
        }
        (self.makes == template_type && takes(self.short)).then_some(self.short)
    }
}

impl Content {
    /// Its models and prompts that are set.
    fn presets(&self) -> impl Iterator<Item = Preset<'_>> {
        use TemplateType::{Image, Video};
        let all = [
            ("imageModel", "model", Image, self.image_model.as_deref()),
            ("imagePrompt", "prompt", Image, self.image_prompt.as_deref()),
            ("videoModel", "model", Video, self.video_model.as_deref()),
            ("videoPrompt", "prompt", Video, self.video_prompt.as_deref()),
        ];
        all.into_iter().filter_map(|(field, short, makes, text)| Some(Preset { field, short, makes, text: text? }))
    }

    /// Those that `workflow` takes, each with the name of the parameter it becomes.
    fn presets_for<'a>(&'a self, workflow: &Definition) -> impl Iterator<Item = (Preset<'a>, &'static str)> {
        self.presets().filter_map(|preset| Some((preset, preset.parameter_of(workflow, self.template_type)?)))
    }
}
