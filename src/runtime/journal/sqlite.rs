//! What SQLite does on the thread that asks: scripts, row by row, and look-ups by key.
//!
//! SQLite is a library, and a prepared statement reads or writes a row in a few microseconds. Handing it to a driver's
//! thread costs more: each hand-over wakes two threads, and rows sent as JSON are parsed again.

use std::cell::Cell;
use std::collections::{HashMap, HashSet};
use std::sync::atomic::{AtomicI64, Ordering};
use std::sync::mpsc::{self, Receiver, SyncSender};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::thread::{self, JoinHandle};

use rusqlite::types::{ToSqlOutput, ValueRef};
use rusqlite::{Connection, OptionalExtension as _, ToSql, params_from_iter};

use crate::domain::Address;
use crate::runtime::journal::Stored;
use crate::runtime::journal::connect::{self, Purpose};
use crate::runtime::journal::dialect::{Datum, Source};
use crate::runtime::journal::error::{Error, Trouble};
use crate::runtime::journal::script::Script;

/// Prepared statements kept: a few for each kind of actor.
const STATEMENTS_KEPT: usize = 128;

/// Why a script was not written.
#[derive(Debug, thiserror::Error)]
pub(super) enum Refusal {
    /// A statement did not write the row that it must write.
    #[error("a row was not there, or not as expected")]
    Missed,
    /// SQLite said no.
    #[error(transparent)]
    Sqlite(#[from] rusqlite::Error),
}

impl Refusal {
    pub(super) fn trouble(&self) -> Trouble {
        match self {
            Self::Missed => Trouble::Data,
            Self::Sqlite(rusqlite::Error::SqliteFailure(error, _)) => Trouble::of_sqlite(error.extended_code),
            Self::Sqlite(_) => Trouble::Away,
        }
    }
}

/// Rows after which the log is copied into the database's file: seldom enough that pages which change again and again are
/// copied once, and often enough that the log stays short.
const ROWS_A_COPY: usize = 10_000;
/// Pages that the log may have before its writer waits until all of it is copied, so that it starts over: 64 MB.
const LOG_PAGES_MAX: i64 = 16_384;

/// Writes scripts over a connection of its own. Its calls block.
///
/// SQLite would have the commit that finds a thousand pages in the log copy them, which takes as long as many commits: a
/// thread beside it does that instead, while commits go on.
pub(super) struct Pen {
    connection: Connection,
    /// Rows written since the log was copied.
    rows: Cell<usize>,
    /// Asks for a copy, and who makes it; gone once the pen is dropped.
    copier: Option<(SyncSender<()>, JoinHandle<()>)>,
    log_pages: Arc<AtomicI64>,
}

impl Drop for Pen {
    fn drop(&mut self) {
        if let Some((copies, copier)) = self.copier.take() {
            drop(copies);
            // Its connection is closed when this returns; it does not panic.
            let _ = copier.join();
        }
    }
}

impl Pen {
    /// Opens the database, which exists.
    ///
    /// # Errors
    /// When it cannot be opened or set up.
    pub(super) fn open(url: &str) -> Result<Self, Error> {
        let connection = connect::open_here(url, Purpose::Write)?;
        connection.set_prepared_statement_cache_capacity(STATEMENTS_KEPT);
        connection.pragma_update(None, "wal_autocheckpoint", 0).map_err(Error::File)?;
        let beside = connect::open_here(url, Purpose::Migrate)?;
        let (copies, wanted) = mpsc::sync_channel(1);
        let log_pages = Arc::new(AtomicI64::new(0));
        let seen = log_pages.clone();
        let copier = thread::Builder::new().name("log-copier".to_owned());
        let copier = copier.spawn(move || copy_log(&beside, &wanted, &seen)).map_err(Error::Thread)?;
        Ok(Self { connection, rows: Cell::new(0), copier: Some((copies, copier)), log_pages })
    }

    /// Writes all of the script, on disk when this returns, or nothing.
    ///
    /// # Errors
    /// [`Refusal`]; with [`Trouble::Away`] it is not known what was written.
    pub(super) fn write(&self, script: &Script<'_>) -> Result<(), Refusal> {
        // At once for writing: a transaction that begins with a read cannot always be turned into one that writes.
        self.run("BEGIN IMMEDIATE")?;
        let written = self.rows(script).and_then(|()| Ok(self.run("COMMIT")?));
        if written.is_err() && !self.connection.is_autocommit() {
            // An error here means that SQLite has undone it by itself.
            let _ = self.run("ROLLBACK");
        }
        self.keep_log_short(script.steps.iter().map(|step| step.rows.len()).sum());
        written
    }

    fn keep_log_short(&self, written: usize) {
        self.rows.set(self.rows.get() + written);
        if self.log_pages.load(Ordering::Relaxed) > LOG_PAGES_MAX {
            self.log_pages.store(0, Ordering::Relaxed);
            if let Err(error) = copy(&self.connection, "RESTART") {
                tracing::warn!(%error, "the log of the database cannot be started over");
            }
        } else if self.rows.get() >= ROWS_A_COPY
            && let Some((copies, _)) = &self.copier
            && copies.try_send(()).is_ok()
        {
            self.rows.set(0);
        }
    }

