//! One partition's shell: carries out what the core decides, with real stores, and tells it what came of it.
//!
//! It owns the partition's actors and running activities. It may be dropped and started again at any moment; a new one
//! begins with an empty core and what stands in the outbox.

mod asking;
mod running;
mod wanted;

use std::collections::HashMap;
use std::sync::{Arc, PoisonError, RwLock};
use std::time::Duration;

use self::running::Running;
use self::wanted::Wanted;
use actix::fut::wrap_future;
use actix::{Actor, ActorContext, Addr, AsyncContext, Context, Handler, Message, SpawnHandle};
use tokio::sync::{Semaphore, mpsc};

use super::activity::Activities;
use super::actor::{self, Adopt, Decide, Entity};
use super::fold::Snapshot;
use super::journal::committer::Committer;
use super::journal::{Envelope, Journal, MessageId, Outcome, Stored};
use super::kind::{Kind, Unreadable, caught};
use super::lease::{Epoch, Lease};
use super::mailbox::{Mailbox, Ring};
use super::mailman::{Errand, Mailman, Swept};
use super::partition::{Command, Event, Limits, LoadFailure, Partition};
use super::room::Room;
use super::watch::Hub;
use crate::domain::{Address, Timestamp};

/// Events that wait for a supervisor before a sender has to wait; what is in hand is bounded by the core's limits.
const MAILBOX: usize = 65_536;

/// Pages of the outbox that are read at once: half of the journal's connections for reading.
pub const SWEEPS_MAX: usize = 2;

/// What all supervisors of a node share.
pub struct Shared {
    /// The kinds of actor, by name.
    pub kinds: HashMap<&'static str, Arc<dyn Kind>>,
    /// The journal.
    pub journal: Journal,
    /// Who writes units.
    pub committer: Committer,
    /// How messages travel.
    pub mailbox: Arc<dyn Mailbox>,
    /// Who waits for news.
    pub hub: Hub,
    /// Who carries out activities.
    pub activities: Arc<dyn Activities>,
    /// The node's room for activities.
    pub room: Room,
    /// What actors may touch.
    pub deps: actor::Deps,
    /// Partitions in all.
    pub partitions: u32,
    /// Turns at sweeping the outbox.
    pub sweeps: Semaphore,
    /// The supervisors of the partitions that are open here.
    pub supervisors: RwLock<HashMap<u32, Addr<Supervisor>>>,
}

impl Shared {
    /// Now.
    #[must_use]
    pub fn now(&self) -> Timestamp {
        self.deps.clock.now()
    }

    /// The supervisor of a partition that is open here.
    #[must_use]
    pub fn supervisor(&self, partition: u32) -> Option<Addr<Supervisor>> {
        self.supervisors.read().unwrap_or_else(PoisonError::into_inner).get(&partition).cloned()
    }
}

/// Tells a supervisor what happened.
///
/// The event is delivered even when its mailbox is over its bound: what a partition has in hand is bounded by its core,
/// and an answer that is dropped would leave an actor waiting for ever.
pub fn report(supervisor: &Addr<Supervisor>, event: Event) {
    #[expect(clippy::disallowed_methods, reason = "bounded by what is in hand; a supervisor that is gone begins anew")]
    supervisor.do_send(Happened(event));
}

/// Tells the root how far a partition is.
fn reach(milestones: &mpsc::UnboundedSender<Reached>, partition: u32, lease: &Lease, milestone: Milestone) {
    if milestones.send(Reached { partition, epoch: lease.epoch(), milestone }).is_err() {
        tracing::debug!(partition, ?milestone, "nobody waits for this partition");
    }
}

/// Something happened.
#[derive(Message)]
#[rtype(result = "()")]
pub struct Happened(pub Event);

/// An actor was born in this process: take it over, so that it need not be read.
#[derive(Message)]
#[rtype(result = "()")]
pub struct HandOver {
    /// Which.
    pub address: Address,
    /// As it was born.
    pub snapshot: Snapshot,
    /// The activities its birth ordered.
    pub ordered: Vec<MessageId>,
}

/// States that were read.
#[derive(Message)]
#[rtype(result = "()")]
struct Read {
    actors: Vec<Address>,
    found: Result<HashMap<Address, Stored>, String>,
}

/// How a partition is doing.
#[derive(Message)]
#[rtype(result = "Standing")]
pub struct Ask;

