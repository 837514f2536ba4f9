//! What a workflow asks of the request: its parameters, and the check that a request has them.

use serde_json::Value;

/// What a parameter holds.
#[derive(Clone, Copy, Debug, PartialEq, Eq, strum::EnumIter, strum::EnumString, strum::IntoStaticStr)]
#[strum(serialize_all = "snake_case")]
pub enum ParameterKind {
    /// A picture: a data URL, an http or https URL, or `{"file": KEY}` for one that is in storage already.
    Picture,
    /// A text.
    Text,
    /// A number.
    Number,
    /// True or false.
    Flag,
}

/// A parameter that a workflow knows.
#[derive(Clone, Debug, PartialEq)]
pub struct Parameter {
    /// What it holds.
    pub kind: ParameterKind,
    /// Whether a request without it is refused.
    pub required: bool,
    /// What holds when the request does not say.
    pub default: Option<Value>,
    /// The least number allowed.
    pub min: Option<f64>,
    /// The greatest number allowed.
    pub max: Option<f64>,
    /// The only texts allowed; empty allows all.
    pub one_of: Vec<String>,
}

/// What is wrong with one field of a request.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct FieldFault {
    /// The parameter's name.
    pub field: String,
    /// What is wrong, for a client's developer.
    pub reason: String,
}

impl Parameter {
    /// What is wrong with `given` as this parameter; a null counts as not given.
    pub(super) fn fault_of(&self, name: &str, given: Option<&Value>) -> Option<FieldFault> {
        let reason = match given.filter(|value| !value.is_null()) {
            None if self.required => Some("is required".to_owned()),
            None => None,
            Some(value) => self.reason_against(value),
        }?;
        Some(FieldFault { field: name.to_owned(), reason })
    }

    /// Why `value` cannot be this parameter.
    pub(super) fn reason_against(&self, value: &Value) -> Option<String> {
        match (self.kind, value) {
            (ParameterKind::Picture, value) => picture_fault(value),
            (ParameterKind::Text, Value::String(text)) => self.text_fault(text),
            (ParameterKind::Text, _) => Some("must be a text".into()),
            (ParameterKind::Number, Value::Number(number)) => self.number_fault(number.as_f64()),
            (ParameterKind::Number, _) => Some("must be a number".into()),
            (ParameterKind::Flag, Value::Bool(_)) => None,
            (ParameterKind::Flag, _) => Some("must be true or false".into()),
        }
    }

    fn text_fault(&self, text: &str) -> Option<String> {
        let allowed = self.one_of.is_empty() || self.one_of.iter().any(|choice| choice == text);
        (!allowed).then(|| format!("must be one of: {}", self.one_of.join(", ")))
    }

    fn number_fault(&self, number: Option<f64>) -> Option<String> {
        let inside = number
            .is_some_and(|number| self.min.is_none_or(|min| number >= min) && self.max.is_none_or(|max| number <= max));
        if inside {
            return None;
        }
        Some(match (self.min, self.max) {
            (Some(min), Some(max)) => format!("must be from {min} to {max}"),
            (Some(min), None) => format!("must be at least {min}"),
            (None, Some(max)) => format!("must be at most {max}"),
            (None, None) => "must be a number".into(),
        })
    }
}

/// Only the form is checked: what the bytes hold is found out by who decodes them.
fn picture_fault(value: &Value) -> Option<String> {
    let starts = |text: &str, prefix: &str| {
        text.get(..prefix.len()).is_some_and(|start| start.eq_ignore_ascii_case(prefix)) && text.len() > prefix.len()
    };
    let good = match value {
        Value::String(text) => ["data:image/", "https://", "http://"].iter().any(|prefix| starts(text, prefix)),
        Value::Object(table) => table.get("file").and_then(Value::as_str).is_some_and(|key| !key.is_empty()),
        Value::Null | Value::Bool(_) | Value::Number(_) | Value::Array(_) => false,
    };
    (!good).then(|| "must be a picture: a data URL (data:image/jpeg;base64,...) or an http or https link".into())
}
