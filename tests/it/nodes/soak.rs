//! Everything that can happen to three nodes, at random, for as long as is wanted: run on demand, an hour by default.
//!
//! `MIXVIDEO_SOAK_MINUTES=60 bash tests/run.sh nodes::soak --run-ignored all --no-capture`; `MIXVIDEO_TEST_SEED` repeats
//! the faults of a run in their order.

use std::collections::BTreeMap;
use std::time::{Duration, Instant};

use rand::rngs::StdRng;
use rand::seq::IndexedRandom;
use rand::{RngExt, SeedableRng};
use reqwest::Url;
use rustix::process::Signal;
use strum::IntoEnumIterator;
use tokio::task::block_in_place;

use super::{Cluster, Load, PARTITIONS, number, owned_by};
use crate::crash::service::{Caller, signal, until};
use crate::network::{Cable, Network};
use crate::{postgres, redis_server};

const MINUTES: &str = "MIXVIDEO_SOAK_MINUTES";
const SEED: &str = "MIXVIDEO_TEST_SEED";
const EVERY: Duration = Duration::from_millis(500);
/// Between two faults, in milliseconds.
const REST_MS: std::ops::Range<u64> = 0..4_000;
/// How long a fault lasts that has a length, in milliseconds.
const FAULT_MS: std::ops::Range<u64> = 500..15_000;
/// The node that reaches the others through cables; the others are at home.
const AWAY: usize = 2;

/// What happens.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, strum::EnumIter)]
enum Fault {
    /// `kill -9` of a node, and another start.
    NodeDies,
    /// SIGSTOP of a node past its leases, and SIGCONT.
    NodeSleeps,
    /// SIGTERM of a node, and another start.
    NodeRestarts,
    /// `kill -9` of Redis, and another start.
    RedisDies,
    /// FLUSHALL.
    RedisForgets,
    /// SIGSTOP of Redis, and SIGCONT.
    RedisSleeps,
    /// Its memory limit is reached.
    RedisIsFull,
    /// PostgreSQL crashes and recovers.
    PostgresCrashes,
    /// A node cannot reach Redis.
    CutFromRedis,
    /// A node cannot reach PostgreSQL.
    CutFromPostgres,
}

struct Soak {
    cluster: Cluster,
    postgres: postgres::Server,
    redis: redis_server::Server,
    to_redis: Cable,
    to_postgres: Cable,
    _to_clients: Cable,
    _network: Network,
    speed: Duration,
    dice: StdRng,
}

impl Soak {
    async fn start(seed: u64) -> Self {
        let (postgres, redis) = block_in_place(|| (postgres::Server::start(), redis_server::Server::start()));
        let database = postgres.database().await;
        let mut cluster = Cluster::with_redis(redis.url(), database.clone(), 2, |_| {}).await;
        let mut network = Network::new();
        let mut address: Url = database.parse().unwrap();
        let to_postgres = network.cable_to(address.port().unwrap()).await;
        let to_redis = network.cable_to(redis.port).await;
        let to_clients = network.cable();
        address.set_host(Some(to_postgres.near())).unwrap();
        cluster
            .add(|node| {
                node.set("DATABASE__URL", address);
                node.set("REDIS__URL", format!("redis://{}:{}", to_redis.near(), redis.port));
                node.set("SERVER__BIND", format!("{}:0", to_clients.far()));
                node.move_to(network.name());
            })
            .await;
        let (dice, speed) = (StdRng::seed_from_u64(seed), Duration::ZERO);
        Self {
            cluster,
            postgres,
            redis,
            to_redis,
            to_postgres,
            _to_clients: to_clients,
            _network: network,
            speed,
            dice,
        }
    }

    async fn lasts(&mut self) {
        tokio::time::sleep(Duration::from_millis(self.dice.random_range(FAULT_MS))).await;
    }

