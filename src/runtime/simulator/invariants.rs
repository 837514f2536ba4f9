//! What must hold when everything is done.

use std::collections::BTreeSet;

use super::machine::{AccountMessage, AccountState, Trouble, kind_of};
use super::world::World;
use crate::domain::{Address, Moment, Verdict};
use crate::runtime::journal::MessageId;

type Held = Result<(), String>;

impl World {
    /// Says which promise was broken, if one was.
    pub fn check(&self) -> Held {
        self.births_happened()?;
        self.histories_are_whole()?;
        self.messages_were_decided_once()?;
        self.cancelled_messages_were_not_decided()?;
        self.the_dead_are_guilty()?;
        self.parked_messages_wait_for_a_birth()?;
        self.money_adds_up()?;
        self.activities_ran_as_often_as_allowed()?;
        self.places_were_given_back()
    }

    fn places_were_given_back(&self) -> Held {
        let living = |node: &u32| self.owners.iter().any(|owner| owner.node == *node);
        match self.rooms.iter().find(|(node, room)| living(node) && !room.is_empty()) {
            Some((node, _)) => Err(format!("somebody is left in the room of process {node}")),
            None => Ok(()),
        }
    }

    fn births_happened(&self) -> Held {
        for (client, (_, actor, _)) in self.plan.births.iter().enumerate() {
            let id = MessageId::from(&*format!("outside-{client}"));
            if self.journal.row(actor, &id).is_none() {
                return Err(format!("the birth of {actor} was accepted and is not in the journal"));
            }
        }
        Ok(())
    }

    /// Versions have no holes, messages are unique, and the rows lead to the stored state.
    fn histories_are_whole(&self) -> Held {
        for (actor, rows) in &self.journal.rows {
            let kind = kind_of(actor);
            let mut seen = BTreeSet::new();
            let mut state = None;
            for (index, row) in rows.iter().enumerate() {
                if row.version != index as u64 + 1 {
                    return Err(format!("{actor} has version {} at place {index}", row.version));
                }
                if !seen.insert(&row.message) {
                    return Err(format!("{actor} decided twice about {}", row.message));
                }
                let step = kind
                    .decide(state.as_ref(), &row.body, Moment { now: row.now, version: row.version })
                    .map_err(|why| format!("{actor} {} cannot be decided again: {why:?}", row.version))?;
                if step.verdict != row.verdict {
                    return Err(format!("{actor} {} is {:?} the second time", row.version, step.verdict));
                }
                state = step.state.or(state);
            }
            let replayed = state.and_then(|state| kind.row(&state).ok()).map(|row| (rows.len() as u64, row.state));
            let stored = self.journal.states.get(actor).map(|(version, _, json)| (*version, json.clone()));
            if replayed != stored {
                return Err(format!("{actor} is stored as {stored:?}, its journal says {replayed:?}"));
            }
        }
        Ok(())
    }

    fn messages_were_decided_once(&self) -> Held {
        for (id, envelope) in &self.journal.ordered {
            let known = self.journal.row(&envelope.to, id).is_some()
                || self.journal.cancelled.contains(id)
                || self.journal.dead.contains_key(id)
                || self.journal.outbox.contains_key(id);
            if !known {
                return Err(format!("{id} to {} was ordered and is nowhere", envelope.to));
            }
        }
        for (actor, rows) in &self.journal.rows {
            for row in rows.iter().filter(|row| !row.message.as_str().starts_with("outside-")) {
                if self.journal.ordered.get(&row.message).is_none_or(|envelope| envelope.to != *actor) {
                    return Err(format!("{actor} decided about {}, which nobody sent to it", row.message));
                }
            }
        }
        Ok(())
    }

