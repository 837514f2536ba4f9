//! What operators see and do.

use mixvideo::domain::ids::TaskId;
use mixvideo::domain::task;
use reqwest::Method;
use serde_json::{Value, json};

use crate::server::{Server, now, send, served};

/// A task whose only step was set aside while it runs; the id of what was set aside, and what lets the step end.
async fn set_aside(server: &Server, id: &str) -> (String, std::sync::Arc<tokio::sync::Semaphore>) {
    let held = server.hold(id, 0.5);
    server.make(id, "noop", "pending").await;
    let address = task::address(&TaskId::parse(id).unwrap());
    let outstanding = server.engine.journal().outstanding(&address, 10).await.unwrap();
    let effect = outstanding[0].id.clone();
    assert!(server.engine.journal().quarantine(&effect, "it killed the process", None, now()).await.unwrap());
    (effect.to_string(), held)
}

#[test]
fn actors_are_listed_by_kind_and_state_page_by_page() {
    served(async |server| {
        for id in ["a", "b", "c"] {
            server.make(id, "noop", "completed").await;
        }
        let _held = server.hold("d", 0.1);
        server.make("d", "noop", "pending").await;
        let get = async |query: &str| {
            let answer = server.get_as(&server.operator, &format!("/ops/actors?{query}")).await;
            answer.data().clone()
        };
        let ids = |page: &Value| -> Vec<String> {
            page["actors"].as_array().unwrap().iter().map(|actor| actor["id"].as_str().unwrap().to_owned()).collect()
        };
        let first = get("kind=task&limit=3").await;
        assert_eq!(ids(&first), ["task/d", "task/c", "task/b"]);
        let second = get(&format!("kind=task&limit=3&cursor={}", first["nextCursor"].as_str().unwrap())).await;
        assert_eq!((ids(&second), &second["nextCursor"]), (vec!["task/a".to_owned()], &Value::Null));
        assert_eq!(ids(&get("status=pending").await), ["task/d"]);
        assert_eq!(ids(&get("kind=input").await), Vec::<String>::new());
        assert_eq!(first["total"], 4);
    });
}

#[test]
fn an_actor_is_shown_with_its_history_under_every_spelling_of_its_id() {
    served(async |server| {
        server.make("a-1", "noop", "completed").await;
        let _held = server.hold("b-1", 0.1);
        server.make("b-1", "noop", "pending").await;
        for id in ["task/a-1", "task%2Fa-1", "a-1"] {
            let actor = server.get_as(&server.operator, &format!("/ops/actors/{id}")).await;
            let data = actor.data();
            assert_eq!((&data["id"], &data["status"]), (&json!("task/a-1"), &json!("completed")), "{id}");
            let verdicts: Vec<&Value> =
                data["history"].as_array().unwrap().iter().map(|past| &past["verdict"]).collect();
            assert_eq!(verdicts, ["applied", "applied"]);
            assert_eq!(data["outstanding"], json!([]));
        }
        let running = server.get_as(&server.operator, "/ops/actors/b-1").await;
        assert_eq!(running.data()["outstanding"][0]["id"], "task/b-1:1:0");
        server.post("/task/b-1/cancel", json!({})).await.data();
        let inputs = server.get_as(&server.operator, "/ops/actors?kind=input").await;
        let input = inputs.data()["actors"][0]["id"].as_str().unwrap().strip_prefix("input/").unwrap().to_owned();
        let shown = server.get_as(&server.operator, &format!("/ops/actors/{input}")).await;
        assert_eq!(shown.data()["state"]["concerns"], "task/b-1");
        for id in ["nobody", "cat/x", "task/", "task/nobody"] {
            assert_eq!(server.get_as(&server.operator, &format!("/ops/actors/{id}")).await.status, 404, "{id}");
        }
    });
}

#[test]
fn what_was_set_aside_is_seen_by_operators_and_as_attention_by_its_customer() {
    served(async |server| {
        let (effect, held) = set_aside(&server, "a").await;
        let shown = server.until("/task/a", |data| data["attention"] == true).await;
        assert_eq!(shown["status"], "running");
        let list = server.get_as(&server.operator, "/ops/dead").await;
        let dead = &list.data()["dead"][0];
        assert_eq!((&dead["id"], &dead["reason"]), (&json!(effect), &json!("it killed the process")));
        assert_eq!((&list.data()["total"], &list.data()["nextCursor"]), (&json!(1), &Value::Null));
        for id in [effect.clone(), effect.replace('/', "%2F").replace(':', "%3A")] {
            let one = server.get_as(&server.operator, &format!("/ops/dead/{id}")).await;
            assert_eq!(one.data()["body"]["task"], "a", "{id}");
        }
        assert_eq!(server.get_as(&server.operator, "/ops/dead/none").await.status, 404);
        held.add_permits(1);
    });
}

