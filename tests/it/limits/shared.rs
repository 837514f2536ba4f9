//! Buckets in Redis: the same arithmetic as in memory, and what happens while Redis is away.

use std::collections::HashMap;
use std::time::Duration;

use mixvideo::domain::Timestamp;
use mixvideo::http::limit::bucket::Rate;
use mixvideo::http::limit::class::{Class, Subject};
use mixvideo::http::limit::shared::Shared;
use mixvideo::http::limit::{Limits, Rates};
use rand::rngs::StdRng;
use rand::{RngExt, SeedableRng};

use crate::redis_server::{self, Server};
use crate::sharing::until;

async fn shared(url: &str, prefix: &str) -> Shared {
    Shared::start(redis_server::connect(url, prefix).await)
}

/// Asks until Redis answers: a machine may be busy.
async fn take(shared: &Shared, bucket: &str, rate: Rate) -> mixvideo::http::limit::bucket::Taken {
    loop {
        if let Some(taken) = shared.take(bucket, rate).await {
            return taken;
        }
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
}

#[tokio::test]
async fn redis_reckons_exactly_as_memory_does() {
    let seed = rand::random();
    println!("seed {seed}");
    let mut random = StdRng::seed_from_u64(seed);
    for url in [redis_server::single(), redis_server::cluster()] {
        let shared = shared(&url, &redis_server::prefix()).await;
        let mut buckets: HashMap<String, i64> = HashMap::new();
        let mut generation = 0;
        for _ in 0..1_500 {
            let bucket = format!("reading:key:{generation}:{}", random.random_range(0..4));
            // The rate of one bucket changes too, as with a new configuration.
            let rate = Rate::a_minute([1, 7, 1_000, 70_000, 600_000, 60_000_000][random.random_range(0..6)]);
            let Some(taken) = shared.take(&bucket, rate).await else {
                // An answer that came too late may have been counted or not: these buckets tell nothing any more.
                generation += 1;
                assert!(generation < 100, "no answers: {:?}", shared.away());
                tokio::time::sleep(Duration::from_millis(500)).await;
                continue;
            };
            let full = buckets.entry(bucket).or_insert(0);
            assert_eq!(taken, rate.take(*full, taken.now_us), "of {} calls, full at {full}", rate.calls());
            if taken.allowed {
                *full = taken.full_us();
            }
        }
    }
}

#[tokio::test]
async fn nodes_that_ask_together_get_together_what_one_bucket_holds() {
    let (url, prefix) = (redis_server::single(), redis_server::prefix());
    let nodes = [shared(&url, &prefix).await, shared(&url, &prefix).await];
    let rate = Rate::a_minute(100);
    let began = std::time::Instant::now();
    let calls = (0..600).map(|call| {
        let node = nodes[call % 2].clone();
        tokio::spawn(async move { take(&node, "reading:key:a", rate).await.allowed })
    });
    let mut given = 0;
    for call in calls.collect::<Vec<_>>() {
        given += u64::from(call.await.unwrap());
    }
    let refilled = began.elapsed().as_secs() * 100 / 60 + 1;
    assert!((100..=100 + refilled).contains(&given), "{given}");
    let (stranger, prefix) = (redis_server::prefix(), prefix);
    assert_ne!(stranger, prefix);
    assert!(take(&shared(&url, &stranger).await, "reading:key:a", rate).await.allowed, "another installation");
}

#[tokio::test]
async fn while_redis_is_away_each_node_counts_for_itself_and_says_so() {
    let mut server = Server::start();
    let mut rates = Rates::highest();
    rates.key.reading = 2;
    let limits = Limits::new(rates, 0, Some(shared(&server.url(), &redis_server::prefix()).await));
    let now = Timestamp(1_800_000_000_000);
    let asked = async || limits.take(Class::Reading, Subject::Key("a"), now).await.wait_s.is_none();
    assert!(limits.away().is_none());
    assert!(asked().await && asked().await && !asked().await);
    server.kill();
    // What this node gave out itself counts from now on.
    assert!(asked().await && asked().await && !asked().await);
    assert!(limits.away().is_some());
    server.launch();
    until("the limits are shared again", async || {
        asked().await;
        limits.away().is_none()
    })
    .await;
}
