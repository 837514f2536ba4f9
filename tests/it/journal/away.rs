//! The database goes away: before, during and right after a commit.

use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::sync::mpsc;
use std::time::{Duration, Instant};

use mixvideo::runtime::journal::{Busy, Committer, Outcome};
use mixvideo::runtime::retry::Policy;
use sea_orm::{ConnectionTrait, TransactionTrait};

use super::fixture::{Backend, Fixture, claim, harbour, id, on_both, open, post, unit, vessel};
use crate::postgres::{Server, end_connections};

on_both!(
    a_commit_whose_answer_is_lost_is_found_written,
    a_loser_is_told_so_even_when_the_answer_is_lost,
    what_another_decided_is_not_taken_for_ours,
    a_commit_that_was_not_sent_is_sent_again,
    the_committer_answers_everyone_in_batches,
    the_committer_drains_when_it_closes,
    a_commit_that_panics_is_unknown_and_the_committer_goes_on,
    two_journals_never_both_win_a_version,
);

async fn a_commit_whose_answer_is_lost_is_found_written(backend: Backend) {
    let fixture = Fixture::new(backend).await;
    let sender = vessel("a");
    let mut first = unit(&sender, 0, &["born"]);
    first.claim = Some(claim("key"));
    first.posts = vec![post(&first, 0, &harbour("x"), 1)];
    fixture.options.faults.answers_lost.store(1, Ordering::Relaxed);
    fixture.win(first).await;
    assert_eq!(fixture.history(&sender).await, [(1, "born".to_owned())]);
    assert_eq!(fixture.outbox().await.len(), 1);
    // A row of answers lost, many units, two rounds.
    fixture.options.faults.answers_lost.store(3, Ordering::Relaxed);
    let mut units: Vec<_> = (0..50).map(|number| unit(&vessel(&format!("v{number}")), 0, &["born"])).collect();
    units.push(unit(&sender, 1, &["x", "y"]));
    units.push(unit(&sender, 3, &["z"]));
    assert_eq!(fixture.commit(units).await, vec![Outcome::Won; 52]);
    assert_eq!(fixture.version(&sender).await, Some(4));
    assert_eq!(fixture.options.faults.answers_lost.load(Ordering::Relaxed), 1);
}

async fn a_loser_is_told_so_even_when_the_answer_is_lost(backend: Backend) {
    let fixture = Fixture::new(backend).await;
    fixture.win(unit(&vessel("a"), 0, &["born"])).await;
    fixture.options.faults.answers_lost.store(1, Ordering::Relaxed);
    let outcomes = fixture.commit([unit(&vessel("a"), 4, &["x"]), unit(&vessel("b"), 0, &["born"])]).await;
    assert_eq!(outcomes, [Outcome::Stale, Outcome::Won]);
}

async fn what_another_decided_is_not_taken_for_ours(backend: Backend) {
    let fixture = Fixture::new(backend).await;
    fixture.win(unit(&vessel("a"), 0, &["born"])).await;
    // The same message, decided by someone else at another time while our commit went astray.
    let mut other = unit(&vessel("a"), 0, &["born"]);
    other.entries[0].now = other.entries[0].now.plus_ms(1);
    fixture.options.faults.unsent.store(1, Ordering::Relaxed);
    let outcomes = fixture.commit([unit(&vessel("b"), 0, &["born"]), other]).await;
    assert_eq!(outcomes, [Outcome::Won, Outcome::Duplicate(vec![id("born")])]);
}

async fn a_commit_that_was_not_sent_is_sent_again(backend: Backend) {
    let fixture = Fixture::new(backend).await;
    fixture.options.faults.unsent.store(2, Ordering::Relaxed);
    fixture.win(unit(&vessel("a"), 0, &["born"])).await;
    assert_eq!(fixture.version(&vessel("a")).await, Some(1));
}

async fn a_commit_that_panics_is_unknown_and_the_committer_goes_on(backend: Backend) {
    let fixture = Fixture::new(backend).await;
    let committer = Committer::spawn(&fixture.journal).unwrap();
    fixture.options.faults.panics.store(1, Ordering::Relaxed);
    let first = Arc::new(unit(&vessel("a"), 0, &["born"]));
    match committer.submit(first.clone()).await {
        Outcome::Unavailable(reason) => assert!(reason.contains("panicked on purpose"), "{reason}"),
        other => panic!("{other:?}"),
    }
    assert_eq!(committer.submit(first).await, Outcome::Duplicate(vec![id("born")]), "it was written before");
    assert_eq!(committer.submit(Arc::new(unit(&vessel("b"), 0, &["born"]))).await, Outcome::Won);
}

