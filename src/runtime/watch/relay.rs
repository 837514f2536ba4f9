//! Passes a node's news on to the other nodes, and takes theirs in.
//!
//! A bulletin names all actors that had news since the last one, so that a node that commits thousands of times a second
//! publishes a hundred bulletins. Nothing is gathered while no other node's client watches: a node whose clients do says
//! so when the first one comes and now and then ([`Pace::watching`]), and is forgotten when it does not. Whoever begins to
//! gather says "look again" first, for what it committed before it knew. The same is said after news got lost.

use std::collections::{BTreeMap, HashSet};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use tokio::time::{Instant, MissedTickBehavior, interval, sleep, sleep_until, timeout};
use tokio_util::sync::{CancellationToken, DropGuard};
use uuid::Uuid;

use super::gathering::Gathering;
use super::wire::{Bulletin, Heard, ProgressChange, Said, Wire};
use super::{Hub, lock};
use crate::domain::{Address, EffectNo};

/// Progress is kept for this long after it was last told.
pub const PROGRESS_KEPT: Duration = Duration::from_secs(60);
/// How long one bulletin may take.
const PATIENCE: Duration = Duration::from_secs(2);
/// How long a reader waits for progress that other nodes told.
const READ_PATIENCE: Duration = Duration::from_millis(250);
/// After progress could not be read, nobody tries for this long.
const READ_AGAIN: Duration = Duration::from_secs(1);
/// When everybody is to look again, so many do at once, and the next after a moment: each look is a read.
const LOOKING_MAX: usize = 1_000;
/// That moment.
const LOOKING_PACE: Duration = Duration::from_millis(50);

/// How often a node says what.
#[derive(Clone, Copy, Debug)]
pub struct Pace {
    /// Bulletins are at least this far apart; the first after a silence goes out at once.
    pub bulletins: Duration,
    /// How often a node whose clients watch says so. One that was not heard of for four times as long is forgotten.
    pub watching: Duration,
    /// The progress of an activity is kept at most this often.
    pub progress: Duration,
    /// The progress of what still runs is told again this often, be it only to a server that forgot it.
    pub renewal: Duration,
}

impl Default for Pace {
    fn default() -> Self {
        Self {
            bulletins: Duration::from_millis(10),
            watching: Duration::from_secs(2),
            progress: Duration::from_millis(200),
            renewal: PROGRESS_KEPT / 3,
        }
    }
}

impl Pace {
    fn watching_fades(&self) -> Duration {
        self.watching * 4
    }
}

/// A hub's connection to the other nodes; it ends with this.
pub struct Relay {
    hub: Hub,
    wire: Arc<dyn Wire>,
    /// Until when progress is not read.
    blind_until: Mutex<Option<Instant>>,
    _stops: DropGuard,
}

impl Relay {
    /// Connects a hub that is not connected yet, as `node`, on the current tokio runtime.
    #[must_use]
    pub fn start(hub: &Hub, wire: Arc<dyn Wire>, node: Uuid, pace: Pace) -> Self {
        let outgoing = hub.0.outgoing.get_or_init(Arc::default).clone();
        let watchers_heard = Arc::new(Mutex::new(None));
        let stop = CancellationToken::new();
        let listener = Listener {
            hub: hub.clone(),
            wire: wire.clone(),
            node,
            outgoing: outgoing.clone(),
            watchers_heard: watchers_heard.clone(),
        };
        tokio::spawn(stop.clone().run_until_cancelled_owned(listener.run()));
        let now = Instant::now();
        let speaker = Speaker {
            hub: hub.clone(),
            wire: wire.clone(),
            node,
            outgoing,
            watchers_heard,
            pace,
            said_watching: None,
            is_away: false,
            kept: HashSet::new(),
            progress_due: now,
            renewal_due: now + pace.renewal,
        };
        tokio::spawn(stop.clone().run_until_cancelled_owned(speaker.run()));
        Self { hub: hub.clone(), wire, blind_until: Mutex::default(), _stops: stop.drop_guard() }
    }

    /// How far an actor's activities are, wherever they run. Nothing when that cannot be read: progress is no state.
    pub async fn progress(&self, actor: &Address) -> BTreeMap<EffectNo, f32> {
        let here = self.hub.progress(actor);
        let is_blind = lock(&self.blind_until).is_some_and(|until| Instant::now() < until);
        if !here.is_empty() || is_blind {
            return here;
        }
        let why = match timeout(READ_PATIENCE, self.wire.progress(actor)).await {
            Ok(Ok(progress)) => return progress,
            Ok(Err(away)) => away.to_string(),
            Err(_) => format!("no answer within {READ_PATIENCE:?}"),
        };
        tracing::debug!(%actor, why, "the progress that other nodes told could not be read");
        *lock(&self.blind_until) = Some(Instant::now() + READ_AGAIN);
        here
    }
}

/// Tells the others.
struct Speaker {
    hub: Hub,
    wire: Arc<dyn Wire>,
    node: Uuid,
    outgoing: Arc<Gathering>,
    watchers_heard: Arc<Mutex<Option<Instant>>>,
    pace: Pace,
    said_watching: Option<Instant>,
    /// The last bulletin got lost.
    is_away: bool,
    /// Activities whose progress is kept.
    kept: HashSet<(Address, EffectNo)>,
    progress_due: Instant,
    renewal_due: Instant,
}

