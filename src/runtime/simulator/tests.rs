//! Thousands of seeds, and the proof that they would notice.

use std::collections::BTreeMap;
use std::sync::Mutex;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

use super::dice::Dice;
use super::machine::{LinkMessage, Trouble, text};
use super::plan::{Mutation, Plan};
use super::world::World;
use crate::domain::{Address, Verdict};

/// Seeds that are played each time.
const SEEDS: u64 = 2_000;
/// Seeds within which a broken rule must be noticed.
const MUTANT_SEEDS: u64 = 1_000;
/// What the seeds may take together.
const BUDGET: Duration = Duration::from_secs(12);

fn plan(seed: u64, mutation: Option<Mutation>) -> Plan {
    let mut plan = Plan::roll(&mut Dice::new(seed));
    plan.mutation = mutation;
    plan
}

/// Plays a seed; a panic of the core is a failure like any other.
fn play(seed: u64, mutation: Option<Mutation>, traced: bool) -> (Result<(), String>, World) {
    let mut world = World::new(seed, plan(seed, mutation), traced);
    let played = std::panic::catch_unwind(std::panic::AssertUnwindSafe(|| world.play()));
    let result = played.unwrap_or_else(|_| Err("the core panicked".to_owned()));
    (result, world)
}

/// Plays it again with every step noted, and says everything about it.
fn explain(seed: u64) -> String {
    let (result, world) = play(seed, None, true);
    let trace = world.trace.unwrap_or_default();
    let tail = trace[trace.len().saturating_sub(tail_length())..].join("\n");
    format!(
        "seed {seed}: {result:?}\n{:#?}\n{tail}\nplay it again: MIXVIDEO_SIM_SEED={seed} cargo test simulator",
        world.plan
    )
}

fn number(name: &str) -> Option<u64> {
    std::env::var(name).ok()?.parse().ok()
}

fn tail_length() -> usize {
    number("MIXVIDEO_SIM_TAIL").and_then(|lines| usize::try_from(lines).ok()).unwrap_or(120)
}

/// The first seed below `count` that fails.
fn first_failure(count: u64, mutation: Option<Mutation>, budget: Duration) -> (u64, Option<(u64, String)>) {
    let next = AtomicU64::new(0);
    let found: Mutex<Option<(u64, String)>> = Mutex::new(None);
    let began = Instant::now();
    std::thread::scope(|scope| {
        for _ in 0..2 {
            scope.spawn(|| {
                while began.elapsed() < budget && found.lock().expect("no test panics here").is_none() {
                    let seed = next.fetch_add(1, Ordering::Relaxed);
                    if seed >= count {
                        break;
                    }
                    if let (Err(why), _) = play(seed, mutation, false) {
                        let mut found = found.lock().expect("no test panics here");
                        if found.as_ref().is_none_or(|(first, _)| seed < *first) {
                            *found = Some((seed, why));
                        }
                    }
                }
            });
        }
    });
    let played = next.load(Ordering::Relaxed).min(count);
    (played, found.into_inner().expect("no test panics here"))
}

#[test]
fn every_promise_holds_for_every_seed() {
    if let Some(seed) = number("MIXVIDEO_SIM_SEED") {
        let story = explain(seed);
        println!("{story}");
        assert!(story.starts_with(&format!("seed {seed}: Ok")), "see above");
        return;
    }
    let more = number("MIXVIDEO_SIM_SEEDS");
    let budget = if more.is_some() { Duration::from_secs(3_600) } else { BUDGET };
    let (played, failure) = first_failure(more.unwrap_or(SEEDS), None, budget);
    println!("{played} seeds played");
    if let Some((seed, _)) = failure {
        panic!("{}", explain(seed));
    }
    assert!(played >= 200, "only {played} seeds fit into the time");
}

#[test]
fn same_seed_is_the_same_run() {
    for seed in 0..40 {
        let (_, one) = play(seed, None, false);
        let (_, other) = play(seed, None, true);
        assert_eq!((one.digest(), one.steps), (other.digest(), other.steps), "seed {seed}");
    }
}

