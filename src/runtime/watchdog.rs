//! Ends the process when a decision takes for ever.
//!
//! All partitions share a thread, and code that loops cannot be stopped from outside: the whole node would hang, silently.
//! A death is the better fault: whoever starts the process again gives the message that was in hand its trials, and
//! the third one sets it aside.

use std::sync::{Arc, Weak};
use std::thread;
use std::time::Duration;

use super::inflight::Inflight;

/// Looks in each limit: a decision is ended at most this part of the limit too late.
const LOOKS: u32 = 4;

/// Watches what is noted in `inflight`, on a thread of its own, for as long as somebody else holds it.
///
/// # Errors
/// When the system gives no thread.
pub fn start(inflight: &Arc<Inflight>, limit: Duration) -> std::io::Result<()> {
    let inflight = Arc::downgrade(inflight);
    thread::Builder::new().name("watchdog".to_owned()).spawn(move || watch(&inflight, limit))?;
    Ok(())
}

fn watch(inflight: &Weak<Inflight>, limit: Duration) {
    loop {
        thread::park_timeout(limit / LOOKS);
        let Some(inflight) = inflight.upgrade() else { return };
        if inflight.oldest().is_some_and(|age| age > limit) {
            tracing::error!(
                limit_ms = limit.as_millis(),
                "a decision takes longer than its limit and cannot be stopped: the process ends; start it again, and \
                 the message will be tried alone"
            );
            std::process::abort();
        }
    }
}
