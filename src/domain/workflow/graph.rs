//! Who waits for whom.

use std::collections::{BTreeMap, BTreeSet};

/// Each step's needs, by name. Needs that name no step are passed over: they are a fault of their own.
pub(super) type Needs<'a> = BTreeMap<&'a str, &'a [String]>;

/// Every step that `step` waits for, directly or through others.
pub(super) fn ancestors<'a>(needs: &Needs<'a>, step: &str) -> BTreeSet<&'a str> {
    let mut found = BTreeSet::new();
    let mut open: Vec<&str> =
        needs.get(step).into_iter().flat_map(|direct| direct.iter().map(String::as_str)).collect();
    while let Some(name) = open.pop() {
        let Some((&name, direct)) = needs.get_key_value(name) else { continue };
        if found.insert(name) {
            open.extend(direct.iter().map(String::as_str));
        }
    }
    found
}

/// A circle of steps that wait for each other, first step repeated at its end; `None` when there is none.
pub(super) fn cycle<'a>(needs: &Needs<'a>) -> Option<Vec<&'a str>> {
    // Every step that waits for itself lies on a circle, and so does at least one of its needs: walking only along
    // those comes round.
    let circular = |name: &str| ancestors(needs, name).contains(name);
    let start = needs.keys().copied().find(|name| circular(name))?;
    let mut path = vec![start];
    let mut here = start;
    loop {
        let next = needs.get(here)?.iter().find(|need| *need == start || ancestors(needs, need).contains(start))?;
        let (&next, _) = needs.get_key_value(next.as_str())?;
        let seen = path.iter().position(|name| *name == next);
        path.push(next);
        if let Some(first) = seen {
            return Some(path.split_off(first));
        }
        here = next;
    }
}
