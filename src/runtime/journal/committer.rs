//! One thread that commits for everyone.
//!
//! It never waits for a batch to fill: it takes what has gathered, commits it, answers, and takes what has gathered
//! meanwhile. Under load batches grow by themselves; alone, a unit waits for nothing.

use std::collections::VecDeque;
use std::fmt;
use std::panic::AssertUnwindSafe;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use futures_util::FutureExt as _;
use tokio::sync::{mpsc, oneshot, watch};

use crate::runtime::journal::open::{Journal, Shared};
use crate::runtime::journal::writer::Writer;
use crate::runtime::journal::{Outcome, Unit};
use crate::runtime::kind::panic_text;

/// Units that may wait for their turn; past it, callers are told to come back.
const QUEUE_MAX: usize = 8_192;
/// Units taken at once. Larger batches would make the first of them wait longer than they save.
const BATCH_MAX: usize = 512;
/// The latest commits that the statistics are about.
const REMEMBERED: usize = 256;

/// Where an outcome goes. Called on the committer's thread: it must not block.
pub type Reply = Box<dyn FnOnce(Outcome) + Send>;

/// Why a unit was not taken.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Busy {
    /// Too many wait already.
    #[error("too many units wait to be committed")]
    Full,
    /// The committer is closing.
    #[error("no more units are committed")]
    Closed,
}

/// What the committer did lately.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct CommitterStats {
    /// Commits since the start.
    pub commits: u64,
    /// Units in them.
    pub units: u64,
    /// Units that wait for their turn right now.
    pub waiting: usize,
    /// Half of the latest commits held no more units than this.
    pub size_p50: usize,
    /// The largest of the latest commits.
    pub size_max: usize,
    /// Half of the latest commits took no longer.
    pub latency_p50: Duration,
    /// 99 in 100 of the latest commits took no longer.
    pub latency_p99: Duration,
    /// Since when the database has been away, if it is.
    pub unavailable_since: Option<Instant>,
}

/// The door to the committer's thread. Clones lead to the same one.
#[derive(Clone)]
pub struct Committer {
    sender: mpsc::Sender<Job>,
    closing: Arc<watch::Sender<bool>>,
    closed: watch::Receiver<bool>,
    summary: Arc<Mutex<Summary>>,
    shared: Arc<Shared>,
}

struct Job {
    unit: Arc<Unit>,
    reply: Reply,
}

#[derive(Default)]
struct Summary {
    commits: u64,
    units: u64,
    latest: VecDeque<(usize, Duration)>,
}

impl fmt::Debug for Committer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Committer").finish_non_exhaustive()
    }
}

impl Committer {
    /// Starts the thread. It opens its own connection to the journal's database.
    ///
    /// # Errors
    /// When the system gives no thread.
    pub fn spawn(journal: &Journal) -> Result<Self, std::io::Error> {
        let (sender, receiver) = mpsc::channel(QUEUE_MAX);
        let (closing, must_close) = watch::channel(false);
        let (done, closed) = watch::channel(false);
        let summary = Arc::new(Mutex::new(Summary::default()));
        let writer = Writer::new(Arc::clone(&journal.shared));
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
        let shown = Arc::clone(&summary);
        std::thread::Builder::new().name("committer".to_owned()).spawn(move || {
            runtime.block_on(run(writer, receiver, must_close, &shown));
            done.send_replace(true);
        })?;
        Ok(Self { sender, closing: Arc::new(closing), closed, summary, shared: Arc::clone(&journal.shared) })
    }

    /// Hands a unit over; `reply` is called once, with its outcome.
    ///
    /// # Errors
    /// [`Busy`]: the unit was not taken, and `reply` is not called.
    pub fn try_submit(&self, unit: Arc<Unit>, reply: Reply) -> Result<(), Busy> {
        if *self.closing.borrow() {
            return Err(Busy::Closed);
        }
        self.sender.try_send(Job { unit, reply }).map_err(|refusal| match refusal {
            mpsc::error::TrySendError::Full(_) => Busy::Full,
            mpsc::error::TrySendError::Closed(_) => Busy::Closed,
        })
    }

