//! `/task`: making, reading and cancelling tasks.

use std::time::{Duration, Instant};

use actix_web::http::StatusCode;
use actix_web::web::{self, Data, Path, ServiceConfig};
use actix_web::{HttpRequest, HttpResponse};
use serde::Serialize;
use serde_json::{Map, Value};
use utoipa::ToSchema;

use super::asking::{self, SLOW_POLL, wait_for};
use super::body::{self, Body, Fields};
use super::caller::Caller;
use super::envelope::Reply;
use super::error::Error;
use super::front::Door;
use super::guard::{get_and_head, resource};
use super::query::Query;
use super::view::{TaskView, find, find_again, show};
use super::wish::{Desk, USER_CHARS_MAX, Wish};
use super::{State, openapi, streams};
use crate::domain::ids::{InputId, TaskId};
use crate::domain::task::{self, TaskType};
use crate::runtime::watch::Watcher;
use crate::store::tasks::Known;

/// The longest `?wait=`, in seconds.
const WAIT_S_MAX: u64 = 30;
/// How long a cancel waits for the task's answer.
const CANCEL_LIMIT: Duration = Duration::from_secs(5);
const CODE_CHARS_MAX: usize = 100;
const REASON_CHARS_MAX: usize = 500;
/// What a customer reads when a cancel came without a reason.
const REASON_DEFAULT: &str = "the task was cancelled";
/// What the document says of an accepted task.
const ACCEPTED: &str = "Sent message to the queue";

/// The body of a new task.
#[derive(ToSchema)]
#[schema(rename_all = "camelCase")]
#[expect(dead_code, reason = "it documents what `read_task` reads field by field")]
pub struct NewTask {
    /// What to make: must be what the template makes.
    #[schema(value_type = String, pattern = "^(video_generation|image_generation)$", example = "video_generation")]
    r#type: TaskType,
    /// The template.
    #[schema(example = "photo-to-video")]
    template_code: String,
    /// The customer.
    #[schema(example = "user_123")]
    user_id: Option<String>,
    /// What the template's workflow is told; pictures as data URLs or links.
    #[schema(value_type = Option<Object>, example = json!({ "imageUrl": "https://example.com/input.jpg" }))]
    parameters: Option<Map<String, Value>>,
}

/// The body of a cancel.
#[derive(ToSchema)]
#[expect(dead_code, reason = "it documents what `cancel` reads field by field")]
pub struct CancelTask {
    /// Why, as the customer will read it.
    reason: Option<String>,
}

/// What a cancel did.
#[derive(Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub struct Cancelled {
    /// The task.
    task_id: String,
    /// Whether it is cancelled by now; false only while the task has not answered yet.
    cancelled: bool,
}

/// Adds the routes.
pub(super) fn routes(config: &mut ServiceConfig) {
    config
        .service(resource("/task", |at| at.route(web::post().to(create))))
        .service(resource("/task/{taskId}", |at| at.route(get_and_head().to(read)).route(web::post().to(create_named))))
        .service(resource("/task/{taskId}/events", |at| at.route(get_and_head().to(streams::events))))
        .service(resource("/task/{taskId}/cancel", |at| at.route(web::post().to(cancel))));
}

/// Creates a task.
#[utoipa::path(post, path = "/task", tag = "task", request_body = NewTask, params(openapi::IdempotencyHeader),
    responses((status = 200, description = "The task's id", body = openapi::Success<String>), openapi::Creating))]
pub(super) async fn create(request: HttpRequest, payload: web::Payload, desk: Desk) -> Result<Reply, Error> {
    let body = body::read(&request, payload, body::WITH_PICTURES_MAX).await?;
    let id = TaskId::new((desk.state.fresh)());
    accept(&request, &desk, body, id, false).await
}

/// Creates a task under an id of the caller's; the same id and body again are answered the same.
#[utoipa::path(post, path = "/task/{taskId}", tag = "task", request_body = NewTask,
    params(("taskId" = String, Path, pattern = "^[A-Za-z0-9_-]{1,64}$"), openapi::IdempotencyHeader),
    responses((status = 200, description = "The task's id", body = openapi::Success<String>), openapi::Creating))]
