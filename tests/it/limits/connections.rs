//! How many connections there may be.

use std::time::Duration;

use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;
use tokio::time::timeout;

use crate::crash::service::{LIMIT, Service};

const CONNECTIONS: usize = 8;

/// A connection on which something is asked.
async fn asking(address: &str) -> TcpStream {
    let mut stream = TcpStream::connect(address).await.unwrap();
    stream.write_all(b"GET /health/live HTTP/1.1\r\nhost: x\r\n\r\n").await.unwrap();
    stream
}

/// Whether an answer begins to come within `limit`.
async fn is_answered(stream: &mut TcpStream, limit: Duration) -> bool {
    let mut bytes = [0; 4_096];
    match timeout(limit, stream.read(&mut bytes)).await {
        Ok(read) => read.unwrap() > 0,
        Err(_) => false,
    }
}

#[tokio::test]
async fn connections_beyond_the_limit_wait_until_one_ends() {
    let mut service = Service::sqlite().await;
    service.set("SERVER__WORKERS", 1);
    service.set("SERVER__CONNECTIONS", CONNECTIONS);
    service.start().await;
    let address = service.caller.base().trim_start_matches("http://").to_owned();
    let mut open = Vec::new();
    for _ in 0..CONNECTIONS {
        let mut stream = asking(&address).await;
        assert!(is_answered(&mut stream, LIMIT).await);
        open.push(stream);
    }
    // Those before are kept alive. One more may be let in before the server looks.
    let mut waiting = [asking(&address).await, asking(&address).await, asking(&address).await];
    let mut let_in = 0;
    for stream in &mut waiting {
        let_in += usize::from(is_answered(stream, Duration::from_millis(700)).await);
    }
    assert!(let_in <= 1, "{let_in} connections above the limit were answered");
    drop(open);
    for stream in &mut waiting[let_in..] {
        assert!(is_answered(stream, LIMIT).await, "it is never its turn");
    }
}
