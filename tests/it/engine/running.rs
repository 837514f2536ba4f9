//! What the engine does when all is well: births, folding, timers, activities, drain.

use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::{Duration, Instant};

use async_trait::async_trait;
use mixvideo::domain::Failure;
use mixvideo::runtime::activity::{Activities, Progress, Work};
use mixvideo::runtime::engine::{Born, NotBorn};
use mixvideo::runtime::partition::Limits;
use tokio_util::sync::CancellationToken;

use super::support::{self, Idle, Node, noop_task, until};
use super::toy::{self, Message};

const SOON: Duration = Duration::from_secs(20);

/// Runs until it is cancelled, and says when it began and ended.
#[derive(Default)]
struct Patient {
    begun: AtomicU32,
    cancelled: AtomicU32,
}

#[async_trait]
impl Activities for Patient {
    async fn run(&self, _: &Work, _: &Progress, cancel: &CancellationToken) -> Result<serde_json::Value, Failure> {
        self.begun.fetch_add(1, Ordering::SeqCst);
        cancel.cancelled().await;
        self.cancelled.fetch_add(1, Ordering::SeqCst);
        Ok(serde_json::Value::Null)
    }
}

#[test]
fn a_few_thousand_tasks_complete_and_leave_nothing_behind() {
    support::system(async {
        let place = support::sqlite();
        let node = Node::start(&place).await;
        let births = (0..4_000).map(|_| node.engine.birth(noop_task()));
        for born in futures_util::future::join_all(births).await {
            assert_eq!(born.unwrap(), Born::Now);
        }
        until("all tasks completed", SOON, async || node.count("task", "completed").await == 4_000).await;
        assert_eq!(node.outstanding().await, 0, "effects of finished tasks are left in the outbox");
        assert!(node.stop().await, "the drain was not in time");
    });
}

#[test]
fn a_birth_asked_twice_is_one_and_another_wish_under_its_address_is_refused() {
    support::system(async {
        let place = support::sqlite();
        let node = Node::of_toys(&place, Arc::new(Idle), Limits::default()).await;
        assert_eq!(node.engine.birth(toy::birth("a", vec![])).await.unwrap(), Born::Now);
        assert_eq!(node.engine.birth(toy::birth("a", vec![])).await.unwrap(), Born::Before);
        let mut other = toy::birth("a", vec![]);
        other.message = "another wish".into();
        assert!(matches!(node.engine.birth(other).await, Err(NotBorn::Exists(_))));
        node.stop().await;
    });
}

#[test]
fn many_messages_of_one_actor_become_few_commits_and_each_counts_once() {
    support::system(async {
        let place = support::sqlite();
        let node = Node::of_toys(&place, Arc::new(Idle), Limits::default()).await;
        node.engine.birth(toy::birth("hot", vec![])).await.unwrap();
        let before = node.engine.committer().stats();
        let tells = (0..2_000).map(|_| (toy::address("hot"), Message::Add(1))).collect();
        node.engine.birth(toy::birth("sender", tells)).await.unwrap();
        until("all were counted", SOON, async || node.toy("hot").await.count == 2_000).await;
        let units = node.engine.committer().stats().units - before.units;
        assert!(units <= 200, "{units} units for 2,000 messages of one actor");
        let history = node.engine.journal().history(&toy::address("hot"), 0, 3_000).await.unwrap();
        assert_eq!(history.len(), 2_001, "each message has a row of its own");
        node.stop().await;
    });
}

#[test]
fn a_message_to_an_actor_not_yet_born_waits_for_its_birth() {
    support::system(async {
        let place = support::sqlite();
        let node = Node::of_toys(&place, Arc::new(Idle), Limits::default()).await;
        node.engine.birth(toy::birth("early", vec![(toy::address("late"), Message::Add(7))])).await.unwrap();
        until("the message is parked", SOON, async || {
            node.engine.journal().lanes().await.unwrap().iter().map(|lane| lane.parked).sum::<u64>() == 1
        })
        .await;
        node.engine.birth(toy::birth("late", vec![])).await.unwrap();
        until("it arrived", SOON, async || node.toy("late").await.count == 7).await;
        node.stop().await;
    });
}

