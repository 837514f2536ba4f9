//! The mailbox of the embedded mode: in memory, gone with the process, rebuilt from the outbox at the start.

use std::collections::{BTreeMap, HashMap, VecDeque};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use async_trait::async_trait;
use tokio::sync::Notify;

use super::{Error, Mailbox, POSTED_MAX, Ring};
use crate::domain::Timestamp;
use crate::runtime::clock::Clock;
use crate::runtime::journal::{Envelope, MessageId};

/// One partition's messages: plain data without a clock, shared with the simulator.
#[derive(Debug)]
pub struct Pigeonhole {
    /// Messages of one lane at most, and as many that are due later.
    room: usize,
    lanes: HashMap<Arc<str>, Lane>,
    present: HashMap<MessageId, Whereabouts>,
}

#[derive(Debug, Default)]
struct Lane {
    /// What is due, each with its number.
    ready: VecDeque<(u64, Envelope)>,
    /// What is due later, by time and number.
    later: BTreeMap<(Timestamp, u64), Envelope>,
    /// Numbers the messages in the order they were posted.
    posted: u64,
    count: usize,
    /// Something may be readable that nobody was told of.
    rings: bool,
}

impl Lane {
    fn ripen(&mut self, now: Timestamp, present: &mut HashMap<MessageId, Whereabouts>) -> bool {
        let mut ripened = false;
        while let Some(first) = self.later.first_entry() {
            if first.key().0 > now {
                break;
            }
            let number = first.key().1;
            let envelope = first.remove();
            if let Some(whereabouts) = present.get_mut(&envelope.id) {
                whereabouts.later = None;
            }
            self.ready.push_back((number, envelope));
            ripened = true;
        }
        ripened
    }
}

#[derive(Debug)]
struct Whereabouts {
    lane: Arc<str>,
    number: u64,
    later: Option<Timestamp>,
}

impl Default for Pigeonhole {
    fn default() -> Self {
        Self::with_room(POSTED_MAX)
    }
}

impl Pigeonhole {
    /// An empty one that holds up to `room` messages of each lane that are due, and as many that are due later.
    #[must_use]
    pub fn with_room(room: usize) -> Self {
        Self { room, lanes: HashMap::new(), present: HashMap::new() }
    }

    /// Posts what is not present; answers the lanes that had no room for some of it.
    pub fn post(&mut self, envelopes: Vec<Envelope>, now: Timestamp) -> Vec<Arc<str>> {
        let mut full: Vec<Arc<str>> = Vec::new();
        for envelope in envelopes {
            let lane = self.lanes.entry(envelope.lane.clone()).or_default();
            lane.rings = true;
            if self.present.contains_key(&envelope.id) {
                continue;
            }
            // Timers have room of their own: many of them don't keep out what is due now.
            let taken = if envelope.due > now { lane.later.len() } else { lane.count - lane.later.len() };
            if taken >= self.room {
                if !full.contains(&envelope.lane) {
                    full.push(envelope.lane.clone());
                }
                continue;
            }
            lane.count += 1;
            lane.posted += 1;
            let number = lane.posted;
            let later = (envelope.due > now).then_some(envelope.due);
            self.present.insert(envelope.id.clone(), Whereabouts { lane: envelope.lane.clone(), number, later });
            match later {
                Some(due) => drop(lane.later.insert((due, number), envelope)),
                None => lane.ready.push_back((number, envelope)),
            }
        }
        full
    }

    /// The lanes that something was posted to, or in which something has become due, since this was last asked.
    pub fn rang(&mut self, now: Timestamp) -> Vec<Arc<str>> {
        let mut rang = Vec::new();
        for (name, lane) in &mut self.lanes {
            lane.rings |= lane.ripen(now, &mut self.present);
            if std::mem::take(&mut lane.rings) {
                rang.push(name.clone());
            }
        }
        rang
    }

