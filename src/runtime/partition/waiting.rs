//! Actors that wait before they try again, that hang, and that have nothing to do.

use super::Command;
use super::scheduler::Partition;
use super::seat::Phase;
use crate::domain::Address;

/// The longest wait between two tries, in milliseconds.
const REST_MS_MAX: i64 = 30_000;

impl Partition {
    /// Something that is not the message's fault went wrong: wait, longer each time, without counting a try.
    pub(super) fn setback(&mut self, actor: &Address) {
        let Some(seat) = self.seats.get_mut(actor) else { return };
        seat.put_back(&[]);
        seat.setbacks = seat.setbacks.saturating_add(1);
        let wait = self.limits.rest_ms.saturating_mul(2_i64.saturating_pow(seat.setbacks.min(20)));
        self.rest(actor, wait.min(REST_MS_MAX));
    }

    pub(super) fn rest(&mut self, actor: &Address, wait_ms: i64) {
        let Some(seat) = self.seats.get_mut(actor) else { return };
        let until = self.now.plus_ms(wait_ms);
        seat.phase = Phase::Resting { until };
        self.resting.insert((until, actor.clone()));
    }

    /// Lets the actors go on that have waited long enough.
    pub(super) fn wake(&mut self) {
        while let Some((until, actor)) = self.resting.first().cloned() {
            if until > self.now {
                break;
            }
            self.resting.remove(&(until, actor.clone()));
            if let Some(seat) = self.seats.get_mut(&actor)
                && matches!(seat.phase, Phase::Resting { until: current } if current == until)
            {
                seat.phase = Phase::Idle;
                self.advance(&actor);
            }
        }
    }

    /// Gives up actors that hang and puts away those that are idle.
    pub(super) fn scan(&mut self) {
        let (hung, idle) = (self.limits.decide_ms, self.limits.idle_ms);
        let mut hanging = Vec::new();
        let mut leaving = Vec::new();
        for (actor, seat) in &self.seats {
            match seat.phase {
                Phase::Deciding { since, .. } if self.now.since_ms(since) >= hung => hanging.push(actor.clone()),
                Phase::Idle if seat.queue.is_empty() && self.now.since_ms(seat.touched) >= idle => {
                    leaving.push(actor.clone());
                }
                _ => {}
            }
        }
        for actor in hanging {
            self.out.push(Command::Forget { actor: actor.clone() });
            self.lost(&actor, "the decision took too long");
        }
        for actor in leaving {
            self.leave(&actor);
        }
    }
}
