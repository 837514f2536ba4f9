//! Tasks as they are read by polls, waits and streams.
//!
//! Reads that come at the same time become one statement, unless each is answered at once. Finished tasks are remembered
//! for a few seconds: nothing about them changes silently.

use std::collections::{HashMap, HashSet};
use std::sync::Arc;

use sea_orm::{ConnectionTrait as _, Statement};
use strum::IntoEnumIterator as _;
use tokio::sync::{mpsc, oneshot};

use super::Database;
use super::cache::Cache;
use crate::domain::ids::TaskId;
use crate::domain::{Address, Machine, Timestamp, task};
use crate::runtime::journal::{self, Journal, Stored, Unit};

/// Reads that wait for their turn; one more is refused.
const WAITING_MAX: usize = 8_192;
/// Tasks read by one statement.
const BATCH_MAX: usize = 256;
/// Finished tasks remembered.
const FINISHED_MAX: usize = 4_096;
/// For how long.
const FINISHED_MS: i64 = 5_000;

/// A task could not be read.
#[derive(Clone, Debug, thiserror::Error)]
pub enum Error {
    /// Too many reads wait.
    #[error("more than {WAITING_MAX} reads of tasks wait for the database")]
    Busy,
    /// The database failed or was too slow.
    #[error("tasks could not be read")]
    Read(#[source] Arc<journal::Error>),
    /// The state is no task's, or a newer release's.
    #[error("the state of task {id} cannot be read: {reason}")]
    Unreadable {
        /// Which task.
        id: TaskId,
        /// What is wrong.
        reason: String,
    },
}

/// A task as it is stored.
#[derive(Clone, Debug, PartialEq)]
pub struct Known {
    /// How many decisions led to it.
    pub version: u64,
    /// What it knows.
    pub state: task::State,
    /// Something of it was set aside and waits for a person.
    pub attention: bool,
}

#[derive(Clone)]
struct Found {
    stored: Stored,
    attention: bool,
}

struct Ask {
    id: TaskId,
    reply: oneshot::Sender<Result<Option<Found>, Error>>,
}

/// The tasks. Clones share the reader.
#[derive(Clone)]
pub struct Tasks {
    journal: Journal,
    asks: mpsc::Sender<Ask>,
    finished: Arc<Cache<TaskId, Arc<Known>>>,
}

impl Tasks {
    /// Starts the reader on the current tokio runtime; it ends with the last clone.
    #[must_use]
    pub fn start(journal: Journal) -> Self {
        let (asks, waiting) = mpsc::channel(WAITING_MAX);
        tokio::spawn(read_together(journal.clone(), waiting));
        Self { journal, asks, finished: Arc::new(Cache::new(FINISHED_MAX, FINISHED_MS)) }
    }

    /// A task, or `None` when there is none of that id. What is not finished is as fresh as the database.
    ///
    /// # Errors
    /// [`Error`].
    pub async fn read(&self, id: &TaskId, now: Timestamp) -> Result<Option<Arc<Known>>, Error> {
        if let Some(known) = self.finished.get(id, now) {
            return Ok(Some(known));
        }
        let Some(found) = self.find(id).await? else {
            return Ok(None);
        };
        let known = Arc::new(known(id, &found)?);
        if known.state.status.is_final() && !known.attention {
            self.finished.put(id.clone(), known.clone(), now);
        }
        Ok(Some(known))
    }

    /// Learns what was committed just now: a task that has ended with it need not be read.
    ///
    /// # Errors
    /// [`Error::Unreadable`].
    pub fn learn(&self, committed: &Unit, now: Timestamp) -> Result<(), Error> {
        let Unit { actor, state, .. } = committed;
        if actor.kind() != <task::TaskMachine as Machine>::KIND || !is_final(state.status) {
            return Ok(());
        }
        let Ok(id) = TaskId::parse(actor.key()) else { return Ok(()) };
        if self.finished.get(&id, now).is_none() {
            // What was set aside of a task that has ended needs nobody.
            let known = parse(&id, committed.version(), state.schema, &state.state, false)?;
            self.finished.put(id, Arc::new(known), now);
        }
        Ok(())
    }

