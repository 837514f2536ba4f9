//! The wire to PostgreSQL.
//!
//! A connection goes on one group of messages at a time: what a client sends up to its `Sync`, or one simple query, and the
//! answers up to `ReadyForQuery`.

use std::collections::HashMap;
use std::net::SocketAddr;

use tokio::io::AsyncWriteExt;
use tokio::net::TcpStream;
use tokio::net::tcp::OwnedReadHalf;
use tokio::sync::mpsc;
use tokio_util::task::AbortOnDropHandle;

use super::frames::{self, Frame, Reader};
use super::{Moment, Tripwire, commit};

const PARSE: u8 = b'P';
const BIND: u8 = b'B';
const EXECUTE: u8 = b'E';
const QUERY: u8 = b'Q';
const SYNC: u8 = b'S';
const TERMINATE: u8 = b'X';
const READY: u8 = b'Z';
/// How `ReadyForQuery` says that no transaction is open.
const IDLE: &[u8] = b"I";

impl Tripwire {
    /// A wire to `database`: its address from this end.
    pub async fn to_postgres(&self, database: &str) -> (String, AbortOnDropHandle<()>) {
        let (place, name) = database.rsplit_once('/').unwrap();
        let (user, server) = place.rsplit_once('@').unwrap();
        let server: SocketAddr = server.parse().unwrap();
        let (address, running) = self.string(server, converse).await;
        (format!("{user}@{address}/{name}?sslmode=disable"), running)
    }
}

/// What a connection has prepared, and the transaction it is in.
#[derive(Default)]
struct Session {
    statements: HashMap<String, String>,
    in_transaction: bool,
    /// What the transaction will have written.
    written: Vec<String>,
}

impl Session {
    /// What `group` commits, if it does.
    fn commits(&mut self, group: &[Frame]) -> Vec<String> {
        let mut bound: Option<(String, Vec<Option<Vec<u8>>>)> = None;
        let mut commits = false;
        for frame in group {
            let mut reader = Reader(&frame.body);
            match frame.tag {
                PARSE => {
                    let name = reader.text();
                    self.statements.insert(name, reader.text());
                }
                BIND => {
                    let (_portal, name) = (reader.text(), reader.text());
                    let formats = reader.short();
                    reader.bytes(2 * formats);
                    let values = (0..reader.short()).map(|_| reader.value().map(<[u8]>::to_vec)).collect();
                    bound = Some((self.statements[&name].clone(), values));
                }
                EXECUTE => {
                    let (sql, values) = bound.take().expect("what is executed was bound");
                    self.written.extend(commit::names(&sql, &values));
                }
                QUERY => {
                    let sql = reader.text();
                    commits |= sql.trim_start().starts_with("COMMIT");
                    if sql.trim_start().starts_with("ROLLBACK") {
                        self.written.clear();
                    }
                    self.written.extend(commit::names(&sql, &[]));
                }
                _ => {}
            }
        }
        if commits || !self.in_transaction { std::mem::take(&mut self.written) } else { Vec::new() }
    }
}

async fn converse(wire: Tripwire, mut near: TcpStream, server: SocketAddr) -> std::io::Result<()> {
    let mut far = TcpStream::connect(server).await?;
    far.set_nodelay(true)?;
    near.set_nodelay(true)?;
    far.write_all(&frames::read_opening(&mut near).await?).await?;
    let (near_end, mut to_near) = near.into_split();
    let (far_end, mut to_far) = far.into_split();
    let (mut asked, mut answered) = (incoming(near_end), incoming(far_end));
    let mut session = Session::default();
    let mut group = Vec::new();
    loop {
        let frame = tokio::select! {
            frame = asked.recv() => frame,
            // The welcome, and notices that nobody asked for.
            frame = answered.recv() => {
                let Some(frame) = frame else { return Ok(()) };
                frames::write(&mut to_near, &[frame]).await?;
                continue;
            }
        };
        let Some(frame) = frame else { return Ok(()) };
        let tag = frame.tag;
        group.push(frame);
        if !matches!(tag, SYNC | QUERY | TERMINATE) {
            continue;
        }
        let steps = session.commits(&group);
        if !steps.is_empty() && !wire.meet(&steps, Moment::Before) {
            return Ok(());
        }
        frames::write(&mut to_far, &std::mem::take(&mut group)).await?;
        if tag == TERMINATE {
            return Ok(());
        }
        let mut answers = Vec::new();
        loop {
            let Some(frame) = answered.recv().await else { return Ok(()) };
            let is_last = frame.tag == READY;
            if is_last {
                session.in_transaction = frame.body != IDLE;
            }
            answers.push(frame);
            if is_last {
                break;
            }
        }
        if !steps.is_empty() && !wire.meet(&steps, Moment::After) {
            return Ok(());
        }
        frames::write(&mut to_near, &answers).await?;
    }
}

/// What comes from one end, until it ends.
fn incoming(mut end: OwnedReadHalf) -> mpsc::UnboundedReceiver<Frame> {
    let (sender, frames) = mpsc::unbounded_channel();
    tokio::spawn(async move {
        while let Ok(frame) = frames::read(&mut end).await {
            if sender.send(frame).is_err() {
                return;
            }
        }
    });
    frames
}
