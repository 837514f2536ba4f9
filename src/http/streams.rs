//! `GET /task/{taskId}/events`: a task's progress as server-sent events.
//!
//! An event's id is the version and the progress it shows, so a client that comes back with `Last-Event-ID` hears only
//! what is new to it. The stream ends after the event that ends the task.

use std::sync::Arc;
use std::time::{Duration, Instant};

use actix_web::http::{Method, header};
use actix_web::web::{Data, Path};
use actix_web::{HttpRequest, HttpResponse};
use bytes::Bytes;
use futures_util::stream;
use tokio::sync::{OwnedSemaphorePermit, Semaphore};

use super::caller::Caller;
use super::error::Error;
use super::view::{TaskView, find, find_again, show};
use super::{State, openapi};
use crate::domain::task;
use crate::runtime::watch::Watcher;
use crate::store::tasks::Known;

/// Streams that are open at the same time, at most.
pub const STREAMS_MAX: usize = 2_000;
/// A stream that has nothing to tell says so this often.
const HEARTBEAT: Duration = Duration::from_secs(15);
/// Events of one stream are at least this far apart.
const PACE: Duration = Duration::from_millis(100);
/// How often a stream looks for itself, in case news got lost.
const SLOW_POLL: Duration = Duration::from_secs(1);
/// A stream ends after this long; its client comes back with the last id.
const LIFE: Duration = Duration::from_secs(60 * 60);
const EVENTS: &str = "text/event-stream";
/// What a client waits before it comes back, in milliseconds.
const COME_BACK: &str = "retry: 2000\n\n";

/// Room for streams.
#[derive(Clone, Debug)]
pub struct Room(Arc<Semaphore>);

impl Default for Room {
    fn default() -> Self {
        Self(Arc::new(Semaphore::new(STREAMS_MAX)))
    }
}

struct Telling {
    state: Data<State>,
    caller: Caller,
    seen: Arc<Known>,
    news: Watcher,
    /// The id of the last event that the client has.
    told: String,
    last_word: Instant,
    begun: Instant,
    opened: bool,
    over: bool,
    _place: OwnedSemaphorePermit,
}

/// A task's progress as server-sent events: `progress` until `completed` or `failed`, which is the last.
#[utoipa::path(get, path = "/task/{taskId}/events", tag = "task",
    params(("taskId" = String, Path), ("Last-Event-ID" = Option<String>, Header, description = "The last event seen")),
    responses((status = 200, description = "Events whose data is the task", content_type = "text/event-stream", body = TaskView),
        (status = 204, description = "The client has seen the last event"), openapi::Reading))]
pub(super) async fn events(
    request: HttpRequest,
    path: Path<String>,
    state: Data<State>,
    caller: Caller,
) -> Result<HttpResponse, Error> {
    let seen = find(&state, &caller, &path).await?;
    let told = last_event_id(&request);
    if seen.state.status.is_final() && told == event_id(seen.version, show(&state, &seen).await.progress) {
        // This is how an EventSource is told not to come back.
        return Ok(HttpResponse::NoContent().insert_header((header::CACHE_CONTROL, "no-store")).finish());
    }
    if request.method() == Method::HEAD {
        let head = HttpResponse::Ok().insert_header((header::CACHE_CONTROL, "no-store")).content_type(EVENTS).finish();
        return Ok(head);
    }
    let place = state.streams.0.clone().try_acquire_owned().map_err(|_| {
        Error::unavailable(format!("{STREAMS_MAX} streams are open already (STREAMS_MAX); poll the task instead"), 5)
    })?;
    let news = state.engine.watch(&task::address(&seen.state.id));
    let news = news.map_err(|full| Error::unavailable(full.to_string(), 5))?;
    let now = Instant::now();
    let opened = state.engine.is_open();
    let telling =
        Telling { state, caller, seen, news, told, last_word: now, begun: now, opened, over: false, _place: place };
    let opening = stream::once(async { Ok::<_, Error>(Bytes::from_static(COME_BACK.as_bytes())) });
    let events = stream::unfold(telling, |telling| async { telling.next().await });
    Ok(HttpResponse::Ok()
        .content_type(EVENTS)
        .insert_header((header::CACHE_CONTROL, "no-store"))
        .insert_header(("x-accel-buffering", "no"))
        .streaming(stream::StreamExt::chain(opening, events)))
}

fn last_event_id(request: &HttpRequest) -> String {
    let line = request.headers().get("last-event-id").and_then(|line| line.to_str().ok());
    line.unwrap_or_default().to_owned()
}

fn event_id(version: u64, progress: u8) -> String {
    format!("{version}-{progress}")
}

/// The event that shows a task.
fn event(id: &str, view: &TaskView) -> String {
    let name = match view.status {
        "pending" | "running" => "progress",
        ended => ended,
    };
    let data = serde_json::to_string(view).expect("a task's view has text keys only");
    format!("id: {id}\nevent: {name}\ndata: {data}\n\n")
}

impl Telling {
    /// The next thing to say; `None` ends the stream.
    async fn next(mut self) -> Option<(Result<Bytes, Error>, Self)> {
        loop {
            let ending = self.opened && !self.state.engine.is_open();
            if self.over || ending || self.begun.elapsed() > LIFE {
                return None;
            }
            let view = show(&self.state, &self.seen).await;
            let id = event_id(self.seen.version, view.progress);
            if id != self.told {
                self.told.clone_from(&id);
                self.over = self.seen.state.status.is_final();
                return Some(self.say(event(&id, &view)));
            }
            if self.last_word.elapsed() >= HEARTBEAT {
                return Some(self.say(": still here\n\n".to_owned()));
            }
            tokio::time::sleep(PACE).await;
            // Whether news came or not, the row is read next.
            let _ = tokio::time::timeout(SLOW_POLL, self.news.changed()).await;
            match find_again(&self.state, &self.caller, &self.seen.state.id, &self.news).await {
                Ok(known) => self.seen = known,
                // The client comes back with the last id it saw.
                Err(error) => {
                    tracing::warn!(error = &error as &dyn std::error::Error, "a stream could not go on");
                    return None;
                }
            }
        }
    }

    fn say(mut self, text: String) -> (Result<Bytes, Error>, Self) {
        self.last_word = Instant::now();
        (Ok(Bytes::from(text)), self)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn view(status: &'static str) -> TaskView {
        TaskView {
            id: "task_1".into(),
            status,
            progress: 7,
            result: None,
            created_at: "2024-01-01T00:00:00.000Z".into(),
            completed_at: None,
            error: None,
            attention: false,
        }
    }

    #[test]
    fn an_event_is_named_by_how_far_the_task_is() {
        for (status, name) in
            [("pending", "progress"), ("running", "progress"), ("completed", "completed"), ("failed", "failed")]
        {
            let text = event(&event_id(3, 7), &view(status));
            assert!(text.starts_with(&format!("id: 3-7\nevent: {name}\ndata: {{\"id\":\"task_1\"")), "{text}");
            assert!(text.ends_with("}\n\n"));
            assert_eq!(text.lines().count(), 4);
        }
    }
}
