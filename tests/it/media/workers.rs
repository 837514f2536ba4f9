//! The worker process when things go wrong: with its job, with its parent, with time.

use std::io::{BufRead, BufReader, Write};
use std::path::Path;
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use mixvideo::activity::worker::{Job, Limits, Misbehaviour, WorkerPool};
use mixvideo::domain::Failure;
use serde_json::Value;
use tempfile::TempDir;
use tokio_util::sync::CancellationToken;

use super::executable;

/// Far longer than any of these jobs takes.
const LONG: Duration = Duration::from_secs(60);

struct Outcome {
    result: Result<Value, Failure>,
    took: Duration,
}

impl Outcome {
    fn failure(&self) -> (&str, bool) {
        let failure = self.result.as_ref().unwrap_err();
        (&failure.code, failure.retryable)
    }
}

fn pool(limits: Limits) -> WorkerPool {
    WorkerPool::new(executable(), limits, 1).allowing_misbehaviour()
}

async fn misbehave(how: Misbehaviour, limits: Limits, timeout: Duration) -> Outcome {
    let directory = TempDir::new().unwrap();
    let start = Instant::now();
    let job = Job::Misbehave { how };
    let result = pool(limits).run(&job, directory.path(), &|_| (), &CancellationToken::new(), timeout).await;
    Outcome { result, took: start.elapsed() }
}

/// The processes that work in `directory`.
fn working_in(directory: &Path) -> Vec<u32> {
    let directory = directory.canonicalize().unwrap();
    let processes =
        std::fs::read_dir("/proc").unwrap().filter_map(|entry| entry.unwrap().file_name().to_str()?.parse().ok());
    processes.filter(|pid| std::fs::read_link(format!("/proc/{pid}/cwd")).is_ok_and(|cwd| cwd == directory)).collect()
}

#[tokio::test]
async fn each_way_a_worker_dies_has_its_own_name() {
    let small = Limits { memory_bytes: 200 << 20, cpu_s: 1, file_bytes: 1 << 20, ..Limits::default() };
    for (how, expected) in [
        (Misbehaviour::Panic, ("decoder_crashed", false)),
        (Misbehaviour::Abort, ("decoder_crashed", true)),
        (Misbehaviour::ExhaustMemory, ("worker_out_of_memory", true)),
        (Misbehaviour::BurnProcessor, ("worker_timeout", true)),
        (Misbehaviour::WriteWithoutEnd, ("result_too_large", false)),
        (Misbehaviour::TalkGarbage, ("worker_garbled", true)),
        (Misbehaviour::EndSilently, ("worker_garbled", true)),
    ] {
        let outcome = misbehave(how, small, LONG).await;
        assert_eq!(outcome.failure(), expected, "{how:?}: {:?}", outcome.result);
    }
}

#[tokio::test]
async fn misbehaving_is_refused_unless_the_environment_allows_it() {
    let directory = TempDir::new().unwrap();
    let job = Job::Misbehave { how: Misbehaviour::Abort };
    let workers = WorkerPool::new(executable(), Limits::default(), 1);
    let result = workers.run(&job, directory.path(), &|_| (), &CancellationToken::new(), LONG).await;
    assert_eq!(result.unwrap_err().code, "job_unknown");
}

#[tokio::test]
async fn a_worker_sees_nothing_of_the_servers_environment() {
    let outcome = misbehave(Misbehaviour::TouchEnvironment, Limits::default(), LONG).await;
    let result = outcome.result.unwrap();
    let names: Vec<&str> = result["variables"].as_array().unwrap().iter().map(|name| name.as_str().unwrap()).collect();
    assert!(std::env::var_os("PATH").is_some());
    assert!(
        names.iter().all(|name| name.starts_with("MIMALLOC_") || name.starts_with("MIXVIDEO_WORKER_")),
        "{names:?}"
    );
}

#[tokio::test]
async fn a_worker_past_its_time_is_stopped() {
    let outcome = misbehave(Misbehaviour::Hang, Limits::default(), Duration::from_millis(300)).await;
    assert_eq!(outcome.failure(), ("worker_timeout", true));
    assert!(outcome.took < Duration::from_millis(1300), "{:?}", outcome.took);
}

