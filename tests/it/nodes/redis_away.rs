//! What happens to Redis while two nodes are at work on it: every accepted task completes, each effect once, and the work of
//! both is back at its speed within ten seconds.
//!
//! The slow look at the outbox comes only once an hour here: what is repaired is repaired because it was noticed.

use std::time::{Duration, Instant};

use tokio::task::block_in_place;

use super::{Cluster, Load};
use crate::crash::service::{Service, until};
use crate::{postgres, redis_server};

const EVERY: Duration = Duration::from_millis(500);

/// Two nodes at work.
struct Trial {
    cluster: Cluster,
    load: Load,
    speed: Duration,
    probes: Vec<String>,
}

impl Trial {
    async fn on(redis: String) -> Self {
        let rare = |node: &mut Service| node.set("ENGINE__SWEEP_SECONDS", 3_600);
        let cluster = Cluster::with_redis(redis, postgres::database().await, 2, rare).await;
        let load = Load::start(cluster.callers(), EVERY);
        let (speed, probes) = cluster.speed().await;
        Self { cluster, load, speed, probes }
    }

    /// The fault has ended just now.
    async fn is_back(&mut self, from_what: &str) {
        let probes = self.cluster.is_back(from_what, Instant::now(), self.speed, &self.cluster.callers()).await;
        self.probes.extend(probes);
    }

    async fn ends_well(mut self) {
        let mut tasks = self.load.end().await;
        tasks.append(&mut self.probes);
        eprintln!("{} tasks were accepted", tasks.len());
        self.cluster.assert_done_once(&self.cluster.nodes[1].caller, &tasks).await;
        for node in &mut self.cluster.nodes {
            assert_eq!(node.terminate().await, Some(0));
        }
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_redis_that_is_killed_or_emptied_under_two_nodes_loses_nothing() {
    let mut redis = block_in_place(redis_server::Server::start);
    let mut trial = Trial::on(redis.url()).await;
    block_in_place(|| {
        redis.kill();
        redis.launch();
    });
    trial.is_back("killed and restarted").await;
    block_in_place(|| assert_eq!(redis.told(&["FLUSHALL"]), "OK"));
    trial.is_back("emptied").await;
    trial.ends_well().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_redis_whose_memory_is_full_under_two_nodes_holds_work_up_and_loses_nothing() {
    let redis = block_in_place(redis_server::Server::start);
    let mut trial = Trial::on(redis.url()).await;
    block_in_place(|| redis.told(&["CONFIG", "SET", "maxmemory", "1"]));
    let database = trial.cluster.database().await;
    let waiting = async || super::number(&database, "SELECT count(*) FROM outbox").await;
    until("work waits in the outbox", async || waiting().await > 64).await;
    block_in_place(|| redis.told(&["CONFIG", "SET", "maxmemory", "0"]));
    trial.is_back("the limit lifted").await;
    trial.ends_well().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_failover_by_sentinel_under_two_nodes_loses_nothing() {
    let mut redis = block_in_place(redis_server::Watched::start);
    let mut trial = Trial::on(redis.url()).await;
    block_in_place(|| {
        redis.master.kill();
        redis.replica.wait(|replica| replica.told(&["INFO", "replication"]).contains("role:master"));
    });
    trial.is_back("failed over").await;
    trial.ends_well().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_part_of_a_cluster_that_is_emptied_under_two_nodes_loses_nothing() {
    let redis = block_in_place(redis_server::Cluster::start);
    let mut trial = Trial::on(redis.url()).await;
    for shard in &redis.0[1..] {
        block_in_place(|| assert_eq!(shard.told(&["FLUSHALL"]), "OK"));
        trial.is_back("a shard emptied").await;
    }
    trial.ends_well().await;
}
