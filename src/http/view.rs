//! A task as clients see it.

use std::collections::BTreeMap;

use serde::Serialize;
use utoipa::ToSchema;

use super::State;
use super::caller::Caller;
use super::envelope::rfc3339;
use super::error::Error;
use crate::activity::signed_url;
use crate::domain::ids::TaskId;
use crate::domain::task::{self, StepState};
use crate::domain::{Address, EffectNo, Timestamp};
use crate::runtime::watch::Watcher;
use crate::store::tasks::Known;

/// Links that are made within the same hour are the same, so that a poll changes nothing for a cache.
const LINK_STEP_MS: i64 = 60 * 60 * 1_000;

/// The result of a task: links that end by themselves.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub struct TaskResult {
    /// The video.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false, example = "https://example.com/output.mp4")]
    video_url: Option<String>,
    /// The picture.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false)]
    image_url: Option<String>,
}

/// Why a task failed.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, ToSchema)]
pub struct TaskError {
    /// A stable code in snake case; `cancelled` for a task that was cancelled.
    code: String,
    /// A sentence for its customer.
    message: String,
}

/// A task.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub struct TaskView {
    /// Its id.
    #[schema(example = "task_123")]
    pub id: String,
    /// `pending`, `running`, `completed` or `failed`; cancelled shows as failed.
    #[schema(example = "completed")]
    pub status: &'static str,
    /// From 0 to 100; 100 only when completed.
    #[schema(maximum = 100)]
    pub progress: u8,
    /// What it made; null until it is completed.
    pub result: Option<TaskResult>,
    /// When it was accepted.
    pub created_at: String,
    /// When it ended; null until then.
    pub completed_at: Option<String>,
    /// Why it failed.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false)]
    pub error: Option<TaskError>,
    /// Something of it waits for an operator.
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    pub attention: bool,
}

/// A task as its execution.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub struct ExecutionView {
    /// The task.
    #[schema(example = "task_123")]
    pub task_id: String,
    /// The execution: derived from the task.
    #[schema(example = "exec_123")]
    pub execution_id: String,
    /// As the task's.
    pub status: &'static str,
    /// As the task's.
    #[schema(maximum = 100)]
    pub progress: u8,
    /// As the task's.
    pub result: Option<TaskResult>,
    /// Why it failed.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false)]
    pub error: Option<TaskError>,
    /// Something of it waits for an operator.
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    pub attention: bool,
}

impl ExecutionView {
    /// The execution of a task.
    #[must_use]
    pub fn of(known: &Known, task: TaskView) -> Self {
        let TaskView { id, status, progress, result, error, attention, .. } = task;
        let execution_id = known.state.execution_id().to_string();
        Self { task_id: id, execution_id, status, progress, result, error, attention }
    }
}

/// The task of that id that `caller` may see.
///
/// # Errors
/// [`Error::NotFound`] when there is none, or it belongs to another: nobody learns which.
pub async fn find(state: &State, caller: &Caller, id: &str) -> Result<std::sync::Arc<Known>, Error> {
    let not_found = || Error::NotFound(format!("there is no task `{}`", id.chars().take(64).collect::<String>()));
    let parsed = TaskId::parse(id).map_err(|_| not_found())?;
    let known = state.tasks.read(&parsed, state.now()).await?;
    let theirs = |request: &task::Request| caller.may_touch_of(&request.owner, request.user_id.as_deref());
    known.filter(|known| theirs(&known.state.request)).ok_or_else(not_found)
}

/// A task that was seen before, once there may be news of it: an end that was committed on this node came with them.
///
/// # Errors
/// As [`find`].
pub async fn find_again(
    state: &State,
    caller: &Caller,
    id: &TaskId,
    news: &Watcher,
) -> Result<std::sync::Arc<Known>, Error> {
    if let Some(committed) = news.committed() {
        state.tasks.learn(&committed, state.now())?;
    }
    find(state, caller, id.as_str()).await
}

/// The task as clients see it now.
pub async fn show(state: &State, known: &Known) -> TaskView {
    let task = &known.state;
    let live = if task.status.is_final() { BTreeMap::new() } else { live(state, task).await };
    let progress =
        state.library.by_digest(&task.workflow.digest).map_or(0, |definition| task::progress(task, definition, &live));
    let attention = known.attention && !task.status.is_final();
    TaskView {
        id: task.id.to_string(),
        status: if attention { "running" } else { task::documented_status(task.status) },
        progress,
        result: task.result.as_ref().and_then(|result| links(state, result)),
        created_at: rfc3339(task.created_at),
        completed_at: task.completed_at.map(rfc3339),
        error: task
            .failure
            .as_ref()
            .map(|failure| TaskError { code: failure.code.clone(), message: failure.message.clone() }),
        attention,
    }
}

/// How much of each running step is done.
async fn live(state: &State, task: &task::State) -> BTreeMap<String, f64> {
    if !task.steps.values().any(|step| matches!(step, StepState::Started { .. })) {
        return BTreeMap::new();
    }
    let told: BTreeMap<EffectNo, f32> = state.engine.progress(&address(task)).await;
    let steps = task.steps.iter().filter_map(|(name, step)| match step {
        StepState::Started { effect, .. } => told.get(effect).map(|fraction| (name.clone(), f64::from(*fraction))),
        StepState::Resting { .. }
        | StepState::Skipped
        | StepState::Done { .. }
        | StepState::Failed
        | StepState::Stopped => None,
    });
    steps.collect()
}

fn address(task: &task::State) -> Address {
    task::address(&task.id)
}

/// Links to what a step stored, `{ "kind", "file" }`, or to what each of several stored.
fn links(state: &State, result: &serde_json::Value) -> Option<TaskResult> {
    let results = result.as_array().map_or(std::slice::from_ref(result), Vec::as_slice);
    let mut shown = TaskResult { video_url: None, image_url: None };
    for result in results {
        let Some(file) = result["file"].as_str() else { continue };
        let path = signed_url::sign(&state.link_secret, file, link_end(state.now(), state.link_ms));
        let link = format!("{}{path}", state.public_url.trim_end_matches('/'));
        match result["kind"].as_str() {
            Some("video") => shown.video_url = Some(link),
            Some("image") => shown.image_url = Some(link),
            _ => {}
        }
    }
    (shown.video_url.is_some() || shown.image_url.is_some()).then_some(shown)
}

/// When a link made now ends: not before `link_ms` have passed.
fn link_end(now: Timestamp, link_ms: i64) -> Timestamp {
    Timestamp((now.0.div_euclid(LINK_STEP_MS) + 1) * LINK_STEP_MS).plus_ms(link_ms)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_link_lasts_as_long_as_promised_and_stays_the_same_within_the_hour() {
        let hour = LINK_STEP_MS;
        assert_eq!(link_end(Timestamp(0), 10), Timestamp(hour + 10));
        assert_eq!(link_end(Timestamp(hour - 1), 10), Timestamp(hour + 10));
        assert_eq!(link_end(Timestamp(hour), 10), Timestamp(2 * hour + 10));
    }
}
