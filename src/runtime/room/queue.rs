//! Who is in the room, and who comes in next: plain data, without a clock, shared with the simulator.
//!
//! Whoever asks comes in at once when its lane has a place and its key a permit. Otherwise it waits, and comes in when
//! its turn has come:
//!
//! - **Priorities**: a higher one goes first. One that was overtaken [`OVERTAKEN_MAX`] times in a row goes before all
//!   others, so that it ages by turns and not by the clock.
//! - **Keys** take turns within a priority, and those without a key count as one of them.
//! - **Groups** take turns within a key: with `n` groups waiting, each is served at least once in `n` turns, however many
//!   of another group came before it.
//! - Within a group it is first come, first served.
//!
//! Who cannot come in for want of a permit holds nobody up: it is passed over and keeps its turn.

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::sync::Arc;

use super::round::Round;
use crate::domain::{Permit, Priority, Turn};

/// How often in a row a priority is overtaken at most.
pub const OVERTAKEN_MAX: u32 = 7;

/// Somebody in the room, or who waits for it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Guest(u64);

/// Who is in the room and who waits.
#[derive(Debug)]
pub struct Queue {
    lanes: Vec<Lane>,
    keys: HashMap<Arc<str>, Key>,
    guests: HashMap<Guest, Asked>,
    /// How many have asked.
    asked: u64,
    /// The lane that is looked at first when a permit is free; each in its turn.
    first: usize,
}

#[derive(Debug)]
struct Lane {
    name: Arc<str>,
    places: usize,
    taken: usize,
    /// One for each priority, the highest first.
    levels: [Level; 3],
}

/// Those who wait with one key, or with none, by group.
type Groups = Round<Arc<str>, BTreeSet<Guest>>;

#[derive(Debug, Default)]
struct Level {
    /// How often in a row another priority went first while somebody here could have come in.
    overtaken: u32,
    keys: Round<Option<Arc<str>>, Groups>,
}

/// What is known of a key while somebody with it waits or is inside.
#[derive(Debug, Default)]
struct Key {
    /// The limits that were named, and by how many.
    limits: BTreeMap<u32, usize>,
    taken: usize,
    waiting: usize,
}

impl Key {
    fn limit(&self) -> usize {
        self.limits.first_key_value().map_or(0, |(limit, _)| *limit as usize)
    }

    fn is_free(&self) -> bool {
        self.taken < self.limit()
    }
}

#[derive(Debug)]
struct Asked {
    lane: usize,
    turn: Turn,
    inside: bool,
}

/// How a lane is doing.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LaneStanding {
    /// Which.
    pub lane: Arc<str>,
    /// Its places.
    pub places: usize,
    /// Those that are taken.
    pub taken: usize,
}

/// How a key is doing.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct KeyStanding {
    /// Which.
    pub key: Arc<str>,
    /// Its permits.
    pub limit: usize,
    /// Those that are taken.
    pub taken: usize,
    /// Activities that wait, be it for one of them or for a place.
    pub waiting: usize,
}

impl Queue {
    /// A room whose lanes have so many places each.
    #[must_use]
    pub fn new(lanes: impl IntoIterator<Item = (Arc<str>, usize)>) -> Self {
        let lane = |(name, places)| Lane { name, places, taken: 0, levels: Default::default() };
        Self {
            lanes: lanes.into_iter().map(lane).collect(),
            keys: HashMap::new(),
            guests: HashMap::new(),
            asked: 0,
            first: 0,
        }
    }

    /// Somebody asks to come into a lane, and is inside or waits from now on. `None` when there is no such lane.
    pub fn ask(&mut self, lane: &str, turn: Turn) -> Option<Guest> {
        let index = self.lanes.iter().position(|known| *known.name == *lane)?;
        self.asked += 1;
        let guest = Guest(self.asked);
        if let Some(Permit { key, limit }) = &turn.permit {
            *self.keys.entry(key.clone()).or_default().limits.entry(*limit).or_default() += 1;
        }
        // Nobody waits who could come in. So whoever finds a place and a permit overtakes nobody.
        let inside = self.lanes[index].taken < self.lanes[index].places && self.has_permit(turn.permit.as_ref());
        self.guests.insert(guest, Asked { lane: index, turn, inside: false });
        if inside {
            self.take(guest);
        } else {
            self.line_up(guest);
        }
        Some(guest)
    }

    /// Whether somebody is inside.
    #[must_use]
    pub fn is_inside(&self, guest: Guest) -> bool {
        self.guests.get(&guest).is_some_and(|asked| asked.inside)
    }

    /// Somebody leaves, or waits no longer. Answers who comes in.
    pub fn leave(&mut self, guest: Guest) -> Vec<Guest> {
        let Some(asked) = self.guests.get(&guest) else { return Vec::new() };
        let (inside, lane) = (asked.inside, asked.lane);
        if inside {
            self.lanes[lane].taken -= 1;
        } else {
            self.step_out(guest, false);
        }
        let permit = self.guests.remove(&guest).and_then(|asked| asked.turn.permit);
        if let Some(Permit { key, limit }) = permit
            && let Some(known) = self.keys.get_mut(&key)
        {
            known.taken -= usize::from(inside);
            if let Some(count) = known.limits.get_mut(&limit) {
                *count -= 1;
                if *count == 0 {
                    known.limits.remove(&limit);
                }
            }
            if known.limits.is_empty() {
                self.keys.remove(&key);
            }
        }
        self.admit()
    }

