//! Templates: every example of the document, every rule of what may be written, and what a change does to work.

mod bulk;
mod changes;
mod documented;
mod executions;
mod idempotency;
mod prompts;
mod revisions;
mod search;
mod stripe;
mod validation;

use reqwest::Method;
use serde_json::{Value, json};

use crate::server::{Answer, Server, send};

/// What an operator asks for.
pub async fn operate(server: &Server, method: Method, path: &str, body: Value) -> Answer {
    send(server.bare(method, path).bearer_auth(&server.operator).json(&body)).await
}

pub async fn create(server: &Server, body: Value) -> Answer {
    operate(server, Method::POST, "/templates", body).await
}

pub async fn update(server: &Server, code: &str, body: Value) -> Answer {
    operate(server, Method::PUT, &format!("/templates/update/{code}"), body).await
}

async fn delete(server: &Server, code: &str) -> Answer {
    operate(server, Method::DELETE, &format!("/templates/delete/{code}"), json!({})).await
}

async fn bulk(server: &Server, operation: &str, codes: &[&str]) -> Answer {
    operate(server, Method::POST, "/templates/bulk", json!({ "operation": operation, "templateCodes": codes })).await
}

/// A template on the workflow that needs nothing; `more` over it.
fn body(code: &str, more: Value) -> Value {
    let mut body = json!({
        "code": code, "name": "New Template", "workflow": "noop", "creditCost": 15, "templateType": "VIDEO"
    });
    body.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
    body
}

/// What operators see of a task.
async fn state_of(server: &Server, task: &str) -> Value {
    server.get_as(&server.operator, &format!("/ops/actors/task/{task}")).await.data()["state"].clone()
}

fn codes(list: &Value) -> Vec<&str> {
    list["templates"].as_array().unwrap().iter().map(|one| one["code"].as_str().unwrap()).collect()
}
