//! A task that is cancelled cancels its job at the provider.

use reqwest::Method;
use serde_json::json;

use super::double::{Deed, Replicate};
use super::{film_of, started};
use crate::crash::service::{Service, until};

async fn cancel(service: &Service) {
    let request = service.caller.request(Method::POST, "/task/film/cancel").json(&json!({}));
    let answer = service.caller.ask(request).await.unwrap();
    assert_eq!(answer.body["data"]["cancelled"], true, "{}", answer.body);
}

async fn until_cancelled(replicate: &Replicate) {
    until("it is cancelled at the provider", async || {
        replicate.world().predictions.iter().any(|prediction| prediction.cancelled)
    })
    .await;
}

#[tokio::test]
async fn cancelling_a_task_cancels_its_job_at_the_provider() {
    let replicate = Replicate::open().await;
    replicate.world().looks_until_done = usize::MAX;
    let service = started(&replicate).await;
    service.caller.make("film", &film_of("a cat")).await;
    until("it is looked at", async || replicate.world().looked > 1).await;
    cancel(&service).await;
    until_cancelled(&replicate).await;
    until("nothing is outstanding", async || service.caller.actor("film").await["outstanding"] == json!([])).await;
    assert_eq!(service.caller.task("film").await["error"]["code"], "cancelled");
}

#[tokio::test]
async fn a_job_whose_id_is_not_known_yet_is_found_and_cancelled() {
    let replicate = Replicate::open().await;
    replicate.world().submits.push_back(Deed::HoldAfter);
    let service = started(&replicate).await;
    service.caller.make("film", &film_of("a cat")).await;
    replicate.until_held().await;
    cancel(&service).await;
    until_cancelled(&replicate).await;
    assert_eq!(replicate.world().arrivals.len(), 1);
}

#[tokio::test]
async fn a_cancel_survives_the_death_of_the_server() {
    let replicate = Replicate::open().await;
    replicate.world().submits.push_back(Deed::HoldAfter);
    let mut service = started(&replicate).await;
    service.caller.make("film", &film_of("a cat")).await;
    replicate.until_held().await;
    cancel(&service).await;
    service.kill().await;
    service.start().await;
    until_cancelled(&replicate).await;
}
