//! A definition that has been checked.

use std::collections::{BTreeMap, BTreeSet};

use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};
use sha2::{Digest, Sha256};

use super::parameter::{FieldFault, Parameter};
use super::placeholder::{self, Values};
use super::step::Activity;
use super::when::When;
use crate::domain::{Permit, Priority, Turn};

/// A permit's key that is longer than this many bytes is replaced by its digest.
const KEY_BYTES_MAX: usize = 200;

/// Which definition a task began with: its name for people, and the digest that finds the very text.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Pinned {
    /// The workflow's name.
    pub name: String,
    /// SHA-256 of the definition's text, in hexadecimal digits.
    pub digest: String,
}

/// What a workflow publishes at its end.
#[derive(
    Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, strum::EnumString, strum::IntoStaticStr, strum::EnumIter,
)]
#[serde(rename_all = "snake_case")]
#[strum(serialize_all = "snake_case")]
pub enum Produces {
    /// A video.
    Video,
    /// A picture.
    Image,
    /// Nothing that a customer could download.
    Nothing,
}

/// How often a step is tried, and how long it rests in between.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Retry {
    /// Attempts in all; 1 means that no failure is repeated.
    pub attempts: u32,
    /// The rest after the first failure, in milliseconds.
    pub first_delay_ms: u64,
    /// No rest is longer than this, in milliseconds, unless the other side asked for more.
    pub max_delay_ms: u64,
    /// How much longer each rest is than the one before.
    pub factor: u32,
}

impl Retry {
    /// The rest after failed attempt number `attempt` (from 1), before it is spread, in milliseconds.
    #[must_use]
    pub fn delay_ms(&self, attempt: u32) -> u64 {
        let growth = u64::from(self.factor).saturating_pow(attempt.saturating_sub(1));
        self.first_delay_ms.saturating_mul(growth).min(self.max_delay_ms)
    }
}

/// How many attempts of steps may run at once that share a key.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Concurrency {
    /// The key; it may hold placeholders, `{user}` among them. Those that have no value count as an empty text.
    pub key: String,
    /// How many.
    pub limit: u32,
}

/// One step of a workflow.
#[derive(Clone, Debug, PartialEq)]
pub struct Step {
    /// Its name, unique in the workflow.
    pub name: String,
    /// What it does.
    pub activity: Activity,
    /// The steps that must be done before it starts.
    pub needs: Vec<String>,
    /// What must hold for it to run; it is skipped otherwise.
    pub when: Option<When>,
    /// How many of its like may run at once; `None` for as many as its lane has places.
    pub concurrency: Option<Concurrency>,
    /// How long one attempt may take, in milliseconds.
    pub timeout_ms: u64,
    /// Its share of the progress bar, relative to the other steps.
    pub weight: u32,
    /// What happens when it fails.
    pub retry: Retry,
    /// Its settings; strings may hold placeholders.
    pub with: Map<String, Value>,
}

/// A workflow, checked: every need exists, nothing waits for itself, every placeholder can be filled.
#[derive(Clone, Debug, PartialEq)]
pub struct Definition {
    pub(super) name: String,
    pub(super) description: String,
    pub(super) produces: Produces,
    pub(super) priority: Priority,
    pub(super) parameters: BTreeMap<String, Parameter>,
    pub(super) steps: Vec<Step>,
    pub(super) results: Vec<String>,
    pub(super) digest: String,
    pub(super) source: String,
}

impl Definition {
    /// The name that templates refer to.
    #[must_use]
    pub fn name(&self) -> &str {
        &self.name
    }

    /// What it is for, in a sentence.
    #[must_use]
    pub fn description(&self) -> &str {
        &self.description
    }

    /// What it publishes.
    #[must_use]
    pub const fn produces(&self) -> Produces {
        self.produces
    }

    /// Whether its steps go before those of others, where they wait for room.
    #[must_use]
    pub const fn priority(&self) -> Priority {
        self.priority
    }

    /// The parameters it knows, by name.
    #[must_use]
    pub const fn parameters(&self) -> &BTreeMap<String, Parameter> {
        &self.parameters
    }

    /// Its steps, in the order they are written.
    #[must_use]
    pub fn steps(&self) -> &[Step] {
        &self.steps
    }

    /// The step of that name.
    #[must_use]
    pub fn step(&self, name: &str) -> Option<&Step> {
        self.steps.iter().find(|step| step.name == name)
    }

    /// The steps whose results are the task's, as far as they are not skipped.
    #[must_use]
    pub fn result_steps(&self) -> &[String] {
        &self.results
    }