    /// Hands a unit over, waiting for room, and waits for its outcome.
    pub async fn submit(&self, unit: Arc<Unit>) -> Outcome {
        let (sender, outcome) = oneshot::channel();
        let reply: Reply = Box::new(move |outcome| {
            // Whoever asked may have stopped waiting.
            let _ = sender.send(outcome);
        });
        let closed = || Outcome::Unavailable(Busy::Closed.to_string());
        if *self.closing.borrow() || self.sender.send(Job { unit, reply }).await.is_err() {
            return closed();
        }
        outcome.await.unwrap_or_else(|_| closed())
    }

    /// What it did lately.
    #[must_use]
    pub fn stats(&self) -> CommitterStats {
        let summary = self.summary.lock().unwrap_or_else(PoisonError::into_inner);
        let mut sizes: Vec<usize> = summary.latest.iter().map(|(size, _)| *size).collect();
        let mut latencies: Vec<Duration> = summary.latest.iter().map(|(_, latency)| *latency).collect();
        sizes.sort_unstable();
        latencies.sort_unstable();
        let at = |percent: usize, length: usize| (length * percent / 100).min(length.saturating_sub(1));
        CommitterStats {
            commits: summary.commits,
            units: summary.units,
            waiting: self.sender.max_capacity() - self.sender.capacity(),
            size_p50: sizes.get(at(50, sizes.len())).copied().unwrap_or_default(),
            size_max: sizes.last().copied().unwrap_or_default(),
            latency_p50: latencies.get(at(50, latencies.len())).copied().unwrap_or_default(),
            latency_p99: latencies.get(at(99, latencies.len())).copied().unwrap_or_default(),
            unavailable_since: self.shared.away_since(),
        }
    }

    /// Takes no more units, commits those that were taken, and returns when every one of them is answered.
    pub async fn close(&self) {
        self.closing.send_replace(true);
        let mut closed = self.closed.clone();
        // An error means that the thread is gone, which is as closed as it gets.
        let _ = closed.wait_for(|closed| *closed).await;
    }
}

async fn run(
    mut writer: Writer,
    mut receiver: mpsc::Receiver<Job>,
    mut must_close: watch::Receiver<bool>,
    summary: &Mutex<Summary>,
) {
    let mut jobs = Vec::with_capacity(BATCH_MAX);
    let mut open = true;
    loop {
        tokio::select! {
            biased;
            taken = receiver.recv_many(&mut jobs, BATCH_MAX) => {
                if taken == 0 {
                    break;
                }
            }
            // An error means that every door is gone: the queue ends by itself.
            _ = must_close.wait_for(|close| *close), if open => {
                open = false;
                receiver.close();
                continue;
            }
        }
        let (units, replies): (Vec<_>, Vec<_>) = jobs.drain(..).map(|job: Job| (job.unit, job.reply)).unzip();
        let begun = Instant::now();
        let outcomes = match AssertUnwindSafe(writer.commit(&units)).catch_unwind().await {
            Ok(outcomes) => outcomes,
            Err(panic) => {
                // Nobody knows what it left behind: a new one asks, and its callers with it.
                writer = writer.renewed();
                let reason = format!("the committer panicked: {}", panic_text(&*panic));
                tracing::error!(reason, "a commit has an unknown outcome");
                vec![Outcome::Unavailable(reason); units.len()]
            }
        };
        note(summary, units.len(), begun.elapsed());
        for (reply, outcome) in replies.into_iter().zip(outcomes) {
            reply(outcome);
        }
    }
    writer.close().await;
}

fn note(summary: &Mutex<Summary>, size: usize, latency: Duration) {
    let mut summary = summary.lock().unwrap_or_else(PoisonError::into_inner);
    summary.commits += 1;
    summary.units += size as u64;
    if summary.latest.len() == REMEMBERED {
        summary.latest.pop_front();
    }
    summary.latest.push_back((size, latency));
}
