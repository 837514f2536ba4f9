//! Conditions: which steps a request needs.

use std::collections::{BTreeMap, BTreeSet};

use serde_json::Value;

use super::parameter::{Parameter, ParameterKind};

/// What must hold for a step to run: a parameter of the request, or its default, has this value. A parameter without a
/// value is equal to nothing. A step whose condition does not hold is skipped: steps that need it go on, and it has no
/// result.
#[derive(Clone, Debug, PartialEq)]
pub struct When {
    /// The parameter.
    pub parameter: String,
    /// The value that it must have: a text, a number, true or false.
    pub is: Value,
}

impl When {
    /// Whether it holds when the parameter has this value.
    pub(super) fn holds(&self, value: Option<&Value>) -> bool {
        match (value, &self.is) {
            // 5 and 5.0 are the same number.
            (Some(Value::Number(value)), Value::Number(is)) => value.as_f64() == is.as_f64(),
            (Some(value), is) => value == is,
            (None, _) => false,
        }
    }

    /// Whether it and `other` never hold both.
    pub(super) fn excludes(&self, other: &Self) -> bool {
        self.parameter == other.parameter && !self.holds(Some(&other.is))
    }

    /// Why `parameter` cannot be compared with this value.
    pub(super) fn fault_against(&self, parameter: &Parameter) -> Option<String> {
        if !matches!(parameter.kind, ParameterKind::Text | ParameterKind::Number | ParameterKind::Flag) {
            let kind: &str = parameter.kind.into();
            return Some(format!("a {kind} cannot be compared; texts, numbers and flags can"));
        }
        parameter.reason_against(&self.is)
    }
}

/// Whether at least one of these conditions holds for every request; `None` is a step without one.
pub(super) fn one_always_holds(conditions: &[Option<&When>], parameters: &BTreeMap<String, Parameter>) -> bool {
    let mut values: BTreeMap<&str, BTreeSet<String>> = BTreeMap::new();
    for condition in conditions {
        let Some(When { parameter, is }) = condition else { return true };
        values.entry(parameter).or_default().insert(is.to_string());
    }
    values.into_iter().any(|(name, covered)| {
        let Some(parameter) = parameters.get(name) else { return false };
        let all: Vec<Value> = match parameter.kind {
            ParameterKind::Flag => vec![Value::Bool(false), Value::Bool(true)],
            ParameterKind::Text => parameter.one_of.iter().map(|text| text.as_str().into()).collect(),
            _ => Vec::new(),
        };
        let has_value = parameter.required || parameter.default.is_some();
        has_value && !all.is_empty() && all.iter().all(|value| covered.contains(&value.to_string()))
    })
}
