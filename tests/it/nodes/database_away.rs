//! PostgreSQL crashes and comes back under two nodes at work.

use std::time::Duration;

use tokio::task::block_in_place;

use super::{Cluster, Load};
use crate::crash::service::until;
use crate::postgres::Server;

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_database_that_crashes_under_two_nodes_stops_both_and_loses_nothing() {
    let postgres = block_in_place(Server::start);
    let mut cluster = Cluster::on(postgres.database().await, 2, |node| {
        node.set("DATABASE__PATIENCE_SECONDS", 1);
    })
    .await;
    let callers = cluster.nodes.iter().map(|node| node.caller.clone()).collect();
    let load = Load::start(callers, Duration::from_millis(500));
    let pids = [0, 1].map(|place| cluster.nodes[place].pid());
    for _ in 0..2 {
        for node in &cluster.nodes {
            let commits = async || node.caller.get("/health").await.data()["commits"]["commits"].as_u64();
            let before = commits().await;
            until("work is under way", async || commits().await > before.map(|before| before + 5)).await;
        }
        block_in_place(|| postgres.crash());
        for node in &cluster.nodes {
            until("it says that the database is away", async || {
                let health = node.caller.get("/health").await;
                let summary = health.data()["summary"].as_str().unwrap().to_owned();
                health.data()["status"] == "down" && summary.starts_with("The database ")
            })
            .await;
        }
        block_in_place(|| postgres.launch());
        for place in [0, 1] {
            cluster.until_divided(place).await;
            let caller = &cluster.nodes[place].caller;
            until("all is well again", async || caller.get("/health").await.data()["status"] == "ok").await;
        }
    }
    let tasks = load.end().await;
    cluster.assert_done_once(&cluster.nodes[0].caller, &tasks).await;
    assert_eq!([0, 1].map(|place| cluster.nodes[place].pid()), pids, "the nodes did not stay up");
    for node in &mut cluster.nodes {
        assert_eq!(node.terminate().await, Some(0));
    }
}
