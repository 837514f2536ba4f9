//! A task as others see it.

use std::collections::BTreeMap;

use super::{State, Status, StepState};
use crate::domain::workflow::Definition;

/// Shown while work is left, at most: a bar that stands at 100 says that the result is there.
const PERCENT_UNFINISHED_MAX: u8 = 99;

/// The status by its documented name: a cancelled task shows as failed.
#[must_use]
pub const fn documented_status(status: Status) -> &'static str {
    match status {
        Status::Pending => "pending",
        Status::Running => "running",
        Status::Completed => "completed",
        Status::Failed | Status::Cancelled => "failed",
    }
}

/// How much of the steps that the task needs is done, from 0 to 100; 100 only when it is completed. A failed or cancelled task stays where
/// it was.
///
/// `definition` is the one the task is pinned to; `live` says how much of a running step is done, from 0 to 1, for the
/// steps that told.
#[must_use]
pub fn progress(state: &State, definition: &Definition, live: &BTreeMap<String, f64>) -> u8 {
    if state.status == Status::Completed {
        return 100;
    }
    let mut done = 0.0;
    let mut whole = 0.0;
    let is_needed = |name: &str| state.steps.get(name) != Some(&StepState::Skipped);
    for step in definition.steps().iter().filter(|step| is_needed(&step.name)) {
        let weight = f64::from(step.weight);
        whole += weight;
        done += weight
            * match state.steps.get(&step.name) {
                Some(StepState::Done { .. }) => 1.0,
                Some(StepState::Started { job, .. }) => {
                    let told = job.as_ref().and_then(|job| job.percent).map(|percent| f64::from(percent) / 100.0);
                    live.get(&step.name).copied().or(told).map_or(0.0, fraction)
                }
                Some(StepState::Resting { .. } | StepState::Skipped | StepState::Failed | StepState::Stopped)
                | None => 0.0,
            };
    }
    let percent = if whole > 0.0 { done / whole * 100.0 } else { 0.0 };
    // The value lies between 0 and 100; what is behind the point is not shown.
    (percent as u8).min(PERCENT_UNFINISHED_MAX)
}

/// A fraction from 0 to 1, whatever an activity told; not a number counts as nothing.
fn fraction(told: f64) -> f64 {
    if told.is_nan() { 0.0 } else { told.clamp(0.0, 1.0) }
}
