//! An actor decides about its messages, a run of them at a time; a message that cannot be decided is repeated, parked or set aside.

use std::sync::Arc;

use super::scheduler::Partition;
use super::seat::Phase;
use super::{Command, Ticket};
use crate::domain::Address;
use crate::runtime::fold::Failed;
use crate::runtime::journal::{MessageId, Unit};
use crate::runtime::kind::Undecided;

/// Actors whose birth is remembered to be awaited; messages for more of them wait for the next sweep.
const AWAITED_MAX: usize = 1_024;

impl Partition {
    /// Lets an idle actor decide about what waits for it.
    pub(super) fn advance(&mut self, actor: &Address) {
        let crowded = self.seats.len() > self.limits.cached;
        let Some(seat) = self.seats.get_mut(actor) else { return };
        seat.touched = self.now;
        if self.drained || !matches!(seat.phase, Phase::Idle) {
            return;
        }
        if seat.queue.is_empty() {
            if crowded || !seat.loaded {
                self.leave(actor);
            }
            return;
        }
        if !seat.loaded {
            seat.phase = Phase::Loading;
            self.out.push(Command::Load { actor: actor.clone() });
            return;
        }
        let most = if seat.single > 0 { 1 } else { self.limits.fold };
        seat.single = seat.single.saturating_sub(1);
        let count = most.min(seat.queue.len());
        seat.hand = seat.queue.drain(..count).collect();
        self.tickets += 1;
        let ticket = Ticket(self.tickets);
        seat.phase = Phase::Deciding { ticket, since: self.now };
        let messages = seat.hand.clone();
        self.out.push(Command::Decide { actor: actor.clone(), ticket, messages });
    }

    pub(super) fn decided(
        &mut self,
        actor: &Address,
        ticket: Ticket,
        unit: Option<Arc<Unit>>,
        is_final: bool,
        failed: Option<Failed>,
    ) {
        let Some(seat) = self.seats.get_mut(actor) else { return };
        if !matches!(seat.phase, Phase::Deciding { ticket: current, .. } if current == ticket) {
            return;
        }
        match (unit, failed) {
            (Some(unit), failed) => {
                seat.phase = Phase::Committing { ticket, unit: unit.clone(), is_final, failed };
                self.out.push(Command::Commit { actor: actor.clone(), ticket, unit });
            }
            (None, Some(failed)) => self.failed(actor, &failed),
            (None, None) => self.setback(actor),
        }
    }

    /// The actor is gone from memory without an answer, or gives none.
    pub(super) fn lost(&mut self, actor: &Address, reason: &str) {
        let Some(seat) = self.seats.get_mut(actor) else { return };
        seat.loaded = false;
        match seat.phase {
            Phase::Deciding { .. } => {}
            Phase::Loading => return self.setback(actor),
            _ => return,
        }
        match seat.hand.as_slice() {
            [culprit] => {
                let failed = Failed { message: culprit.id.clone(), why: Undecided::Broken(reason.to_owned()) };
                self.failed(actor, &failed);
            }
            several => {
                seat.single = several.len();
                seat.put_back(&[]);
                seat.phase = Phase::Idle;
                self.advance(actor);
            }
        }
    }

    /// A message could not be decided: try again, or take it out of the way.
    pub(super) fn failed(&mut self, actor: &Address, failed: &Failed) {
        let Some(seat) = self.seats.get_mut(actor) else { return };
        seat.put_back(&[]);
        let id = failed.message.clone();
        let reason = match &failed.why {
            Undecided::Unborn => {
                seat.phase = Phase::SettingAside { id: id.clone() };
                if self.awaited.len() < AWAITED_MAX {
                    self.awaited.insert(actor.clone());
                }
                self.out.push(Command::Park { actor: actor.clone(), id });
                // There is nothing of it to keep in memory; the next message reads it again.
                self.forget(actor);
                return;
            }
            Undecided::Broken(reason) => reason.clone(),
        };
        let tries = match &seat.failing {
            Some((failing, tries)) if *failing == id => tries + 1,
            _ => 1,
        };
        seat.failing = Some((id.clone(), tries));
        if tries >= self.limits.tries {
            seat.phase = Phase::SettingAside { id: id.clone() };
            self.out.push(Command::Quarantine { actor: actor.clone(), id, reason });
        } else {
            let wait = self.limits.rest_ms.saturating_mul(4_i64.saturating_pow(tries - 1));
            self.rest(actor, wait);
        }
    }

    pub(super) fn set_aside(&mut self, actor: &Address, id: &MessageId, result: Result<(), String>) {
        let here = self
            .seats
            .get(actor)
            .is_some_and(|seat| matches!(&seat.phase, Phase::SettingAside { id: current } if current == id));
        match result {
            Ok(()) => {
                if here && let Some(seat) = self.seats.get_mut(actor) {
                    seat.queue.retain(|envelope| envelope.id != *id);
                    seat.failing = None;
                    seat.phase = Phase::Idle;
                }
                // Not for good: a birth or an operator may bring it back at once.
                self.let_go(vec![id.clone()]);
                if here {
                    self.advance(actor);
                }
            }
            Err(_) if here => {
                // The journal did not answer, or the actor was born meanwhile: read it again and decide again.
                self.forget(actor);
                self.setback(actor);
            }
            Err(_) => self.trial_stuck |= self.trial.suspect(id).is_some(),
        }
    }
}
