//! The measurements.

use std::net::SocketAddr;
use std::rc::Rc;
use std::time::{Duration, Instant};

use serde::Serialize;
use serde_json::json;
use tokio::task::LocalSet;

use super::child::{BareServer, Child};
use super::http::{self, Connection};
use super::load::{self, Bounds, Quantiles, Seen};
use super::rows::Rows;
use crate::cli::Error;

/// Tasks whose reads are measured.
const READ_TASKS: u64 = 1_000;
/// Turns that each side of a comparison has: the machine's mood changes within a run.
const TURNS: u32 = 2;
/// Before a latency is measured.
pub(super) const WARM_UP: Duration = Duration::from_secs(2);
/// Seconds that an answer is held back until the task is completed.
const WAIT_S: u32 = 10;
/// The smallest picture: one pixel of PNG.
const PIXEL: &str = "data:image/png;base64,iVBORw0KGgoAAAANSUhEUgAAAAEAAAABCAYAAAAfFcSJAAAADUlEQVR42mNk+M9QDwADhgGAWjR9awAAAABJRU5ErkJggg==";

/// The template whose tasks do nothing.
pub(super) struct Noop {
    body: String,
}

impl Noop {
    /// Asks the server how its tasks are made.
    pub(super) async fn find(target: &Child) -> Result<Self, Error> {
        Ok(Self { body: task_of(target, "noop", json!({})).await? })
    }

    fn post(&self, target: &Child) -> Rc<[u8]> {
        target.request("POST", "/task", Some(&self.body)).into()
    }
}

/// The body that makes a task of a template.
async fn task_of(target: &Child, template: &str, parameters: serde_json::Value) -> Result<String, Error> {
    let found = target.client.get(&["templates", "get", template], &[]).await?;
    let kind = if found["templateType"] == "IMAGE" { "image_generation" } else { "video_generation" };
    Ok(json!({ "type": kind, "templateCode": template, "parameters": parameters }).to_string())
}

/// What `throughput` found.
#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct Throughput {
    /// POSTs answered with 200.
    pub accepted: u64,
    /// Others.
    pub failed: u64,
    /// What the first of those said.
    pub failure: Option<String>,
    /// Tasks completed, counted in SQL.
    pub completed: u64,
    /// Rows that they left in the journal.
    pub decisions: u64,
    /// From the first POST until the last was completed, in seconds.
    pub seconds: f64,
    /// Completed ones a second.
    pub tasks_per_second: f64,
    /// POST to its answer.
    pub post: Quantiles,
    /// Memory of the server at the end, in MB.
    pub resident_mb: Option<u64>,
}

/// POSTs `tasks` as fast as `connections` may and waits until all are completed on disk.
pub(super) async fn throughput(
    target: &Child,
    noop: &Noop,
    tasks: u64,
    connections: usize,
    limit: Duration,
) -> Result<Throughput, Error> {
    let database = target.database.as_ref();
    let database =
        database.ok_or_else(|| Error::Failed("completed tasks are counted in SQL: give --count-in".into()))?;
    let rows = Rows::open(database).await?;
    let (completed, decisions) = (rows.completed().await?, rows.decisions().await?);
    let began = Instant::now();
    let until = began + limit;
    let post = noop.post(target);
    let seen = sound(closed(target.address, connections, tasks, until, move |_| post.clone()).await)?;
    let drained = rows.drained(completed + seen.accepted, until).await?;
    let ended = drained.ok_or_else(|| Error::Failed(format!("tasks were left after {} s", limit.as_secs())))?;
    let completed = rows.completed().await? - completed;
    if completed < seen.accepted {
        return Err(Error::Failed(format!("{} were accepted and only {completed} are completed", seen.accepted)));
    }
    let seconds = (ended - began).as_secs_f64();
    Ok(Throughput {
        accepted: seen.accepted,
        failed: seen.failed,
        failure: seen.failure,
        completed,
        decisions: rows.decisions().await? - decisions,
        seconds,
        tasks_per_second: completed as f64 / seconds,
        post: seen.times.quantiles(),
        resident_mb: target.resident_mb(),
    })
}

/// What `latency` found.
#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct Latency {
    /// POSTs a second.
    pub rate: u32,
    /// Calls that failed.
    pub failed: u64,
    /// POST to its answer.
    pub post: Quantiles,
    /// POST to the answer that shows the task completed.
    pub completed: Quantiles,
}