    /// SHA-256 of the text it was read from, in hexadecimal digits.
    #[must_use]
    pub fn digest(&self) -> &str {
        &self.digest
    }

    /// The text it was read from, to be kept for the tasks that are pinned to it.
    #[must_use]
    pub fn source(&self) -> &str {
        &self.source
    }

    /// Its name and digest: what a task keeps of it.
    #[must_use]
    pub fn pinned(&self) -> Pinned {
        Pinned { name: self.name.clone(), digest: self.digest.clone() }
    }

    /// What the machine must be able to do to run it; each once.
    #[must_use]
    pub fn activities(&self) -> Vec<Activity> {
        let mut seen: Vec<Activity> = Vec::new();
        for step in &self.steps {
            if !seen.contains(&step.activity) {
                seen.push(step.activity);
            }
        }
        seen
    }

    /// The steps that have a provider do something, each with the provider's name in the configuration.
    pub fn providers(&self) -> impl Iterator<Item = (&Step, &str)> {
        let steps = self.steps.iter().filter(|step| step.activity == Activity::Provider);
        steps.filter_map(|step| Some((step, step.with.get("provider")?.as_str()?)))
    }

    /// What is wrong with the parameters given; empty when they can be run. Keys it does not know are allowed.
    #[must_use]
    pub fn check_parameters(&self, given: &Map<String, Value>) -> Vec<FieldFault> {
        self.parameters.iter().filter_map(|(name, parameter)| parameter.fault_of(name, given.get(name))).collect()
    }

    /// The value of a parameter: the one given, or its default.
    fn value_of<'a>(&'a self, parameter: &str, given: &'a Map<String, Value>) -> Option<&'a Value> {
        let declared = || self.parameters.get(parameter).and_then(|parameter| parameter.default.as_ref());
        given.get(parameter).filter(|value| !value.is_null()).or_else(declared)
    }

    /// The settings of `step` with its placeholders filled in from the parameters given (or their defaults) and the
    /// results of earlier steps. A setting whose placeholder has no value is left out: the activity's default holds.
    pub(crate) fn fill<'a>(
        &'a self,
        step: &Step,
        given: &'a Map<String, Value>,
        result_of: impl Fn(&str) -> Option<&'a Value>,
    ) -> Map<String, Value> {
        let parameter = |key: &str| self.value_of(key, given);
        let result = |step: &str, key: &str| result_of(step).and_then(|result| result.get(key));
        placeholder::fill(&step.with, &Values { parameter: &parameter, result: &result })
    }

    /// How `step` waits for room when it runs for `user`; `None` when there is no more to say than its lane.
    pub(crate) fn turn<'a>(
        &'a self,
        step: &Step,
        given: &'a Map<String, Value>,
        result_of: impl Fn(&str) -> Option<&'a Value>,
        user: &str,
    ) -> Option<Turn> {
        if step.concurrency.is_none() && self.priority == Priority::Normal {
            return None;
        }
        let parameter = |key: &str| self.value_of(key, given);
        let result = |step: &str, key: &str| result_of(step).and_then(|result| result.get(key));
        let permit = step.concurrency.as_ref().map(|Concurrency { key, limit }| {
            let key = placeholder::fill_key(key, &Values { parameter: &parameter, result: &result }, user);
            let key = if key.len() > KEY_BYTES_MAX { format!("sha256:{}", hex_digest(&key)) } else { key };
            Permit { key: key.into(), limit: *limit }
        });
        Some(Turn { permit, group: user.into(), priority: self.priority })
    }

    /// The steps that a request does not need.
    pub(crate) fn skipped<'a>(&'a self, given: &'a Map<String, Value>) -> impl Iterator<Item = &'a Step> {
        let fails = |when: &When| !when.holds(self.value_of(&when.parameter, given));
        self.steps.iter().filter(move |step| step.when.as_ref().is_some_and(fails))
    }

    /// The steps that can start: those not `begun` whose needs are all `over`, be it done or skipped.
    pub(crate) fn ready<'a>(&'a self, over: &BTreeSet<&str>, begun: &BTreeSet<&str>) -> Vec<&'a Step> {
        let may = |step: &&Step| {
            !begun.contains(step.name.as_str()) && step.needs.iter().all(|need| over.contains(need.as_str()))
        };
        self.steps.iter().filter(may).collect()
    }
}

/// SHA-256 of a text in hexadecimal digits.
pub(super) fn hex_digest(text: &str) -> String {
    hex::encode(Sha256::digest(text))
}
