//! Every example of the API document, shape by shape: the same keys, the same types, the same messages.

use serde_json::{Value, json};

use crate::server::{Answer, PICTURE, served};

/// Whether `actual` has the shape of `documented`: the same keys, and values of the same type. Lists have one shape.
fn same_shape(actual: &Value, documented: &Value, at: &str) {
    match (actual, documented) {
        (Value::Object(actual), Value::Object(documented)) => {
            let keys = |object: &serde_json::Map<String, Value>| -> Vec<String> {
                let mut keys: Vec<String> = object.keys().cloned().collect();
                keys.sort();
                keys
            };
            assert_eq!(keys(actual), keys(documented), "at {at}");
            for (key, value) in documented {
                same_shape(&actual[key], value, &format!("{at}.{key}"));
            }
        }
        (Value::Array(actual), Value::Array(documented)) => {
            assert!(!actual.is_empty(), "{at} is empty");
            for (index, value) in actual.iter().enumerate() {
                same_shape(value, &documented[0], &format!("{at}[{index}]"));
            }
        }
        (actual, documented) => {
            let of = |value: &Value| std::mem::discriminant(value);
            assert_eq!(of(actual), of(documented), "at {at}: {actual} is not like {documented}");
        }
    }
}

/// Compares with an example; the envelope's time and trace id are always there.
fn as_documented(answer: &Answer, mut example: Value) {
    assert_eq!(answer.status, example["code"].as_u64().unwrap() as u16, "{}", answer.body);
    assert_eq!(answer.body["code"], example["code"]);
    assert_eq!(answer.body["message"], example["message"]);
    example["timestamp"] = json!("2024-01-01T00:00:00Z");
    example["traceId"] = json!("trace_123");
    same_shape(&answer.body, &example, "the answer");
}

#[test]
fn the_task_examples_hold() {
    served(async |server| {
        let body = json!({
            "type": "video_generation", "templateCode": "film", "userId": "user_123",
            "parameters": { "imageUrl": PICTURE }
        });
        let sent = json!({ "code": 200, "message": "Sent message to the queue", "data": "task_123" });
        as_documented(&server.post("/task", body.clone()).await, sent.clone());
        let named = server.post("/task/order-1", body).await;
        as_documented(&named, sent);
        assert_eq!(named.body["data"], "order-1");
        server.until("/task/order-1", |data| data["status"] == "completed").await;
        as_documented(
            &server.get("/task/order-1").await,
            json!({
                "code": 200, "message": "Task status retrieved",
                "data": {
                    "id": "task_123", "status": "completed", "progress": 100,
                    "result": { "videoUrl": "https://example.com/output.mp4" },
                    "createdAt": "2024-01-01T00:00:00Z", "completedAt": "2024-01-01T00:05:00Z"
                }
            }),
        );
    });
}

#[test]
fn the_template_examples_hold() {
    served(async |server| {
        as_documented(
            &server.get("/templates").await,
            json!({
                "code": 200, "message": "Templates retrieved successfully",
                "data": {
                    "templates": [{
                        "code": "template_001", "name": "AI Video Generator",
                        "description": "Generate videos from images using AI", "creditCost": 10,
                        "templateType": "VIDEO", "isActive": true, "tags": ["ai", "video", "generation"]
                    }],
                    "total": 1
                }
            }),
        );
        // No gateway yet: the product at Stripe is null.
        as_documented(
            &server.get("/templates/get/film").await,
            json!({
                "code": 200, "message": "Template retrieved successfully",
                "data": {
                    "code": "template_001", "name": "AI Video Generator",
                    "description": "Generate videos from images using AI", "creditCost": 10,
                    "templateType": "VIDEO", "workflow": "video-generation-workflow", "isActive": true,
                    "stripeProductId": null, "createdAt": "2024-01-01T00:00:00Z"
                }
            }),
        );
        as_documented(
            &server.get("/templates/health").await,
            json!({
                "code": 200, "message": "Template service is healthy",
                "data": { "totalTemplates": 10, "timestamp": "2024-01-01T00:00:00Z", "service": "TemplateService" }
            }),
        );
    });
}

#[test]
fn the_execution_examples_hold() {
    served(async |server| {
        let started = server.post("/templates/execute/film", json!({ "userId": "u", "imageUrl": PICTURE })).await;
        as_documented(
            &started,
            json!({
                "code": 200, "message": "Template execution started",
                "data": { "executionId": "exec_123", "taskId": "task_123", "status": "running" }
            }),
        );
        let task = started.data()["taskId"].as_str().unwrap();
        let path = format!("/templates/execution/{task}/progress");
        server.until(&path, |data| data["status"] == "completed").await;
        let progress = server.get(&path).await;
        as_documented(
            &progress,
            json!({
                "code": 200, "message": "Execution progress retrieved",
                "data": {
                    "taskId": "task_123", "executionId": "exec_123", "status": "completed", "progress": 100,
                    "result": { "videoUrl": "https://example.com/output.mp4" }
                }
            }),
        );
        assert_eq!(progress.data()["executionId"], started.data()["executionId"]);
    });
}

#[test]
fn the_import_example_holds_and_a_second_import_changes_nothing() {
    served(async |server| {
        let first = server.get_as(&server.operator, "/templates/init").await;
        // The server of this test knows `noop` already: one of the bundled ones is an error from the start.
        let mut outside = Answer { status: first.status, headers: first.headers.clone(), body: first.body.clone() };
        outside.body["data"].as_object_mut().unwrap().remove("details").unwrap();
        as_documented(
            &outside,
            json!({
                "code": 200, "message": "Templates initialization completed",
                "data": { "total": 10, "imported": 9, "failed": 1 }
            }),
        );
        let data = first.data();
        assert_eq!((&data["total"], &data["imported"], &data["failed"]), (&json!(5), &json!(4), &json!(1)));
        let of = |code: &str| data["details"].as_array().unwrap().iter().find(|one| one["code"] == code).unwrap();
        assert_eq!(of("photo-to-video"), &json!({ "code": "photo-to-video", "status": "success" }));
        let taken = json!({ "code": "noop", "status": "error", "error": "Template already exists" });
        assert_eq!(of("noop"), &taken);
        assert_eq!(first.header("cache-control"), "no-store");
        let before = server.get("/templates/get/noop").await;
        let second = server.get_as(&server.operator, "/templates/init").await;
        assert_eq!(second.data()["failed"], 5);
        assert_eq!(server.get("/templates/get/noop").await.body["data"], before.body["data"]);
        assert_eq!(before.data()["name"], "AI Video Generator", "the row that was there is untouched");
    });
}

#[test]
fn the_error_example_holds() {
    served(async |server| {
        let answer = server.get("/task/nobody").await;
        same_shape(
            &answer.body,
            &json!({ "code": 404, "message": "x", "timestamp": "2024-01-01T00:00:00Z", "traceId": "trace_123" }),
            "the answer",
        );
        assert_eq!(answer.message(), "There is no task `nobody`");
    });
}
