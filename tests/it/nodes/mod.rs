//! Several nodes on one PostgreSQL and one Redis: they die, sleep, leave and join under load, and nothing is lost or done
//! twice.

mod apart;
mod database_away;
mod deaths;
mod joining;
mod killers;
mod limits;
mod redis_away;
mod refunds;
mod rolling;
mod sharing;
mod sleepers;
mod soak;

use std::time::{Duration, Instant};

use futures_util::future::join_all;
use mixvideo::domain::Address;
use mixvideo::runtime::journal::partition_of;
use sea_orm::{ConnectionTrait, DatabaseConnection, Statement};
use serde_json::Value;
use tokio::task::JoinSet;

use crate::crash::service::{Caller, LIMIT, Service, noop, until};
use crate::postgres;
use crate::redis_server;

const PARTITIONS: u32 = 16;
/// What a partition may be without an owner after a death, as the issue of this product promises.
const TAKEOVER_MAX: Duration = Duration::from_secs(10);
/// How soon the work is back at its speed.
const BACK_WITHIN: Duration = Duration::from_secs(10);
/// No machine is asked for more than this: a task that does nothing is done within this time in every partition.
const SPEED_MIN: Duration = Duration::from_secs(1);
/// Looks at the speed while nothing is wrong.
const ROUNDS: usize = 5;
/// So many fast rounds in a row are its speed.
const IN_A_ROW: u32 = 3;

/// Nodes that share everything.
struct Cluster {
    nodes: Vec<Service>,
    database: String,
    redis: String,
    files: tempfile::TempDir,
    /// The server that nobody breaks, where it is one.
    _unbroken: Option<redis_server::Server>,
}

impl Cluster {
    /// So many nodes, each as `change` sets it up, that have divided the partitions.
    async fn start(count: usize, change: impl Fn(&mut Service)) -> Self {
        Self::on(postgres::database().await, count, change).await
    }

    /// The same on a database of somebody's choice.
    async fn on(database: String, count: usize, change: impl Fn(&mut Service)) -> Self {
        let redis = redis_server::Server::start();
        let cluster = Self::with_redis(redis.url(), database, count, change).await;
        Self { _unbroken: Some(redis), ..cluster }
    }

    /// The same with a Redis of somebody's choice.
    async fn with_redis(redis: String, database: String, count: usize, change: impl Fn(&mut Service)) -> Self {
        let files = tempfile::tempdir().unwrap();
        let mut cluster = Self { nodes: Vec::new(), database, redis, files, _unbroken: None };
        for _ in 0..count {
            cluster.add(&change).await;
        }
        assert_eq!(cluster.nodes[0].caller.get("/templates/init").await.data()["failed"], 0);
        cluster.until_divided(0).await;
        cluster
    }

    async fn add(&mut self, change: impl FnOnce(&mut Service)) {
        let mut node = Service::postgres(self.database.clone()).await;
        node.set("MAILBOX__BACKEND", "redis");
        node.set("REDIS__URL", self.redis.clone());
        node.set("STORAGE__URL", format!("file://{}", self.files.path().join("files").display()));
        change(&mut node);
        node.start().await;
        self.nodes.push(node);
    }

    /// Waits until the node at `place` sees that all nodes live and have equal shares.
    async fn until_divided(&self, place: usize) {
        let count = self.nodes.len();
        let (least, most) = (PARTITIONS as usize / count, (PARTITIONS as usize).div_ceil(count));
        let caller = &self.nodes[place].caller;
        until("the partitions are divided", async || {
            let nodes = nodes(caller).await;
            let shares: Vec<usize> = nodes.iter().map(|node| node["partitions"].as_array().unwrap().len()).collect();
            nodes.iter().all(|node| node["leaseLeftMs"] != 0)
                && shares.len() == count
                && shares.iter().sum::<usize>() == PARTITIONS as usize
                && shares.iter().all(|share| (least..=most).contains(share))
        })
        .await;
    }

    async fn database(&self) -> DatabaseConnection {
        sea_orm::Database::connect(&self.database).await.unwrap()
    }

    fn callers(&self) -> Vec<Caller> {
        self.nodes.iter().map(|node| node.caller.clone()).collect()
    }

    /// Makes a task in every partition, at `callers` in turn, and waits for all: their ids, and how long the slowest took.
    async fn round(&self, callers: &[Caller], first: usize) -> (Vec<String>, Duration) {
        let probes = (0..PARTITIONS).map(|place| {
            let id = id_in(&[place], &format!("load-{}", uuid::Uuid::now_v7().simple()), 0);
            probe(callers.to_vec(), first + place as usize, id)
        });
        let (made, took): (Vec<String>, Vec<Duration>) = join_all(probes).await.into_iter().unzip();
        (made, took.into_iter().max().unwrap_or_default())
    }

    /// How fast the work is while nothing is wrong, on a machine that does other things besides: a task in every partition is
    /// done within this time. And the tasks that were made to know.
    async fn speed(&self) -> (Duration, Vec<String>) {
        let (mut slowest, mut all) = (SPEED_MIN, Vec::new());
        for round in 0..ROUNDS {
            let (made, took) = self.round(&self.callers(), round).await;
            all.extend(made);
            slowest = slowest.max(took * 2);
        }
        eprintln!("at its speed, everything is done within {slowest:?}");
        (slowest, all)
    }

