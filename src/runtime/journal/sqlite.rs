//! A script on SQLite: row by row, on the thread that commits.
//!
//! SQLite is a library, and a prepared statement writes a row in a microsecond or two. Handing larger statements to a
//! driver's thread costs more: each hand-over wakes two threads, and rows sent as JSON are parsed again.

use rusqlite::types::{ToSqlOutput, ValueRef};
use rusqlite::{Connection, ToSql, params_from_iter};

use crate::runtime::journal::connect;
use crate::runtime::journal::dialect::Datum;
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

/// Writes scripts over a connection of its own. Its calls block.
pub(super) struct Pen {
    connection: Connection,
}

impl Pen {
    /// Opens the database, which exists.
    ///
    /// # Errors
    /// When it cannot be opened or set up.
    pub(super) fn open(url: &str) -> Result<Self, Error> {
        let connection = connect::open_here(url)?;
        connection.set_prepared_statement_cache_capacity(STATEMENTS_KEPT);
        Ok(Self { connection })
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
        written
    }

    fn run(&self, sql: &str) -> Result<(), rusqlite::Error> {
        self.connection.prepare_cached(sql)?.execute(())?;
        Ok(())
    }

    fn rows(&self, script: &Script<'_>) -> Result<(), Refusal> {
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

impl ToSql for Datum<'_> {
    fn to_sql(&self) -> rusqlite::Result<ToSqlOutput<'_>> {
        Ok(ToSqlOutput::Borrowed(match self {
            Self::Text(text) => ValueRef::Text(text.as_bytes()),
            Self::Integer(number) => ValueRef::Integer(*number),
            Self::Null => ValueRef::Null,
        }))
    }
}
