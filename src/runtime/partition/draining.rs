//! The end: nothing new begins, what is in hand finishes.

use super::Command;
use super::scheduler::Partition;
use super::seat::Phase;
use crate::runtime::journal::MessageId;

impl Partition {
    pub(super) fn drain(&mut self) {
        self.draining = true;
        if !self.lanes.running().is_empty() {
            self.out.push(Command::Recall);
        }
    }

    /// They stay in the outbox, for the next owner.
    pub(super) fn recalled(&mut self, ids: &[MessageId]) {
        for id in ids {
            self.lanes.release(id);
        }
    }

    pub(super) fn stop(&mut self) {
        self.draining = true;
        for id in self.lanes.running() {
            self.lanes.release(&id);
            self.out.push(Command::Abort { id });
        }
    }

    pub(super) fn report_drained(&mut self) {
        if self.draining
            && !self.drained
            && self.lanes.running().is_empty()
            && (self.trial_stuck || self.trial.current().is_none())
            && self
                .seats
                .values()
                .all(|seat| !seat.is_busy() && (seat.queue.is_empty() || !matches!(seat.phase, Phase::Idle)))
        {
            self.drained = true;
            self.out.push(Command::Drained);
        }
    }
}