    /// How each lane is doing.
    #[must_use]
    pub fn lanes(&self) -> Vec<LaneStanding> {
        let standing = |lane: &Lane| LaneStanding { lane: lane.name.clone(), places: lane.places, taken: lane.taken };
        self.lanes.iter().map(standing).collect()
    }

    /// The keys for which somebody waits, those first for which most do.
    #[must_use]
    pub fn busy_keys(&self) -> Vec<KeyStanding> {
        let mut busy: Vec<(&Arc<str>, &Key)> = self.keys.iter().filter(|(_, known)| known.waiting > 0).collect();
        busy.sort_unstable_by(|(a, one), (b, other)| other.waiting.cmp(&one.waiting).then_with(|| a.cmp(b)));
        let standing = |(key, known): (&Arc<str>, &Key)| KeyStanding {
            key: key.clone(),
            limit: known.limit(),
            taken: known.taken,
            waiting: known.waiting,
        };
        busy.into_iter().map(standing).collect()
    }

    fn has_permit(&self, permit: Option<&Permit>) -> bool {
        permit.is_none_or(|permit| self.key_is_free(Some(&permit.key)))
    }

    fn key_is_free(&self, key: Option<&Arc<str>>) -> bool {
        key.and_then(|key| self.keys.get(key)).is_none_or(Key::is_free)
    }

    /// Lets everybody in who can come in now, in turn.
    fn admit(&mut self) -> Vec<Guest> {
        let mut admitted = Vec::new();
        self.first = (self.first + 1) % self.lanes.len().max(1);
        for lane in (self.first..self.lanes.len()).chain(0..self.first) {
            while let Some(guest) = self.next(lane) {
                self.step_out(guest, true);
                self.take(guest);
                admitted.push(guest);
            }
        }
        admitted
    }

    /// Whose turn it is in a lane, if anybody can come in. Whoever is passed over ages.
    fn next(&mut self, lane: usize) -> Option<Guest> {
        if self.lanes[lane].taken >= self.lanes[lane].places {
            return None;
        }
        let first = |level: &Level| {
            let free = |(key, _): &(&Option<Arc<str>>, _)| self.key_is_free(key.as_ref());
            let (_, groups) = level.keys.in_turn().find(free)?;
            groups.in_turn().find_map(|(_, waiting)| waiting.first().copied())
        };
        let could: [Option<Guest>; 3] = self.lanes[lane].levels.each_ref().map(first);
        let levels = &mut self.lanes[lane].levels;
        let is_due = |level: &usize| could[*level].is_some() && levels[*level].overtaken >= OVERTAKEN_MAX;
        let goes = (0..could.len()).rev().find(is_due).or_else(|| could.iter().position(Option::is_some))?;
        for (level, guest) in levels.iter_mut().zip(&could) {
            level.overtaken += u32::from(guest.is_some());
        }
        levels[goes].overtaken = 0;
        could[goes]
    }

    fn take(&mut self, guest: Guest) {
        let Some(asked) = self.guests.get_mut(&guest) else { return };
        asked.inside = true;
        self.lanes[asked.lane].taken += 1;
        if let Some(known) = asked.turn.permit.as_ref().and_then(|permit| self.keys.get_mut(&permit.key)) {
            known.taken += 1;
        }
    }

    fn line_up(&mut self, guest: Guest) {
        let Some(Asked { lane, turn, .. }) = self.guests.get(&guest) else { return };
        let key = turn.permit.as_ref().map(|permit| permit.key.clone());
        if let Some(known) = key.as_ref().and_then(|key| self.keys.get_mut(key)) {
            known.waiting += 1;
        }
        let level = &mut self.lanes[*lane].levels[level_of(turn.priority)];
        level.keys.entry(key).entry(turn.group.clone()).insert(guest);
    }

    /// Takes somebody out of the line. If it was `served`, its key and its group have had their turn.
    fn step_out(&mut self, guest: Guest, served: bool) {
        let Some(Asked { lane, turn, .. }) = self.guests.get(&guest) else { return };
        let key = turn.permit.as_ref().map(|permit| permit.key.clone());
        if let Some(known) = key.as_ref().and_then(|key| self.keys.get_mut(key)) {
            known.waiting -= 1;
        }
        let keys = &mut self.lanes[*lane].levels[level_of(turn.priority)].keys;
        let groups = keys.entry(key.clone());
        let waiting = groups.entry(turn.group.clone());
        waiting.remove(&guest);
        if waiting.is_empty() {
            groups.remove(&turn.group);
        }
        if served {
            groups.has_served(turn.group.clone());
        }
        if groups.is_empty() {
            keys.remove(&key);
        }
        if served {
            keys.has_served(key);
        }
    }
}

const fn level_of(priority: Priority) -> usize {
    match priority {
        Priority::High => 0,
        Priority::Normal => 1,
        Priority::Low => 2,
    }
}
