//! Opening a journal.

use std::collections::BTreeMap;
use std::fmt;
use std::sync::atomic::{AtomicU32, Ordering};
use std::sync::{Arc, PoisonError};
use std::time::{Duration, Instant};

use mixvideo_entities::setting;
use mixvideo_migration::{Migrator, MigratorTrait};
use sea_orm::sea_query::OnConflict;
use sea_orm::{ActiveValue, ConnectionTrait, DatabaseConnection, EntityTrait};
use tokio::sync::Mutex;

use crate::domain::Address;
use crate::runtime::journal::batch::Shaped;
use crate::runtime::journal::connect::{Purpose, connect, prepare};
use crate::runtime::journal::dialect::Dialect;
use crate::runtime::journal::error::Error;
use crate::runtime::journal::sqlite::Lookups;
use crate::runtime::journal::writer::Writer;
use crate::runtime::journal::{Outcome, StateTable, Unit};
use crate::runtime::retry::Policy;

/// The name of the setting that holds the number of partitions.
const PARTITIONS: &str = "partitions";
/// Two nodes that start together migrate one after the other: the key of PostgreSQL's advisory lock.
const MIGRATION_LOCK: i64 = 0x6d69_7876;

/// How to open a journal.
#[derive(Clone, Debug)]
pub struct Options {
    /// `sqlite://data/mixvideo.db` or `postgres://...`.
    pub url: String,
    /// How long a commit is tried again while the database is away or contended.
    pub patience: Policy,
    /// How long one attempt may take before its connection is given up and its outcome read back.
    pub attempt_limit: Duration,
    #[doc(hidden)]
    pub faults: Faults,
}

impl Options {
    /// The defaults for a database.
    #[must_use]
    pub fn new(url: impl Into<String>) -> Self {
        Self {
            url: url.into(),
            patience: Policy { first_ms: 50, longest_ms: 1_000, give_up_after_ms: 15_000 },
            attempt_limit: Duration::from_secs(10),
            faults: Faults::default(),
        }
    }
}

/// Faults that tests ask for.
#[doc(hidden)]
#[derive(Clone, Debug, Default)]
pub struct Faults {
    /// So many commits are written, and their connection is dropped before the answer is read.
    pub answers_lost: Arc<AtomicU32>,
    /// So many commits, before those, fail without having been sent.
    pub unsent: Arc<AtomicU32>,
    /// So many commits panic after they are written.
    pub panics: Arc<AtomicU32>,
}

impl Faults {
    /// Whether the commit that was just written is one whose answer is lost.
    pub(super) fn lose_answer(&self) -> bool {
        take(&self.answers_lost)
    }

    /// Panics when the commit that was just written is one that does.
    pub(super) fn panic(&self) {
        assert!(!take(&self.panics), "the commit panicked on purpose");
    }

    /// Whether the next commit is one that is not sent.
    pub(super) fn fail_to_send(&self) -> bool {
        take(&self.unsent)
    }
}

/// Takes one, if there is one.
fn take(faults: &AtomicU32) -> bool {
    let one_less = |left: u32| left.checked_sub(1);
    faults.fetch_update(Ordering::Relaxed, Ordering::Relaxed, one_less).is_ok()
}

/// The journal of one database. Clones share its connections.
#[derive(Clone)]
pub struct Journal {
    pub(super) shared: Arc<Shared>,
    pub(super) readers: DatabaseConnection,
    /// On SQLite.
    pub(super) lookups: Option<Arc<Lookups>>,
    pub(super) writer: Arc<Mutex<Writer>>,
}

/// What all that write to one database have in common.
pub(super) struct Shared {
    pub(super) options: Options,
    pub(super) dialect: Dialect,
    pub(super) tables: BTreeMap<&'static str, Shaped>,
    pub(super) partitions: u32,
    /// Whose turn it is to write: SQLite has one writer, and asking it in turn is fairer and cheaper than trying again
    /// until it is free. On PostgreSQL it orders parking a message and the birth that calls it back.
    pub(super) turn: Mutex<()>,
    away_since: std::sync::Mutex<Option<Instant>>,
}

impl Shared {
    /// Since when the database has not answered, if it does not.
    pub(super) fn away_since(&self) -> Option<Instant> {
        *self.away_since.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Notes whether the database answered.
    pub(super) fn note_answer(&self, answered: bool) {
        let mut since = self.away_since.lock().unwrap_or_else(PoisonError::into_inner);
        *since = if answered { None } else { since.or_else(|| Some(Instant::now())) };
    }
}

impl fmt::Debug for Journal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Journal").field("dialect", &self.shared.dialect).finish_non_exhaustive()
    }
}

