//! Steps that go wrong: damaged pictures, workers that die, films that nobody wants any more.

use std::time::{Duration, Instant};

use reqwest::Method;
use rustix::process::Signal;
use serde_json::json;

use super::service::{SMALL_FILM, Service, film, film_of, is_alive, longer_film, noop, png, signal, until};

#[tokio::test]
async fn a_damaged_picture_fails_its_task_with_a_sentence_and_no_other() {
    let mut service = Service::sqlite().await;
    service.define("film.toml", SMALL_FILM);
    service.start_with_templates().await;
    let caller = &service.caller;
    let whole = png();
    let mut garbled = whole.clone();
    let middle = garbled.len() / 2;
    garbled[middle..middle + 40].fill(0xAA);
    caller.make("cut_off", &film_of(&whole[..whole.len() / 2])).await;
    caller.make("neighbour", &film_of(&whole)).await;
    caller.make("garbled", &film_of(&garbled)).await;
    caller.make("noop", &noop()).await;
    for id in ["cut_off", "garbled"] {
        let task = caller.until_task(id, |task| task["status"] == "failed").await;
        assert_eq!(task["error"]["code"], "picture_damaged", "{task}");
        let sentence = task["error"]["message"].as_str().unwrap();
        assert!(sentence.starts_with("the picture is damaged") && sentence.contains("send another"), "{sentence}");
        assert!(task["result"].is_null() && task["completedAt"].is_string(), "{task}");
    }
    for id in ["neighbour", "noop"] {
        caller.until_completed(id).await;
    }
    caller.assert_playable("neighbour").await;
    assert_eq!(caller.get("/health").await.data()["quarantined"], 0);
}

#[tokio::test]
async fn a_worker_that_is_killed_costs_one_attempt_and_nobody_else_notices() {
    let mut service = Service::sqlite().await;
    let retry = "timeout = \"2m\"
retry = { attempts = 3, first_delay = \"100ms\", max_delay = \"1s\", factor = 2 }";
    service.define("film.toml", &longer_film().replace("timeout = \"2m\"", retry));
    service.start_with_templates().await;
    let (caller, pid) = (&service.caller, service.pid());
    caller.make("film", &film_of(&png())).await;
    let worker = service.until_rendered_by("film").await;
    caller.make("noop", &noop()).await;
    signal(worker, Signal::KILL);
    caller.until_completed("noop").await;
    caller.until_completed("film").await;
    caller.assert_playable("film").await;
    let actor = caller.actor("film").await;
    let history = actor["history"].to_string();
    assert!(history.contains("worker_killed"), "{history}");
    assert_eq!(service.pid(), pid);
    assert!(is_alive(pid));
}

#[tokio::test]
async fn a_film_whose_worker_dies_every_time_fails_with_its_reason_and_its_neighbours_finish() {
    let mut service = Service::sqlite().await;
    let retry = "timeout = \"2m\"\nretry = { attempts = 2, first_delay = \"10ms\", max_delay = \"10ms\", factor = 1 }";
    service.define("film.toml", &film(30, 60, 1280, 720).replace("timeout = \"2m\"", retry));
    service.start_with_templates().await;
    let caller = &service.caller;
    caller.make("film", &film_of(&png())).await;
    let first = service.until_rendered_by("film").await;
    signal(first, Signal::KILL);
    until("another worker tries", async || service.workers().iter().any(|worker| *worker != first)).await;
    caller.make("neighbour", &noop()).await;
    signal(service.until_rendered_by("film").await, Signal::KILL);
    let task = caller.until_task("film", |task| task["status"] == "failed").await;
    assert_eq!(task["error"]["code"], "worker_killed", "{task}");
    assert!(task["error"]["message"].as_str().unwrap().starts_with("the worker was killed"), "{task}");
    caller.until_completed("neighbour").await;
    assert!(service.workers().is_empty(), "another worker was started");
    assert_eq!(caller.get("/health").await.data()["quarantined"], 0);
}

#[tokio::test]
async fn cancelling_a_running_film_reaches_its_worker_within_a_second() {
    let mut service = Service::sqlite().await;
    service.define("film.toml", &film(30, 60, 1280, 720));
    service.start_with_templates().await;
    let caller = &service.caller;
    caller.make("film", &film_of(&png())).await;
    let worker = service.until_rendered_by("film").await;
    let body = json!({ "reason": "I chose the wrong picture" });
    let asked = Instant::now();
    let answer = caller.ask(caller.request(Method::POST, "/task/film/cancel").json(&body)).await.unwrap();
    assert_eq!((answer.status.as_u16(), &answer.body["data"]["cancelled"]), (200, &json!(true)), "{}", answer.body);
    until("the worker is gone", async || !is_alive(worker)).await;
    assert!(asked.elapsed() < Duration::from_secs(1), "it took {:?}", asked.elapsed());
    let task = caller.task("film").await;
    assert_eq!(task["status"], "failed", "{task}");
    assert_eq!(task["error"], json!({ "code": "cancelled", "message": "I chose the wrong picture" }));
    assert_eq!(caller.actor("film").await["outstanding"], json!([]));
    assert!(service.workers().is_empty(), "another worker was started");
    // The place is free again.
    caller.make("noop", &noop()).await;
    caller.until_completed("noop").await;
    let again = caller.ask(caller.request(Method::POST, "/task/film/cancel").json(&body)).await.unwrap();
    assert_eq!(again.status, 200, "{}", again.body);
}
