//! The same promises of every mailbox.

use std::collections::HashMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use mixvideo::runtime::clock::SystemClock;
use mixvideo::runtime::journal::DECIDE;
use mixvideo::runtime::mailbox::{Mailbox, Memory};

use super::{due, for_lane, held, ids, letter, letters, now, of, rings};
use crate::redis_server::{self, Watched};

/// Messages of the many producers.
const MANY: usize = 600;

/// Plays everything on a mailbox with room for 300 messages of a lane.
async fn play(mailbox: Arc<dyn Mailbox>) {
    for partition in 0..4 {
        mailbox.open(partition, 1).await.unwrap();
    }
    is_read_once(&*mailbox).await;
    is_read_when_due(&*mailbox).await;
    has_room(&*mailbox).await;
    starts_anew(&*mailbox).await;
    loses_nothing(mailbox).await;
}

async fn is_read_once(mailbox: &dyn Mailbox) {
    mailbox.post(0, vec![letter("a"), letter("a"), due("r", "render", now()), letter("b")]).await.unwrap();
    rings(mailbox, 0, for_lane("render")).await;
    let read = mailbox.read(0, DECIDE, 1, now()).await.unwrap();
    assert_eq!(read, [letter("a")], "as it was posted, alone, and the first first");
    assert_eq!(ids(mailbox, 0, "render", 9).await, ["r"], "lanes are apart");
    mailbox.post(0, letters(&["a", "b", "c"])).await.unwrap();
    assert_eq!(ids(mailbox, 0, DECIDE, 9).await, ["b", "c"], "what is present is not posted again");
    mailbox.settle(0, vec!["a".into(), "c".into(), "never".into()]).await.unwrap();
    assert_eq!(held(mailbox, 0).await, 2);
    mailbox.post(0, letters(&["a"])).await.unwrap();
    assert_eq!(ids(mailbox, 0, DECIDE, 9).await, ["a"], "what was settled may come again");
    mailbox.post(0, letters(&["d", "e"])).await.unwrap();
    mailbox.settle(0, vec!["d".into()]).await.unwrap();
    assert_eq!(ids(mailbox, 0, DECIDE, 9).await, ["e"], "what is settled unread is not read");
    assert_eq!(ids(mailbox, 0, "unknown", 9).await, [""; 0]);
    assert_eq!(ids(mailbox, 1, DECIDE, 9).await, [""; 0], "partitions are apart");
    mailbox.settle(0, ["a", "b", "e", "r"].map(Into::into).to_vec()).await.unwrap();
    assert_eq!(held(mailbox, 0).await, 0);
}

async fn is_read_when_due(mailbox: &dyn Mailbox) {
    let soon = now().plus_ms(400);
    mailbox.post(1, vec![due("late", "render", soon.plus_ms(3_600_000)), due("soon", "render", soon)]).await.unwrap();
    mailbox.post(1, vec![due("never", "render", soon)]).await.unwrap();
    mailbox.settle(1, vec!["never".into()]).await.unwrap();
    rings(mailbox, 1, for_lane("render")).await;
    let early = ids(mailbox, 1, "render", 9).await;
    assert!(early.is_empty() || now() >= soon, "{early:?}");
    let mut read = early;
    while read.is_empty() {
        rings(mailbox, 1, for_lane("render")).await;
        read = ids(mailbox, 1, "render", 9).await;
    }
    assert!(now() >= soon);
    assert_eq!(read, ["soon"]);
    mailbox.post(1, vec![due("soon", "render", soon)]).await.unwrap();
    assert_eq!(ids(mailbox, 1, "render", 9).await, [""; 0], "it is present after it became due, too");
    mailbox.settle(1, vec!["soon".into(), "late".into()]).await.unwrap();
    assert_eq!(held(mailbox, 1).await, 0);
}

