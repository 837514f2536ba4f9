//! `kill -9` of one of two nodes under load.

use std::time::{Duration, Instant};

use super::{Cluster, Load, PARTITIONS, TAKEOVER_MAX, owned_by};
use crate::crash::service::until;

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn work_of_a_node_that_is_killed_under_load_runs_elsewhere_within_ten_seconds_and_nothing_is_done_twice() {
    let mut cluster = Cluster::start(2, |_| {}).await;
    let callers = cluster.nodes.iter().map(|node| node.caller.clone()).collect();
    let load = Load::start(callers, Duration::from_millis(500));
    let database = cluster.database().await;
    let completed = async || super::number(&database, "SELECT count(*) FROM tasks WHERE status = 'completed'").await;
    until("work is under way", async || completed().await > 100).await;
    let (speed, mut probes) = cluster.speed().await;
    cluster.nodes[0].kill().await;
    let died = Instant::now();
    let heir = cluster.nodes[1].caller.clone();
    until("everything has an owner", async || owned_by(&heir).await.len() == PARTITIONS as usize).await;
    let taken = died.elapsed();
    eprintln!("taken over {taken:?} after the death");
    assert!(taken < TAKEOVER_MAX, "it took {taken:?}");
    probes.extend(cluster.is_back("a node died", died, speed, std::slice::from_ref(&heir)).await);
    cluster.nodes[0].start().await;
    cluster.until_divided(1).await;
    let mut tasks = load.end().await;
    tasks.append(&mut probes);
    cluster.assert_done_once(&heir, &tasks).await;
}
