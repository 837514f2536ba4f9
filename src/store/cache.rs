//! A small memory of what was read lately: bounded, and every entry is forgotten after a while.

use std::collections::HashMap;
use std::hash::Hash;
use std::sync::{Mutex, MutexGuard, PoisonError};

use crate::domain::Timestamp;

/// What was read lately, by key.
#[derive(Debug)]
pub struct Cache<K, V> {
    entries: Mutex<HashMap<K, (Timestamp, V)>>,
    entries_max: usize,
    ttl_ms: i64,
}

impl<K: Eq + Hash, V: Clone> Cache<K, V> {
    /// A cache that holds at most `entries_max` entries, each for `ttl_ms` milliseconds.
    #[must_use]
    pub fn new(entries_max: usize, ttl_ms: i64) -> Self {
        Self { entries: Mutex::default(), entries_max, ttl_ms }
    }

    /// What was put under `key`, unless its time is over at `now`.
    pub fn get<Q>(&self, key: &Q, now: Timestamp) -> Option<V>
    where
        K: std::borrow::Borrow<Q>,
        Q: Eq + Hash + ?Sized,
    {
        let entries = self.lock();
        let (at, value) = entries.get(key)?;
        self.fresh(*at, now).then(|| value.clone())
    }

    /// Remembers `value`. A full cache drops what is too old, and everything when nothing is.
    pub fn put(&self, key: K, value: V, now: Timestamp) {
        let mut entries = self.lock();
        if entries.len() >= self.entries_max && !entries.contains_key(&key) {
            entries.retain(|_, (at, _)| self.fresh(*at, now));
            if entries.len() >= self.entries_max {
                entries.clear();
            }
        }
        entries.insert(key, (now, value));
    }

    /// Forgets everything.
    pub fn clear(&self) {
        self.lock().clear();
    }

    /// A clock that was set back makes entries old, not eternal.
    fn fresh(&self, at: Timestamp, now: Timestamp) -> bool {
        (0..self.ttl_ms).contains(&now.since_ms(at))
    }

    fn lock(&self) -> MutexGuard<'_, HashMap<K, (Timestamp, V)>> {
        // Nothing under the lock can panic half-way, and a cache may lose anything.
        self.entries.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
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
}
