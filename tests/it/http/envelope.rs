//! What every answer has in common, whatever goes wrong.

use reqwest::Method;
use serde_json::{Value, json};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;

use crate::server::{Answer, send, served};

fn is_error(answer: &Answer, status: u16) {
    assert_eq!(answer.status, status, "{}", answer.body);
    assert_eq!(answer.body["code"], status);
    assert!(answer.body["message"].as_str().is_some_and(|message| message.len() > 10), "{}", answer.body);
    assert!(answer.body.get("data").is_none());
    assert_eq!(answer.header("x-trace-id"), answer.body["traceId"]);
    assert_eq!(answer.header("x-trace-id").len(), 32);
    assert!(answer.body["timestamp"].as_str().unwrap().ends_with('Z'));
    assert!(!answer.header("x-error-code").is_empty());
}

#[test]
fn unknown_routes_are_404_in_the_envelope() {
    served(async |server| {
        for path in ["/", "/nowhere", "/task", "/task/a/b", "/task/", "/ops", "/templates/get", "/files/1"] {
            let method = if path == "/task" { Method::PUT } else { Method::GET };
            let answer = send(server.request(method, path)).await;
            is_error(&answer, if path == "/task" { 405 } else { 404 });
        }
    });
}

#[test]
fn what_is_no_path_is_404_in_the_envelope() {
    served(async |server| {
        let mut stream = TcpStream::connect(server.base.strip_prefix("http://").unwrap()).await.unwrap();
        stream.write_all(b"OPTIONS * HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n").await.unwrap();
        let mut answer = String::new();
        stream.read_to_string(&mut answer).await.unwrap();
        let (head, body) = answer.split_once("\r\n\r\n").unwrap();
        assert!(head.starts_with("HTTP/1.1 404") && head.contains("x-trace-id: "), "{head}");
        let body: Value = serde_json::from_str(body).unwrap();
        assert_eq!((&body["code"], body["traceId"].is_string()), (&json!(404), true), "{body}");
    });
}

#[test]
fn a_wrong_method_is_405_and_names_the_right_ones() {
    served(async |server| {
        for (method, path, allow) in [
            (Method::GET, "/task", "POST"),
            (Method::DELETE, "/task/a", "GET, HEAD, POST"),
            (Method::PUT, "/templates", "GET, HEAD, POST"),
            (Method::HEAD, "/templates/init", "GET"),
            (Method::GET, "/ops/dead/a/replay", "POST"),
            (Method::PATCH, "/health", "GET, HEAD"),
        ] {
            let answer = send(server.request(method.clone(), path)).await;
            assert_eq!(answer.status, 405, "{method} {path}");
            assert_eq!(answer.header("allow"), allow, "{method} {path}");
            if method != Method::HEAD {
                is_error(&answer, 405);
            }
        }
    });
}

#[test]
fn a_trace_id_is_taken_from_the_caller_when_it_is_valid() {
    served(async |server| {
        let trace = "0af7651916cd43dd8448eb211c80319c";
        let with = |value: String| server.request(Method::GET, "/templates").header("traceparent", value);
        let answer = send(with(format!("00-{trace}-b7ad6b7169203331-01"))).await;
        assert_eq!(answer.body["traceId"], trace);
        assert_eq!(answer.header("x-trace-id"), trace);
        let broken = send(with(format!("00-{trace}-0000000000000000-01"))).await;
        assert_eq!(broken.status, 200);
        assert_ne!(broken.body["traceId"], trace);
        let other = send(with("nonsense".into())).await;
        assert_ne!(other.body["traceId"], broken.body["traceId"]);
    });
}

#[test]
fn what_is_no_json_object_is_400() {
    served(async |server| {
        for body in ["", "[]", "\"x\"", "{", "{\"type\":}", "nonsense", "{\"a\":\"\u{1}\"}"] {
            let answer = send(server.request(Method::POST, "/task").body(body)).await;
            is_error(&answer, 400);
        }
    });
}

#[test]
fn the_nul_character_is_400_wherever_it_hides() {
    served(async |server| {
        for body in [
            r#"{"type":"video_generation","templateCode":"noop\u0000"}"#,
            r#"{"type":"video_generation","templateCode":"noop","parameters":{"a":[{"b":"\u0000"}]}}"#,
            r#"{"type":"video_generation","templateCode":"noop","parameters":{"\u0000":1}}"#,
        ] {
            let answer = send(server.request(Method::POST, "/task").body(body)).await;
            is_error(&answer, 400);
            assert!(answer.message().contains("U+0000"), "{}", answer.body);
        }
    });
}

#[test]
fn the_nul_character_is_400_in_an_address_too() {
    served(async |server| {
        for path in ["/templates/get/a%00", "/task/%00", "/task/a?wait=%00", "/templates?cursor=%00"] {
            is_error(&send(server.request(Method::GET, path)).await, 400);
        }
        assert_eq!(send(server.request(Method::GET, "/templates/get/a%2500")).await.status, 404);
    });
}

#[test]
fn a_body_over_the_limit_is_413_and_one_below_is_read() {
    served(async |server| {
        let sized = |bytes: usize| json!({ "pad": "x".repeat(bytes) }).to_string();
        let post = |path: &str, body: String| send(server.request(Method::POST, path).body(body));
        is_error(&post("/task", sized(10 * 1024 * 1024)).await, 413);
        assert_eq!(post("/task", sized(10 * 1024 * 1024 - 100)).await.status, 400);
        is_error(&post("/task/a/cancel", sized(256 * 1024)).await, 413);
        assert_eq!(post("/task/a/cancel", sized(256 * 1024 - 100)).await.status, 404);
    });
}

#[test]
fn head_answers_like_get_without_the_body() {
    served(async |server| {
        let answer = send(server.request(Method::HEAD, "/templates")).await;
        assert_eq!((answer.status.as_u16(), &answer.body), (200, &Value::String(String::new())));
        assert_eq!(answer.header("content-type"), "application/json");
    });
}

#[test]
fn the_description_lists_every_route_and_needs_no_key() {
    served(async |server| {
        let api = send(server.bare(Method::GET, "/openapi.json")).await;
        assert!(api.body["openapi"].as_str().unwrap().starts_with("3.1"));
        assert!(api.body["paths"]["/task/{taskId}/events"]["get"].is_object());
        assert!(api.body["components"]["securitySchemes"]["bearer"].is_object());
    });
}
