//! How many tasks of one owner may be under way.
//!
//! They are counted in SQL once for many: what is left is given out from memory, and counted again when it is used up or
//! old. Several nodes may together let in a little more than the limit for that long.

use std::collections::HashMap;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Mutex, MutexGuard, PoisonError};

use crate::domain::Timestamp;
use crate::http::error::Error;
use crate::store::{Database, tasks};

/// A count is believed for so long, in milliseconds.
const BELIEVED_MS: i64 = 10_000;
/// An owner with nothing left is counted again after so long, in milliseconds.
const AGAIN_MS: i64 = 1_000;
/// Owners whose counts are remembered, at most.
const OWNERS_MAX: usize = 10_000;
/// When an owner with too many is to come back, in seconds.
const RETRY_S: u32 = 5;

/// What is left to each owner.
#[derive(Debug, Default)]
pub struct Unfinished {
    owners: Mutex<HashMap<String, Left>>,
    refused: AtomicU64,
}

#[derive(Clone, Copy, Debug)]
struct Left {
    tasks: u32,
    at: Timestamp,
}

impl Left {
    fn is_known(self, now: Timestamp) -> bool {
        let believed = if self.tasks == 0 { AGAIN_MS } else { BELIEVED_MS };
        (0..believed).contains(&now.since_ms(self.at))
    }
}

impl Unfinished {
    /// Lets one more task of `owner` in, who may have `limit` under way; 0 for any number.
    ///
    /// # Errors
    /// [`Error::TooMany`]; a read that failed.
    pub async fn admit(&self, database: &Database, owner: &str, limit: u32, now: Timestamp) -> Result<(), Error> {
        if limit == 0 {
            return Ok(());
        }
        let known = self.lock().get(owner).is_some_and(|left| left.is_known(now));
        if !known {
            let unfinished = tasks::unfinished(database, owner, limit).await?;
            let mut owners = self.lock();
            if owners.len() >= OWNERS_MAX {
                owners.retain(|_, left| left.is_known(now));
            }
            if owners.len() >= OWNERS_MAX {
                owners.clear();
            }
            owners.insert(owner.to_owned(), Left { tasks: limit.saturating_sub(unfinished), at: now });
        }
        let mut owners = self.lock();
        match owners.get_mut(owner) {
            Some(left) if left.tasks == 0 => {
                self.refused.fetch_add(1, Ordering::Relaxed);
                Err(Error::too_many(
                    format!("{limit} of your tasks have not ended yet, and no more may be under way"),
                    RETRY_S,
                ))
            }
            Some(left) => {
                left.tasks -= 1;
                Ok(())
            }
            // Forgotten meanwhile, for so many owners ask.
            None => Ok(()),
        }
    }

    /// Tasks that were refused since the start.
    pub fn refused(&self) -> u64 {
        self.refused.load(Ordering::Relaxed)
    }

    fn lock(&self) -> MutexGuard<'_, HashMap<String, Left>> {
        self.owners.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
