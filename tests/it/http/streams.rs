//! A task's progress as server-sent events.

use std::time::Duration;

use futures_util::StreamExt as _;
use reqwest::Method;
use serde_json::Value;

use crate::server::{Server, served};

/// One event.
#[derive(Debug, PartialEq)]
struct Event {
    id: String,
    name: String,
    data: Value,
}

fn parse(block: &str) -> Option<Event> {
    let field = |name: &str| block.lines().find_map(|line| line.strip_prefix(name)).map(str::to_owned);
    let data = serde_json::from_str(&field("data: ")?).unwrap();
    Some(Event { id: field("id: ")?, name: field("event: ")?, data })
}

/// Reads a stream to its end, calling `seen` after each event.
async fn read(server: &Server, path: &str, last: Option<&str>, mut seen: impl FnMut(&Event)) -> Vec<Event> {
    let mut request = server.request(Method::GET, path);
    if let Some(last) = last {
        request = request.header("Last-Event-ID", last);
    }
    let response = request.send().await.unwrap();
    assert_eq!(response.status(), 200);
    assert_eq!(response.headers()["content-type"], "text/event-stream");
    assert_eq!(response.headers()["cache-control"], "no-store");
    let (mut text, mut events) = (String::new(), Vec::new());
    let mut pieces = response.bytes_stream();
    let all = async {
        while let Some(piece) = pieces.next().await {
            text.push_str(std::str::from_utf8(&piece.unwrap()).unwrap());
            while let Some(end) = text.find("\n\n") {
                let block: String = text.drain(..end + 2).collect();
                if let Some(event) = parse(&block) {
                    seen(&event);
                    events.push(event);
                }
            }
        }
    };
    tokio::time::timeout(Duration::from_secs(20), all).await.unwrap_or_else(|_| panic!("{path} never ended"));
    events
}

#[test]
fn a_stream_tells_the_progress_and_ends_with_the_task() {
    served(async |server| {
        let held = server.hold("a", 0.5);
        server.make("a", "film", "pending").await;
        let events = read(&server, "/task/a/events", None, |_| held.add_permits(1)).await;
        let last = events.last().unwrap();
        assert_eq!((last.name.as_str(), &last.data["status"]), ("completed", &Value::from("completed")));
        assert!(events.len() >= 2, "{events:?}");
        assert!(events[..events.len() - 1].iter().all(|event| event.name == "progress"));
        let progress: Vec<u64> = events.iter().map(|event| event.data["progress"].as_u64().unwrap()).collect();
        assert!(progress.is_sorted(), "{progress:?}");
        let ids: std::collections::BTreeSet<&str> = events.iter().map(|event| event.id.as_str()).collect();
        assert_eq!(ids.len(), events.len(), "an id came twice");
    });
}

#[test]
fn who_comes_back_hears_only_what_is_new() {
    served(async |server| {
        let held = server.hold("a", 0.5);
        server.make("a", "noop", "pending").await;
        let shown = server.until("/task/a", |data| data["progress"] == 50).await;
        assert_eq!(shown["status"], "pending");
        let (events, ()) = tokio::join!(read(&server, "/task/a/events", Some("1-50"), |_| {}), async {
            server.until_watched().await;
            held.add_permits(1);
        });
        assert!(events.iter().all(|event| event.id != "1-50"), "{events:?}");
        assert_eq!(events.last().unwrap().name, "completed");
        let over = server.request(Method::GET, "/task/a/events").header("Last-Event-ID", &events.last().unwrap().id);
        assert_eq!(over.send().await.unwrap().status(), 204);
    });
}

#[test]
fn a_stream_of_a_task_that_has_ended_tells_its_end_at_once() {
    served(async |server| {
        server.fail("a");
        server.make("a", "noop", "failed").await;
        let events = read(&server, "/task/a/events", None, |_| {}).await;
        assert_eq!(events.len(), 1);
        assert_eq!((events[0].name.as_str(), &events[0].data["error"]["code"]), ("failed", &"picture_damaged".into()));
    });
}

#[test]
fn a_stream_asked_for_its_head_alone_is_not_to_be_stored_either() {
    served(async |server| {
        let held = server.hold("a", 0.5);
        server.make("a", "noop", "pending").await;
        let head = crate::server::send(server.request(Method::HEAD, "/task/a/events")).await;
        assert_eq!((head.status.as_u16(), head.header("content-type")), (200, "text/event-stream"));
        assert_eq!(head.header("cache-control"), "no-store");
        held.add_permits(1);
    });
}
