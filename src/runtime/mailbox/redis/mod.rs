//! The mailbox of several nodes: in Redis, where any node posts and the partition's owner reads.
//!
//! Of each partition: its identity, a stream per lane with what is due, a sorted set per lane with what is due later, and
//! where each message is. All keys share a hash tag, so that they lie in one slot of a Cluster, and every step is one
//! script, whose further keys are made of its one key.
//!
//! **It may forget.** The owner gives the mailbox an identity when it opens it; reading, settling and posting check it. A
//! mailbox without one was emptied; one with another has another owner. A server that was restarted or replaced may
//! have forgotten its last second without forgetting the identity: `renewals` tells. And when an answer is lost, nobody
//! knows what the mailbox holds. All of these are one case, **doubt**: the owner empties the mailbox, gives it a new
//! identity, and says [`Ring::Forgot`], after which its outbox is posted again. An owner that was taken over cannot do
//! so: the identity says in which epoch it was given.
//!
//! Where the owner has read to is the owner's own knowledge, not the server's.

mod letter;
mod place;

use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use tokio::time::Instant;
use uuid::Uuid;

use self::place::{Ears, Place};
use super::{Error, Mailbox, POSTED_MAX, Ring};
use crate::domain::Timestamp;
use crate::runtime::clock::Clock;
use crate::runtime::journal::{Envelope, MessageId};
use crate::runtime::redis::{self, Args, News, Script};

/// Messages of one script: a server does nothing else meanwhile.
const SCRIPT_MESSAGES_MAX: usize = 256;
/// Bytes of letters of one script, but for a single one that is longer.
const SCRIPT_BYTES_MAX: usize = 1 << 20;
/// How often all lanes are looked into although nothing rang.
const POLL_EVERY: Duration = Duration::from_secs(5);
/// How long an owner rests before it tries again to open a mailbox that it doubts.
const REOPEN_EVERY: Duration = Duration::from_millis(250);

/// Of so many failures to open a mailbox anew, one is spoken of.
const COMPLAIN_EVERY: u32 = 40;

/// The mailboxes of all partitions, in Redis.
pub struct Redis {
    redis: redis::Redis,
    clock: Arc<dyn Clock>,
    places: Vec<Place>,
    room: usize,
    scripts: Scripts,
}

struct Scripts {
    open: Script,
    post: Script,
    read: Script,
    settle: Script,
    depths: Script,
}

/// Why a mailbox cannot be opened or used.
#[derive(Debug, thiserror::Error)]
enum Fault {
    #[error("there is no such partition")]
    NoPartition,
    #[error("an owner of a later epoch has it")]
    Taken,
    #[error("it was emptied, and is filled again once its owner has noticed")]
    Emptied,
    #[error("a message cannot be written")]
    Unwritable(#[from] serde_json::Error),
}

/// One entry of a stream: its id, and its fields and their values in turn.
type Entry = (String, Vec<Vec<u8>>);

impl Redis {
    /// The mailboxes of `partitions` partitions.
    #[must_use]
    pub fn new(redis: redis::Redis, partitions: u32, clock: Arc<dyn Clock>) -> Self {
        Self::with_room(redis, partitions, clock, POSTED_MAX)
    }

    /// Mailboxes that hold up to `room` messages of each lane that are due, and as many that are due later.
    #[must_use]
    pub fn with_room(redis: redis::Redis, partitions: u32, clock: Arc<dyn Clock>, room: usize) -> Self {
        let scripts = Scripts {
            open: Script::new(include_str!("open.lua")),
            post: Script::new(include_str!("post.lua")),
            read: Script::new(include_str!("read.lua")),
            settle: Script::new(include_str!("settle.lua")),
            depths: Script::new(include_str!("depths.lua")),
        };
        Self { redis, clock, places: (0..partitions).map(|_| Place::new()).collect(), room, scripts }
    }

    fn place(&self, partition: u32) -> Result<&Place, Error> {
        self.places.get(partition as usize).ok_or_else(|| failed(partition)(Fault::NoPartition))
    }

    /// The partition's identity, and what its other keys begin with. The braces hold what decides on the slot.
    fn key(&self, partition: u32) -> String {
        self.redis.key(&format!("{{{partition}}}"))
    }