pub(super) async fn create_named(
    request: HttpRequest,
    payload: web::Payload,
    path: Path<String>,
    desk: Desk,
) -> Result<Reply, Error> {
    let body = body::read(&request, payload, body::WITH_PICTURES_MAX).await?;
    let id =
        TaskId::parse(&path).map_err(|_| Error::field("taskId", "must be 1 to 64 letters, digits, `_` and `-`"))?;
    accept(&request, &desk, body, id, true).await
}

async fn accept(request: &HttpRequest, desk: &Desk, body: Body, id: TaskId, id_chosen: bool) -> Result<Reply, Error> {
    let answer = Reply::ok(ACCEPTED, &id)?;
    desk.submit(request, read_task(body, id, id_chosen)?, answer).await
}

fn read_task(body: Body, id: TaskId, id_chosen: bool) -> Result<Wish, Error> {
    let mut fields = Fields::of(&body.object);
    let task_type = fields.required_text("type", CODE_CHARS_MAX).and_then(|name| name.parse::<TaskType>().ok());
    if task_type.is_none() && body.object.get("type").is_some_and(Value::is_string) {
        fields.fault("type", "must be video_generation or image_generation");
    }
    let template_code = fields.required_text("templateCode", CODE_CHARS_MAX);
    let user_id = fields.text("userId", USER_CHARS_MAX);
    let parameters = fields.object("parameters");
    let wish = Wish {
        id,
        id_chosen,
        task_type,
        template_code: template_code.unwrap_or_default().to_owned(),
        user_id: user_id.map(str::to_owned),
        payment: None,
        parameters: parameters.cloned().unwrap_or_default(),
        field_prefix: "parameters.",
        digest: body.digest.clone(),
    };
    fields.finish().map(|()| wish)
}

/// A task. With `wait` the answer comes when the task has changed or ended, or the seconds are over.
#[utoipa::path(get, path = "/task/{taskId}", tag = "task",
    params(("taskId" = String, Path), ("wait" = Option<u64>, Query, maximum = 30, description = "Seconds to wait for a change")),
    responses((status = 200, description = "The task", body = openapi::Success<TaskView>), openapi::Reading))]
pub(super) async fn read(
    request: HttpRequest,
    path: Path<String>,
    state: Data<State>,
    caller: Caller,
) -> Result<Reply, Error> {
    let wait = Query::of(&request)?.whole("wait", 0, WAIT_S_MAX)?.unwrap_or(0);
    // Before the first read, so that no change falls between the two. With too many watchers this caller is told what is
    // known now, and asks again.
    let watched = TaskId::parse(&path).ok().filter(|_| wait > 0);
    let news = watched.and_then(|id| state.engine.watch(&task::address(&id)).ok());
    let mut known = find(&state, &caller, &path).await?;
    if let Some(news) = news {
        known = changed(&state, &caller, known, news, Duration::from_secs(wait)).await?;
    }
    Ok(Reply::ok("Task status retrieved", &show(&state, &known).await)?.no_store())
}

/// The task once its version is another, or as it is when it has ended, when `limit` is over or the service ends. `news` is
/// older than what was seen.
async fn changed(
    state: &State,
    caller: &Caller,
    seen: std::sync::Arc<Known>,
    mut news: Watcher,
    limit: Duration,
) -> Result<std::sync::Arc<Known>, Error> {
    let end = Instant::now() + limit;
    let opened = state.engine.is_open();
    let mut known = seen.clone();
    loop {
        let left = end.saturating_duration_since(Instant::now());
        // A wait that outlasts the drain would be cut off without an answer.
        let ending = opened && !state.engine.is_open();
        if known.version != seen.version || known.state.status.is_final() || left.is_zero() || ending {
            return Ok(known);
        }
        wait_for(&mut news, left.min(SLOW_POLL)).await;
        known = find_again(state, caller, &seen.state.id, &news).await?;
    }
}

