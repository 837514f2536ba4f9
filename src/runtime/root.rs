//! The node's root supervisor: starts the partitions' supervisors, starts them again when they die, and ends them.

use std::collections::{BTreeMap, HashSet};
use std::convert::Infallible;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, PoisonError};
use std::time::Duration;

use actix::{Actor, Addr, Arbiter};
use tokio::sync::{mpsc, oneshot};

use super::journal::{Envelope, partition_of};
use super::partition::{Event, Limits};
use super::supervisor::{End, Milestone, Shared, Supervisor, report};

/// How often dead supervisors are looked for.
const LOOK: Duration = Duration::from_millis(250);
/// Which part of a drain's limit is for finishing; the rest is for stopping what did not.
const FINISHING: f64 = 0.8;

/// The root supervisor, on a thread of its own with all partitions.
pub struct Root {
    shared: Arc<Shared>,
    limits: Limits,
    restarts: Arc<AtomicU64>,
    open: Arc<AtomicBool>,
    milestones: mpsc::UnboundedSender<(u32, Milestone)>,
    reached: mpsc::UnboundedReceiver<(u32, Milestone)>,
}

/// The way to a running root.
pub struct Handle {
    drain: mpsc::Sender<(Duration, oneshot::Sender<bool>)>,
}

impl Handle {
    /// Ends all partitions within `limit`; whether everything finished.
    pub async fn drain(&self, limit: Duration) -> bool {
        let (answer, answered) = oneshot::channel();
        if self.drain.send((limit, answer)).await.is_err() {
            return true;
        }
        answered.await.unwrap_or(false)
    }
}

impl Root {
    /// Starts the node's partitions on a thread of their own; those with suspects one after the other, then the rest.
    #[must_use]
    pub fn start(
        shared: Arc<Shared>,
        limits: Limits,
        suspects: Vec<Envelope>,
        restarts: Arc<AtomicU64>,
        open: Arc<AtomicBool>,
    ) -> Handle {
        let (drain, drains) = mpsc::channel(1);
        let (milestones, reached) = mpsc::unbounded_channel();
        let root = Self { shared, limits, restarts, open, milestones, reached };
        Arbiter::new().spawn(root.run(suspects, drains));
        Handle { drain }
    }

    async fn run(mut self, suspects: Vec<Envelope>, mut drains: mpsc::Receiver<(Duration, oneshot::Sender<bool>)>) {
        let drain = tokio::select! {
            // At any time: a trial may wait for a database that is away.
            drain = drains.recv() => drain,
            never = self.supervise(suspects) => match never {},
        };
        let Some((limit, answer)) = drain else { return };
        // The engine that asked may be gone; the partitions end all the same.
        let _ = answer.send(self.drain(limit).await);
    }

    async fn supervise(&mut self, suspects: Vec<Envelope>) -> Infallible {
        let mut trials: BTreeMap<u32, Vec<Envelope>> = BTreeMap::new();
        for suspect in suspects {
            trials.entry(partition_of(&suspect.to, self.shared.partitions)).or_default().push(suspect);
        }
        let tried: HashSet<u32> = trials.keys().copied().collect();
        for (partition, suspects) in trials {
            tracing::warn!(partition, suspects = suspects.len(), "messages in hand at the last death are tried alone");
            self.begin(partition, suspects).await;
            self.wait_for(&HashSet::from([partition]), Milestone::Opened).await;
        }
        for partition in (0..self.shared.partitions).filter(|partition| !tried.contains(partition)) {
            self.begin(partition, Vec::new()).await;
        }
        self.open.store(true, Ordering::Relaxed);
        let mut look = tokio::time::interval(LOOK);
        loop {
            look.tick().await;
            self.revive().await;
        }
    }

    async fn begin(&self, partition: u32, suspects: Vec<Envelope>) {
        if let Err(error) = self.shared.mailbox.open(partition, 0).await {
            tracing::warn!(partition, %error, "the mailbox could not be opened; it is tried again");
        }
        let supervisor =
            Supervisor::new(partition, self.limits.clone(), self.shared.clone(), suspects, self.milestones.clone());
        let address = supervisor.start();
        self.shared.supervisors.write().unwrap_or_else(PoisonError::into_inner).insert(partition, address);
    }

    fn supervisors(&self) -> Vec<(u32, Addr<Supervisor>)> {
        let known = self.shared.supervisors.read().unwrap_or_else(PoisonError::into_inner);
        known.iter().map(|(partition, address)| (*partition, address.clone())).collect()
    }

    /// actix does not start an actor again that panicked; this does.
    async fn revive(&self) {
        for (partition, address) in self.supervisors() {
            if !address.connected() {
                tracing::error!(partition, "a partition's supervisor died and is started again");
                self.restarts.fetch_add(1, Ordering::Relaxed);
                self.begin(partition, Vec::new()).await;
            }
        }
    }

    /// Waits until all of these partitions reached the milestone, reviving what dies meanwhile.
    async fn wait_for(&mut self, partitions: &HashSet<u32>, milestone: Milestone) {
        let mut missing = partitions.clone();
        let mut look = tokio::time::interval(LOOK);
        while !missing.is_empty() {
            tokio::select! {
                reached = self.reached.recv() => match reached {
                    Some((partition, reached)) if reached == milestone => drop(missing.remove(&partition)),
                    Some(_) => {}
                    None => return,
                },
                _ = look.tick() => {
                    self.revive().await;
                }
            }
        }
    }

    async fn drain(&mut self, limit: Duration) -> bool {
        let supervisors = self.supervisors();
        let all: HashSet<u32> = supervisors.iter().map(|(partition, _)| *partition).collect();
        for (_, address) in &supervisors {
            report(address, Event::Drain);
        }
        let mut missing = all.clone();
        let finished = tokio::time::timeout(limit.mul_f64(FINISHING), self.drained(&mut missing)).await.is_ok();
        if !finished {
            tracing::warn!(
                partitions = missing.len(),
                "the limit of the drain is near: running activities are stopped"
            );
            for (_, address) in supervisors.iter().filter(|(partition, _)| missing.contains(partition)) {
                report(address, Event::Stop);
            }
            if tokio::time::timeout(limit.mul_f64(1.0 - FINISHING), self.drained(&mut missing)).await.is_err() {
                tracing::warn!(
                    partitions = missing.len(),
                    "the drain is over its limit; the rest goes on at the next start"
                );
            }
        }
        self.shared.supervisors.write().unwrap_or_else(PoisonError::into_inner).clear();
        for (_, address) in supervisors {
            // One that is gone already has ended.
            let _ = address.send(End).await;
        }
        finished
    }

    /// Waits until nothing is in hand in any of these partitions. One whose supervisor died has nothing in hand: its
    /// activities stopped with it, and what it was about goes on at the next start.
    async fn drained(&mut self, missing: &mut HashSet<u32>) {
        let mut look = tokio::time::interval(LOOK);
        while !missing.is_empty() {
            tokio::select! {
                reached = self.reached.recv() => match reached {
                    Some((partition, Milestone::Drained)) => drop(missing.remove(&partition)),
                    Some(_) => {}
                    None => return,
                },
                _ = look.tick() => {
                    for (partition, _) in self.supervisors().iter().filter(|(_, address)| !address.connected()) {
                        if missing.remove(partition) {
                            tracing::error!(partition, "a partition's supervisor died while it was drained");
                        }
                    }
                }
            }
        }
    }
}
