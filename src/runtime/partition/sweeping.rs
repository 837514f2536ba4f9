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

/// A sweep under way.
#[derive(Default)]
pub struct Sweep {
    /// Where it goes on; `None` after the last page.
    next: Option<Cursor>,
    /// Activities that ran when it began and that no page has shown yet.
    unseen: HashSet<MessageId, Fixed>,
}

impl Partition {
    /// Otherwise a sweep that is due must wake nobody.
    pub(super) fn may_sweep(&self) -> bool {
        self.opened && !self.trial.is_open() && !self.draining
    }

    pub(super) fn sweep_all(&mut self) {
        self.sweep_at = self.now.plus_ms(self.limits.sweep_ms);
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
        self.sweeping.insert(lane.clone(), Sweep { next: None, unseen });
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
        self.sweep_ended(lane, SWEEP_SOON_MS);
    }

    fn sweep_ended(&mut self, lane: &str, again_ms: i64) {
        self.sweeping.remove(lane);
        self.sweep_at = self.sweep_at.min(self.now.plus_ms(again_ms));
    }
}
