//! Watchers of one node, and of two.

use std::time::Duration;

use tokio::time::{Instant, sleep, timeout};
use uuid::Uuid;

use super::*;
use crate::domain::{Timestamp, Verdict};
use crate::runtime::journal::{Entry, StateRow, StateTable};

/// News that comes is there within this.
const LIMIT: Duration = Duration::from_secs(20);
/// News that has not come by now does not come.
const NEVER: Duration = Duration::from_millis(200);

/// Everything as often as it pays in a test.
fn pace() -> Pace {
    let often = Duration::from_millis(50);
    Pace { watching: often, progress: often, renewal: often, ..Pace::default() }
}

fn actor(name: &str) -> Address {
    Address::new("clerk", name)
}

fn effect(version: u64) -> EffectNo {
    EffectNo { version, index: 0 }
}

async fn until(mut holds: impl AsyncFnMut() -> bool) {
    let begun = Instant::now();
    while !holds().await {
        assert!(begun.elapsed() < LIMIT);
        sleep(Duration::from_millis(5)).await;
    }
}

/// Two nodes on one wire.
struct Two {
    here: Hub,
    there: Hub,
    relays: [Relay; 2],
}

impl Two {
    fn new() -> Self {
        let (here, there, wire) = (Hub::default(), Hub::default(), InProcess::default());
        let end = wire.another_end();
        let relays = [
            Relay::start(&here, Arc::new(wire), Uuid::from_u128(1), pace()),
            Relay::start(&there, Arc::new(end), Uuid::from_u128(2), pace()),
        ];
        Self { here, there, relays }
    }
}

#[test]
fn watchers_of_one_actor_are_bounded_too_and_leave_room_when_they_go() {
    let (hub, popular) = (Hub::default(), actor("1"));
    let watchers: Vec<Watcher> = (0..WATCHERS_MAX).map(|_| hub.watch(&popular).unwrap()).collect();
    assert!(hub.watch(&popular).is_err());
    assert!(hub.watch(&actor("2")).is_err());
    drop(watchers);
    assert_eq!(hub.watched(), 0);
    assert!(hub.watch(&popular).is_ok());
}

/// A clerk's decision.
fn unit(name: &str, expected: u64) -> Arc<Unit> {
    static CLERKS: StateTable = StateTable { kind: "clerk", table: "clerks", columns: &[], records: None };
    let state = StateRow { status: "busy", schema: 1, state: "{}".into(), cells: Vec::new() };
    let (posts, settled) = (Vec::new(), Vec::new());
    let entry = Entry {
        version: expected + 1,
        message: "m".into(),
        body: "{}".into(),
        verdict: Verdict::Applied,
        now: Timestamp(0),
    };
    let actor = actor(name);
    let entries = vec![entry];
    let records = Vec::new();
    Arc::new(Unit {
        actor,
        table: &CLERKS,
        expected,
        entries,
        state,
        posts,
        records,
        settled,
        claim: None,
        origin: None,
        epoch: None,
    })
}

#[tokio::test]
async fn what_was_committed_here_comes_with_its_news() {
    let hub = Hub::default();
    hub.committed(&unit("a", 0));
    let mut watcher = hub.watch(&actor("a")).unwrap();
    assert_eq!(watcher.committed(), None, "that was before");
    hub.committed(&unit("b", 0));
    hub.committed(&unit("a", 1));
    timeout(LIMIT, watcher.changed()).await.unwrap();
    assert_eq!(watcher.committed().map(|unit| unit.version()), Some(2));
    hub.progressed(&actor("a"), effect(2), 0.5);
    timeout(LIMIT, watcher.changed()).await.unwrap();
    assert_eq!(watcher.committed().map(|unit| unit.version()), Some(2));
}

