//! A small memory of what was read lately: bounded, and every entry is forgotten after a while.

use std::collections::HashMap;
use std::hash::Hash;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use tokio::sync::OnceCell;

use crate::domain::Timestamp;

/// What was read lately, by key.
#[derive(Debug)]
pub struct Cache<K, V> {
    entries: Mutex<HashMap<K, (Timestamp, Entry<V>)>>,
    entries_max: usize,
    ttl_ms: i64,
}

/// What one read gave: empty while it is under way, `None` when it failed.
type Entry<V> = Arc<OnceCell<Option<V>>>;

impl<K: Eq + Hash + Clone, V: Clone> Cache<K, V> {
    /// A cache that holds at most `entries_max` entries, each for `ttl_ms` milliseconds.
    #[must_use]
    pub fn new(entries_max: usize, ttl_ms: i64) -> Self {
        Self { entries: Mutex::default(), entries_max, ttl_ms }
    }

    /// What was put or read under `key`, unless its time is over at `now`.
    pub fn get<Q>(&self, key: &Q, now: Timestamp) -> Option<V>
    where
        K: std::borrow::Borrow<Q>,
        Q: Eq + Hash + ?Sized,
    {
        let entries = self.lock();
        let (at, entry) = entries.get(key)?;
        if self.fresh(*at, now) { entry.get().cloned().flatten() } else { None }
    }

    /// Remembers `value`. A full cache drops what is too old, and everything when nothing is.
    pub fn put(&self, key: K, value: V, now: Timestamp) {
        self.insert(&mut self.lock(), key, Arc::new(OnceCell::new_with(Some(Some(value)))), now);
    }

    /// What is remembered under `key`, or what `read` gives: everyone who asks meanwhile waits for that one read.
    ///
    /// # Errors
    /// What `read` fails with; that is not remembered.
    pub async fn get_or_read<E>(&self, key: &K, now: Timestamp, read: impl AsyncFn() -> Result<V, E>) -> Result<V, E> {
        let entry = self.entry(key, now);
        let mut failure = None;
        let found = entry.get_or_init(async || read().await.map_err(|error| failure = Some(error)).ok()).await;
        if let Some(value) = found {
            return Ok(value.clone());
        }
        self.forget(key, &entry);
        match failure {
            Some(error) => Err(error),
            // Another's read failed, and with its own reason.
            None => read().await,
        }
    }

    fn entry(&self, key: &K, now: Timestamp) -> Entry<V> {
        let mut entries = self.lock();
        match entries.get(key) {
            Some((at, entry)) if self.fresh(*at, now) => entry.clone(),
            _ => {
                let entry = Entry::default();
                self.insert(&mut entries, key.clone(), entry.clone(), now);
                entry
            }
        }
    }

    fn insert(&self, entries: &mut HashMap<K, (Timestamp, Entry<V>)>, key: K, entry: Entry<V>, now: Timestamp) {
        if entries.len() >= self.entries_max && !entries.contains_key(&key) {
            entries.retain(|_, (at, _)| self.fresh(*at, now));
            if entries.len() >= self.entries_max {
                entries.clear();
            }
        }
        entries.insert(key, (now, entry));
    }

    fn forget(&self, key: &K, failed: &Entry<V>) {
        let mut entries = self.lock();
        if entries.get(key).is_some_and(|(_, entry)| Arc::ptr_eq(entry, failed)) {
            entries.remove(key);
        }
    }

    /// Forgets what is remembered under `key`.
    pub fn remove<Q>(&self, key: &Q)
    where
        K: std::borrow::Borrow<Q>,
        Q: Eq + Hash + ?Sized,
    {
        self.lock().remove(key);
    }

    /// Forgets everything.
    pub fn clear(&self) {
        self.lock().clear();
    }

    /// A clock that was set back makes entries old, not eternal.
    fn fresh(&self, at: Timestamp, now: Timestamp) -> bool {
        (0..self.ttl_ms).contains(&now.since_ms(at))
    }

    fn lock(&self) -> MutexGuard<'_, HashMap<K, (Timestamp, Entry<V>)>> {
        // Nothing under the lock can panic half-way, and a cache may lose anything.
        self.entries.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::{AtomicU32, Ordering};

    use futures_util::FutureExt as _;

    use super::*;

    #[test]
    fn an_entry_is_forgotten_when_its_time_is_over_or_the_clock_is_set_back() {
        let cache = Cache::new(10, 1_000);
        cache.put("a", 1, Timestamp(5_000));
        assert_eq!(cache.get("a", Timestamp(5_999)), Some(1));
        assert_eq!(cache.get("a", Timestamp(6_000)), None);
        assert_eq!(cache.get("a", Timestamp(4_999)), None);
    }

    #[test]
    fn a_full_cache_drops_what_is_old_and_never_grows() {
        let cache = Cache::new(2, 1_000);
        cache.put("old", 1, Timestamp(0));
        cache.put("young", 2, Timestamp(900));
        cache.put("new", 3, Timestamp(1_000));
        assert_eq!(cache.get("young", Timestamp(1_000)), Some(2));
        assert_eq!(cache.get("new", Timestamp(1_000)), Some(3));
        cache.put("newer", 4, Timestamp(1_000));
        assert_eq!(cache.get("young", Timestamp(1_000)), None);
        assert_eq!(cache.get("newer", Timestamp(1_000)), Some(4));
    }
    #[tokio::test]
    async fn those_who_ask_at_the_same_time_share_one_read() {
        let (cache, reads) = (Cache::new(10, 1_000), AtomicU32::new(0));
        let read = async || {
            reads.fetch_add(1, Ordering::Relaxed);
            tokio::task::yield_now().await;
            Ok::<_, ()>(7)
        };
        let ask = || cache.get_or_read(&"a", Timestamp(0), read);
        assert_eq!(tokio::join!(ask(), ask(), ask()), (Ok(7), Ok(7), Ok(7)));
        assert_eq!(reads.load(Ordering::Relaxed), 1);
        assert_eq!(cache.get("a", Timestamp(999)), Some(7));
        assert_eq!(cache.get_or_read(&"a", Timestamp(1_000), read).await, Ok(7));
        assert_eq!(reads.load(Ordering::Relaxed), 2, "its time was over");
    }

    #[tokio::test]
    async fn a_read_that_fails_is_not_remembered_and_whoever_waited_for_it_reads_himself() {
        let (cache, reads) = (Cache::new(10, 1_000), AtomicU32::new(0));
        let read = async || {
            let number = reads.fetch_add(1, Ordering::Relaxed);
            tokio::task::yield_now().await;
            if number == 0 { Err("away") } else { Ok(number) }
        };
        let ask = || cache.get_or_read(&"a", Timestamp(0), read);
        assert_eq!(tokio::join!(ask(), ask()), (Err("away"), Ok(1)));
        assert_eq!(cache.get("a", Timestamp(0)), None);
        assert_eq!(ask().await, Ok(2));
    }

    #[tokio::test]
    async fn whoever_goes_away_while_it_reads_keeps_nobody_waiting() {
        let cache: Cache<&str, u32> = Cache::new(10, 1_000);
        let forever = async || std::future::pending::<Result<u32, ()>>().await;
        assert!(cache.get_or_read(&"a", Timestamp(0), forever).now_or_never().is_none());
        assert_eq!(cache.get_or_read(&"a", Timestamp(0), async || Ok::<_, ()>(1)).await, Ok(1));
    }
}
