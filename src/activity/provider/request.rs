//! What a step asks a provider for, read from its settings.

use bytes::Bytes;
use serde_json::{Map, Value};

use super::{Errand, Preset};
use crate::activity::media::PICTURE_BYTES_MAX;
use crate::activity::settings::Settings;
use crate::domain::Failure;

/// Characters of a prompt, at most.
const PROMPT_CHARS_MAX: usize = 20_000;

/// What is asked for.
#[derive(Debug)]
pub(super) struct Request {
    pub model: String,
    pub prompt: Option<String>,
    pub picture: Option<Picture>,
    /// What else the model takes, as the provider names it.
    pub options: Map<String, Value>,
}

/// A picture that the provider is to work on: a JPEG of an earlier step.
#[derive(Debug)]
pub(super) struct Picture {
    pub key: String,
    pub bytes: Bytes,
    /// Which of the model's inputs takes it; `None` takes the dialect's own.
    pub field: Option<String>,
}

/// The same for the same order: a repeated submit sends the same bytes.
pub(super) async fn of(errand: Errand<'_>) -> Result<Request, Failure> {
    let known = ["provider", "prompt", "picture", "picture_field", "model", "options"];
    let settings = Settings::of(errand.running.call, &known)?;
    let text = |key| match settings.value(key) {
        None => Ok(None),
        Some(Value::String(text)) if !text.is_empty() => Ok(Some(text.clone())),
        Some(_) => Err(settings.fault(key, "a text")),
    };
    let prompt = text("prompt")?;
    if prompt.as_ref().is_some_and(|prompt| prompt.chars().count() > PROMPT_CHARS_MAX) {
        return Err(settings.fault("prompt", &format!("a text of at most {PROMPT_CHARS_MAX} characters")));
    }
    if prompt.is_none() && errand.provider.preset != Preset::Replicate {
        return Err(settings.fault("prompt", "a text"));
    }
    let options = match settings.value("options") {
        None => Map::new(),
        Some(Value::Object(options)) => options.clone(),
        Some(_) => return Err(settings.fault("options", "a table")),
    };
    let picture = match settings.value("picture") {
        None => None,
        Some(_) => {
            let key = settings.working_file("picture")?.to_owned();
            let bytes = errand.activities.storage().get(&key, PICTURE_BYTES_MAX as u64).await?;
            Some(Picture { key, bytes, field: text("picture_field")? })
        }
    };
    let model = text("model")?.unwrap_or_else(|| errand.provider.model.clone());
    Ok(Request { model, prompt, picture, options })
}
