//! Who waits for news of an actor: watchers are woken after every commit and every step of progress, and then read.
//!
//! News is a hint: a watcher reads the row, waits, and reads again, with a slow poll for news that got lost. What was
//! committed on this node comes with its news, so that whoever waits for it need not read it. Progress lives here too
//! because it is news that is not worth a commit.
//!
//! With several nodes a [`Relay`] passes news on to the others and takes theirs in; the hub of a node alone has none.

mod gathering;
mod in_process;
mod redis;
mod relay;
#[cfg(test)]
mod tests;
mod wire;

use std::collections::{BTreeMap, HashMap};
use std::sync::{Arc, Mutex, MutexGuard, OnceLock, PoisonError};

use tokio::sync::watch;

use super::journal::Unit;
use crate::domain::{Address, EffectNo};
use gathering::Gathering;

pub use in_process::InProcess;
pub use redis::RedisWire;
pub use relay::{PROGRESS_KEPT, Pace, Relay};
pub use wire::{Away, Heard, ProgressChange, Wire};

/// Watchers at most; one more is told to poll.
pub const WATCHERS_MAX: usize = 20_000;

/// The places where news is announced.
#[derive(Clone, Default)]
pub struct Hub(Arc<Inner>);

#[derive(Default)]
struct Inner {
    watched: Mutex<AllWatched>,
    progress: Mutex<HashMap<Address, BTreeMap<EffectNo, f32>>>,
    /// What the other nodes are to hear; set once, when there are others.
    outgoing: OnceLock<Arc<Gathering>>,
}

#[derive(Default)]
struct AllWatched {
    actors: HashMap<Address, Watched>,
    /// Of all actors together.
    watchers: usize,
}

struct Watched {
    /// Changes with all news; holds what was committed last on this node while somebody watched.
    news: watch::Sender<Option<Arc<Unit>>>,
    watchers: usize,
}

/// There are as many watchers as the node allows.
#[derive(Debug, thiserror::Error)]
#[error("{WATCHERS_MAX} watchers wait already; ask again without waiting")]
pub struct TooManyWatchers;

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    // Nothing under these locks can panic half-way, and news may be lost anyway.
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

impl Hub {
    /// Waits for news of `actor` from now on.
    ///
    /// # Errors
    /// [`TooManyWatchers`] at the limit.
    pub fn watch(&self, actor: &Address) -> Result<Watcher, TooManyWatchers> {
        let mut watched = lock(&self.0.watched);
        if watched.watchers >= WATCHERS_MAX {
            return Err(TooManyWatchers);
        }
        watched.watchers += 1;
        let is_first = watched.watchers == 1;
        let new = || Watched { news: watch::Sender::new(None), watchers: 0 };
        let known = watched.actors.entry(actor.clone()).or_insert_with(new);
        known.watchers += 1;
        let news = known.news.subscribe();
        drop(watched);
        if is_first && let Some(outgoing) = self.0.outgoing.get() {
            outgoing.begin_to_watch();
        }
        Ok(Watcher { hub: self.clone(), actor: actor.clone(), news })
    }

    /// A unit was committed on this node. Never waits: this is called for every commit.
    pub fn committed(&self, unit: &Arc<Unit>) {
        if let Some(watched) = lock(&self.0.watched).actors.get(&unit.actor) {
            watched.news.send_replace(Some(unit.clone()));
        }
        if let Some(outgoing) = self.0.outgoing.get() {
            outgoing.announce(&unit.actor);
        }
    }

    /// Something about `actor` changed beside its state. Never waits.
    pub fn announce(&self, actor: &Address) {
        self.wake(actor);
        if let Some(outgoing) = self.0.outgoing.get() {
            outgoing.announce(actor);
        }
    }

    /// An activity got on: `fraction` of it, from 0 to 1, is done.
    pub fn progressed(&self, actor: &Address, effect: EffectNo, fraction: f32) {
        let fraction = fraction.clamp(0.0, 1.0);
        lock(&self.0.progress).entry(actor.clone()).or_default().insert(effect, fraction);
        self.wake(actor);
        if let Some(outgoing) = self.0.outgoing.get() {
            outgoing.progressed(actor, effect, Some(fraction));
        }
    }

    /// An activity ended or was stopped.
    pub fn ended(&self, actor: &Address, effect: EffectNo) {
        let mut progress = lock(&self.0.progress);
        let Some(effects) = progress.get_mut(actor) else { return };
        let was_told = effects.remove(&effect).is_some();
        if effects.is_empty() {
            progress.remove(actor);
        }
        drop(progress);
        if was_told && let Some(outgoing) = self.0.outgoing.get() {
            outgoing.progressed(actor, effect, None);
        }
    }

    /// How far the actor's activities are that run on this node.
    #[must_use]
    pub fn progress(&self, actor: &Address) -> BTreeMap<EffectNo, f32> {
        lock(&self.0.progress).get(actor).cloned().unwrap_or_default()
    }

    /// Actors that are watched on this node.
    #[must_use]
    pub fn watched(&self) -> usize {
        lock(&self.0.watched).actors.len()
    }

    fn wake(&self, actor: &Address) {
        if let Some(watched) = lock(&self.0.watched).actors.get(actor) {
            watched.news.send_modify(|_| {});
        }
    }

    /// The actors that are watched on this node.
    fn all_watched(&self) -> Vec<Address> {
        lock(&self.0.watched).actors.keys().cloned().collect()
    }

    /// The progress of all activities that run on this node.
    fn all_progress(&self) -> Vec<ProgressChange> {
        let progress = lock(&self.0.progress);
        let of = |(actor, effects): (&Address, &BTreeMap<EffectNo, f32>)| -> Vec<ProgressChange> {
            let change = |(effect, fraction): (&EffectNo, &f32)| ProgressChange {
                actor: actor.clone(),
                effect: *effect,
                fraction: Some(*fraction),
            };
            effects.iter().map(change).collect()
        };
        progress.iter().flat_map(of).collect()
    }
}

/// Waits for news of one actor; stops watching when dropped.
pub struct Watcher {
    hub: Hub,
    actor: Address,
    news: watch::Receiver<Option<Arc<Unit>>>,
}

impl Watcher {
    /// What was committed last on this node since somebody watches the actor. Another node may have committed more since.
    #[must_use]
    pub fn committed(&self) -> Option<Arc<Unit>> {
        self.news.borrow().clone()
    }

    /// Waits until there is news since the last call, or since the watcher was made.
    pub async fn changed(&mut self) {
        if self.news.changed().await.is_err() {
            // The hub outlives its watchers; should it ever not, there will be no more news.
            std::future::pending::<()>().await;
        }
    }
}

impl Drop for Watcher {
    fn drop(&mut self) {
        let mut watched = lock(&self.hub.0.watched);
        watched.watchers -= 1;
        if let Some(known) = watched.actors.get_mut(&self.actor) {
            known.watchers -= 1;
            if known.watchers == 0 {
                watched.actors.remove(&self.actor);
            }
        }
    }
}
