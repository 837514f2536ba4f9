//! What a single table cannot show: whether steps, parameters and results fit together.

use std::collections::{BTreeMap, BTreeSet};

use serde_json::Value;

use super::definition::{Produces, Step};
use super::graph::{self, Needs};
use super::parameter::Parameter;
use super::parse::Fault;
use super::placeholder::{self, Part, Placeholder};
use super::step::Activity;
use super::when::{self, When};

/// What was read of a step; without an activity it can be checked but not run.
pub(super) struct Draft {
    pub step: Step,
    pub activity_known: bool,
    pub result: bool,
}

impl Draft {
    fn section(&self) -> String {
        format!("steps.{}", self.step.name)
    }

    fn fault(&self, table: &str, key: &str, reason: String) -> Fault {
        Fault { section: Some(format!("{}{table}", self.section())), key: Some(key.to_owned()), reason }
    }

    fn when(&self) -> Option<&When> {
        self.step.when.as_ref()
    }

    /// What it publishes, as its definition says it.
    fn publishes(&self) -> Option<&Value> {
        self.step.with.get("kind").filter(|_| self.step.activity == Activity::Store)
    }
}

fn needs_of(drafts: &[Draft]) -> Needs<'_> {
    drafts.iter().map(|draft| (draft.step.name.as_str(), draft.step.needs.as_slice())).collect()
}

/// Whether every condition is about a parameter that there is, and a value that it can have.
pub(super) fn conditions(drafts: &[Draft], parameters: &BTreeMap<String, Parameter>, faults: &mut Vec<Fault>) {
    for draft in drafts {
        let Some(when) = draft.when() else { continue };
        match parameters.get(&when.parameter) {
            None => {
                let reason = format!("parameter `{}` is not declared", when.parameter);
                faults.push(draft.fault(".when", "parameter", reason));
            }
            Some(parameter) => {
                faults.extend(when.fault_against(parameter).map(|reason| draft.fault(".when", "is", reason)));
            }
        }
    }
}

/// Whether every need is a step, and nothing waits for itself.
pub(super) fn graph(drafts: &[Draft], faults: &mut Vec<Fault>) {
    let needs = needs_of(drafts);
    let mut seen = BTreeSet::new();
    for draft in drafts {
        if !seen.insert(&draft.step.name) {
            faults.push(draft.fault("", "name", format!("`{}` names two steps", draft.step.name)));
        }
        for (index, need) in draft.step.needs.iter().enumerate() {
            if !needs.contains_key(need.as_str()) {
                faults.push(draft.fault("", "needs", format!("there is no step `{need}`")));
            }
            if draft.step.needs[..index].contains(need) {
                faults.push(draft.fault("", "needs", format!("`{need}` stands there twice")));
            }
        }
    }
    if let Some(path) = graph::cycle(&needs) {
        let reason = format!("wait for each other in a circle: {}", path.join(" -> "));
        faults.push(Fault { section: None, key: Some("steps".into()), reason });
    }
}

/// Whether every placeholder can be filled by then.
pub(super) fn placeholders(drafts: &[Draft], parameters: &BTreeMap<String, Parameter>, faults: &mut Vec<Fault>) {
    let needs = needs_of(drafts);
    for draft in drafts {
        let before = graph::ancestors(&needs, &draft.step.name);
        let reason_against = |hole: Placeholder<'_>| match hole {
            Placeholder::Parameter(key) if !parameters.contains_key(key) => {
                Some(format!("parameter `{key}` is not declared"))
            }
            Placeholder::Result { step, .. } if !needs.contains_key(step) => Some(format!("there is no step `{step}`")),
            Placeholder::Result { step, .. } if !before.contains(step) => {
                Some(format!("step `{step}` need not be done by then: it is not among what this step needs"))
            }
            Placeholder::Parameter(_) | Placeholder::Result { .. } | Placeholder::User => None,
        };
        let reasons_against = |text: &str, user: bool| match placeholder::parts(text) {
            Err(reason) => vec![reason],
            Ok(parts) => {
                let misplaced = !user && parts.contains(&Part::Hole(Placeholder::User));
                let misplaced = misplaced.then(|| "`{user}` is for the key of `concurrency` alone".to_owned());
                misplaced.into_iter().chain(parts.into_iter().filter_map(hole).filter_map(reason_against)).collect()
            }
        };
        for (key, value) in &draft.step.with {
            each_text(value, &mut |text| {
                let reasons = reasons_against(text, false);
                faults.extend(reasons.into_iter().map(|reason| draft.fault(".with", key, reason)));
            });
            faults.extend(missing_reason(drafts, draft, key, value).map(|reason| draft.fault(".with", key, reason)));
        }
        if let Some(concurrency) = &draft.step.concurrency {
            let reasons = reasons_against(&concurrency.key, true);
            faults.extend(reasons.into_iter().map(|reason| draft.fault(".concurrency", "key", reason)));
        }
    }
}

