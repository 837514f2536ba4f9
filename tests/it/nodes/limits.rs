//! Calls are counted by all nodes together, and by each for itself while Redis is away.

use std::time::Instant;

use reqwest::Method;
use tokio::task::block_in_place;

use super::Cluster;
use crate::crash::service::{Caller, Service, until};
use crate::{postgres, redis_server};

const A_MINUTE: u32 = 60;

async fn asks(caller: &Caller) -> u16 {
    caller.ask(caller.request(Method::GET, "/templates")).await.unwrap().status.as_u16()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn two_nodes_count_the_calls_of_a_key_together_and_alone_while_redis_is_away() {
    let mut redis = block_in_place(redis_server::Server::start);
    let few = |node: &mut Service| node.set("LIMITS__KEY__READING", A_MINUTE);
    let cluster = Cluster::with_redis(redis.url(), postgres::database().await, 2, few).await;
    let callers: Vec<Caller> =
        cluster.nodes.iter().map(|node| node.caller.clone().with_key(cluster.nodes[0].caller.key())).collect();
    let (mut given, mut calls) = (0, 0);
    let began = Instant::now();
    let mut refused = [false; 2];
    while refused != [true; 2] {
        match asks(&callers[calls % 2]).await {
            200 => given += 1,
            429 => refused[calls % 2] = true,
            other => panic!("status {other}"),
        }
        calls += 1;
        assert!(calls < 1_000, "nobody is refused");
    }
    let refilled = u32::try_from(began.elapsed().as_secs()).unwrap() * A_MINUTE / 60 + 1;
    assert!((A_MINUTE..=A_MINUTE + refilled).contains(&given), "{given} in {:?}", began.elapsed());

    redis.kill();
    for caller in &callers {
        until("the node counts for itself", async || asks(caller).await == 200).await;
        until("it says so", async || {
            asks(caller).await;
            let health = caller.get("/health").await;
            let said = health.data()["summary"].as_str().unwrap().contains("Limits have not been shared");
            said && health.data()["limits"]["unavailableForMs"].is_u64()
        })
        .await;
    }
}
