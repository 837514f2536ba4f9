//! What mailboxes in Redis promise beyond: of several nodes, and of a Redis that forgets, refuses or is away.

use std::sync::Arc;
use std::time::{Duration, Instant};

use mixvideo::runtime::clock::{Clock, SystemClock};
use mixvideo::runtime::journal::DECIDE;
use mixvideo::runtime::mailbox::Ring;
use mixvideo::runtime::redis::{Address, Error, News, Redis, Unfit, cmd};

use super::{LIMIT, for_lane, held, ids, letters, now, of, rings};
use crate::redis_server::{Server, Watched, connect, prefix, single};

fn forgot(ring: &Ring) -> bool {
    *ring == Ring::Forgot
}

/// Waits until something holds.
async fn until(what: &str, mut holds: impl AsyncFnMut() -> bool) {
    let begun = Instant::now();
    while !holds().await {
        assert!(begun.elapsed() < LIMIT, "not in time: {what}");
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
}

#[tokio::test]
async fn bell_rings_for_what_another_node_posts() {
    let prefix = prefix();
    let (here, there) = (connect(&single(), &prefix).await, connect(&single(), &prefix).await);
    let (owner, other) = (of(&here, 9), of(&there, 9));
    owner.open(0, 1).await.unwrap();
    // The first ring says that it is heard from now on.
    rings(&*owner, 0, |ring| *ring == Ring::All).await;
    let begun = Instant::now();
    other.post(0, letters(&["a"])).await.unwrap();
    rings(&*owner, 0, |ring| for_lane(DECIDE)(ring)).await;
    assert!(begun.elapsed() < Duration::from_secs(4), "by the bell, not by the slow poll: {:?}", begun.elapsed());
    assert_eq!(ids(&*owner, 0, DECIDE, 9).await, ["a"]);
}

#[tokio::test]
async fn owner_that_was_taken_over_reads_nothing_settles_nothing_and_cannot_come_back() {
    let prefix = prefix();
    let (here, there) = (connect(&single(), &prefix).await, connect(&single(), &prefix).await);
    let (stale, owner) = (of(&here, 9), of(&there, 9));
    stale.open(0, 7).await.unwrap();
    owner.open(0, 8).await.unwrap();
    owner.post(0, letters(&["a"])).await.unwrap();
    assert_eq!(ids(&*stale, 0, DECIDE, 9).await, [""; 0]);
    assert!(stale.settle(0, vec!["a".into()]).await.is_err());
    stale.post(0, letters(&["b"])).await.unwrap();
    assert!(stale.open(0, 7).await.is_err(), "an owner of a later epoch has it");
    assert_eq!(ids(&*owner, 0, DECIDE, 9).await, ["a", "b"], "what it posts is posted");
    let rang = tokio::time::timeout(Duration::from_millis(700), stale.rang(0)).await;
    assert!(rang.is_err(), "it cannot empty the mailbox: {rang:?}");
    owner.settle(0, vec!["a".into(), "b".into()]).await.unwrap();
    assert_eq!(held(&*owner, 0).await, 0);
}

#[tokio::test]
async fn emptied_mailbox_is_noticed_by_posting_reading_and_settling() {
    for touch in 0..3 {
        let redis = connect(&single(), &prefix()).await;
        let mailbox = of(&redis, 9);
        mailbox.open(0, 1).await.unwrap();
        mailbox.post(0, letters(&["a"])).await.unwrap();
        assert_eq!(ids(&*mailbox, 0, DECIDE, 9).await, ["a"]);
        let keys: Vec<String> = redis.query(cmd("KEYS").arg(redis.key("*"))).await.unwrap();
        let _: i64 = redis.query(cmd("DEL").arg(keys)).await.unwrap();
        match touch {
            0 => drop(mailbox.post(0, letters(&["b"])).await.unwrap_err()),
            1 => assert_eq!(ids(&*mailbox, 0, DECIDE, 9).await, [""; 0]),
            _ => drop(mailbox.settle(0, vec!["a".into()]).await.unwrap_err()),
        }
        rings(&*mailbox, 0, forgot).await;
        mailbox.post(0, letters(&["a", "b"])).await.unwrap();
        assert_eq!(ids(&*mailbox, 0, DECIDE, 9).await, ["a", "b"], "it is read from its start");
    }
}

#[tokio::test]
async fn nothing_is_posted_where_nobody_reads() {
    let redis = connect(&single(), &prefix()).await;
    let mailbox = of(&redis, 9);
    assert!(mailbox.post(0, letters(&["a"])).await.is_err());
    let keys: Vec<String> = redis.query(cmd("KEYS").arg(redis.key("*"))).await.unwrap();
    assert_eq!(keys, [""; 0]);
}

#[tokio::test]
async fn restarted_server_is_noticed_within_seconds_and_its_mailboxes_are_filled_again() {
    let mut server = Server::start();
    let redis = connect(&server.url(), &prefix()).await;
    let mailbox = of(&redis, 9);
    mailbox.open(0, 1).await.unwrap();
    mailbox.post(0, letters(&["a"])).await.unwrap();
    server.kill();
    let begun = Instant::now();
    until("it is noticed", async || redis.standing().away.is_some()).await;
    println!("noticed after {:?}", begun.elapsed());
    assert!(begun.elapsed() < Duration::from_secs(3), "{:?}", begun.elapsed());
    let asked = Instant::now();
    assert!(matches!(redis.query::<String>(&cmd("PING")).await, Err(Error::Away(_))));
    assert!(asked.elapsed() < Duration::from_millis(500), "nobody waits for what is away");
    assert!(redis.standing().sentence(SystemClock.now()).contains("has been away"));
    server.launch();
    let begun = Instant::now();
    rings(&*mailbox, 0, forgot).await;
    println!("repaired after {:?}", begun.elapsed());
    assert!(redis.standing().away.is_none());
    assert_eq!(redis.standing().renewals, 1);
    // Its scripts are gone as well.
    mailbox.post(0, letters(&["a"])).await.unwrap();
    assert_eq!(ids(&*mailbox, 0, DECIDE, 9).await, ["a"]);
    mailbox.settle(0, vec!["a".into()]).await.unwrap();
}

#[tokio::test]
async fn lost_connections_of_a_server_that_lives_are_repaired_without_a_renewal() {
    let server = Server::start();
    let redis = connect(&server.url(), &prefix()).await;
    let mailbox = of(&redis, 9);
    mailbox.open(0, 1).await.unwrap();
    let mut news = redis.subscribe(&redis.key("news"));
    assert_eq!(news.next().await, News::Gap);
    server.told(&["CLIENT", "KILL", "TYPE", "pubsub"]);
    server.told(&["CLIENT", "KILL", "TYPE", "normal", "SKIPME", "yes"]);
    server.told(&["SCRIPT", "FLUSH"]);
    let again = tokio::time::timeout(LIMIT, news.next()).await.unwrap();
    assert_eq!(again, News::Gap, "what was published meanwhile is missing");
    until("news arrive", async || {
        let heard: Result<i64, _> = redis.query(cmd("PUBLISH").arg(redis.key("news")).arg("x")).await;
        heard.is_ok_and(|heard| heard == 1)
    })
    .await;
    assert_eq!(tokio::time::timeout(LIMIT, news.next()).await.unwrap(), News::Message("x".into()));
    until("it takes messages", async || mailbox.post(0, letters(&["a"])).await.is_ok()).await;
    assert_eq!(redis.standing().renewals, 0);
}

#[tokio::test]
async fn full_memory_keeps_new_messages_out_and_lets_those_inside_be_read_and_settled() {
    let server = Server::start();
    let redis = connect(&server.url(), &prefix()).await;
    let mailbox = of(&redis, 9);
    mailbox.open(0, 1).await.unwrap();
    let soon = super::due("soon", DECIDE, now().plus_ms(200));
    mailbox.post(0, vec![super::letter("a"), soon]).await.unwrap();
    server.told(&["CONFIG", "SET", "maxmemory", "1"]);
    let refused = mailbox.post(0, letters(&["b"])).await.unwrap_err();
    assert!(refused.source.to_string().contains("takes no writes"), "{}", refused.source);
    assert_eq!(ids(&*mailbox, 0, DECIDE, 9).await, ["a"]);
    tokio::time::sleep(Duration::from_millis(250)).await;
    assert_eq!(ids(&*mailbox, 0, DECIDE, 9).await, [""; 0], "it cannot be taken in, and does no harm");
    mailbox.settle(0, vec!["a".into()]).await.unwrap();
    mailbox.open(1, 1).await.unwrap();
    server.told(&["CONFIG", "SET", "maxmemory", "0"]);
    rings(&*mailbox, 0, for_lane(DECIDE)).await;
    assert_eq!(ids(&*mailbox, 0, DECIDE, 9).await, ["soon"]);
    mailbox.post(0, letters(&["b"])).await.unwrap();
    assert_eq!(ids(&*mailbox, 0, DECIDE, 9).await, ["b"]);
}

#[tokio::test]
async fn failover_by_sentinel_is_noticed_and_the_mailboxes_are_filled_again() {
    let mut watched = Watched::start();
    let redis = connect(&watched.url(), &prefix()).await;
    let mailbox = of(&redis, 9);
    mailbox.open(0, 1).await.unwrap();
    watched.master.kill();
    let begun = Instant::now();
    rings(&*mailbox, 0, forgot).await;
    println!("failed over after {:?}", begun.elapsed());
    mailbox.post(0, letters(&["a"])).await.unwrap();
    assert_eq!(ids(&*mailbox, 0, DECIDE, 9).await, ["a"]);
    assert!(redis.standing().servers[0].address.contains(&watched.replica.port.to_string()));
}

#[tokio::test]
async fn encrypted_address_of_a_server_that_does_not_encrypt_is_away_with_a_reason() {
    let address = Address::parse(&single().replace("redis://", "rediss://")).unwrap();
    let redis = Redis::start(address, prefix(), Arc::new(SystemClock)).unwrap();
    until("a reason is given", async || {
        let error = redis.standing().away.map_or_else(String::new, |away| away.error);
        assert!(!error.contains("thread"), "{error}");
        error.contains("Redis")
    })
    .await;
    println!("{}", redis.standing().sentence(SystemClock.now()));
}

#[tokio::test]
async fn redis_that_may_evict_or_keeps_nothing_is_unfit_and_says_what_to_set() {
    let server = Server::with(&["--save", "", "--maxmemory", "100mb", "--maxmemory-policy", "allkeys-lru"]);
    let redis = connect(&server.url(), &prefix()).await;
    let fitness = redis.fitness().await.unwrap();
    assert!(matches!(&fitness.faults[..], [Unfit::Evicts { .. }, Unfit::KeepsNothing { .. }]), "{fitness:?}");
    assert!(fitness.faults[0].to_string().contains("maxmemory-policy noeviction"), "{}", fitness.faults[0]);
    assert!(fitness.faults[1].to_string().contains("appendonly yes"), "{}", fitness.faults[1]);
    server.told(&["CONFIG", "SET", "maxmemory-policy", "noeviction"]);
    server.told(&["CONFIG", "SET", "save", "60 1"]);
    assert_eq!(redis.fitness().await.unwrap(), Default::default(), "snapshots are enough");
    server.told(&["CONFIG", "SET", "save", ""]);
    server.told(&["CONFIG", "SET", "appendonly", "yes"]);
    assert_eq!(redis.fitness().await.unwrap(), Default::default());
}

#[tokio::test]
async fn redis_that_does_not_say_who_it_is_counts_as_restarted_after_each_loss() {
    let mut server =
        Server::with(&["--save", "", "--rename-command", "INFO", "", "--rename-command", "CONFIG", "hidden"]);
    let redis = connect(&server.url(), &prefix()).await;
    let fitness = redis.fitness().await.unwrap();
    assert_eq!((fitness.faults.len(), fitness.warnings.len()), (0, 2), "{fitness:?}");
    assert!(redis.standing().warnings[0].contains("INFO"), "{:?}", redis.standing());
    let mailbox = of(&redis, 9);
    mailbox.open(0, 1).await.unwrap();
    server.kill();
    server.launch();
    rings(&*mailbox, 0, forgot).await;
}
