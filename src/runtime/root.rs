//! The node's root supervisor: opens and ends partitions as their leases come and go, and starts supervisors again that died.

use std::collections::{HashMap, HashSet, VecDeque};
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, PoisonError};
use std::time::Duration;

use actix::{Actor, Addr, Arbiter};
use tokio::sync::{mpsc, oneshot};
use tokio::time::Instant;

use super::journal::{Envelope, partition_of};
use super::lease::{Door, Lease, Order, Report};
use super::partition::{Event, Limits};
use super::supervisor::{End, Milestone, Reached, Shared, Supervisor, report};

/// How often dead supervisors are looked for.
const LOOK: Duration = Duration::from_millis(250);
/// Which part of a drain's limit is for finishing; the rest is for stopping what did not.
const FINISHING: f64 = 0.8;
/// What runs of a partition that goes to another node has so long to end; then it is stopped, and begins again there.
const HANDOVER_LIMIT: Duration = Duration::from_secs(20);
/// How long to wait before a journal that did not answer is asked again.
const ASK_AGAIN: Duration = Duration::from_millis(500);
/// Suspects read at once; more than that were not in hand of one process.
const SUSPECTS_MAX: u64 = 4_096;

/// The root supervisor, on a thread of its own with all partitions.
pub struct Root {
    shared: Arc<Shared>,
    limits: Limits,
    restarts: Arc<AtomicU64>,
    open: Arc<AtomicBool>,
    milestones: mpsc::UnboundedSender<Reached>,
    reached: mpsc::UnboundedReceiver<Reached>,
    /// Partitions that are open here.
    here: HashMap<u32, Here>,
    opening: Opening,
    /// Who says what is ours; `None` for the only server, to which everything belongs.
    leases: Option<Door>,
    /// What can be had at the start is here.
    joined: bool,
    ending: Option<Ending>,
}

struct Here {
    address: Addr<Supervisor>,
    lease: Lease,
    /// Until when it may finish, when it drains.
    drains_until: Option<Instant>,
}

/// Partitions that will be open: their mailboxes are opened and their suspects are read, a batch at a time.
#[derive(Default)]
struct Opening {
    wanted: Vec<(u32, Lease)>,
    /// The batch that is being prepared.
    batch: Vec<(u32, Lease)>,
    prepared: Option<oneshot::Receiver<Vec<Envelope>>>,
    /// Those with suspects: one after the other, and nothing else begins meanwhile.
    trials: VecDeque<(u32, Lease, Vec<Envelope>)>,
    tried: Option<u32>,
    ready: Vec<(u32, Lease)>,
}

impl Opening {
    fn is_done(&self) -> bool {
        self.wanted.is_empty() && self.batch.is_empty() && self.trials.is_empty() && self.tried.is_none()
    }

    /// Forgets a partition; whether it was to be opened.
    fn forget(&mut self, partition: u32) -> bool {
        let count =
            |opening: &Self| opening.wanted.len() + opening.batch.len() + opening.trials.len() + opening.ready.len();
        let before = count(self);
        self.wanted.retain(|(other, _)| *other != partition);
        self.batch.retain(|(other, _)| *other != partition);
        self.trials.retain(|(other, ..)| *other != partition);
        self.ready.retain(|(other, _)| *other != partition);
        count(self) < before
    }
}

struct Ending {
    stop_at: Instant,
    end_at: Instant,
    finished: bool,
    answer: oneshot::Sender<bool>,
}

/// The way to a running root.
pub struct Handle {
    drain: mpsc::Sender<(Duration, oneshot::Sender<bool>)>,
}

impl Handle {
    /// Ends all partitions within `limit`, and gives them back; whether everything finished.
    pub async fn drain(&self, limit: Duration) -> bool {
        let (answer, answered) = oneshot::channel();
        if self.drain.send((limit, answer)).await.is_err() {
            return true;
        }
        answered.await.unwrap_or(false)
    }
}

/// Something the root hears.
enum Heard {
    Drain(Duration, oneshot::Sender<bool>),
    Order(Order),
    Reached(Reached),
    Prepared(Vec<Envelope>),
    /// Time passed.
    Look,
}

