//! What must still happen: posted, settled, swept, parked, set aside and called back.

use mixvideo::domain::Timestamp;
use mixvideo::runtime::journal::{Cursor, DECIDE, Envelope, partition_of};

use super::fixture::{Backend, Fixture, PARTITIONS, effect, harbour, id, on_both, post, unit, vessel};

on_both!(
    an_effect_is_outstanding_until_it_is_settled,
    a_loser_posts_and_settles_nothing,
    settling_what_is_gone_is_no_error,
    a_sweep_pages_in_order_of_due_time,
    a_sweep_keeps_to_its_lane_and_partition,
    what_is_set_aside_comes_back_under_its_own_id,
    what_is_set_aside_can_be_dropped,
    deaths_noted_twice_count_once,
    an_activity_begins_for_the_first_time_once,
    a_parked_message_comes_back_with_the_birth_of_its_target,
    a_message_to_an_actor_that_exists_is_not_parked,
    a_parked_message_settled_in_the_commit_of_the_birth_is_gone,
    lanes_tell_what_waits,
);

/// Posts messages from `vessel/sender`, born here, to `targets` with the due times given.
async fn posted(fixture: &Fixture, targets: &[(&str, i64)]) -> Vec<Envelope> {
    let mut unit = unit(&vessel("sender"), 0, &["born"]);
    unit.posts = targets.iter().zip(0..).map(|((to, due), index)| post(&unit, index, &harbour(to), *due)).collect();
    let posts = unit.posts.clone();
    fixture.win(unit).await;
    posts.into_iter().map(|envelope| Envelope { recovered: true, ..envelope }).collect()
}

async fn an_effect_is_outstanding_until_it_is_settled(backend: Backend) {
    let fixture = Fixture::new(backend).await;
    let posts = posted(&fixture, &[("x", 10), ("y", 20), ("x", 30)]).await;
    let sender = vessel("sender");
    assert_eq!(fixture.journal.outstanding(&sender, 10).await.unwrap(), posts);
    assert_eq!(fixture.journal.outstanding(&sender, 2).await.unwrap(), posts[..2]);
    assert_eq!(fixture.journal.outstanding(&harbour("x"), 10).await.unwrap(), [posts[0].clone(), posts[2].clone()]);

    let mut receiver = unit(&harbour("x"), 0, &[posts[0].id.as_str()]);
    receiver.settled = vec![posts[0].id.clone()];
    // The sender takes back what it ordered.
    let mut cancel = unit(&sender, 1, &["cancel"]);
    cancel.settled = vec![posts[1].id.clone()];
    fixture.win(receiver).await;
    fixture.win(cancel).await;
    assert_eq!(fixture.outbox().await, [posts[2].id.as_str()]);
    let asked = [posts[0].id.clone(), posts[2].id.clone(), id("never/was:1:0")];
    let still = fixture.journal.still_outstanding(&asked).await.unwrap();
    assert_eq!(still.into_iter().collect::<Vec<_>>(), [posts[2].id.clone()]);
    assert!(fixture.journal.still_outstanding(&[]).await.unwrap().is_empty());
}

async fn an_activity_begins_for_the_first_time_once(backend: Backend) {
    let fixture = Fixture::new(backend).await;
    let posts = posted(&fixture, &[("x", 10), ("y", 20)]).await;
    let (first, second) = (&posts[0].id, &posts[1].id);
    assert!(fixture.journal.note_begun(first, None).await.unwrap());
    assert!(!fixture.journal.note_begun(first, None).await.unwrap(), "it may have acted");
    assert!(fixture.journal.note_begun(second, None).await.unwrap(), "another one has not begun");
    assert!(!fixture.journal.note_begun(&id("never/was:1:0"), None).await.unwrap(), "what is settled may have acted");
    // What was set aside and comes back may have acted too.
    fixture.journal.quarantine(second, "a reason", None, Timestamp(30)).await.unwrap();
    fixture.journal.replay(second, Timestamp(40)).await.unwrap();
    assert!(!fixture.journal.note_begun(second, None).await.unwrap());
}

async fn a_loser_posts_and_settles_nothing(backend: Backend) {
    let fixture = Fixture::new(backend).await;
    let posts = posted(&fixture, &[("x", 10)]).await;
    let mut stale = unit(&harbour("x"), 4, &["late"]);
    stale.settled = vec![posts[0].id.clone()];
    stale.posts = vec![post(&stale, 0, &vessel("sender"), 0)];
    let outcomes = fixture.commit([stale, unit(&vessel("other"), 0, &["born"])]).await;
    assert_eq!(outcomes, [mixvideo::runtime::journal::Outcome::Stale, mixvideo::runtime::journal::Outcome::Won]);
    assert_eq!(fixture.outbox().await, [posts[0].id.as_str()]);
}

