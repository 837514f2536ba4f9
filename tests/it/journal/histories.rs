//! Random histories end the same on both databases.

use std::sync::Arc;
use std::sync::atomic::Ordering;

use mixvideo::domain::{Address, Timestamp, Verdict};
use mixvideo::runtime::journal::{Cell, Outcome, Unit};
use rand::rngs::StdRng;
use rand::{RngExt, SeedableRng};

use super::fixture::{Backend, Fixture, claim, effect, harbour, id, post, unit, vessel};

const HISTORIES: u64 = 12;
const CALLS: usize = 25;
/// The time effects were decided is the time of the decision, and everything else is in the rows: they must be equal.
const TABLES: &[&str] = &[
    "SELECT actor || '|' || version || '|' || message_id || '|' || verdict || '|' || coalesce(reason, '-') || '|' || \
     body || '|' || now || '|' || schema FROM journal ORDER BY actor, version",
    "SELECT id || '|' || target || '|' || partition || '|' || lane || '|' || due || '|' || body || '|' || deaths || \
     '|' || parked || '|' || created_at FROM outbox ORDER BY id",
    "SELECT id || '|' || target || '|' || reason || '|' || deaths || '|' || died_at FROM dead ORDER BY id",
    "SELECT name || '|' || fingerprint || '|' || actor || '|' || answer || '|' || expires FROM claims ORDER BY name",
    "SELECT id || '|' || version || '|' || status || '|' || schema || '|' || state || '|' || created_at || '|' || \
     updated_at || '|' || coalesce(name, '-') || '|' || coalesce(CAST(weight AS TEXT), '-') FROM vessels ORDER BY id",
    "SELECT id || '|' || version || '|' || state || '|' || updated_at FROM harbours ORDER BY id",
];

fn actor(random: &mut StdRng) -> Address {
    let key = random.random_range(0..6).to_string();
    if random.random_bool(0.5) { vessel(&key) } else { harbour(&key) }
}

/// A unit that may be anything: right, old, repeated, claimed, poisonous.
fn any_unit(random: &mut StdRng, versions: &[(Address, u64)]) -> Unit {
    let actor = actor(random);
    let known = versions.iter().find(|(known, _)| *known == actor).map_or(0, |(_, version)| *version);
    let expected = if random.random_bool(0.8) { known } else { random.random_range(0..4) };
    let messages: Vec<String> = (0..random.random_range(1..4_usize))
        .map(|number| format!("m{}.{number}", random.random_range(0..60)))
        .collect();
    let messages: Vec<&str> = messages.iter().map(String::as_str).collect();
    let mut unit = unit(&actor, expected, &messages);
    for entry in &mut unit.entries {
        entry.now = Timestamp(random.random_range(1..9_999));
        entry.verdict = match random.random_range(0..4) {
            0 => Verdict::Refused("nö \"'\\".to_owned()),
            1 => Verdict::Ignored,
            _ => Verdict::Applied,
        };
    }
    for index in 0..random.random_range(0..3) {
        let to = self::actor(random);
        let mut post = post(&unit, index, &to, random.random_range(0..50));
        post.lane = if random.random_bool(0.3) { "dock".into() } else { post.lane };
        unit.posts.push(post);
    }
    for _ in 0..random.random_range(0..3) {
        let sender = self::actor(random);
        unit.settled.push(effect(&sender, random.random_range(1..9), random.random_range(0..2)));
    }
    if expected == 0 && random.random_bool(0.3) {
        unit.claim = Some(claim(&format!("c{}", random.random_range(0..4))));
    }
    if actor.kind() == "vessel" {
        unit.state.cells = match random.random_range(0..8) {
            0 => vec![Cell::Text(Some("far too long a name for a vessel".to_owned())), Cell::Integer(None)],
            1 => vec![Cell::Text(None), Cell::Integer(Some(random.random()))],
            2 => vec![Cell::Text(Some("n\0".to_owned())), Cell::Integer(None)],
            _ => unit.state.cells,
        };
    }
    unit
}

/// What became of a unit, without the database's own words.
fn told(outcome: &Outcome) -> Outcome {
    match outcome {
        Outcome::Rejected(_) => Outcome::Rejected(String::new()),
        other => other.clone(),
    }
}

#[tokio::test]
async fn random_histories_end_the_same_on_both_databases() {
    for seed in 0..HISTORIES {
        println!("seed {seed}");
        let mut random = StdRng::seed_from_u64(seed);
        let (left, right) = (Fixture::new(Backend::Sqlite).await, Fixture::new(Backend::Postgres).await);
        let mut versions: Vec<(Address, u64)> = Vec::new();
        let mut won = 0;
        for call in 0..CALLS {
            let units: Vec<_> =
                (0..random.random_range(1..8)).map(|_| Arc::new(any_unit(&mut random, &versions))).collect();
            if random.random_bool(0.1) {
                left.options.faults.answers_lost.store(1, Ordering::Relaxed);
                right.options.faults.answers_lost.store(1, Ordering::Relaxed);
            }
            let (ours, theirs) = tokio::join!(left.journal.commit(units.clone()), right.journal.commit(units.clone()));
            let (ours, theirs) = (ours.iter().map(told), theirs.iter().map(told));
            for ((unit, ours), theirs) in units.iter().zip(ours).zip(theirs) {
                assert_eq!(ours, theirs, "seed {seed}, call {call}: {unit:?}");
                if ours == Outcome::Won {
                    won += 1;
                    versions.retain(|(actor, _)| *actor != unit.actor);
                    versions.push((unit.actor.clone(), unit.version()));
                }
            }
            let target = actor(&mut random);
            let sender = actor(&mut random);
            let message = effect(&sender, random.random_range(1..9), 0);
            for fixture in [&left, &right] {
                fixture.journal.park(&message, &target, None).await.unwrap();
                if call % 5 == 0 {
                    fixture.journal.quarantine(&message, "why not", None, Timestamp(5)).await.unwrap();
                    fixture.journal.note_deaths(&id(&format!("{sender}:1:0")), call as u32 % 3, None).await.unwrap();
                }
            }
        }
        assert!(won > CALLS, "seed {seed}: a history in which little happens shows little: {won}");
        for table in TABLES {
            assert_eq!(left.texts(table).await, right.texts(table).await, "seed {seed}: {table}");
        }
    }
}
