//! How requests arrive: room and time for their bodies, and the connections they come on.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};
use std::time::Duration;

use actix_web::error::PayloadError;
use actix_web::web::Payload;
use bytes::Bytes;
use futures_util::StreamExt as _;
use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use tokio::time::{Instant, timeout_at};

use super::error::Error;

/// What bodies are counted in, in bytes.
const UNIT: usize = 1_024;
/// So much is free for each body without being counted, in bytes: most bodies are smaller, and connections are limited.
const FREE: usize = 4 * UNIT;

/// Room and time for bodies.
#[derive(Debug)]
pub struct Arrivals {
    limit: Duration,
    stall: Duration,
    memory: Arc<Semaphore>,
    cut: AtomicU64,
}

impl Arrivals {
    /// A body may take `limit` in all and be silent for `stall`; all of them together may take `memory` bytes.
    #[must_use]
    pub fn new(limit: Duration, stall: Duration, memory: usize) -> Self {
        let units = (memory / UNIT).min(Semaphore::MAX_PERMITS);
        Self { limit, stall, memory: Arc::new(Semaphore::new(units)), cut: AtomicU64::new(0) }
    }

    /// Bodies that were given up, because they did not arrive in time, since the start.
    #[must_use]
    pub fn cut(&self) -> u64 {
        self.cut.load(Ordering::Relaxed)
    }

    /// A body begins to arrive.
    pub(super) fn begin(&self) -> Arrival<'_> {
        Arrival { arrivals: self, until: Instant::now() + self.limit, room: Vec::new(), bytes: FREE }
    }
}

/// A body on its way.
pub(super) struct Arrival<'a> {
    arrivals: &'a Arrivals,
    until: Instant,
    room: Vec<OwnedSemaphorePermit>,
    /// For which there is room.
    bytes: usize,
}

/// Room that a body takes, until it is dropped.
pub(super) struct Room(#[expect(dead_code, reason = "it is held")] Vec<OwnedSemaphorePermit>);

impl Arrival<'_> {
    /// The next piece.
    ///
    /// # Errors
    /// [`Error::TooSlow`].
    pub(super) async fn next(&self, payload: &mut Payload) -> Result<Option<Result<Bytes, PayloadError>>, Error> {
        let until = self.until.min(Instant::now() + self.arrivals.stall);
        timeout_at(until, payload.next()).await.map_err(|_| {
            self.arrivals.cut.fetch_add(1, Ordering::Relaxed);
            Error::TooSlow(format!(
                "the body did not arrive in time: {} s for all of it, {} s without a byte",
                self.arrivals.limit.as_secs(),
                self.arrivals.stall.as_secs()
            ))
        })
    }

    /// Makes room for `bytes` in all.
    ///
    /// # Errors
    /// [`Error::Unavailable`].
    pub(super) fn grow(&mut self, bytes: usize) -> Result<(), Error> {
        let missing = bytes.saturating_sub(self.bytes).div_ceil(UNIT);
        if missing == 0 {
            return Ok(());
        }
        // Taken in larger steps, the longer the body is.
        let wanted = missing.max(self.bytes / UNIT);
        let memory = &self.arrivals.memory;
        let take = |units: usize| memory.clone().try_acquire_many_owned(u32::try_from(units).ok()?).ok();
        let (units, permit) =
            take(wanted).map(|permit| (wanted, permit)).or_else(|| Some((missing, take(missing)?))).ok_or_else(
                || Error::unavailable("too many large requests are being received (server.body_memory_mb)", 2),
            )?;
        self.bytes += units * UNIT;
        self.room.push(permit);
        Ok(())
    }

    /// The room that it took.
    pub(super) fn room(self) -> Room {
        Room(self.room)
    }
}

/// Connections that are open.
#[derive(Clone, Debug, Default)]
pub struct Connections(Arc<AtomicUsize>);

/// An open connection, until it is dropped.
#[derive(Debug)]
pub struct Connection(Arc<AtomicUsize>);

impl Connections {
    /// One more is open.
    #[must_use]
    pub fn open(&self) -> Connection {
        self.0.fetch_add(1, Ordering::Relaxed);
        Connection(self.0.clone())
    }

    /// How many are.
    #[must_use]
    pub fn count(&self) -> usize {
        self.0.load(Ordering::Relaxed)
    }
}

impl Drop for Connection {
    fn drop(&mut self) {
        self.0.fetch_sub(1, Ordering::Relaxed);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn bodies_take_room_as_they_grow_and_give_it_back() {
        let second = Duration::from_secs(1);
        let arrivals = Arrivals::new(second, second, 100 * UNIT);
        let mut small = arrivals.begin();
        small.grow(FREE).unwrap();
        assert_eq!(arrivals.memory.available_permits(), 100);
        let mut large = arrivals.begin();
        for size in 1..=90 {
            large.grow(size * UNIT).unwrap();
        }
        let left = arrivals.memory.available_permits();
        assert!((10..=50).contains(&left), "{left}");
        assert!(matches!(arrivals.begin().grow(200 * UNIT), Err(Error::Unavailable { .. })));
        assert_eq!(arrivals.memory.available_permits(), left, "who finds no room leaves none taken");
        let room = large.room();
        assert_eq!(arrivals.memory.available_permits(), left);
        drop(room);
        assert_eq!(arrivals.memory.available_permits(), 100);
    }

    #[test]
    fn open_connections_are_counted() {
        let connections = Connections::default();
        let (one, two) = (connections.open(), connections.open());
        assert_eq!(connections.count(), 2);
        drop((one, two));
        assert_eq!(connections.count(), 0);
    }
}
