//! A node that is stopped past the end of its leases and wakes up in the middle of what it did.

use std::time::Duration;

use rand::rngs::StdRng;
use rand::{RngExt, SeedableRng};
use rustix::process::Signal;

use super::{Cluster, Load, PARTITIONS, id_in, owned_by};
use crate::crash::service::{Service, signal, until};
use crate::providers::double::{Deed, Replicate};
use crate::providers::{film_of, set_up};

const FILMS: usize = 10;

async fn stopped_and_taken_over(cluster: &Cluster) {
    signal(cluster.nodes[0].pid(), Signal::STOP);
    let heir = &cluster.nodes[1].caller;
    until("the other node has everything", async || owned_by(heir).await.len() == PARTITIONS as usize).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_node_that_sleeps_past_its_leases_writes_nothing_stale_and_loses_nothing() {
    let cluster = Cluster::start(2, |_| {}).await;
    let callers = vec![cluster.nodes[1].caller.clone()];
    let load = Load::start(callers, Duration::from_millis(500));
    let database = cluster.database().await;
    let completed = async || super::number(&database, "SELECT count(*) FROM tasks WHERE status = 'completed'").await;
    until("work is under way", async || completed().await > 100).await;
    for _ in 0..2 {
        stopped_and_taken_over(&cluster).await;
        let before = completed().await;
        until("work goes on", async || completed().await > before + 50).await;
        signal(cluster.nodes[0].pid(), Signal::CONT);
        cluster.until_divided(1).await;
    }
    let tasks = load.end().await;
    cluster.assert_done_once(&cluster.nodes[0].caller, &tasks).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_a_sleeper_sent_to_a_provider_is_found_by_the_heir_and_not_sent_again_by_either() {
    let replicate = Replicate::open().await;
    replicate.world().looks_until_done = 1;
    replicate.world().submits.push_back(Deed::HoldAfter);
    let cluster = Cluster::start(2, |node: &mut Service| set_up(node, &replicate)).await;
    let film = id_in(&owned_by(&cluster.nodes[0].caller).await, "film", 0);
    let heir = cluster.nodes[1].caller.clone();
    heir.make(&film, &film_of("a cat")).await;
    replicate.until_held().await;
    stopped_and_taken_over(&cluster).await;
    heir.until_completed(&film).await;
    signal(cluster.nodes[0].pid(), Signal::CONT);
    cluster.until_divided(0).await;
    let task = cluster.nodes[0].caller.task(&film).await;
    assert_eq!(task["status"], "completed", "{task}");
    let world = replicate.world();
    assert_eq!((world.arrivals.len(), world.predictions.len()), (1, 1));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn films_under_way_while_their_node_sleeps_are_taken_up_once_each() {
    let seed: u64 = rand::random();
    eprintln!("the sleep follows seed {seed}");
    let mut dice = StdRng::seed_from_u64(seed);
    let replicate = Replicate::open().await;
    replicate.world().looks_until_done = 3;
    let cluster = Cluster::start(2, |node: &mut Service| set_up(node, &replicate)).await;
    let theirs = owned_by(&cluster.nodes[0].caller).await;
    let heir = cluster.nodes[1].caller.clone();
    let films: Vec<String> = (0..FILMS).map(|number| id_in(&theirs, "film", number)).collect();
    for (number, film) in films.iter().enumerate() {
        heir.make(film, &film_of(&format!("cat {number}"))).await;
    }
    tokio::time::sleep(Duration::from_millis(dice.random_range(0..400))).await;
    stopped_and_taken_over(&cluster).await;
    signal(cluster.nodes[0].pid(), Signal::CONT);
    for (number, film) in films.iter().enumerate() {
        heir.until_completed(film).await;
        assert_eq!(replicate.accepted(&format!("cat {number}")), 1, "{:?}", replicate.world().predictions);
    }
    cluster.until_divided(0).await;
}