async fn settling_what_is_gone_is_no_error(backend: Backend) {
    let fixture = Fixture::new(backend).await;
    let mut unit = unit(&vessel("a"), 0, &["born"]);
    unit.settled = vec![id("never/was:1:0")];
    fixture.win(unit).await;
}

async fn a_sweep_pages_in_order_of_due_time(backend: Backend) {
    let fixture = Fixture::new(backend).await;
    // Three share a due time across the edge of a page; the last two are not due yet.
    let due = [50, 10, 30, 30, 30, 20, 900, 901];
    let mut posts = posted(&fixture, &due.map(|due| ("x", due))).await;
    posts.sort_by_key(|post| (post.due, post.id.clone()));
    let partition = partition_of(&harbour("x"), PARTITIONS);
    let (mut after, mut swept) = (None, Vec::new());
    loop {
        let page = fixture.journal.sweep(partition, DECIDE, Timestamp(899), after.as_ref(), 2).await.unwrap();
        let Some(last) = page.last() else { break };
        after = Some(Cursor { due: last.due, id: last.id.clone() });
        swept.extend(page);
    }
    assert_eq!(swept, posts[..6]);
    let all = fixture.journal.sweep(partition, DECIDE, Timestamp(900), None, 100).await.unwrap();
    assert_eq!(all, posts[..7]);
}

async fn a_sweep_keeps_to_its_lane_and_partition(backend: Backend) {
    let fixture = Fixture::new(backend).await;
    let mut unit = unit(&vessel("sender"), 0, &["born"]);
    unit.posts = (0..40).map(|index| post(&unit, index, &harbour(&format!("h{index}")), 5)).collect();
    for post in unit.posts.iter_mut().step_by(3) {
        post.lane = "dock".into();
    }
    let posts = unit.posts.clone();
    fixture.win(unit).await;
    for partition in 0..PARTITIONS {
        for lane in [DECIDE, "dock"] {
            let mut expected: Vec<_> = posts
                .iter()
                .filter(|post| partition_of(&post.to, PARTITIONS) == partition && &*post.lane == lane)
                .map(|post| post.id.clone())
                .collect();
            expected.sort();
            let swept = fixture.journal.sweep(partition, lane, Timestamp(5), None, 100).await.unwrap();
            assert_eq!(swept.into_iter().map(|post| post.id).collect::<Vec<_>>(), expected);
            assert!(!expected.is_empty());
        }
    }
}

async fn what_is_set_aside_comes_back_under_its_own_id(backend: Backend) {
    let fixture = Fixture::new(backend).await;
    let posts = posted(&fixture, &[("x", 10), ("y", 20)]).await;
    let journal = &fixture.journal;
    assert!(journal.note_deaths(&posts[0].id, 1, None).await.unwrap());
    assert!(journal.quarantine(&posts[0].id, "it kills", None, Timestamp(77)).await.unwrap());
    assert!(!journal.quarantine(&posts[0].id, "it kills", None, Timestamp(78)).await.unwrap());
    assert_eq!(fixture.outbox().await, [posts[1].id.as_str()]);
    assert_eq!(journal.dead_count().await.unwrap(), 1);
    let letter = journal.dead_show(&posts[0].id).await.unwrap().unwrap();
    assert_eq!((letter.reason.as_str(), letter.died_at, letter.envelope.deaths), ("it kills", Timestamp(77), 1));
    assert_eq!(journal.dead_list(None, 10).await.unwrap(), [letter]);
    assert_eq!(journal.dead_list(Some(&posts[0].id), 10).await.unwrap(), []);

    assert_eq!(journal.replay(&posts[0].id, Timestamp(99)).await.unwrap(), Some(posts[0].clone()));
    assert_eq!(journal.replay(&posts[0].id, Timestamp(99)).await.unwrap(), None);
    assert_eq!(journal.outstanding(&vessel("sender"), 10).await.unwrap(), posts);
    assert_eq!(journal.dead_count().await.unwrap(), 0);
}

