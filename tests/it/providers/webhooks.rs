//! Webhooks hasten and are not believed: early, twice, late, forged, never.

use mixvideo::runtime::clock::{Clock, SystemClock};

use super::double::{Deed, Replicate, post, sign};
use super::{film_of, service, started};
use crate::crash::records::count;
use crate::crash::service::{Service, until};

/// A server that would look only after ten minutes.
async fn unhurried(replicate: &Replicate) -> Service {
    let mut service = service(replicate).await;
    service.set("PROVIDERS__FILMS__POLL_MS", 600_000);
    service.set("PROVIDERS__FILMS__POLL_MS_MAX", 600_000);
    service.define("film.toml", &super::FILM.replacen("60s", "1h", 1));
    service.start_with_templates().await;
    service
}

#[tokio::test]
async fn a_webhook_before_the_answer_to_the_submit_leads_to_a_look() {
    let replicate = Replicate::open().await;
    replicate.world().submits.push_back(Deed::CallFirst);
    let service = unhurried(&replicate).await;
    service.caller.make("film", &film_of("a cat")).await;
    service.caller.until_completed("film").await;
    assert_eq!(replicate.world().arrivals.len(), 1);
}

#[tokio::test]
async fn a_webhook_ends_a_rest() {
    let replicate = Replicate::open().await;
    replicate.world().calls = true;
    let service = unhurried(&replicate).await;
    service.caller.make("film", &film_of("a cat")).await;
    service.caller.until_completed("film").await;
    let world = replicate.world();
    assert_eq!((world.arrivals.len(), world.looked), (1, 1));
}

#[tokio::test]
async fn a_webhook_that_comes_twice_counts_once_and_one_for_an_ended_task_not_at_all() {
    let replicate = Replicate::open().await;
    let service = started(&replicate).await;
    service.caller.make("film", &film_of("a cat")).await;
    service.caller.until_completed("film").await;
    let looked = replicate.world().looked;
    for webhook in ["msg_1", "msg_1", "msg_2"] {
        assert_eq!(replicate.call(webhook).await, 204);
    }
    let database = service.database().await;
    let answered = "SELECT COUNT(*) FROM inputs WHERE status = 'answered'";
    until("both are answered", async || count(&database, answered).await == 2).await;
    assert_eq!(count(&database, "SELECT COUNT(*) FROM inputs").await, 2);
    {
        let world = replicate.world();
        assert_eq!((world.looked, world.arrivals.len()), (looked, 1));
    }
    assert_eq!(service.caller.task("film").await["status"], "completed");
}

#[tokio::test]
async fn a_webhook_that_is_forged_old_or_for_no_job_of_ours_is_refused() {
    let replicate = Replicate::open().await;
    replicate.world().looks_until_done = usize::MAX;
    let service = started(&replicate).await;
    service.caller.make("film", &film_of("a cat")).await;
    until("it is submitted", async || !replicate.world().predictions.is_empty()).await;
    let prediction = replicate.world().predictions[0].clone();
    let (link, now) = (prediction.webhook.unwrap(), SystemClock.now().0 / 1_000);
    let body = format!("{{\"id\":\"{}\"}}", prediction.id);
    let good = sign("msg_1", now, &body);
    let capability = link.rsplit('/').next().unwrap();
    for (status, link, seconds, signature, body) in [
        (403, link.clone(), now, sign("msg_2", now, &body), body.clone()),
        (403, link.clone(), now, good.clone(), body.replace('}', " }")),
        (403, link.clone(), now - 301, sign("msg_1", now - 301, &body), body.clone()),
        (404, link.replace("/film.film.1.", "/film.film.2."), now, good.clone(), body.clone()),
        (404, link.replace("/films/", "/others/"), now, good.clone(), body.clone()),
        (404, link.replace(capability, "x"), now, good.clone(), body.clone()),
        (400, link.clone(), now, sign("msg_1", now, "{}"), "{}".to_owned()),
        (400, link.clone(), now, sign("msg_1", now, r#"{"id":"../x"}"#), r#"{"id":"../x"}"#.to_owned()),
    ] {
        assert_eq!(post(&link, "msg_1", seconds, &signature, &body).await, status, "{link} {body}");
    }
    let unsigned = reqwest::Client::new().post(&link).body(body.clone()).send().await.unwrap();
    assert_eq!(unsigned.status(), 403);
    assert_eq!(count(&service.database().await, "SELECT COUNT(*) FROM inputs").await, 0);
    assert_eq!(post(&link, "msg_1", now, &format!("v1,AAAA {good}"), &body).await, 204);
}
