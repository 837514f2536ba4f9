//! The mailbox of the embedded mode: in memory, gone with the process, rebuilt from the outbox at the start.

use std::collections::{BTreeMap, HashMap, VecDeque};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use async_trait::async_trait;
use tokio::sync::Notify;

use super::{Error, Mailbox, POSTED_MAX};
use crate::domain::Timestamp;
use crate::runtime::clock::Clock;
use crate::runtime::journal::{Envelope, MessageId};

/// One partition's messages: plain data without a clock, shared with the simulator.
#[derive(Debug)]
pub struct Pigeonhole {
    /// Messages of one lane at most.
    room: usize,
    lanes: HashMap<Arc<str>, Lane>,
    present: HashMap<MessageId, Whereabouts>,
}

#[derive(Debug, Default)]
struct Lane {
    ready: VecDeque<Envelope>,
    /// What is due later, by time and order of posting.
    later: BTreeMap<(Timestamp, u64), Envelope>,
    posted: u64,
    count: usize,
}

#[derive(Debug)]
struct Whereabouts {
    lane: Arc<str>,
    later: Option<(Timestamp, u64)>,
}

impl Default for Pigeonhole {
    fn default() -> Self {
        Self::with_room(POSTED_MAX)
    }
}

impl Pigeonhole {
    /// An empty one that holds up to `room` messages of each lane.
    #[must_use]
    pub fn with_room(room: usize) -> Self {
        Self { room, lanes: HashMap::new(), present: HashMap::new() }
    }

    /// Posts what is not present; answers the lanes that had no room for some of it.
    pub fn post(&mut self, envelopes: Vec<Envelope>, now: Timestamp) -> Vec<Arc<str>> {
        let mut full: Vec<Arc<str>> = Vec::new();
        for envelope in envelopes {
            if self.present.contains_key(&envelope.id) {
                continue;
            }
            let lane = self.lanes.entry(envelope.lane.clone()).or_default();
            if lane.count >= self.room {
                if !full.contains(&envelope.lane) {
                    full.push(envelope.lane.clone());
                }
                continue;
            }
            lane.count += 1;
            let later = (envelope.due > now).then(|| {
                lane.posted += 1;
                (envelope.due, lane.posted)
            });
            self.present.insert(envelope.id.clone(), Whereabouts { lane: envelope.lane.clone(), later });
            match later {
                Some(key) => drop(lane.later.insert(key, envelope)),
                None => lane.ready.push_back(envelope),
            }
        }
        full
    }

    /// Up to `max` due messages of the lane that were not read yet.
    pub fn read(&mut self, lane: &str, max: usize, now: Timestamp) -> Vec<Envelope> {
        let Some(lane) = self.lanes.get_mut(lane) else { return Vec::new() };
        while let Some(first) = lane.later.first_entry() {
            if first.key().0 > now {
                break;
            }
            let envelope = first.remove();
            if let Some(whereabouts) = self.present.get_mut(&envelope.id) {
                whereabouts.later = None;
            }
            lane.ready.push_back(envelope);
        }
        let mut read = Vec::with_capacity(max.min(lane.ready.len()));
        while read.len() < max {
            let Some(envelope) = lane.ready.pop_front() else { break };
            // A message that was settled before it was read is skipped here rather than searched for there.
            if self.present.contains_key(&envelope.id) {
                read.push(envelope);
            }
        }
        read
    }

    /// Removes messages, read or not.
    pub fn settle(&mut self, ids: &[MessageId]) {
        for id in ids {
            let Some(whereabouts) = self.present.remove(id) else { continue };
            if let Some(lane) = self.lanes.get_mut(&whereabouts.lane) {
                lane.count -= 1;
                if let Some(key) = whereabouts.later {
                    lane.later.remove(&key);
                }
            }
        }
    }

    /// The next time at which something becomes due.
    #[must_use]
    pub fn next_due(&self) -> Option<Timestamp> {
        self.lanes.values().filter_map(|lane| lane.later.first_key_value().map(|(key, _)| key.0)).min()
    }

    /// How many messages each lane holds.
    #[must_use]
    pub fn depths(&self) -> Vec<(Arc<str>, usize)> {
        self.lanes.iter().map(|(name, lane)| (name.clone(), lane.count)).collect()
    }
}

/// The mailboxes of all partitions, in memory.
pub struct Memory {
    clock: Arc<dyn Clock>,
    partitions: Vec<Partition>,
}

#[derive(Default)]
struct Partition {
    hole: Mutex<Pigeonhole>,
    bell: Notify,
}

impl Memory {
    /// Empty mailboxes for `partitions` partitions.
    #[must_use]
    pub fn new(partitions: u32, clock: Arc<dyn Clock>) -> Self {
        Self { clock, partitions: (0..partitions).map(|_| Partition::default()).collect() }
    }

    fn partition(&self, partition: u32) -> Result<&Partition, Error> {
        self.partitions
            .get(partition as usize)
            .ok_or_else(|| Error { partition, source: "there is no such partition".into() })
    }
}

fn lock(hole: &Mutex<Pigeonhole>) -> MutexGuard<'_, Pigeonhole> {
    // The hole's operations don't panic half-way; if one ever did, the outbox still has everything.
    hole.lock().unwrap_or_else(PoisonError::into_inner)
}

#[async_trait]
impl Mailbox for Memory {
    async fn post(&self, partition: u32, envelopes: Vec<Envelope>) -> Result<Vec<Arc<str>>, Error> {
        let partition = self.partition(partition)?;
        let full = lock(&partition.hole).post(envelopes, self.clock.now());
        partition.bell.notify_one();
        Ok(full)
    }

    async fn read(&self, partition: u32, lane: &str, max: usize, now: Timestamp) -> Result<Vec<Envelope>, Error> {
        Ok(lock(&self.partition(partition)?.hole).read(lane, max, now))
    }

    async fn settle(&self, partition: u32, ids: Vec<MessageId>) -> Result<(), Error> {
        lock(&self.partition(partition)?.hole).settle(&ids);
        Ok(())
    }

    async fn rang(&self, partition: u32) {
        let Ok(partition) = self.partition(partition) else { return std::future::pending().await };
        let next_due = lock(&partition.hole).next_due();
        let Some(due) = next_due else { return partition.bell.notified().await };
        let wait = u64::try_from(due.since_ms(self.clock.now())).unwrap_or(0);
        // Whichever comes first; a bell that rang meanwhile is kept by `Notify`.
        let _ = tokio::time::timeout(Duration::from_millis(wait), partition.bell.notified()).await;
    }

    async fn depths(&self, partition: u32) -> Result<Vec<(Arc<str>, usize)>, Error> {
        Ok(lock(&self.partition(partition)?.hole).depths())
    }
}
