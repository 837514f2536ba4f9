//! Watchers and progress on a node that does not run the actor.

use std::collections::BTreeMap;
use std::sync::Arc;

use mixvideo::domain::{Address, EffectNo};
use mixvideo::runtime::watch::{Hub, Pace, RedisWire, Relay, Watcher};
use tokio::time::timeout;
use uuid::Uuid;

use super::{LIMIT, until};
use crate::redis_server::{self, Server};

const EFFECT: EffectNo = EffectNo { version: 2, index: 0 };

fn actor() -> Address {
    Address::new("clerk", "a")
}

/// A node of the installation of that prefix.
async fn node(url: &str, prefix: &str) -> (Hub, Relay) {
    let wire = RedisWire::new(redis_server::connect(url, prefix).await);
    let hub = Hub::default();
    let relay = Relay::start(&hub, Arc::new(wire), Uuid::new_v4(), Pace::default());
    (hub, relay)
}

/// Announces until the watcher of the other node hears of it: what it heard before was of something else.
async fn hears(here: &Hub, watcher: &mut Watcher) {
    until("news arrives", async || {
        here.announce(&actor());
        timeout(std::time::Duration::from_millis(50), watcher.changed()).await.is_ok()
    })
    .await;
}

#[tokio::test]
async fn news_of_one_node_wakes_watchers_of_another_within_milliseconds() {
    let server = Server::start();
    let prefix = redis_server::prefix();
    let (here, _here) = node(&server.url(), &prefix).await;
    let (there, _there) = node(&server.url(), &prefix).await;
    let (stranger, _stranger) = node(&server.url(), &redis_server::prefix()).await;
    let mut watcher = there.watch(&actor()).unwrap();
    let mut foreign = stranger.watch(&actor()).unwrap();
    hears(&here, &mut watcher).await;
    // Whatever is under way is over; the fastest of some says how long news takes.
    let mut fastest = LIMIT;
    for _ in 0..20 {
        while timeout(Pace::default().bulletins * 5, watcher.changed()).await.is_ok() {}
        let begun = std::time::Instant::now();
        here.announce(&actor());
        timeout(LIMIT, watcher.changed()).await.unwrap();
        fastest = fastest.min(begun.elapsed());
    }
    println!("the fastest news took {fastest:?}");
    assert!(fastest < std::time::Duration::from_millis(100), "{fastest:?}");
    while timeout(Pace::default().bulletins, foreign.changed()).await.is_ok() {}
    here.announce(&actor());
    timeout(LIMIT, watcher.changed()).await.unwrap();
    assert!(
        timeout(Pace::default().bulletins * 5, foreign.changed()).await.is_err(),
        "another installation hears nothing"
    );
}

#[tokio::test]
async fn watchers_look_again_after_redis_was_away_and_news_goes_on() {
    let mut server = Server::start();
    let prefix = redis_server::prefix();
    let (here, _here) = node(&server.url(), &prefix).await;
    let (there, _there) = node(&server.url(), &prefix).await;
    let mut watcher = there.watch(&actor()).unwrap();
    hears(&here, &mut watcher).await;
    server.kill();
    while timeout(Pace::default().bulletins * 10, watcher.changed()).await.is_ok() {}
    // Lost: but once Redis is back everybody looks.
    here.announce(&actor());
    server.launch();
    timeout(LIMIT, watcher.changed()).await.unwrap();
    hears(&here, &mut watcher).await;
}

#[tokio::test]
async fn progress_is_seen_on_another_node_and_survives_an_emptied_redis() {
    let mut server = Server::start();
    let prefix = redis_server::prefix();
    let (here, _here) = node(&server.url(), &prefix).await;
    let (_, there) = node(&server.url(), &prefix).await;
    here.progressed(&actor(), EFFECT, 0.25);
    let quarter = BTreeMap::from([(EFFECT, 0.25)]);
    until("progress arrives", async || there.progress(&actor()).await == quarter).await;
    assert_eq!(server.told(&["FLUSHALL"]), "OK");
    here.progressed(&actor(), EFFECT, 0.5);
    let half = BTreeMap::from([(EFFECT, 0.5)]);
    until("progress arrives again", async || there.progress(&actor()).await == half).await;
    server.kill();
    assert_eq!(there.progress(&actor()).await, BTreeMap::new(), "no progress is no error");
    assert_eq!(here.progress(&actor()), half);
    server.launch();
    here.ended(&actor(), EFFECT);
    until("its end arrives", async || there.progress(&actor()).await.is_empty()).await;
    until("nothing is left of it", async || server.told(&["KEYS", "*progress*"]).is_empty()).await;
}
