//! What was decided is written, and what follows from its fate.

use super::scheduler::Partition;
use super::seat::Phase;
use super::sweeping::SWEEP_SOON_MS;
use super::{Command, Ticket};
use crate::domain::Address;
use crate::runtime::fold::Failed;
use crate::runtime::journal::{DECIDE, Envelope, MessageId, Outcome, Unit};
use crate::runtime::kind::Undecided;

/// How often an actor that keeps losing is reloaded at once before it waits.
const SETBACKS_MAX: u32 = 3;

impl Partition {
    pub(super) fn committed(&mut self, actor: &Address, ticket: Ticket, outcome: Outcome) {
        let Some(seat) = self.seats.get_mut(actor) else { return };
        let (unit, is_final, failed) = match &mut seat.phase {
            Phase::Committing { ticket: current, unit, is_final, failed } if *current == ticket => {
                (unit.clone(), *is_final, failed.take())
            }
            _ => return,
        };
        match outcome {
            Outcome::Won => self.won(actor, &unit, is_final, failed),
            Outcome::Duplicate(known) => {
                seat.put_back(&known);
                self.settle(known);
                // Whoever committed them may have died before it posted their effects.
                self.sweep_at = self.sweep_at.min(self.now.plus_ms(SWEEP_SOON_MS));
                self.reload(actor);
            }
            Outcome::Stale => {
                seat.put_back(&[]);
                if seat.setbacks < SETBACKS_MAX {
                    seat.setbacks += 1;
                    self.reload(actor);
                } else {
                    self.forget(actor);
                    self.setback(actor);
                }
            }
            Outcome::Claimed { .. } => self.rejected(actor, "its claim is taken"),
            Outcome::Rejected(reason) => self.rejected(actor, &reason),
            // Whoever owns the partition by now decides; a fenced owner is about to end.
            Outcome::Unavailable(_) | Outcome::Fenced => {
                seat.put_back(&[]);
                self.forget(actor);
                self.setback(actor);
            }
        }
    }

    fn won(&mut self, actor: &Address, unit: &Unit, is_final: bool, failed: Option<Failed>) {
        if unit.expected == 0 {
            self.sweep_for(actor);
        }
        let horizon = self.now.plus_ms(self.limits.horizon_ms());
        let posts: Vec<Envelope> = unit.posts.iter().filter(|post| post.due <= horizon).cloned().collect();
        let started = posts.iter().filter(|post| *post.lane != *DECIDE).map(|post| post.id.clone());
        self.remember_ordered(started.collect());
        if !posts.is_empty() {
            self.out.push(Command::Post { envelopes: posts, swept: None });
        }
        self.settle(unit.settled.clone());
        let Some(seat) = self.seats.get_mut(actor) else { return };
        seat.put_back(&unit.settled);
        if unit.settled.len() > unit.entries.len() {
            // What was cancelled may have arrived already: it is not decided any more.
            let handled = |id: &&MessageId| unit.entries.iter().any(|entry| entry.message == **id);
            let cancelled: Vec<&MessageId> = unit.settled.iter().filter(|id| !handled(id)).collect();
            seat.queue.retain(|envelope| !cancelled.contains(&&envelope.id));
        }
        seat.setbacks = 0;
        seat.phase = Phase::Idle;
        if is_final && seat.queue.is_empty() {
            self.leave(actor);
            return;
        }
        if seat.loaded {
            self.out.push(Command::Adopt { actor: actor.clone() });
        }
        match failed {
            Some(failed) => self.failed(actor, &failed),
            None => self.advance(actor),
        }
    }

    fn rejected(&mut self, actor: &Address, reason: &str) {
        let Some(seat) = self.seats.get_mut(actor) else { return };
        match seat.hand.as_slice() {
            [culprit] => {
                let reason = format!("the database refuses what was decided: {reason}");
                let failed = Failed { message: culprit.id.clone(), why: Undecided::Broken(reason) };
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
}
