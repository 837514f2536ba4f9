//! A message that kills every process that touches it, on two nodes that are started again each time.

use std::os::unix::process::ExitStatusExt as _;
use std::process::Stdio;
use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::Duration;

use mixvideo::runtime::clock::SystemClock;
use mixvideo::runtime::engine::{Engine, Parts};
use mixvideo::runtime::journal::committer::Committer;
use mixvideo::runtime::journal::{Journal, Options};
use mixvideo::runtime::partition::Limits;
use mixvideo::runtime::{lease, mailbox};

use crate::engine::support::{Idle, PARTITIONS, lanes, system, until};
use crate::engine::toy::{self, Message};
use crate::{postgres, redis_server};

const SOON: Duration = Duration::from_secs(60);
/// The environment variables that turn the first test into a node: where its files, its database and its Redis are.
const HOME: &str = "MIXVIDEO_TEST_NODE_HOME";
const DATABASE: &str = "MIXVIDEO_TEST_NODE_DATABASE";
const REDIS: &str = "MIXVIDEO_TEST_NODE_REDIS";
/// What a process dies of that aborts.
const SIGABRT: i32 = 6;
/// One death that makes a suspect and three alone; and a few of nodes that took a partition before they were told of it.
const DEATHS_MAX: u32 = 10;
/// Short, so that a partition whose owner died is soon somebody else's.
const LEASE_MS: i64 = 2_000;

async fn node(home: &str, database: &str, redis: &str) -> Engine {
    let kinds = toy::kinds();
    let tables: Vec<_> = kinds.iter().map(|kind| kind.table()).collect();
    let journal = Journal::open(&Options::new(database), &tables, PARTITIONS).await.unwrap();
    let redis = redis_server::connect(redis, "killers").await;
    Engine::start(Parts {
        kinds,
        committer: Committer::spawn(&journal).unwrap(),
        journal,
        mailbox: Arc::new(mailbox::Redis::new(redis, PARTITIONS, Arc::new(SystemClock))),
        activities: Arc::new(Idle),
        lanes: lanes(),
        clock: Arc::new(SystemClock),
        leases: Some(lease::Options {
            url: database.to_owned(),
            node: uuid::Uuid::new_v4(),
            limits: lease::Limits::of_lease(LEASE_MS),
        }),
        inflight: Some(std::path::Path::new(home).join("inflight")),
        limits: Limits::default(),
        partitions: PARTITIONS,
    })
    .await
    .unwrap()
}

async fn count(engine: &Engine, name: &str) -> u64 {
    let address = toy::address(name);
    let found = engine.journal().load(std::slice::from_ref(&address)).await.unwrap_or_default();
    found.get(&address).map_or(0, |stored| serde_json::from_str::<toy::State>(&stored.state).unwrap().count)
}

/// Not a test of its own: run by the one below, in processes that may die.
#[test]
fn a_node_that_a_killer_may_kill() {
    let variable = |name| std::env::var(name).ok();
    let (Some(home), Some(database), Some(redis)) = (variable(HOME), variable(DATABASE), variable(REDIS)) else {
        return;
    };
    system(async {
        let engine = node(&home, &database, &redis).await;
        let to = |name, message| (toy::address(name), message);
        let tells = vec![
            to("victim", Message::Add(1)),
            to("victim", Message::Abort),
            to("victim", Message::Add(1)),
            to("neighbour", Message::Add(1)),
        ];
        // Whoever comes first; the others find them born.
        for birth in [toy::birth("victim", vec![]), toy::birth("neighbour", vec![]), toy::birth("sender", tells)] {
            engine.birth(birth).await.unwrap();
        }
        until("everything else is done", SOON, async || {
            count(&engine, "neighbour").await == 1 && count(&engine, "victim").await == 2
        })
        .await;
        engine.drain(Duration::from_secs(5)).await;
    });
}

/// A node that is started again whenever it dies, until it ends in peace.
async fn supervised(home: &str, database: &str, redis: &str, deaths: &AtomicU32) {
    loop {
        let child = tokio::process::Command::new(std::env::current_exe().unwrap())
            .args(["--exact", "nodes::killers::a_node_that_a_killer_may_kill"])
            .envs([(HOME, home), (DATABASE, database), (REDIS, redis)])
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .kill_on_drop(true)
            .status();
        let ended = child.await.unwrap();
        if ended.success() {
            return;
        }
        assert_eq!(ended.signal(), Some(SIGABRT), "it did not die of the killer: {ended}");
        assert!(deaths.fetch_add(1, Ordering::Relaxed) < DEATHS_MAX, "they still die");
    }
}

#[tokio::test]
async fn a_killer_is_found_on_two_nodes_that_share_a_directory_and_nobody_else_is_set_aside() {
    let home = tempfile::tempdir().unwrap();
    let (database, redis) = (postgres::database().await, redis_server::Server::start());
    let (path, url, deaths) = (home.path().to_str().unwrap(), redis.url(), AtomicU32::new(0));
    let node = || supervised(path, &database, &url, &deaths);
    tokio::join!(node(), node());
    let journal = Journal::open(&Options::new(&database), &[&toy::TOYS], PARTITIONS).await.unwrap();
    let dead = journal.dead_list(None, 10).await.unwrap();
    assert_eq!(dead.len(), 1, "{dead:?}");
    assert!(dead[0].reason.contains("died 3 times"), "{}", dead[0].reason);
    let deaths = deaths.into_inner();
    eprintln!("they died {deaths} times");
    assert!(deaths >= 4, "one death that makes a suspect, three alone");
}
