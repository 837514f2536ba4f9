//! Carries posts and settlements to the mailboxes: everything that has gathered goes in one trip. Each partition has a
//! mailman of its own; what births order, of whichever partition, goes by a [`Dispatch`].

use std::collections::{BTreeSet, HashMap};
use std::sync::Arc;

use actix::Addr;
use futures_util::future::join_all;
use tokio::sync::mpsc;

use super::journal::{Envelope, MessageId, partition_of};
use super::partition::Event;
use super::supervisor::{Shared, Supervisor, report};

/// Errands taken along on one trip.
const ERRANDS_MAX: usize = 512;
/// Births whose orders wait to be posted; what further ones order is posted by a sweep.
const BIRTHS_MAX: usize = 4_096;

/// Something to carry.
pub enum Errand {
    /// Messages to post.
    Post {
        /// The messages.
        envelopes: Vec<Envelope>,
        /// The sweep that found them, if one did.
        swept: Option<Swept>,
    },
    /// Messages to remove from the partition's own mailbox.
    Settle {
        /// Which.
        ids: Vec<MessageId>,
    },
}

/// A sweep that waits to hear what became of its messages.
pub struct Swept {
    /// Its lane.
    pub lane: Arc<str>,
    /// Whom to tell.
    pub supervisor: Addr<Supervisor>,
}

/// The mailman broke down.
#[derive(Debug, thiserror::Error)]
#[error("the mailman is gone")]
pub struct Gone;

/// The mailman's door. What waits there is bounded by what its partition has in hand.
pub struct Mailman(mpsc::UnboundedSender<Errand>);

impl Mailman {
    /// Starts the mailman of `partition` on the current thread; it ends when its door is dropped.
    #[must_use]
    pub fn start(partition: u32, shared: Arc<Shared>) -> Self {
        let (door, mut errands) = mpsc::unbounded_channel();
        actix::spawn(async move {
            let mut gathered = Vec::with_capacity(ERRANDS_MAX);
            while errands.recv_many(&mut gathered, ERRANDS_MAX).await > 0 {
                trip(&shared, partition, Load::of(gathered.drain(..))).await;
            }
        });
        Self(door)
    }

    /// Hands an errand over.
    ///
    /// # Errors
    /// [`Gone`]: nothing is carried any more.
    pub fn send(&self, errand: Errand) -> Result<(), Gone> {
        self.0.send(errand).map_err(|_| Gone)
    }
}

/// What is carried on one trip: removed first, posted then. That this comes to the same as the order given is because
/// what is removed after it was posted is not posted at all.
#[derive(Default)]
struct Load {
    settled: Vec<MessageId>,
    posts: Vec<Envelope>,
    sweeps: Vec<Swept>,
}

impl Load {
    fn of(errands: impl Iterator<Item = Errand>) -> Self {
        let mut load = Self::default();
        let mut last_settled = HashMap::new();
        let mut posts = Vec::new();
        for (place, errand) in errands.enumerate() {
            match errand {
                Errand::Settle { ids } => {
                    last_settled.extend(ids.iter().map(|id| (id.clone(), place)));
                    load.settled.extend(ids);
                }
                Errand::Post { envelopes, swept } => {
                    posts.extend(envelopes.into_iter().map(|envelope| (place, envelope)));
                    load.sweeps.extend(swept);
                }
            }
        }
        posts.retain(|(place, envelope)| last_settled.get(&envelope.id).is_none_or(|settled| settled < place));
        load.posts = posts.into_iter().map(|(_, envelope)| envelope).collect();
        load
    }
}

async fn trip(shared: &Shared, partition: u32, load: Load) {
    if !load.settled.is_empty()
        && let Err(error) = shared.mailbox.settle(partition, load.settled).await
    {
        let why = error.source.to_string();
        tracing::debug!(partition, why, "messages were not removed; they will be recognised when they come again");
    }
    let posted = post(shared, load.posts).await;
    for Swept { lane, supervisor } in load.sweeps {
        if posted.failed.contains(&partition) {
            report(&supervisor, Event::SweepFailed { lane });
            continue;
        }
        let full = posted.full.iter().any(|(whose, full)| *whose == partition && *full == lane);
        report(
            &supervisor,
            Event::Posted { full: full.then(|| lane.clone()).into_iter().collect(), swept: Some(lane) },
        );
    }
}

