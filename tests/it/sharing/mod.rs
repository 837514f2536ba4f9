//! What several nodes share through Redis: news, progress, permits. The nodes are several hubs and rooms of one process.

mod news;
mod permits;

use std::time::{Duration, Instant};

/// How long something may take that happens.
pub const LIMIT: Duration = Duration::from_secs(30);

/// Waits until something holds.
pub async fn until(what: &str, mut holds: impl AsyncFnMut() -> bool) {
    let begun = Instant::now();
    while !holds().await {
        assert!(begun.elapsed() < LIMIT, "not within {LIMIT:?}: {what}");
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
}
