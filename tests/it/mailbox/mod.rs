//! What every mailbox promises, on each of them: in memory, in Redis, in a Cluster, and behind Sentinel; and what those in
//! Redis promise beyond.

mod forgetting;
mod suite;

use std::sync::Arc;
use std::time::Duration;

use mixvideo::domain::{Address, Timestamp};
use mixvideo::runtime::clock::{Clock, SystemClock};
use mixvideo::runtime::journal::{DECIDE, Envelope};
use mixvideo::runtime::mailbox::{self, Mailbox, Ring};
use mixvideo::runtime::redis::Redis;

/// How long anything may take on a busy machine.
const LIMIT: Duration = Duration::from_secs(30);

fn now() -> Timestamp {
    SystemClock.now()
}

fn due(id: &str, lane: &str, at: Timestamp) -> Envelope {
    Envelope {
        id: id.into(),
        to: Address::new("clerk", "1"),
        lane: lane.into(),
        due: at,
        body: format!("{{\"say\":\"{id}\"}}").into(),
        schema: 3,
        deaths: 1,
        turn: Some("{\"group\":\"a\"}".into()),
        recovered: true,
    }
}

fn letter(id: &str) -> Envelope {
    due(id, DECIDE, Timestamp(1))
}

fn letters(ids: &[&str]) -> Vec<Envelope> {
    ids.iter().map(|id| letter(id)).collect()
}

/// A node's mailboxes in Redis.
fn of(redis: &Redis, room: usize) -> Arc<dyn Mailbox> {
    Arc::new(mailbox::Redis::with_room(redis.clone(), 4, Arc::new(SystemClock), room))
}

async fn ids(mailbox: &dyn Mailbox, partition: u32, lane: &str, max: usize) -> Vec<String> {
    let read = mailbox.read(partition, lane, max, now()).await.unwrap();
    read.into_iter().map(|envelope| envelope.id.as_str().to_owned()).collect()
}

/// Waits for a ring as wanted, and passes over others.
async fn rings(mailbox: &dyn Mailbox, partition: u32, wanted: impl Fn(&Ring) -> bool) {
    let rung = async { while !wanted(&mailbox.rang(partition).await) {} };
    tokio::time::timeout(LIMIT, rung).await.expect("the bell rings in time");
}

fn for_lane(lane: &str) -> impl Fn(&Ring) -> bool {
    move |ring| match ring {
        Ring::Lanes(lanes) => lanes.iter().any(|rung| **rung == *lane),
        Ring::All => true,
        Ring::Forgot => false,
    }
}

async fn held(mailbox: &dyn Mailbox, partition: u32) -> usize {
    mailbox.depths(partition).await.unwrap().iter().map(|(_, depth)| depth).sum()
}