#[test]
fn a_timer_fires_when_it_is_due_also_after_a_restart() {
    support::system(async {
        let place = support::sqlite();
        let node = Node::of_toys(&place, Arc::new(Idle), Limits::default()).await;
        let to_a = |message| (toy::address("a"), message);
        node.engine.birth(toy::birth("a", vec![])).await.unwrap();
        let tells = vec![to_a(Message::AddLater { after_ms: 200 }), to_a(Message::AddLater { after_ms: 1_500 })];
        let armed = Instant::now();
        node.engine.birth(toy::birth("b", tells)).await.unwrap();
        until("the first fired", SOON, async || node.toy("a").await.count == 1).await;
        assert!(armed.elapsed() >= Duration::from_millis(200), "it fired after {:?}", armed.elapsed());
        assert!(node.stop().await);
        let node = Node::of_toys(&place, Arc::new(Idle), Limits::default()).await;
        until("the second fired", SOON, async || node.toy("a").await.count == 2).await;
        assert!(armed.elapsed() >= Duration::from_millis(1_500), "it fired after {:?}", armed.elapsed());
        node.stop().await;
    });
}

#[test]
fn stopping_an_activity_reaches_it_within_a_second() {
    support::system(async {
        let place = support::sqlite();
        let patient = Arc::new(Patient::default());
        let node = Node::of_toys(&place, patient.clone(), Limits::default()).await;
        let to_a = |message| vec![(toy::address("a"), message)];
        node.engine.birth(toy::birth("a", vec![])).await.unwrap();
        node.engine.birth(toy::birth("b", to_a(Message::Start { input: "{}".to_owned(), turn: None }))).await.unwrap();
        until("it runs", SOON, async || patient.begun.load(Ordering::SeqCst) == 1).await;
        let stopped = Instant::now();
        node.engine.birth(toy::birth("c", to_a(Message::Stop))).await.unwrap();
        until("it is stopped", Duration::from_secs(1), async || patient.cancelled.load(Ordering::SeqCst) == 1).await;
        assert!(stopped.elapsed() < Duration::from_secs(1));
        assert_eq!(node.toy("a").await.reports, 0, "a stopped activity reports nothing");
        assert_eq!(node.outstanding().await, 0);
        node.stop().await;
    });
}

#[test]
fn a_drain_stops_what_does_not_end_and_the_next_start_begins_it_again() {
    support::system(async {
        let place = support::sqlite();
        let patient = Arc::new(Patient::default());
        let node = Node::of_toys(&place, patient.clone(), Limits::default()).await;
        let start = Message::Start { input: "{}".to_owned(), turn: None };
        node.engine.birth(toy::birth("a", vec![])).await.unwrap();
        node.engine.birth(toy::birth("b", vec![(toy::address("a"), start)])).await.unwrap();
        until("it runs", SOON, async || patient.begun.load(Ordering::SeqCst) == 1).await;
        assert!(!node.engine.drain(Duration::from_secs(1)).await, "an activity that never ends was finished");
        assert_eq!(patient.cancelled.load(Ordering::SeqCst), 1);
        let node = Node::of_toys(&place, Arc::new(Idle), Limits::default()).await;
        until("it ran again", SOON, async || node.toy("a").await.reports == 1).await;
        node.stop().await;
    });
}

#[test]
fn a_drain_keeps_its_limit_while_the_database_is_away() {
    support::system(async {
        let place = support::sqlite();
        let node = Node::of_toys(&place, Arc::new(Idle), Limits::default()).await;
        node.faults.unsent.store(u32::MAX, Ordering::SeqCst);
        let engine = node.engine.clone();
        let waiting = actix::spawn(async move { engine.birth(toy::birth("a", vec![])).await });
        until("it waits to be written", SOON, async || node.faults.unsent.load(Ordering::SeqCst) < u32::MAX).await;
        let begun = Instant::now();
        assert!(!node.engine.drain(Duration::from_millis(100)).await, "not everything finished");
        assert!(begun.elapsed() < Duration::from_secs(5), "it took {:?}", begun.elapsed());
        waiting.abort();
    });
}
