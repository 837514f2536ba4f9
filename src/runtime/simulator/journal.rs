//! The journal's promises in a few maps: a unit wins as a whole or leaves nothing.

use std::collections::{BTreeMap, BTreeSet};

use crate::domain::{Address, Timestamp};
use crate::runtime::journal::{Entry, Envelope, MessageId, Outcome, Unit};
use crate::runtime::partition::Cursor;

use super::machine::Trouble;

/// What survives every crash.
#[derive(Debug, Default)]
pub struct Journal {
    pub rows: BTreeMap<Address, Vec<Entry>>,
    /// Version, schema and JSON of each state.
    pub states: BTreeMap<Address, (u64, u32, String)>,
    pub outbox: BTreeMap<MessageId, Row>,
    pub dead: BTreeMap<MessageId, (Envelope, String)>,
    /// Every effect that was ever ordered by a unit that won.
    pub ordered: BTreeMap<MessageId, Envelope>,
    /// Effects that a unit settled without their message.
    pub cancelled: BTreeSet<MessageId>,
    /// Messages that were parked at some time.
    pub parked_once: BTreeSet<MessageId>,
    pub commits: usize,
}

/// A row of the outbox.
#[derive(Clone, Debug)]
pub struct Row {
    pub envelope: Envelope,
    pub parked: bool,
}

impl Journal {
    /// Writes `unit` if it wins.
    pub fn commit(&mut self, unit: &Unit) -> Outcome {
        let rows = self.rows.get(&unit.actor).map_or(&[][..], Vec::as_slice);
        let known: Vec<MessageId> = unit
            .entries
            .iter()
            .map(|entry| &entry.message)
            .filter(|id| rows.iter().any(|row| row.message == **id))
            .cloned()
            .collect();
        if !known.is_empty() {
            return Outcome::Duplicate(known);
        }
        if rows.len() as u64 != unit.expected {
            return Outcome::Stale;
        }
        if unit.entries.iter().any(|entry| Trouble::of(&entry.body) == Some(Trouble::Rejected)) {
            return Outcome::Rejected("the row is marked".to_owned());
        }
        self.write(unit);
        Outcome::Won
    }

    fn write(&mut self, unit: &Unit) {
        self.commits += 1;
        self.rows.entry(unit.actor.clone()).or_default().extend(unit.entries.iter().cloned());
        let state = (unit.version(), unit.state.schema, unit.state.state.clone());
        self.states.insert(unit.actor.clone(), state);
        for post in &unit.posts {
            self.ordered.insert(post.id.clone(), post.clone());
            self.outbox.insert(post.id.clone(), Row { envelope: post.clone(), parked: false });
        }
        for id in &unit.settled {
            let was_outstanding = self.outbox.remove(id).is_some();
            if was_outstanding && unit.entries.iter().all(|entry| entry.message != *id) {
                self.cancelled.insert(id.clone());
            }
        }
        if unit.expected == 0 {
            for row in self.outbox.values_mut().filter(|row| row.envelope.to == unit.actor) {
                row.parked = false;
            }
        }
    }

    /// Whether the effect must still happen and is on its way.
    pub fn is_outstanding(&self, id: &MessageId) -> bool {
        self.outbox.get(id).is_some_and(|row| !row.parked)
    }

    /// Notes the deaths that count against a message; false when the row is gone.
    pub fn accuse(&mut self, id: &MessageId, deaths: u32) -> bool {
        let Some(row) = self.outbox.get_mut(id) else { return false };
        row.envelope.deaths = row.envelope.deaths.max(deaths);
        true
    }

    pub fn quarantine(&mut self, id: &MessageId, reason: String) {
        if let Some(row) = self.outbox.remove(id) {
            self.dead.insert(id.clone(), (row.envelope, reason));
        }
    }

    /// Parks a message unless its actor was born meanwhile.
    pub fn park(&mut self, actor: &Address, id: &MessageId) -> Result<(), String> {
        if self.states.contains_key(actor) {
            return Err("the actor is born".to_owned());
        }
        if let Some(row) = self.outbox.get_mut(id) {
            row.parked = true;
            self.parked_once.insert(id.clone());
        }
        Ok(())
    }

    /// A page of what is outstanding, by due time and id.
    pub fn sweep(
        &self,
        lane: &str,
        after: Option<&Cursor>,
        due_by: Timestamp,
        max: usize,
    ) -> (Vec<Envelope>, Option<Cursor>) {
        let mut page: Vec<(Cursor, &Row)> = self
            .outbox
            .iter()
            .map(|(id, row)| ((row.envelope.due, id.clone()), row))
            .filter(|(at, row)| !row.parked && *row.envelope.lane == *lane && at.0 <= due_by)
            .filter(|(at, _)| after.is_none_or(|after| at > after))
            .collect();
        page.sort_by(|one, other| one.0.cmp(&other.0));
        page.truncate(max);
        let next = if page.len() == max { page.last().map(|(at, _)| at.clone()) } else { None };
        let envelopes = page.iter().map(|(_, row)| recovered(&row.envelope)).collect();
        (envelopes, next)
    }

    /// The outstanding ones of `ids`, as suspects.
    pub fn suspects(&self, ids: &[MessageId]) -> Vec<Envelope> {
        let rows = ids.iter().filter_map(|id| self.outbox.get(id));
        rows.filter(|row| !row.parked).map(|row| recovered(&row.envelope)).collect()
    }

    /// Whether anything but parked messages is outstanding.
    pub fn is_quiet(&self) -> bool {
        self.outbox.values().all(|row| row.parked)
    }

    /// The message with which `actor` decided under `id`.
    pub fn row(&self, actor: &Address, id: &MessageId) -> Option<&Entry> {
        self.rows.get(actor)?.iter().find(|row| row.message == *id)
    }
}

fn recovered(envelope: &Envelope) -> Envelope {
    Envelope { recovered: true, ..envelope.clone() }
}
