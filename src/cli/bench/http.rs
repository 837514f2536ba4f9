//! HTTP/1.1 as a load generator needs it: one call at a time on a kept connection, and no more parsing than that.
//!
//! A full client would measure itself: it costs more than the server's answer.

use std::net::SocketAddr;

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

/// More than any answer that is asked for, in bytes.
const ANSWER_BYTES_MAX: usize = 1 << 20;
/// The room for an answer at the start.
const BUFFER_BYTES: usize = 2_048;

/// What went wrong on a connection.
#[derive(Debug, thiserror::Error)]
pub(super) enum Error {
    /// The connection.
    #[error("the connection broke")]
    Io(#[from] std::io::Error),
    /// It was closed before an answer was complete.
    #[error("the server closed the connection")]
    Closed,
    /// What came is not an answer of the expected form.
    #[error("the answer cannot be read: {0}")]
    Garbled(&'static str),
}

/// An answer: its status, and where its body ends up in the connection's buffer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Head {
    /// The status.
    pub status: u16,
    /// Bytes of the head.
    pub head_bytes: usize,
    /// Bytes of the body.
    pub body_bytes: usize,
    /// Whether the server closes the connection after it.
    pub closes: bool,
}

/// Reads a head; `None` while it is not complete.
pub(super) fn head(bytes: &[u8]) -> Result<Option<Head>, Error> {
    let Some(end) = bytes.windows(4).position(|window| window == b"\r\n\r\n") else { return Ok(None) };
    let text = std::str::from_utf8(&bytes[..end]).map_err(|_| Error::Garbled("its head is no text"))?;
    let mut lines = text.split("\r\n");
    let status = lines.next().and_then(|line| line.strip_prefix("HTTP/1.1 ")?.get(..3)?.parse().ok());
    let status = status.ok_or(Error::Garbled("it does not begin with HTTP/1.1 and a status"))?;
    let (mut body_bytes, mut closes) = (None, false);
    for line in lines {
        let Some((name, value)) = line.split_once(':') else { continue };
        let value = value.trim();
        if name.eq_ignore_ascii_case("content-length") {
            body_bytes = value.parse().ok();
        } else if name.eq_ignore_ascii_case("connection") {
            closes = value.eq_ignore_ascii_case("close");
        } else if name.eq_ignore_ascii_case("transfer-encoding") {
            return Err(Error::Garbled("its length is not told beforehand"));
        }
    }
    let body_bytes = body_bytes.ok_or(Error::Garbled("its length is not told"))?;
    if end + 4 + body_bytes > ANSWER_BYTES_MAX {
        return Err(Error::Garbled("it is too long"));
    }
    Ok(Some(Head { status, head_bytes: end + 4, body_bytes, closes }))
}

/// A kept connection.
pub(super) struct Connection {
    server: SocketAddr,
    stream: Option<TcpStream>,
    buffer: Vec<u8>,
}

impl Connection {
    /// A connection to `server`, opened by the first call.
    pub(super) fn new(server: SocketAddr) -> Self {
        Self { server, stream: None, buffer: Vec::with_capacity(BUFFER_BYTES) }
    }

    /// Sends a whole request and returns the status and the body of its answer. A kept connection that turns out to be
    /// closed is opened again, once: the request of a load test may be repeated.
    pub(super) async fn call(&mut self, request: &[u8]) -> Result<(u16, &[u8]), Error> {
        let kept = self.stream.is_some();
        let mut answer = self.try_call(request).await;
        if kept && matches!(answer, Err(Error::Closed | Error::Io(_))) {
            answer = self.try_call(request).await;
        }
        let head = answer?;
        Ok((head.status, &self.buffer[head.head_bytes..head.head_bytes + head.body_bytes]))
    }

