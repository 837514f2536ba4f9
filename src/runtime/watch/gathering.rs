//! What gathers for the other nodes between two bulletins. Nothing here waits: it is called for every commit.

use std::collections::{HashMap, HashSet};
use std::sync::Mutex;
use std::sync::atomic::{AtomicBool, Ordering};

use tokio::sync::Notify;

use super::{ProgressChange, lock};
use crate::domain::{Address, EffectNo};

/// Actors that one bulletin names at most; when more have news, everybody is told to look.
pub const NEWS_MAX: usize = 5_000;
/// Activities whose progress waits to be kept, at most; what is beyond shows a little late.
pub const PROGRESS_MAX: usize = 10_000;

/// The gathering place.
#[derive(Default)]
pub struct Gathering {
    /// Whether clients of another node watch something. Without, nothing gathers.
    wanted: AtomicBool,
    gathered: Mutex<Gathered>,
    /// Rings when there is something to say.
    pub stirred: Notify,
}

/// What has gathered.
#[derive(Default)]
pub struct Gathered {
    /// Actors with news.
    pub actors: HashSet<Address>,
    /// There is news of more actors than can be named, or some of it got lost.
    pub look_again: bool,
    /// Somebody began to watch on this node, where nobody did before.
    pub began_to_watch: bool,
    /// The latest progress of activities; `None` for one that ended.
    pub progress: HashMap<(Address, EffectNo), Option<f32>>,
}

impl Gathering {
    pub fn announce(&self, actor: &Address) {
        if !self.wanted.load(Ordering::SeqCst) {
            return;
        }
        let mut gathered = lock(&self.gathered);
        if gathered.look_again {
            return;
        }
        let was_empty = gathered.actors.is_empty();
        gathered.actors.insert(actor.clone());
        if gathered.actors.len() > NEWS_MAX {
            gathered.look_again = true;
            gathered.actors.clear();
        }
        drop(gathered);
        if was_empty {
            self.stirred.notify_one();
        }
    }

    pub fn progressed(&self, actor: &Address, effect: EffectNo, fraction: Option<f32>) {
        let mut gathered = lock(&self.gathered);
        let was_empty = gathered.progress.is_empty();
        if gathered.progress.len() < PROGRESS_MAX {
            gathered.progress.insert((actor.clone(), effect), fraction);
        }
        drop(gathered);
        if was_empty {
            self.stirred.notify_one();
        }
    }

    pub fn begin_to_watch(&self) {
        lock(&self.gathered).began_to_watch = true;
        self.stirred.notify_one();
    }

    /// Everybody is to look again.
    pub fn look_again(&self) {
        lock(&self.gathered).look_again = true;
        self.stirred.notify_one();
    }

    /// Whether news gathers from now on. Answers whether it did before.
    pub fn set_wanted(&self, wanted: bool) -> bool {
        self.wanted.swap(wanted, Ordering::SeqCst)
    }

    #[cfg(test)]
    pub fn gathers(&self) -> bool {
        self.wanted.load(Ordering::SeqCst)
    }

    /// What has gathered for a bulletin; progress stays.
    pub fn take_news(&self) -> Gathered {
        let mut gathered = lock(&self.gathered);
        let progress = std::mem::take(&mut gathered.progress);
        std::mem::replace(&mut *gathered, Gathered { progress, ..Gathered::default() })
    }

    pub fn has_progress(&self) -> bool {
        !lock(&self.gathered).progress.is_empty()
    }

    pub fn take_progress(&self) -> Vec<ProgressChange> {
        let progress = std::mem::take(&mut lock(&self.gathered).progress);
        progress.into_iter().map(|((actor, effect), fraction)| ProgressChange { actor, effect, fraction }).collect()
    }

    /// Gathers progress again that could not be kept, unless there is later progress by now.
    pub fn put_back(&self, changes: impl IntoIterator<Item = ProgressChange>) {
        let mut gathered = lock(&self.gathered);
        for ProgressChange { actor, effect, fraction } in changes {
            if gathered.progress.len() < PROGRESS_MAX {
                gathered.progress.entry((actor, effect)).or_insert(fraction);
            }
        }
    }
}