    /// Unless the commit that cancelled them was not heard of in time.
    fn cancelled_messages_were_not_decided(&self) -> Held {
        if !self.plan.is_faultless() {
            return Ok(());
        }
        let decided = |id: &&MessageId| {
            self.journal.ordered.get(*id).is_some_and(|envelope| self.journal.row(&envelope.to, id).is_some())
        };
        match self.journal.cancelled.iter().find(decided) {
            Some(id) => Err(format!("{id} was cancelled and is decided all the same")),
            None => Ok(()),
        }
    }

    /// Trouble is set aside, and nothing else is; but for a message that was on trial in as many owners' times as it
    /// takes. Each of them counts once, however often it has to say so.
    fn the_dead_are_guilty(&self) -> Held {
        for (id, (envelope, reason)) in &self.journal.dead {
            let trials = self.accused.get(id).map_or(0, BTreeSet::len);
            if Trouble::of(&envelope.body).is_none() && trials < self.plan.limits.deaths as usize {
                return Err(format!("{id} is innocent and dead after {trials} trials: {reason}"));
            }
        }
        for (id, envelope) in &self.journal.ordered {
            if Trouble::of(&envelope.body).is_some() && !self.journal.dead.contains_key(id) {
                let parked = self.journal.outbox.contains_key(id);
                return Err(format!("{id} is troubled and was not set aside (outstanding: {parked})"));
            }
        }
        Ok(())
    }

    fn parked_messages_wait_for_a_birth(&self) -> Held {
        let born = |actor: &Address| self.journal.states.contains_key(actor);
        match self.journal.outbox.iter().find(|(_, row)| !row.parked || born(&row.envelope.to)) {
            Some((id, row)) => Err(format!("{id} is left in the outbox, parked: {}", row.parked)),
            None => Ok(()),
        }
    }

    /// What the accounts hold is what they were opened with, less what waits for an account or was set aside.
    fn money_adds_up(&self) -> Held {
        let (mut opened, mut held, mut moved) = (0, 0, 0);
        for (actor, rows) in self.journal.rows.iter().filter(|(actor, _)| actor.kind() == "account") {
            for row in rows.iter().filter(|row| row.verdict == Verdict::Applied) {
                match serde_json::from_str(&row.body).map_err(|error| error.to_string())? {
                    AccountMessage::Open { balance } => opened += balance,
                    AccountMessage::Withdraw { amount, .. } => moved -= amount,
                    AccountMessage::Deposit { amount, .. } => moved += amount,
                    AccountMessage::Note(_) | AccountMessage::Reported => {}
                }
            }
            let (_, _, json) = self.journal.states.get(actor).ok_or("an account has no state")?;
            let state: AccountState = serde_json::from_str(json).map_err(|error| error.to_string())?;
            held += state.balance;
        }
        let waiting = self.journal.outbox.values().map(|row| &row.envelope);
        let dead = self.journal.dead.values().map(|(envelope, _)| envelope);
        let mut transit = 0;
        let mut innocents_died = false;
        for envelope in waiting.chain(dead) {
            match serde_json::from_str(&envelope.body) {
                Ok(AccountMessage::Deposit { amount, .. }) => transit += amount,
                Ok(AccountMessage::Note(_)) => {}
                _ => innocents_died = true,
            }
        }
        if !innocents_died && (held != opened + moved || held + transit != opened) {
            return Err(format!("{opened} was opened, {held} is held, {transit} is on its way, {moved} was moved"));
        }
        Ok(())
    }

    fn activities_ran_as_often_as_allowed(&self) -> Held {
        for (id, runs) in &self.runs {
            // One owner starts it once; this only guards the bookkeeping of that check.
            let owners: BTreeSet<&u32> = runs.iter().collect();
            if owners.len() != runs.len() || runs.len() > self.opened as usize {
                return Err(format!("{id} ran {} times with {} owners", runs.len(), self.opened));
            }
        }
        if self.plan.drain_ms.is_some() && self.drains == 0 {
            return Err("the drain was never asked for".to_owned());
        }
        Ok(())
    }
}
