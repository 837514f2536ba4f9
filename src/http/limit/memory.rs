//! Buckets in this process's memory: of the only node, and of each node while Redis is away.

use std::collections::HashMap;
use std::hash::{BuildHasher as _, RandomState};
use std::sync::{Mutex, PoisonError};

use super::bucket::{Rate, Taken};

/// Parts that are locked by themselves.
const SHARDS: usize = 16;
/// Buckets of one part that are not full, at most: 160,000 callers and classes in all, less than 20 MB.
const BUCKETS_MAX: usize = 10_000;
/// The bucket of everybody for whom there is no room.
const OTHERS: &str = "others";

/// The buckets that are not full, by name, with when they will be.
#[derive(Debug, Default)]
pub struct Memory {
    shards: [Mutex<HashMap<Box<str>, i64>>; SHARDS],
    hasher: RandomState,
}

impl Memory {
    /// Takes a call out of a bucket. With more callers than there is room for, new ones share a bucket of their class.
    pub fn take(&self, bucket: &str, rate: Rate, now_us: i64) -> Taken {
        let shard = self.hasher.hash_one(bucket) as usize % SHARDS;
        let mut shard = self.shards[shard].lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(full) = shard.get_mut(bucket) {
            let taken = rate.take(*full, now_us);
            if taken.allowed {
                *full = taken.full_us();
            }
            return taken;
        }
        if shard.len() >= BUCKETS_MAX {
            shard.retain(|_, full| *full > now_us);
        }
        let shared;
        let name = if shard.len() < BUCKETS_MAX {
            bucket
        } else {
            shared = format!("{}:{OTHERS}", bucket.split(':').next().unwrap_or_default());
            &shared
        };
        let taken = rate.take(shard.get(name).copied().unwrap_or(now_us), now_us);
        if taken.allowed {
            shard.insert(name.into(), taken.full_us());
        }
        taken
    }

    #[cfg(test)]
    fn len(&self) -> usize {
        self.shards.iter().map(|shard| shard.lock().unwrap().len()).sum()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_name_has_a_bucket_of_its_own() {
        let (memory, rate) = (Memory::default(), Rate::a_minute(2));
        assert!(memory.take("a", rate, 0).allowed && memory.take("a", rate, 0).allowed);
        assert!(!memory.take("a", rate, 0).allowed);
        assert!(memory.take("b", rate, 0).allowed);
        assert!(memory.take("a", rate, 30_000_000).allowed);
    }

    #[test]
    fn memory_is_bounded_and_who_finds_no_room_shares_a_bucket() {
        let (memory, rate) = (Memory::default(), Rate::a_minute(1_000));
        let room = SHARDS * BUCKETS_MAX;
        let given = (0..room * 2).filter(|caller| memory.take(&format!("open:{caller}"), rate, 0).allowed).count();
        assert!(memory.len() <= room + SHARDS, "{}", memory.len());
        assert!(given <= room + SHARDS * 1_000, "{given}: newcomers are refused in the end");
        // Once the buckets are full again, they are forgotten.
        for caller in 0..100 {
            memory.take(&format!("open:new {caller}"), rate, 120_000_000);
        }
        assert!(memory.len() < 200, "{}", memory.len());
    }
}