    /// Empties the mailbox and gives it a new identity.
    async fn open_anew(&self, partition: u32, epoch: u64) -> Result<(), Error> {
        let place = self.place(partition)?;
        let identity = format!("{epoch}:{}", Uuid::new_v4().simple());
        {
            let mut ears = place.ears.lock().await;
            // A renewal from now on makes doubtful what is opened now.
            let mut renewals = self.redis.renewals();
            renewals.mark_unchanged();
            let key = self.key(partition);
            match &mut *ears {
                Some(ears) => ears.renewals = renewals,
                None => {
                    let news = self.redis.subscribe(&format!("{key}:bell"));
                    *ears = Some(Ears { news, renewals, polled: Instant::now() });
                }
            }
        }
        let args = Args::default().with(&identity).with(epoch);
        let current: String =
            self.scripts.open.run(&self.redis, &self.key(partition), &args).await.map_err(failed(partition))?;
        if current != identity {
            return Err(failed(partition)(Fault::Taken));
        }
        place.opened(identity.into());
        Ok(())
    }

    /// Posts what one script takes.
    async fn post_some(&self, partition: u32, envelopes: &[(Envelope, Vec<u8>)]) -> Result<Vec<Arc<str>>, Error> {
        let place = self.place(partition)?;
        let (mine, now) = (place.identity(), self.clock.now());
        let mut args = Args::default().with(&*mine).with(now.0).with(self.room);
        for (envelope, letter) in envelopes {
            args.push(&*envelope.lane);
            args.push(envelope.due.0);
            args.push(envelope.id.as_str());
            args.push(letter.as_slice());
        }
        let posted = self.scripts.post.run(&self.redis, &self.key(partition), &args).await;
        let (identity, full): (String, Vec<String>) = posted.map_err(|error| {
            if !error.is_certain() {
                place.doubt("the answer to a post was lost");
            }
            failed(partition)(error)
        })?;
        if identity.is_empty() {
            place.doubt_of(&mine, "it was emptied");
            return Err(failed(partition)(Fault::Emptied));
        }
        let latest = place.identity();
        if *identity == *latest {
            for (envelope, _) in envelopes.iter().filter(|(envelope, _)| envelope.due > now) {
                place.awaits(&envelope.lane, envelope.due);
            }
            place.ring(envelopes.iter().map(|(envelope, _)| envelope.lane.clone()));
        } else if !latest.is_empty() && latest == mine {
            place.doubt("another owner has opened it");
        }
        Ok(full.into_iter().map(Arc::from).collect())
    }

    /// Settles what one script takes. Once more, when the mailbox was opened anew meanwhile.
    async fn settle_some(&self, partition: u32, ids: &[MessageId]) -> Result<(), Error> {
        let place = self.place(partition)?;
        loop {
            let mine = place.identity();
            let mut args = Args::default().with(&*mine);
            ids.iter().for_each(|id| args.push(id.as_str()));
            let settled: Result<i64, _> = self.scripts.settle.run(&self.redis, &self.key(partition), &args).await;
            match settled {
                Ok(0) if place.doubt_of(&mine, "it was emptied, or has another owner") => {}
                Ok(0) => return Err(failed(partition)(Fault::Emptied)),
                Ok(_) => return Ok(()),
                Err(error) => {
                    // What is not removed would stay for ever: it was read, and is not read again.
                    place.doubt("messages could not be removed");
                    return Err(failed(partition)(error));
                }
            }
        }
    }
}

fn failed<E: Into<Box<dyn std::error::Error + Send + Sync>>>(partition: u32) -> impl Fn(E) -> Error {
    move |source| Error { partition, source: source.into() }
}

#[async_trait]
impl Mailbox for Redis {
    async fn open(&self, partition: u32, epoch: u64) -> Result<(), Error> {
        let place = self.place(partition)?;
        place.take(epoch);
        self.open_anew(partition, epoch).await.inspect_err(|_| place.doubt("it could not be opened"))
    }

    async fn close(&self, partition: u32) {
        if let Ok(place) = self.place(partition) {
            place.leave();
            *place.ears.lock().await = None;
        }
    }

    async fn post(&self, partition: u32, envelopes: Vec<Envelope>) -> Result<Vec<Arc<str>>, Error> {
        let mut full = Vec::new();
        let mut batch: Vec<(Envelope, Vec<u8>)> = Vec::with_capacity(envelopes.len().min(SCRIPT_MESSAGES_MAX));
        let mut bytes = 0;
        for envelope in envelopes {
            let letter = letter::write(&envelope).map_err(|error| failed(partition)(Fault::from(error)))?;
            if batch.len() == SCRIPT_MESSAGES_MAX || (!batch.is_empty() && bytes + letter.len() > SCRIPT_BYTES_MAX) {
                full.extend(self.post_some(partition, &batch).await?);
                batch.clear();
                bytes = 0;
            }
            bytes += letter.len();
            batch.push((envelope, letter));
        }
        if !batch.is_empty() {
            full.extend(self.post_some(partition, &batch).await?);
        }
        full.sort();
        full.dedup();
        Ok(full)
    }

