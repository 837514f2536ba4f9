//! Who holds which permits, over all nodes: plain data, without a clock. What `permits.lua` does in Redis is this.
//!
//! - A node gets what is free, and never more than its share: nobody gets more than one permit above another who wants
//!   as many; the odd ones go to whoever holds fewest, and among those to whoever gave one back longest ago. So nodes
//!   take turns at them.
//! - Nothing is taken from a node. Who holds more than its share is told, and gives it back as its activities end.
//! - A ledger that was emptied may not know yet who holds what: for one lease nobody gets more than it says it holds.

use std::collections::{BTreeMap, HashMap};
use std::sync::Arc;

use uuid::Uuid;

use super::permits::{Everywhere, Grant, Saying, Statement, Totals};
use crate::domain::Timestamp;

/// The ledger.
#[derive(Debug)]
pub struct Ledger {
    lease_ms: i64,
    /// Since when it has known what it was told; `None` after it forgot.
    begun: Option<Timestamp>,
    keys: HashMap<Arc<str>, Book>,
    nodes: BTreeMap<Uuid, (Totals, Timestamp)>,
}

#[derive(Debug, Default)]
struct Book {
    /// Counts who joined or was served.
    turns: u64,
    records: BTreeMap<Uuid, Record>,
}

#[derive(Clone, Copy, Debug)]
struct Record {
    number: u64,
    limit: u32,
    held: u32,
    wanted: u32,
    /// When it joined, was granted a permit or gave one back last; the least is first.
    turn: u64,
    until: Timestamp,
}

impl Ledger {
    /// An empty ledger.
    #[must_use]
    pub fn new(lease_ms: i64) -> Self {
        Self { lease_ms, begun: None, keys: HashMap::new(), nodes: BTreeMap::new() }
    }

    /// It loses everything.
    pub fn forget(&mut self) {
        *self = Self::new(self.lease_ms);
    }

    /// Hears what a node says. Answers what it holds, and the keys that other nodes should exchange now.
    pub fn exchange(&mut self, now: Timestamp, saying: &Saying) -> (Vec<Grant>, Vec<Arc<str>>) {
        let begun = *self.begun.get_or_insert(now);
        let may_grow = now >= begun.plus_ms(self.lease_ms);
        let until = now.plus_ms(self.lease_ms);
        self.nodes.insert(saying.node, (saying.totals, until));
        let mut grants = Vec::new();
        let mut rings = Vec::new();
        for statement in &saying.statements {
            let book = self.keys.entry(statement.key.clone()).or_default();
            book.records.retain(|_, record| record.until > now);
            if let Some((grant, ring)) = book.exchange(saying.node, saying.number, statement, until, may_grow) {
                grants.push(grant);
                rings.extend(ring.then(|| statement.key.clone()));
            }
            if book.records.is_empty() {
                self.keys.remove(&statement.key);
            }
        }
        (grants, rings)
    }

    /// How all nodes are doing.
    #[must_use]
    pub fn everywhere(&self, now: Timestamp) -> Everywhere {
        let alive = self.nodes.values().filter(|(_, until)| *until > now);
        alive.fold(Everywhere::default(), |sum, (totals, _)| Everywhere {
            nodes: sum.nodes + 1,
            totals: Totals {
                running: sum.totals.running + totals.running,
                waiting: sum.totals.waiting + totals.waiting,
            },
        })
    }

    /// Permits of a key that are held or may still be.
    #[must_use]
    pub fn held(&self, key: &str, now: Timestamp) -> u32 {
        let records = self.keys.get(key).into_iter().flat_map(|book| book.records.values());
        records.filter(|record| record.until > now).map(|record| record.held).sum()
    }
}

impl Book {
    /// `None` when something newer was heard of this node already.
    fn exchange(
        &mut self,
        node: Uuid,
        number: u64,
        statement: &Statement,
        until: Timestamp,
        may_grow: bool,
    ) -> Option<(Grant, bool)> {
        let before = self.records.get(&node).copied();
        if before.is_some_and(|record| record.number >= number) {
            return None;
        }
        let Statement { limit, held, wanted, .. } = *statement;
        let keeps_turn = before.filter(|record| record.held <= held).map(|record| record.turn);
        let turn = keeps_turn.unwrap_or(self.turns + 1);
        self.turns = self.turns.max(turn);
        if held == 0 && wanted == 0 {
            self.records.remove(&node);
        } else {
            self.records.insert(node, Record { number, limit, held, wanted, turn, until });
        }
        let least = self.records.values().map(|record| record.limit).min().unwrap_or(0);
        let mut shares = self.shares(least);
        let in_use: u32 = self.records.values().map(|record| record.held).sum();
        let mut free = least.saturating_sub(in_use);
        let share = |shares: &BTreeMap<Uuid, u32>, node| shares.get(node).copied().unwrap_or(0);
        let mut grant = Grant { key: statement.key.clone(), held, keep: 0 };
        let more = share(&shares, &node).saturating_sub(held).min(free);
        if more > 0
            && may_grow
            && let Some(record) = self.records.get_mut(&node)
        {
            self.turns += 1;
            record.turn = self.turns;
            record.held += more;
            grant.held = record.held;
            free -= more;
            shares = self.shares(least);
        }
        grant.keep = share(&shares, &node);
        let others = self.records.iter().filter(|(other, _)| **other != node);
        let mut others = others.map(|(other, record)| (record.held, share(&shares, other)));
        let ring = may_grow && others.any(|(held, share)| held > share || (held < share && free > 0));
        Some((grant, ring))
    }

    /// How many of so many permits each node may have.
    fn shares(&self, limit: u32) -> BTreeMap<Uuid, u32> {
        let place = |(node, record): (&Uuid, &Record)| (record.held, record.turn, *node, record.wanted);
        let mut line: Vec<(u32, u64, Uuid, u32)> = self.records.iter().map(place).collect();
        line.sort_unstable();
        let mut shares: BTreeMap<Uuid, u32> = BTreeMap::new();
        let mut left = limit;
        loop {
            line.retain(|(_, _, node, wanted)| shares.get(node).copied().unwrap_or(0) < *wanted);
            let Ok(hungry) = u32::try_from(line.len()) else { break };
            if hungry == 0 || left == 0 {
                break;
            }
            let each = (left / hungry).max(1);
            for (_, _, node, wanted) in &line {
                let share = shares.entry(*node).or_default();
                let more = each.min(*wanted - *share).min(left);
                *share += more;
                left -= more;
            }
        }
        shares
    }
}
