//! Whatever answers in a node's place is told apart from a node.

use std::time::Duration;

use mixvideo_ethereum::{Error, Node};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpListener;

const LIMIT: Duration = Duration::from_secs(30);

/// Answers one question with `answer`, once; says nothing to it at all for an empty one.
async fn answering(answer: &'static str) -> String {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!("http://{}/a-secret-path", listener.local_addr().unwrap());
    tokio::spawn(async move {
        let (mut stream, _) = listener.accept().await.unwrap();
        let mut question = [0; 4096];
        while stream.read(&mut question).await.is_ok_and(|read| read > 0) {
            stream.write_all(answer.as_bytes()).await.unwrap();
        }
    });
    url
}

fn http(status: &str, body: &str) -> &'static str {
    format!("HTTP/1.1 {status}\r\ncontent-length: {}\r\n\r\n{body}", body.len()).leak()
}

async fn told(answer: &'static str, limit: Duration) -> Error {
    Node::new(&answering(answer).await, limit).unwrap().chain_id().await.unwrap_err()
}

#[tokio::test]
async fn a_node_that_says_nothing_is_down_after_the_limit() {
    let error = told("", Duration::from_millis(200)).await;
    assert!(matches!(error, Error::Down(_)), "{error:?}");
    assert!(!error.to_string().contains("a-secret-path"), "an address may hold a key: {error}");
}

#[tokio::test]
async fn a_proxy_is_no_node() {
    assert_eq!(told(http("502 Bad Gateway", "<html>"), LIMIT).await, Error::Down("HTTP status 502".into()));
    assert!(matches!(told(http("200 OK", "<html>"), LIMIT).await, Error::Unreadable(_)));
    let null = http("200 OK", r#"{"jsonrpc":"2.0","id":0,"result":null}"#);
    assert!(matches!(told(null, LIMIT).await, Error::Unreadable(_)));
}

#[tokio::test]
async fn a_refusal_is_in_the_nodes_words() {
    let refusal = http("200 OK", r#"{"jsonrpc":"2.0","id":0,"error":{"code":-32005,"message":"too many requests"}}"#);
    assert_eq!(told(refusal, LIMIT).await, Error::Refused("too many requests (-32005)".into()));
}

#[test]
fn what_is_no_address_of_a_node_is_refused() {
    for url in ["", "127.0.0.1:8545", "ws://127.0.0.1:8545", "file:///etc/passwd"] {
        assert!(Node::new(url, LIMIT).is_err(), "{url}");
    }
}