/// Posts what births order, behind their callers: the births stand, and a slow mailbox holds up nobody.
pub struct Dispatch {
    shared: Arc<Shared>,
    /// `None` where posts are done at once.
    door: Option<mpsc::Sender<Vec<Envelope>>>,
}

impl Dispatch {
    /// Starts it on the current tokio runtime; it ends with its door.
    #[must_use]
    pub fn start(shared: Arc<Shared>) -> Self {
        if shared.mailbox.posts_at_once() {
            return Self { shared, door: None };
        }
        let (door, mut orders) = mpsc::channel::<Vec<Envelope>>(BIRTHS_MAX);
        let carrier = shared.clone();
        tokio::spawn(async move {
            let mut gathered = Vec::with_capacity(ERRANDS_MAX);
            while orders.recv_many(&mut gathered, ERRANDS_MAX).await > 0 {
                post(&carrier, gathered.drain(..).flatten().collect()).await;
            }
        });
        Self { shared, door: Some(door) }
    }

    /// Posts what one birth orders, or leaves it to a sweep when too much waits.
    pub async fn post(&self, envelopes: Vec<Envelope>) {
        let Some(door) = &self.door else {
            post(&self.shared, envelopes).await;
            return;
        };
        if let Err(refused) = door.try_send(envelopes) {
            let (mpsc::error::TrySendError::Full(left) | mpsc::error::TrySendError::Closed(left)) = refused;
            let partitions = left.iter().map(|envelope| partition_of(&envelope.to, self.shared.partitions));
            for owner in partitions.collect::<BTreeSet<_>>().into_iter().filter_map(|p| self.shared.supervisor(p)) {
                report(&owner, Event::PostFailed);
            }
        }
    }
}

/// What became of a post.
#[derive(Default)]
pub struct Posted {
    /// Lanes that were full, and whose.
    full: Vec<(u32, Arc<str>)>,
    /// Partitions whose mailbox did not answer.
    failed: Vec<u32>,
}

/// Posts messages to the mailboxes of their partitions, and tells the owners of full lanes, and of a mailbox that did not
/// take them, that more waits in the outbox.
pub async fn post(shared: &Shared, envelopes: Vec<Envelope>) -> Posted {
    let mut posts: HashMap<u32, Vec<Envelope>> = HashMap::new();
    for envelope in envelopes {
        posts.entry(partition_of(&envelope.to, shared.partitions)).or_default().push(envelope);
    }
    let trips = posts
        .into_iter()
        .map(|(partition, envelopes)| async move { (partition, shared.mailbox.post(partition, envelopes).await) });
    let mut posted = Posted::default();
    for (partition, answer) in join_all(trips).await {
        let event = match answer {
            Ok(full) if full.is_empty() => continue,
            Ok(full) => {
                posted.full.extend(full.iter().map(|lane| (partition, lane.clone())));
                Event::Posted { full, swept: None }
            }
            Err(error) => {
                let why = error.source.to_string();
                tracing::debug!(partition, why, "messages were not posted; a sweep will post them");
                posted.failed.push(partition);
                Event::PostFailed
            }
        };
        if let Some(owner) = shared.supervisor(partition) {
            report(&owner, event);
        }
    }
    posted
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::domain::{Address, Timestamp};
    use crate::runtime::journal::DECIDE;

    fn posting(id: &str) -> Errand {
        let envelope = Envelope {
            id: id.into(),
            to: Address::new("clerk", "1"),
            lane: DECIDE.into(),
            due: Timestamp(0),
            body: "0".into(),
            schema: 1,
            deaths: 0,
            turn: None,
            recovered: false,
        };
        Errand::Post { envelopes: vec![envelope], swept: None }
    }

    fn posted(errands: Vec<Errand>) -> Vec<String> {
        Load::of(errands.into_iter()).posts.into_iter().map(|envelope| envelope.id.as_str().to_owned()).collect()
    }

    fn settling(id: &str) -> Errand {
        Errand::Settle { ids: vec![id.into()] }
    }

    #[test]
    fn what_is_settled_after_it_was_posted_is_not_left_in_the_mailbox() {
        assert_eq!(posted(vec![posting("a"), posting("b"), settling("a")]), ["b"]);
    }

    #[test]
    fn what_is_posted_after_it_was_settled_is_in_the_mailbox() {
        assert_eq!(posted(vec![settling("a"), posting("a")]), ["a"]);
        assert_eq!(posted(vec![posting("a"), settling("a"), posting("a")]), ["a"]);
    }
}
