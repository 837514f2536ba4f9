//! What can go wrong with the journal, and what to do about it.

use sea_orm::sqlx;
use sea_orm::{DbErr, RuntimeErr};

/// Why the journal could not do what it was asked. Units never end here: they have an [`super::Outcome`].
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The configured address of the database is no such address, or its directory cannot be made.
    #[error("cannot use `{url}` as the database: {reason}")]
    Address {
        /// The address, without its password.
        url: String,
        /// What is wrong with it.
        reason: String,
    },
    /// No connection could be made.
    #[error("cannot open the database")]
    Open(#[source] DbErr),
    /// SQLite's file could not be opened.
    #[error("cannot open the database's file")]
    File(#[source] rusqlite::Error),
    /// The system gives no thread.
    #[error("cannot start a thread for the database")]
    Thread(#[source] std::io::Error),
    /// A look-up in SQLite's file failed.
    #[error("cannot look up {what}")]
    LookUp {
        /// What was looked up.
        what: &'static str,
        /// SQLite's answer.
        #[source]
        source: rusqlite::Error,
    },
    /// A migration did not run through.
    #[error("cannot bring the database's schema up to date")]
    Migrate(#[source] DbErr),
    /// The database was migrated by a newer release.
    #[error(
        "the database holds the migration `{0}`, which this release does not know: start a release at least as new as \
         the one that made it"
    )]
    Newer(String),
    /// The database was set up with another number of partitions.
    #[error(
        "the database was set up with {stored} partitions and cannot be opened with {asked}: actors would be looked \
         for in the wrong places; configure {stored}"
    )]
    Partitions {
        /// The number decided at the first start.
        stored: String,
        /// The number asked for now.
        asked: u32,
    },
    /// A state table was asked for that this journal was not opened with.
    #[error("no state table is known for actors of kind `{0}`")]
    UnknownKind(String),
    /// A read took longer than its limit.
    #[error("reading {what} took longer than its limit")]
    TooSlow {
        /// What was read.
        what: &'static str,
    },
    /// A read failed.
    #[error("cannot read {what}")]
    Read {
        /// What was read.
        what: &'static str,
        /// The database's answer.
        #[source]
        source: DbErr,
    },
    /// A write failed; nothing of it was kept.
    #[error("cannot {what} `{id}`")]
    Write {
        /// What was to be done.
        what: &'static str,
        /// To what.
        id: String,
        /// The database's answer.
        #[source]
        source: DbErr,
    },
    /// The partition has changed its owner.
    #[error("`{id}` belongs to a partition that another node owns by now")]
    Fenced {
        /// The effect.
        id: String,
    },
    /// A row does not hold what it must.
    #[error("{table} `{id}` holds {what}, which cannot be read")]
    Corrupt {
        /// The table.
        table: &'static str,
        /// The row.
        id: String,
        /// What it holds.
        what: String,
    },
}

/// What a caller does about an [`Error`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Reaction {
    /// The same call may succeed later.
    Retry,
    /// The same call will fail again.
    Fail,
}

impl Error {
    /// What to do about it.
    #[must_use]
    pub fn reaction(&self) -> Reaction {
        match self {
            Self::Open(cause)
            | Self::Migrate(cause)
            | Self::Read { source: cause, .. }
            | Self::Write { source: cause, .. } => match Trouble::of(cause) {
                Trouble::Data => Reaction::Fail,
                Trouble::Contended | Trouble::Away => Reaction::Retry,
            },
            Self::File(_) | Self::Thread(_) | Self::LookUp { .. } | Self::TooSlow { .. } => Reaction::Retry,
            Self::Address { .. }
            | Self::Newer(_)
            | Self::Partitions { .. }
            | Self::UnknownKind(_)
            | Self::Fenced { .. }
            | Self::Corrupt { .. } => Reaction::Fail,
        }
    }
}

/// What a database's refusal says about the next attempt.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Trouble {
    /// Something in the rows: a conflict with what is stored, or a value the database does not take.
    Data,
    /// Another transaction was in the way.
    Contended,
    /// The database cannot be reached or cannot work; whether it wrote is unknown.
    Away,
}

impl Trouble {
    pub(super) fn of(error: &DbErr) -> Self {
        let cause = match error {
            DbErr::Conn(RuntimeErr::SqlxError(cause))
            | DbErr::Exec(RuntimeErr::SqlxError(cause))
            | DbErr::Query(RuntimeErr::SqlxError(cause)) => cause,
            _ => return Self::Away,
        };
        match cause.as_ref() {
            sqlx::Error::Database(refusal) => {
                let code = refusal.code().unwrap_or_default();
                match refusal.try_downcast_ref::<sqlx::sqlite::SqliteError>() {
                    Some(_) => Self::of_sqlite(code.parse().unwrap_or_default()),
                    None => Self::of_sqlstate(&code),
                }
            }
            sqlx::Error::Encode(_) => Self::Data,
            _ => Self::Away,
        }
    }

    /// By SQLite's result code, of which the lowest byte is the primary one: <https://www.sqlite.org/rescode.html>.
    pub(super) fn of_sqlite(code: i32) -> Self {
        match code & 0xff {
            // BUSY, LOCKED
            5 | 6 => Self::Contended,
            // TOOBIG, CONSTRAINT, MISMATCH, RANGE
            18 | 19 | 20 | 25 => Self::Data,
            _ => Self::Away,
        }
    }

    /// By SQLSTATE: <https://www.postgresql.org/docs/15/errcodes-appendix.html>.
    fn of_sqlstate(code: &str) -> Self {
        match code.get(..2) {
            // Cardinality, data exception, integrity constraint, program limit.
            Some("21" | "22" | "23" | "54") => Self::Data,
            // Transaction rollback: serialisation failures and deadlocks.
            Some("40") => Self::Contended,
            _ if code == "55P03" => Self::Contended,
            _ => Self::Away,
        }
    }
}