#[tokio::test]
async fn cancelling_kills_the_worker_within_a_second_and_leaves_no_process() {
    let directory = TempDir::new().unwrap();
    let cancel = CancellationToken::new();
    let workers = pool(Limits::default());
    let cancelled_at = std::sync::OnceLock::new();
    let progress = |part: f32| {
        assert_eq!(part, 0.5);
        assert_eq!(working_in(directory.path()).len(), 1);
        cancelled_at.set(Instant::now()).unwrap();
        cancel.cancel();
    };
    let job = Job::Misbehave { how: Misbehaviour::Hang };
    let result = workers.run(&job, directory.path(), &progress, &cancel, LONG).await;
    assert_eq!(result.unwrap_err().code, "cancelled");
    assert!(cancelled_at.get().unwrap().elapsed() < Duration::from_secs(1));
    assert_eq!(working_in(directory.path()), [0; 0]);
}

#[tokio::test]
async fn cancelling_reaches_a_job_that_waits_for_its_turn() {
    let (first, second) = (TempDir::new().unwrap(), TempDir::new().unwrap());
    let workers = pool(Limits::default());
    let (stop_first, stop_second) = (CancellationToken::new(), CancellationToken::new());
    let job = Job::Misbehave { how: Misbehaviour::Hang };
    let started = |_| stop_second.cancel();
    let quiet = |_| ();
    let running = workers.run(&job, first.path(), &started, &stop_first, LONG);
    let waiting = async {
        let result = workers.run(&job, second.path(), &quiet, &stop_second, LONG).await;
        stop_first.cancel();
        result
    };
    let (ran, waited) = tokio::join!(running, waiting);
    assert_eq!(ran.unwrap_err().code, "cancelled");
    assert_eq!(waited.unwrap_err().code, "cancelled");
}

#[tokio::test]
async fn a_dropped_job_takes_its_worker_along() {
    let directory = TempDir::new().unwrap();
    let started = tokio::sync::Notify::new();
    let progress = |_| started.notify_one();
    let cancel = CancellationToken::new();
    let workers = pool(Limits::default());
    let job = Job::Misbehave { how: Misbehaviour::Hang };
    tokio::select! {
        _ = workers.run(&job, directory.path(), &progress, &cancel, LONG) => panic!("a hanging job ended"),
        () = started.notified() => {}
    }
    until(|| working_in(directory.path()).is_empty()).await;
}

#[tokio::test]
async fn a_missing_program_is_said_to_be_missing() {
    let directory = TempDir::new().unwrap();
    let workers = WorkerPool::new("/nowhere/mixvideo".into(), Limits::default(), 1);
    let result = workers.run(&Job::Picture, directory.path(), &|_| (), &CancellationToken::new(), LONG).await;
    assert_eq!(result.unwrap_err().code, "worker_unavailable");
}

/// Another process stands for the server: it alone holds the worker's stdin, and is killed.
#[tokio::test]
async fn a_worker_whose_parent_is_killed_ends_by_itself() {
    let directory = TempDir::new().unwrap();
    let mut worker = Command::new(executable())
        .arg("worker")
        .current_dir(directory.path())
        .env("MIXVIDEO_WORKER_MISBEHAVE", "1")
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    // The pipe's writing end moves to a process of its own, whose death closes it as a server's would.
    let mut stdin = worker.stdin.take().unwrap();
    let limits = serde_json::to_string(&Limits::default()).unwrap();
    writeln!(stdin, r#"{{"limits":{limits},"job":{{"kind":"misbehave","how":"hang"}}}}"#).unwrap();
    let mut holder = Command::new("sleep").arg("60").stdout(Stdio::from(stdin)).spawn().unwrap();
    let mut line = String::new();
    BufReader::new(worker.stdout.take().unwrap()).read_line(&mut line).unwrap();
    assert_eq!(line.trim(), r#"{"progress":0.5}"#);
    assert!(worker.try_wait().unwrap().is_none(), "it ended while its parent lived");
    holder.kill().unwrap();
    holder.wait().unwrap();
    until(|| worker.try_wait().unwrap().is_some()).await;
}

/// Waits for `condition`, ten seconds at most.
async fn until(mut condition: impl FnMut() -> bool) {
    let end = Instant::now() + Duration::from_secs(10);
    while !condition() {
        assert!(Instant::now() < end, "it did not happen within ten seconds");
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
}