/// Seeds that never meet a fault prove nothing.
#[test]
fn seeds_meet_every_fault() {
    let mut met = BTreeMap::<&str, usize>::new();
    for seed in 0..500 {
        let (_, world) = play(seed, None, false);
        let journal = &world.journal;
        let dead = |trouble| journal.dead.values().filter(|(e, _)| Trouble::of(&e.body) == Some(trouble)).count();
        let rows = || journal.rows.values().flatten();
        let told_births = rows().filter(|row| row.version == 1 && row.message.effect().is_some());
        for (what, times) in [
            ("crashes", world.crashes as usize),
            ("drains", world.drains as usize),
            ("messages that the mailbox forgot", world.forgettings),
            ("supervisors that died alone", world.deaths as usize),
            ("activities that waited for their turn", world.turns_taken),
            ("activities that were given up before they began", world.recalled),
            ("leases that could not be renewed", world.lapses as usize),
            ("writes refused to owners that were taken over", world.fenced),
            ("activities that did not begin after the lease", world.withheld),
            ("late mail of an owner that was taken over", world.mailed_late.len()),
            ("states that cannot be read for once", world.unreadable.len()),
            (
                "activities that more than one owner posts",
                world.mailed_late.iter().filter(|id| world.runs.contains_key(*id)).count(),
            ),
            ("suspects tried more than once", world.accused.values().filter(|owners| owners.len() > 1).count()),
            ("parked messages", journal.parked_once.len()),
            ("births by a message", told_births.count()),
            ("cancelled effects", journal.cancelled.len()),
            ("refusals", rows().filter(|row| matches!(row.verdict, Verdict::Refused(_))).count()),
            ("activities", world.runs.len()),
            ("activities that ran again", world.runs.values().filter(|owners| owners.len() > 1).count()),
            ("panics", dead(Trouble::Panics)),
            ("broken invariants", dead(Trouble::Breaks)),
            ("decisions that hang", dead(Trouble::Hangs)),
            ("killers", dead(Trouble::Kills)),
            ("refused rows", dead(Trouble::Rejected)),
        ] {
            *met.entry(what).or_default() += times;
        }
    }
    println!("{met:#?}");
    assert!(met.values().all(|times| *times >= 5), "{met:#?}");
}

#[test]
fn hot_actor_folds_its_messages() {
    let (mut commits, mut rows) = (0, 0);
    for seed in 0..20 {
        let mut plan = plan(seed, None);
        plan.limits.fold = 64;
        plan.limits.decide_ahead = 64;
        plan.births.retain(|(_, actor, _)| actor.kind() == "counter");
        let burst = LinkMessage { key: "0".to_owned(), hops: 3, burst: 60 };
        plan.births.push((0, Address::new("link", "0"), text(&burst)));
        let mut world = World::new(seed, plan, false);
        assert_eq!(world.play(), Ok(()), "seed {seed}");
        commits += world.journal.commits;
        rows += world.journal.rows.values().map(Vec::len).sum::<usize>();
    }
    assert!(rows > 20 * 240, "{rows} rows");
    assert!(commits * 4 < rows, "{commits} commits of {rows} rows");
}

fn is_noticed(mutation: Mutation) {
    let (played, failure) = first_failure(MUTANT_SEEDS, Some(mutation), BUDGET);
    println!("{mutation:?} after {played} seeds: {failure:?}");
    assert!(failure.is_some(), "{played} seeds did not notice {mutation:?}");
}

#[test]
fn refusals_without_a_row_are_noticed() {
    is_noticed(Mutation::RefusalsLeaveNoRow);
}

#[test]
fn settling_before_the_commit_is_noticed() {
    is_noticed(Mutation::SettlesBeforeCommit);
}

#[test]
fn a_sweep_that_posts_twice_is_noticed() {
    is_noticed(Mutation::SweepsTwice);
}

#[test]
fn a_loser_that_keeps_its_state_is_noticed() {
    is_noticed(Mutation::LosersKeepTheirState);
}

#[test]
fn activities_that_do_not_wait_for_their_turn_are_noticed() {
    is_noticed(Mutation::TurnsAreIgnored);
}

#[test]
fn a_journal_without_a_fence_is_noticed() {
    is_noticed(Mutation::NoFence);
}

#[test]
fn sleepers_that_go_on_are_noticed() {
    is_noticed(Mutation::SleepersGoOn);
}

#[test]
fn a_mailbox_whose_identity_is_not_checked_is_noticed() {
    is_noticed(Mutation::IdentityIsNotChecked);
}

#[test]
fn places_that_the_dead_keep_are_noticed() {
    is_noticed(Mutation::TheDeadKeepTheirPlaces);
}
