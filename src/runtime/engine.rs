//! The door for the product: births, news, health, and the end.

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, PoisonError, RwLock};
use std::time::{Duration, Instant};

use tokio::sync::Semaphore;
use uuid::Uuid;

use super::activity::{Activities, LaneOptions};
use super::actor;
use super::clock::Clock;
use super::fold::{Snapshot, fold};
use super::inflight::Inflight;
use super::journal::committer::Committer;
use super::journal::{Claim, DECIDE, Envelope, Journal, MessageId, Origin, Outcome, Unit, partition_of};
use super::kind::{Kind, Undecided};
use super::lease::{self, Keeper, Seen};
use super::mailbox::Mailbox;
use super::mailman::{self, Dispatch};
use super::partition::Limits;
use super::room::{self, Permits, Room, Sharing, SharingStanding, Terms};
use super::root::{self, Root};
use super::supervisor::{HandOver, SWEEPS_MAX, Shared, Standing};
use super::trace;
use super::watch::{Hub, Pace, Relay, TooManyWatchers, Watcher, Wire};
use super::watchdog;
use crate::domain::{Address, EffectNo, Verdict};

/// What waits to be written has this long even when the drain's limit is over.
const CLOSING_MIN: Duration = Duration::from_secs(1);

/// What an engine is made of.
pub struct Parts {
    /// The kinds of actor.
    pub kinds: Vec<Arc<dyn Kind>>,
    /// The journal.
    pub journal: Journal,
    /// Who writes units.
    pub committer: Committer,
    /// How messages travel.
    pub mailbox: Arc<dyn Mailbox>,
    /// Who carries out activities.
    pub activities: Arc<dyn Activities>,
    /// The lanes that activities wait in.
    pub lanes: Vec<LaneOptions>,
    /// The clock.
    pub clock: Arc<dyn Clock>,
    /// How partitions are shared with other nodes; `None` for the only server of a database.
    pub leases: Option<lease::Options>,
    /// Where messages in hand are noted; `None` notes nothing and finds no killers.
    pub inflight: Option<PathBuf>,
    /// The limits of each partition; their lanes are taken from `lanes`.
    pub limits: Limits,
    /// Partitions in all.
    pub partitions: u32,
    /// How news travels to the other nodes; `None` for a node alone.
    pub wire: Option<Arc<dyn Wire>>,
    /// Where the permits of all nodes are kept; `None` for a node alone.
    pub permits: Option<Arc<dyn Permits>>,
}

/// A wish that becomes an actor.
#[derive(Clone, Debug)]
pub struct Birth {
    /// Its address.
    pub actor: Address,
    /// The id of the message that makes it; the same wish asked twice has the same id.
    pub message: MessageId,
    /// The message, as JSON.
    pub body: String,
    /// A name that only this birth may take.
    pub claim: Option<Claim>,
}

/// What became of a wish.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Born {
    /// The actor was born now.
    Now,
    /// It was born before, by the same message.
    Before,
}

/// Why a wish did not become an actor. Nothing of it is left behind.
#[derive(Debug, thiserror::Error)]
pub enum NotBorn {
    /// The actor exists, and was born by another message.
    #[error("{0} exists already")]
    Exists(Address),
    /// The claim belongs to an earlier birth.
    #[error("the claim was taken by {actor}")]
    Claimed {
        /// The digest the claim was taken with.
        fingerprint: String,
        /// Who was born with it.
        actor: Address,
        /// The answer stored with it.
        answer: String,
    },
    /// The machine refuses it, for this reason.
    #[error("{0}")]
    Refused(String),
    /// It cannot be decided or stored.
    #[error("{actor} could not be born: {reason}")]
    Broken {
        /// Who.
        actor: Address,
        /// Why, for the operator.
        reason: String,
    },
    /// Too much is waiting to be written, or the node is ending; try again.
    #[error("too much is waiting to be written")]
    Busy,
    /// The journal did not answer: whether the actor was born is not known. Ask again with the same wish.
    #[error("the journal did not answer in time: {0}")]
    Unavailable(String),
}