/// A partition's figures.
#[derive(Clone, Debug, Default, actix::MessageResponse)]
pub struct Standing {
    /// Actors in memory or with messages.
    pub actors: usize,
    /// Messages and activities in hand.
    pub in_hand: usize,
}

/// How far a partition is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Milestone {
    /// Its suspects are dealt with and it takes messages.
    Opened,
    /// Nothing is in hand any more.
    Drained,
    /// The journal refuses what it decides: another node owns the partition.
    Fenced,
    /// It holds what only a newer release can read.
    Newer,
}

/// A milestone that a supervisor reached.
#[derive(Clone, Copy, Debug)]
pub struct Reached {
    /// Of which partition.
    pub partition: u32,
    /// In which epoch.
    pub epoch: Option<Epoch>,
    /// Which.
    pub milestone: Milestone,
}

/// A partition's supervisor.
pub struct Supervisor {
    partition: u32,
    lease: Lease,
    core: Partition,
    shared: Arc<Shared>,
    entities: HashMap<Address, Addr<Entity>>,
    /// Activities that run, or wait for room; letting go of one stops it, also when this supervisor dies.
    running: HashMap<MessageId, Running>,
    mailman: Mailman,
    wanted: Wanted,
    suspects: Vec<Envelope>,
    milestones: mpsc::UnboundedSender<Reached>,
    alarm: Option<(Timestamp, SpawnHandle)>,
}

impl Supervisor {
    /// The supervisor of `partition`, which is ours by `lease`. It tries `suspects` before anything else, and says on `milestones` how far it is.
    #[must_use]
    pub fn new(
        partition: u32,
        lease: Lease,
        limits: Limits,
        shared: Arc<Shared>,
        suspects: Vec<Envelope>,
        milestones: mpsc::UnboundedSender<Reached>,
    ) -> Self {
        Self {
            partition,
            lease,
            core: Partition::new(limits),
            mailman: Mailman::start(partition, shared.clone()),
            wanted: Wanted::start(shared.journal.clone()),
            shared,
            entities: HashMap::new(),
            running: HashMap::new(),
            suspects,
            milestones,
            alarm: None,
        }
    }

    fn happened(&mut self, event: Event, ctx: &mut Context<Self>) {
        if let Event::Committed { outcome: Outcome::Fenced, .. } = &event {
            self.reached(Milestone::Fenced);
        }
        let event = match event {
            Event::Delivered { lane, envelopes, drained } => {
                Event::Delivered { lane, envelopes: self.legible(envelopes), drained }
            }
            other => other,
        };
        let commands = self.core.on_event(event, self.shared.now());
        let mut loads = Vec::new();
        for command in commands {
            match command {
                Command::Load { actor } => loads.push(actor),
                other => self.carry_out(other, ctx),
            }
        }
        if !loads.is_empty() {
            self.load(loads, ctx);
        }
        self.set_alarm(ctx);
    }

    fn carry_out(&mut self, command: Command, ctx: &mut Context<Self>) {
        match command {
            Command::Load { actor } => self.load(vec![actor], ctx),
            Command::Read { lane, max } => self.read(lane, max, ctx),
            Command::Decide { actor, ticket, messages } => self.decide(&actor, Decide { ticket, messages }, ctx),
            Command::Commit { actor, ticket, unit } => {
                let supervisor = ctx.address();
                let reply = {
                    let (supervisor, actor) = (supervisor.clone(), actor.clone());
                    let (hub, unit) = (self.shared.hub.clone(), unit.clone());
                    Box::new(move |outcome| {
                        if outcome == Outcome::Won {
                            hub.committed(&unit);
                        }
                        report(&supervisor, Event::Committed { actor, ticket, outcome });
                    })
                };
                if self.shared.committer.try_submit(unit, reply).is_err() {
                    let outcome = Outcome::Unavailable("the committer's queue is full".to_owned());
                    report(&supervisor, Event::Committed { actor, ticket, outcome });
                }
            }
            Command::Adopt { actor } => {
                if let Some(entity) = self.entities.get(&actor)
                    && entity.try_send(Adopt).is_err()
                {
                    self.entities.remove(&actor);
                    report(&ctx.address(), Event::Lost { actor });
                }
            }
            // An actor without an address stops.
            Command::Forget { actor } => drop(self.entities.remove(&actor)),
            Command::Settle { ids } => self.carry(Errand::Settle { ids }, ctx),
            Command::Post { envelopes, swept } => {
                let swept = swept.map(|lane| Swept { lane, supervisor: ctx.address() });
                self.carry(Errand::Post { envelopes, swept }, ctx);
            }
            Command::Start { envelope, ours } => self.start_activity(envelope, ours, ctx),
            Command::Recall => self.recall_activities(ctx),
            Command::Abort { id } => drop(self.running.remove(&id)),
            Command::Accuse { .. } | Command::Quarantine { .. } | Command::Park { .. } | Command::Sweep { .. } => {
                self.ask_journal(command, ctx);
            }
            Command::Opened => self.reached(Milestone::Opened),
            Command::Drained => self.reached(Milestone::Drained),
        }
    }

