//! What is no HTTP: who sends it is told by a status alone, since it never becomes a call, and the line ends. Whatever can
//! be read as a call is answered like every other.

use std::time::Duration;

use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;
use tokio::time::timeout;

use crate::crash::service::Service;

const LIMIT: Duration = Duration::from_secs(60);

/// Everything that is answered until the line ends.
async fn heard(service: &Service, sent: &[u8]) -> String {
    let mut stream = TcpStream::connect(service.caller.base().trim_start_matches("http://")).await.unwrap();
    // It may be answered before it was sent whole.
    let _ = stream.write_all(sent).await;
    let mut heard = Vec::new();
    let ended = timeout(LIMIT, stream.read_to_end(&mut heard)).await;
    let heard = String::from_utf8_lossy(&heard).into_owned();
    assert!(ended.is_ok(), "the line is kept after {}: {heard}", String::from_utf8_lossy(sent).escape_debug());
    assert!(!heard.is_empty(), "{} is not answered: {ended:?}", String::from_utf8_lossy(sent).escape_debug());
    heard
}

/// A head with these lines more, to a route that takes a body.
fn post(lines: &str, body: &str) -> Vec<u8> {
    format!("POST /task HTTP/1.1\r\nhost: x\r\n{lines}\r\n\r\n{body}").into_bytes()
}

#[tokio::test]
async fn what_is_no_http_is_refused_with_a_status_alone() {
    let mut service = Service::sqlite().await;
    service.start().await;
    let many = "a: b\r\n".repeat(120);
    let long = format!("a: {}", "b".repeat(200 << 10));
    for (what, status, sent) in [
        ("no request line", 400, b"what is this\r\n\r\n".to_vec()),
        ("a method that is none", 400, b"G@T /health/live HTTP/1.1\r\nhost: x\r\n\r\n".to_vec()),
        ("another version", 400, b"GET /health/live HTTP/3.0\r\nhost: x\r\n\r\n".to_vec()),
        ("HTTP/2", 400, b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n\0\0\0\x04\0\0\0\0\0".to_vec()),
        ("TLS", 400, b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03".to_vec()),
        ("a header without a colon", 400, post("nonsense", "")),
        ("a header with a line break in its name", 400, post("a\nb: c", "")),
        ("a length that is no number", 400, post("content-length: two", "{}")),
        ("a negative length", 400, post("content-length: -2", "{}")),
        ("two lengths", 400, post("content-length: 2\r\ncontent-length: 3", "{}")),
        ("a length and chunks", 400, post("content-length: 2\r\ntransfer-encoding: chunked", "{}")),
        ("an encoding that nobody has", 400, post("transfer-encoding: rot13", "{}")),
        ("headers beyond 96", 431, post(many.trim_end(), "")),
        ("a head beyond 128 KB", 431, post(&long, "")),
    ] {
        let heard = heard(&service, &sent).await;
        assert!(heard.starts_with(&format!("HTTP/1.1 {status} ")), "{what}: {heard}");
        let (head, body) = heard.split_once("\r\n\r\n").unwrap();
        assert!(head.contains("content-length: 0") && body.is_empty(), "{what}: {heard}");
        assert!(!head.contains("x-trace-id"), "{what} is a call: {heard}");
    }
    assert_eq!(service.caller.get("/health/live").await.status, 200);
}

#[tokio::test]
async fn what_can_be_read_as_a_call_is_answered_as_one() {
    let mut service = Service::sqlite().await;
    service.start().await;
    let key = format!("authorization: Bearer {}\r\nconnection: close\r\n", service.caller.key());
    let many = "a: b\r\n".repeat(80);
    let long = format!("a: {}", "b".repeat(100 << 10));
    let brew = b"BREW /task HTTP/1.1\r\nhost: x\r\nconnection: close\r\n\r\n".to_vec();
    for (what, status, sent) in [
        ("a method that nobody has", 405, brew),
        ("more headers than 64", 431, post(&format!("{key}{}", many.trim_end()), "")),
        ("a head beyond 32 KB", 431, post(&format!("{key}{long}"), "")),
    ] {
        let heard = heard(&service, &sent).await;
        assert!(heard.starts_with(&format!("HTTP/1.1 {status} ")), "{what}: {heard}");
        let (head, body) = heard.split_once("\r\n\r\n").unwrap();
        assert!(head.contains("x-trace-id") && head.contains("x-ratelimit-remaining"), "{what}: {heard}");
        assert!(body.starts_with('{') && body.contains(&format!("\"code\":{status}")), "{what}: {heard}");
    }
}
