//! Forgets what nobody needs any more: the history of actors that finished long ago, and claims that have expired.

use std::time::Duration;

use strum::IntoEnumIterator;
use tokio_util::sync::CancellationToken;

use crate::domain::task::{self, TaskMachine};
use crate::domain::{Machine, Timestamp, input};
use crate::runtime::clock::Clock;
use crate::runtime::engine::Engine;

/// How often there is a look.
const PERIOD: Duration = Duration::from_secs(600);
/// Actors looked at, and claims dropped, in one go; commits take their turn between two of them.
const PAGE: u64 = 500;
/// A day in milliseconds.
const DAY_MS: i64 = 24 * 60 * 60 * 1_000;

/// Forgets on a period until `stop`.
pub async fn run(engine: Engine, clock: impl Clock, days: u32, stop: CancellationToken) {
    let mut period = tokio::time::interval(PERIOD);
    loop {
        tokio::select! {
            () = stop.cancelled() => return,
            _ = period.tick() => {}
        }
        if let Err(error) = forget(&engine, clock.now(), days, &stop).await {
            tracing::warn!(%error, "old history could not be dropped; there is another look later");
        }
    }
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
