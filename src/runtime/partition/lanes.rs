//! How much of each lane is read ahead, and which messages are in hand.

use std::collections::HashMap;
use std::hash::{BuildHasherDefault, DefaultHasher};
use std::sync::Arc;

use super::{Command, Limits};
use crate::runtime::journal::{DECIDE, Envelope, MessageId};

/// A hasher without a random seed: a simulation must run the same way twice.
pub type Fixed = BuildHasherDefault<DefaultHasher>;

/// One lane of the mailbox.
#[derive(Debug)]
struct Lane {
    /// Messages in hand at most.
    ahead: usize,
    /// Messages in hand.
    held: usize,
    /// A read is under way.
    reading: bool,
    /// The mailbox may hold more.
    ringing: bool,
    /// The outbox holds what the mailbox had no room for.
    overflowing: bool,
}

/// All lanes, and everything read and not yet settled.
#[derive(Debug)]
pub struct Lanes {
    lanes: Vec<(Arc<str>, Lane)>,
    held: HashMap<MessageId, Held, Fixed>,
}

/// A message in hand.
#[derive(Debug)]
struct Held {
    lane: usize,
    /// The activity it orders, while it runs.
    running: Option<Envelope>,
}

impl Lanes {
    pub fn new(limits: &Limits) -> Self {
        let lane = |ahead| Lane { ahead, held: 0, reading: false, ringing: false, overflowing: false };
        let lanes = std::iter::once((DECIDE.into(), lane(limits.decide_ahead)))
            .chain(limits.lanes.iter().map(|(name, ahead)| (name.clone(), lane(*ahead))))
            .collect();
        Self { lanes, held: HashMap::default() }
    }

    pub fn names(&self) -> impl Iterator<Item = &Arc<str>> {
        self.lanes.iter().map(|(name, _)| name)
    }

    fn index(&self, name: &str) -> Option<usize> {
        self.lanes.iter().position(|(known, _)| &**known == name)
    }

    /// These lanes may hold something new.
    pub fn ring(&mut self, names: &[Arc<str>]) {
        for (name, lane) in &mut self.lanes {
            lane.ringing |= names.contains(name);
        }
    }

    /// Reads for every lane that may hold something and has room for a worthwhile number of messages.
    pub fn reads(&mut self) -> Vec<Command> {
        let mut reads = Vec::new();
        for (name, lane) in &mut self.lanes {
            let room = lane.ahead.saturating_sub(lane.held);
            // A quarter of the room at least: one message at a time would be a read per message.
            if lane.ringing && !lane.reading && room > 0 && room >= lane.ahead / 4 {
                lane.reading = true;
                lane.ringing = false;
                reads.push(Command::Read { lane: name.clone(), max: room });
            }
        }
        reads
    }

    /// A read ended. Answers whether the outbox has more for this lane that the mailbox has room for now.
    pub fn read(&mut self, name: &str, drained: bool) -> bool {
        let Some(index) = self.index(name) else { return false };
        let lane = &mut self.lanes[index].1;
        lane.reading = false;
        lane.ringing |= !drained;
        drained && std::mem::take(&mut lane.overflowing)
    }

    /// Something of this lane stayed behind in the outbox. A read finds out when there is room for it: the mailbox does
    /// not ring for what it does not hold.
    pub fn overflowed(&mut self, name: &str) {
        if let Some(index) = self.index(name) {
            let lane = &mut self.lanes[index].1;
            lane.overflowing = true;
            lane.ringing = true;
        }
    }

    /// Takes a message in hand; false when it is already there or its lane is not known.
    pub fn hold(&mut self, envelope: &Envelope) -> bool {
        if self.held.contains_key(&envelope.id) {
            return false;
        }
        let Some(lane) = self.index(&envelope.lane) else { return false };
        self.lanes[lane].1.held += 1;
        let running = (lane != 0).then(|| envelope.clone());
        self.held.insert(envelope.id.clone(), Held { lane, running });
        true
    }

    /// The activity ended: its lane has room for another one; the message of its end is in hand until it is settled.
    pub fn ended(&mut self, id: &MessageId) -> Option<Envelope> {
        let held = self.held.get_mut(id)?;
        let envelope = held.running.take()?;
        self.lanes[held.lane].1.held -= 1;
        Some(envelope)
    }

    /// Lets a message go. Answers whether its activity was still running.
    pub fn release(&mut self, id: &MessageId) -> bool {
        let Some(held) = self.held.remove(id) else { return false };
        let running = held.running.is_some();
        if running || held.lane == 0 {
            self.lanes[held.lane].1.held -= 1;
        }
        running
    }

    pub fn held(&self) -> usize {
        self.held.len()
    }

    /// Whether an activity runs.
    pub fn is_running(&self, id: &MessageId) -> bool {
        self.held.get(id).is_some_and(|held| held.running.is_some())
    }