    async fn read(&self, partition: u32, lane: &str, max: usize, now: Timestamp) -> Result<Vec<Envelope>, Error> {
        let place = self.place(partition)?;
        let (mine, cursor) = (place.identity(), place.cursor(lane));
        let args = Args::default().with(&*mine).with(now.0).with(lane).with(&*cursor).with(max);
        let read = self.scripts.read.run(&self.redis, &self.key(partition), &args).await;
        let read: Option<(Vec<Entry>, String)> = read.map_err(|error| {
            // It is read again after the mailbox is opened anew: nothing else rings for it.
            place.doubt("a read failed");
            failed(partition)(error)
        })?;
        let lane: Arc<str> = lane.into();
        let Some((entries, due)) = read else {
            if place.doubt_of(&mine, "it was emptied, or has another owner") {
                place.ring([lane]);
            }
            return Ok(Vec::new());
        };
        let due = due.parse::<f64>().ok().map(|due| Timestamp(due as i64));
        if !place.has_read(&mine, &lane, entries.last().map(|(entry, _)| entry.as_str()), due) {
            place.ring([lane]);
            return Ok(Vec::new());
        }
        let mut envelopes = Vec::with_capacity(entries.len());
        for (entry, fields) in entries {
            match letter::read(fields.get(1).map_or(&[], Vec::as_slice), &lane) {
                Ok(envelope) => envelopes.push(envelope),
                Err(error) => {
                    tracing::error!(partition, %lane, entry, %error, "it waits for the mailbox to be opened anew")
                }
            }
        }
        Ok(envelopes)
    }

    async fn settle(&self, partition: u32, ids: Vec<MessageId>) -> Result<(), Error> {
        for ids in ids.chunks(SCRIPT_MESSAGES_MAX) {
            self.settle_some(partition, ids).await?;
        }
        Ok(())
    }

    async fn rang(&self, partition: u32) -> Ring {
        let Ok(place) = self.place(partition) else { return std::future::pending().await };
        let mut failures = 0_u32;
        loop {
            if let (Some(why), Some(epoch)) = (place.doubted(), place.epoch()) {
                match self.open_anew(partition, epoch).await {
                    Ok(()) => {
                        tracing::warn!(partition, why, "a mailbox was emptied, and is filled again from the outbox");
                        return Ring::Forgot;
                    }
                    // A Redis that is away is spoken of elsewhere, once for all partitions.
                    Err(error) if failures.is_multiple_of(COMPLAIN_EVERY) && self.redis.standing().away.is_none() => {
                        let error = error.source;
                        tracing::warn!(partition, why, %error, "a mailbox is in doubt and cannot be opened anew");
                    }
                    Err(_) => {}
                }
                failures += 1;
                tokio::time::sleep(REOPEN_EVERY).await;
                continue;
            }
            if place.take_all() {
                return Ring::All;
            }
            let now = self.clock.now();
            let rung = place.take_rung(now);
            if !rung.is_empty() {
                return Ring::Lanes(rung);
            }
            let mut ears = place.ears.lock().await;
            let Some(ears) = ears.as_mut() else {
                drop(ears);
                place.bell.notified().await;
                continue;
            };
            let until_due = place
                .next_due()
                .map_or(POLL_EVERY, |due| Duration::from_millis(u64::try_from(due.since_ms(now)).unwrap_or(0)));
            let wait = until_due.min(POLL_EVERY.saturating_sub(ears.polled.elapsed()));
            tokio::select! {
                () = place.bell.notified() => {}
                news = ears.news.next() => match news {
                    News::Message(lanes) => place.ring(lanes.split('\n').map(Arc::from)),
                    News::Gap => place.ring_all(),
                },
                changed = ears.renewals.changed() => match changed {
                    Ok(()) => place.doubt("Redis was restarted or replaced"),
                    Err(_) => return std::future::pending().await,
                },
                () = tokio::time::sleep(wait) => {
                    if ears.polled.elapsed() >= POLL_EVERY {
                        ears.polled = Instant::now();
                        place.ring_all();
                    }
                }
            }
        }
    }

    async fn depths(&self, partition: u32) -> Result<Vec<(Arc<str>, usize)>, Error> {
        let depths = self.scripts.depths.run(&self.redis, &self.key(partition), &Args::default()).await;
        let depths: Vec<(String, usize)> = depths.map_err(failed(partition))?;
        Ok(depths.into_iter().map(|(lane, depth)| (lane.into(), depth)).collect())
    }
}
