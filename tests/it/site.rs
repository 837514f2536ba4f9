//! A site of the internet: pictures behind links, and what else links lead to.

use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};

/// A running site.
pub struct Site {
    pub address: SocketAddr,
    asked: Arc<AtomicUsize>,
}

impl Site {
    /// A site that answers `path` with the text that `answer` gives: head and body. It counts from 0 what it is asked.
    pub async fn open(answer: impl Fn(usize, &str) -> Vec<u8> + Send + Sync + 'static) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let site = Self { address: listener.local_addr().unwrap(), asked: Arc::default() };
        let (asked, answer) = (site.asked.clone(), Arc::new(answer));
        tokio::spawn(async move {
            while let Ok((line, _)) = listener.accept().await {
                let (asked, answer) = (asked.clone(), answer.clone());
                tokio::spawn(
                    async move { converse(line, |path| answer(asked.fetch_add(1, Ordering::SeqCst), path)).await },
                );
            }
        });
        site
    }

    pub fn link(&self, path: &str) -> String {
        format!("http://{}{path}", self.address)
    }

    /// How often it was asked for something.
    pub fn asked(&self) -> usize {
        self.asked.load(Ordering::SeqCst)
    }
}

async fn converse(mut line: TcpStream, answer: impl FnOnce(&str) -> Vec<u8>) -> std::io::Result<()> {
    let mut head = Vec::new();
    while !head.ends_with(b"\r\n\r\n") {
        head.push(line.read_u8().await?);
    }
    let head = String::from_utf8(head).unwrap();
    // Nobody who asks tells who they are.
    assert!(!["authorization", "cookie"].iter().any(|name| head.to_lowercase().contains(name)), "{head}");
    line.write_all(&answer(head.split(' ').nth(1).unwrap())).await
}

/// A file as a site gives it.
pub fn file(bytes: &[u8]) -> Vec<u8> {
    [format!("HTTP/1.1 200 OK\r\nContent-Length: {}\r\n\r\n", bytes.len()).as_bytes(), bytes].concat()
}

/// Another answer: a status line, perhaps with headers.
pub fn status(line: &str) -> Vec<u8> {
    format!("HTTP/1.1 {line}\r\nContent-Length: 0\r\n\r\n").into()
}
