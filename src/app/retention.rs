//! Forgets what nobody needs any more: the history of actors that finished long ago, claims that have expired, old
//! files, tokens and sign-ins whose time is over, and what operators did long ago.

use std::time::Duration;

use strum::IntoEnumIterator;
use tokio_util::sync::CancellationToken;

use crate::activity::retention::{FOLDERS, Retention};
use crate::activity::storage::{self, Storage};
use crate::domain::payment::PaymentMachine;
use crate::domain::refund::RefundMachine;
use crate::domain::task::{self, TaskMachine};
use crate::domain::{Machine, Timestamp, input};
use crate::runtime::clock::Clock;
use crate::runtime::engine::Engine;
use crate::runtime::journal;
use crate::store::{self, Database, access_tokens, audit, payments, sandbox, sign_ins};

/// How often there is a look.
const PERIOD: Duration = Duration::from_secs(600);
/// Actors looked at, and claims dropped, in one go; commits take their turn between two of them.
const PAGE: u64 = 500;
/// Files removed in one go.
const FILES: usize = 1_000;
/// A day in milliseconds.
const DAY_MS: i64 = 24 * 60 * 60 * 1_000;

/// How long things are kept.
#[derive(Clone, Copy, Debug)]
pub struct Kept {
    /// The history of finished work and its files, in days.
    pub history_days: u32,
    /// What operators did, in days.
    pub audit_days: u32,
}

/// Forgets on a period until `stop`.
pub async fn run(
    engine: Engine,
    storage: Storage,
    database: Database,
    clock: impl Clock,
    kept: Kept,
    stop: CancellationToken,
) {
    let days = kept.history_days;
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
        let before = clock.now().plus_ms(-DAY_MS * i64::from(days));
        if let Err(error) = forget_payments(&engine, &database, before, &stop).await {
            tracing::warn!(%error, "old histories of payments could not be dropped; there is another look later");
        }
        if let Err(error) = sandbox::prune_events(&database, before).await {
            tracing::warn!(%error, "old events of the sandbox could not be dropped; there is another look later");
        }
        if let Err(error) = forget_people(&database, clock.now(), kept.audit_days, &stop).await {
            tracing::warn!(%error, "old tokens and audit rows could not be dropped; there is another look later");
        }
    }
}

/// Payments could not be forgotten.
#[derive(Debug, thiserror::Error)]
enum Error {
    /// They could not be read.
    #[error(transparent)]
    Read(#[from] store::Error),
    /// Their journals could not be dropped.
    #[error(transparent)]
    Drop(#[from] journal::Error),
}

/// Drops the histories of payments and refunds that ended: what they came to stays in their rows. What waits for a person
/// keeps its history.
async fn forget_payments(
    engine: &Engine,
    database: &Database,
    before: Timestamp,
    stop: &CancellationToken,
) -> Result<(), Error> {
    for kind in [PaymentMachine::KIND, RefundMachine::KIND] {
        let mut after = String::new();
        while !stop.is_cancelled() {
            let ended = if kind == PaymentMachine::KIND {
                payments::finished(database, before, &after, PAGE).await?
            } else {
                payments::finished_refunds(database, before, &after, PAGE).await?
            };
            let Some(last) = ended.last() else { break };
            after.clone_from(last);
            let actors: Vec<String> = ended.iter().map(|id| format!("{kind}/{id}")).collect();
            engine.journal().forget(&actors).await?;
        }
    }
    Ok(())
}

/// Drops tokens and sign-ins whose time is over, and what operators did long ago.
async fn forget_people(
    database: &Database,
    now: Timestamp,
    audit_days: u32,
    stop: &CancellationToken,
) -> Result<(), store::Error> {
    sign_ins::prune(database, now).await?;
    access_tokens::prune(database, now.plus_ms(-DAY_MS)).await?;
    let before = now.plus_ms(-DAY_MS * i64::from(audit_days));
    while !stop.is_cancelled() && audit::prune(database, before, PAGE).await? == PAGE {}
    Ok(())
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

async fn forget(engine: &Engine, now: Timestamp, days: u32, stop: &CancellationToken) -> Result<(), journal::Error> {
    let before = now.plus_ms(-DAY_MS * i64::from(days));
    while !stop.is_cancelled() && engine.journal().prune_traces(before, PAGE).await? == PAGE {}
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