    async fn find(&self, id: &TaskId) -> Result<Option<Found>, Error> {
        if self.journal.reads_at_once() {
            let address = task::address(id);
            return Ok(read_batch(&self.journal, std::slice::from_ref(&address)).await?.remove(&address));
        }
        let (reply, answer) = oneshot::channel();
        self.asks.try_send(Ask { id: id.clone(), reply }).map_err(|_| Error::Busy)?;
        answer.await.unwrap_or(Err(Error::Busy))
    }
}

fn known(id: &TaskId, found: &Found) -> Result<Known, Error> {
    let stored = &found.stored;
    parse(id, stored.version, stored.schema, &stored.state, found.attention)
}

fn parse(id: &TaskId, version: u64, schema: u32, state: &str, attention: bool) -> Result<Known, Error> {
    let unreadable = |reason: String| Error::Unreadable { id: id.clone(), reason };
    let known = <task::TaskMachine as Machine>::SCHEMA;
    if schema > known {
        return Err(unreadable(format!("it has schema {schema}, this release knows {known}")));
    }
    let state = serde_json::from_str(state).map_err(|error| unreadable(error.to_string()))?;
    Ok(Known { version, state, attention })
}

/// Takes all reads that have gathered, and reads them with one statement.
async fn read_together(journal: Journal, mut waiting: mpsc::Receiver<Ask>) {
    let mut batch = Vec::with_capacity(BATCH_MAX);
    while waiting.recv_many(&mut batch, BATCH_MAX).await > 0 {
        let ids: HashSet<&TaskId> = batch.iter().map(|ask| &ask.id).collect();
        let addresses: Vec<Address> = ids.into_iter().map(task::address).collect();
        let found = read_batch(&journal, &addresses).await;
        for ask in batch.drain(..) {
            let answer = match &found {
                Ok(found) => Ok(found.get(&task::address(&ask.id)).cloned()),
                Err(error) => Err(error.clone()),
            };
            // Whoever asked may have gone.
            let _ = ask.reply.send(answer);
        }
    }
}

/// Tasks of `owner` that have not ended; those beyond `limit` are not counted.
///
/// # Errors
/// A read that failed.
pub async fn unfinished(database: &Database, owner: &str, limit: u32) -> Result<u32, super::Error> {
    let under_way: Vec<String> = task::Status::iter()
        .filter(|status| !status.is_final())
        .map(|status| format!("'{}'", <&str>::from(status)))
        .collect();
    let sql = format!(
        "SELECT COUNT(*) FROM (SELECT 1 FROM tasks WHERE status IN ({}) AND owner = $1 LIMIT $2) AS unfinished",
        under_way.join(", ")
    );
    let count = database
        .read("count an owner's tasks", async |db| {
            let values = [owner.into(), i64::from(limit).into()];
            let row = db.query_one_raw(Statement::from_sql_and_values(db.get_database_backend(), &sql, values)).await?;
            row.map_or(Ok(0), |row| row.try_get_by_index::<i64>(0))
        })
        .await?;
    Ok(u32::try_from(count).unwrap_or(u32::MAX))
}

async fn read_batch(journal: &Journal, addresses: &[Address]) -> Result<HashMap<Address, Found>, Error> {
    let failed = |error| Error::Read(Arc::new(error));
    let (stored, set_aside) = if journal.reads_at_once() {
        let stored = journal.load(addresses).await.map_err(failed)?;
        let under_way = stored.iter().filter(|(_, row)| !is_final(&row.status)).map(|(address, _)| address);
        let under_way: Vec<&Address> = under_way.collect();
        let set_aside = match under_way.is_empty() {
            true => HashSet::new(),
            false => journal.with_dead(&under_way).await.map_err(failed)?,
        };
        (stored, set_aside)
    } else {
        // A second trip would take longer than a question too many.
        let all: Vec<&Address> = addresses.iter().collect();
        futures_util::future::try_join(journal.load(addresses), journal.with_dead(&all)).await.map_err(failed)?
    };
    let found = stored.into_iter().map(|(address, stored)| {
        let attention = !is_final(&stored.status) && set_aside.contains(&address);
        (address, Found { stored, attention })
    });
    Ok(found.collect())
}

fn is_final(status: &str) -> bool {
    use strum::IntoEnumIterator;
    task::Status::iter().any(|known| known.is_final() && <&str>::from(known) == status)
}