impl Journal {
    /// Opens the database, makes it when it is an SQLite file that is missing, and brings its schema up to date.
    /// `tables` are the kinds of actors it will be asked about.
    ///
    /// # Errors
    /// When the database cannot be reached, was made by a newer release, or was set up with another number of
    /// partitions.
    pub async fn open(options: &Options, tables: &[&'static StateTable], partitions: u32) -> Result<Self, Error> {
        migrate(&options.url).await?;
        let readers = connect(&options.url, Purpose::Read).await?;
        pin_partitions(options, partitions).await?;
        let shared = Arc::new(Shared {
            options: options.clone(),
            dialect: Dialect::of(&options.url)?,
            tables: tables.iter().map(|table| (table.kind, Shaped::new(table))).collect(),
            partitions,
            turn: Mutex::new(()),
            away_since: std::sync::Mutex::default(),
        });
        let local = shared.dialect == Dialect::Sqlite;
        let lookups = local.then(|| Arc::new(Lookups::new(options.url.clone())));
        let writer = Arc::new(Mutex::new(Writer::new(Arc::clone(&shared))));
        Ok(Self { shared, readers, lookups, writer })
    }

    /// How many partitions its actors are divided among.
    #[must_use]
    pub fn partitions(&self) -> u32 {
        self.shared.partitions
    }

    /// Commits `units` and says of each, in order, what became of it. See [`super::Committer`] for many callers.
    pub async fn commit(&self, units: Vec<Arc<Unit>>) -> Vec<Outcome> {
        self.writer.lock().await.commit(&units).await
    }

    /// Ends its connections in order, which leaves SQLite's file whole without its log. Close the committers first.
    pub async fn close(&self) {
        self.writer.lock().await.close().await;
        if let Some(lookups) = &self.lookups {
            lookups.close();
        }
        // What could not be ended in order ends with the process.
        let _ = self.readers.clone().close().await;
    }
}

/// Brings the schema of a database up to date; makes an SQLite file that is missing.
///
/// # Errors
/// When the database cannot be reached, a change fails, or it was made by a newer release.
pub async fn migrate(url: &str) -> Result<(), Error> {
    prepare(url)?;
    let database = connect(url, Purpose::Migrate).await?;
    let locked = Dialect::of(url)? == Dialect::Postgres;
    if locked {
        let lock = format!("SELECT pg_advisory_lock({MIGRATION_LOCK})");
        database.execute_unprepared(&lock).await.map_err(Error::Migrate)?;
    }
    let done = bring_up_to_date(&database).await;
    // Closing the connection releases the lock.
    database.close().await.map_err(Error::Migrate)?;
    done
}

async fn bring_up_to_date(database: &DatabaseConnection) -> Result<(), Error> {
    let applied = Migrator::get_migration_models(database).await.map_err(Error::Migrate)?;
    let known: Vec<String> = Migrator::get_migration_files().iter().map(|file| file.name().to_owned()).collect();
    if let Some(newer) = applied.into_iter().find(|applied| !known.contains(&applied.version)) {
        return Err(Error::Newer(newer.version));
    }
    Migrator::up(database, None).await.map_err(Error::Migrate)
}

async fn pin_partitions(options: &Options, partitions: u32) -> Result<(), Error> {
    let database = connect(&options.url, Purpose::Write).await?;
    let row = setting::ActiveModel {
        name: ActiveValue::Set(PARTITIONS.to_owned()),
        value: ActiveValue::Set(partitions.to_string()),
    };
    let failed = |source| Error::Write { what: "store the setting", id: PARTITIONS.to_owned(), source };
    setting::Entity::insert(row)
        .on_conflict(OnConflict::column(setting::Column::Name).do_nothing().to_owned())
        .exec_without_returning(&database)
        .await
        .map_err(failed)?;
    let stored = setting::Entity::find_by_id(PARTITIONS).one(&database).await.map_err(failed)?;
    database.close().await.map_err(failed)?;
    match stored {
        Some(row) if row.value == partitions.to_string() => Ok(()),
        row => {
            Err(Error::Partitions { stored: row.map_or_else(|| "no".to_owned(), |row| row.value), asked: partitions })
        }
    }
}

/// The partition of an actor: FNV-1a of its address, folded to `count`. Rows are stored under it, so it never changes.
#[must_use]
pub fn partition_of(actor: &Address, count: u32) -> u32 {
    let hash = actor
        .as_str()
        .bytes()
        .fold(0xcbf2_9ce4_8422_2325_u64, |hash, byte| (hash ^ u64::from(byte)).wrapping_mul(0x0100_0000_01b3));
    u32::try_from((hash ^ (hash >> 32)) % u64::from(count.max(1))).expect("less than a u32")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_actor_stays_in_its_partition_for_ever() {
        let places = [
            ("task", "a"),
            ("task", "b"),
            ("task", "task_0193a5b2c3d47e5f8a9b0c1d2e3f4a5b"),
            ("input", "a"),
            ("kind", "key"),
        ]
        .map(|(kind, key)| partition_of(&Address::new(kind, key), 16));
        assert_eq!(places, [14, 7, 7, 10, 2]);
    }

    #[test]
    fn partitions_are_used_evenly() {
        let mut sizes = [0_u32; 16];
        for number in 0..16_000 {
            let actor = Address::new("task", &format!("task_{number:032x}"));
            sizes[partition_of(&actor, 16) as usize] += 1;
        }
        assert!(sizes.iter().all(|size| (800..1_200).contains(size)), "{sizes:?}");
    }
}