#[test]
fn a_replayed_message_does_its_work_and_is_dead_no_more() {
    served(async |server| {
        let (effect, held) = set_aside(&server, "a").await;
        let id = effect.replace('/', "%2F").replace(':', "%3A");
        let replay = format!("/ops/dead/{id}/replay");
        let done = server.post_as(&server.operator, &replay, json!({})).await;
        assert_eq!(done.data(), &json!({ "id": effect, "status": "replayed" }));
        assert_eq!(server.post_as(&server.operator, &replay, json!({})).await.status, 404);
        held.add_permits(2);
        let shown = server.until("/task/a", |data| data["status"] == "completed").await;
        assert!(shown.get("attention").is_none());
        assert_eq!(server.get_as(&server.operator, "/ops/dead").await.data()["total"], 0);
    });
}

#[test]
fn a_dropped_message_is_gone() {
    served(async |server| {
        let (effect, held) = set_aside(&server, "a").await;
        let done = server.post_as(&server.operator, &format!("/ops/dead/{effect}/drop"), json!({})).await;
        assert_eq!(done.data()["status"], "dropped");
        assert_eq!(server.post_as(&server.operator, &format!("/ops/dead/{effect}/drop"), json!({})).await.status, 404);
        assert_eq!(server.get_as(&server.operator, &format!("/ops/dead/{effect}")).await.status, 404);
        held.add_permits(1);
    });
}

#[test]
fn health_is_open_to_all_and_says_what_is_going_on() {
    served(async |server| {
        server.make("a", "noop", "completed").await;
        let healthy = send(server.bare(Method::GET, "/health")).await;
        let data = healthy.data();
        assert_eq!((data["status"].as_str(), healthy.message()), (Some("ok"), "Service is healthy"), "{data}");
        assert!(data["summary"].as_str().unwrap().starts_with("All is well"), "{data}");
        assert_eq!(data["actors"]["task"]["completed"], 1);
        assert_eq!((&data["quarantined"], &data["restarts"]), (&json!(0), &json!(0)));
        assert!(data["commits"]["commits"].as_u64().unwrap() >= 2);
        assert!(data["commits"]["latencyMsP99"].as_f64().unwrap() > 0.0);
        assert_eq!(healthy.header("cache-control"), "no-store");
        let (_, held) = set_aside(&server, "b").await;
        let worried = server.until("/health", |data| data["status"] == "attention").await;
        assert!(worried["summary"].as_str().unwrap().contains("1 message was set aside"), "{worried}");
        held.add_permits(1);
    });
}

#[test]
fn probes_answer_and_a_draining_server_is_not_ready() {
    served(async |server| {
        assert_eq!(send(server.bare(Method::GET, "/health/live")).await.status, 200);
        let begun = std::time::Instant::now();
        while send(server.bare(Method::GET, "/health/ready")).await.status != 200 {
            assert!(begun.elapsed().as_secs() < 10, "never ready");
            tokio::task::yield_now().await;
        }
        server.engine.drain(std::time::Duration::from_secs(5)).await;
        let ending = send(server.bare(Method::GET, "/health/ready")).await;
        assert_eq!((ending.status.as_u16(), ending.header("retry-after")), (503, "1"));
        let refused = server.post("/task", json!({ "type": "video_generation", "templateCode": "noop" })).await;
        assert_eq!((refused.status.as_u16(), refused.header("retry-after")), (503, "1"));
    });
}

#[test]
fn metrics_are_in_prometheus_own_words() {
    served(async |server| {
        server.make("a", "noop", "completed").await;
        let page = server.get_as(&server.operator, "/metrics").await;
        assert!(page.header("content-type").starts_with("text/plain; version=0.0.4"));
        let text = page.body.as_str().unwrap();
        for line in ["mixvideo_up 1", "mixvideo_actors{kind=\"task\",status=\"completed\"} 1", "mixvideo_quarantined 0"]
        {
            assert!(text.lines().any(|found| found == line), "{line} is missing in\n{text}");
        }
    });
}