    /// Without a mailman this supervisor is of no use; the next one has a new one and begins with a sweep.
    fn carry(&self, errand: Errand, ctx: &mut Context<Self>) {
        if let Err(gone) = self.mailman.send(errand) {
            tracing::error!(self.partition, %gone, "a partition's supervisor ends");
            ctx.stop();
        }
    }

    /// Those of `envelopes` that this release can read. The others stay in the outbox, for the next owner to find.
    fn legible(&self, mut envelopes: Vec<Envelope>) -> Vec<Envelope> {
        envelopes.retain(|envelope| {
            let known = self.shared.kinds.get(envelope.to.kind()).map_or(0, |kind| kind.schema());
            let is_newer = envelope.schema > known;
            if is_newer {
                let (id, schema) = (envelope.id.as_str(), envelope.schema);
                tracing::warn!(id, actor = %envelope.to, schema, "a message waits for a newer release of this service");
                self.reached(Milestone::Newer);
            }
            !is_newer
        });
        envelopes
    }

    fn reached(&self, milestone: Milestone) {
        reach(&self.milestones, self.partition, &self.lease, milestone);
    }

    fn set_alarm(&mut self, ctx: &mut Context<Self>) {
        let wake = self.core.next_wake();
        if self.alarm.as_ref().is_some_and(|(at, _)| *at <= wake) {
            return;
        }
        if let Some((_, handle)) = self.alarm.take() {
            ctx.cancel_future(handle);
        }
        let wait = u64::try_from(wake.since_ms(self.shared.now())).unwrap_or(0).max(1);
        let handle = ctx.run_later(Duration::from_millis(wait), |supervisor, ctx| {
            supervisor.alarm = None;
            supervisor.happened(Event::Tick, ctx);
        });
        self.alarm = Some((wake, handle));
    }

    fn read(&self, lane: Arc<str>, max: usize, ctx: &Context<Self>) {
        let (shared, partition, supervisor) = (self.shared.clone(), self.partition, ctx.address());
        actix::spawn(async move {
            let read = shared.mailbox.read(partition, &lane, max, shared.now()).await;
            let envelopes = read.unwrap_or_else(|error| {
                let why = error.source.to_string();
                tracing::debug!(partition, %lane, why, "the mailbox could not be read; it is opened anew");
                Vec::new()
            });
            let drained = envelopes.len() < max;
            report(&supervisor, Event::Delivered { lane, envelopes, drained });
        });
    }

    fn decide(&mut self, actor: &Address, order: Decide, ctx: &Context<Self>) {
        let sent = self.entities.get(actor).is_some_and(|entity| entity.try_send(order).is_ok());
        if !sent {
            self.entities.remove(actor);
            report(&ctx.address(), Event::Lost { actor: actor.clone() });
        }
    }

    fn load(&self, actors: Vec<Address>, ctx: &Context<Self>) {
        let (journal, supervisor) = (self.shared.journal.clone(), ctx.address());
        actix::spawn(async move {
            let found = journal.load(&actors).await.map_err(|error| error.to_string());
            if supervisor.send(Read { actors, found }).await.is_err() {
                tracing::debug!("a supervisor ended while its actors were read");
            }
        });
    }

