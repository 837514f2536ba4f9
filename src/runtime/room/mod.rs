//! Room for activities: an activity runs only while it holds a place in its lane and, when its order names one, a permit
//! of its key. Who comes in next is decided by [`Queue`].
//!
//! The room is the node's: all partitions share it. It lives in memory, and what holds a [`Place`] gives it back by
//! being dropped: when the activity ended, was cancelled and has stopped, or its supervisor or the process died.
//!
//! Permits are of all nodes. A node alone has them to itself; several keep them in one [`Permits`], and [`Sharing`] gets
//! and returns there what the queue needs.
//!
//! An activity without a [`Turn`] waits in its lane, of which a partition takes only the first ones in hand. All others
//! wait in a lane beside it, [`lane_of_turns`], which is taken in hand as a whole, as far as the mailbox holds it
//! ([`POSTED_MAX`](super::mailbox::POSTED_MAX) of each partition): so whoever waits for a busy key stands in nobody's
//! way, and turns are taken among all of them.

mod in_process;
mod ledger;
mod permits;
mod queue;
mod redis;
mod round;
#[cfg(test)]
mod shared_tests;
mod sharing;
#[cfg(test)]
mod tests;

use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use tokio::sync::{Notify, oneshot};
use tokio::time::Instant;

pub use in_process::InProcess;
pub use ledger::Ledger;
pub use permits::{Away, Everywhere, Grant, Permits, Ring, Saying, Statement, Terms, Totals};
pub use queue::{Guest, KeyStanding, LaneStanding, Queue};
pub use redis::RedisPermits;
pub use sharing::{Sharing, SharingStanding};

use crate::domain::Turn;

/// What the name of a lane ends with in which activities with a turn wait. Durable: it stands in the outbox.
const TURNS: &str = ".turns";
/// Keys that are shown at most.
const KEYS_SHOWN_MAX: usize = 20;

/// The lane of the mailbox for activities of `lane` that have a turn.
#[must_use]
pub fn lane_of_turns(lane: &str) -> Arc<str> {
    format!("{lane}{TURNS}").into()
}

/// The lane whose places the activities in this lane of the mailbox wait for.
#[must_use]
pub fn lane_of_places(lane: &str) -> &str {
    lane.strip_suffix(TURNS).unwrap_or(lane)
}

/// Why an activity can never come in.
#[derive(Debug, thiserror::Error)]
pub enum NoRoom {
    /// This node has no such lane.
    #[error("there is no lane of activities called `{0}`")]
    NoLane(String),
    /// Its turn is no turn.
    #[error("how it waits cannot be read")]
    Unreadable(#[from] serde_json::Error),
}

/// How the room is doing.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Standing {
    /// Each lane.
    pub lanes: Vec<LaneStanding>,
    /// Activities with a key that wait, be it for its permit or for a place.
    pub waiting: usize,
    /// Keys that they have.
    pub keys_waited_for: usize,
    /// Those of them for which most wait, a few of them.
    pub keys: Vec<KeyStanding>,
}

/// The node's room.
#[derive(Clone, Debug)]
pub struct Room(Arc<Inner>);

#[derive(Debug)]
struct Inner {
    door: Mutex<Door>,
    /// Rings when other nodes have to be told of keys.
    changed: Notify,
}

#[derive(Debug)]
struct Door {
    queue: Queue,
    /// Who is to be called when its turn has come.
    called: HashMap<Guest, oneshot::Sender<()>>,
    /// Until when permits that were granted can be counted on, where they are shared and some are held.
    counted_on_until: Option<Instant>,
}

impl Door {
    /// Forgets what was granted too long ago.
    fn lapse(&mut self) {
        if self.counted_on_until.is_some_and(|until| Instant::now() >= until) {
            self.counted_on_until = None;
            self.queue.lapse();
        }
    }

    fn call(&mut self, guests: Vec<Guest>) {
        for guest in guests {
            if let Some(call) = self.called.remove(&guest) {
                // Who does not listen any more is being dropped, and leaves.
                let _ = call.send(());
            }
        }
    }
}

impl Room {
    /// A room whose lanes have so many places each.
    #[must_use]
    pub fn new(lanes: impl IntoIterator<Item = (Arc<str>, usize)>) -> Self {
        let door = Door { queue: Queue::new(lanes), called: HashMap::new(), counted_on_until: None };
        Self(Arc::new(Inner { door: Mutex::new(door), changed: Notify::new() }))
    }

    fn door(&self) -> MutexGuard<'_, Door> {
        // Its operations do not panic half-way.
        let mut door = self.0.door.lock().unwrap_or_else(PoisonError::into_inner);
        door.lapse();
        door
    }

    fn tell_changes(&self, door: MutexGuard<'_, Door>) {
        if door.queue.has_changed() {
            self.0.changed.notify_one();
        }
    }

    /// Lines an activity up that waits in this lane of the mailbox, with its turn as JSON if it has one.
    ///
    /// # Errors
    /// [`NoRoom`].
    pub fn ask(&self, lane: &str, turn: Option<&str>) -> Result<Place, NoRoom> {
        let turn: Turn = turn.map(serde_json::from_str).transpose()?.unwrap_or_default();
        let lane = lane_of_places(lane);
        let mut door = self.door();
        let guest = door.queue.ask(lane, turn).ok_or_else(|| NoRoom::NoLane(lane.to_owned()))?;
        let turn_has_come = (!door.queue.is_inside(guest)).then(|| {
            let (call, turn_has_come) = oneshot::channel();
            door.called.insert(guest, call);
            turn_has_come
        });
        self.tell_changes(door);
        Ok(Place { room: self.clone(), guest, turn_has_come })
    }

    /// Whether somebody has come in.
    #[must_use]
    pub fn is_inside(&self, guest: Guest) -> bool {
        self.door().queue.is_inside(guest)
    }

    /// How it is doing.
    #[must_use]
    pub fn standing(&self) -> Standing {
        let door = self.door();
        let mut keys = door.queue.busy_keys();
        let (waiting, keys_waited_for) = (keys.iter().map(|key| key.waiting).sum(), keys.len());
        keys.truncate(KEYS_SHOWN_MAX);
        Standing { lanes: door.queue.lanes(), waiting, keys_waited_for, keys }
    }
}

/// A place in the room, or in the line for it. Dropping it gives it back.
#[derive(Debug)]
pub struct Place {
    room: Room,
    guest: Guest,
    turn_has_come: Option<oneshot::Receiver<()>>,
}

impl Place {
    /// Whose it is.
    #[must_use]
    pub const fn guest(&self) -> Guest {
        self.guest
    }

    /// Waits until its turn has come.
    pub async fn entered(&mut self) {
        if let Some(turn_has_come) = &mut self.turn_has_come {
            // The call is only ever dropped with this very place.
            let _ = turn_has_come.await;
            self.turn_has_come = None;
        }
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        let mut door = self.room.door();
        door.called.remove(&self.guest);
        let admitted = door.queue.leave(self.guest);
        door.call(admitted);
        self.room.tell_changes(door);
    }
}
