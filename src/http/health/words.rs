//! What the figures mean, in words that can be used at night.

use super::{Health, Limited, Permits, Redis};
use crate::runtime::journal::DECIDE;

/// A message that waits longer than this is worth a word, in milliseconds.
const OLD_MS: i64 = 60_000;
/// An activity that waits and runs for longer than this is, in milliseconds: a long film is nothing to get up for.
const OLD_ACTIVITY_MS: i64 = 30 * 60_000;

/// What is wrong with Redis, if anything.
pub(super) fn redis_trouble(redis: &Redis) -> Option<String> {
    match redis {
        Redis { away_for_ms: Some(ms), error, .. } => Some(format!(
            "Redis has been away for {} s ({}): tasks are accepted and wait, nothing is lost; bring it back and work goes \
             on by itself within seconds.",
            ms / 1000,
            error.as_deref().unwrap_or("no reason is known"),
        )),
        Redis { hears: false, .. } => Some(
            "News over Redis do not arrive: work between nodes may take some seconds longer. See that Redis takes \
             another connection and allows SUBSCRIBE."
                .to_owned(),
        ),
        _ => None,
    }
}

/// What is wrong with the limits, if anything.
pub(super) fn limits_trouble(limits: &Limited) -> Option<String> {
    limits.unavailable_for_ms.map(|ms| {
        format!(
            "Limits have not been shared for {} s, because Redis does not answer: each node counts for itself, so callers \
             may make more calls than they should; bring Redis back.",
            ms / 1000
        )
    })
}

/// What the limits refused, if anything.
pub(super) fn refusals(limits: &Limited) -> String {
    let classes: Vec<String> = limits
        .refused
        .iter()
        .filter(|(_, count)| **count > 0)
        .map(|(class, count)| format!("{class} {count}"))
        .collect();
    let calls: u64 = limits.refused.values().sum();
    if calls + limits.refused_unfinished + limits.slow_clients_cut == 0 {
        return String::new();
    }
    let classes = if classes.is_empty() { String::new() } else { format!(" ({})", classes.join(", ")) };
    format!(
        " Since the start {calls} calls were refused by their limits{classes}, {} tasks for having too many under way, and \
         {} slow clients were cut off.",
        limits.refused_unfinished, limits.slow_clients_cut
    )
}

/// The worst first, each with what to do about it.
pub(super) fn judge(health: &Health, database_answers: bool) -> (&'static str, String) {
    let mut down = Vec::new();
    let mut attention = Vec::new();
    if let Some(ms) = health.commits.unavailable_for_ms {
        down.push(format!(
            "The database has taken no commits for {} s: nothing new is accepted, nothing accepted is lost; bring it \
             back and work goes on by itself.",
            ms / 1000
        ));
    } else if !database_answers {
        down.push(
            "The database does not answer: see that it runs and can be reached, then look at its load and its disk; \
             nothing accepted is lost, and work goes on by itself."
                .to_owned(),
        );
    }
    if health.draining {
        down.push("The service is ending: it finishes what is in hand and takes nothing new.".to_owned());
    } else if !health.open {
        attention.push("The engine is starting: it tries again what was in hand when the last one died.".to_owned());
    }
    if !health.silent_partitions.is_empty() {
        attention.push(format!(
            "{} partitions do not answer: the machine is overloaded, or a handler hangs. Look at its load; when that is \
             low, start the service again: nothing accepted is lost.",
            health.silent_partitions.len()
        ));
    }
    attention.extend(health.nodes.attention());
    if let Some(count) = health.quarantined.filter(|count| *count > 0) {
        attention.push(format!(
            "{count} {} set aside and {} for a person: `mixvideo dead list` shows why; replay or drop.",
            if count == 1 { "message was" } else { "messages were" },
            if count == 1 { "waits" } else { "wait" },
        ));
    }
    if let Some(ms) = health.permits.unavailable_for_ms {
        attention.push(format!(
            "The permits that all nodes share have not been had for {} s, because Redis does not answer: steps with a \
             `concurrency` that run go on, no other begins, and everything else works; bring Redis back.",
            ms / 1000
        ));
    }
    if let Some(count) = health.attention.filter(|count| *count > 0) {
        attention.push(format!(
            "{count} {} a person: `/ops/attention` shows why; see to it, then acknowledge it.",
            if count == 1 { "payment or refund needs" } else { "payments or refunds need" },
        ));
    }
    for (name, lane) in &health.lanes {
        let limit = if **name == *DECIDE { OLD_MS } else { OLD_ACTIVITY_MS };
        let Some(age) = lane.oldest_age_ms.filter(|age| *age > limit) else { continue };
        attention.push(format!(
            "The oldest message of the lane `{}` has been due for {} s: work comes in faster than it is done, or a step \
             hangs; `mixvideo actors list --kind task --status running` shows the tasks.",
            name,
            age / 1000
        ));
    }
    let status = match (down.is_empty(), attention.is_empty()) {
        (false, _) => "down",
        (true, false) => "attention",
        (true, true) => return ("ok", fine(health)),
    };
    down.append(&mut attention);
    (status, down.join(" "))
}

fn fine(health: &Health) -> String {
    let waiting: u64 = health.lanes.values().map(|lane| lane.waiting).sum();
    let permits = match &health.permits {
        Permits { everywhere: Some(all), .. } if all.nodes > 1 && all.running + all.waiting > 0 => format!(
            " Of {} nodes together {} activities hold a permit and {} wait for one, {} of them on this node.",
            all.nodes, all.running, all.waiting, health.permits.waiting
        ),
        Permits { waiting: 0, .. } => String::new(),
        Permits { waiting, keys, .. } => {
            format!(" {waiting} activities wait for permits of {keys} busy keys, which `/metrics` names.")
        }
    };
    format!(
        "All is well: {} activities running, {waiting} messages waiting, nothing set aside.{permits}",
        health.running
    )
}
