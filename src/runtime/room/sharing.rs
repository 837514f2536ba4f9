//! Gets the permits that this node's queue needs, renews those it holds, and gives back what it does not use.
//!
//! One exchange is under way at a time, with everything that changed meanwhile. What a node counts on it has said within
//! [`Terms::counted_on`], by its own clock; after that those who are inside go on, and nobody with a key comes in until
//! it was heard again. A limit protects a provider's quota, and what others hold meanwhile is not known: unknown is not
//! free.

use std::collections::{HashMap, HashSet};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use tokio::task::JoinHandle;
use tokio::time::{Instant, MissedTickBehavior, interval, sleep, timeout};
use tokio_util::sync::CancellationToken;
use uuid::Uuid;

use super::Room;
use super::permits::{Everywhere, Grant, Permits, Ring, Saying, Statement, Terms};

/// Keys of one exchange at most.
const KEYS_MAX: usize = 256;
/// How long to wait before what could not be said is said again.
const SAY_AGAIN: Duration = Duration::from_millis(250);
/// How long the last exchange of a node that ends may take, and a look at all nodes.
const LAST_WORD: Duration = Duration::from_millis(500);

/// How the sharing of permits is doing.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct SharingStanding {
    /// For how long the permits cannot be had, and why.
    pub away: Option<(Duration, String)>,
    /// All nodes, if they could be asked.
    pub everywhere: Option<Everywhere>,
}

/// A room's share in the permits of all nodes. When it is dropped, nobody with a key comes in any more.
pub struct Sharing {
    permits: Arc<dyn Permits>,
    absence: Arc<Mutex<Absence>>,
    stop: CancellationToken,
    /// Until it has been waited for.
    task: tokio::sync::Mutex<Option<JoinHandle<()>>>,
}

/// Since when the permits cannot be had, and why.
type Absence = Option<(Instant, String)>;

impl Sharing {
    /// Shares the room's permits as `node`, on the current tokio runtime.
    #[must_use]
    pub fn start(room: &Room, permits: Arc<dyn Permits>, node: Uuid, terms: Terms) -> Self {
        room.door().queue.share();
        let absence = Arc::<Mutex<Absence>>::default();
        let exchanger = Exchanger {
            room: room.clone(),
            permits: permits.clone(),
            node,
            number: 0,
            terms,
            stated: HashMap::new(),
            due: HashSet::new(),
            again: HashSet::new(),
            absence: absence.clone(),
        };
        let stop = CancellationToken::new();
        let stopped = stop.clone();
        let task = tokio::spawn(async move { exchanger.run(&stopped).await });
        Self { permits, absence, stop, task: tokio::sync::Mutex::new(Some(task)) }
    }

    /// How it is doing.
    pub async fn standing(&self) -> SharingStanding {
        let away = self.absence.lock().unwrap_or_else(PoisonError::into_inner).clone();
        let away = away.map(|(since, why)| (since.elapsed(), why));
        let everywhere = match timeout(LAST_WORD, self.permits.everywhere()).await {
            Ok(Ok(everywhere)) => Some(everywhere),
            Ok(Err(_)) | Err(_) => None,
        };
        SharingStanding { away, everywhere }
    }

    /// Ends without a word, as with the process.
    #[cfg(test)]
    pub async fn die(&self) {
        if let Some(task) = self.task.lock().await.take() {
            task.abort();
        }
    }

    /// Gives back what is not in use any more, so that the others need not wait for the end of a lease.
    pub async fn end(&self) {
        self.stop.cancel();
        if let Some(task) = self.task.lock().await.take()
            && let Err(error) = task.await
        {
            tracing::error!(%error, "the sharing of permits broke down");
        }
    }
}

impl Drop for Sharing {
    fn drop(&mut self) {
        self.stop.cancel();
    }
}

/// What was heard last of a key.
struct Stated {
    statement: Statement,
    /// When that was said.
    at: Instant,
}

struct Exchanger {
    room: Room,
    permits: Arc<dyn Permits>,
    node: Uuid,
    number: u64,
    terms: Terms,
    stated: HashMap<Arc<str>, Stated>,
    /// Keys that may have to be spoken of.
    due: HashSet<Arc<str>>,
    /// Those of which it is said again how they are, although nothing changed here.
    again: HashSet<Arc<str>>,
    absence: Arc<Mutex<Absence>>,
}