    /// The activities of a lane that run, in no order.
    pub fn running_in(&self, name: &str) -> impl Iterator<Item = &MessageId> {
        let lane = self.index(name);
        self.held.iter().filter(move |(_, held)| held.running.is_some() && Some(held.lane) == lane).map(|(id, _)| id)
    }

    /// The activities that run.
    pub fn running(&self) -> Vec<MessageId> {
        let mut ids: Vec<MessageId> =
            self.held.iter().filter(|(_, held)| held.running.is_some()).map(|(id, _)| id.clone()).collect();
        ids.sort();
        ids
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::domain::{Address, Timestamp};

    fn lanes() -> Lanes {
        Lanes::new(&Limits { decide_ahead: 8, lanes: vec![("render".into(), 1)], ..Limits::default() })
    }

    fn envelope(id: &str, lane: &str) -> Envelope {
        Envelope {
            id: id.into(),
            to: Address::new("clerk", "1"),
            lane: lane.into(),
            due: Timestamp(0),
            body: "0".into(),
            schema: 1,
            deaths: 0,
            turn: None,
            recovered: false,
        }
    }

    /// What would be read now.
    fn reads(lanes: &mut Lanes) -> Vec<(String, usize)> {
        let read = |command| match command {
            Command::Read { lane, max } => (lane.to_string(), max),
            other => panic!("{other:?}"),
        };
        lanes.reads().into_iter().map(read).collect()
    }

    #[test]
    fn ended_activity_makes_room_and_stays_in_hand_until_it_is_settled() {
        let mut lanes = lanes();
        assert!(lanes.hold(&envelope("a", "render")));
        lanes.ring(&[DECIDE.into(), "render".into()]);
        assert_eq!(reads(&mut lanes), [(DECIDE.to_owned(), 8)]);
        assert!(lanes.ended(&"a".into()).is_some());
        assert_eq!(reads(&mut lanes), [("render".to_owned(), 1)]);
        assert_eq!((lanes.held(), lanes.is_running(&"a".into())), (1, false));
        assert!(!lanes.hold(&envelope("a", "render")), "its copy is not taken in hand");
        assert!(!lanes.release(&"a".into()), "nothing is left to be stopped");
        assert_eq!(lanes.held(), 0);
        assert!(lanes.hold(&envelope("b", "render")), "room was given back once");
        lanes.ring(&[DECIDE.into(), "render".into()]);
        assert!(!lanes.read("render", true));
        assert_eq!(reads(&mut lanes), []);
    }

    #[test]
    fn end_that_is_reported_twice_or_after_the_settling_is_nothing() {
        let mut lanes = lanes();
        lanes.hold(&envelope("a", "render"));
        assert!(lanes.ended(&"a".into()).is_some());
        assert!(lanes.ended(&"a".into()).is_none());
        lanes.release(&"a".into());
        assert!(lanes.ended(&"a".into()).is_none());
    }

    #[test]
    fn settled_activity_that_runs_is_to_be_stopped_and_makes_room() {
        let mut lanes = lanes();
        lanes.hold(&envelope("a", "render"));
        assert_eq!(lanes.running(), ["a".into()]);
        assert!(lanes.release(&"a".into()));
        lanes.ring(&[DECIDE.into(), "render".into()]);
        assert_eq!(reads(&mut lanes), [(DECIDE.to_owned(), 8), ("render".to_owned(), 1)]);
    }

    #[test]
    fn lane_is_read_again_when_a_quarter_of_it_is_free() {
        let mut lanes = lanes();
        for id in ["a", "b", "c", "d", "e", "f", "g"] {
            lanes.hold(&envelope(id, DECIDE));
        }
        lanes.ring(&[DECIDE.into(), "render".into()]);
        assert_eq!(reads(&mut lanes), [("render".to_owned(), 1)]);
        lanes.release(&"a".into());
        assert_eq!(reads(&mut lanes), [(DECIDE.to_owned(), 2)]);
        lanes.ring(&[DECIDE.into(), "render".into()]);
        assert_eq!(reads(&mut lanes), [], "a read is under way");
        assert!(!lanes.read(DECIDE, true));
        assert_eq!(reads(&mut lanes), [(DECIDE.to_owned(), 2)], "it rang meanwhile");
    }

    #[test]
    fn overflow_is_told_once_and_only_when_the_mailbox_is_empty() {
        let mut lanes = lanes();
        lanes.overflowed(DECIDE);
        assert!(!lanes.read(DECIDE, false));
        assert!(lanes.read(DECIDE, true));
        assert!(!lanes.read(DECIDE, true));
    }

    #[test]
    fn message_of_an_unknown_lane_is_not_taken() {
        assert!(!lanes().hold(&envelope("a", "unknown")));
    }
}
