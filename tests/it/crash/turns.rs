//! Steps side by side, and limits on what runs at once, with a server that is killed meanwhile.

use std::collections::BTreeMap;
use std::time::Instant;

use futures_util::future::join_all;
use reqwest::Method;
use rustix::process::Signal;
use serde_json::{Value, json};

use super::records::{FILM_ROWS, NOOP_ROWS, assert_each_happened_once};
use super::service::{LIMIT, SMALL_FILM, Service, data_url, film, png, signal, until};

/// Everybody wants one of four permits.
const CROWD: &str = r#"
name = "noop"
description = "Does nothing, four at a time."
produces = "nothing"

[[steps]]
name = "noop"
activity = "noop"
concurrency = { key = "the one shop", limit = 4 }
"#;

fn of_user(user: &str, template: &str, parameters: Value) -> Value {
    json!({ "type": "video_generation", "templateCode": template, "userId": user, "parameters": parameters })
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_thousand_tasks_with_one_limit_complete_once_through_kills() {
    let mut service = Service::sqlite().await;
    service.set("ENGINE__SWEEP_SECONDS", 3_600);
    service.define("noop.toml", CROWD);
    service.start_with_templates().await;
    let mut accepted = BTreeMap::new();
    for round in 0..4 {
        let make = |index: u32| {
            let (caller, user) = (service.caller.clone(), ["ada", "bob", "cyd", "dee"][(index % 4) as usize]);
            let id = format!("crowd_{round}_{index}");
            async move {
                caller.make(&id, &of_user(user, "noop", json!({}))).await;
                (id, NOOP_ROWS)
            }
        };
        // In tens: as many connections as a client would have.
        for ten in 0..25 {
            accepted.extend(join_all((ten * 10..ten * 10 + 10).map(make)).await);
        }
        service.kill().await;
        service.start().await;
    }
    assert_eq!(accepted.len(), 1_000);
    assert_each_happened_once(&service, &accepted).await;
}

/// How many activities wait for a permit, and the page on which operators see of which key.
async fn waiting(service: &Service) -> (u64, String) {
    let health = service.caller.get("/health").await;
    let metrics = service.caller.get("/metrics").await;
    (health.data()["permits"]["waiting"].as_u64().unwrap(), metrics.body.as_str().unwrap().to_owned())
}

#[tokio::test]
async fn a_user_has_one_worker_at_a_time_through_kills_and_cancels() {
    let mut service = Service::sqlite().await;
    service.set("LANES__MEDIA", 6);
    let permit = "timeout = \"2m\"\nconcurrency = { key = \"camera of {user}\", limit = 1 }";
    service.define("film.toml", &film(30, 60, 1280, 720).replace("timeout = \"2m\"", permit));
    service.start_with_templates().await;
    let names: Vec<String> =
        ["ada", "bob"].iter().flat_map(|user| (0..3).map(move |n| format!("{user}_{n}"))).collect();
    for id in &names {
        let body = of_user(&id[..3], "photo-to-video", json!({ "imageUrl": data_url(&png()) }));
        service.caller.make(id, &body).await;
    }
    for start in 0..3 {
        if start > 0 {
            service.kill().await;
            service.start().await;
        }
        until("each user has one film at work, and two that wait", async || {
            waiting(&service).await.0 == 4 && service.workers().len() == 2
        })
        .await;
        let waits = service.caller.actor("ada_2").await["outstanding"][0]["turn"].clone();
        assert_eq!((&waits["permit"]["key"], &waits["group"]), (&json!("camera of ada"), &json!("ada")));
        let (_, metrics) = waiting(&service).await;
        for user in ["ada", "bob"] {
            let shown = format!("mixvideo_key_permits_taken{{key=\"camera of {user}\",limit=\"1\"}} 1");
            assert!(metrics.contains(&shown), "{metrics}");
        }
    }
    for (cancelled, id) in names.iter().enumerate() {
        let cancel = service.caller.request(Method::POST, &format!("/task/{id}/cancel")).json(&json!({}));
        service.caller.ask(cancel).await.unwrap().data();
        let left = |user: &str| names[cancelled + 1..].iter().filter(|id| id.starts_with(user)).count();
        let at_work = [left("ada"), left("bob")].iter().filter(|films| **films > 0).count();
        until("whoever has films left has one at work", async || {
            let wait = (names.len() - cancelled - 1 - at_work) as u64;
            waiting(&service).await.0 == wait && service.workers().len() == at_work
        })
        .await;
    }
}

/// How far a step of a task has come.
fn stage(task: &Value, step: &str) -> String {
    match &task["state"]["steps"][step] {
        Value::String(stage) => stage.clone(),
        Value::Object(stage) => stage.keys().next().cloned().unwrap_or_default(),
        _ => String::new(),
    }
}

/// Holds whatever works on a film and its cover, until both are at work at the same time; false when one was done first.
async fn are_held_side_by_side(service: &Service, id: &str) -> bool {
    until("the picture is taken", async || stage(&service.caller.actor(id).await, "picture") == "done").await;
    let mut side_by_side = false;
    until("two workers are held, or one step is done", async || {
        service.workers().into_iter().for_each(|worker| signal(worker, Signal::STOP));
        let actor = service.caller.actor(id).await;
        let stages = [stage(&actor, "film"), stage(&actor, "cover")];
        side_by_side = stages == ["started", "started"] && service.workers().len() == 2;
        side_by_side || stages.iter().any(|stage| stage == "done")
    })
    .await;
    side_by_side
}

#[tokio::test]
async fn steps_that_do_not_need_each_other_run_side_by_side() {
    let mut service = Service::sqlite().await;
    service.set("LANES__MEDIA", 2);
    service.start_with_templates().await;
    let caller = &service.caller;
    let picture = data_url(&png());
    let begun = Instant::now();
    let mut tries = 0;
    let id = loop {
        // The cover takes a moment only: who comes too late to see it at work looks at another one.
        assert!(begun.elapsed() < LIMIT, "the steps were never seen side by side");
        tries += 1;
        let id = format!("both_{tries}");
        caller.make(&id, &of_user("ada", "photo-set", json!({ "imageUrl": picture, "seconds": 1 }))).await;
        if are_held_side_by_side(&service, &id).await {
            break id;
        }
        service.workers().into_iter().for_each(|worker| signal(worker, Signal::CONT));
        caller.until_completed(&id).await;
    };
    service.workers().into_iter().for_each(|worker| signal(worker, Signal::CONT));
    let task = caller.until_completed(&id).await;
    caller.assert_playable(&id).await;
    assert!(task["result"]["imageUrl"].is_string(), "the cover is published too: {task}");

    let no_cover = json!({ "imageUrl": picture, "seconds": 1, "cover": false });
    caller.make("film_only", &of_user("ada", "photo-set", no_cover)).await;
    let task = caller.until_completed("film_only").await;
    assert!(task["result"]["videoUrl"].is_string() && task["result"]["imageUrl"].is_null(), "{task}");
    let actor = caller.actor("film_only").await;
    assert_eq!([stage(&actor, "cover"), stage(&actor, "store_cover")], ["skipped", "skipped"], "{actor}");
}

#[tokio::test]
async fn a_task_goes_on_from_the_last_step_that_was_done() {
    let mut service = Service::sqlite().await;
    service.define(
        "film.toml",
        &SMALL_FILM.replace(
            "seconds = 1, fps = 10, width = 64, height = 64",
            "seconds = 30, fps = 60, width = 640, height = 360",
        ),
    );
    service.start_with_templates().await;
    let body = of_user("ada", "photo-to-video", json!({ "imageUrl": data_url(&png()) }));
    service.caller.make("film", &body).await;
    for _ in 0..3 {
        service.hold("film").await;
        let steps = service.caller.actor("film").await["state"]["steps"].clone();
        assert!(steps["picture"]["done"].is_object(), "the first step is done: {steps}");
        service.kill().await;
        // The first step's file is there once: had the step run again, it would be written anew.
        let file = service.file(steps["picture"]["done"]["result"]["file"].as_str().unwrap());
        let written = std::fs::metadata(&file).unwrap().modified().unwrap();
        service.start().await;
        service.until_rendered_by("film").await;
        assert_eq!(std::fs::metadata(&file).unwrap().modified().unwrap(), written, "the first step ran again");
    }
    let begun = Instant::now();
    let film = service.caller.until_completed("film").await;
    assert!(begun.elapsed() < LIMIT && film["progress"] == 100);
    assert_each_happened_once(&service, &BTreeMap::from([("film".to_owned(), FILM_ROWS)])).await;
}
