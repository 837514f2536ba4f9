//! `kill -9` at each step of a job: one submit per step is taken up at the provider.

use std::time::Duration;

use rand::rngs::StdRng;
use rand::{RngExt, SeedableRng};

use super::double::{Deed, Replicate};
use super::{film_of, started};

const TASKS: usize = 12;
const KILLS: u32 = 6;
/// How long the server lives before it is killed, in milliseconds.
const LIFE_MS: std::ops::RangeInclusive<u64> = 50..=500;

/// Kills the server when the double holds what `plan` told it to, and looks what becomes of the film afterwards.
async fn killed_when_held(plan: impl FnOnce(&Replicate)) -> Replicate {
    let replicate = Replicate::open().await;
    replicate.world().looks_until_done = 1;
    plan(&replicate);
    let mut service = started(&replicate).await;
    service.caller.make("film", &film_of("a cat")).await;
    replicate.until_held().await;
    service.kill().await;
    service.start().await;
    service.caller.until_completed("film").await;
    service.caller.assert_playable("film").await;
    assert_eq!(replicate.accepted("a cat"), 1, "{:?}", replicate.world().predictions);
    assert_eq!(service.caller.get("/health").await.data()["quarantined"], 0);
    replicate
}

#[tokio::test]
async fn killed_before_the_provider_takes_it_up_it_is_asked_for_and_submitted_again() {
    let replicate = killed_when_held(|replicate| replicate.world().submits.push_back(Deed::HoldBefore)).await;
    let world = replicate.world();
    assert_eq!((world.arrivals.len(), world.asked), (2, 2));
}

#[tokio::test]
async fn killed_before_the_answer_comes_it_is_found_and_not_submitted_again() {
    let replicate = killed_when_held(|replicate| replicate.world().submits.push_back(Deed::HoldAfter)).await;
    let world = replicate.world();
    assert_eq!((world.arrivals.len(), world.asked), (1, 1));
}

#[tokio::test]
async fn killed_during_a_look_it_is_looked_at_again() {
    let replicate = killed_when_held(|replicate| replicate.world().looks.push_back(Deed::HoldAfter)).await;
    let world = replicate.world();
    assert_eq!((world.arrivals.len(), world.asked), (1, 0));
}

#[tokio::test]
async fn killed_while_the_result_is_fetched_it_is_fetched_again() {
    let replicate = killed_when_held(|replicate| replicate.world().files.push_back(Deed::HoldAfter)).await;
    let world = replicate.world();
    assert_eq!((world.arrivals.len(), world.fetched), (1, 2));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn every_step_is_taken_up_once_however_often_the_server_is_killed() {
    let seed: u64 = rand::random();
    eprintln!("the kills follow seed {seed}");
    let mut dice = StdRng::seed_from_u64(seed);
    let replicate = Replicate::open().await;
    replicate.world().looks_until_done = 4;
    replicate.world().calls = true;
    let mut service = started(&replicate).await;
    for task in 0..TASKS {
        service.caller.make(&format!("film_{task}"), &film_of(&format!("cat {task}"))).await;
        if task % 2 == 0 && task / 2 < KILLS as usize {
            tokio::time::sleep(Duration::from_millis(dice.random_range(LIFE_MS))).await;
            service.kill().await;
            service.start().await;
        }
    }
    for task in 0..TASKS {
        service.caller.until_completed(&format!("film_{task}")).await;
        assert_eq!(replicate.accepted(&format!("cat {task}")), 1, "{:?}", replicate.world().predictions);
    }
}
