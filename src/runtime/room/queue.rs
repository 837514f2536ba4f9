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
//!
//! Where several nodes share the permits ([`share`](Queue::share)), a key has those that were granted to this node, and
//! the queue says of each key how many it holds and could use.

use std::collections::{BTreeMap, BTreeSet, HashMap, HashSet};
use std::sync::Arc;

use super::permits::{Grant, Statement, Totals};
use super::round::Round;
use crate::domain::{Permit, Priority, Turn};

/// How often in a row a priority is overtaken at most.
pub const OVERTAKEN_MAX: u32 = 7;
/// Permits of a key that are asked for ahead of a place for them: with one at hand the key has its turn when a place is
/// free, instead of asking while others take it.
const AHEAD: usize = 1;

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
    /// Whether permits are shared with other nodes.
    is_shared: bool,
    /// Keys of which something else may have to be said to the other nodes than was said last.
    changed: HashSet<Arc<str>>,
    /// Those with a key.
    totals: Totals,
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
    /// How many wait in which lane.
    waiting: BTreeMap<usize, usize>,
    /// Permits that this node holds, used or not, when they are shared.
    granted: usize,
    /// How many of them it may keep.
    keep: usize,
}

impl Key {
    fn limit(&self) -> usize {
        self.limits.first_key_value().map_or(0, |(limit, _)| *limit as usize)
    }

    fn is_free(&self, is_shared: bool) -> bool {
        self.taken < self.limit() && (!is_shared || self.taken < self.granted)
    }

    fn waiting(&self) -> usize {
        self.waiting.values().sum()
    }