async fn has_room(mailbox: &dyn Mailbox) {
    let names: Vec<String> = (0..310).map(|n| n.to_string()).collect();
    let all: Vec<&str> = names.iter().map(String::as_str).collect();
    let later = now().plus_ms(3_600_000);
    mailbox.post(2, vec![due("timer", DECIDE, later)]).await.unwrap();
    let full = mailbox.post(2, letters(&all)).await.unwrap();
    assert_eq!(full, [Arc::<str>::from(DECIDE)]);
    assert_eq!(held(mailbox, 2).await, 301, "timers have room of their own");
    assert_eq!(mailbox.post(2, vec![due("other", "render", now())]).await.unwrap().len(), 0, "so has each lane");
    assert_eq!(ids(mailbox, 2, DECIDE, 400).await, all[..300]);
    assert_eq!(
        mailbox.post(2, letters(&["300"])).await.unwrap(),
        [Arc::<str>::from(DECIDE)],
        "what was read takes room"
    );
    mailbox.settle(2, all[..10].iter().map(|id| (*id).into()).collect()).await.unwrap();
    assert_eq!(mailbox.post(2, letters(&all[300..])).await.unwrap().len(), 0);
    assert_eq!(ids(mailbox, 2, DECIDE, 400).await, all[300..]);
}

async fn starts_anew(mailbox: &dyn Mailbox) {
    mailbox.open(2, 2).await.unwrap();
    assert_eq!(held(mailbox, 2).await, 0);
    mailbox.post(2, letters(&["1"])).await.unwrap();
    assert_eq!(ids(mailbox, 2, DECIDE, 9).await, ["1"], "a new owner reads from the start");
}

/// Many post, some twice, while the owner is replaced every now and then; as the core does, each owner posts again what is
/// outstanding.
async fn loses_nothing(mailbox: Arc<dyn Mailbox>) {
    mailbox.open(3, 1).await.unwrap();
    let posted = Arc::new(AtomicUsize::new(0));
    let name = |n: usize| format!("m{n}");
    for producer in 0..4 {
        let (mailbox, posted) = (mailbox.clone(), posted.clone());
        tokio::spawn(async move {
            for n in (0..MANY).filter(|n| n % 4 == producer) {
                let ids = [name(n), name(n), name(n.saturating_sub(4))];
                let envelopes = ids.iter().map(|id| letter(id)).collect();
                mailbox.post(3, envelopes).await.unwrap();
                posted.fetch_add(1, Ordering::SeqCst);
            }
        });
    }
    let mut seen: HashMap<String, usize> = HashMap::new();
    let mut epoch = 1;
    while seen.len() < MANY {
        if seen.len() / 150 >= epoch {
            epoch += 1;
            mailbox.open(3, epoch as u64).await.unwrap();
            let missing: Vec<String> = (0..MANY).map(name).filter(|id| !seen.contains_key(id)).collect();
            mailbox.post(3, missing.iter().take(300).map(|id| letter(id)).collect()).await.unwrap();
        }
        let read = ids(&*mailbox, 3, DECIDE, 16).await;
        for id in &read {
            *seen.entry(id.clone()).or_default() += 1;
        }
        if read.is_empty() {
            let missing: Vec<String> = (0..MANY).map(name).filter(|id| !seen.contains_key(id)).collect();
            mailbox.post(3, missing.iter().take(300).map(|id| letter(id)).collect()).await.unwrap();
        } else {
            mailbox.settle(3, read.iter().map(|id| id.as_str().into()).collect()).await.unwrap();
        }
    }
    let again: usize = seen.values().map(|times| times - 1).sum();
    println!("{again} of {MANY} were read more than once, {epoch} owners");
    assert!(epoch >= 4, "the owner was replaced");
    assert!(again <= 2 * MANY, "{again}: a message comes again only when it was posted again");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn memory_keeps_the_promises_of_a_mailbox() {
    play(Arc::new(Memory::with_room(4, Arc::new(SystemClock), 300))).await;
}

async fn play_on(url: &str) {
    let redis = redis_server::connect(url, &redis_server::prefix()).await;
    play(of(&redis, 300)).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn redis_keeps_the_promises_of_a_mailbox() {
    play_on(&redis_server::single()).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn cluster_keeps_the_promises_of_a_mailbox() {
    play_on(&redis_server::cluster()).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn redis_behind_sentinel_keeps_the_promises_of_a_mailbox() {
    let watched = Watched::start();
    play_on(&watched.url()).await;
}
