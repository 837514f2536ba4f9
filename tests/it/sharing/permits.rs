//! A key's limit over several nodes, with a real Redis that is emptied, killed, and compared with the ledger.

use std::sync::Arc;
use std::time::{Duration, Instant};

use mixvideo::domain::{Permit, Timestamp, Turn};
use mixvideo::runtime::redis::cmd;
use mixvideo::runtime::room::{Ledger, Permits, Place, RedisPermits, Room, Saying, Sharing, Statement, Terms, Totals};
use proptest::prelude::*;
use proptest::strategy::ValueTree;
use proptest::test_runner::TestRunner;
use tokio::time::timeout;
use uuid::Uuid;

use super::{LIMIT, until};
use crate::redis_server::{self, Server};

const LANE: &str = "media";

fn terms() -> Terms {
    Terms { lease: Duration::from_millis(1_500) }
}

struct Node {
    room: Room,
    sharing: Sharing,
}

async fn node(url: &str, prefix: &str) -> Node {
    let permits = RedisPermits::new(redis_server::connect(url, prefix).await, terms());
    let room = Room::new([(LANE.into(), 100)]);
    let sharing = Sharing::start(&room, Arc::new(permits), Uuid::new_v4(), terms());
    Node { room, sharing }
}

impl Node {
    fn ask(&self, limit: u32) -> Place {
        let turn = Turn { permit: Some(Permit { key: "k".into(), limit }), ..Turn::default() };
        self.room.ask("media.turns", Some(&serde_json::to_string(&turn).unwrap())).unwrap()
    }

    fn inside<'a>(&self, places: &'a [Place]) -> Vec<&'a Place> {
        places.iter().filter(|place| self.room.is_inside(place.guest())).collect()
    }
}

/// 40 activities of one key on two nodes, with something done to Redis in the middle: never more than the limit at once.
async fn crowd(server: &mut Server, mut harm: impl FnMut(&mut Server)) {
    let (url, prefix) = (server.url(), redis_server::prefix());
    let nodes = [node(&url, &prefix).await, node(&url, &prefix).await];
    let mut places = nodes.each_ref().map(|node| (0..20).map(|_| node.ask(3)).collect::<Vec<Place>>());
    let mut served = [0, 0];
    let begun = Instant::now();
    while served != [20, 20] {
        assert!(begun.elapsed() < LIMIT, "only {served:?} were served");
        let inside = |places: &[Vec<Place>; 2]| [0, 1].map(|at| nodes[at].inside(&places[at]).len());
        assert!(inside(&places).iter().sum::<usize>() <= 3, "{:?}", inside(&places));
        for at in [0, 1] {
            if let Some(done) = places[at].iter().position(|place| nodes[at].room.is_inside(place.guest())) {
                drop(places[at].remove(done));
                served[at] += 1;
                if served == [5, 5] || served == [5, 6] || served == [6, 5] {
                    harm(server);
                }
            }
        }
        tokio::time::sleep(Duration::from_millis(2)).await;
    }
}

#[tokio::test]
async fn a_limit_holds_over_two_nodes() {
    crowd(&mut Server::start(), |_| {}).await;
}

#[tokio::test]
async fn a_limit_holds_while_redis_is_emptied() {
    let harm = |server: &mut Server| assert_eq!(server.told(&["FLUSHALL"]), "OK");
    crowd(&mut Server::start(), harm).await;
}

#[tokio::test]
async fn a_limit_holds_while_redis_is_killed_and_started_again_without_its_last_second() {
    let harm = |server: &mut Server| {
        server.kill();
        server.launch();
    };
    crowd(&mut Server::with(&["--save", "", "--appendonly", "yes", "--appendfsync", "everysec"]), harm).await;
}

