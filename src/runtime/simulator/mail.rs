//! The mailbox as the simulated shell reaches it: of its own owner, and late of the one that was taken over.

use std::sync::Arc;

use super::plan::Mutation;
use super::world::{Due, World};
use crate::runtime::journal::{DECIDE, Envelope, MessageId};
use crate::runtime::partition::Event;

impl World {
    pub fn read(&mut self, number: u32, lane: Arc<str>, max: usize) {
        let now = self.now;
        let Some(owner) = self.owner(number) else { return };
        let mut envelopes = owner.hole.read(&lane, max, now);
        let drained = envelopes.len() < max;
        let again: Vec<MessageId> =
            envelopes.iter().filter(|e| !owner.read.insert(e.id.clone())).map(|e| e.id.clone()).collect();
        for id in again {
            if self.journal.is_outstanding(&id) && !self.journal.parked_once.contains(&id) {
                self.fail(format!("the mailbox hands out {id} twice while it is outstanding"));
            }
        }
        if self.strikes(self.plan.twice)
            && let Some(first) = envelopes.first().cloned()
        {
            envelopes.push(first.clone());
            let late = Event::Delivered { lane: first.lane.clone(), envelopes: vec![first], drained: true };
            self.answer(number, late);
        }
        self.ring_when_due(number);
        self.answer(number, Event::Delivered { lane, envelopes, drained });
    }

    /// The core's promise: the mailbox forgets what the journal has settled, and nothing else.
    pub fn must_be_settled(&mut self, ids: &[MessageId]) {
        let early = ids.iter().find(|id| {
            // What is born right after it was parked is outstanding again; the sweep posts it again.
            self.journal.is_outstanding(id) && !self.journal.parked_once.contains(*id)
        });
        if let Some(id) = early.cloned() {
            self.fail(format!("the mailbox is told to forget {id}, which nothing has settled"));
        }
    }

    /// Late settles of an owner that was taken over hit the mailbox of the new one as well.
    pub fn mail_settle(&mut self, number: u32, ids: &[MessageId]) {
        for owner in self.owners.iter_mut().filter(|owner| owner.number >= number) {
            owner.hole.settle(ids);
        }
    }

    pub fn mail_post(&mut self, number: u32, envelopes: Vec<Envelope>) -> Vec<Arc<str>> {
        let now = self.now;
        let mut lanes: Vec<Arc<str>> = envelopes.iter().map(|envelope| envelope.lane.clone()).collect();
        lanes.sort();
        lanes.dedup();
        let mut full = Vec::new();
        let mut reached = Vec::new();
        if !self.is_current(number) {
            self.mailed_late.extend(envelopes.iter().map(|envelope| envelope.id.clone()));
        }
        for owner in self.owners.iter_mut().filter(|owner| owner.number >= number) {
            full = owner.hole.post(envelopes.clone(), now);
            reached.push(owner.number);
        }
        for number in reached {
            self.answer(number, Event::Rang { lanes: lanes.clone() });
            self.ring_when_due(number);
        }
        full
    }

    /// The mailbox rings by itself when its first message becomes due.
    pub fn ring_when_due(&mut self, number: u32) {
        let now = self.now;
        let Some(owner) = self.owner(number) else { return };
        let due = owner.hole.next_due();
        if owner.rings_at != due {
            owner.rings_at = due;
            if let Some(due) = due {
                let lanes =
                    self.plan.limits.lanes.iter().map(|(lane, _)| lane.clone()).chain([DECIDE.into()]).collect();
                self.plan_in(due.since_ms(now), Due::Report(number, Event::Rang { lanes }, None));
            }
        }
    }

    pub fn post(&mut self, number: u32, envelopes: Vec<Envelope>, swept: Option<Arc<str>>) {
        if self.strikes(self.plan.unavailable) {
            let failed =
                swept.map_or(Event::Posted { full: Vec::new(), swept: None }, |lane| Event::SweepFailed { lane });
            return self.answer(number, failed);
        }
        if swept.is_some() && self.plan.mutation == Some(Mutation::SweepsTwice) {
            let ids: Vec<MessageId> = envelopes.iter().map(|envelope| envelope.id.clone()).collect();
            self.mail_settle(number, &ids);
        }
        let full = self.mail_post(number, envelopes);
        self.answer(number, Event::Posted { full, swept });
    }
}
