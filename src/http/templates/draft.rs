//! What an operator writes of a template: read and checked field by field, whether it makes a template or changes one.

use std::ops::RangeInclusive;

use serde_json::{Map, Value};
use utoipa::ToSchema;

use crate::domain::template::{Content, TemplateType, prompt};
use crate::http::State;
use crate::http::body::Fields;
use crate::http::error::{Error, Fault};

const CODE_CHARS_MAX: usize = 64;
const WORKFLOW_CHARS_MAX: usize = 64;
const NAME_CHARS_MAX: usize = 100;
const DESCRIPTION_CHARS_MAX: usize = 2_000;
const CREDITS: RangeInclusive<i64> = 0..=1_000_000;
const VERSION_CHARS_MAX: usize = 64;
const VERSION_DEFAULT: &str = "1.0.0";
const TAGS: RangeInclusive<usize> = 0..=20;
const TAG_CHARS_MAX: usize = 50;
const MODEL_CHARS_MAX: usize = 100;
const PROMPT_CHARS_MAX: usize = 4_000;
const RECEIVER_CHARS_MAX: usize = 64;
/// The settings as JSON, in bytes: with a customer's parameters they must fit into a task.
const SETTINGS_BYTES_MAX: usize = 16 * 1024;

/// What a template may say; `code` stands before them when it is made.
const FIELDS: [&str; 15] = [
    "code",
    "name",
    "description",
    "workflow",
    "creditCost",
    "version",
    "templateType",
    "tags",
    "imageModel",
    "imagePrompt",
    "videoModel",
    "videoPrompt",
    "settings",
    "receiverId",
    "isActive",
];

/// The body of a new template.
#[derive(ToSchema)]
#[schema(rename_all = "camelCase")]
#[expect(dead_code, reason = "it documents what `Draft::of_new` reads field by field")]
pub struct NewTemplate {
    /// The name it is run by.
    #[schema(example = "template_002", pattern = "^[A-Za-z0-9_-]{1,64}$")]
    code: String,
    /// Its name for people.
    #[schema(example = "New Template", max_length = 100)]
    name: String,
    /// What it makes.
    #[schema(max_length = 2000)]
    description: Option<String>,
    /// The workflow it runs. One that is not loaded here leaves the template inactive.
    #[schema(example = "video-generation-workflow", pattern = "^[A-Za-z0-9_-]{1,64}$")]
    workflow: String,
    /// Its price in credits.
    #[schema(example = 15, minimum = 0, maximum = 1_000_000)]
    credit_cost: i64,
    /// Its version for people (semver.org); 1.0.0 unless given.
    #[schema(example = "1.0.0")]
    version: Option<String>,
    /// What it makes: `IMAGE` or `VIDEO`.
    #[schema(value_type = String, pattern = "^(IMAGE|VIDEO)$", example = "IMAGE")]
    template_type: TemplateType,
    /// Words to find it by.
    #[schema(max_items = 20)]
    tags: Option<Vec<String>>,
    /// The model for pictures: the workflow's parameter `imageModel`, or `model` where it makes pictures alone.
    #[schema(example = "dall-e-3")]
    image_model: Option<String>,
    /// The prompt for pictures: the workflow's parameter `imagePrompt`, or `prompt` where it makes pictures alone.
    /// `{name}` is the execution's parameter `name`.
    #[schema(example = "Generate image based on: {prompt}")]
    image_prompt: Option<String>,
    /// The model for videos: `videoModel`, or `model` where the workflow makes videos alone.
    video_model: Option<String>,
    /// The prompt for videos: `videoPrompt`, or `prompt` where the workflow makes videos alone.
    video_prompt: Option<String>,
    /// What the workflow is given unless the customer says otherwise.
    #[schema(value_type = Option<Object>)]
    settings: Option<Map<String, Value>>,
    /// Who is paid.
    receiver_id: Option<String>,
    /// Whether it can be run: yes, when its workflow is loaded, unless given.
    is_active: Option<bool>,
}

/// The body of a change: what is not in it stays. Null takes a model, a prompt or the receiver away.
#[derive(ToSchema)]
#[schema(rename_all = "camelCase")]
#[expect(dead_code, reason = "it documents what `Draft::of_change` reads field by field")]
pub struct ChangedTemplate {
    /// Its name for people.
    #[schema(example = "Updated Template Name")]
    name: Option<String>,
    /// What it makes.
    description: Option<String>,
    /// The workflow it runs.
    workflow: Option<String>,
    /// Its price in credits.
    #[schema(example = 20)]
    credit_cost: Option<i64>,
    /// Its version for people.
    version: Option<String>,
    /// What it makes.
    #[schema(value_type = Option<String>)]
    template_type: Option<TemplateType>,
    /// Words to find it by.
    tags: Option<Vec<String>>,
    /// The model for pictures.
    image_model: Option<String>,
    /// The prompt for pictures.
    image_prompt: Option<String>,
    /// The model for videos.
    video_model: Option<String>,
    /// The prompt for videos.
    video_prompt: Option<String>,
    /// All settings anew.
    #[schema(value_type = Option<Object>)]
    settings: Option<Map<String, Value>>,
    /// Who is paid.
    receiver_id: Option<String>,
    /// Whether it can be run.
    is_active: Option<bool>,
}

