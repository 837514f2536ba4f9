//! Which actors are in memory: they are loaded, handed over when they are born, and put away.

use super::scheduler::Partition;
use super::seat::{Phase, Seat};
use super::{Command, LoadFailure};
use crate::domain::Address;
use crate::runtime::fold::Failed;
use crate::runtime::journal::MessageId;
use crate::runtime::kind::Undecided;

/// The wait for a release that can read a newer state, in milliseconds.
const NEWER_MS: i64 = 30_000;

impl Partition {
    pub(super) fn loaded(&mut self, actor: &Address, found: Result<(), LoadFailure>) {
        let Some(seat) = self.seats.get_mut(actor) else {
            // Nobody waits for it any more.
            self.out.push(Command::Forget { actor: actor.clone() });
            return;
        };
        if !matches!(seat.phase, Phase::Loading) {
            return;
        }
        match found {
            Ok(()) => {
                seat.loaded = true;
                seat.phase = Phase::Idle;
                self.advance(actor);
            }
            Err(LoadFailure::Unavailable(_)) => self.setback(actor),
            Err(LoadFailure::Newer(_)) => self.rest(actor, NEWER_MS),
            Err(LoadFailure::Unreadable(reason)) => match seat.queue.front() {
                Some(first) => {
                    let failed = Failed { message: first.id.clone(), why: Undecided::Broken(reason) };
                    self.failed(actor, &failed);
                }
                None => self.leave(actor),
            },
        }
    }

    pub(super) fn born(&mut self, actor: Address, ordered: Vec<MessageId>) {
        self.remember_ordered(ordered);
        self.sweep_for(&actor);
        if self.seats.contains_key(&actor) {
            return;
        }
        if self.draining || self.seats.len() >= self.limits.cached {
            self.out.push(Command::Forget { actor });
        } else {
            self.seats.insert(actor, Seat::new(Phase::Idle, true, self.now));
        }
    }

    pub(super) fn forget(&mut self, actor: &Address) {
        if let Some(seat) = self.seats.get_mut(actor) {
            seat.loaded = false;
        }
        self.out.push(Command::Forget { actor: actor.clone() });
    }

    pub(super) fn leave(&mut self, actor: &Address) {
        self.seats.remove(actor);
        self.out.push(Command::Forget { actor: actor.clone() });
    }

    /// What is known of the actor is wrong: read it again.
    pub(super) fn reload(&mut self, actor: &Address) {
        self.forget(actor);
        if let Some(seat) = self.seats.get_mut(actor) {
            seat.phase = Phase::Idle;
        }
        if self.seats.get(actor).is_some_and(|seat| seat.queue.is_empty()) {
            self.seats.remove(actor);
        } else {
            self.advance(actor);
        }
    }
}