impl Root {
    /// Starts the node's partitions on a thread of their own: those that `leases` says are ours, or all of them.
    #[must_use]
    pub fn start(
        shared: Arc<Shared>,
        limits: Limits,
        leases: Option<Door>,
        restarts: Arc<AtomicU64>,
        open: Arc<AtomicBool>,
    ) -> Handle {
        let (drain, drains) = mpsc::channel(1);
        let (milestones, reached) = mpsc::unbounded_channel();
        let mut opening = Opening::default();
        let joined = leases.is_none();
        if joined {
            opening.wanted = (0..shared.partitions).map(|partition| (partition, Lease::sole())).collect();
        }
        let here = HashMap::new();
        let root =
            Self { shared, limits, restarts, open, milestones, reached, here, opening, leases, joined, ending: None };
        Arbiter::new().spawn(root.run(drains));
        Handle { drain }
    }

    async fn run(mut self, mut drains: mpsc::Receiver<(Duration, oneshot::Sender<bool>)>) {
        let mut look = tokio::time::interval(LOOK);
        loop {
            self.open_more().await;
            if self.has_ended().await {
                return;
            }
            let heard = tokio::select! {
                // What ends something first: a node that woke up late must not begin anything before.
                biased;
                order = next_order(&mut self.leases) => Heard::Order(order),
                Some((limit, answer)) = drains.recv() => Heard::Drain(limit, answer),
                Some(reached) = self.reached.recv() => Heard::Reached(reached),
                suspects = prepared(&mut self.opening.prepared) => Heard::Prepared(suspects),
                _ = look.tick() => Heard::Look,
            };
            match heard {
                Heard::Drain(limit, answer) => self.leave(limit, answer),
                Heard::Order(order) => self.carry_out(order).await,
                Heard::Reached(reached) => self.heard(reached).await,
                Heard::Prepared(suspects) => self.try_first(suspects),
                Heard::Look => self.look().await,
            }
        }
    }

    async fn carry_out(&mut self, order: Order) {
        match order {
            Order::Open(partition, lease) => {
                self.end(partition).await;
                if self.ending.is_none() {
                    self.opening.wanted.push((partition, lease));
                }
            }
            Order::Drain(partition) => self.drain(partition, Instant::now() + HANDOVER_LIMIT),
            Order::Close(partition) => {
                self.opening.forget(partition);
                self.end(partition).await;
            }
            Order::Joined => self.joined = true,
            Order::Left => {
                self.leases = None;
                if self.ending.is_none() {
                    tracing::error!(
                        "the keeper of the leases has ended: nothing is ours any more; start the node again"
                    );
                    for partition in self.here.keys().copied().collect::<Vec<_>>() {
                        self.end(partition).await;
                    }
                }
            }
        }
    }

    /// Prepares what is wanted, and opens what is prepared.
    async fn open_more(&mut self) {
        let opening = &mut self.opening;
        if opening.prepared.is_none() && opening.batch.is_empty() && !opening.wanted.is_empty() {
            opening.batch = std::mem::take(&mut opening.wanted);
            let (answer, prepared) = oneshot::channel();
            opening.prepared = Some(prepared);
            actix::spawn(prepare(self.shared.clone(), opening.batch.clone(), answer));
        }
        if self.opening.tried.is_some() {
            return;
        }
        if let Some((partition, lease, suspects)) = self.opening.trials.pop_front() {
            tracing::warn!(partition, suspects = suspects.len(), "messages in hand at the last death are tried alone");
            self.opening.tried = Some(partition);
            return self.begin(partition, lease, suspects);
        }
        for (partition, lease) in std::mem::take(&mut self.opening.ready) {
            self.begin(partition, lease, Vec::new());
        }
        if self.joined && self.opening.is_done() {
            self.open.store(true, Ordering::Relaxed);
        }
    }

    /// What was prepared is opened: partitions with suspects first.
    fn try_first(&mut self, suspects: Vec<Envelope>) {
        self.opening.prepared = None;
        let mut trials: HashMap<u32, Vec<Envelope>> = HashMap::new();
        for suspect in suspects {
            trials.entry(partition_of(&suspect.to, self.shared.partitions)).or_default().push(suspect);
        }
        for (partition, lease) in std::mem::take(&mut self.opening.batch) {
            match trials.remove(&partition) {
                Some(suspects) => self.opening.trials.push_back((partition, lease, suspects)),
                None => self.opening.ready.push((partition, lease)),
            }
        }
    }