#[tokio::test]
async fn what_one_node_gives_back_another_gets_at_once_and_the_health_of_all_is_known() {
    let server = Server::start();
    let prefix = redis_server::prefix();
    let (here, there) = (node(&server.url(), &prefix).await, node(&server.url(), &prefix).await);
    let mut first = here.ask(1);
    timeout(LIMIT, first.entered()).await.unwrap();
    let mut fastest = LIMIT;
    for _ in 0..5 {
        for (holder, next) in [(&here, &there), (&there, &here)] {
            let mut second = next.ask(1);
            until("everybody knows that it waits", async || {
                let everywhere = holder.sharing.standing().await.everywhere.unwrap();
                (everywhere.nodes, everywhere.totals) == (2, Totals { running: 1, waiting: 1 })
            })
            .await;
            let begun = Instant::now();
            drop(first);
            timeout(LIMIT, second.entered()).await.unwrap();
            fastest = fastest.min(begun.elapsed());
            first = second;
        }
    }
    println!("the fastest handing over took {fastest:?}");
    assert!(fastest < terms().renewal() / 2, "it rang: {fastest:?}");
}

#[test]
fn the_permits_of_a_dead_process_are_free_after_the_lease_and_not_before() {
    let server = Server::start();
    let (url, prefix) = (server.url(), redis_server::prefix());
    let process = tokio::runtime::Runtime::new().unwrap();
    let (_dead, held) = process.block_on(async {
        let dead = node(&url, &prefix).await;
        let mut first = dead.ask(1);
        timeout(LIMIT, first.entered()).await.unwrap();
        (dead, first)
    });
    process.shutdown_background();
    let died = Instant::now();
    tokio::runtime::Runtime::new().unwrap().block_on(async {
        let alive = node(&url, &prefix).await;
        let mut second = alive.ask(1);
        timeout(LIMIT, second.entered()).await.unwrap();
        let least = terms().lease - terms().renewal() * 2;
        assert!(died.elapsed() >= least, "after {:?}", died.elapsed());
    });
    drop(held);
}

#[tokio::test]
async fn the_script_decides_as_the_ledger_does() {
    let server = Server::start();
    let terms = Terms { lease: Duration::from_secs(3_600) };
    let lease_ms = 3_600_000;
    let redis = redis_server::connect(&server.url(), "t").await;
    let run = server.told(&["INFO", "server"]);
    let run = run.lines().find_map(|line| line.strip_prefix("run_id:")).unwrap().trim().to_owned();
    let nodes: Vec<RedisPermits> = (0..3).map(|_| RedisPermits::new(redis.clone(), terms)).collect();
    let mut runner = TestRunner::deterministic();
    let statement = (0..3_usize, 0..2_u8, 1..6_u32, 0..8_u32, any::<bool>());
    let histories = proptest::collection::vec(statement, 1..60);
    for _ in 0..30 {
        assert_eq!(server.told(&["FLUSHALL"]), "OK");
        // It has known everything for long.
        redis.query::<()>(cmd("SET").arg(redis.key("{permits}:since")).arg(format!("{run} 0"))).await.unwrap();
        let mut ledger = Ledger::new(lease_ms);
        ledger.exchange(Timestamp(-2 * lease_ms), &saying(0, 1, Vec::new()));
        let mut held = [[0_u32; 2]; 3];
        let mut numbers = [1_u64; 3];
        let history = histories.new_tree(&mut runner).unwrap().current();
        for (node, key, limit, more, late) in history {
            let mine = &mut held[node][usize::from(key)];
            let keeps = (*mine).min(more);
            let statement = Statement { key: format!("k{key}").into(), limit, held: keeps, wanted: more };
            numbers[node] += u64::from(!late);
            let saying = saying(node, numbers[node], vec![statement]);
            let (expected, _) = ledger.exchange(Timestamp(0), &saying);
            let answered = nodes[node].exchange(saying).await.unwrap();
            assert_eq!(answered, expected);
            if let Some(grant) = answered.first() {
                *mine = grant.held;
            }
        }
    }
}

fn saying(node: usize, number: u64, statements: Vec<Statement>) -> Saying {
    Saying { node: Uuid::from_u128(node as u128 + 1), number, totals: Totals::default(), statements }
}
