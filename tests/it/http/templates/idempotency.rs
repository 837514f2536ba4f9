//! `Idempotency-Key` on what makes a template.

use reqwest::Method;
use serde_json::{Value, json};

use super::{body, delete};
use crate::server::{Answer, Server, send, served};

async fn post(server: &Server, key: &str, body: &Value) -> Answer {
    let request = server.bare(Method::POST, "/templates").bearer_auth(&server.operator);
    send(request.header("Idempotency-Key", key).json(body)).await
}

#[test]
fn the_same_key_and_template_are_answered_the_same_and_another_template_is_422() {
    served(async |server| {
        let first = post(&server, "k", &body("t", json!({ "workflow": "later" }))).await;
        assert_eq!((first.status.as_u16(), first.header("idempotent-replayed")), (200, ""));
        let again = post(&server, "k", &body("t", json!({ "workflow": "later" }))).await;
        assert_eq!((again.data(), again.header("idempotent-replayed")), (first.data(), "true"));
        assert_eq!(post(&server, "k", &body("other", json!({}))).await.status, 422);
        assert_eq!(server.get("/templates/get/other").await.status, 404);
        // The answer outlives what it tells of.
        delete(&server, "t").await.data();
        assert_eq!(post(&server, "k", &body("t", json!({ "workflow": "later" }))).await.data(), first.data());
        assert_eq!(server.get("/templates/get/t").await.status, 404);
    });
}

#[test]
fn a_refused_template_leaves_its_key_free() {
    served(async |server| {
        assert_eq!(post(&server, "k", &body("film", json!({}))).await.status, 409);
        assert_eq!(post(&server, "k", &body("t", json!({ "creditCost": -1 }))).await.status, 400);
        assert_eq!(post(&server, "k", &body("t", json!({}))).await.header("idempotent-replayed"), "");
    });
}

#[test]
fn many_at_once_under_one_key_make_one_template() {
    served(async |server| {
        let template = body("t", json!({}));
        let answers = futures_util::future::join_all((0..8).map(|_| post(&server, "k", &template))).await;
        assert!(answers.iter().all(|answer| answer.data() == answers[0].data()), "{answers:?}");
        let replayed = answers.iter().filter(|answer| answer.header("idempotent-replayed") == "true").count();
        assert_eq!(replayed, 7);
    });
}