async fn the_committer_answers_everyone_in_batches(backend: Backend) {
    let fixture = Fixture::new(backend).await;
    let committer = Committer::spawn(&fixture.journal).unwrap();
    assert_eq!(committer.submit(Arc::new(unit(&vessel("first"), 0, &["born"]))).await, Outcome::Won);
    let (sender, receiver) = mpsc::channel();
    for number in 0..2_000 {
        let sender = sender.clone();
        let reply = Box::new(move |outcome| sender.send((number, outcome)).unwrap());
        committer.try_submit(Arc::new(unit(&vessel(&format!("v{number}")), 0, &["born"])), reply).unwrap();
    }
    drop(sender);
    let mut answered: Vec<_> = tokio::task::spawn_blocking(move || receiver.iter().collect()).await.unwrap();
    answered.sort_unstable_by_key(|(number, _): &(usize, Outcome)| *number);
    assert!(answered.iter().map(|(number, _)| *number).eq(0..2_000));
    assert!(answered.iter().all(|(_, outcome)| *outcome == Outcome::Won));
    let stats = committer.stats();
    assert_eq!((stats.units, stats.waiting, stats.unavailable_since), (2_001, 0, None));
    assert!(stats.commits < 500 && stats.size_max > 4, "{stats:?}");
    assert!(stats.latency_p99 >= stats.latency_p50 && stats.latency_p50 > Duration::ZERO, "{stats:?}");
    committer.close().await;
}

async fn the_committer_drains_when_it_closes(backend: Backend) {
    let fixture = Fixture::new(backend).await;
    let committer = Committer::spawn(&fixture.journal).unwrap();
    let (sender, receiver) = mpsc::channel();
    for number in 0..300 {
        let sender = sender.clone();
        let reply = Box::new(move |outcome| sender.send(outcome).unwrap());
        committer.try_submit(Arc::new(unit(&vessel(&format!("v{number}")), 0, &["born"])), reply).unwrap();
    }
    committer.close().await;
    let outcomes: Vec<Outcome> = receiver.try_iter().collect();
    assert_eq!(outcomes, vec![Outcome::Won; 300]);
    let late = committer.try_submit(Arc::new(unit(&vessel("late"), 0, &["born"])), Box::new(|_| {}));
    assert_eq!(late, Err(Busy::Closed));
    let late = committer.submit(Arc::new(unit(&vessel("late"), 0, &["born"]))).await;
    assert!(matches!(late, Outcome::Unavailable(_)));
    committer.close().await;
    assert_eq!(fixture.journal.counts("vessel").await.unwrap()["afloat"], 300);
}

/// While another process writes for long, units pile up to a limit; whoever was taken is answered.
#[tokio::test]
async fn a_full_committer_says_so_and_answers_whom_it_took() {
    let fixture = Fixture::new(Backend::Sqlite).await;
    let committer = Committer::spawn(&fixture.journal).unwrap();
    let other = fixture.beside().await.begin().await.unwrap();
    other.execute_unprepared("UPDATE settings SET value = value").await.unwrap();
    let (sender, receiver) = mpsc::channel();
    let mut taken = 0;
    let refused = loop {
        let sender = sender.clone();
        let reply = Box::new(move |outcome| sender.send(outcome).unwrap());
        match committer.try_submit(Arc::new(unit(&vessel(&format!("v{taken}")), 0, &["born"])), reply) {
            Ok(()) => taken += 1,
            Err(refused) => break refused,
        }
        assert!(taken < 100_000);
    };
    assert_eq!(refused, Busy::Full);
    other.rollback().await.unwrap();
    committer.close().await;
    drop(sender);
    let outcomes: Vec<Outcome> = receiver.try_iter().collect();
    assert_eq!(outcomes, vec![Outcome::Won; taken]);
}

