//! Prompts: texts for a model, in which `{name}` stands for the parameter `name` of the task.
//!
//! A brace has no other use, as in a workflow's settings. What a customer gives is put in as it is: braces in it are
//! braces.

use serde_json::{Map, Value};

/// A stretch of a prompt.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Part<'a> {
    Text(&'a str),
    Hole(&'a str),
}

/// Why a text is no prompt, for whoever wrote it.
///
/// # Errors
/// The reason.
pub fn check(text: &str) -> Result<(), String> {
    parts(text).map(drop)
}

/// The parameters that a prompt needs, each once, in its order. A text that is no prompt needs none.
#[must_use]
pub fn needs(text: &str) -> Vec<&str> {
    let mut names = Vec::new();
    for part in parts(text).unwrap_or_default() {
        match part {
            Part::Hole(name) if !names.contains(&name) => names.push(name),
            Part::Hole(_) | Part::Text(_) => {}
        }
    }
    names
}

/// The prompt with `values` in their places; what has no value is left out.
pub(super) fn fill(text: &str, values: &Map<String, Value>) -> String {
    // A text that is no prompt stands as it is written: it was refused before it could be kept.
    let Ok(parts) = parts(text) else { return text.to_owned() };
    let mut filled = String::with_capacity(text.len());
    for part in parts {
        match part {
            Part::Text(text) => filled.push_str(text),
            Part::Hole(name) => match values.get(name) {
                None | Some(Value::Null) => {}
                Some(Value::String(text)) => filled.push_str(text),
                Some(other) => filled.push_str(&other.to_string()),
            },
        }
    }
    filled
}

fn parts(text: &str) -> Result<Vec<Part<'_>>, String> {
    let mut parts = Vec::new();
    let mut rest = text;
    while let Some(start) = rest.find(['{', '}']) {
        if start > 0 {
            parts.push(Part::Text(&rest[..start]));
        }
        let inside = rest[start..].strip_prefix('{').and_then(|after| after.split_once('}'));
        let (name, after) = inside.ok_or("has a brace without its partner")?;
        let allowed = |byte: u8| byte.is_ascii_alphanumeric() || byte == b'_' || byte == b'-';
        if name.is_empty() || !name.bytes().all(allowed) {
            return Err(format!("has `{{{name}}}`; between braces stands the name of a parameter, such as {{prompt}}"));
        }
        parts.push(Part::Hole(name));
        rest = after;
    }
    if !rest.is_empty() {
        parts.push(Part::Text(rest));
    }
    Ok(parts)
}