    /// Up to `max` due messages of the lane that were not read yet.
    pub fn read(&mut self, lane: &str, max: usize, now: Timestamp) -> Vec<Envelope> {
        let Some(lane) = self.lanes.get_mut(lane) else { return Vec::new() };
        // Of this lane alone: nobody has been told yet that another one may be read.
        lane.ripen(now, &mut self.present);
        let mut read = Vec::with_capacity(max.min(lane.ready.len()));
        while read.len() < max {
            let Some((number, envelope)) = lane.ready.pop_front() else { break };
            // A message that was settled before it was read is skipped here rather than searched for there.
            if self.present.get(&envelope.id).is_some_and(|whereabouts| whereabouts.number == number) {
                read.push(envelope);
            }
        }
        read
    }

    /// Removes messages, read or not.
    pub fn settle(&mut self, ids: &[MessageId]) {
        for id in ids {
            let Some(whereabouts) = self.present.remove(id) else { continue };
            if let Some(lane) = self.lanes.get_mut(&whereabouts.lane) {
                lane.count -= 1;
                if let Some(due) = whereabouts.later {
                    lane.later.remove(&(due, whereabouts.number));
                }
            }
        }
    }

    /// The next time at which something becomes due.
    #[must_use]
    pub fn next_due(&self) -> Option<Timestamp> {
        self.lanes.values().filter_map(|lane| lane.later.first_key_value().map(|(key, _)| key.0)).min()
    }

    /// Whether it holds this message, read or not.
    #[must_use]
    pub fn holds(&self, id: &MessageId) -> bool {
        self.present.contains_key(id)
    }

    /// What it holds, in no order.
    pub fn held(&self) -> impl Iterator<Item = &MessageId> {
        self.present.keys()
    }

    /// How many messages each lane holds.
    #[must_use]
    pub fn depths(&self) -> Vec<(Arc<str>, usize)> {
        self.lanes.iter().map(|(name, lane)| (name.clone(), lane.count)).collect()
    }
}

/// The mailboxes of all partitions, in memory.
pub struct Memory {
    clock: Arc<dyn Clock>,
    room: usize,
    partitions: Vec<Partition>,
}

struct Partition {
    hole: Mutex<Pigeonhole>,
    bell: Notify,
}

impl Memory {
    /// Empty mailboxes for `partitions` partitions.
    #[must_use]
    pub fn new(partitions: u32, clock: Arc<dyn Clock>) -> Self {
        Self::with_room(partitions, clock, POSTED_MAX)
    }

    /// Empty mailboxes that hold up to `room` messages of each lane that are due, and as many that are due later.
    #[must_use]
    pub fn with_room(partitions: u32, clock: Arc<dyn Clock>, room: usize) -> Self {
        let empty = |_| Partition { hole: Mutex::new(Pigeonhole::with_room(room)), bell: Notify::new() };
        Self { clock, room, partitions: (0..partitions).map(empty).collect() }
    }

    fn partition(&self, partition: u32) -> Result<&Partition, Error> {
        self.partitions
            .get(partition as usize)
            .ok_or_else(|| Error { partition, source: "there is no such partition".into() })
    }
}

fn lock(hole: &Mutex<Pigeonhole>) -> MutexGuard<'_, Pigeonhole> {
    // The hole's operations don't panic half-way; if one ever did, the outbox still has everything.
    hole.lock().unwrap_or_else(PoisonError::into_inner)
}

#[async_trait]
impl Mailbox for Memory {
    async fn open(&self, partition: u32, _epoch: u64) -> Result<(), Error> {
        // Simpler than telling read from unread: the owner's first sweep posts everything again.
        *lock(&self.partition(partition)?.hole) = Pigeonhole::with_room(self.room);
        Ok(())
    }

    /// The next owner empties it.
    async fn close(&self, _partition: u32) {}

    fn posts_at_once(&self) -> bool {
        true
    }

    async fn post(&self, partition: u32, envelopes: Vec<Envelope>) -> Result<Vec<Arc<str>>, Error> {
        let partition = self.partition(partition)?;
        let full = lock(&partition.hole).post(envelopes, self.clock.now());
        partition.bell.notify_one();
        Ok(full)
    }