    fn begin(&mut self, partition: u32, lease: Lease, suspects: Vec<Envelope>) {
        let (shared, limits, milestones) = (self.shared.clone(), self.limits.clone(), self.milestones.clone());
        let address = Supervisor::new(partition, lease.clone(), limits, shared, suspects, milestones).start();
        self.shared.supervisors.write().unwrap_or_else(PoisonError::into_inner).insert(partition, address.clone());
        self.here.insert(partition, Here { address, lease, drains_until: None });
    }

    async fn heard(&mut self, reached: Reached) {
        let Reached { partition, epoch, milestone } = reached;
        // What a supervisor said in an earlier epoch says nothing of the present one.
        if self.here.get(&partition).is_none_or(|here| here.lease.epoch() != epoch) {
            return;
        }
        match milestone {
            Milestone::Opened => drop(self.opening.tried.take_if(|tried| *tried == partition)),
            Milestone::Drained => self.drained(partition).await,
            Milestone::Fenced => {
                if let Some(epoch) = epoch {
                    self.tell(Report::Fenced(partition, epoch));
                }
            }
            Milestone::Newer => self.tell(Report::Newer(partition)),
        }
    }

    fn tell(&self, report: Report) {
        if let Some(leases) = &self.leases
            && leases.reports.send(report).is_err()
        {
            tracing::debug!(?report, "the keeper of the leases has ended");
        }
    }

    /// Starts what died again, and stops what does not finish in time.
    async fn look(&mut self) {
        let now = Instant::now();
        for partition in self.here.keys().copied().collect::<Vec<_>>() {
            let Some(here) = self.here.get_mut(&partition) else { continue };
            let late = here.drains_until.take_if(|until| *until <= now).is_some();
            if late {
                // Once: it drains on, without what ran.
                here.drains_until = Some(now + HANDOVER_LIMIT);
                tracing::warn!(partition, "what still runs of a partition that is handed over is stopped");
                report(&here.address, Event::Stop);
            }
            if here.address.connected() {
                continue;
            }
            self.restarts.fetch_add(1, Ordering::Relaxed);
            self.opening.tried.take_if(|tried| *tried == partition);
            if here.drains_until.is_some() {
                tracing::error!(partition, "a partition's supervisor died while it was drained");
                // It has nothing in hand: its activities stopped with it, and what it was about goes on later.
                self.drained(partition).await;
            } else {
                tracing::error!(partition, "a partition's supervisor died and is started again");
                let lease = here.lease.clone();
                open_mailbox(&self.shared, partition, &lease).await;
                self.begin(partition, lease, Vec::new());
            }
        }
        self.stop_late();
    }

    fn drain(&mut self, partition: u32, until: Instant) {
        if let Some(here) = self.here.get_mut(&partition) {
            here.drains_until = Some(until);
            report(&here.address, Event::Drain);
            return;
        }
        // Nothing of it was begun.
        let waiting = [&self.opening.wanted, &self.opening.batch, &self.opening.ready].into_iter().flatten();
        let trials = self.opening.trials.iter().map(|(partition, lease, _)| (partition, lease));
        let lease = waiting.map(|(partition, lease)| (partition, lease)).chain(trials);
        let epoch = lease.filter(|(other, _)| **other == partition).find_map(|(_, lease)| lease.epoch());
        self.opening.forget(partition);
        if let Some(epoch) = epoch {
            self.tell(Report::Drained(partition, epoch));
        }
    }

    /// Its supervisor ends before it is given back.
    async fn drained(&mut self, partition: u32) {
        let epoch = self.here.get(&partition).and_then(|here| here.lease.epoch());
        self.end(partition).await;
        if let Some(epoch) = epoch {
            self.tell(Report::Drained(partition, epoch));
        }
    }

