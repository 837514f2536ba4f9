//! Placeholders in a step's settings: `{parameters.KEY}` and `{steps.STEP.KEY}`; in keys of permits, `{user}` too.
//!
//! A text that is exactly one placeholder takes the value as it is; in a longer text, values are written as text.
//! A brace has no other use: a text that holds one outside a placeholder is a fault.

use serde_json::{Map, Value};

/// One placeholder.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Placeholder<'a> {
    /// A value of the request.
    Parameter(&'a str),
    /// A value of an earlier step's result.
    Result {
        /// The earlier step.
        step: &'a str,
        /// The key in its result.
        key: &'a str,
    },
    /// For whom the task runs.
    User,
}

/// A stretch of a text.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Part<'a> {
    /// Taken as it is.
    Text(&'a str),
    /// To be filled in.
    Hole(Placeholder<'a>),
}

/// Cuts a text at its placeholders.
///
/// Fails with the reason, for whoever wrote the definition.
pub(super) fn parts(text: &str) -> Result<Vec<Part<'_>>, String> {
    let mut parts = Vec::new();
    let mut rest = text;
    while let Some(start) = rest.find(['{', '}']) {
        if start > 0 {
            parts.push(Part::Text(&rest[..start]));
        }
        let inside = rest[start..].strip_prefix('{').and_then(|after| after.split_once('}'));
        let Some((name, after)) = inside else {
            return Err(format!("`{text}` has a brace without its partner"));
        };
        parts.push(Part::Hole(placeholder(name)?));
        rest = after;
    }
    if !rest.is_empty() {
        parts.push(Part::Text(rest));
    }
    Ok(parts)
}

fn placeholder(name: &str) -> Result<Placeholder<'_>, String> {
    let segments: Vec<&str> = name.split('.').collect();
    match segments[..] {
        ["parameters", key] if !key.is_empty() => Ok(Placeholder::Parameter(key)),
        ["steps", step, key] if !step.is_empty() && !key.is_empty() => Ok(Placeholder::Result { step, key }),
        ["user"] => Ok(Placeholder::User),
        _ => Err(format!("`{{{name}}}` is no placeholder: write {{parameters.KEY}} or {{steps.STEP.KEY}}")),
    }
}

/// Where values come from.
pub(super) struct Values<'a, 'v> {
    /// A value of the request.
    pub parameter: &'a dyn Fn(&str) -> Option<&'v Value>,
    /// A value of a step's result.
    pub result: &'a dyn Fn(&str, &str) -> Option<&'v Value>,
}

/// The settings with every placeholder filled in; keys whose placeholder has no value are left out.
pub(super) fn fill(settings: &Map<String, Value>, values: &Values<'_, '_>) -> Map<String, Value> {
    settings.iter().filter_map(|(key, value)| Some((key.clone(), fill_value(value, values)?))).collect()
}

fn fill_value(value: &Value, values: &Values<'_, '_>) -> Option<Value> {
    match value {
        Value::String(text) => fill_text(text, values),
        Value::Array(items) => Some(items.iter().filter_map(|item| fill_value(item, values)).collect()),
        Value::Object(table) => Some(Value::Object(fill(table, values))),
        Value::Null | Value::Bool(_) | Value::Number(_) => Some(value.clone()),
    }
}

fn fill_text(text: &str, values: &Values<'_, '_>) -> Option<Value> {
    // A checked definition has no malformed text; should one come here all the same, it stands as it is written.
    let Ok(parts) = parts(text) else { return Some(text.into()) };
    let value_of = |hole: Placeholder<'_>| match hole {
        Placeholder::Parameter(key) => (values.parameter)(key),
        Placeholder::Result { step, key } => (values.result)(step, key),
        // Stands in keys alone.
        Placeholder::User => None,
    };
    if let [Part::Hole(hole)] = parts[..] {
        return value_of(hole).filter(|value| !value.is_null()).cloned();
    }
    let mut filled = String::with_capacity(text.len());
    for part in parts {
        match part {
            Part::Text(text) => filled.push_str(text),
            Part::Hole(hole) => write(&mut filled, value_of(hole)),
        }
    }
    Some(filled.into())
}

/// The key of a permit with every placeholder filled in.
pub(super) fn fill_key(text: &str, values: &Values<'_, '_>, user: &str) -> String {
    let mut filled = String::with_capacity(text.len());
    for part in parts(text).unwrap_or_else(|_| vec![Part::Text(text)]) {
        match part {
            Part::Text(text) => filled.push_str(text),
            Part::Hole(Placeholder::Parameter(key)) => write(&mut filled, (values.parameter)(key)),
            Part::Hole(Placeholder::Result { step, key }) => write(&mut filled, (values.result)(step, key)),
            Part::Hole(Placeholder::User) => filled.push_str(user),
        }
    }
    filled
}

/// A value within a longer text; what has none is nothing.
fn write(text: &mut String, value: Option<&Value>) {
    match value {
        None | Some(Value::Null) => {}
        Some(Value::String(value)) => text.push_str(value),
        Some(other) => text.push_str(&other.to_string()),
    }
}
