//! Carries a partition's posts and settlements to the mailboxes: everything that has gathered goes in one trip.

use std::collections::HashMap;
use std::sync::Arc;

use actix::Addr;
use tokio::sync::mpsc;

use super::journal::{Envelope, MessageId, partition_of};
use super::partition::Event;
use super::supervisor::{Shared, Supervisor, report};

/// Errands taken along on one trip.
const ERRANDS_MAX: usize = 512;

/// Something to carry.
pub enum Errand {
    /// Messages to post; the supervisor is told which lanes were full.
    Post {
        /// The messages.
        envelopes: Vec<Envelope>,
        /// The lane whose sweep found them.
        swept: Option<Arc<str>>,
        /// Whom to tell.
        supervisor: Addr<Supervisor>,
    },
    /// Messages to remove.
    Settle {
        /// From whose mailbox.
        partition: u32,
        /// Which.
        ids: Vec<MessageId>,
    },
}

/// The mailman's door. What waits there is bounded by what its partition has in hand.
pub struct Mailman(mpsc::UnboundedSender<Errand>);

impl Mailman {
    /// Starts a mailman on the current thread; it ends when its door is dropped.
    #[must_use]
    pub fn start(shared: Arc<Shared>) -> Self {
        let (door, mut errands) = mpsc::unbounded_channel();
        actix::spawn(async move {
            let mut gathered = Vec::with_capacity(ERRANDS_MAX);
            while errands.recv_many(&mut gathered, ERRANDS_MAX).await > 0 {
                trip(&shared, gathered.drain(..)).await;
            }
        });
        Self(door)
    }

    /// Hands an errand over.
    pub fn send(&self, errand: Errand) {
        if self.0.send(errand).is_err() {
            tracing::error!("the mailman is gone; the next sweep will post what it carried");
        }
    }
}

async fn trip(shared: &Shared, errands: impl Iterator<Item = Errand>) {
    let mut settled: HashMap<u32, Vec<MessageId>> = HashMap::new();
    let mut posts = Vec::new();
    let mut sweeps = Vec::new();
    for errand in errands {
        match errand {
            Errand::Settle { partition, ids } => settled.entry(partition).or_default().extend(ids),
            Errand::Post { envelopes, swept, supervisor } => {
                posts.extend(envelopes);
                sweeps.extend(swept.map(|lane| (lane, supervisor)));
            }
        }
    }
    for (partition, ids) in settled {
        if let Err(error) = shared.mailbox.settle(partition, ids).await {
            tracing::warn!(partition, %error, "messages were not removed; they will be recognised when they come again");
        }
    }
    let full = post(shared, posts).await;
    for (lane, supervisor) in sweeps {
        let full = if full.contains(&lane) { vec![lane.clone()] } else { Vec::new() };
        report(&supervisor, Event::Posted { full, swept: Some(lane) });
    }
}

/// Posts messages to the mailboxes of their partitions, and tells the owners of full lanes that more waits in the
/// outbox. Answers the lanes that were full anywhere.
pub async fn post(shared: &Shared, envelopes: Vec<Envelope>) -> Vec<Arc<str>> {
    let mut posts: HashMap<u32, Vec<Envelope>> = HashMap::new();
    for envelope in envelopes {
        posts.entry(partition_of(&envelope.to, shared.partitions)).or_default().push(envelope);
    }
    let mut full_anywhere = Vec::new();
    for (partition, envelopes) in posts {
        let lanes: Vec<Arc<str>> = envelopes.iter().map(|envelope| envelope.lane.clone()).collect();
        let full = shared.mailbox.post(partition, envelopes).await.unwrap_or_else(|error| {
            tracing::warn!(partition, %error, "messages were not posted; a sweep will post them");
            lanes
        });
        if full.is_empty() {
            continue;
        }
        full_anywhere.extend(full.iter().cloned());
        if let Some(owner) = shared.supervisor(partition) {
            report(&owner, Event::Posted { full, swept: None });
        }
    }
    full_anywhere
}
