//! The parent's side: starts children, listens to them, and says how they ended.

use std::os::unix::process::ExitStatusExt;
use std::path::{Path, PathBuf};
use std::process::{ExitStatus, Stdio};
use std::sync::Arc;
use std::time::Duration;

use serde_json::Value;
use tokio::io::{AsyncBufReadExt, AsyncReadExt, AsyncWriteExt, BufReader};
use tokio::process::{Child, ChildStderr, ChildStdout, Command};
use tokio::sync::Semaphore;
use tokio_util::sync::CancellationToken;

use super::{Assignment, Job, Limits, MISBEHAVE_VARIABLE, Said};
use crate::domain::Failure;

/// How much a child may say on stdout in bytes; a video of 30 s at 60 frames a second reports 1,800 times 32 bytes.
const STDOUT_BYTES_MAX: u64 = 1 << 20;
/// How much of a child's stderr is kept for the log, in bytes.
const STDERR_BYTES_MAX: u64 = 8 * 1024;
/// The signals by which a child's death is told apart (Linux numbers; the same on every supported architecture).
const SIGABRT: i32 = 6;
const SIGKILL: i32 = 9;
const SIGXCPU: i32 = 24;
const SIGXFSZ: i32 = 25;
/// What Rust's runtime prints before it aborts on a failed allocation: the one trace that tells it from other aborts.
const ALLOCATION_FAILED: &[u8] = b"memory allocation of";

/// Runs jobs in child processes, at most `slots` at a time.
#[derive(Clone, Debug)]
pub struct WorkerPool {
    executable: PathBuf,
    limits: Limits,
    slots: Arc<Semaphore>,
    misbehaviour_allowed: bool,
}

impl WorkerPool {
    /// A pool that starts `executable worker` for every job; `executable` is an absolute path, normally this process's
    /// own (`std::env::current_exe`).
    #[must_use]
    pub fn new(executable: PathBuf, limits: Limits, slots: usize) -> Self {
        Self { executable, limits, slots: Arc::new(Semaphore::new(slots.max(1))), misbehaviour_allowed: false }
    }

    /// Lets [`Job::Misbehave`] through; for tests.
    #[doc(hidden)]
    #[must_use]
    pub fn allowing_misbehaviour(mut self) -> Self {
        self.misbehaviour_allowed = true;
        self
    }

    /// Runs `job` in `directory`, which holds its input and receives its output, and returns what it reports. The
    /// child gets no environment and may take `timeout` from its start; `progress` hears parts of 1.
    ///
    /// Dropping the future kills the child, and so does cancelling, at once.
    ///
    /// # Errors
    /// What the child reports itself, or one of these codes: `cancelled`; and, worth another attempt,
    /// `worker_timeout`, `worker_out_of_memory`, `worker_killed`, `decoder_crashed`, `worker_garbled` and
    /// `worker_unavailable`; and `result_too_large`, which is not.
    pub async fn run(
        &self,
        job: &Job,
        directory: &Path,
        progress: &(dyn Fn(f32) + Send + Sync),
        cancel: &CancellationToken,
        timeout: Duration,
    ) -> Result<Value, Failure> {
        let _slot = tokio::select! {
            biased;
            () = cancel.cancelled() => return Err(cancelled()),
            slot = self.slots.acquire() => slot.map_err(|_| unavailable("the worker pool is closed"))?,
        };
        let mut child = self.start(directory)?;
        let outcome = tokio::select! {
            biased;
            () = cancel.cancelled() => Err(cancelled()),
            () = tokio::time::sleep(timeout) => Err(timed_out()),
            outcome = converse(&mut child, self.limits, job, progress) => outcome,
        };
        if outcome.is_err() && child.id().is_some() {
            // Waits for the end, so that no zombie and no writer in `directory` is left behind.
            if let Err(error) = child.kill().await {
                tracing::warn!(%error, "a worker could not be stopped");
            }
        }
        outcome
    }

    fn start(&self, directory: &Path) -> Result<Child, Failure> {
        let mut command = Command::new(&self.executable);
        command.arg("worker").current_dir(directory).env_clear().kill_on_drop(true);
        command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
        // An allocator that reserves ahead takes from the child's memory limit what a picture's buffers need.
        command.env("MIMALLOC_ARENA_RESERVE", "0");
        // And it keeps what is freed for a while: a decoder's next large buffer would not fit beside the last one.
        command.env("MIMALLOC_PURGE_DELAY", "0");
        if self.misbehaviour_allowed {
            command.env(MISBEHAVE_VARIABLE, "1");
        }
        command.spawn().map_err(|error| unavailable(&format!("the worker process could not be started: {error}")))
    }
}

