//! Taking turns.

use std::collections::BTreeMap;
use std::ops::Bound;

/// Those who take turns, each with what it brings. They are served in the order of their names, round and round: whoever
/// joins waits for one round at most.
#[derive(Debug)]
pub struct Round<K, V> {
    present: BTreeMap<K, V>,
    served_last: Option<K>,
}

impl<K, V> Default for Round<K, V> {
    fn default() -> Self {
        Self { present: BTreeMap::new(), served_last: None }
    }
}

impl<K: Ord, V: Default> Round<K, V> {
    /// What this one brings; it joins if it is not there.
    pub fn entry(&mut self, who: K) -> &mut V {
        self.present.entry(who).or_default()
    }

    pub fn remove(&mut self, who: &K) {
        self.present.remove(who);
    }

    pub fn is_empty(&self) -> bool {
        self.present.is_empty()
    }

    /// The turn goes on to the one after this.
    pub fn has_served(&mut self, who: K) {
        self.served_last = Some(who);
    }

    /// All, the one whose turn it is first.
    pub fn in_turn(&self) -> impl Iterator<Item = (&K, &V)> {
        let after = self.served_last.as_ref().map_or(Bound::Unbounded, Bound::Excluded);
        let before = self.served_last.as_ref().map(|last| self.present.range(..=last));
        self.present.range((after, Bound::Unbounded)).chain(before.into_iter().flatten())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn order(round: &Round<char, ()>) -> String {
        round.in_turn().map(|(who, ())| who).collect()
    }

    #[test]
    fn everybody_is_served_once_in_a_round_and_the_turn_outlives_who_had_it() {
        let mut round = Round::default();
        "bda".chars().for_each(|who| *round.entry(who) = ());
        assert_eq!(order(&round), "abd");
        round.has_served('b');
        assert_eq!(order(&round), "dab");
        round.remove(&'b');
        round.entry('c');
        assert_eq!(order(&round), "cda");
    }
}