/// The engine could not start.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The in-flight file cannot be used.
    #[error("the in-flight file {path} cannot be opened")]
    Inflight {
        /// Its path.
        path: PathBuf,
        /// Why.
        #[source]
        source: std::io::Error,
    },
    /// The watchdog has no thread.
    #[error("the watchdog's thread cannot be started")]
    Watchdog(#[source] std::io::Error),
    /// The journal did not answer.
    #[error("what was in hand when the last process died could not be noted")]
    Journal(#[from] super::journal::Error),
    /// The leases cannot be kept.
    #[error("the node cannot take part")]
    Leases(#[from] lease::Error),
}

/// How the engine is doing.
#[derive(Clone, Debug, Default)]
pub struct Health {
    /// Partitions that answered, with their figures.
    pub partitions: BTreeMap<u32, Standing>,
    /// Partitions of this node that did not answer in time.
    pub silent: Vec<u32>,
    /// All nodes and whose the partitions are, when there can be several.
    pub seen: Option<Seen>,
    /// Messages in the mailboxes, by lane.
    pub mailboxes: BTreeMap<Arc<str>, usize>,
    /// Which activities run, and what most of the others wait for.
    pub room: room::Standing,
    /// How its permits are shared with other nodes; `None` for a node alone.
    pub sharing: Option<SharingStanding>,
    /// Supervisors that were started again after they died.
    pub restarts: u64,
    /// Actors that are watched.
    pub watched: usize,
    /// The suspects of the last death are dealt with and messages are taken.
    pub open: bool,
    /// The engine is ending.
    pub draining: bool,
}

/// A running engine.
#[derive(Clone)]
pub struct Engine(Arc<Inner>);

struct Inner {
    shared: Arc<Shared>,
    root: root::Handle,
    relay: Option<Relay>,
    sharing: Option<Sharing>,
    horizon_ms: i64,
    restarts: Arc<AtomicU64>,
    open: Arc<AtomicBool>,
    seen: Option<Arc<RwLock<Seen>>>,
    draining: AtomicBool,
    /// Posts what births order.
    dispatch: Dispatch,
}

impl Engine {
    /// Starts the engine: its partitions open in the background, those with suspects of a death first.
    ///
    /// # Errors
    /// [`Error`] when the in-flight file cannot be read, what it holds cannot be noted, or the leases cannot be kept.
    pub async fn start(parts: Parts) -> Result<Self, Error> {
        let mut limits = parts.limits;
        limits.lanes = parts.lanes.iter().flat_map(LaneOptions::ahead_by_lane).collect();
        let inflight = match parts.inflight {
            None => None,
            Some(path) => {
                let failed = |source| Error::Inflight { path: path.clone(), source };
                let (file, left) = Inflight::open(&path).map_err(failed)?;
                // Whoever owns their partitions by now tries them. Only then is the file emptied.
                parts.journal.note_suspects(&left).await?;
                let file = Arc::new(file.emptied().map_err(failed)?);
                let limit = Duration::from_millis(limits.decide_ms.unsigned_abs());
                watchdog::start(&file, limit).map_err(Error::Watchdog)?;
                Some(file)
            }
        };
        let leases = match parts.leases {
            None => None,
            Some(options) => {
                let generation = parts.kinds.iter().map(|kind| kind.schema()).sum();
                Some(Keeper::start(options, generation, parts.partitions).await?)
            }
        };
        let seen = leases.as_ref().map(|leases| leases.seen.clone());
        let (node, hub) = (Uuid::new_v4(), Hub::default());
        let relay = parts.wire.map(|wire| Relay::start(&hub, wire, node, Pace::default()));
        let room = Room::new(parts.lanes.into_iter().map(|lane| (lane.name, lane.concurrency)));
        let sharing = parts.permits.map(|permits| Sharing::start(&room, permits, node, Terms::default()));
        let shared = Arc::new(Shared {
            kinds: parts.kinds.into_iter().map(|kind| (kind.table().kind, kind)).collect(),
            journal: parts.journal,
            committer: parts.committer,
            mailbox: parts.mailbox,
            hub,
            activities: parts.activities,
            room,
            deps: actor::Deps { clock: parts.clock, inflight },
            partitions: parts.partitions,
            sweeps: Semaphore::new(SWEEPS_MAX),
            supervisors: RwLock::default(),
        });
        let restarts = Arc::new(AtomicU64::new(0));
        let open = Arc::new(AtomicBool::new(false));
        let horizon_ms = limits.horizon_ms();
        let root = Root::start(shared.clone(), limits, leases, restarts.clone(), open.clone());
        let draining = AtomicBool::new(false);
        let dispatch = Dispatch::start(shared.clone());
        Ok(Self(Arc::new(Inner { shared, root, relay, sharing, horizon_ms, restarts, open, seen, draining, dispatch })))
    }

    /// Makes an actor: decides the wish, writes it, and answers once it is on disk. What it orders then happens.
    ///
    /// A caller that may go away asks in a task of its own, as the front actor does: when this future is dropped after
    /// the wish is written, nothing is lost, but what it orders waits for the next sweep.
    ///
    /// # Errors
    /// [`NotBorn`], with nothing left behind but for [`NotBorn::Unavailable`], where nothing is known.
    pub async fn birth(&self, birth: Birth) -> Result<Born, NotBorn> {
        if self.0.draining.load(Ordering::Relaxed) {
            return Err(NotBorn::Busy);
        }
        let shared = &self.0.shared;
        let (unit, snapshot) = self.decide_birth(&birth)?;
        let outcome = shared.committer.submit(unit.clone()).await;
        match outcome {
            Outcome::Won => {
                self.after_birth(&unit, snapshot).await;
                Ok(Born::Now)
            }
            Outcome::Duplicate(_) => Ok(Born::Before),
            // A birth is decided in no epoch.
            Outcome::Stale | Outcome::Fenced => Err(NotBorn::Exists(birth.actor)),
            Outcome::Claimed { fingerprint, actor, answer } => Err(NotBorn::Claimed { fingerprint, actor, answer }),
            Outcome::Rejected(reason) => Err(NotBorn::Broken { actor: birth.actor, reason }),
            Outcome::Unavailable(reason) => Err(NotBorn::Unavailable(reason)),
        }
    }

    fn decide_birth(&self, birth: &Birth) -> Result<(Arc<Unit>, Snapshot), NotBorn> {
        let shared = &self.0.shared;
        let broken = |reason: String| NotBorn::Broken { actor: birth.actor.clone(), reason };
        let kind = shared
            .kinds
            .get(birth.actor.kind())
            .ok_or_else(|| broken(format!("there is no kind of actor called {}", birth.actor.kind())))?;
        let now = shared.now();
        let message = Envelope {
            id: birth.message.clone(),
            to: birth.actor.clone(),
            lane: DECIDE.into(),
            due: now,
            body: birth.body.as_str().into(),
            schema: 1,
            deaths: 0,
            turn: None,
            recovered: false,
        };
        let folded = fold(&**kind, &birth.actor, &Snapshot { version: 0, state: None }, &[message], now);
        if let Some(failed) = folded.failed {
            return Err(broken(match failed.why {
                Undecided::Unborn => "its first message is no birth".to_owned(),
                Undecided::Broken(reason) => reason,
            }));
        }
        let unit = folded.unit.ok_or_else(|| broken("nothing was decided".to_owned()))?;
        if let Some(Verdict::Refused(reason)) = unit.entries.first().map(|entry| &entry.verdict) {
            return Err(NotBorn::Refused(reason.clone()));
        }
        let origin = trace::current().map(Origin::Call);
        let unit = if birth.claim.is_none() && origin.is_none() {
            unit
        } else {
            Arc::new(Unit { claim: birth.claim.clone(), origin, ..Arc::unwrap_or_clone(unit) })
        };
        Ok((unit, folded.after))
    }

    /// Posts what a birth orders. An end of the process before or within it costs nothing: the outbox has it.
    async fn after_birth(&self, unit: &Arc<Unit>, snapshot: Snapshot) {
        let shared = &self.0.shared;
        if let Some(owner) = shared.supervisor(partition_of(&unit.actor, shared.partitions)) {
            // A mailbox over its bound means that the actor is read from SQL when its turn comes. What it orders is
            // handed over before it is posted, so that its owner knows it when it arrives.
            let ordered = unit.posts.iter().filter(|post| *post.lane != *DECIDE).map(|post| post.id.clone()).collect();
            let _ = owner.try_send(HandOver { address: unit.actor.clone(), snapshot, ordered });
        }
        let horizon = shared.now().plus_ms(self.0.horizon_ms);
        let posts: Vec<Envelope> = unit.posts.iter().filter(|post| post.due <= horizon).cloned().collect();
        if !posts.is_empty() {
            self.0.dispatch.post(posts).await;
        }
        shared.hub.committed(unit);
    }

    /// Posts a message that an operator put back into the outbox.
    pub async fn post(&self, envelope: Envelope) {
        mailman::post(&self.0.shared, vec![envelope]).await;
    }

    /// The journal.
    #[must_use]
    pub fn journal(&self) -> &Journal {
        &self.0.shared.journal
    }

    /// Who writes units.
    #[must_use]
    pub fn committer(&self) -> &Committer {
        &self.0.shared.committer
    }

    /// Waits for news of an actor from now on.
    ///
    /// # Errors
    /// [`TooManyWatchers`] at the limit.
    pub fn watch(&self, actor: &Address) -> Result<Watcher, TooManyWatchers> {
        self.0.shared.hub.watch(actor)
    }

    /// How far an actor's running activities are, by effect, from 0 to 1. Of a partition that is open elsewhere it is
    /// read where its node keeps it; nothing, when that does not answer.
    pub async fn progress(&self, actor: &Address) -> BTreeMap<EffectNo, f32> {
        let shared = &self.0.shared;
        let is_here = || shared.supervisor(partition_of(actor, shared.partitions)).is_some();
        match &self.0.relay {
            Some(relay) if !is_here() => relay.progress(actor).await,
            _ => shared.hub.progress(actor),
        }
    }

    /// Whether the engine takes messages.
    #[must_use]
    pub fn is_open(&self) -> bool {
        self.0.open.load(Ordering::Relaxed) && !self.0.draining.load(Ordering::Relaxed)
    }

    /// How the engine is doing; partitions that do not answer within `patience` are named.
    pub async fn health(&self, patience: Duration) -> Health {
        let shared = &self.0.shared;
        let mut health = Health {
            restarts: self.0.restarts.load(Ordering::Relaxed),
            watched: shared.hub.watched(),
            room: shared.room.standing(),
            sharing: match &self.0.sharing {
                Some(sharing) => Some(sharing.standing().await),
                None => None,
            },
            open: self.0.open.load(Ordering::Relaxed),
            draining: self.0.draining.load(Ordering::Relaxed),
            seen: self.seen(),
            ..Health::default()
        };
        for partition in 0..shared.partitions {
            let standing = match shared.supervisor(partition) {
                Some(owner) => tokio::time::timeout(patience, owner.send(super::supervisor::Ask)).await.ok(),
                None => None,
            };
            match standing {
                Some(Ok(standing)) => drop(health.partitions.insert(partition, standing)),
                // Owned elsewhere, or on its way.
                None if health.seen.is_some() && shared.supervisor(partition).is_none() => {}
                _ => health.silent.push(partition),
            }
            for (lane, depth) in shared.mailbox.depths(partition).await.unwrap_or_default() {
                *health.mailboxes.entry(lane).or_default() += depth;
            }
        }
        health
    }

    /// All nodes and whose the partitions are, when there can be several.
    #[must_use]
    pub fn seen(&self) -> Option<Seen> {
        let seen = self.0.seen.as_ref()?;
        Some(seen.read().unwrap_or_else(PoisonError::into_inner).clone())
    }

    /// Ends the engine: finishes what is in hand within `limit`, then stops what still runs; nothing accepted is lost,
    /// what was not finished goes on at the next start. Answers whether everything finished in time.
    pub async fn drain(&self, limit: Duration) -> bool {
        self.0.draining.store(true, Ordering::Relaxed);
        let end = Instant::now() + limit;
        let in_time = self.0.root.drain(limit).await;
        if let Some(sharing) = &self.0.sharing {
            sharing.end().await;
        }
        let left = end.saturating_duration_since(Instant::now()).max(CLOSING_MIN);
        if tokio::time::timeout(left, self.0.shared.committer.close()).await.is_ok() {
            return in_time;
        }
        tracing::warn!("the database does not answer: what waits to be written was not accepted yet and is given up");
        false
    }
}