/// Why a setting that the activity cannot do without may have no value: it is the result of a step that may be skipped
/// while this one runs.
fn missing_reason(drafts: &[Draft], draft: &Draft, key: &str, value: &Value) -> Option<String> {
    let required = draft.step.activity.settings()?.required.contains(&key);
    let parts = placeholder::parts(value.as_str().filter(|_| required)?).ok()?;
    let [Part::Hole(Placeholder::Result { step, .. })] = parts[..] else { return None };
    let skipped = drafts.iter().find(|other| other.step.name == step)?.when()?;
    (draft.when() != Some(skipped)).then(|| {
        format!(
            "has no value when `{step}` is skipped, which is unless `{}` is {}: give this step the same `when`",
            skipped.parameter, skipped.is
        )
    })
}

fn hole(part: Part<'_>) -> Option<Placeholder<'_>> {
    match part {
        Part::Hole(hole) => Some(hole),
        Part::Text(_) => None,
    }
}

fn each_text(value: &Value, visit: &mut dyn FnMut(&str)) {
    match value {
        Value::String(text) => visit(text),
        Value::Array(items) => items.iter().for_each(|item| each_text(item, visit)),
        Value::Object(table) => table.values().for_each(|item| each_text(item, visit)),
        Value::Null | Value::Bool(_) | Value::Number(_) => {}
    }
}

/// The steps marked as the result, else all that store something. Of what they publish there may be one of each kind,
/// and whoever asks must get something.
pub(super) fn results(
    drafts: &[Draft],
    produces: Produces,
    parameters: &BTreeMap<String, Parameter>,
    faults: &mut Vec<Fault>,
) -> Vec<String> {
    let marked: Vec<&Draft> = drafts.iter().filter(|draft| draft.result).collect();
    let stores = || drafts.iter().filter(|draft| draft.step.activity == Activity::Store).collect();
    let chosen: Vec<&Draft> = if marked.is_empty() { stores() } else { marked };
    for (index, draft) in chosen.iter().enumerate() {
        let exclusive = |other: &Draft| draft.when().zip(other.when()).is_some_and(|(one, two)| one.excludes(two));
        let rival = chosen[..index].iter().find(|other| other.publishes() == draft.publishes() && !exclusive(other));
        if let Some(rival) = rival {
            let what =
                draft.publishes().map_or_else(|| "the result".to_owned(), |kind| format!("the result of kind {kind}"));
            let reason = format!(
                "step `{}` gives {what} too, and both may run: let `when` decide between them by one parameter",
                rival.step.name
            );
            faults.push(draft.fault("", "result", reason));
        }
    }
    let unclear = drafts.iter().any(|draft| !draft.activity_known);
    let conditions: Vec<Option<&When>> = chosen.iter().map(|draft| draft.when()).collect();
    let reason = if produces == Produces::Nothing || unclear {
        None
    } else if chosen.is_empty() {
        Some("no step publishes it: there is neither a `store` nor a step with result = true")
    } else if !when::one_always_holds(&conditions, parameters) {
        Some("for some requests nothing is published: every step that could is skipped")
    } else {
        None
    };
    let fault = |reason: &str| Fault { section: None, key: Some("produces".into()), reason: reason.into() };
    faults.extend(reason.map(fault));
    chosen.into_iter().map(|draft| draft.step.name.clone()).collect()
}