    async fn end(&mut self, partition: u32) {
        self.opening.tried.take_if(|tried| *tried == partition);
        let Some(here) = self.here.remove(&partition) else { return };
        self.shared.supervisors.write().unwrap_or_else(PoisonError::into_inner).remove(&partition);
        // One that is gone already has ended.
        let _ = here.address.send(End).await;
        self.shared.mailbox.close(partition).await;
    }

    fn leave(&mut self, limit: Duration, answer: oneshot::Sender<bool>) {
        let now = Instant::now();
        let (stop_at, end_at) = (now + limit.mul_f64(FINISHING), now + limit);
        self.ending = Some(Ending { stop_at, end_at, finished: true, answer });
        self.tell(Report::Leave);
        if self.leases.is_none() {
            self.opening = Opening::default();
            let all: HashSet<u32> = self.here.keys().copied().collect();
            for partition in all {
                self.drain(partition, end_at);
            }
        }
    }

    /// What runs at an end has most of its limit to finish.
    fn stop_late(&mut self) {
        let now = Instant::now();
        let Some(ending) = self.ending.as_mut().filter(|ending| ending.finished && ending.stop_at <= now) else {
            return;
        };
        if self.here.is_empty() {
            return;
        }
        ending.finished = false;
        tracing::warn!(partitions = self.here.len(), "the limit of the drain is near: running activities are stopped");
        for here in self.here.values() {
            report(&here.address, Event::Stop);
        }
    }

    /// Whether the end has come: everything is given back, or its limit is over.
    async fn has_ended(&mut self) -> bool {
        let Some(ending) = &self.ending else { return false };
        let late = ending.end_at <= Instant::now();
        if late {
            tracing::warn!(
                partitions = self.here.len(),
                "the drain is over its limit; the rest goes on at the next start or elsewhere"
            );
        }
        let everything_is_given_back = self.here.is_empty() && self.leases.is_none();
        if !late && !everything_is_given_back {
            return false;
        }
        for partition in self.here.keys().copied().collect::<Vec<_>>() {
            self.end(partition).await;
        }
        if let Some(ending) = self.ending.take() {
            // The engine that asked may be gone; the partitions have ended all the same.
            let _ = ending.answer.send(ending.finished && !late);
        }
        true
    }
}

/// What the keeper of the leases says; nothing, ever, when there is none. One that is gone says that nothing is left.
async fn next_order(leases: &mut Option<Door>) -> Order {
    match leases {
        Some(leases) => leases.orders.recv().await.unwrap_or(Order::Left),
        None => std::future::pending().await,
    }
}

async fn prepared(under_way: &mut Option<oneshot::Receiver<Vec<Envelope>>>) -> Vec<Envelope> {
    match under_way {
        // It answers, or goes with this thread.
        Some(prepared) => prepared.await.unwrap_or_default(),
        None => std::future::pending().await,
    }
}

/// Opens the mailbox of a partition in its epoch.
async fn open_mailbox(shared: &Shared, partition: u32, lease: &Lease) {
    let epoch = lease.epoch().map_or(0, |epoch| epoch.0.unsigned_abs());
    if let Err(error) = shared.mailbox.open(partition, epoch).await {
        tracing::warn!(partition, %error, "the mailbox could not be opened; it is tried again");
    }
}

/// Opens the mailboxes of these partitions, and reads who is suspected there: without that, nothing may begin.
async fn prepare(shared: Arc<Shared>, batch: Vec<(u32, Lease)>, answer: oneshot::Sender<Vec<Envelope>>) {
    let open = batch.iter().map(|(partition, lease)| open_mailbox(&shared, *partition, lease));
    futures_util::future::join_all(open).await;
    let partitions: Vec<u32> = batch.iter().map(|(partition, _)| *partition).collect();
    let suspects = loop {
        match shared.journal.suspects(&partitions, SUSPECTS_MAX).await {
            Ok(suspects) => break suspects,
            Err(error) => {
                let error = &error as &(dyn std::error::Error + 'static);
                tracing::warn!(error, "the suspects of the last death cannot be read; it is tried again");
            }
        }
        tokio::time::sleep(ASK_AGAIN).await;
    };
    // Nobody waits for it when the node ends.
    let _ = answer.send(suspects);
}
