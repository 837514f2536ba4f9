//! Redis is killed, emptied, failed over, full or away while the service is at work: every accepted task completes, each
//! effect once, and the work is back at its speed within ten seconds.
//!
//! The slow look at the outbox comes only once an hour here: what is repaired is repaired because it was noticed.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::{Duration, Instant};

use reqwest::Method;
use rustix::process::Signal;
use tokio::task::{JoinHandle, block_in_place};

use super::kills::{Crowd, assert_films_play};
use super::records::assert_each_happened_once;
use super::service::{SMALL_FILM, Service, noop, signal, until};
use crate::postgres;
use crate::redis_server::{Cluster, Server, Watched};

/// How soon the work is back at its speed.
const BACK_WITHIN: Duration = Duration::from_secs(10);
/// At its speed, a task that does nothing is done within this time, on a machine that does other things besides.
const SPEED: Duration = Duration::from_secs(1);
/// So many in a row.
const IN_A_ROW: u32 = 5;

/// A service at work.
struct Trial {
    service: Service,
    crowd: Arc<Crowd>,
    accepted: JoinHandle<BTreeMap<String, i64>>,
    extra: BTreeMap<String, i64>,
}

impl Trial {
    async fn on(mut service: Service, redis: &str) -> Self {
        service.set("MAILBOX__BACKEND", "redis");
        service.set("REDIS__URL", redis);
        service.set("ENGINE__SWEEP_SECONDS", 3_600);
        service.define("film.toml", SMALL_FILM);
        service.start_with_templates().await;
        let crowd = Crowd::new(service.caller.clone());
        let accepted = crowd.set_to_work();
        let mut trial = Self { service, crowd, accepted, extra: BTreeMap::new() };
        trial.is_back("at the start").await;
        trial
    }

    async fn health(&self) -> serde_json::Value {
        self.service.caller.get("/health").await.data().clone()
    }

    /// Makes a task and does not wait for it; how long the answer took.
    async fn make(&mut self) -> (String, Duration) {
        let id = format!("extra_{}", self.extra.len());
        let begun = Instant::now();
        self.service.caller.make(&id, &noop()).await;
        self.extra.insert(id.clone(), super::records::NOOP_ROWS);
        (id, begun.elapsed())
    }

    /// Waits until the work is back at its speed.
    async fn is_back(&mut self, from_what: &str) {
        let begun = Instant::now();
        let mut in_a_row = 0;
        while in_a_row < IN_A_ROW {
            let (id, _) = self.make().await;
            let made = Instant::now();
            let path = format!("/task/{id}?wait=1");
            let answer = self.service.caller.ask(self.service.caller.request(Method::GET, &path)).await.unwrap();
            // A database that is busy with the repair may put a reader off.
            let done = answer.status == 200 && answer.data()["status"] == "completed" && made.elapsed() < SPEED;
            in_a_row = if done { in_a_row + 1 } else { 0 };
            assert!(begun.elapsed() < BACK_WITHIN, "{from_what}: not back at its speed: {}", self.health().await);
        }
        println!("{from_what}: back after {:?}", begun.elapsed());
    }

