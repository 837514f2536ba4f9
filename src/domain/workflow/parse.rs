//! From TOML to a checked definition, or to all its faults.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;

use serde_json::Value;
use sha2::{Digest, Sha256};

use super::definition::{Definition, Produces, Retry, Step};
use super::graph::{self, Needs};
use super::parameter::{Parameter, ParameterKind};
use super::placeholder::{self, Part, Placeholder};
use super::reader::Section;
use super::step::{Activity, Settings};

/// What a definition may be at most.
pub mod limits {
    use std::ops::RangeInclusive;

    /// Bytes of a definition's text.
    pub const SOURCE_BYTES_MAX: usize = 65_536;
    /// Steps of one workflow.
    pub const STEPS_MAX: usize = 50;
    /// Parameters of one workflow.
    pub const PARAMETERS_MAX: usize = 50;
    /// Bytes of a workflow's, step's or parameter's name.
    pub const NAME_BYTES_MAX: usize = 64;
    /// A step's share of the progress bar.
    pub const WEIGHT: RangeInclusive<u32> = 0..=1_000;
    /// A step's share when the definition does not say.
    pub const WEIGHT_DEFAULT: u32 = 1;
    /// How long one attempt of a step may take, in milliseconds.
    pub const TIMEOUT_MS: RangeInclusive<u64> = 100..=86_400_000;
    /// How long one attempt may take when the definition does not say, in milliseconds.
    pub const TIMEOUT_MS_DEFAULT: u64 = 60_000;
    /// Attempts of a step in all.
    pub const ATTEMPTS: RangeInclusive<u32> = 1..=20;
    /// The rest between two attempts, in milliseconds.
    pub const DELAY_MS: RangeInclusive<u64> = 10..=3_600_000;
    /// How much longer each rest is than the one before.
    pub const FACTOR: RangeInclusive<u32> = 1..=10;
}

/// What a step does about failures when its definition does not say.
const RETRY_DEFAULT: Retry = Retry { attempts: 3, first_delay_ms: 1_000, max_delay_ms: 60_000, factor: 2 };

/// One fault of a definition.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Fault {
    /// The table it is in, such as `steps.render`; `None` for the document itself.
    pub section: Option<String>,
    /// The key, when it is about one.
    pub key: Option<String>,
    /// What is wrong, for whoever wrote the definition.
    pub reason: String,
}

impl fmt::Display for Fault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match (&self.section, &self.key) {
            (Some(section), Some(key)) => write!(f, "{section}.{key}: {}", self.reason),
            (Some(place), None) | (None, Some(place)) => write!(f, "{place}: {}", self.reason),
            (None, None) => f.write_str(&self.reason),
        }
    }
}

/// A text that is no workflow definition, with everything that is wrong with it.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub struct InvalidDefinition {
    /// Where the text came from.
    pub file: String,
    /// Its faults; at least one.
    pub faults: Vec<Fault>,
}

impl fmt::Display for InvalidDefinition {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} is no valid workflow", self.file)?;
        self.faults.iter().try_for_each(|fault| write!(f, "\n  {}: {fault}", self.file))
    }
}

/// What was read of a step; without an activity it can be checked but not run.
struct Draft {
    step: Step,
    activity_known: bool,
    result: bool,
}

impl Draft {
    fn section(&self) -> String {
        format!("steps.{}", self.step.name)
    }
}

impl Definition {
    /// Reads and checks a definition. `file` is only its name, for the faults.
    ///
    /// # Errors
    /// [`InvalidDefinition`] with every fault found.
    pub fn parse(file: &str, source: &str) -> Result<Self, InvalidDefinition> {
        let invalid = |faults| InvalidDefinition { file: file.to_owned(), faults };
        let whole = |reason| invalid(vec![Fault { section: None, key: None, reason }]);
        if source.len() > limits::SOURCE_BYTES_MAX {
            return Err(whole(format!("has {} bytes; at most {}", source.len(), limits::SOURCE_BYTES_MAX)));
        }
        let document = source.parse::<toml::Table>().map_err(|error| whole(syntax_fault(source, &error)))?;
        let mut faults = Vec::new();
        let definition = read_document(&document, source, &mut faults);
        if faults.is_empty() { Ok(definition) } else { Err(invalid(faults)) }
    }
}

fn syntax_fault(source: &str, error: &toml::de::Error) -> String {
    let line = error.span().and_then(|span| source.get(..span.start)).map(|before| before.matches('\n').count() + 1);
    line.map_or_else(|| error.message().to_owned(), |line| format!("line {line}: {}", error.message()))
}

