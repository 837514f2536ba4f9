//! The wire to a gateway that is spoken to over HTTP.

use std::net::SocketAddr;

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio_util::task::AbortOnDropHandle;

use super::{Moment, Tripwire};

impl Tripwire {
    /// A wire to the gateway at `server`: its address from this end.
    pub async fn to_gateway(&self, server: SocketAddr) -> (String, AbortOnDropHandle<()>) {
        let (address, running) = self.string(server, converse).await;
        (format!("http://{address}"), running)
    }
}

async fn converse(wire: Tripwire, mut near: TcpStream, server: SocketAddr) -> std::io::Result<()> {
    let mut far = TcpStream::connect(server).await?;
    loop {
        let asked = message(&mut near).await?;
        let step = [name(&asked)];
        if !wire.meet(&step, Moment::Before) {
            return Ok(());
        }
        far.write_all(&asked).await?;
        // An answer that gets lost is one that the gateway has given.
        let answer = message(&mut far).await;
        if !wire.meet(&step, Moment::After) {
            return Ok(());
        }
        near.write_all(&answer?).await?;
    }
}

/// Method and path; an id in it is `ID`.
fn name(request: &[u8]) -> String {
    let line = String::from_utf8_lossy(request.split(|byte| *byte == b'\r').next().unwrap()).into_owned();
    let (method, target) = line.rsplit_once(' ').unwrap().0.split_once(' ').unwrap();
    let path = target.split('?').next().unwrap();
    let is_id = |part: &str| part.contains(|letter: char| letter.is_ascii_digit()) && part != "v1";
    let parts: Vec<&str> = path.split('/').map(|part| if is_id(part) { "ID" } else { part }).collect();
    format!("{method} {}", parts.join("/"))
}

/// One request or answer, head and body, as it came.
async fn message(line: &mut TcpStream) -> std::io::Result<Vec<u8>> {
    let mut bytes = Vec::new();
    while !bytes.ends_with(b"\r\n\r\n") {
        bytes.push(line.read_u8().await?);
    }
    let head = String::from_utf8_lossy(&bytes).to_ascii_lowercase();
    let length = head.lines().find_map(|line| line.strip_prefix("content-length:"));
    let (head, length) = (bytes.len(), length.map_or(0, |length| length.trim().parse().unwrap()));
    bytes.resize(head + length, 0);
    line.read_exact(&mut bytes[head..]).await?;
    Ok(bytes)
}
