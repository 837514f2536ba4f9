//! A template that changes under its work, through a kill.

use reqwest::Method;
use serde_json::json;

use super::service::{Service, film_of, longer_film, png};

#[tokio::test]
async fn a_task_ends_as_it_began_through_a_change_of_its_template_and_a_kill() {
    let mut service = Service::sqlite().await;
    service.define("film.toml", &longer_film());
    service.start_with_templates().await;
    let caller = service.caller.clone();
    caller.make("old", &film_of(&png())).await;
    service.hold("old").await;
    let change = json!({ "workflow": "noop", "settings": {}, "creditCost": 99 });
    let update = caller.request(Method::PUT, "/templates/update/photo-to-video").json(&change);
    caller.ask(update).await.unwrap().data();
    service.kill().await;

    service.start().await;
    caller.make("new", &film_of(&png())).await;
    // The same request again is still the same task.
    caller.make("old", &film_of(&png())).await;
    for id in ["new", "old"] {
        caller.until_completed(id).await;
    }
    assert_eq!(caller.steps("old").await, ["picture", "render", "store"]);
    assert_eq!(caller.steps("new").await, ["noop"]);
    caller.assert_playable("old").await;
    let (old, new) = (caller.actor("old").await, caller.actor("new").await);
    let request = |actor: &serde_json::Value| actor["state"]["request"].clone();
    assert_eq!((&request(&old)["template_revision"], &request(&new)["template_revision"]), (&json!(1), &json!(2)));
    assert_eq!(request(&old)["parameters"]["seconds"], 5, "the settings that it began with");
    assert!(request(&new)["parameters"].get("seconds").is_none());
    let kept = caller.get("/templates/revisions/photo-to-video").await;
    assert_eq!(kept.data()["total"], 2);
}
