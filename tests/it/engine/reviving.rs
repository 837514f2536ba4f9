//! A supervisor that dies is started again, and nothing it had in hand is lost or done twice at once.

use std::collections::HashSet;
use std::sync::atomic::{AtomicBool, AtomicU32, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use async_trait::async_trait;
use mixvideo::domain::{Failure, Timestamp};
use mixvideo::runtime::activity::{Activities, Progress, Work};
use mixvideo::runtime::clock::{Clock, SystemClock};
use mixvideo::runtime::journal::MessageId;
use mixvideo::runtime::partition::Limits;
use tokio_util::sync::CancellationToken;

use super::support::{self, Idle, Node, PARTITIONS, until};
use super::toy::{self, Message};

const SOON: Duration = Duration::from_secs(20);
/// Toys: enough for several in every partition.
const TOYS: u32 = 32;

/// A clock that panics once when it is asked after it was broken. When nothing is being decided, only supervisors ask.
#[derive(Default)]
struct Brittle {
    broken: AtomicBool,
}

impl Clock for Brittle {
    fn now(&self) -> Timestamp {
        assert!(!self.broken.swap(false, Ordering::SeqCst), "the clock was broken on purpose");
        SystemClock.now()
    }
}

/// Activities that run until they may end.
#[derive(Default)]
struct Gated {
    running: Mutex<HashSet<MessageId>>,
    begun: AtomicU32,
    cancelled: AtomicU32,
    twice_at_once: AtomicBool,
    open: CancellationToken,
}

#[async_trait]
impl Activities for Gated {
    async fn run(&self, work: &Work, _: &Progress, cancel: &CancellationToken) -> Result<serde_json::Value, Failure> {
        self.begun.fetch_add(1, Ordering::SeqCst);
        if !self.running.lock().unwrap().insert(work.id.clone()) {
            self.twice_at_once.store(true, Ordering::SeqCst);
        }
        tokio::select! {
            () = cancel.cancelled() => drop(self.cancelled.fetch_add(1, Ordering::SeqCst)),
            () = self.open.cancelled() => {}
        }
        self.running.lock().unwrap().remove(&work.id);
        Ok(serde_json::Value::Null)
    }
}

#[test]
fn a_supervisor_that_dies_is_started_again_and_all_work_completes() {
    support::system(async {
        let place = support::sqlite();
        let (clock, activities) = (Arc::new(Brittle::default()), Arc::new(Gated::default()));
        let node = Node::of_toys_at(&place, activities.clone(), Limits::default(), clock.clone()).await;
        let names: Vec<String> = (0..TOYS).map(|index| format!("toy{index}")).collect();
        for name in &names {
            node.engine.birth(toy::birth(name, vec![])).await.unwrap();
        }
        let tell = |message: Message| names.iter().map(|name| (toy::address(name), message.clone())).collect();
        node.engine.birth(toy::birth("starter", tell(Message::Start { input: "{}".to_owned() }))).await.unwrap();
        until("all activities run", SOON, async || activities.begun.load(Ordering::SeqCst) == TOYS).await;

        clock.broken.store(true, Ordering::SeqCst);
        until("a supervisor died", SOON, async || !clock.broken.load(Ordering::SeqCst)).await;
        until("it is started again", SOON, async || node.engine.health(SOON).await.restarts == 1).await;
        let again = async || activities.running.lock().unwrap().len() == TOYS as usize;
        until("what ran for it was stopped", SOON, async || activities.cancelled.load(Ordering::SeqCst) > 0).await;
        until("and runs again", SOON, again).await;
        node.engine.birth(toy::birth("adder", tell(Message::Add(1)))).await.unwrap();
        activities.open.cancel();
        for name in &names {
            until("everything came through", SOON, async || {
                let toy = node.toy(name).await;
                (toy.reports, toy.count) == (1, 1)
            })
            .await;
        }

        let (begun, cancelled) = (activities.begun.load(Ordering::SeqCst), activities.cancelled.load(Ordering::SeqCst));
        assert_eq!(begun, TOYS + cancelled, "only what was stopped began again");
        assert!(cancelled < TOYS, "the other partitions went on");
        assert!(!activities.twice_at_once.load(Ordering::SeqCst), "an activity ran twice at once");
        assert_eq!(node.outstanding().await, 0);
        let health = node.engine.health(SOON).await;
        assert_eq!((health.restarts, health.partitions.len()), (1, PARTITIONS as usize));
        node.stop().await;
    });
}

#[test]
fn a_supervisor_that_dies_while_it_drains_keeps_nobody_waiting() {
    support::system(async {
        let place = support::sqlite();
        let clock = Arc::new(Brittle::default());
        let node = Node::of_toys_at(&place, Arc::new(Idle), Limits::default(), clock.clone()).await;
        until("it is open", SOON, async || node.engine.is_open()).await;
        clock.broken.store(true, Ordering::SeqCst);
        let limit = Duration::from_secs(600);
        let drained = tokio::time::timeout(SOON, node.engine.drain(limit)).await;
        assert!(!clock.broken.load(Ordering::SeqCst), "a supervisor died");
        assert_eq!(drained, Ok(true), "it did not wait out its limit");
    });
}