    /// Lets a fault happen and end. Where the work goes on elsewhere, it is counted from the beginning of the fault how
    /// soon that is; otherwise from its end.
    async fn suffer(&mut self, fault: Fault) -> Vec<String> {
        let place = self.dice.random_range(0..self.cluster.nodes.len());
        let begun = Instant::now();
        match fault {
            Fault::NodeDies => {
                self.cluster.nodes[place].kill().await;
                let made = self.goes_on_without(place, begun).await;
                self.cluster.nodes[place].start().await;
                return made;
            }
            Fault::NodeSleeps => {
                let pid = self.cluster.nodes[place].pid();
                signal(pid, Signal::STOP);
                let made = self.goes_on_without(place, begun).await;
                signal(pid, Signal::CONT);
                return made;
            }
            Fault::NodeRestarts => {
                assert_eq!(self.cluster.nodes[place].terminate().await, Some(0));
                let made = self.goes_on_without(place, Instant::now()).await;
                self.cluster.nodes[place].start().await;
                return made;
            }
            Fault::CutFromPostgres => {
                self.to_postgres.cut();
                let made = self.goes_on_without(AWAY, begun).await;
                self.to_postgres.mend();
                return made;
            }
            Fault::RedisDies => {
                self.redis.kill();
                self.lasts().await;
                block_in_place(|| self.redis.launch());
            }
            Fault::RedisForgets => block_in_place(|| assert_eq!(self.redis.told(&["FLUSHALL"]), "OK")),
            Fault::RedisSleeps => {
                signal(self.redis.pid(), Signal::STOP);
                self.lasts().await;
                signal(self.redis.pid(), Signal::CONT);
            }
            Fault::RedisIsFull => {
                block_in_place(|| self.redis.told(&["CONFIG", "SET", "maxmemory", "1"]));
                self.lasts().await;
                block_in_place(|| self.redis.told(&["CONFIG", "SET", "maxmemory", "0"]));
            }
            Fault::PostgresCrashes => {
                block_in_place(|| self.postgres.crash());
                self.lasts().await;
                block_in_place(|| self.postgres.launch());
            }
            Fault::CutFromRedis => {
                self.to_redis.cut();
                self.lasts().await;
                self.to_redis.mend();
            }
        }
        let ended = Instant::now();
        self.cluster.is_back(&format!("{fault:?}"), ended, self.speed, &self.cluster.callers()).await
    }

    async fn goes_on_without(&self, place: usize, since: Instant) -> Vec<String> {
        let others: Vec<Caller> = self
            .cluster
            .callers()
            .into_iter()
            .enumerate()
            .filter(|(at, _)| *at != place)
            .map(|(_, other)| other)
            .collect();
        let made = self.cluster.is_back(&format!("without node {place}"), since, self.speed, &others).await;
        until("everything has an owner", async || {
            let mut owned = 0;
            for other in &others {
                owned += owned_by(other).await.len();
            }
            owned == PARTITIONS as usize
        })
        .await;
        made
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
#[ignore = "an hour: run on demand"]
async fn three_nodes_lose_nothing_and_do_nothing_twice_whatever_happens() {
    let minutes = std::env::var(MINUTES).map_or(60, |minutes| minutes.parse().unwrap());
    let seed = std::env::var(SEED).map_or_else(|_| rand::random(), |seed| seed.parse().unwrap());
    eprintln!("{minutes} minutes of faults follow seed {seed}: {SEED}={seed} repeats them");
    let mut soak = Soak::start(seed).await;
    soak.cluster.until_divided(0).await;
    let load = Load::start(soak.cluster.callers(), EVERY);
    let (begun, span) = (Instant::now(), Duration::from_secs(minutes * 60));
    let faults: Vec<Fault> = Fault::iter().collect();
    let (speed, mut probes) = soak.cluster.speed().await;
    soak.speed = speed;
    let mut suffered = BTreeMap::<Fault, u32>::new();
    while begun.elapsed() < span {
        let fault = *faults.choose(&mut soak.dice).expect("there are faults");
        eprintln!("{:?}: {fault:?}", begun.elapsed());
        probes.extend(soak.suffer(fault).await);
        for place in 0..soak.cluster.nodes.len() {
            soak.cluster.until_divided(place).await;
        }
        *suffered.entry(fault).or_default() += 1;
        let rest = soak.dice.random_range(REST_MS);
        tokio::time::sleep(Duration::from_millis(rest)).await;
    }
    let mut tasks = load.end().await;
    tasks.append(&mut probes);
    soak.cluster.assert_done_once(&soak.cluster.nodes[0].caller, &tasks).await;
    let database = soak.cluster.database().await;
    let deaths = number(&database, "SELECT coalesce(sum(deaths), 0)::int8 FROM outbox").await;
    assert_eq!(deaths, 0);
    eprintln!("{} tasks were accepted and done once; suffered: {suffered:?}", tasks.len());
    for node in &mut soak.cluster.nodes {
        assert_eq!(node.terminate().await, Some(0));
    }
}