fn read_document(document: &toml::Table, source: &str, faults: &mut Vec<Fault>) -> Definition {
    let mut top = Section::new(None, document);
    for key in ["name", "description", "produces", "steps"] {
        top.require(key);
    }
    let name = top.text("name").unwrap_or_default().to_owned();
    if top.has("name")
        && let Some(reason) = name_fault(&name)
    {
        top.fault("name", reason);
    }
    let description = top.text("description").unwrap_or_default().to_owned();
    let produces = top.choice("produces").unwrap_or(Produces::Nothing);
    let declared = top.table("parameters");
    let steps = top.tables("steps");
    if let Some(count) = steps.as_ref().map(Vec::len).filter(|count| !(1..=limits::STEPS_MAX).contains(count)) {
        top.fault("steps", format!("are {count}; must be from 1 to {}", limits::STEPS_MAX));
    }
    let steps = steps.unwrap_or_default();
    if let Some(count) = declared.map(toml::Table::len).filter(|count| *count > limits::PARAMETERS_MAX) {
        top.fault("parameters", format!("are {count}; at most {}", limits::PARAMETERS_MAX));
    }
    faults.extend(top.finish());

    let parameters = read_parameters(declared, faults);
    let drafts: Vec<Draft> = steps.iter().enumerate().map(|(index, table)| read_step(index, table, faults)).collect();
    check_graph(&drafts, faults);
    check_placeholders(&drafts, &parameters, faults);
    let result = result_step(&drafts, produces, faults);
    if drafts.iter().all(|draft| draft.step.weight == 0) && !drafts.is_empty() {
        faults.push(Fault { section: None, key: Some("steps".into()), reason: "have no weight at all".into() });
    }
    Definition {
        name,
        description,
        produces,
        parameters,
        steps: drafts.into_iter().map(|draft| draft.step).collect(),
        result,
        digest: hex::encode(Sha256::digest(source)),
        source: source.to_owned(),
    }
}

/// Names stand in placeholders and addresses, so they hold neither dots nor braces nor slashes.
fn name_fault(name: &str) -> Option<String> {
    let allowed = |byte: u8| byte.is_ascii_alphanumeric() || byte == b'_' || byte == b'-';
    let good = (1..=limits::NAME_BYTES_MAX).contains(&name.len()) && name.bytes().all(allowed);
    (!good).then(|| format!("`{name}` is no name; it has 1 to {} letters, digits, `_` and `-`", limits::NAME_BYTES_MAX))
}

fn read_parameters(declared: Option<&toml::Table>, faults: &mut Vec<Fault>) -> BTreeMap<String, Parameter> {
    let mut parameters = BTreeMap::new();
    for (name, value) in declared.into_iter().flatten() {
        let section = format!("parameters.{name}");
        if let Some(reason) = name_fault(name) {
            faults.push(Fault { section: Some(section.clone()), key: None, reason });
        }
        let Some(table) = value.as_table() else {
            faults.push(Fault { section: Some(section), key: None, reason: "must be a table".into() });
            continue;
        };
        let parameter = read_parameter(section, table, faults);
        parameters.insert(name.clone(), parameter);
    }
    parameters
}

fn read_parameter(name: String, table: &toml::Table, faults: &mut Vec<Fault>) -> Parameter {
    let mut section = Section::new(Some(name), table);
    section.require("kind");
    let kind: Option<ParameterKind> = section.choice("kind");
    let parameter = Parameter {
        kind: kind.unwrap_or(ParameterKind::Text),
        required: section.flag("required").unwrap_or(false),
        default: section.json("default"),
        min: section.number("min"),
        max: section.number("max"),
        one_of: section.texts("one_of").unwrap_or_default(),
    };
    if kind.is_some_and(|kind| kind != ParameterKind::Number) {
        for key in ["min", "max"].into_iter().filter(|key| table.contains_key(*key)) {
            section.fault(key, "is for numbers only");
        }
    }
    if kind.is_some_and(|kind| kind != ParameterKind::Text) && section.has("one_of") {
        section.fault("one_of", "is for texts only");
    }
    if parameter.min.zip(parameter.max).is_some_and(|(min, max)| min > max) {
        section.fault("min", "is greater than max");
    }
    if let Some(default) = &parameter.default {
        if parameter.required {
            section.fault("default", "makes no sense for a required parameter");
        } else if let Some(reason) = kind.and_then(|_| parameter.reason_against(default)) {
            section.fault("default", reason);
        }
    }
    faults.extend(section.finish());
    parameter
}

fn read_step(index: usize, table: &toml::Table, faults: &mut Vec<Fault>) -> Draft {
    let name = table.get("name").and_then(toml::Value::as_str).map_or_else(|| format!("{}", index + 1), str::to_owned);
    let mut section = Section::new(Some(format!("steps.{name}")), table);
    section.require("name");
    section.require("activity");
    if let Some(reason) = section.text("name").and_then(name_fault) {
        section.fault("name", reason);
    }
    let activity: Option<Activity> = section.choice("activity");
    let step = Step {
        name,
        activity: activity.unwrap_or(Activity::Noop),
        needs: section.texts("needs").unwrap_or_default(),
        timeout_ms: section.duration_ms("timeout", limits::TIMEOUT_MS).unwrap_or(limits::TIMEOUT_MS_DEFAULT),
        weight: section.whole("weight", limits::WEIGHT).unwrap_or(limits::WEIGHT_DEFAULT),
        retry: RETRY_DEFAULT,
        with: section.json_table("with").unwrap_or_default(),
    };
    let result = section.flag("result").unwrap_or(false);
    let retry = section.table("retry");
    faults.extend(section.finish());
    if let Some(settings) = activity.and_then(Activity::settings) {
        check_settings(&step, settings, faults);
    }
    let retry = retry.map_or(RETRY_DEFAULT, |table| read_retry(format!("steps.{}.retry", step.name), table, faults));
    Draft { step: Step { retry, ..step }, activity_known: activity.is_some(), result }
}

