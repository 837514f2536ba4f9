//! PostgreSQL goes away while the service stays up.

use std::sync::atomic::Ordering;

use reqwest::Method;
use tokio::task::block_in_place;

use super::kills::{Crowd, assert_films_play};
use super::records::assert_each_happened_once;
use super::service::{SMALL_FILM, Service, until};
use crate::postgres::Server;

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_database_that_crashes_twice_is_told_in_words_and_nothing_accepted_is_lost() {
    let postgres = block_in_place(Server::start);
    let mut service = Service::postgres(postgres.database().await).await;
    service.set("DATABASE__PATIENCE_SECONDS", 1);
    service.define("film.toml", SMALL_FILM);
    service.start_with_templates().await;
    let pid = service.pid();
    let crowd = Crowd::new(service.caller.clone());
    let accepted = crowd.set_to_work();
    let caller = service.caller.clone();
    let health = async || caller.get("/health").await.data().clone();
    for _ in 0..2 {
        until("work is under way", async || health().await["commits"]["commits"].as_u64() > Some(5)).await;
        let put_off = crowd.put_off.load(Ordering::Relaxed);
        block_in_place(|| postgres.crash());
        until("the service says that the database is away", async || {
            let health = health().await;
            let summary = health["summary"].as_str().unwrap();
            health["status"] == "down"
                && summary.starts_with("The database ")
                && summary.contains("nothing accepted is lost")
        })
        .await;
        until("clients are asked to come back", async || crowd.put_off.load(Ordering::Relaxed) > put_off).await;
        let ready = caller.ask(caller.request(Method::GET, "/health/ready")).await.unwrap();
        assert_eq!(ready.status, 503, "{}", ready.body);
        assert_eq!(caller.get("/health/live").await.status, 200);
        block_in_place(|| postgres.launch());
        until("the service has recovered by itself", async || {
            let ready = caller.ask(caller.request(Method::GET, "/health/ready")).await.unwrap();
            ready.status == 200 && health().await["status"] == "ok"
        })
        .await;
    }
    crowd.call_home();

    let accepted = accepted.await.unwrap();
    assert_each_happened_once(&service, &accepted).await;
    assert_films_play(&service, &accepted).await;
    assert_eq!(service.pid(), pid, "the service did not stay up");
    assert_eq!(service.terminate().await, Some(0));
}
