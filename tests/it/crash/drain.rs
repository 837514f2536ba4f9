//! SIGTERM with work in hand.

use std::collections::BTreeMap;
use std::time::{Duration, Instant};

use futures_util::future::join_all;
use reqwest::Method;

use super::records::{FILM_ROWS, NOOP_ROWS, assert_each_happened_once};
use super::service::{Caller, LIMIT, Service, film_of, is_alive, longer_film, noop, png, until};

/// How long the server may take to end, in seconds, and how much longer it may look on a busy machine.
const DRAIN_S: u64 = 2;
const MARGIN: Duration = Duration::from_secs(5);

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_server_that_is_asked_to_end_answers_everyone_and_the_next_one_goes_on() {
    let mut service = Service::sqlite().await;
    service.set("SERVER__DRAIN_SECONDS", DRAIN_S);
    service.define("film.toml", &longer_film());
    service.start_with_templates().await;
    let caller = service.caller.clone();
    let mut accepted = BTreeMap::from([("film".to_owned(), FILM_ROWS)]);
    caller.make("film", &film_of(&png())).await;
    let worker = service.hold("film").await;

    let wait = {
        let caller = caller.clone();
        tokio::spawn(async move { caller.ask(caller.request(Method::GET, "/task/film?wait=30")).await })
    };
    until("somebody waits", async || caller.get("/health").await.data()["watched"].as_u64() > Some(0)).await;
    let stream = caller.request(Method::GET, "/task/film/events").send().await.unwrap();
    let posts = (0..4).map(|client| {
        let caller = caller.clone();
        tokio::spawn(async move { post_until_refused(&caller, client).await })
    });
    let posts: Vec<_> = posts.collect();
    until("tasks come in", async || {
        caller.ask(caller.request(Method::GET, "/task/post_0_5")).await.unwrap().status == 200
    })
    .await;

    let asked = Instant::now();
    service.signal_the_end();
    let answer = wait.await.unwrap().expect("a call that waits was cut off");
    assert!(matches!(answer.status.as_u16(), 200 | 503), "{}", answer.body);
    let told = stream.text().await.expect("a stream was cut off");
    assert!(told.contains("event: progress"), "{told}");
    let posted: Vec<Posted> = join_all(posts).await.into_iter().map(Result::unwrap).collect();
    assert_eq!(service.ended().await, Some(0));
    let limit = Duration::from_secs(DRAIN_S) + MARGIN;
    assert!(asked.elapsed() < limit, "it took {:?} to end", asked.elapsed());
    until("the worker has ended", async || !is_alive(worker)).await;

    service.start().await;
    for Posted { accepted: answered, unknown } in posted {
        // Whoever heard nothing asks again, and it still happens once.
        if let Some(id) = &unknown {
            caller.make(id, &noop()).await;
        }
        accepted.extend(answered.into_iter().chain(unknown).map(|id| (id, NOOP_ROWS)));
    }
    assert_each_happened_once(&service, &accepted).await;
    service.caller.assert_playable("film").await;
}

/// What became of the tasks that a client asked for.
#[derive(Default)]
struct Posted {
    accepted: Vec<String>,
    /// The connection was taken by the system and by nobody else before the server ended.
    unknown: Option<String>,
}

/// Asks for tasks until the server takes no more.
async fn post_until_refused(caller: &Caller, client: u32) -> Posted {
    let begun = Instant::now();
    let mut posted = Posted::default();
    for turn in 0.. {
        assert!(begun.elapsed() < LIMIT, "the server never ended");
        let id = format!("post_{client}_{turn}");
        match caller.ask(caller.request(Method::POST, &format!("/task/{id}")).json(&noop())).await {
            Ok(answer) if answer.status.is_success() => posted.accepted.push(id),
            Ok(answer) => assert_eq!(answer.status, 503, "{}", answer.body),
            // Nobody listens any more.
            Err(error) if error.is_connect() => break,
            Err(_) => {
                posted.unknown = Some(id);
                break;
            }
        }
    }
    posted
}

#[tokio::test]
async fn a_server_with_nothing_in_hand_ends_at_once() {
    let mut service = Service::sqlite().await;
    service.start_with_templates().await;
    service.caller.make("done", &noop()).await;
    service.caller.until_completed("done").await;
    let asked = Instant::now();
    assert_eq!(service.terminate().await, Some(0));
    // The limit is 20 s.
    assert!(asked.elapsed() < Duration::from_secs(10), "it took {:?} to end", asked.elapsed());
}