/// POSTs at a fixed rate and waits for each task with `?wait=`. What happens in the first [`WARM_UP`] is not counted: a
/// server that has just started opens its connections and plans its statements then.
pub(super) async fn latency(
    target: &Child,
    noop: &Noop,
    rate: u32,
    span: Duration,
    limit: Duration,
) -> Result<Latency, Error> {
    let wait = target.request("GET", &format!("/task/ID?wait={WAIT_S}"), None);
    let wait = String::from_utf8(wait).map_err(|_| Error::Failed("the key is no text".to_owned()))?;
    let follow = move |body: &[u8]| Some(wait.replacen("ID", http::field(body, "data")?, 1).into_bytes());
    let load = load::open(target.address, rate, (WARM_UP, span), noop.post(target), follow, "\"status\":\"completed\"");
    let seen = tokio::time::timeout(limit, LocalSet::new().run_until(load)).await;
    let seen = seen.map_err(|_| Error::Failed(format!("calls were left after {} s", limit.as_secs())))?;
    let (first, both) = (sound(seen.first)?, sound(seen.both)?);
    Ok(Latency {
        rate,
        failed: first.failed + both.failed,
        post: first.times.quantiles(),
        completed: both.times.quantiles(),
    })
}

/// What `reads` found.
#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct Reads {
    /// `GET /task/{id}` a second.
    pub reads_per_second: f64,
    /// Reads of the bare endpoint a second.
    pub bare_per_second: f64,
    /// The first as a part of the second.
    pub ratio: f64,
    /// A read to its answer.
    pub read: Quantiles,
    /// The bare endpoint's.
    pub bare: Quantiles,
}

/// Reads finished tasks as fast as `connections` may, in turns with the bare endpoint.
pub(super) async fn reads(
    target: &Child,
    noop: &Noop,
    bare: &BareServer,
    connections: usize,
    span: Duration,
) -> Result<Reads, Error> {
    let ids = finished(target, noop).await?;
    let calls: Vec<Rc<[u8]>> =
        ids.iter().map(|id| target.request("GET", &format!("/task/{id}"), None).into()).collect();
    let plain: Rc<[u8]> = http::request("GET", "/", None, None).into();
    let mut sides = [Side::default(), Side::default()];
    for _ in 0..TURNS {
        let turn = || Instant::now() + span / TURNS;
        let calls = calls.clone();
        let call = move |number: u64| calls[usize::try_from(number).unwrap_or(0) % calls.len()].clone();
        sides[0].add(closed(target.address, connections, u64::MAX, turn(), call).await)?;
        let plain = plain.clone();
        sides[1].add(closed(bare.address, connections, u64::MAX, turn(), move |_| plain.clone()).await)?;
    }
    let [task, bare] = sides.map(Side::result);
    Ok(Reads { reads_per_second: task.0, bare_per_second: bare.0, ratio: task.0 / bare.0, read: task.1, bare: bare.1 })
}

/// What `limits` found.
#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct Limited {
    /// `GET /task/{id}` a second, with authentication, limits and tracing.
    pub guarded_per_second: f64,
    /// The same without.
    pub unguarded_per_second: f64,
    /// The first as a part of the second.
    pub ratio: f64,
    /// A read to its answer, with them.
    pub guarded: Quantiles,
    /// Without.
    pub unguarded: Quantiles,
}

/// Reads finished tasks as fast as `connections` may, in turns with the same reads at a server without guards.
pub(super) async fn limits(
    target: &Child,
    noop: &Noop,
    unguarded: &Child,
    connections: usize,
    span: Duration,
) -> Result<Limited, Error> {
    let traced = |path: &str| {
        let call = target.request("GET", path, None);
        let (line, rest) = call.split_at(call.windows(2).position(|end| end == b"\r\n").map_or(0, |at| at + 2));
        [line, b"traceparent: 00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01\r\n", rest].concat()
    };
    let path = |id: &String| format!("/task/{id}");
    let with: Vec<Rc<[u8]>> = finished(target, noop).await?.iter().map(|id| traced(&path(id)).into()).collect();
    let without: Vec<Rc<[u8]>> =
        finished(unguarded, noop).await?.iter().map(|id| http::request("GET", &path(id), None, None).into()).collect();
    let mut sides = [Side::default(), Side::default()];
    for _ in 0..TURNS {
        for (side, (server, calls)) in sides.iter_mut().zip([(target, &with), (unguarded, &without)]) {
            let calls = calls.clone();
            let call = move |number: u64| calls[usize::try_from(number).unwrap_or(0) % calls.len()].clone();
            side.add(closed(server.address, connections, u64::MAX, Instant::now() + span / TURNS, call).await)?;
        }
    }
    let [with, without] = sides.map(Side::result);
    Ok(Limited {
        guarded_per_second: with.0,
        unguarded_per_second: without.0,
        ratio: with.0 / without.0,
        guarded: with.1,
        unguarded: without.1,
    })
}

