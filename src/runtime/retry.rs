//! How long to wait between attempts: the one place that knows the crate `backoff`.
//!
//! That crate is no longer maintained; everything else uses [`Delays`], so that another crate can take its place here.

use std::time::Duration;

use backoff::ExponentialBackoff;
use backoff::backoff::Backoff;

/// Attempts that grow apart, with jitter, up to a limit.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Policy {
    /// The first wait in milliseconds.
    pub first_ms: u64,
    /// No wait is longer than about this, in milliseconds.
    pub longest_ms: u64,
    /// After this many milliseconds since the first failure no further attempt is made.
    pub give_up_after_ms: u64,
}

impl Policy {
    /// The waits of one series of attempts; its time starts now.
    #[must_use]
    pub fn delays(self) -> Delays {
        let mut inner = ExponentialBackoff {
            initial_interval: Duration::from_millis(self.first_ms),
            max_interval: Duration::from_millis(self.longest_ms),
            max_elapsed_time: Some(Duration::from_millis(self.give_up_after_ms)),
            multiplier: 2.0,
            ..ExponentialBackoff::default()
        };
        inner.reset();
        Delays { inner }
    }
}

/// The waits before each further attempt; ends when it is time to give up.
#[derive(Debug)]
pub struct Delays {
    inner: ExponentialBackoff,
}

impl Iterator for Delays {
    type Item = Duration;

    fn next(&mut self) -> Option<Duration> {
        self.inner.next_backoff()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn waits_grow_up_to_the_longest() {
        let policy = Policy { first_ms: 10, longest_ms: 100, give_up_after_ms: 60_000 };
        let waits: Vec<_> = policy.delays().take(12).collect();
        assert_eq!(waits.len(), 12);
        assert!(waits[0] <= Duration::from_millis(15), "{waits:?}");
        assert!(waits[11] >= Duration::from_millis(50), "{waits:?}");
        assert!(waits.iter().all(|wait| *wait <= Duration::from_millis(150)), "{waits:?}");
    }

    #[test]
    fn no_attempt_is_made_past_the_limit() {
        let policy = Policy { first_ms: 10, longest_ms: 100, give_up_after_ms: 0 };
        assert_eq!(policy.delays().next(), None);
    }
}
