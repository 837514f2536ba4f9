//! A job's way when the provider answers, well or badly.

use std::time::Duration;

use serde_json::{Value, json};

use super::double::{Deed, Replicate};
use super::{failed, film_of, service, started};
use crate::crash::service::Service;

#[tokio::test]
async fn a_job_is_submitted_once_and_its_result_is_kept() {
    let replicate = Replicate::open().await;
    replicate.world().looks_until_done = 3;
    let service = started(&replicate).await;
    service.caller.make("film", &film_of("a cat")).await;
    service.caller.until_completed("film").await;
    service.caller.assert_playable("film").await;
    let world = replicate.world();
    assert_eq!((world.predictions.len(), world.arrivals.len(), world.looked, world.fetched), (1, 1, 4, 1));
    let asked: Value = serde_json::from_slice(&world.arrivals[0].body).unwrap();
    assert_eq!((&asked["version"], &asked["input"]), (&json!("owner/name"), &json!({ "prompt": "a cat", "seed": 7 })));
    assert_eq!(asked["webhook_events_filter"], json!(["completed"]));
    let webhook = asked["webhook"].as_str().unwrap();
    assert!(
        webhook.starts_with(&format!("{}/providers/films/callback/film.film.1.", service.caller.base())),
        "{webhook}"
    );
}

#[tokio::test]
async fn a_busy_provider_is_asked_again_after_the_time_it_names() {
    let replicate = Replicate::open().await;
    replicate.world().submits.extend([Deed::Say("429 Too Many Requests\r\nRetry-After: 1"), Deed::Answer]);
    let service = started(&replicate).await;
    service.caller.make("film", &film_of("a cat")).await;
    service.caller.until_completed("film").await;
    let world = replicate.world();
    let [first, second] = &world.arrivals[..] else { panic!("{:?}", world.arrivals) };
    assert!(second.at - first.at >= Duration::from_secs(1), "it came back too soon");
    assert_eq!((world.predictions.len(), world.asked), (1, 0), "what was not taken up needs no asking");
}

#[tokio::test]
async fn a_refusal_is_final_and_says_why() {
    let replicate = Replicate::open().await;
    replicate.world().submits.push_back(Deed::Say("422 Unprocessable Entity"));
    let service = started(&replicate).await;
    service.caller.make("film", &film_of("a cat")).await;
    assert_eq!(failed(&service, "film").await["code"], "provider_refused");
    assert_eq!(replicate.world().arrivals.len(), 1);
}

#[tokio::test]
async fn a_refused_key_is_told_without_the_key() {
    let replicate = Replicate::open().await;
    replicate.world().submits.push_back(Deed::Say("401 Unauthorized"));
    let service = started(&replicate).await;
    service.caller.make("film", &film_of("a cat")).await;
    assert_eq!(failed(&service, "film").await["code"], "provider_key_refused");
    let log = service.log();
    assert!(log.contains("a provider refuses our key") && !log.contains(super::KEY), "{log}");
}

#[tokio::test]
async fn looks_and_files_that_fail_are_tried_again_and_nothing_is_submitted_again() {
    let replicate = Replicate::open().await;
    replicate.world().looks_until_done = 2;
    replicate.world().looks.extend([
        Deed::Say("404 Not Found"),
        Deed::Say("500 Internal Server Error"),
        Deed::HangUpBefore,
        Deed::Say("429 Too Many Requests\r\nRetry-After: 0"),
        Deed::Say("401 Unauthorized"),
    ]);
    replicate.world().files.extend([Deed::Say("503 Service Unavailable"), Deed::HangUpBefore]);
    let service = started(&replicate).await;
    service.caller.make("film", &film_of("a cat")).await;
    service.caller.until_completed("film").await;
    service.caller.assert_playable("film").await;
    assert_eq!(replicate.world().arrivals.len(), 1);
}

#[tokio::test]
async fn a_job_that_takes_too_long_is_cancelled_at_the_provider() {
    let replicate = Replicate::open().await;
    replicate.world().looks_until_done = usize::MAX;
    let mut service = service(&replicate).await;
    service.define("film.toml", &super::FILM.replacen("60s", "500ms", 1));
    service.start_with_templates().await;
    service.caller.make("film", &film_of("a cat")).await;
    assert_eq!(failed(&service, "film").await["code"], "provider_timed_out");
    crate::crash::service::until("it is cancelled", async || replicate.world().predictions[0].cancelled).await;
    assert_eq!(replicate.world().arrivals.len(), 1);
}

#[tokio::test]
async fn a_workflow_whose_provider_is_not_configured_loads_and_is_refused_with_a_sentence() {
    let mut service = Service::sqlite().await;
    service.start_with_templates().await;
    service.terminate().await;
    service.define("film.toml", super::FILM);
    service.start().await;
    let caller = &service.caller;
    let request = caller.request(reqwest::Method::POST, "/task/film").json(&film_of("a cat"));
    let answer = caller.ask(request).await.unwrap();
    assert_eq!(answer.status, 400);
    let said = answer.body["message"].as_str().unwrap();
    assert!(said.contains("needs the provider `films`") && said.contains("[providers.films]"), "{said}");
}

#[tokio::test]
async fn a_missing_secret_is_told_at_the_start() {
    let replicate = Replicate::open().await;
    let mut service = service(&replicate).await;
    service.set("PROVIDERS__FILMS__KEY_ENV", "NOT_SET");
    let output = service.run(&["serve"]).await;
    let said = String::from_utf8_lossy(&output.stderr).into_owned();
    assert_eq!(output.status.code(), Some(2), "{said}");
    assert!(
        said.contains("`providers.films.key_env` names the environment variable NOT_SET, which is not set"),
        "{said}"
    );
}
