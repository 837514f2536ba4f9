//! Every workflow definition: what it does, what it needs, and whether it can run here.

use std::collections::BTreeMap;
use std::path::Path;

use serde::Serialize;

use super::Check;
use crate::activity::here;
use crate::app::definitions;
use crate::cli::error::with_causes;
use crate::config::Provider;
use crate::domain::workflow::{Definition, Need};

/// Digits of a digest that are shown: enough to tell definitions apart.
const DIGEST_SHOWN: usize = 12;

/// What this machine has.
pub(super) struct Here<'a> {
    pub(super) worker_works: bool,
    pub(super) providers: &'a BTreeMap<String, Provider>,
}

/// A definition that is in use.
#[derive(Debug, Serialize)]
pub(super) struct Workflow {
    name: String,
    file: String,
    digest: String,
    priority: &'static str,
    steps: Vec<StepShown>,
    needs: Vec<String>,
    /// What it needs and this machine does not have.
    lacks: Vec<String>,
    runs: bool,
    /// Something is broken, rather than not configured.
    #[serde(skip)]
    broken: bool,
}

#[derive(Debug, Serialize)]
struct StepShown {
    name: String,
    activity: &'static str,
    needs: Vec<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    when: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    concurrency: Option<String>,
}

impl Workflow {
    fn of(file: String, definition: &Definition, here: &Here<'_>) -> Self {
        let lacks = here::lacks(definition, |name| here.providers.contains_key(name));
        let mut lacks: Vec<String> = lacks.iter().map(Need::to_string).collect();
        let broken = !here.worker_works && definition.needs().contains(&Need::Worker);
        lacks.extend(broken.then(|| "a worker that works".to_owned()));
        Self {
            name: definition.name().to_owned(),
            file,
            digest: definition.digest().to_owned(),
            priority: definition.priority().into(),
            steps: definition.steps().iter().map(StepShown::of).collect(),
            needs: definition.needs().iter().map(Need::to_string).collect(),
            runs: lacks.is_empty(),
            lacks,
            broken,
        }
    }

    fn check(&self) -> Check {
        let digest: String = self.digest.chars().take(DIGEST_SHOWN).collect();
        let steps: Vec<String> = self.steps.iter().map(StepShown::in_words).collect();
        let about = format!(
            "{} ({digest}, {}): {}; it needs {}",
            self.name,
            self.file,
            steps.join(", "),
            self.needs.join(", ")
        );
        let cannot = || format!("{about}; it cannot run here: there is not {}", self.lacks.join(", "));
        let found = match (self.runs, self.broken) {
            (true, _) => Ok(format!("{about}; it can run here")),
            // Nobody has to have every provider.
            (false, false) => Ok(cannot()),
            (false, true) => Err(cannot()),
        };
        Check::of("workflow", found)
    }
}

impl StepShown {
    fn of(step: &crate::domain::workflow::Step) -> Self {
        Self {
            name: step.name.clone(),
            activity: step.activity.into(),
            needs: step.needs.clone(),
            when: step.when.as_ref().map(|when| format!("{} = {}", when.parameter, when.is)),
            concurrency: step.concurrency.as_ref().map(|of| format!("{} at once for {}", of.limit, of.key)),
        }
    }

    fn in_words(&self) -> String {
        let after = if self.needs.is_empty() { String::new() } else { format!(" after {}", self.needs.join(" and ")) };
        let when = self.when.iter().map(|when| format!(" when {when}"));
        let concurrency = self.concurrency.iter().map(|at_once| format!(" ({at_once})"));
        let more: String = when.chain(concurrency).collect();
        format!("{}{after}{more}", self.name)
    }
}

/// The definitions in use, and what is wrong with any file.
pub(super) fn look(directory: &Path, here: &Here<'_>) -> (Vec<Workflow>, Vec<Check>) {
    let mut workflows = Vec::new();
    let mut faults = Vec::new();
    match definitions::found(directory) {
        Err(error) => faults.push(with_causes(&error)),
        Ok(found) => {
            for (file, parsed) in found {
                match parsed {
                    Ok(definition) => workflows.push(Workflow::of(file, &definition, here)),
                    Err(invalid) => faults.push(invalid.to_string()),
                }
            }
        }
    }
    let wrong = faults.into_iter().map(|fault| Check::of("workflow", Err(fault)));
    let checks = workflows.iter().map(Workflow::check).chain(wrong).collect();
    (workflows, checks)
}