    async fn try_call(&mut self, request: &[u8]) -> Result<Head, Error> {
        let mut stream = match self.stream.take() {
            Some(stream) => stream,
            None => {
                let stream = TcpStream::connect(self.server).await?;
                stream.set_nodelay(true)?;
                stream
            }
        };
        stream.write_all(request).await?;
        self.buffer.clear();
        loop {
            // An end within an answer is an error, never a reason to read again.
            if stream.read_buf(&mut self.buffer).await? == 0 {
                return Err(Error::Closed);
            }
            if let Some(head) = head(&self.buffer)?
                && self.buffer.len() >= head.head_bytes + head.body_bytes
            {
                if !head.closes {
                    self.stream = Some(stream);
                }
                return Ok(head);
            }
            if self.buffer.len() > ANSWER_BYTES_MAX {
                return Err(Error::Garbled("it is too long"));
            }
        }
    }
}

/// The bytes of a request; `body` is JSON.
pub(super) fn request(method: &str, path: &str, key: Option<&str>, body: Option<&str>) -> Vec<u8> {
    let bearer = key.map(|key| format!("Bearer {key}"));
    request_with(method, path, bearer.as_deref().map(|bearer| ("authorization", bearer)), body)
}

/// The same with any header.
pub(super) fn request_with(method: &str, path: &str, header: Option<(&str, &str)>, body: Option<&str>) -> Vec<u8> {
    let mut text = format!("{method} {path} HTTP/1.1\r\nhost: bench\r\n");
    if let Some((name, value)) = header {
        text.push_str(&format!("{name}: {value}\r\n"));
    }
    if let Some(body) = body {
        text.push_str(&format!("content-type: application/json\r\ncontent-length: {}\r\n", body.len()));
    }
    text.push_str("\r\n");
    text.push_str(body.unwrap_or_default());
    text.into_bytes()
}

/// The text behind `"name":"` in a JSON answer, without reading the rest of it.
pub(super) fn field<'a>(body: &'a [u8], name: &str) -> Option<&'a str> {
    let text = std::str::from_utf8(body).ok()?;
    let start = text.find(&format!("\"{name}\":\""))? + name.len() + 4;
    text[start..].split('"').next()
}

#[cfg(test)]
mod tests {
    use tokio::net::TcpListener;

    use super::*;

    #[test]
    fn a_head_is_read_once_it_is_complete() {
        let answer = b"HTTP/1.1 200 OK\r\nContent-Length: 5\r\ndate: x\r\n\r\nhello";
        for cut in 0..answer.len() - 5 {
            assert_eq!(head(&answer[..cut]).unwrap(), None, "{cut}");
        }
        let read = head(answer).unwrap().unwrap();
        assert_eq!((read.status, read.body_bytes, read.closes), (200, 5, false));
        assert_eq!(&answer[read.head_bytes..], b"hello");
    }

    #[test]
    fn what_is_no_answer_is_refused() {
        for text in [
            "HTTP/2 200\r\n\r\n",
            "HTTP/1.1 OK\r\n\r\n",
            "HTTP/1.1 200 OK\r\n\r\n",
            "HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n",
            "HTTP/1.1 200 OK\r\ncontent-length: 99999999\r\n\r\n",
        ] {
            assert!(head(text.as_bytes()).is_err(), "{text}");
        }
    }

    #[test]
    fn a_field_is_found_without_reading_the_rest() {
        let body = br#"{"code":200,"message":"Sent message to the queue","data":"task_1"}"#;
        assert_eq!(field(body, "data"), Some("task_1"));
        assert_eq!(field(body, "status"), None);
    }

    #[test]
    fn a_request_tells_its_length() {
        let text = String::from_utf8(request("POST", "/task", Some("k"), Some("{}"))).unwrap();
        assert_eq!(
            text,
            "POST /task HTTP/1.1\r\nhost: bench\r\nauthorization: Bearer k\r\ncontent-type: application/json\r\n\
             content-length: 2\r\n\r\n{}"
        );
    }

    /// Answers each connection `calls` times in small pieces and then closes it.
    async fn serve(listener: TcpListener, calls: usize) {
        loop {
            let (mut stream, _) = listener.accept().await.unwrap();
            for _ in 0..calls {
                let mut request = [0; 512];
                if stream.read(&mut request).await.unwrap() == 0 {
                    break;
                }
                for piece in ["HTTP/1.1 200 OK\r\ncontent-le", "ngth: 4\r\n\r\nab", "cd"] {
                    stream.write_all(piece.as_bytes()).await.unwrap();
                    stream.flush().await.unwrap();
                    tokio::task::yield_now().await;
                }
            }
        }
    }

    #[tokio::test]
    async fn a_connection_that_the_server_closed_is_opened_again() {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let mut connection = Connection::new(listener.local_addr().unwrap());
        tokio::spawn(serve(listener, 2));
        let request = request("GET", "/", None, None);
        for _ in 0..7 {
            assert_eq!(connection.call(&request).await.unwrap(), (200, b"abcd".as_slice()));
        }
    }

    #[tokio::test]
    async fn a_server_that_only_closes_is_an_error_and_no_endless_loop() {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let mut connection = Connection::new(listener.local_addr().unwrap());
        tokio::spawn(serve(listener, 0));
        assert!(connection.call(&request("GET", "/", None, None)).await.is_err());
    }
}
