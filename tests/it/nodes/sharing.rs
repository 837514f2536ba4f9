//! What a node tells of tasks that another one runs, and limits that hold over both.

use std::collections::BTreeSet;
use std::time::{Duration, Instant};

use futures_util::StreamExt as _;
use reqwest::Method;

use super::{Cluster, id_in, owned_by};
use crate::crash::service::{Caller, LIMIT, Service, film_of, is_alive, longer_film, png, until};

/// Three at a time, wherever they run.
const LIMITED: usize = 3;
/// So many that both nodes have some to wait for all the time.
const FILMS: usize = 16;

/// The ids of the events of a stream, until it ends.
async fn events(caller: &Caller, id: &str, last: Option<&str>) -> Vec<String> {
    let mut request = caller.request(Method::GET, &format!("/task/{id}/events"));
    if let Some(last) = last {
        request = request.header("last-event-id", last);
    }
    let mut pieces = request.send().await.unwrap().bytes_stream();
    let mut text = String::new();
    let all = async {
        while let Some(piece) = pieces.next().await {
            text.push_str(std::str::from_utf8(&piece.unwrap()).unwrap());
        }
    };
    tokio::time::timeout(LIMIT, all).await.expect("the stream ends");
    text.lines().filter_map(|line| line.strip_prefix("id: ")).map(str::to_owned).collect()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_wait_and_a_stream_on_another_node_hear_of_a_task() {
    let define = |node: &mut Service| node.define("film.toml", &longer_film());
    let cluster = Cluster::start(2, define).await;
    let [owner, other] = [0, 1].map(|at| cluster.nodes[at].caller.clone());
    let id = id_in(&owned_by(&owner).await, "film", 0);
    owner.make(&id, &film_of(&png())).await;
    let begun = Instant::now();
    let wait = format!("/task/{id}?wait=30");
    let (waited, seen) = tokio::join!(other.get(&wait), events(&other, &id, None));
    assert_ne!(waited.data()["status"], "pending", "it heard of a change after {:?}", begun.elapsed());
    let versions: BTreeSet<&str> =
        seen.iter().filter_map(|id| id.split_once('-')).map(|(version, _)| version).collect();
    assert!(seen.len() > versions.len(), "progress between two decisions is seen: {seen:?}");
    assert!(seen.last().unwrap().ends_with("-100"), "{seen:?}");
    // Whoever comes back hears what is new, and the end only once.
    let resumed = events(&other, &id, seen.first().map(String::as_str)).await;
    assert_eq!(resumed, seen[seen.len() - 1..]);
    assert_eq!(events(&owner, &id, seen.last().map(String::as_str)).await, [""; 0]);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_limit_holds_over_two_processes_and_both_work() {
    // Every step has the one key, so that every worker process holds a permit.
    let permit = format!("concurrency = {{ key = \"camera\", limit = {LIMITED} }}\ntimeout");
    // Long enough that whoever may work meets the others at work.
    let limited = longer_film().replace("timeout", &permit);
    let cluster = Cluster::start(2, |node| {
        node.set("LANES__MEDIA", 4);
        node.define("film.toml", &limited);
    })
    .await;
    let ids: Vec<String> = (0..FILMS).map(|number| format!("film_{number}")).collect();
    for (number, id) in ids.iter().enumerate() {
        cluster.nodes[number % 2].caller.make(id, &film_of(&png())).await;
    }
    let (mut worked, mut most) = ([false; 2], 0);
    let begun = Instant::now();
    let is_done = async || {
        let mut done = true;
        for id in &ids {
            done = done && cluster.nodes[0].caller.task(id).await["status"] == "completed";
        }
        done
    };
    let mut looks = 0_u32;
    loop {
        let here = cluster.nodes[0].workers();
        let there = cluster.nodes[1].workers();
        worked = [worked[0] || !here.is_empty(), worked[1] || !there.is_empty()];
        // Those that were alive when the others were looked at.
        let at_once = here.into_iter().filter(|worker| is_alive(*worker)).count() + there.len();
        assert!(at_once <= LIMITED, "{at_once} work at once");
        most = most.max(at_once);
        looks += 1;
        if looks.is_multiple_of(50) && is_done().await {
            break;
        }
        assert!(begun.elapsed() < LIMIT, "the films are not done");
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
    assert_eq!((worked, most), ([true; 2], LIMITED));
    until("nobody holds a permit any more", async || {
        let health = cluster.nodes[1].caller.get("/health").await;
        let everywhere = &health.data()["permits"]["everywhere"];
        everywhere["nodes"] == 2 && everywhere["running"] == 0 && everywhere["waiting"] == 0
    })
    .await;
}