/// The turns of one side; the last turn's times stand for it.
#[derive(Default)]
struct Side {
    calls: u64,
    took: Duration,
    last: Option<Quantiles>,
}

impl Side {
    fn add(&mut self, seen: Seen) -> Result<(), Error> {
        let seen = sound(seen)?;
        self.calls += seen.accepted;
        self.took += seen.took;
        self.last = Some(seen.times.quantiles());
        Ok(())
    }

    fn result(self) -> (f64, Quantiles) {
        let none = Quantiles { count: 0, p50_ms: 0.0, p99_ms: 0.0, max_ms: 0.0 };
        (self.calls as f64 / self.took.as_secs_f64(), self.last.unwrap_or(none))
    }
}

/// The ids of some tasks that are over.
async fn finished(target: &Child, noop: &Noop) -> Result<Vec<String>, Error> {
    let mut connection = Connection::new(target.address);
    let post = noop.post(target);
    let mut ids = Vec::new();
    for _ in 0..READ_TASKS {
        let (status, body) = connection.call(&post).await.map_err(|error| Error::Failed(error.to_string()))?;
        let id = http::field(body, "data").map(str::to_owned);
        ids.push(id.ok_or_else(|| Error::Failed(format!("no task came back, but status {status}")))?);
    }
    let last = ids.last().map(String::as_str).unwrap_or_default();
    target.client.get(&["task", last], &[("wait", &WAIT_S.to_string())]).await?;
    Ok(ids)
}

/// What `size` found, in MB of resident memory.
#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct Size {
    /// At the start.
    pub start_mb: u64,
    /// Tasks that were finished.
    pub finished: u64,
    /// With them.
    pub finished_mb: u64,
    /// Tasks that wait.
    pub waiting: u64,
    /// With both.
    pub waiting_mb: u64,
}

/// Finishes many tasks, lets many wait for their turn to render, and looks at the server's memory.
pub(super) async fn size(
    target: &Child,
    noop: &Noop,
    (finished, waiting): (u64, u64),
    connections: usize,
    limit: Duration,
) -> Result<Size, Error> {
    let unknown = || Error::Failed("the memory of a server that runs elsewhere is not known".to_owned());
    let start_mb = target.resident_mb().ok_or_else(unknown)?;
    let done = throughput(target, noop, finished, connections, limit).await?;
    let finished_mb = target.resident_mb().ok_or_else(unknown)?;
    let body = task_of(target, "photo-to-video", json!({ "imageUrl": PIXEL })).await?;
    let post: Rc<[u8]> = target.request("POST", "/task", Some(&body)).into();
    let until = Instant::now() + limit;
    let seen = sound(closed(target.address, connections, waiting, until, move |_| post.clone()).await)?;
    let waiting_mb = target.resident_mb().ok_or_else(unknown)?;
    Ok(Size { start_mb, finished: done.completed, finished_mb, waiting: seen.accepted, waiting_mb })
}

pub(super) async fn closed(
    server: SocketAddr,
    connections: usize,
    calls: u64,
    until: Instant,
    request: impl Fn(u64) -> Rc<[u8]> + 'static,
) -> Seen {
    LocalSet::new().run_until(load::closed(server, connections, Bounds { calls, until }, request)).await
}

/// A run in which nothing was accepted measured nothing.
pub(super) fn sound(seen: Seen) -> Result<Seen, Error> {
    if seen.accepted > 0 {
        return Ok(seen);
    }
    Err(Error::Failed(format!("no call succeeded: {}", seen.failure.unwrap_or_else(|| "none was made".to_owned()))))
}
