//! A message that no machine can read, met at the start.

use mixvideo::domain::Address;
use mixvideo::runtime::journal::partition_of;
use reqwest::Method;
use sea_orm::ConnectionTrait;
use serde_json::Value;

use super::records::count;
use super::service::{Service, film, film_of, noop, png, until};

/// As configured by default.
const PARTITIONS: u32 = 16;
const POISON: &str = "task/broken:1:0";

/// A film whose render never ends in time, and then rests for longer than any test.
fn resting_film() -> String {
    let rest = "timeout = \"100ms\"\nretry = { attempts = 2, first_delay = \"10m\", max_delay = \"10m\", factor = 1 }";
    film(30, 60, 1280, 720).replace("timeout = \"2m\"", rest)
}

async fn put_poison(service: &Service, task: &str) {
    let target = Address::new("task", task);
    let partition = partition_of(&target, PARTITIONS);
    let sql = format!(
        "INSERT INTO outbox (id, target, partition, lane, due, body, deaths, parked, created_at) \
         VALUES ('{POISON}', '{target}', {partition}, 'decide', 0, '{{\"step_reported\": broken', 0, 0, 0)"
    );
    service.database().await.execute_unprepared(&sql).await.unwrap();
}

#[tokio::test]
async fn a_message_that_nobody_can_read_waits_for_a_person_and_everything_else_goes_on() {
    let mut service = Service::sqlite().await;
    service.define("film.toml", &resting_film());
    service.start_with_templates().await;
    let caller = service.caller.clone();
    caller.make("victim", &film_of(&png())).await;
    until("the film rests", async || caller.actor("victim").await.to_string().contains("\"resting\"")).await;
    service.kill().await;
    put_poison(&service, "victim").await;

    service.start().await;
    caller.until_task("victim", |task| task["attention"] == true).await;
    for number in 0..20 {
        caller.make(&format!("neighbour_{number}"), &noop()).await;
    }
    for number in 0..20 {
        caller.until_completed(&format!("neighbour_{number}")).await;
    }
    let json = async |arguments: &[&str]| -> Value { serde_json::from_str(&service.told(arguments).await).unwrap() };
    let dead = json(&["dead", "list", "--json"]).await;
    assert_eq!((&dead["total"], &dead["dead"][0]["id"]), (&1.into(), &POISON.into()), "{dead}");
    assert_eq!(dead["dead"][0]["to"], "task/victim", "{dead}");
    let reason = dead["dead"][0]["reason"].as_str().unwrap();
    assert!(reason.len() > 10, "{reason}");
    assert_eq!(json(&["dead", "show", POISON]).await["body"], "{\"step_reported\": broken");
    until("health says so", async || caller.get("/health").await.data()["status"] == "attention").await;

    // Put back, it is met again and set aside again, under the same id.
    let died_at = dead["dead"][0]["diedAt"].clone();
    assert!(service.told(&["dead", "replay", POISON]).await.contains("goes on"));
    until("it is set aside again", async || {
        let dead = caller.get("/ops/dead").await.data()["dead"].clone();
        dead[0]["id"] == POISON && dead[0]["diedAt"] != died_at
    })
    .await;
    assert!(service.told(&["dead", "drop", POISON]).await.contains("is forgotten"));
    caller.until_task("victim", |task| task["attention"] != true).await;

    // The victim itself was never harmed.
    assert_eq!(caller.task("victim").await["status"], "running");
    caller.ask(caller.request(Method::POST, "/task/victim/cancel")).await.unwrap().data();
    let database = service.database().await;
    until("nothing is outstanding", async || count(&database, "SELECT COUNT(*) FROM outbox").await == 0).await;
    assert_eq!(count(&database, "SELECT COUNT(*) FROM dead").await, 0);
    assert_eq!(count(&database, "SELECT COUNT(*) FROM tasks WHERE status = 'completed'").await, 20);
}
