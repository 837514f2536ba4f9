//! The mailbox as the simulated shell reaches it: of its own owner, and late of the one that was taken over.

use std::sync::Arc;

use super::plan::Mutation;
use super::world::{Due, World};
use crate::domain::Timestamp;
use crate::runtime::journal::{DECIDE, Envelope, MessageId};
use crate::runtime::mailbox::memory::Pigeonhole;
use crate::runtime::partition::Event;

/// How soon what was forgotten is posted again, in milliseconds.
const POSTED_AGAIN_MS: i64 = 12_000;

impl World {
    pub fn read(&mut self, number: u32, lane: Arc<str>, max: usize) {
        let now = self.now;
        self.may_forget(number);
        if self.is_lost(number) {
            return self.answer(number, Event::Delivered { lane, envelopes: Vec::new(), drained: true });
        }
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

    /// Settles, unless the answer is lost, and perhaps the question.
    pub fn settle(&mut self, number: u32, ids: &[MessageId]) {
        self.may_forget(number);
        if self.is_lost(number) && self.dice.one_in(2) {
            return;
        }
        self.mail_settle(number, ids);
    }

    /// Whether a mailbox in a Redis gives no answer; then its owner doubts it.
    fn is_lost(&mut self, number: u32) -> bool {
        let lost = self.plan.forgets > 0 && self.strikes(self.plan.unavailable);
        if lost {
            self.doubt(number);
        }
        lost
    }

    fn doubt(&mut self, number: u32) {
        let notices_in = self.dice.ms(1, 1_500);
        self.plan_in(notices_in, Due::Forgot(number));
    }

    /// A Redis forgets everything, or some of what it was told last.
    fn may_forget(&mut self, number: u32) {
        if !self.strikes(self.plan.forgets) {
            return;
        }
        let everything = self.dice.one_in(2);
        let Some(owner) = self.owner(number) else { return };
        let mut lost: Vec<MessageId> = owner.hole.held().cloned().collect();
        lost.sort();
        if !everything {
            lost.retain(|_| self.dice.one_in(2));
        }
        self.note(|| format!("#{number}: the mailbox forgets {lost:?}"));
        self.forgettings += usize::from(!lost.is_empty());
        if let Some(owner) = self.owner(number) {
            owner.hole.settle(&lost);
            owner.read.retain(|id| !lost.contains(id));
        }
        self.forgotten.push((self.now.plus_ms(POSTED_AGAIN_MS), number, lost));
        if self.plan.mutation != Some(Mutation::IdentityIsNotChecked) {
            self.doubt(number);
        }
    }

    /// The owner found out: the mailbox is emptied and has a new identity.
    pub fn forgot(&mut self, number: u32) {
        let room = self.plan.posted_max;
        let Some(owner) = self.owner(number) else { return };
        owner.hole = Pigeonhole::with_room(room);
        owner.read.clear();
        owner.rings_at = None;
        self.report(number, Event::Forgot, None);
    }

    /// What was forgotten is posted again long before a slow sweep would come by.
    pub fn must_be_posted_again(&mut self) {
        let now = self.now;
        let (over, waits) = std::mem::take(&mut self.forgotten).into_iter().partition(|(by, ..)| *by <= now);
        self.forgotten = waits;
        let over: Vec<(Timestamp, u32, Vec<MessageId>)> = over;
        for (_, number, ids) in over {
            let Some(owner) = self.owners.iter().find(|owner| owner.number == number && !owner.draining) else {
                continue;
            };
            if self.opened != number {
                continue;
            }
            let full = owner.hole.depths().iter().any(|(_, depth)| *depth >= self.plan.posted_max);
            let waits = |id: &&MessageId| self.journal.outbox.get(*id).is_some_and(|row| !row.parked);
            let missing = ids.iter().filter(waits).find(|id| !owner.hole.holds(id));
            if let Some(id) = missing.filter(|_| !full).cloned() {
                self.fail(format!("the mailbox forgot {id}, and nobody has posted it again"));
            }
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
        self.may_forget(number);
        if self.plan.forgets > 0 && self.strikes(self.plan.unavailable) {
            // It was posted; the answer is lost.
            self.mail_post(number, envelopes);
            self.doubt(number);
            return self.answer(number, swept.map_or(Event::PostFailed, |lane| Event::SweepFailed { lane }));
        }
        if self.strikes(self.plan.unavailable) {
            return self.answer(number, swept.map_or(Event::PostFailed, |lane| Event::SweepFailed { lane }));
        }
        if swept.is_some() && self.plan.mutation == Some(Mutation::SweepsTwice) {
            let ids: Vec<MessageId> = envelopes.iter().map(|envelope| envelope.id.clone()).collect();
            self.mail_settle(number, &ids);
        }
        let full = self.mail_post(number, envelopes);
        self.answer(number, Event::Posted { full, swept });
    }
}