    async fn read(&self, partition: u32, lane: &str, max: usize, now: Timestamp) -> Result<Vec<Envelope>, Error> {
        Ok(lock(&self.partition(partition)?.hole).read(lane, max, now))
    }

    async fn settle(&self, partition: u32, ids: Vec<MessageId>) -> Result<(), Error> {
        lock(&self.partition(partition)?.hole).settle(&ids);
        Ok(())
    }

    async fn rang(&self, partition: u32) -> Ring {
        let Ok(partition) = self.partition(partition) else { return std::future::pending().await };
        loop {
            let next_due = {
                let mut hole = lock(&partition.hole);
                // Once for each message: it is not read before its lane has room, and that may take long.
                let rang = hole.rang(self.clock.now());
                if !rang.is_empty() {
                    return Ring::Lanes(rang);
                }
                hole.next_due()
            };
            let posted = partition.bell.notified();
            match next_due {
                None => posted.await,
                Some(due) => {
                    let wait = u64::try_from(due.since_ms(self.clock.now())).unwrap_or(0);
                    // Whichever comes first; a bell that rang meanwhile is kept by `Notify`.
                    let _ = tokio::time::timeout(Duration::from_millis(wait), posted).await;
                }
            }
        }
    }

    async fn depths(&self, partition: u32) -> Result<Vec<(Arc<str>, usize)>, Error> {
        Ok(lock(&self.partition(partition)?.hole).depths())
    }
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::{AtomicI64, Ordering};

    use futures_util::FutureExt as _;

    use super::*;
    use crate::domain::Address;
    use crate::runtime::journal::DECIDE;

    const NOW: Timestamp = Timestamp(100);

    fn due(id: &str, lane: &str, at: i64) -> Envelope {
        Envelope {
            id: id.into(),
            to: Address::new("clerk", "1"),
            lane: lane.into(),
            due: Timestamp(at),
            body: "0".into(),
            schema: 1,
            deaths: 0,
            turn: None,
            recovered: false,
        }
    }

    fn now(id: &str) -> Envelope {
        due(id, DECIDE, NOW.0)
    }

    fn read(hole: &mut Pigeonhole, lane: &str, max: usize, at: i64) -> Vec<String> {
        hole.read(lane, max, Timestamp(at)).into_iter().map(|envelope| envelope.id.as_str().to_owned()).collect()
    }

    fn held(hole: &Pigeonhole) -> usize {
        hole.depths().iter().map(|(_, depth)| depth).sum()
    }

    #[test]
    fn what_is_present_is_not_posted_again_even_after_it_was_read() {
        let mut hole = Pigeonhole::default();
        hole.post(vec![now("a"), now("a")], NOW);
        assert_eq!(read(&mut hole, DECIDE, 9, 100), ["a"]);
        hole.post(vec![now("a")], NOW);
        assert_eq!(read(&mut hole, DECIDE, 9, 100), [""; 0]);
        assert_eq!(held(&hole), 1);
    }

    #[test]
    fn lanes_are_read_apart() {
        let mut hole = Pigeonhole::default();
        hole.post(vec![now("a"), due("b", "render", 0), now("c")], NOW);
        assert_eq!(read(&mut hole, "render", 9, 100), ["b"]);
        assert_eq!(read(&mut hole, DECIDE, 1, 100), ["a"]);
        assert_eq!(read(&mut hole, DECIDE, 9, 100), ["c"]);
        assert_eq!(read(&mut hole, "unknown", 9, 100), [""; 0]);
    }

