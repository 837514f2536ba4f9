//! The answer to the submit is lost: unknown is not failed, and nothing is submitted twice.

use super::double::{Deed, Replicate};
use super::{failed, film_of, service, started};

#[tokio::test]
async fn a_job_whose_answer_was_lost_is_found_by_its_webhook_and_not_submitted_again() {
    let replicate = Replicate::open().await;
    replicate.world().submits.push_back(Deed::HangUpAfter);
    let service = started(&replicate).await;
    service.caller.make("film", &film_of("a cat")).await;
    service.caller.until_completed("film").await;
    let world = replicate.world();
    assert_eq!((world.arrivals.len(), world.asked), (1, 1));
}

#[tokio::test]
async fn a_provider_that_answers_too_late_is_asked_first() {
    let replicate = Replicate::open().await;
    replicate.world().submits.push_back(Deed::HoldAfter);
    let mut service = service(&replicate).await;
    service.set("PROVIDERS__FILMS__REQUEST_SECONDS", 1);
    service.start_with_templates().await;
    service.caller.make("film", &film_of("a cat")).await;
    service.caller.until_completed("film").await;
    assert_eq!(replicate.world().arrivals.len(), 1);
}

#[tokio::test]
async fn a_submit_that_never_arrived_is_sent_again_after_asking_and_waiting() {
    let replicate = Replicate::open().await;
    replicate.world().submits.push_back(Deed::HangUpBefore);
    let service = started(&replicate).await;
    service.caller.make("film", &film_of("a cat")).await;
    service.caller.until_completed("film").await;
    let world = replicate.world();
    let [first, second] = &world.arrivals[..] else { panic!("{:?}", world.arrivals) };
    assert!(second.at - first.at >= std::time::Duration::from_secs(1), "it had no time to show up");
    assert_eq!((world.predictions.len(), world.asked), (1, 2));
}

#[tokio::test]
async fn a_job_that_cannot_be_told_from_others_is_unknown_and_not_submitted_again() {
    let replicate = Replicate::open().await;
    replicate.world().lists_no_webhooks = true;
    replicate.world().submits.push_back(Deed::HangUpAfter);
    let service = started(&replicate).await;
    service.caller.make("film", &film_of("a cat")).await;
    let error = failed(&service, "film").await;
    assert_eq!(error["code"], "outcome_unknown", "{error}");
    assert!(error["message"].as_str().unwrap().contains("show no webhook"), "{error}");
    assert_eq!(replicate.world().arrivals.len(), 1);
}

#[tokio::test]
async fn a_provider_with_keys_gets_the_same_bytes_under_the_same_key() {
    let replicate = Replicate::open().await;
    replicate.world().knows_keys = true;
    replicate.world().submits.extend([Deed::HangUpAfter, Deed::Say("500 Internal Server Error"), Deed::HangUpBefore]);
    let mut service = service(&replicate).await;
    service.set("PROVIDERS__FILMS__IDEMPOTENCY_HEADER", "Idempotency-Key");
    service.start_with_templates().await;
    service.caller.make("film", &film_of("a cat")).await;
    service.caller.until_completed("film").await;
    let world = replicate.world();
    assert_eq!((world.predictions.len(), world.arrivals.len(), world.asked), (1, 4, 0));
    for again in &world.arrivals[1..] {
        assert_eq!((&again.head, &again.body), (&world.arrivals[0].head, &world.arrivals[0].body));
    }
    assert!(world.arrivals[0].head.contains("idempotency-key: mixvideo-"), "{}", world.arrivals[0].head);
}