impl Exchanger {
    async fn run(mut self, stop: &CancellationToken) {
        let mut renewal = interval(self.terms.renewal());
        renewal.set_missed_tick_behavior(MissedTickBehavior::Delay);
        let (room, permits) = (self.room.clone(), self.permits.clone());
        loop {
            tokio::select! {
                biased;
                () = stop.cancelled() => break,
                ring = permits.rang() => self.rang(ring),
                _ = renewal.tick() => self.say_all_again(),
                () = room.0.changed.notified() => {}
                () = std::future::ready(()), if self.has_more() => {}
            }
            self.exchange().await;
        }
        self.say_all_again();
        let last_words = async { while self.exchange().await {} };
        // What it could not give back is free after the lease.
        let _ = timeout(LAST_WORD, last_words).await;
    }

    fn has_more(&self) -> bool {
        !self.due.is_empty() || !self.again.is_empty()
    }

    fn rang(&mut self, ring: Ring) {
        match ring {
            Ring::Keys(keys) => self.again.extend(keys.into_iter().filter(|key| self.stated.contains_key(key))),
            Ring::Gap => self.say_all_again(),
        }
    }

    fn say_all_again(&mut self) {
        self.again.extend(self.stated.keys().cloned());
    }

    /// What is to be said next.
    fn statements(&mut self) -> Vec<Statement> {
        let mut statements = Vec::new();
        let mut door = self.room.door();
        self.due.extend(door.queue.take_changed());
        for key in self.again.extract_if(|_| true).take(KEYS_MAX) {
            self.due.remove(&key);
            statements.push(door.queue.statement(&key));
        }
        let wanted = KEYS_MAX - statements.len();
        let mut said = 0;
        self.due.retain(|key| {
            if said == wanted {
                return true;
            }
            let statement = door.queue.statement(key);
            let is_nothing = statement.held == 0 && statement.wanted == 0;
            let is_said = match self.stated.get(key) {
                Some(stated) => stated.statement == statement,
                None => is_nothing,
            };
            if !is_said {
                said += 1;
                statements.push(statement);
            }
            false
        });
        statements
    }

    /// Whether there was something to say, and it was heard.
    async fn exchange(&mut self) -> bool {
        let statements = self.statements();
        if statements.is_empty() {
            return false;
        }
        self.number += 1;
        let totals = self.room.door().queue.totals();
        let saying = Saying { node: self.node, number: self.number, totals, statements: statements.clone() };
        let at = Instant::now();
        let why = match timeout(self.terms.renewal(), self.permits.exchange(saying)).await {
            Ok(Ok(grants)) => {
                self.heard();
                self.granted(statements, &grants, at);
                return true;
            }
            Ok(Err(away)) => away.0,
            Err(_) => format!("no answer within {:?}", self.terms.renewal()),
        };
        self.again.extend(statements.into_iter().map(|statement| statement.key));
        self.not_heard(why);
        sleep(SAY_AGAIN.min(self.terms.renewal())).await;
        false
    }

    fn granted(&mut self, statements: Vec<Statement>, grants: &[Grant], at: Instant) {
        let mut door = self.room.door();
        let mut grants: HashMap<&str, &Grant> = grants.iter().map(|grant| (&*grant.key, grant)).collect();
        for statement in statements {
            if statement.held == 0 && statement.wanted == 0 {
                self.stated.remove(&statement.key);
                continue;
            }
            // Only what is said late is not answered, and this was said last.
            let Some(grant) = grants.remove(&*statement.key) else { continue };
            let statement = Statement { held: grant.held, ..statement };
            self.stated.insert(grant.key.clone(), Stated { statement, at });
            if grant.held > 0 && door.counted_on_until.is_none() {
                door.counted_on_until = Some(at + self.terms.counted_on());
            }
            let admitted = door.queue.grant(grant);
            door.call(admitted);
        }
        if !self.has_more() {
            let held = self.stated.values().filter(|stated| stated.statement.held > 0);
            door.counted_on_until = held.map(|stated| stated.at + self.terms.counted_on()).min();
        }
        self.room.tell_changes(door);
    }

    fn heard(&self) {
        let mut absence = self.absence.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some((since, _)) = absence.take() {
            tracing::info!(away_for_s = since.elapsed().as_secs(), "permits can be had again");
        }
    }

    fn not_heard(&self, why: String) {
        let mut absence = self.absence.lock().unwrap_or_else(PoisonError::into_inner);
        if absence.is_none() {
            tracing::warn!(why, "permits cannot be had: who holds one goes on, nobody else with a key begins");
        }
        let since = absence.as_ref().map_or_else(Instant::now, |(since, _)| *since);
        *absence = Some((since, why));
    }
}
