//! Buckets that all nodes share, in Redis. What has gathered while one trip was under way goes out with the next.

use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use tokio::sync::{mpsc, oneshot};
use tokio::time::{Instant, timeout};

use super::bucket::{Rate, Taken};
use crate::runtime::redis::{Args, Redis, Script};

/// What the names of all buckets begin with. They lie in one slot of a Cluster, because one script touches many.
const BASE: &str = "{limits}";
/// Calls of one trip at most.
const TRIP_MAX: usize = 512;
/// Calls that wait for a trip at most; further ones are counted by their node alone.
const WAITING_MAX: usize = 16_384;
/// How long one trip may take before the node counts alone: nobody waits longer for being counted.
const PATIENCE: Duration = Duration::from_millis(250);
/// After a failure Redis is not asked for so long.
const REST: Duration = Duration::from_secs(1);

/// The buckets of all nodes.
#[derive(Clone, Debug)]
pub struct Shared {
    asks: mpsc::Sender<Ask>,
    absence: Arc<Mutex<Option<Absence>>>,
}

#[derive(Debug)]
struct Ask {
    bucket: String,
    rate: Rate,
    answer: oneshot::Sender<Taken>,
}

/// Redis did not answer.
#[derive(Clone, Debug)]
struct Absence {
    since: Instant,
    /// It is asked again from then on.
    again: Instant,
    why: String,
}

impl Shared {
    /// The buckets of the installation, asked for on the current tokio runtime until the last copy is dropped.
    #[must_use]
    pub fn start(redis: Redis) -> Self {
        let (asks, mut asked) = mpsc::channel(WAITING_MAX);
        let absence = Arc::<Mutex<Option<Absence>>>::default();
        let noted = absence.clone();
        tokio::spawn(async move {
            let trips = Trips { base: redis.key(BASE), redis, script: Script::new(include_str!("take.lua")) };
            let mut gathered = Vec::with_capacity(TRIP_MAX);
            while asked.recv_many(&mut gathered, TRIP_MAX).await > 0 {
                let answered = trips.go(&gathered).await;
                note(&noted, answered.as_ref().err());
                // Whoever hears nothing is counted by its node.
                for (ask, taken) in gathered.drain(..).zip(answered.unwrap_or_default()) {
                    // Who asked may have gone away.
                    let _ = ask.answer.send(taken);
                }
            }
        });
        Self { asks, absence }
    }

    /// Takes a call out of a bucket; `None` while Redis does not say.
    pub async fn take(&self, bucket: &str, rate: Rate) -> Option<Taken> {
        if self.lock().as_ref().is_some_and(|absence| Instant::now() < absence.again) {
            return None;
        }
        let (answer, answered) = oneshot::channel();
        self.asks.try_send(Ask { bucket: bucket.to_owned(), rate, answer }).ok()?;
        answered.await.ok()
    }

    /// For how long the buckets cannot be shared, and why.
    #[must_use]
    pub fn away(&self) -> Option<(Duration, String)> {
        self.lock().as_ref().map(|absence| (absence.since.elapsed(), absence.why.clone()))
    }

    fn lock(&self) -> std::sync::MutexGuard<'_, Option<Absence>> {
        self.absence.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

struct Trips {
    redis: Redis,
    script: Script,
    base: String,
}

impl Trips {
    /// Takes the calls of one trip.
    async fn go(&self, asks: &[Ask]) -> Result<Vec<Taken>, String> {
        let mut args = Args::default();
        for ask in asks {
            args.push(&ask.bucket);
            args.push(ask.rate.step_us());
            args.push(ask.rate.window_us());
        }
        let said = timeout(PATIENCE, self.script.run::<Vec<i64>>(&self.redis, &self.base, &args)).await;
        let said = said.map_err(|_| format!("no answer within {PATIENCE:?}"))?.map_err(|error| error.to_string())?;
        let (now_us, pairs) = said.split_first().ok_or("its answer is empty")?;
        let taken = |pair: &[i64]| Taken { allowed: pair.first() == Some(&1), fills_in_us: pair[1], now_us: *now_us };
        Ok(pairs.chunks_exact(2).map(taken).collect())
    }
}

fn note(absence: &Mutex<Option<Absence>>, failed: Option<&String>) {
    let mut absence = absence.lock().unwrap_or_else(PoisonError::into_inner);
    match failed {
        None => {
            if let Some(was) = absence.take() {
                tracing::info!(away_for_s = was.since.elapsed().as_secs(), "limits are shared by all nodes again");
            }
        }
        Some(why) => {
            let now = Instant::now();
            if absence.is_none() {
                tracing::warn!(why, "limits cannot be shared: each node counts for itself");
            }
            let since = absence.as_ref().map_or(now, |absence| absence.since);
            *absence = Some(Absence { since, again: now + REST, why: why.clone() });
        }
    }
}