#[tokio::test]
async fn what_was_committed_here_wakes_watchers_of_another_node() {
    let two = Two::new();
    let mut watcher = two.there.watch(&actor("a")).unwrap();
    timeout(LIMIT, watcher.changed()).await.unwrap();
    two.here.committed(&unit("a", 0));
    timeout(LIMIT, watcher.changed()).await.unwrap();
    assert_eq!(watcher.committed(), None, "it is read there");
}

#[tokio::test]
async fn news_of_one_node_wakes_watchers_of_another() {
    let two = Two::new();
    let mut watcher = two.there.watch(&actor("a")).unwrap();
    let mut other = two.there.watch(&actor("b")).unwrap();
    // What was committed before the other node knew that somebody watches.
    timeout(LIMIT, watcher.changed()).await.unwrap();
    timeout(LIMIT, other.changed()).await.unwrap();
    for _ in 0..3 {
        two.here.announce(&actor("a"));
        timeout(LIMIT, watcher.changed()).await.unwrap();
    }
    assert!(timeout(NEVER, other.changed()).await.is_err(), "there is no news of b");
}

#[tokio::test]
async fn watchers_are_forgotten_when_they_went_and_not_before() {
    let two = Two::new();
    let gathers = || {
        let outgoing = two.here.0.outgoing.get().unwrap();
        two.here.announce(&actor("of no interest"));
        outgoing.gathers()
    };
    let mut watcher = two.there.watch(&actor("a")).unwrap();
    timeout(LIMIT, watcher.changed()).await.unwrap();
    let begun = Instant::now();
    while begun.elapsed() < pace().watching * 10 {
        assert!(gathers(), "somebody watches");
        sleep(pace().watching / 5).await;
    }
    drop(watcher);
    until(async || !gathers()).await;
    let mut watcher = two.there.watch(&actor("a")).unwrap();
    timeout(LIMIT, watcher.changed()).await.unwrap();
    two.here.announce(&actor("a"));
    timeout(LIMIT, watcher.changed()).await.unwrap();
}

#[tokio::test]
async fn more_news_than_a_bulletin_holds_makes_everybody_look() {
    let two = Two::new();
    let mut watcher = two.there.watch(&actor("a")).unwrap();
    timeout(LIMIT, watcher.changed()).await.unwrap();
    for number in 0..=gathering::NEWS_MAX {
        two.here.announce(&actor(&format!("n{number}")));
    }
    timeout(LIMIT, watcher.changed()).await.unwrap();
}

#[tokio::test]
async fn progress_is_seen_on_another_node_until_the_activity_ended() {
    let two = Two::new();
    let mut watcher = two.there.watch(&actor("a")).unwrap();
    timeout(LIMIT, watcher.changed()).await.unwrap();
    two.here.progressed(&actor("a"), effect(2), 0.25);
    timeout(LIMIT, watcher.changed()).await.unwrap();
    assert_eq!(two.relays[1].progress(&actor("a")).await, BTreeMap::from([(effect(2), 0.25)]));
    for step in 26..76_u8 {
        two.here.progressed(&actor("a"), effect(2), f32::from(step) / 100.0);
    }
    until(async || two.relays[1].progress(&actor("a")).await == BTreeMap::from([(effect(2), 0.75)])).await;
    two.here.ended(&actor("a"), effect(2));
    until(async || two.relays[1].progress(&actor("a")).await.is_empty()).await;
}

#[tokio::test]
async fn progress_is_told_again_while_the_activity_runs() {
    let (here, wire) = (Hub::default(), InProcess::default());
    let forgetful = wire.another_end();
    let _relay = Relay::start(&here, Arc::new(wire), Uuid::from_u128(1), pace());
    here.progressed(&actor("a"), effect(2), 0.5);
    let half = BTreeMap::from([(effect(2), 0.5)]);
    until(async || forgetful.progress(&actor("a")).await.unwrap() == half).await;
    let gone = ProgressChange { actor: actor("a"), effect: effect(2), fraction: None };
    forgetful.keep_progress(vec![gone]).await.unwrap();
    until(async || forgetful.progress(&actor("a")).await.unwrap() == half).await;
}