/// Cancels a task; cancelling it again changes nothing.
#[utoipa::path(post, path = "/task/{taskId}/cancel", tag = "task", request_body = Option<CancelTask>,
    params(("taskId" = String, Path)),
    responses((status = 200, description = "The task is cancelled", body = openapi::Success<Cancelled>),
        (status = 202, description = "The task has not answered yet", body = openapi::Success<Cancelled>),
        (status = 409, description = "The task has ended already", body = openapi::Failure), openapi::Creating))]
pub(super) async fn cancel(
    request: HttpRequest,
    payload: web::Payload,
    path: Path<String>,
    state: Data<State>,
    door: Data<Door>,
    caller: Caller,
) -> Result<HttpResponse, Error> {
    use actix_web::Responder as _;
    let body = body::read(&request, payload, body::PLAIN_MAX).await?;
    let mut fields = Fields::of(&body.object);
    let reason = fields.text("reason", REASON_CHARS_MAX).unwrap_or(REASON_DEFAULT).to_owned();
    fields.finish()?;
    let known = find(&state, &caller, &path).await?;
    let id = &known.state.id;
    let done = |cancelled| Cancelled { task_id: id.to_string(), cancelled };
    let ended = |status: task::Status| {
        Error::Conflict(format!("the task {id} is {} already and cannot be cancelled", <&str>::from(status)))
    };
    let answer = match known.state.status {
        task::Status::Cancelled => Some(Ok(())),
        status @ (task::Status::Completed | task::Status::Failed) => return Err(ended(status)),
        task::Status::Pending | task::Status::Running => ask_to_cancel(&state, &door, &caller, id, reason).await?,
    };
    let reply = match answer {
        Some(Ok(())) => Reply::ok("Task cancelled", &done(true))?,
        Some(Err(refusal)) => return Err(Error::Conflict(refusal)),
        None => Reply::new(StatusCode::ACCEPTED, "Cancellation is on its way", &done(false))?,
    };
    Ok(reply.no_store().respond_to(&request))
}

/// Writes the wish down as an input and waits for the task's answer: `None` when it takes longer than the limit.
async fn ask_to_cancel(
    state: &State,
    door: &Door,
    caller: &Caller,
    task: &TaskId,
    reason: String,
) -> Result<Option<Result<(), String>>, Error> {
    let id = InputId::new((state.fresh)());
    asking::ask(state, door, id, &task::cancel_through(id, task, reason, caller.owner()), CANCEL_LIMIT).await
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn read(body: Value) -> Result<Wish, Error> {
        let digest = body::digest(&body);
        let Value::Object(object) = body else { panic!("not an object") };
        read_task(Body { object, digest }, TaskId::parse("t").unwrap(), true)
    }

    fn faults(body: Value) -> Vec<String> {
        match read(body) {
            Err(Error::Invalid(faults)) => faults.into_iter().map(|fault| fault.field + " " + &fault.reason).collect(),
            other => panic!("no faults: {}", other.is_ok()),
        }
    }

    #[test]
    fn the_documented_body_is_read() {
        let wish = read(json!({
            "type": "video_generation", "templateCode": "template_001", "userId": "user_123",
            "parameters": { "imageUrl": "https://example.com/input.jpg" }
        }));
        let wish = wish.unwrap_or_else(|error| panic!("{error}"));
        assert_eq!(wish.task_type, Some(TaskType::VideoGeneration));
        assert_eq!((wish.template_code.as_str(), wish.user_id.as_deref()), ("template_001", Some("user_123")));
        assert_eq!(wish.parameters["imageUrl"], "https://example.com/input.jpg");
    }

    #[test]
    fn every_field_of_a_task_is_checked() {
        assert_eq!(faults(json!({})), ["type is required", "templateCode is required"]);
        assert_eq!(
            faults(json!({ "type": "film", "templateCode": "" })),
            ["type must be video_generation or image_generation", "templateCode must have 1 to 100 characters"]
        );
        assert_eq!(
            faults(json!({ "type": 1, "templateCode": [], "userId": {}, "parameters": "x" })),
            [
                "type must be a text",
                "templateCode must be a text",
                "userId must be a text",
                "parameters must be an object"
            ]
        );
    }
}