    fn enter(&mut self, address: Address, stored: Option<Stored>, ctx: &Context<Self>) -> Result<(), LoadFailure> {
        let kind =
            self.shared.kinds.get(address.kind()).ok_or_else(|| {
                LoadFailure::Unreadable(format!("there is no kind of actor called {}", address.kind()))
            })?;
        let snapshot = match stored {
            None => Snapshot { version: 0, state: None },
            Some(stored) => {
                let read = caught(|| kind.read(stored.schema, &stored.state));
                let state =
                    read.unwrap_or_else(|reason| Err(Unreadable::Broken(reason))).map_err(
                        |unreadable| match unreadable {
                            Unreadable::Newer(schema) => LoadFailure::Newer(format!("its state has schema {schema}")),
                            Unreadable::Broken(reason) => {
                                LoadFailure::Unreadable(format!("its state cannot be read: {reason}"))
                            }
                        },
                    )?;
                Snapshot { version: stored.version, state: Some(state) }
            }
        };
        let (epoch, deps) = (self.lease.epoch(), self.shared.deps.clone());
        let entity = Entity::new(address.clone(), kind.clone(), snapshot, epoch, ctx.address(), deps);
        self.entities.insert(address, entity.start());
        Ok(())
    }
}

impl Actor for Supervisor {
    type Context = Context<Self>;

    fn started(&mut self, ctx: &mut Context<Self>) {
        ctx.set_mailbox_capacity(MAILBOX);
        let (shared, partition, supervisor) = (self.shared.clone(), self.partition, ctx.address().downgrade());
        let lanes: Vec<Arc<str>> = self.core.lanes().cloned().collect();
        // The doorbell: one ring under way at a time. It ends with this supervisor, or it would take a ring away from the
        // next one.
        ctx.spawn(wrap_future(async move {
            loop {
                let event = match shared.mailbox.rang(partition).await {
                    Ring::Lanes(lanes) => Event::Rang { lanes },
                    Ring::All => Event::Rang { lanes: lanes.clone() },
                    Ring::Forgot => Event::Forgot,
                };
                let Some(supervisor) = supervisor.upgrade() else { break };
                if supervisor.send(Happened(event)).await.is_err() {
                    break;
                }
            }
        }));
        let suspects = std::mem::take(&mut self.suspects);
        let suspects = self.legible(suspects);
        self.happened(Event::Opened { suspects }, ctx);
    }
}

impl Handler<Happened> for Supervisor {
    type Result = ();

    fn handle(&mut self, Happened(event): Happened, ctx: &mut Context<Self>) {
        if let Event::Ended { id, .. } | Event::Unneeded { id } = &event {
            self.running.remove(id);
        }
        self.happened(event, ctx);
    }
}

impl Handler<HandOver> for Supervisor {
    type Result = ();

    fn handle(&mut self, born: HandOver, ctx: &mut Context<Self>) {
        if let Some(kind) = self.shared.kinds.get(born.address.kind())
            && !self.entities.contains_key(&born.address)
        {
            let deps = self.shared.deps.clone();
            let (address, epoch) = (born.address.clone(), self.lease.epoch());
            let entity = Entity::new(address, kind.clone(), born.snapshot, epoch, ctx.address(), deps);
            self.entities.insert(born.address.clone(), entity.start());
        }
        self.happened(Event::Born { actor: born.address, ordered: born.ordered }, ctx);
    }
}

impl Handler<Read> for Supervisor {
    type Result = ();

    fn handle(&mut self, read: Read, ctx: &mut Context<Self>) {
        match read.found {
            Ok(mut found) => {
                for actor in read.actors {
                    let stored = found.remove(&actor);
                    let found = self.enter(actor.clone(), stored, ctx);
                    if let Err(LoadFailure::Newer(why)) = &found {
                        tracing::warn!(%actor, why, "an actor waits for a newer release of this service");
                        self.reached(Milestone::Newer);
                    }
                    self.happened(Event::Loaded { actor, found }, ctx);
                }
            }
            Err(reason) => {
                for actor in read.actors {
                    let found = Err(LoadFailure::Unavailable(reason.clone()));
                    self.happened(Event::Loaded { actor, found }, ctx);
                }
            }
        }
    }
}

impl Handler<Ask> for Supervisor {
    type Result = Standing;

    fn handle(&mut self, _: Ask, _: &mut Context<Self>) -> Standing {
        Standing { actors: self.core.seated(), in_hand: self.core.in_hand() }
    }
}

/// End at once; what is in hand is found in the outbox again.
#[derive(Message)]
#[rtype(result = "()")]
pub struct End;

impl Handler<End> for Supervisor {
    type Result = ();

    fn handle(&mut self, _: End, ctx: &mut Context<Self>) {
        ctx.stop();
    }
}
