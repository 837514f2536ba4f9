//! Sweeps: the outbox is read page by page, and what is not in the mailbox is posted again.

use std::collections::HashSet;
use std::sync::Arc;

use super::lanes::Fixed;
use super::scheduler::Partition;
use super::{Command, Cursor};
use crate::domain::Address;
use crate::runtime::journal::{DECIDE, Envelope, MessageId};

/// How soon the outbox is swept when something hints that effects were not posted, in milliseconds.
pub const SWEEP_SOON_MS: i64 = 500;

/// The longest wait before the outbox is swept again while something fails, in milliseconds.
const SWEEP_RETRY_MS_MAX: i64 = 4_000;

/// How soon the outbox is swept after something failed: later each time.
#[derive(Debug)]
pub struct Retry {
    wait_ms: i64,
    /// Since the outbox was last swept.
    failed: bool,
}

impl Default for Retry {
    fn default() -> Self {
        Self { wait_ms: SWEEP_SOON_MS, failed: false }
    }
}

/// A sweep under way.
#[derive(Default)]
pub struct Sweep {
    /// Where it goes on; `None` after the last page.
    next: Option<Cursor>,
    /// Activities that ran when it began and that no page has shown yet.
    unseen: HashSet<MessageId, Fixed>,
    /// The mailbox forgot what it has posted so far: one more follows.
    again: bool,
}

impl Partition {
    /// Otherwise a sweep that is due must wake nobody.
    pub(super) fn may_sweep(&self) -> bool {
        self.opened && !self.trial.is_open() && !self.draining
    }

    pub(super) fn sweep_all(&mut self) {
        self.sweep_at = self.now.plus_ms(self.limits.sweep_ms);
        let doubled = self.retry.wait_ms.saturating_mul(2).min(SWEEP_RETRY_MS_MAX);
        self.retry = Retry { wait_ms: if self.retry.failed { doubled } else { SWEEP_SOON_MS }, failed: false };
        let lanes: Vec<Arc<str>> = self.lanes.names().cloned().collect();
        for lane in lanes {
            self.sweep(lane);
        }
    }

    pub(super) fn sweep(&mut self, lane: Arc<str>) {
        if self.sweeping.contains_key(&lane) || self.draining {
            return;
        }
        let unseen = self.lanes.running_in(&lane).cloned().collect();
        self.sweeping.insert(lane.clone(), Sweep { next: None, unseen, again: false });
        self.sweep_page(lane, None);
    }

    /// The commit of a birth called the messages back that wait for it; a sweep posts them.
    pub(super) fn sweep_for(&mut self, actor: &Address) {
        if self.awaited.remove(actor) {
            self.sweep(DECIDE.into());
        }
    }

    fn sweep_page(&mut self, lane: Arc<str>, after: Option<Cursor>) {
        let due_by = self.now.plus_ms(self.limits.horizon_ms());
        self.out.push(Command::Sweep { lane, after, due_by, max: self.limits.page });
    }

    pub(super) fn swept(&mut self, lane: Arc<str>, mut envelopes: Vec<Envelope>, next: Option<Cursor>) {
        let Some(sweep) = self.sweeping.get_mut(&lane) else { return };
        sweep.next = next;
        for envelope in &envelopes {
            sweep.unseen.remove(&envelope.id);
        }
        envelopes.retain(|envelope| !self.was_settled(&envelope.id));
        self.out.push(Command::Post { envelopes, swept: Some(lane) });
    }

    pub(super) fn posted(&mut self, full: &[Arc<str>], swept: Option<Arc<str>>) {
        for lane in full {
            self.lanes.overflowed(lane);
        }
        let Some(lane) = swept else { return };
        let Some(sweep) = self.sweeping.get_mut(&lane) else { return };
        match sweep.next.clone() {
            Some(next) if !full.contains(&lane) && !self.draining => return self.sweep_page(lane, Some(next)),
            Some(_) => {}
            None => {
                let unseen = std::mem::take(&mut sweep.unseen);
                self.stop_settled(unseen);
            }
        }
        self.sweep_ended(&lane, self.limits.sweep_ms);
    }

    /// The outbox is the record: what runs and is not in it was settled, by a commit whose answer was lost.
    fn stop_settled(&mut self, unseen: HashSet<MessageId, Fixed>) {
        let mut gone: Vec<MessageId> = unseen.into_iter().filter(|id| self.lanes.is_running(id)).collect();
        if !gone.is_empty() {
            gone.sort();
            self.settle(gone);
        }
    }

    pub(super) fn sweep_failed(&mut self, lane: &str) {
        self.post_failed();
        self.sweep_ended(lane, self.limits.sweep_ms);
    }

    fn sweep_ended(&mut self, lane: &str, again_ms: i64) {
        let swept = self.sweeping.remove(lane);
        self.sweep_at = self.sweep_at.min(self.now.plus_ms(again_ms));
        if swept.is_some_and(|sweep| sweep.again) && self.may_sweep() {
            self.sweep(lane.into());
        }
    }

    /// What stayed behind is posted by a sweep that follows soon.
    pub(super) fn post_failed(&mut self) {
        self.retry.failed = true;
        self.sweep_at = self.sweep_at.min(self.now.plus_ms(self.retry.wait_ms));
    }

    /// Everything is posted again, what is in hand as well: the mailbox then holds what the outbox holds.
    pub(super) fn forgot(&mut self) {
        if !self.may_sweep() {
            // Before it opens it sweeps all the same; when it ends, the next owner does.
            return;
        }
        for sweep in self.sweeping.values_mut() {
            sweep.again = true;
        }
        self.retry = Retry::default();
        self.sweep_all();
    }
}
