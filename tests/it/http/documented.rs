//! The examples of the Task Controller and of errors, shape by shape: the same keys, the same types, the same messages.
//! Those of templates are in `templates/documented.rs`.

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
            assert_eq!(actual.is_empty(), documented.is_empty(), "{at} is empty, or should be");
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
pub fn as_documented(answer: &Answer, mut example: Value) {
    assert_eq!(answer.status, example["code"].as_u64().unwrap() as u16, "{}", answer.body);
    assert_eq!(answer.body["code"], example["code"]);
    assert_eq!(answer.body["message"], example["message"]);
    example["timestamp"] = json!("2024-01-01T00:00:00Z");
    example["traceId"] = json!("trace_123");
    same_shape(&answer.body, &example, "the answer");
}

/// The answer without those fields of its data, which are there.
pub fn without(mut answer: Answer, fields: &[&str]) -> Answer {
    for field in fields {
        let there = answer.body["data"].as_object_mut().unwrap().remove(*field);
        assert!(there.is_some(), "{field} is missing: {}", answer.body);
    }
    answer
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
