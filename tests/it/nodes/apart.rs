//! A node whose network fails it under load: its way to Redis or to PostgreSQL is cut, without a word, and mended.

use std::time::{Duration, Instant};

use reqwest::Url;
use serde_json::Value;

use super::{Cluster, Load, PARTITIONS, TAKEOVER_MAX, number, owned_by};
use crate::crash::service::{Caller, until};
use crate::network::{Cable, Network};

/// The node on a network of its own; the other one is at home.
const AWAY: usize = 1;
/// How long Redis cannot be reached, in milliseconds.
const CUT_MS: u64 = 10_000;
const EVERY: Duration = Duration::from_millis(500);

/// Two nodes at work, one of which reaches everything through cables.
struct Trial {
    cluster: Cluster,
    load: Load,
    to_redis: Cable,
    to_postgres: Cable,
    _to_clients: Cable,
    _network: Network,
}

impl Trial {
    async fn start() -> Self {
        let mut cluster = Cluster::start(1, |_| {}).await;
        let mut network = Network::new();
        let mut database: Url = cluster.database.parse().unwrap();
        let to_postgres = network.cable_to(database.port().unwrap()).await;
        let redis: Url = cluster.redis.parse().unwrap();
        let to_redis = network.cable_to(redis.port().unwrap()).await;
        let to_clients = network.cable();
        database.set_host(Some(to_postgres.near())).unwrap();
        let redis = format!("redis://{}:{}", to_redis.near(), redis.port().unwrap());
        cluster
            .add(|node| {
                node.set("DATABASE__URL", database);
                node.set("REDIS__URL", redis);
                node.set("SERVER__BIND", format!("{}:0", to_clients.far()));
                node.move_to(network.name());
            })
            .await;
        cluster.until_divided(0).await;
        let load = Load::start(cluster.nodes.iter().map(|node| node.caller.clone()).collect(), EVERY);
        let trial = Self { cluster, load, to_redis, to_postgres, _to_clients: to_clients, _network: network };
        trial.works(100).await;
        trial
    }

    fn home(&self) -> &Caller {
        &self.cluster.nodes[0].caller
    }

    fn away(&self) -> &Caller {
        &self.cluster.nodes[AWAY].caller
    }

    /// Waits until so many tasks more are completed.
    async fn works(&self, more: i64) {
        let database = self.cluster.database().await;
        let completed = async || number(&database, "SELECT count(*) FROM tasks WHERE status = 'completed'").await;
        let before = completed().await;
        until("work goes on", async || completed().await >= before + more).await;
    }

    /// Waits until the node that is cut off is as wanted by its own account.
    async fn until_away_says(&self, what: &str, wanted: impl Fn(&Value, &str) -> bool) {
        let begun = Instant::now();
        until(what, async || {
            let health = self.away().get("/health").await;
            let health = health.data();
            wanted(health, health["summary"].as_str().unwrap_or_default())
        })
        .await;
        println!("{what}: after {:?}", begun.elapsed());
    }

    /// Both nodes are whole again, and everything was done once.
    async fn ends_well(mut self) {
        for place in [0, AWAY] {
            self.cluster.until_divided(place).await;
        }
        self.until_away_says("all is well again", |health, _| health["status"] == "ok").await;
        let tasks = self.load.end().await;
        println!("{} tasks were accepted", tasks.len());
        self.cluster.assert_done_once(&self.cluster.nodes[AWAY].caller, &tasks).await;
        for node in &mut self.cluster.nodes {
            assert_eq!(node.terminate().await, Some(0));
        }
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_node_that_cannot_reach_redis_says_so_keeps_its_partitions_and_catches_up() {
    let trial = Trial::start().await;
    let theirs = owned_by(trial.away()).await;
    trial.to_redis.cut();
    trial
        .until_away_says("it misses Redis", |health, summary| {
            health["status"] == "attention"
                && summary.contains("Redis has been away for")
                && summary.contains("nothing is lost")
        })
        .await;
    // The other one is not held up, and the database is told of this one's life all the same.
    trial.works(50).await;
    trial
        .until_away_says("it has missed it for ten seconds", |health, _| {
            health["redis"]["awayForMs"].as_u64() >= Some(CUT_MS)
        })
        .await;
    assert_eq!(owned_by(trial.home()).await.len() + theirs.len(), PARTITIONS as usize);
    assert_eq!(owned_by(trial.away()).await, theirs);
    let home = trial.home().get("/health").await;
    assert!(home.data()["redis"]["awayForMs"].is_null(), "{}", home.body);
    trial.to_redis.mend();
    trial.ends_well().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_node_that_cannot_reach_the_database_stops_says_so_and_comes_back() {
    let trial = Trial::start().await;
    let pid = trial.cluster.nodes[AWAY].pid();
    trial.to_postgres.cut();
    let cut = Instant::now();
    until("everything has an owner", async || owned_by(trial.home()).await.len() == PARTITIONS as usize).await;
    let taken = cut.elapsed();
    println!("taken over {taken:?} after the cut");
    assert!(taken < TAKEOVER_MAX, "it took {taken:?}");
    trial
        .until_away_says("it has stopped and says why", |health, summary| {
            health["status"] == "down"
                && health["partitions"] == 0
                && summary.starts_with("The database ")
                && summary.contains("heard nothing of the leases")
        })
        .await;
    trial.works(50).await;
    trial.to_postgres.mend();
    trial.cluster.until_divided(AWAY).await;
    assert_eq!(trial.cluster.nodes[AWAY].pid(), pid, "the node did not stay up");
    trial.ends_well().await;
}
