//! The room of a process, and the activities in it.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use super::machine::{LANE, kind_of};
use super::owner::Task;
use super::plan::Mutation;
use super::world::{Due, World};
use crate::domain::{Failure, Permit, Report};
use crate::runtime::journal::{Envelope, MessageId};
use crate::runtime::partition::Event;
use crate::runtime::room::{Guest, Queue, lane_of_places};

/// The production queue, and what really runs: also what a dead supervisor has left and has not stopped yet.
pub struct SimulatedRoom {
    pub queue: Queue,
    places: usize,
    permits: BTreeMap<Guest, Permit>,
    running: BTreeSet<Guest>,
}

impl SimulatedRoom {
    pub fn new(places: usize) -> Self {
        let queue = Queue::new([(LANE.into(), places)]);
        Self { queue, places, permits: BTreeMap::new(), running: BTreeSet::new() }
    }

    /// Something begins to run. Answers which limit it exceeds, if any.
    fn begin(&mut self, guest: Guest) -> Option<String> {
        self.running.insert(guest);
        if self.running.len() > self.places {
            return Some(format!("there are {} places", self.places));
        }
        let permit = self.permits.get(&guest)?;
        let same = |guest: &&Guest| self.permits.get(guest).is_some_and(|other| other.key == permit.key);
        let taken = self.running.iter().filter(same).count();
        (taken > permit.limit as usize).then(|| format!("there are {} permits of {}", permit.limit, permit.key))
    }

    /// Whether everything that came has left.
    pub fn is_empty(&self) -> bool {
        self.running.is_empty() && self.queue.lanes().iter().all(|lane| lane.taken == 0) && self.permits.is_empty()
    }
}

impl World {
    pub fn start(&mut self, number: u32, envelope: Envelope, ours: bool) {
        let id = envelope.id.clone();
        let Some(owner) = self.owner(number) else { return };
        if !owner.starting.remove(&id) {
            return;
        }
        let node = owner.node;
        let turn = envelope.turn.as_deref().map(|turn| serde_json::from_str(turn).expect("a fold wrote it"));
        let guest = self
            .rooms
            .get_mut(&node)
            .and_then(|room| room.queue.ask(lane_of_places(&envelope.lane), turn.clone().unwrap_or_default()));
        let Some(guest) = guest else { return self.fail(format!("there is no room for {id}")) };
        let Some(room) = self.rooms.get_mut(&node) else { return };
        let inside = room.queue.is_inside(guest);
        room.permits.extend(turn.unwrap_or_default().permit.map(|permit| (guest, permit)));
        let Some(owner) = self.owner(number) else { return };
        owner.guests.insert(id.clone(), guest);
        if inside || self.plan.mutation == Some(Mutation::TurnsAreIgnored) {
            self.begin(number, envelope, ours);
        } else if let Some(owner) = self.owner(number) {
            owner.waiting.insert(id, (envelope, ours));
        }
    }

    /// There is room for an activity.
    fn begin(&mut self, number: u32, envelope: Envelope, ours: bool) {
        let id = envelope.id.clone();
        if !self.may_act(number) && self.plan.mutation != Some(Mutation::SleepersGoOn) {
            // It is about to be stopped.
            self.withheld += 1;
            return self.give_back(number, &id);
        }
        if self.plan.leased && !self.is_current(number) {
            return self.fail(format!("{id} acts for #{number}, which lost its partition"));
        }
        let Some(owner) = self.owner(number) else { return };
        let (knows, ordered) = (owner.settled.contains(&id), owner.ordered.contains(&id));
        let settled = !self.journal.outbox.contains_key(&id);
        if !ours && settled {
            self.give_back(number, &id);
            return self.answer(number, Event::Unneeded { id });
        }
        // What this owner ordered itself and the journal settled a moment ago may still start: the core stops it once it
        // hears of that. Whoever was taken over hears of nothing.
        if settled && self.is_current(number) && (knows || !ordered) {
            self.fail(format!("{id} is started after it was settled (known: {knows}, ordered: {ordered})"));
        }
        let runs = self.runs.entry(id.clone()).or_default();
        if runs.contains(&number) {
            return self.fail(format!("{id} is started twice by owner {number}"));
        }
        runs.push(number);
        if let Some(owner) = self.owner(number) {
            owner.running.insert(id.clone(), envelope);
            let (node, guest) = (owner.node, owner.guests[&id]);
            if let Some(why) = self.rooms.get_mut(&node).and_then(|room| room.begin(guest)) {
                return self.fail(format!("{id} runs although {why}"));
            }
        }
        // Some hang until they are stopped.
        if !self.dice.one_in(8) {
            let takes = self.dice.ms(0, 200);
            self.plan_in(takes, Due::Carry(number, Task::End(id)));
        }
    }

    pub fn end(&mut self, number: u32, id: &MessageId) {
        let Some(envelope) = self.owner(number).and_then(|owner| owner.running.remove(id)) else { return };
        self.give_back(number, id);
        let Some(effect) = id.effect() else { return };
        let outcome = match self.dice.below(6) {
            0 => Err(Failure::fatal("refused", "no")),
            1 | 2 => Err(Failure::passing("busy", "later")),
            _ => Ok(serde_json::Value::Null),
        };
        let body: Arc<str> = kind_of(&envelope.to).reported(Report { effect, outcome }).into();
        if self.strikes(self.plan.twice) {
            self.answer(number, Event::Ended { id: id.clone(), body: body.clone() });
        }
        self.answer(number, Event::Ended { id: id.clone(), body });
    }

    /// What waits for room is given up.
    pub fn recall(&mut self, number: u32) {
        let Some(owner) = self.owner(number) else { return };
        let ids: Vec<MessageId> = std::mem::take(&mut owner.waiting).into_keys().collect();
        for id in &ids {
            self.give_back_later(number, id);
        }
        self.recalled += ids.len();
        self.answer(number, Event::Recalled { ids });
    }

    fn give_back(&mut self, number: u32, id: &MessageId) {
        let Some(owner) = self.owner(number) else { return };
        let node = owner.node;
        if let Some(guest) = owner.guests.remove(id) {
            self.leave(node, guest);
        }
    }

    /// What is stopped takes a while to stop.
    pub fn give_back_later(&mut self, number: u32, id: &MessageId) {
        let stops_in = self.dice.ms(0, 60);
        let Some(owner) = self.owner(number) else { return };
        let node = owner.node;
        if let Some(guest) = owner.guests.remove(id) {
            self.plan_in(stops_in, Due::Leave(node, guest));
        }
    }

    pub fn leave(&mut self, node: u32, guest: Guest) {
        let Some(room) = self.rooms.get_mut(&node) else { return };
        room.running.remove(&guest);
        room.permits.remove(&guest);
        for came in room.queue.leave(guest) {
            // Who is not found is being stopped, and leaves.
            let waits = self.owners.iter_mut().find_map(|owner| {
                let (id, _) = owner.guests.iter().find(|(_, guest)| **guest == came && owner.node == node)?;
                let (envelope, ours) = owner.waiting.remove(&id.clone())?;
                Some((owner.number, envelope, ours))
            });
            if let Some((number, envelope, ours)) = waits {
                self.turns_taken += 1;
                self.begin(number, envelope, ours);
            }
        }
    }
}