    #[test]
    fn what_is_due_later_is_read_in_order_of_time_once_it_is_due() {
        let mut hole = Pigeonhole::default();
        hole.post(vec![due("c", DECIDE, 300), due("a", DECIDE, 200), due("b", DECIDE, 200)], NOW);
        assert_eq!(hole.next_due(), Some(Timestamp(200)));
        assert_eq!(read(&mut hole, DECIDE, 9, 199), [""; 0]);
        assert_eq!(read(&mut hole, DECIDE, 9, 200), ["a", "b"]);
        assert_eq!(read(&mut hole, DECIDE, 9, 400), ["c"]);
        assert_eq!(hole.next_due(), None);
    }

    #[test]
    fn what_is_settled_before_it_is_read_is_gone() {
        let mut hole = Pigeonhole::default();
        hole.post(vec![now("a"), now("b"), due("c", DECIDE, 200)], NOW);
        hole.settle(&["a".into(), "c".into(), "never".into()]);
        assert_eq!(read(&mut hole, DECIDE, 9, 400), ["b"]);
        assert_eq!(hole.next_due(), None);
        assert_eq!(held(&hole), 1);
    }

    #[test]
    fn what_was_settled_and_posted_again_is_read_once() {
        let mut hole = Pigeonhole::default();
        hole.post(vec![now("a")], NOW);
        hole.settle(&["a".into()]);
        hole.post(vec![now("a")], NOW);
        assert_eq!(read(&mut hole, DECIDE, 9, 100), ["a"]);
        assert_eq!(held(&hole), 1);
    }

    #[test]
    fn full_lane_takes_nothing_and_says_so_until_something_is_settled() {
        let mut hole = Pigeonhole::with_room(2);
        let full = hole.post(vec![now("a"), now("b"), now("c"), due("d", "render", 0)], NOW);
        assert_eq!(full, [Arc::<str>::from(DECIDE)]);
        assert_eq!(read(&mut hole, DECIDE, 9, 100), ["a", "b"]);
        assert_eq!(hole.post(vec![now("c")], NOW), [Arc::<str>::from(DECIDE)], "what was read is still held");
        hole.settle(&["a".into()]);
        assert_eq!(hole.post(vec![now("c")], NOW), [""; 0].map(Arc::from));
        assert_eq!(read(&mut hole, DECIDE, 9, 100), ["c"]);
    }

    struct At(AtomicI64);

    impl Clock for At {
        fn now(&self) -> Timestamp {
            Timestamp(self.0.load(Ordering::Relaxed))
        }
    }

    #[tokio::test]
    async fn bell_rings_once_for_what_became_due_and_is_not_read() {
        let clock = Arc::new(At(AtomicI64::new(NOW.0)));
        let memory = Memory::new(1, clock.clone());
        memory.post(0, vec![due("a", "render", 200), due("b", DECIDE, 300)]).await.unwrap();
        let rang = || match memory.rang(0).now_or_never() {
            Some(Ring::Lanes(lanes)) => lanes.iter().map(ToString::to_string).collect::<Vec<_>>(),
            Some(other) => panic!("{other:?}"),
            None => Vec::new(),
        };
        let mut both = rang();
        both.sort();
        assert_eq!(both, [DECIDE, "render"], "for the post");
        assert_eq!(rang(), [""; 0], "before it is due");
        assert!(memory.read(0, DECIDE, 9, Timestamp(200)).await.unwrap().is_empty());
        clock.0.store(200, Ordering::Relaxed);
        assert_eq!(rang(), ["render"], "once it is due");
        assert_eq!(rang(), [""; 0], "again, while its lane has no room");
        assert_eq!(memory.read(0, "render", 9, Timestamp(200)).await.unwrap().len(), 1);
    }

    #[test]
    fn what_is_due_later_takes_no_room_from_what_is_due_now() {
        let mut hole = Pigeonhole::with_room(2);
        hole.post(vec![due("a", DECIDE, 200), due("b", DECIDE, 200), due("c", DECIDE, 200)], NOW);
        assert_eq!(held(&hole), 2);
        assert_eq!(hole.post(vec![now("d")], NOW), [""; 0].map(Arc::from));
        assert_eq!(read(&mut hole, DECIDE, 9, 100), ["d"]);
    }
}
