//! `Idempotency-Key`, case by case.

use reqwest::Method;
use serde_json::{Value, json};

use crate::server::{Answer, Server, send, served};

fn body() -> Value {
    json!({ "type": "video_generation", "templateCode": "noop" })
}

async fn post(server: &Server, token: &str, path: &str, key: &str, body: &Value) -> Answer {
    send(server.bare(Method::POST, path).bearer_auth(token).header("Idempotency-Key", key).json(body)).await
}

#[test]
fn the_same_key_and_body_are_answered_the_same_and_happen_once() {
    served(async |server| {
        let first = post(&server, &server.client, "/task", "k1", &body()).await;
        assert_eq!((first.status.as_u16(), first.header("idempotent-replayed")), (200, ""));
        for key in ["k1", "\"k1\""] {
            let again = post(&server, &server.client, "/task", key, &body()).await;
            assert_eq!(again.body["data"], first.body["data"]);
            assert_eq!(again.body["message"], first.body["message"]);
            assert_eq!(again.header("idempotent-replayed"), "true");
        }
        let counts = server.engine.journal().counts("task").await.unwrap();
        assert_eq!(counts.values().sum::<u64>(), 1, "{counts:?}");
    });
}

#[test]
fn many_at_once_make_one_task() {
    served(async |server| {
        let body = body();
        let calls = (0..16).map(|_| post(&server, &server.client, "/task", "together", &body));
        let answers = futures_util::future::join_all(calls).await;
        assert!(answers.iter().all(|answer| answer.body["data"] == answers[0].body["data"]), "{answers:?}");
        let counts = server.engine.journal().counts("task").await.unwrap();
        assert_eq!(counts.values().sum::<u64>(), 1);
    });
}

#[test]
fn another_body_under_the_same_key_is_422() {
    served(async |server| {
        post(&server, &server.client, "/task", "k", &body()).await.data();
        let mut other = body();
        other["userId"] = json!("u");
        let refused = post(&server, &server.client, "/task", "k", &other).await;
        assert_eq!((refused.status.as_u16(), refused.header("x-error-code")), (422, "idempotency_key_reused"));
        // The same body in another spelling is the same.
        let spelled = r#"{ "templateCode" : "noop", "type":"video_generation" }"#;
        let request = server.request(Method::POST, "/task").header("Idempotency-Key", "k").body(spelled);
        assert_eq!(send(request).await.header("idempotent-replayed"), "true");
    });
}

#[test]
fn a_key_belongs_to_its_caller_and_its_route() {
    served(async |server| {
        let mine = post(&server, &server.client, "/task", "k", &body()).await;
        let theirs = post(&server, &server.other, "/task", "k", &body()).await;
        assert_ne!(mine.data(), theirs.data());
        let named = post(&server, &server.client, "/task/a", "k", &body()).await;
        assert_eq!((named.data(), named.header("idempotent-replayed")), (&json!("a"), ""));
        assert_eq!(post(&server, &server.client, "/task/b", "k", &body()).await.status, 422);
        let execution = post(&server, &server.client, "/templates/execute/noop", "k", &json!({})).await;
        assert_eq!((execution.status.as_u16(), execution.header("idempotent-replayed")), (200, ""));
        let again = post(&server, &server.client, "/templates/execute/noop", "k", &json!({})).await;
        assert_eq!(again.data(), execution.data());
        assert_eq!(again.header("idempotent-replayed"), "true");
    });
}

#[test]
fn a_key_that_cannot_be_one_is_400() {
    served(async |server| {
        for key in ["", "\"\"", "\"open", &"x".repeat(256)] {
            assert_eq!(post(&server, &server.client, "/task", key, &body()).await.status, 400, "{key}");
        }
        let twice = server
            .request(Method::POST, "/task")
            .header("Idempotency-Key", "a")
            .header("Idempotency-Key", "a")
            .json(&body());
        assert_eq!(send(twice).await.status, 400);
        assert_eq!(post(&server, &server.client, "/task", &"x".repeat(255), &body()).await.status, 200);
    });
}

#[test]
fn a_refused_request_leaves_its_key_free() {
    served(async |server| {
        let wrong = json!({ "type": "video_generation", "templateCode": "nothing" });
        assert_eq!(post(&server, &server.client, "/task", "k", &wrong).await.status, 404);
        assert_eq!(post(&server, &server.client, "/task", "k", &body()).await.status, 200);
    });
}