/// Every outcome of 40 rounds in which someone ends the connections all the time is true, and nothing is lost.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn connections_ended_during_commits_lose_nothing() {
    let fixture = Fixture::new(Backend::Postgres).await;
    let administrator = fixture.beside().await;
    let committer = Committer::spawn(&fixture.journal).unwrap();
    let busy = {
        let committer = committer.clone();
        tokio::spawn(async move {
            for round in 0..40_u64 {
                let units = (0..20).map(|number| unit(&vessel(&format!("v{number}")), round, &[&format!("m{round}")]));
                let answers = units.map(|unit| committer.submit(Arc::new(unit)));
                let outcomes = futures_util::future::join_all(answers).await;
                assert_eq!(outcomes, vec![Outcome::Won; 20], "round {round}");
            }
        })
    };
    let mut ended = 0;
    while !busy.is_finished() {
        end_connections(&administrator).await;
        ended += 1;
        tokio::task::yield_now().await;
        tokio::time::sleep(Duration::from_millis(7)).await;
    }
    busy.await.unwrap();
    assert!(ended > 5, "{ended}");
    // The readers' connections were ended too; the pool may hand out one more that is dead.
    let database = fixture.beside().await;
    administrator.close().await.unwrap();
    database.close().await.unwrap();
    let rows =
        fixture.texts("SELECT actor || ' ' || count(*) || ' ' || max(version) FROM journal GROUP BY actor").await;
    assert_eq!(rows.len(), 20);
    assert!(rows.iter().all(|row| row.ends_with(" 40 40")), "{rows:?}");
    committer.close().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn units_outlast_a_restart_of_the_database() {
    let server = Server::start();
    let fixture = Fixture::at(server.database().await, None).await;
    let committer = Committer::spawn(&fixture.journal).unwrap();
    assert_eq!(committer.submit(Arc::new(unit(&vessel("a"), 0, &["born"]))).await, Outcome::Won);
    server.crash();
    let waiting = {
        let committer = committer.clone();
        tokio::spawn(async move { committer.submit(Arc::new(unit(&vessel("a"), 1, &["sailed"]))).await })
    };
    let limit = Instant::now() + Duration::from_secs(20);
    while committer.stats().unavailable_since.is_none() {
        assert!(Instant::now() < limit, "nobody noticed that the database is away");
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
    server.launch();
    assert_eq!(waiting.await.unwrap(), Outcome::Won);
    assert_eq!(committer.stats().unavailable_since, None);
    committer.close().await;
    assert_eq!(open(&fixture.options).await.load(&[vessel("a")]).await.unwrap()[&vessel("a")].version, 2);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_database_that_stays_away_is_unavailable() {
    let server = Server::start();
    let mut fixture = Fixture::at(server.database().await, None).await;
    fixture.options.patience = Policy { first_ms: 5, longest_ms: 20, give_up_after_ms: 100 };
    let journal = open(&fixture.options).await;
    server.crash();
    let units = (0..3_000).map(|number| Arc::new(unit(&vessel(&format!("v{number}")), 0, &["born"]))).collect();
    let begun = Instant::now();
    let outcomes = journal.commit(units).await;
    assert!(outcomes.iter().all(|outcome| matches!(outcome, Outcome::Unavailable(_))), "{:?}", outcomes[0]);
    assert!(begun.elapsed() < Duration::from_secs(15), "{:?}", begun.elapsed());
    server.launch();
    let outcomes = journal.commit(vec![Arc::new(unit(&vessel("v1"), 0, &["born"]))]).await;
    assert_eq!(outcomes, [Outcome::Won]);
}

/// Two nodes decide about the same actors at the same time: of each version there is one, and one winner.
async fn two_journals_never_both_win_a_version(backend: Backend) {
    let fixture = Fixture::new(backend).await;
    let other = open(&fixture.options).await;
    let rounds = 30;
    let race = async |journal: mixvideo::runtime::journal::Journal, name: &str| {
        let mut won = Vec::new();
        for round in 0..rounds {
            let units: Vec<_> = (0..10)
                .map(|number| Arc::new(unit(&vessel(&format!("v{number}")), round, &[&format!("{name}{round}")])))
                .collect();
            for (number, outcome) in journal.commit(units).await.into_iter().enumerate() {
                match outcome {
                    Outcome::Won => won.push((number, round)),
                    Outcome::Stale => {}
                    other => panic!("{other:?}"),
                }
            }
        }
        won
    };
    let (mut ours, theirs) = tokio::join!(race(fixture.journal.clone(), "ours"), race(other, "theirs"));
    let length = ours.len() + theirs.len();
    ours.extend(theirs);
    ours.sort_unstable();
    ours.dedup();
    assert_eq!(ours.len(), length, "two winners of one version");
    let rows = fixture.texts("SELECT CAST(count(*) AS TEXT) FROM journal").await;
    assert_eq!(rows, [length.to_string()]);
}