    /// Waits until the work is back at its `speed`, whichever of `callers` is asked, and not longer than that may take since
    /// `fault`. The tasks that it asked for.
    async fn is_back(&self, from_what: &str, fault: Instant, speed: Duration, callers: &[Caller]) -> Vec<String> {
        let (mut in_a_row, mut all) = (0, Vec::new());
        for round in 0.. {
            let since = fault.elapsed();
            assert!(since < BACK_WITHIN, "{from_what}: not back at its speed of {speed:?} after {since:?}");
            let (made, took) = self.round(callers, round).await;
            all.extend(made);
            in_a_row = if took < speed { in_a_row + 1 } else { 0 };
            if in_a_row == IN_A_ROW {
                break;
            }
        }
        eprintln!("{from_what}: back {:?} after the fault", fault.elapsed());
        all
    }

    /// Every task that was accepted is completed by two decisions, nothing is left over, nothing is set aside.
    async fn assert_done_once(&self, caller: &Caller, tasks: &[String]) {
        for task in tasks {
            caller.until_completed(task).await;
        }
        let database = self.database().await;
        until("the outbox is empty", async || number(&database, "SELECT count(*) FROM outbox").await == 0).await;
        let sql = "SELECT count(*) FROM (SELECT actor FROM journal WHERE actor LIKE 'task/load-%' GROUP BY actor \
                   HAVING count(*) <> 2) AS odd";
        assert_eq!(number(&database, sql).await, 0, "a task without exactly two decisions");
        assert_eq!(number(&database, "SELECT count(*) FROM dead").await, 0);
    }
}

async fn number(database: &DatabaseConnection, sql: &str) -> i64 {
    let statement = Statement::from_string(database.get_database_backend(), sql);
    database.query_one_raw(statement).await.unwrap().unwrap().try_get_by_index(0).unwrap()
}

/// The nodes that a node sees.
async fn nodes(caller: &Caller) -> Vec<Value> {
    let health = caller.get("/health").await;
    health.data()["nodes"]["nodes"].as_array().cloned().unwrap_or_default()
}

/// The partitions that the node which answers owns.
async fn owned_by(caller: &Caller) -> Vec<u32> {
    let nodes = nodes(caller).await;
    let this = nodes.iter().find(|node| node["isThis"] == true).expect("it sees itself");
    this["partitions"].as_array().unwrap().iter().map(|p| u32::try_from(p.as_u64().unwrap()).unwrap()).collect()
}

fn partition(task: &str) -> u32 {
    partition_of(&Address::new("task", task), PARTITIONS)
}

/// An id of a task in one of these partitions, the `number`th of its name.
fn id_in(partitions: &[u32], name: &str, number: usize) -> String {
    (0..)
        .map(|salt| format!("{name}-{number}-{salt}"))
        .find(|id| partitions.contains(&partition(id)))
        .expect("there is no end of ids")
}

/// Makes one task in every partition, again and again, at whichever node answers.
struct Load {
    stop: tokio_util::sync::CancellationToken,
    made: tokio::task::JoinHandle<Vec<String>>,
}

impl Load {
    fn start(callers: Vec<Caller>, every: Duration) -> Self {
        let stop = tokio_util::sync::CancellationToken::new();
        let stopped = stop.clone();
        let made = tokio::spawn(async move {
            let mut made = Vec::new();
            let mut tick = tokio::time::interval(every);
            let mut calls = JoinSet::new();
            for round in 0.. {
                tokio::select! {
                    () = stopped.cancelled() => break,
                    _ = tick.tick() => {}
                }
                for place in 0..PARTITIONS {
                    let id = id_in(&[place], "load", round);
                    made.push(id.clone());
                    calls.spawn(insist(callers.clone(), (round + place as usize) % callers.len(), id));
                }
                while calls.len() > 256 {
                    calls.join_next().await.unwrap().unwrap();
                }
            }
            while let Some(call) = calls.join_next().await {
                call.unwrap();
            }
            made
        });
        Self { stop, made }
    }

    /// Ends it; the tasks that were accepted.
    async fn end(self) -> Vec<String> {
        self.stop.cancel();
        self.made.await.unwrap()
    }
}

/// Makes a task at one of `callers`, the first that accepts it, and waits for it there: how long that took.
async fn probe(callers: Vec<Caller>, first: usize, id: String) -> (String, Duration) {
    let begun = Instant::now();
    let caller = insist(callers, first, id.clone()).await;
    let path = format!("/task/{id}?wait=1");
    until("a task is done", async || {
        // A database that is busy with the repair may put a reader off.
        let wait = caller.request(reqwest::Method::GET, &path).timeout(Duration::from_secs(3));
        caller.ask(wait).await.is_ok_and(|answer| answer.status == 200 && answer.data()["status"] == "completed")
    })
    .await;
    (id, begun.elapsed())
}

/// Asks one node after the other until one accepts the task; that one.
async fn insist(callers: Vec<Caller>, first: usize, id: String) -> Caller {
    let begun = Instant::now();
    for turn in first.. {
        let caller = &callers[turn % callers.len()];
        let request = caller.request(reqwest::Method::POST, &format!("/task/{id}")).json(&noop());
        let answer = caller.ask(request.timeout(Duration::from_secs(2))).await;
        if answer.is_ok_and(|answer| answer.status.is_success()) {
            return caller.clone();
        }
        assert!(begun.elapsed() < LIMIT, "{id} was never accepted");
        tokio::time::sleep(Duration::from_millis(200)).await;
    }
    unreachable!("there is no end of turns")
}