/// A field that can be taken away: what it becomes, or `None` when the body says nothing of it.
type Removable = Option<Option<String>>;

/// What a body says, checked by itself.
#[derive(Clone, Debug, Default, PartialEq)]
pub(super) struct Draft {
    name: Option<String>,
    description: Option<String>,
    workflow: Option<String>,
    credit_cost: Option<i64>,
    version: Option<String>,
    template_type: Option<TemplateType>,
    tags: Option<Vec<String>>,
    image_model: Removable,
    image_prompt: Removable,
    video_model: Removable,
    video_prompt: Removable,
    settings: Option<Map<String, Value>>,
    receiver_id: Removable,
    /// Whether it is to run, when the body says so.
    pub is_active: Option<bool>,
}

impl Draft {
    /// The code and the draft of a template to be made.
    ///
    /// # Errors
    /// [`Error::Invalid`] with everything that is wrong.
    pub(super) fn of_new(object: &Map<String, Value>) -> Result<(String, Self), Error> {
        let mut fields = Fields::of(object);
        for field in ["code", "name", "workflow", "creditCost", "templateType"] {
            fields.require(field);
        }
        let code = fields.name("code", CODE_CHARS_MAX).unwrap_or_default().to_owned();
        let draft = Self::read(&mut fields);
        fields.only(&FIELDS);
        fields.finish().map(|()| (code, draft))
    }

    /// The draft of a change.
    ///
    /// # Errors
    /// [`Error::Invalid`] with everything that is wrong; [`Error::BadRequest`] when it changes nothing.
    pub(super) fn of_change(object: &Map<String, Value>) -> Result<Self, Error> {
        let mut fields = Fields::of(object);
        let draft = Self::read(&mut fields);
        if object.contains_key("code") {
            fields.fault("code", "cannot be changed");
        }
        fields.only(&FIELDS);
        fields.finish()?;
        if draft == Self::default() {
            return Err(Error::BadRequest("the body names nothing to change".into()));
        }
        Ok(draft)
    }

    fn read(fields: &mut Fields<'_>) -> Self {
        Self {
            name: required(fields, "name", NAME_CHARS_MAX),
            description: fields.text("description", DESCRIPTION_CHARS_MAX).map(str::to_owned),
            workflow: fields.name("workflow", WORKFLOW_CHARS_MAX).map(str::to_owned),
            credit_cost: fields.whole("creditCost", CREDITS),
            version: version(fields),
            template_type: template_type(fields),
            tags: fields.texts("tags", TAGS, TAG_CHARS_MAX).map(|tags| tags.into_iter().map(str::to_owned).collect()),
            image_model: removable(fields, "imageModel", MODEL_CHARS_MAX),
            image_prompt: prompt(fields, "imagePrompt"),
            video_model: removable(fields, "videoModel", MODEL_CHARS_MAX),
            video_prompt: prompt(fields, "videoPrompt"),
            settings: settings(fields),
            receiver_id: removable(fields, "receiverId", RECEIVER_CHARS_MAX),
            is_active: fields.flag("isActive"),
        }
    }

    /// What a template says that is made of it.
    pub(super) fn content(self) -> Content {
        let blank = Content {
            name: String::new(),
            description: String::new(),
            credit_cost: 0,
            version: VERSION_DEFAULT.to_owned(),
            // It is required where a template is made.
            template_type: TemplateType::Video,
            workflow: String::new(),
            tags: Vec::new(),
            image_model: None,
            image_prompt: None,
            video_model: None,
            video_prompt: None,
            settings: Map::new(),
            receiver_id: None,
        };
        self.over(blank)
    }