    fn run(&self, sql: &str) -> Result<(), rusqlite::Error> {
        self.connection.prepare_cached(sql)?.execute(())?;
        Ok(())
    }

    fn rows(&self, script: &Script<'_>) -> Result<(), Refusal> {
        for row in script.fence.iter().flat_map(Source::rows) {
            let sql = "SELECT 1 FROM partitions WHERE partition = ?1 AND epoch = ?2";
            if !self.connection.prepare_cached(sql)?.exists(params_from_iter(row))? {
                return Err(Refusal::Missed);
            }
        }
        for step in &script.steps {
            let mut statement = self.connection.prepare_cached(step.each)?;
            for row in step.rows.rows() {
                let written = statement.execute(params_from_iter(row))?;
                if step.counted && written != 1 {
                    return Err(Refusal::Missed);
                }
            }
        }
        Ok(())
    }
}

/// Copies the log whenever that is wanted, until its pen is gone.
fn copy_log(connection: &Connection, wanted: &Receiver<()>, log_pages: &AtomicI64) {
    while wanted.recv().is_ok() {
        match copy(connection, "PASSIVE") {
            Ok(pages) => log_pages.store(pages, Ordering::Relaxed),
            Err(error) => tracing::warn!(%error, "the log of the database cannot be copied"),
        }
    }
}

/// Copies the log into the database's file, as <https://www.sqlite.org/pragma.html#pragma_wal_checkpoint> has it;
/// answers the log's length in pages.
fn copy(connection: &Connection, mode: &str) -> Result<i64, rusqlite::Error> {
    connection.query_row(&format!("PRAGMA wal_checkpoint({mode})"), (), |row| row.get(1))
}

/// Connections for look-ups that are kept: as many as there are threads that look up at the same time.
const KEPT_MAX: usize = 8;

/// Looks rows up by their keys. Its calls block, for as long as it takes to read a few rows.
pub(super) struct Lookups {
    url: String,
    kept: Mutex<Vec<Connection>>,
}

impl Lookups {
    /// Look-ups in the database at `url`, which exists; nothing is opened before the first.
    pub(super) const fn new(url: String) -> Self {
        Self { url, kept: Mutex::new(Vec::new()) }
    }

    /// The states of those of `actors` that `table` holds.
    ///
    /// # Errors
    /// A read that failed.
    pub(super) fn states(&self, table: &str, actors: &[&Address]) -> Result<HashMap<Address, Stored>, Error> {
        let sql = format!("SELECT version, status, schema, state FROM {table} WHERE id = ?1");
        self.read("states", |connection| {
            let mut find = connection.prepare_cached(&sql)?;
            let mut states = HashMap::with_capacity(actors.len());
            for actor in actors {
                let stored = find.query_row([actor.key()], |row| {
                    Ok(Stored {
                        version: row.get::<_, i64>(0)?.unsigned_abs(),
                        status: row.get(1)?,
                        schema: row.get(2)?,
                        state: row.get(3)?,
                    })
                });
                states.extend(stored.optional()?.map(|stored| ((*actor).clone(), stored)));
            }
            Ok(states)
        })
    }

    /// Those of `actors` of which something was set aside.
    ///
    /// # Errors
    /// A read that failed.
    pub(super) fn with_dead(&self, actors: &[&Address]) -> Result<HashSet<Address>, Error> {
        self.read("the dead", |connection| {
            let mut find = connection.prepare_cached("SELECT 1 FROM dead WHERE target = ?1")?;
            let mut found = HashSet::new();
            for actor in actors {
                if find.exists([actor.as_str()])? {
                    found.insert((*actor).clone());
                }
            }
            Ok(found)
        })
    }

    fn read<T>(
        &self,
        what: &'static str,
        read: impl FnOnce(&Connection) -> Result<T, rusqlite::Error>,
    ) -> Result<T, Error> {
        let kept = self.kept().pop();
        let connection = match kept {
            Some(connection) => connection,
            None => connect::open_here(&self.url, Purpose::Read)?,
        };
        let answer = read(&connection).map_err(|source| Error::LookUp { what, source })?;
        let mut kept = self.kept();
        if kept.len() < KEPT_MAX {
            kept.push(connection);
        }
        Ok(answer)
    }

    fn kept(&self) -> MutexGuard<'_, Vec<Connection>> {
        // Nothing under the lock can panic half-way.
        self.kept.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Closes what is kept.
    pub(super) fn close(&self) {
        self.kept().clear();
    }
}

impl ToSql for Datum<'_> {
    fn to_sql(&self) -> rusqlite::Result<ToSqlOutput<'_>> {
        Ok(ToSqlOutput::Borrowed(match self {
            Self::Text(text) => ValueRef::Text(text.as_bytes()),
            Self::Integer(number) => ValueRef::Integer(*number),
            Self::Null => ValueRef::Null,
        }))
    }
}