fn check_settings(step: &Step, Settings { required, optional }: Settings, faults: &mut Vec<Fault>) {
    let activity: &str = step.activity.into();
    let mut fault = |key: &str, reason| {
        faults.push(Fault { section: Some(format!("steps.{}.with", step.name)), key: Some(key.to_owned()), reason });
    };
    for key in required.iter().filter(|key| !step.with.contains_key(**key)) {
        fault(key, format!("is missing: `{activity}` needs it"));
    }
    let known = [required, optional].concat();
    for key in step.with.keys().filter(|key| !known.contains(&key.as_str())) {
        fault(key, format!("is unknown; `{activity}` knows {}", known.join(", ")));
    }
}

fn read_retry(name: String, table: &toml::Table, faults: &mut Vec<Fault>) -> Retry {
    let mut section = Section::new(Some(name), table);
    let first = section.duration_ms("first_delay", limits::DELAY_MS);
    let max = section.duration_ms("max_delay", limits::DELAY_MS);
    let first_delay_ms = first.unwrap_or(RETRY_DEFAULT.first_delay_ms);
    let retry = Retry {
        attempts: section.whole("attempts", limits::ATTEMPTS).unwrap_or(RETRY_DEFAULT.attempts),
        first_delay_ms,
        max_delay_ms: max.unwrap_or(RETRY_DEFAULT.max_delay_ms.max(first_delay_ms)),
        factor: section.whole("factor", limits::FACTOR).unwrap_or(RETRY_DEFAULT.factor),
    };
    if max.is_some() && retry.first_delay_ms > retry.max_delay_ms {
        section.fault("first_delay", "is longer than max_delay");
    }
    faults.extend(section.finish());
    retry
}

fn needs_of(drafts: &[Draft]) -> Needs<'_> {
    drafts.iter().map(|draft| (draft.step.name.as_str(), draft.step.needs.as_slice())).collect()
}

fn check_graph(drafts: &[Draft], faults: &mut Vec<Fault>) {
    let needs = needs_of(drafts);
    let mut seen = BTreeSet::new();
    for draft in drafts {
        let mut fault = |key: &str, reason| {
            faults.push(Fault { section: Some(draft.section()), key: Some(key.to_owned()), reason });
        };
        if !seen.insert(&draft.step.name) {
            fault("name", format!("`{}` names two steps", draft.step.name));
        }
        for (index, need) in draft.step.needs.iter().enumerate() {
            if !needs.contains_key(need.as_str()) {
                fault("needs", format!("there is no step `{need}`"));
            }
            if draft.step.needs[..index].contains(need) {
                fault("needs", format!("`{need}` stands there twice"));
            }
        }
    }
    if let Some(path) = graph::cycle(&needs) {
        let reason = format!("wait for each other in a circle: {}", path.join(" -> "));
        faults.push(Fault { section: None, key: Some("steps".into()), reason });
    }
}

fn check_placeholders(drafts: &[Draft], parameters: &BTreeMap<String, Parameter>, faults: &mut Vec<Fault>) {
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
            Placeholder::Parameter(_) | Placeholder::Result { .. } => None,
        };
        for (key, value) in &draft.step.with {
            each_text(value, &mut |text| {
                let reasons = match placeholder::parts(text) {
                    Err(reason) => vec![reason],
                    Ok(parts) => parts.into_iter().filter_map(hole).filter_map(reason_against).collect(),
                };
                faults.extend(reasons.into_iter().map(|reason| Fault {
                    section: Some(format!("{}.with", draft.section())),
                    key: Some(key.clone()),
                    reason,
                }));
            });
        }
    }
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

/// The step marked as the result, else the last that stores something.
fn result_step(drafts: &[Draft], produces: Produces, faults: &mut Vec<Fault>) -> Option<String> {
    let mut marked = drafts.iter().filter(|draft| draft.result);
    let first = marked.next();
    for draft in marked {
        let reason = "only one step can be the result".into();
        faults.push(Fault { section: Some(draft.section()), key: Some("result".into()), reason });
    }
    let step = first.or_else(|| drafts.iter().rev().find(|draft| draft.step.activity == Activity::Store));
    let unclear = drafts.iter().any(|draft| !draft.activity_known);
    if step.is_none() && produces != Produces::Nothing && !unclear {
        let reason = "no step publishes it: there is neither a `store` nor a step with result = true".into();
        faults.push(Fault { section: None, key: Some("produces".into()), reason });
    }
    step.map(|draft| draft.step.name.clone())
}
