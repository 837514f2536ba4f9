//! Who waits for news of an actor: watchers are woken after every commit and every step of progress, and then read.
//!
//! News is a hint, never the state: a watcher reads the row, waits, and reads again, with a slow poll for news that got
//! lost. Progress lives here too because it is news that is not worth a commit.

use std::collections::{BTreeMap, HashMap};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use tokio::sync::watch;

use crate::domain::{Address, EffectNo};

/// Watchers at most; one more is told to poll.
pub const WATCHERS_MAX: usize = 20_000;

/// The places where news is announced.
#[derive(Clone, Default)]
pub struct Hub(Arc<Inner>);

#[derive(Default)]
struct Inner {
    watched: Mutex<HashMap<Address, Watched>>,
    progress: Mutex<HashMap<Address, BTreeMap<EffectNo, f32>>>,
}

struct Watched {
    news: watch::Sender<u64>,
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
        if let Some(known) = watched.get_mut(actor) {
            known.watchers += 1;
            return Ok(Watcher { hub: self.clone(), actor: actor.clone(), news: known.news.subscribe() });
        }
        if watched.len() >= WATCHERS_MAX {
            return Err(TooManyWatchers);
        }
        let (sender, news) = watch::channel(0);
        watched.insert(actor.clone(), Watched { news: sender, watchers: 1 });
        Ok(Watcher { hub: self.clone(), actor: actor.clone(), news })
    }

    /// Something about `actor` changed.
    pub fn announce(&self, actor: &Address) {
        if let Some(watched) = lock(&self.0.watched).get(actor) {
            watched.news.send_modify(|count| *count += 1);
        }
    }

    /// An activity got on: `fraction` of it, from 0 to 1, is done.
    pub fn progressed(&self, actor: &Address, effect: EffectNo, fraction: f32) {
        lock(&self.0.progress).entry(actor.clone()).or_default().insert(effect, fraction.clamp(0.0, 1.0));
        self.announce(actor);
    }

    /// An activity ended or was stopped.
    pub fn ended(&self, actor: &Address, effect: EffectNo) {
        let mut progress = lock(&self.0.progress);
        if let Some(effects) = progress.get_mut(actor) {
            effects.remove(&effect);
            if effects.is_empty() {
                progress.remove(actor);
            }
        }
    }

    /// How far the actor's running activities are.
    #[must_use]
    pub fn progress(&self, actor: &Address) -> BTreeMap<EffectNo, f32> {
        lock(&self.0.progress).get(actor).cloned().unwrap_or_default()
    }

    /// Actors that are watched.
    #[must_use]
    pub fn watched(&self) -> usize {
        lock(&self.0.watched).len()
    }
}

/// Waits for news of one actor; stops watching when dropped.
pub struct Watcher {
    hub: Hub,
    actor: Address,
    news: watch::Receiver<u64>,
}

impl Watcher {
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
        if let Some(known) = watched.get_mut(&self.actor) {
            known.watchers -= 1;
            if known.watchers == 0 {
                watched.remove(&self.actor);
            }
        }
    }
}