impl Speaker {
    async fn run(mut self) {
        let mut look = interval(self.pace.watching / 2);
        look.set_missed_tick_behavior(MissedTickBehavior::Delay);
        let outgoing = self.outgoing.clone();
        loop {
            tokio::select! {
                () = outgoing.stirred.notified() => {}
                () = sleep_until(self.progress_due), if outgoing.has_progress() => {}
                _ = look.tick() => self.forget_watchers(),
            }
            self.tell_progress().await;
            self.tell_news().await;
            sleep(self.pace.bulletins).await;
        }
    }

    fn forget_watchers(&self) {
        let mut heard = lock(&self.watchers_heard);
        if heard.is_some_and(|at| at.elapsed() > self.pace.watching_fades()) {
            *heard = None;
            self.outgoing.set_wanted(false);
        }
    }

    /// Before the news of it, which whoever hears it will look for.
    async fn tell_progress(&mut self) {
        let now = Instant::now();
        if now >= self.renewal_due {
            self.renewal_due = now + self.pace.renewal;
            self.outgoing.put_back(self.hub.all_progress());
        }
        if now < self.progress_due || !self.outgoing.has_progress() {
            return;
        }
        self.progress_due = now + self.pace.progress;
        let is_known = |change: &ProgressChange| {
            change.fraction.is_some() || self.kept.contains(&(change.actor.clone(), change.effect))
        };
        let changes: Vec<ProgressChange> = self.outgoing.take_progress().into_iter().filter(is_known).collect();
        if changes.is_empty() {
            return;
        }
        let told = match timeout(PATIENCE, self.wire.keep_progress(changes.clone())).await {
            Ok(told) => told.map_err(|away| away.to_string()),
            Err(_) => Err(format!("no answer within {PATIENCE:?}")),
        };
        if let Err(why) = told {
            tracing::debug!(why, "progress could not be kept for the other nodes");
            self.outgoing.put_back(changes);
            self.progress_due = now + READ_AGAIN;
            return;
        }
        for ProgressChange { actor, effect, fraction } in changes {
            self.outgoing.announce(&actor);
            match fraction {
                Some(_) => self.kept.insert((actor, effect)),
                None => self.kept.remove(&(actor, effect)),
            };
        }
    }

    async fn tell_news(&mut self) {
        let news = self.outgoing.take_news();
        let is_due = self.said_watching.is_none_or(|at| at.elapsed() >= self.pace.watching);
        if self.hub.watched() > 0 && (news.began_to_watch || is_due) && self.say(Said::Watching).await {
            self.said_watching = Some(Instant::now());
        }
        if news.look_again || (self.is_away && !news.actors.is_empty()) {
            if !self.say(Said::LookAgain).await {
                self.outgoing.look_again();
            }
        } else if !news.actors.is_empty() && !self.say(Said::News(news.actors.into_iter().collect())).await {
            self.outgoing.look_again();
        }
    }

    /// Whether it could be said.
    async fn say(&mut self, said: Said) -> bool {
        let bulletin = Bulletin { node: self.node, said };
        let text = serde_json::to_string(&bulletin).expect("a bulletin has text keys only");
        let why = match timeout(PATIENCE, self.wire.publish(text)).await {
            Ok(Ok(())) => {
                if std::mem::take(&mut self.is_away) {
                    tracing::info!("news reaches the other nodes again");
                }
                return true;
            }
            Ok(Err(away)) => away.to_string(),
            Err(_) => format!("no answer within {PATIENCE:?}"),
        };
        if !std::mem::replace(&mut self.is_away, true) {
            tracing::warn!(why, "news does not reach the other nodes; whoever watches there looks every second");
        }
        // It rings again by itself: what waits is not tried in a circle.
        sleep(READ_AGAIN).await;
        false
    }
}

/// Hears the others.
struct Listener {
    hub: Hub,
    wire: Arc<dyn Wire>,
    node: Uuid,
    outgoing: Arc<Gathering>,
    watchers_heard: Arc<Mutex<Option<Instant>>>,
}

impl Listener {
    async fn run(self) {
        loop {
            match self.wire.hear().await {
                Heard::Gap => {
                    self.watchers_heard();
                    self.look_again().await;
                }
                Heard::Bulletin(text) => match serde_json::from_str::<Bulletin>(&text) {
                    Ok(bulletin) if bulletin.node == self.node => {}
                    Ok(bulletin) => self.heard(bulletin.said).await,
                    // A newer release may say what this one does not know.
                    Err(error) => tracing::debug!(%error, "a bulletin could not be read"),
                },
            }
        }
    }

    async fn heard(&self, said: Said) {
        match said {
            Said::News(actors) => actors.iter().for_each(|actor| self.hub.wake(actor)),
            Said::LookAgain => self.look_again().await,
            Said::Watching => {
                if !self.watchers_heard() {
                    self.outgoing.look_again();
                }
            }
        }
    }

    /// Clients of another node watch. Answers whether that was known.
    fn watchers_heard(&self) -> bool {
        let mut heard = lock(&self.watchers_heard);
        *heard = Some(Instant::now());
        self.outgoing.set_wanted(true)
    }

    async fn look_again(&self) {
        for some in self.hub.all_watched().chunks(LOOKING_MAX) {
            some.iter().for_each(|actor| self.hub.wake(actor));
            if some.len() == LOOKING_MAX {
                sleep(LOOKING_PACE).await;
            }
        }
    }
}
