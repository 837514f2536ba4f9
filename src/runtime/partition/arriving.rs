//! What was read from the mailbox is taken in hand; activities start, and their ends become messages.

use std::sync::Arc;

use super::Command;
use super::scheduler::Partition;
use super::seat::{Phase, Seat};
use crate::runtime::journal::{DECIDE, Envelope, MessageId};

/// Orders that are remembered until they come back; the journal is asked about those beyond.
const ORDERED_MAX: usize = 16_384;

impl Partition {
    /// These were ordered in this owner's time: when they come back to be started, nobody has to be asked whether they
    /// still should be.
    pub(super) fn remember_ordered(&mut self, effects: Vec<MessageId>) {
        let room = ORDERED_MAX.saturating_sub(self.ordered.len());
        self.ordered.extend(effects.into_iter().take(room));
    }

    pub(super) fn delivered(&mut self, lane: &str, envelopes: Vec<Envelope>, drained: bool) {
        let overflowing = self.lanes.read(lane, drained);
        if self.draining {
            return;
        }
        for envelope in envelopes {
            self.accept(envelope);
        }
        if overflowing && self.sweeping.contains_key(lane) {
            // That sweep may be past what stayed behind: one more follows, after a later read.
            self.lanes.overflowed(lane);
        } else if overflowing {
            self.sweep(lane.into());
        }
    }

    pub(super) fn accept(&mut self, envelope: Envelope) {
        if self.was_settled(&envelope.id) {
            // It was on its way here while it was settled: an activity would run that nobody stops.
            self.out.push(Command::Settle { ids: vec![envelope.id] });
            return;
        }
        let ours = self.ordered.remove(&envelope.id) && !envelope.recovered;
        if !self.lanes.hold(&envelope) {
            return;
        }
        if *envelope.lane == *DECIDE {
            self.enqueue(envelope);
        } else {
            self.out.push(Command::Start { envelope, ours });
        }
    }

    fn enqueue(&mut self, envelope: Envelope) {
        let actor = envelope.to.clone();
        if let Some(seat) = self.seats.get_mut(&actor) {
            seat.queue.push_back(envelope);
            self.advance(&actor);
        } else {
            let mut seat = Seat::new(Phase::Loading, false, self.now);
            seat.queue.push_back(envelope);
            self.seats.insert(actor.clone(), seat);
            self.out.push(Command::Load { actor });
        }
    }

    pub(super) fn ended(&mut self, id: &MessageId, body: Arc<str>) {
        if let Some(order) = self.lanes.ended(id) {
            self.enqueue(Envelope { lane: DECIDE.into(), body, ..order });
        }
    }
}