    async fn ends_well(mut self) {
        self.crowd.call_home();
        let mut accepted = self.accepted.await.unwrap();
        println!(
            "{} tasks were accepted; clients were put off {} times",
            accepted.len(),
            self.crowd.put_off.load(Ordering::Relaxed)
        );
        assert!(accepted.len() >= 200);
        accepted.append(&mut self.extra);
        assert_each_happened_once(&self.service, &accepted).await;
        assert_films_play(&self.service, &accepted).await;
        assert_eq!(self.service.terminate().await, Some(0));
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_redis_that_is_killed_and_restarted_loses_nothing() {
    let mut redis = block_in_place(Server::start);
    let mut trial = Trial::on(Service::postgres(postgres::database().await).await, &redis.url()).await;
    for _ in 0..2 {
        block_in_place(|| {
            redis.kill();
            redis.launch();
        });
        trial.is_back("restarted").await;
    }
    assert_eq!(trial.health().await["redis"]["renewals"], 2, "{}", trial.health().await);
    trial.ends_well().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_redis_that_is_emptied_loses_nothing() {
    let redis = block_in_place(Server::start);
    let mut trial = Trial::on(Service::postgres(postgres::database().await).await, &redis.url()).await;
    for _ in 0..3 {
        block_in_place(|| assert_eq!(redis.told(&["FLUSHALL"]), "OK"));
        trial.is_back("emptied").await;
    }
    trial.ends_well().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_failover_by_sentinel_loses_nothing() {
    let mut redis = block_in_place(Watched::start);
    let mut trial = Trial::on(Service::sqlite().await, &redis.url()).await;
    block_in_place(|| {
        redis.master.kill();
        redis.replica.wait(|replica| replica.told(&["INFO", "replication"]).contains("role:master"));
    });
    trial.is_back("failed over").await;
    trial.ends_well().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_part_of_a_cluster_that_is_emptied_or_restarted_loses_nothing() {
    let mut redis = block_in_place(Cluster::start);
    let mut trial = Trial::on(Service::sqlite().await, &redis.url()).await;
    block_in_place(|| assert_eq!(redis.0[1].told(&["FLUSHALL"]), "OK"));
    trial.is_back("emptied").await;
    block_in_place(|| {
        redis.0[2].kill();
        redis.0[2].launch();
        redis.0[2].wait(|node| node.told(&["CLUSTER", "INFO"]).contains("cluster_state:ok"));
    });
    trial.is_back("restarted").await;
    trial.ends_well().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_redis_whose_memory_is_full_holds_work_up_and_loses_nothing() {
    let redis = block_in_place(Server::start);
    let mut trial = Trial::on(Service::sqlite().await, &redis.url()).await;
    block_in_place(|| redis.told(&["CONFIG", "SET", "maxmemory", "1"]));
    let (held, took) = trial.make().await;
    assert!(took < Duration::from_secs(2), "births do not wait for Redis: {took:?}");
    tokio::time::sleep(Duration::from_secs(3)).await;
    assert_ne!(trial.service.caller.task(&held).await["status"], "completed", "it waits in the outbox");
    block_in_place(|| redis.told(&["CONFIG", "SET", "maxmemory", "0"]));
    trial.is_back("the limit lifted").await;
    trial.ends_well().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_redis_that_is_away_for_fifteen_seconds_holds_work_up_and_says_so() {
    let mut redis = block_in_place(Server::start);
    let mut trial = Trial::on(Service::sqlite().await, &redis.url()).await;
    redis.kill();
    let gone = Instant::now();
    until("the service says so", async || {
        let health = trial.health().await;
        let summary = health["summary"].as_str().unwrap_or_default().to_owned();
        health["status"] == "attention" && summary.contains("Redis has been away for")
    })
    .await;
    println!("said after {:?}", gone.elapsed());
    while gone.elapsed() < Duration::from_secs(15) {
        let (_, took) = trial.make().await;
        assert!(took < Duration::from_secs(2), "births do not wait for Redis: {took:?}");
        tokio::time::sleep(Duration::from_millis(200)).await;
    }
    block_in_place(|| redis.launch());
    trial.is_back("launched").await;
    // One that answers nothing for a while, and then goes on as if nothing had been.
    signal(redis.pid(), Signal::STOP);
    until("the service says so", async || trial.health().await["redis"]["awayForMs"].is_number()).await;
    let (_, took) = trial.make().await;
    assert!(took < Duration::from_secs(3), "births do not wait for Redis: {took:?}");
    signal(redis.pid(), Signal::CONT);
    trial.is_back("awake").await;
    trial.ends_well().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_service_that_is_killed_finds_its_work_again_whatever_redis_holds() {
    let redis = block_in_place(Server::start);
    let mut trial = Trial::on(Service::sqlite().await, &redis.url()).await;
    for round in 0..3 {
        trial.service.kill().await;
        if round == 1 {
            block_in_place(|| redis.told(&["FLUSHALL"]));
        }
        trial.service.start().await;
        trial.is_back("started again").await;
    }
    trial.ends_well().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_redis_that_may_forget_is_refused_with_what_to_set() {
    let redis = block_in_place(|| Server::with(&["--save", ""]));
    let mut service = Service::sqlite().await;
    service.set("MAILBOX__BACKEND", "redis");
    service.set("REDIS__URL", redis.url());
    for command in ["serve", "doctor"] {
        let output = service.run(&[command]).await;
        assert!(!output.status.success(), "{command} accepts it");
        let said = [output.stdout, output.stderr].map(|said| String::from_utf8_lossy(&said).into_owned()).concat();
        assert!(said.contains("set `appendonly yes`"), "{command}: {said}");
    }
    service.set("REDIS__ALLOW_NO_PERSISTENCE", true);
    service.start_with_templates().await;
    service.caller.make("one", &noop()).await;
    service.caller.until_completed("one").await;
    let doctor = service.told(&["doctor"]).await;
    assert!(doctor.contains("single server, Redis"), "{doctor}");
    assert_eq!(service.terminate().await, Some(0));
}
