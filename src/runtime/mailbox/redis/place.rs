//! What a node knows of one partition's mailbox in Redis.

use std::collections::{BTreeSet, HashMap};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use tokio::sync::{Notify, watch};
use tokio::time::Instant;

use crate::domain::Timestamp;
use crate::runtime::redis::Subscription;

/// Before the first entry of a stream.
const START: &str = "0";

/// One partition's mailbox, as seen from here.
pub struct Place {
    known: Mutex<Known>,
    /// Something of `known` changed that whoever waits for the bell should see.
    pub bell: Notify,
    /// What the owner waits with; whoever waits for the bell holds it.
    pub ears: tokio::sync::Mutex<Option<Ears>>,
}

/// What brings news of the mailbox.
pub struct Ears {
    pub news: Subscription,
    pub renewals: watch::Receiver<u64>,
    /// When all lanes were last looked into although nothing rang.
    pub polled: Instant,
}

#[derive(Default)]
struct Known {
    /// The epoch it was opened with by this node; `None` when it is not ours.
    epoch: Option<u64>,
    /// The identity it was given by this node; empty before it is opened.
    identity: Arc<str>,
    /// The entry of each lane that was read last.
    cursors: HashMap<Arc<str>, Arc<str>>,
    /// When the next message of a lane becomes due.
    due: HashMap<Arc<str>, Timestamp>,
    rung: BTreeSet<Arc<str>>,
    all: bool,
    doubt: Option<String>,
}

impl Place {
    pub fn new() -> Self {
        Self { known: Mutex::default(), bell: Notify::new(), ears: tokio::sync::Mutex::new(None) }
    }

    fn lock(&self) -> MutexGuard<'_, Known> {
        self.known.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// It is ours from now on, in this epoch.
    pub fn take(&self, epoch: u64) {
        self.lock().epoch = Some(epoch);
        // Whoever waits for the bell lets go of the ears for a moment.
        self.bell.notify_one();
    }

    /// It is not ours any more.
    pub fn leave(&self) {
        *self.lock() = Known::default();
        self.bell.notify_one();
    }

    pub fn epoch(&self) -> Option<u64> {
        self.lock().epoch
    }

    /// It was emptied and given this identity.
    pub fn opened(&self, identity: Arc<str>) {
        let mut known = self.lock();
        *known = Known { epoch: known.epoch, identity, ..Known::default() };
    }

    /// The identity it was given here; empty when it is not ours.
    pub fn identity(&self) -> Arc<str> {
        self.lock().identity.clone()
    }

    /// What it holds may not be what it should.
    pub fn doubt(&self, why: impl Into<String>) {
        let mut known = self.lock();
        if known.epoch.is_some() && known.doubt.is_none() {
            known.doubt = Some(why.into());
            drop(known);
            self.bell.notify_one();
        }
    }

    /// As [`Place::doubt`], unless it was opened anew since it had the identity `seen`. Whether it was.
    pub fn doubt_of(&self, seen: &str, why: &str) -> bool {
        let anew = *self.identity() != *seen;
        if !anew {
            self.doubt(why);
        }
        anew
    }

    pub fn doubted(&self) -> Option<String> {
        self.lock().doubt.clone()
    }

    pub fn cursor(&self, lane: &str) -> Arc<str> {
        self.lock().cursors.get(lane).cloned().unwrap_or_else(|| START.into())
    }

    /// A lane was read up to an entry, if there was one. Nothing, when it was opened anew meanwhile.
    pub fn has_read(&self, identity: &str, lane: &Arc<str>, last: Option<&str>, due: Option<Timestamp>) -> bool {
        let mut known = self.lock();
        if *known.identity != *identity {
            return false;
        }
        if let Some(last) = last {
            known.cursors.insert(lane.clone(), last.into());
        }
        let before = match due {
            Some(due) => known.due.insert(lane.clone(), due),
            None => known.due.remove(lane),
        };
        drop(known);
        if before != due {
            self.bell.notify_one();
        }
        true
    }

    /// A message that is due later was posted.
    pub fn awaits(&self, lane: &Arc<str>, due: Timestamp) {
        let mut known = self.lock();
        let next = known.due.entry(lane.clone()).or_insert(due);
        *next = due.min(*next);
    }

    /// Something was posted to these lanes.
    pub fn ring(&self, lanes: impl IntoIterator<Item = Arc<str>>) {
        self.lock().rung.extend(lanes);
        self.bell.notify_one();
    }

    /// Something may have been posted to any lane.
    pub fn ring_all(&self) {
        self.lock().all = true;
        self.bell.notify_one();
    }

    /// Takes note that all lanes are to be looked into, if they are.
    pub fn take_all(&self) -> bool {
        let mut known = self.lock();
        let all = std::mem::take(&mut known.all);
        if all {
            known.rung.clear();
        }
        all
    }

    /// The lanes that were rung, or in which something has become due, since this was last asked.
    pub fn take_rung(&self, now: Timestamp) -> Vec<Arc<str>> {
        let mut known = self.lock();
        let mut rung = std::mem::take(&mut known.rung);
        // Until the lane is read: it is told once.
        let due: Vec<Arc<str>> =
            known.due.iter().filter(|(_, due)| **due <= now).map(|(lane, _)| lane.clone()).collect();
        for lane in &due {
            known.due.remove(lane);
        }
        rung.extend(due);
        rung.into_iter().collect()
    }

    /// When the next message becomes due.
    pub fn next_due(&self) -> Option<Timestamp> {
        self.lock().due.values().min().copied()
    }
}