/// Talks with the child until its end.
async fn converse(
    child: &mut Child,
    limits: Limits,
    job: &Job,
    progress: &(dyn Fn(f32) + Send + Sync),
) -> Result<Value, Failure> {
    let (Some(mut stdin), Some(stdout), Some(stderr)) = (child.stdin.take(), child.stdout.take(), child.stderr.take())
    else {
        return Err(unavailable("the worker process has no pipes"));
    };
    let mut line = serde_json::to_vec(&Assignment { limits, job: job.clone() })
        .map_err(|error| Failure::fatal("job_unknown", format!("the job cannot be written down: {error}")))?;
    line.push(b'\n');
    // A child that died before it read its job is explained by how it ended, below.
    let written = stdin.write_all(&line).await;
    let (said, trace) = tokio::join!(listen(stdout, progress), last_words(stderr));
    let status = child.wait().await;
    drop(stdin);
    let status = status.map_err(|error| unavailable(&format!("the worker process was lost: {error}")))?;
    if !trace.is_empty() {
        tracing::debug!(%status, stderr = %String::from_utf8_lossy(&trace), "a worker wrote to stderr");
    }
    match said {
        Some(Said::Done(result)) if status.success() => Ok(result),
        Some(Said::Failed(failure)) if status.success() => Err(failure),
        _ if !status.success() => Err(died(status, &trace)),
        _ => Err(Failure::passing(
            "worker_garbled",
            if written.is_ok() { "the worker ended without a result" } else { "the worker took no job" },
        )),
    }
}

/// Hears the child out: the last thing it said, or nothing when it said what is not in the protocol.
async fn listen(stdout: ChildStdout, progress: &(dyn Fn(f32) + Send + Sync)) -> Option<Said> {
    let mut lines = BufReader::new(stdout.take(STDOUT_BYTES_MAX));
    let mut line = Vec::new();
    let mut last = None;
    let mut garbled = false;
    // Garbage is read to its end too: a closed pipe would make the child fail in another way.
    while let Ok(1..) = lines.read_until(b'\n', &mut line).await {
        match serde_json::from_slice(&line) {
            Ok(Said::Progress(part)) => progress(part.clamp(0.0, 1.0)),
            Ok(said) => last = Some(said),
            Err(_) => garbled = true,
        }
        line.clear();
    }
    last.filter(|_| !garbled)
}

/// The last of what the child wrote to stderr. Reads all of it, so that a talkative child is not held up.
async fn last_words(mut stderr: ChildStderr) -> Vec<u8> {
    let mut kept = Vec::new();
    let mut piece = [0; 4096];
    while let Ok(length @ 1..) = stderr.read(&mut piece).await {
        kept.extend_from_slice(&piece[..length]);
        let surplus = kept.len().saturating_sub(STDERR_BYTES_MAX as usize);
        kept.drain(..surplus);
    }
    kept
}

fn died(status: ExitStatus, trace: &[u8]) -> Failure {
    let out_of_memory = trace.windows(ALLOCATION_FAILED.len()).any(|window| window == ALLOCATION_FAILED);
    match status.signal() {
        Some(SIGABRT) if out_of_memory => {
            Failure::passing("worker_out_of_memory", "processing the picture needed more memory than allowed")
        }
        Some(SIGKILL) => Failure::passing("worker_killed", "the worker was killed, most likely for want of memory"),
        Some(SIGXCPU) => timed_out(),
        Some(SIGXFSZ) => Failure::fatal("result_too_large", "the result is larger than allowed"),
        Some(_) => Failure::passing("decoder_crashed", "processing the picture crashed the worker"),
        None => unavailable(&format!("the worker ended with {status}")),
    }
}

/// How a step ends that was told to.
pub fn cancelled() -> Failure {
    Failure::fatal("cancelled", "the step was cancelled")
}

fn timed_out() -> Failure {
    Failure::passing("worker_timeout", "processing took longer than allowed")
}

fn unavailable(message: &str) -> Failure {
    Failure::passing("worker_unavailable", message)
}