    /// What a template says once it is changed.
    pub(super) fn over(self, old: Content) -> Content {
        Content {
            name: self.name.unwrap_or(old.name),
            description: self.description.unwrap_or(old.description),
            credit_cost: self.credit_cost.unwrap_or(old.credit_cost),
            version: self.version.unwrap_or(old.version),
            template_type: self.template_type.unwrap_or(old.template_type),
            workflow: self.workflow.unwrap_or(old.workflow),
            tags: self.tags.unwrap_or(old.tags),
            image_model: self.image_model.unwrap_or(old.image_model),
            image_prompt: self.image_prompt.unwrap_or(old.image_prompt),
            video_model: self.video_model.unwrap_or(old.video_model),
            video_prompt: self.video_prompt.unwrap_or(old.video_prompt),
            settings: self.settings.unwrap_or(old.settings),
            receiver_id: self.receiver_id.unwrap_or(old.receiver_id),
        }
    }
}

fn required(fields: &mut Fields<'_>, field: &str, chars_max: usize) -> Option<String> {
    let text = fields.text(field, chars_max)?;
    if text.trim().is_empty() {
        fields.fault(field, "must not be blank");
    }
    Some(text.to_owned())
}

fn removable(fields: &mut Fields<'_>, field: &str, chars_max: usize) -> Removable {
    if fields.is_null(field) {
        return Some(None);
    }
    fields.text(field, chars_max).map(|text| Some(text.to_owned()))
}

fn prompt(fields: &mut Fields<'_>, field: &str) -> Removable {
    let given = removable(fields, field, PROMPT_CHARS_MAX);
    if let Some(Some(text)) = &given
        && let Err(reason) = prompt::check(text)
    {
        fields.fault(field, reason);
    }
    given
}

fn version(fields: &mut Fields<'_>) -> Option<String> {
    let text = fields.text("version", VERSION_CHARS_MAX)?;
    if semver::Version::parse(text).is_err() {
        fields.fault("version", "must be a version such as 1.0.0 (semver.org)");
    }
    Some(text.to_owned())
}

fn template_type(fields: &mut Fields<'_>) -> Option<TemplateType> {
    let known = fields.text("templateType", CODE_CHARS_MAX)?.parse();
    if known.is_err() {
        fields.fault("templateType", "must be IMAGE or VIDEO");
    }
    known.ok()
}

fn settings(fields: &mut Fields<'_>) -> Option<Map<String, Value>> {
    let settings = fields.object("settings")?.clone();
    if serde_json::to_vec(&settings).map_or(usize::MAX, |bytes| bytes.len()) > SETTINGS_BYTES_MAX {
        fields.fault("settings", format!("must have at most {SETTINGS_BYTES_MAX} bytes"));
    }
    Some(settings)
}

/// Whether a template that says this can be run here, and what its operator should know.
#[derive(Debug, Default)]
pub(super) struct Fit {
    /// Why it cannot be run here, when it cannot.
    pub hindrance: Option<String>,
    /// What has another effect than its operator may think, one sentence each.
    pub warnings: Vec<String>,
}

/// Holds what a template says against its workflow.
///
/// # Errors
/// [`Error::Invalid`]: every task of it would fail or make something else.
pub(super) fn fit(state: &State, content: &Content) -> Result<Fit, Error> {
    let hindrance = state.workflow(&content.workflow).err().map(|reason| reason.to_string());
    let mut warnings = Vec::new();
    warnings.extend(hindrance.as_ref().map(|reason| format!("the template is inactive and cannot run here: {reason}")));
    if let Some(definition) = state.library.current(&content.workflow) {
        let faults: Vec<Fault> = content.faults_for(definition).into_iter().map(Fault::from).collect();
        if !faults.is_empty() {
            return Err(Error::Invalid(faults));
        }
        warnings.extend(content.unused_by(definition));
    }
    Ok(Fit { hindrance, warnings })
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn a_change_says_what_it_names_and_nothing_else() {
        let old = json!({ "code": "a", "name": "Old", "workflow": "w", "creditCost": 1, "templateType": "IMAGE",
            "imageModel": "m", "imagePrompt": "p", "tags": ["x"], "settings": { "a": 1 } });
        let (_, old) = Draft::of_new(old.as_object().unwrap()).unwrap_or_else(|error| panic!("{error}"));
        let old = old.content();
        assert_eq!((old.version.as_str(), old.description.as_str()), ("1.0.0", ""));
        let change = json!({ "name": "New", "imageModel": null, "settings": {}, "description": null });
        let change = Draft::of_change(change.as_object().unwrap()).unwrap_or_else(|error| panic!("{error}"));
        let new = change.over(old.clone());
        let expected = Content { name: "New".into(), image_model: None, settings: Map::new(), ..old };
        assert_eq!(new, expected);
    }

    #[test]
    fn a_change_of_nothing_is_refused() {
        for nothing in [json!({}), json!({ "name": null })] {
            assert!(matches!(Draft::of_change(nothing.as_object().unwrap()), Err(Error::BadRequest(_))), "{nothing}");
        }
    }
}
