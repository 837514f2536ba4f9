//! Forgets what nobody needs any more: the history of actors that finished long ago, claims that have expired, and old
//! files.

use std::time::Duration;

use strum::IntoEnumIterator;
use tokio_util::sync::CancellationToken;

use crate::activity::retention::{FOLDERS, Retention};
use crate::activity::storage::{self, Storage};
use crate::domain::task::{self, TaskMachine};
use crate::domain::{Machine, Timestamp, input};
use crate::runtime::clock::Clock;
use crate::runtime::engine::Engine;

/// How often there is a look.
const PERIOD: Duration = Duration::from_secs(600);
/// Actors looked at, and claims dropped, in one go; commits take their turn between two of them.
const PAGE: u64 = 500;
/// Files removed in one go.
const FILES: usize = 1_000;
/// A day in milliseconds.
const DAY_MS: i64 = 24 * 60 * 60 * 1_000;

/// Forgets on a period until `stop`.
pub async fn run(engine: Engine, storage: Storage, clock: impl Clock, days: u32, stop: CancellationToken) {
    let mut period = tokio::time::interval(PERIOD);
    loop {
        tokio::select! {
            () = stop.cancelled() => return,
            _ = period.tick() => {}
        }
        if let Err(error) = forget(&engine, clock.now(), days, &stop).await {
            tracing::warn!(%error, "old history could not be dropped; there is another look later");
        }
        if let Err(error) = tidy(&storage, clock.now(), days, &stop).await {
            tracing::warn!(%error, "old files could not be removed; there is another look later");
        }
    }
}

/// Removes files that are past their time.
async fn tidy(storage: &Storage, now: Timestamp, days: u32, stop: &CancellationToken) -> Result<(), storage::Error> {
    let kept_ms = DAY_MS * i64::from(days);
    let retention = Retention { inputs_ms: kept_ms, results_ms: kept_ms, ..Retention::default() };
    for folder in FOLDERS {
        let mut more = true;
        while more && !stop.is_cancelled() {
            let swept = storage.sweep(folder, FILES, |file| retention.is_over(file, now)).await?;
            if swept.files > 0 {
                tracing::info!(folder, files = swept.files, bytes = swept.bytes, "old files are removed");
            }
            more = swept.more;
        }
    }
    Ok(())
}

async fn forget(
    engine: &Engine,
    now: Timestamp,
    days: u32,
    stop: &CancellationToken,
) -> Result<(), crate::runtime::journal::Error> {
    let before = now.plus_ms(-DAY_MS * i64::from(days));
    let tasks: Vec<&str> = task::Status::iter().filter(|status| status.is_final()).map(Into::into).collect();
    let inputs: [&str; 1] = [input::Status::Answered.into()];
    for (kind, finals) in [(TaskMachine::KIND, tasks.as_slice()), (input::InputMachine::KIND, &inputs)] {
        let mut after = None;
        while !stop.is_cancelled() {
            let pruned = engine.journal().prune(kind, finals, before, after.as_deref(), PAGE).await?;
            match pruned.next {
                Some(next) => after = Some(next),
                None => break,
            }
        }
    }
    while !stop.is_cancelled() && engine.journal().prune_claims(now, PAGE).await? == PAGE {}
    Ok(())
}