    /// Gives back what is beyond `most` and not in use.
    fn give_back(&mut self, most: usize) {
        self.granted = self.granted.min(most).max(self.taken);
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
            is_shared: false,
            changed: HashSet::new(),
            totals: Totals::default(),
        }
    }

    /// Somebody asks to come into a lane, and is inside or waits from now on. `None` when there is no such lane.
    pub fn ask(&mut self, lane: &str, turn: Turn) -> Option<Guest> {
        let index = self.lanes.iter().position(|known| *known.name == *lane)?;
        self.asked += 1;
        let guest = Guest(self.asked);
        if let Some(Permit { key, limit }) = &turn.permit {
            *self.keys.entry(key.clone()).or_default().limits.entry(*limit).or_default() += 1;
            if self.is_shared {
                self.changed.insert(key.clone());
            }
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
            self.totals.running -= usize::from(inside);
            known.give_back(known.keep);
            if let Some(count) = known.limits.get_mut(&limit) {
                *count -= 1;
                if *count == 0 {
                    known.limits.remove(&limit);
                }
            }
            if known.limits.is_empty() {
                self.keys.remove(&key);
            }
            if self.is_shared {
                self.changed.insert(key);
            }
        }
        self.admit()
    }

    /// From now on permits are shared with other nodes, and have to be granted.
    pub fn share(&mut self) {
        self.is_shared = true;
        self.changed.extend(self.keys.keys().cloned());
    }

    /// Keys of which something else may have to be said than was said last; they are told once.
    pub fn take_changed(&mut self) -> HashSet<Arc<str>> {
        std::mem::take(&mut self.changed)
    }

    /// Whether there are such keys.
    #[must_use]
    pub fn has_changed(&self) -> bool {
        !self.changed.is_empty()
    }

    /// What is to be said of a key. What it does not say to be held is given back with this.
    pub fn statement(&mut self, key: &Arc<str>) -> Statement {
        let count = |permits: usize| u32::try_from(permits).unwrap_or(u32::MAX);
        let Some(known) = self.keys.get_mut(key) else {
            return Statement { key: key.clone(), limit: 0, held: 0, wanted: 0 };
        };
        let free = |lane: usize| self.lanes.get(lane).map_or(0, |lane| lane.places - lane.taken);
        let could: usize = known.waiting.iter().map(|(lane, waiting)| (*waiting).min(free(*lane) + AHEAD)).sum();
        let wanted = known.limit().min(known.taken + could).max(known.taken);
        known.give_back(wanted);
        Statement { key: key.clone(), limit: count(known.limit()), held: count(known.granted), wanted: count(wanted) }
    }

    /// Permits of a key are granted. Answers who comes in.
    pub fn grant(&mut self, grant: &Grant) -> Vec<Guest> {
        let Some(known) = self.keys.get_mut(&grant.key) else {
            // Nobody is left to use them.
            if grant.held > 0 {
                self.changed.insert(grant.key.clone());
            }
            return Vec::new();
        };
        known.keep = grant.keep as usize;
        // What is beyond is given back when somebody leaves, and not before: nodes with full lanes would hand it round.
        known.granted = grant.held as usize;
        if known.granted > known.taken {
            self.changed.insert(grant.key.clone());
        }
        self.admit()
    }

    /// What was granted may be another's by now: who is inside goes on, and nobody comes in before it is granted again.
    pub fn lapse(&mut self) {
        for known in self.keys.values_mut() {
            known.keep = 0;
            known.give_back(0);
        }
    }

    /// Those with a key.
    #[must_use]
    pub const fn totals(&self) -> Totals {
        self.totals
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
        let mut busy: Vec<(&Arc<str>, &Key)> =
            self.keys.iter().filter(|(_, known)| !known.waiting.is_empty()).collect();
        busy.sort_unstable_by(|(a, one), (b, other)| other.waiting().cmp(&one.waiting()).then_with(|| a.cmp(b)));
        let standing = |(key, known): (&Arc<str>, &Key)| KeyStanding {
            key: key.clone(),
            limit: known.limit(),
            taken: known.taken,
            waiting: known.waiting(),
        };
        busy.into_iter().map(standing).collect()
    }

    fn has_permit(&self, permit: Option<&Permit>) -> bool {
        permit.is_none_or(|permit| self.key_is_free(Some(&permit.key)))
    }

    fn key_is_free(&self, key: Option<&Arc<str>>) -> bool {
        key.and_then(|key| self.keys.get(key)).is_none_or(|known| known.is_free(self.is_shared))
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
        if self.is_shared {
            self.want_for_free_places();
        }
        admitted
    }

    /// Whoever waits in a lane that has places needs permits for them.
    fn want_for_free_places(&mut self) {
        for lane in self.lanes.iter().filter(|lane| lane.taken < lane.places) {
            let keys = lane.levels.iter().flat_map(|level| level.keys.in_turn());
            self.changed.extend(keys.filter_map(|(key, _)| key.clone()));
        }
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
            self.totals.running += 1;
        }
    }

    fn line_up(&mut self, guest: Guest) {
        let Some(Asked { lane, turn, .. }) = self.guests.get(&guest) else { return };
        let key = turn.permit.as_ref().map(|permit| permit.key.clone());
        if let Some(known) = key.as_ref().and_then(|key| self.keys.get_mut(key)) {
            *known.waiting.entry(*lane).or_default() += 1;
            self.totals.waiting += 1;
        }
        let level = &mut self.lanes[*lane].levels[level_of(turn.priority)];
        level.keys.entry(key).entry(turn.group.clone()).insert(guest);
    }

    /// Takes somebody out of the line. If it was `served`, its key and its group have had their turn.
    fn step_out(&mut self, guest: Guest, served: bool) {
        let Some(Asked { lane, turn, .. }) = self.guests.get(&guest) else { return };
        let key = turn.permit.as_ref().map(|permit| permit.key.clone());
        if let Some(known) = key.as_ref().and_then(|key| self.keys.get_mut(key)) {
            if let Some(waiting) = known.waiting.get_mut(lane) {
                *waiting -= 1;
            }
            known.waiting.retain(|_, waiting| *waiting > 0);
            self.totals.waiting -= 1;
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