async fn what_is_set_aside_can_be_dropped(backend: Backend) {
    let fixture = Fixture::new(backend).await;
    let posts = posted(&fixture, &[("x", 10)]).await;
    assert!(!fixture.journal.drop_dead(&posts[0].id).await.unwrap());
    assert!(fixture.journal.quarantine(&posts[0].id, "no\0use", None, Timestamp(1)).await.unwrap());
    assert!(fixture.journal.drop_dead(&posts[0].id).await.unwrap());
    assert_eq!(fixture.journal.dead_show(&posts[0].id).await.unwrap(), None);
    assert!(fixture.outbox().await.is_empty());
}

async fn deaths_noted_twice_count_once(backend: Backend) {
    let fixture = Fixture::new(backend).await;
    let posts = posted(&fixture, &[("x", 10)]).await;
    for (deaths, noted) in [(1, 1), (1, 1), (2, 2), (1, 2)] {
        assert!(fixture.journal.note_deaths(&posts[0].id, deaths, None).await.unwrap());
        assert_eq!(fixture.journal.outstanding(&vessel("sender"), 1).await.unwrap()[0].deaths, noted);
    }
    assert!(!fixture.journal.note_deaths(&id("never/was:1:0"), 1, None).await.unwrap());
}

async fn a_parked_message_comes_back_with_the_birth_of_its_target(backend: Backend) {
    let fixture = Fixture::new(backend).await;
    let posts = posted(&fixture, &[("x", 10), ("y", 10)]).await;
    let (x, y) = (harbour("x"), harbour("y"));
    assert!(fixture.journal.park(&posts[0].id, &x, None).await.unwrap());
    assert!(fixture.journal.park(&posts[1].id, &y, None).await.unwrap());
    let partition = partition_of(&x, PARTITIONS);
    let swept = async || fixture.journal.sweep(partition, DECIDE, Timestamp(99), None, 10).await.unwrap();
    assert!(swept().await.is_empty());
    assert_eq!(fixture.journal.outstanding(&x, 10).await.unwrap().len(), 1);
    fixture.win(unit(&x, 0, &["born"])).await;
    assert_eq!(swept().await, posts[..1]);
    let parked = fixture.texts("SELECT id FROM outbox WHERE parked = 1").await;
    assert_eq!(parked, [posts[1].id.as_str()]);
}

async fn a_message_to_an_actor_that_exists_is_not_parked(backend: Backend) {
    let fixture = Fixture::new(backend).await;
    let posts = posted(&fixture, &[("x", 10)]).await;
    fixture.win(unit(&harbour("x"), 0, &["born"])).await;
    assert!(!fixture.journal.park(&posts[0].id, &harbour("x"), None).await.unwrap());
    assert!(!fixture.journal.park(&id("never/was:1:0"), &harbour("y"), None).await.unwrap());
}

async fn a_parked_message_settled_in_the_commit_of_the_birth_is_gone(backend: Backend) {
    let fixture = Fixture::new(backend).await;
    let posts = posted(&fixture, &[("x", 10), ("x", 20)]).await;
    for post in &posts {
        assert!(fixture.journal.park(&post.id, &harbour("x"), None).await.unwrap());
    }
    let mut cancel = unit(&vessel("sender"), 1, &["cancel"]);
    cancel.settled = vec![posts[0].id.clone()];
    let outcomes = fixture.commit([cancel, unit(&harbour("x"), 0, &["born"])]).await;
    assert_eq!(outcomes, vec![mixvideo::runtime::journal::Outcome::Won; 2]);
    let rows = fixture.texts("SELECT id || ' ' || parked FROM outbox").await;
    assert_eq!(rows, [format!("{} 0", posts[1].id)]);
}

async fn lanes_tell_what_waits(backend: Backend) {
    let fixture = Fixture::new(backend).await;
    assert!(fixture.journal.lanes().await.unwrap().is_empty());
    let mut unit = unit(&vessel("sender"), 0, &["born"]);
    unit.posts = (0..5).map(|index| post(&unit, index, &harbour("x"), 10 + i64::from(index))).collect();
    unit.posts[4].lane = "dock".into();
    fixture.win(unit).await;
    assert!(fixture.journal.park(&effect(&vessel("sender"), 1, 0), &harbour("x"), None).await.unwrap());
    let lanes = fixture.journal.lanes().await.unwrap();
    let told: Vec<_> = lanes.iter().map(|lane| (&*lane.lane, lane.waiting, lane.oldest_due, lane.parked)).collect();
    assert_eq!(told, [("decide", 3, Some(Timestamp(11)), 1), ("dock", 1, Some(Timestamp(14)), 0)]);
}
