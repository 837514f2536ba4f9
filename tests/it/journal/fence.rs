//! Whoever lost its partition writes nothing any more.

use std::sync::atomic::Ordering;

use mixvideo::domain::{Address, Timestamp};
use mixvideo::runtime::journal::{Error, MessageId, Outcome, Unit, partition_of};
use mixvideo::runtime::lease::Epoch;
use sea_orm::ConnectionTrait;

use super::fixture::{Backend, Fixture, PARTITIONS, harbour, id, on_both, post, unit, vessel};

on_both!(
    stale_epoch_loses_whole_and_its_neighbours_win,
    unit_that_was_written_before_the_fence_rose_has_won,
    stale_owner_marks_and_moves_nothing,
);

/// The partition of `actor` is in this epoch from now on.
async fn raise(fixture: &Fixture, actor: &Address, epoch: i64) {
    let partition = partition_of(actor, PARTITIONS);
    let sql = format!(
        "INSERT INTO partitions (partition, owner, epoch, lease_until, since, generation) \
         VALUES ({partition}, 'somebody', {epoch}, 0, 0, 0) ON CONFLICT (partition) DO UPDATE SET epoch = {epoch}"
    );
    fixture.beside().await.execute_unprepared(&sql).await.unwrap();
}

fn in_epoch(unit: Unit, epoch: i64) -> Unit {
    Unit { epoch: Some(Epoch(epoch)), ..unit }
}

/// Two vessels of different partitions.
fn apart() -> (Address, Address) {
    let first = vessel("a");
    let elsewhere = |other: &Address| partition_of(other, PARTITIONS) != partition_of(&first, PARTITIONS);
    let other = (0..).map(|number| vessel(&format!("b{number}"))).find(elsewhere).unwrap();
    (first, other)
}

async fn stale_epoch_loses_whole_and_its_neighbours_win(backend: Backend) {
    let fixture = Fixture::new(backend).await;
    let (lost, held) = apart();
    for actor in [&lost, &held] {
        fixture.win(unit(actor, 0, &["birth"])).await;
        raise(&fixture, actor, 7).await;
    }
    let mut stale = in_epoch(unit(&lost, 1, &["late"]), 6);
    stale.posts = vec![post(&stale, 0, &held, 10)];
    let units = [stale.clone(), in_epoch(unit(&held, 1, &["fine"]), 7), unit(&harbour("new"), 0, &["birth"])];
    assert_eq!(fixture.commit(units).await, [Outcome::Fenced, Outcome::Won, Outcome::Won]);
    assert_eq!(fixture.version(&lost).await, Some(1));
    assert_eq!(fixture.history(&lost).await.len(), 1);
    assert!(fixture.outbox().await.is_empty());
    // Also one that comes from the future, or of a partition that nobody has a row of.
    assert_eq!(fixture.commit([in_epoch(unit(&lost, 1, &["early"]), 8)]).await, [Outcome::Fenced]);
    // The epoch of each is asked for, not the highest or the latest.
    assert_eq!(fixture.commit([in_epoch(unit(&lost, 1, &["now"]), 7)]).await, [Outcome::Won]);
}

async fn unit_that_was_written_before_the_fence_rose_has_won(backend: Backend) {
    let fixture = Fixture::new(backend).await;
    let actor = vessel("a");
    fixture.win(unit(&actor, 0, &["birth"])).await;
    raise(&fixture, &actor, 1).await;
    fixture.options.faults.answers_lost.store(1, Ordering::Relaxed);
    let written = in_epoch(unit(&actor, 1, &["once"]), 1);
    assert_eq!(fixture.commit([written.clone()]).await, [Outcome::Won]);
    raise(&fixture, &actor, 2).await;
    assert_eq!(fixture.commit([written]).await, [Outcome::Fenced], "asked by somebody who does not own it any more");
}

async fn stale_owner_marks_and_moves_nothing(backend: Backend) {
    let fixture = Fixture::new(backend).await;
    let (sender, target) = (vessel("a"), harbour("unborn"));
    let mut ordering = unit(&sender, 0, &["birth"]);
    ordering.posts = vec![post(&ordering, 0, &target, 10)];
    let effect: MessageId = ordering.posts[0].id.clone();
    fixture.win(ordering).await;
    raise(&fixture, &target, 5).await;
    let (journal, stale, fresh) = (&fixture.journal, Some(Epoch(4)), Some(Epoch(5)));
    let fenced = |outcome: Result<bool, Error>| assert!(matches!(outcome, Err(Error::Fenced { .. })), "{outcome:?}");
    fenced(journal.note_begun(&effect, stale).await);
    fenced(journal.note_deaths(&effect, 1, stale).await);
    fenced(journal.park(&effect, &target, stale).await);
    fenced(journal.quarantine(&effect, "because", stale, Timestamp(20)).await);
    let row = "SELECT CAST(begun + deaths + parked AS TEXT) FROM outbox";
    assert_eq!(fixture.texts(row).await, ["0"]);

    assert!(journal.note_begun(&effect, fresh).await.unwrap());
    assert!(!journal.note_begun(&effect, fresh).await.unwrap(), "it has begun, and that is no matter of epochs");
    assert!(journal.note_deaths(&effect, 1, fresh).await.unwrap());
    assert!(journal.park(&effect, &target, fresh).await.unwrap());
    assert!(journal.quarantine(&effect, "because", fresh, Timestamp(20)).await.unwrap());
    assert!(!journal.quarantine(&effect, "because", stale, Timestamp(20)).await.unwrap(), "there is nothing to fence");
}

#[tokio::test]
async fn suspects_are_known_to_whoever_owns_their_partition_until_they_are_tried() {
    for backend in [Backend::Sqlite, Backend::Postgres] {
        let fixture = Fixture::new(backend).await;
        let (sender, target) = (vessel("a"), harbour("x"));
        let mut ordering = unit(&sender, 0, &["birth"]);
        ordering.posts = vec![post(&ordering, 0, &target, 10), post(&ordering, 1, &target, 10)];
        let (first, second) = (ordering.posts[0].id.clone(), ordering.posts[1].id.clone());
        fixture.win(ordering).await;
        let journal = &fixture.journal;
        journal.note_suspects(&[first.clone(), id("settled/long-ago:1:0")]).await.unwrap();
        let all: Vec<u32> = (0..PARTITIONS).collect();
        let ids = async |partitions: &[u32]| {
            let suspects = journal.suspects(partitions, 10).await.unwrap();
            suspects.into_iter().map(|suspect| suspect.id).collect::<Vec<_>>()
        };
        assert_eq!(ids(&all).await, std::slice::from_ref(&first));
        let elsewhere: Vec<u32> = all.iter().copied().filter(|p| *p != partition_of(&target, PARTITIONS)).collect();
        assert!(ids(&elsewhere).await.is_empty());
        assert!(journal.note_deaths(&first, 1, None).await.unwrap());
        assert!(ids(&all).await.is_empty(), "its trial has begun");
        assert!(!ids(&all).await.contains(&second));
    }
}
