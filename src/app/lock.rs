//! One server per database, or several that share it: two that do not know of each other would each take every actor for
//! their own.
//!
//! An SQLite file has a lock file beside it. A PostgreSQL database is locked by a connection that does nothing else, for
//! as long as that connection lives: alone by a server whose mailbox is its own memory, together by nodes that share one.

use std::fs::{File, OpenOptions, TryLockError};
use std::path::{Path, PathBuf};
use std::str::FromStr;
use std::time::Duration;

use sea_orm::sqlx::postgres::PgConnectOptions;
use sea_orm::sqlx::{self, Connection, PgConnection};
use tokio::time::{Instant, sleep, timeout};
use tokio_util::sync::CancellationToken;
use tokio_util::task::AbortOnDropHandle;

use crate::config::Database;

/// The name of PostgreSQL's lock: the letters `mixvideo`.
const KEY: i64 = i64::from_be_bytes(*b"mixvideo");
/// PostgreSQL may take this long to notice that the last server has died.
const START_PATIENCE: Duration = Duration::from_secs(5);
/// And this long to notice that a connection of this server's own, cut off by the network, is dead: see [`KEEP_ALIVE`].
const REGAIN_PATIENCE: Duration = Duration::from_secs(30);
/// How long to wait before the lock is asked for again.
const AGAIN: Duration = Duration::from_millis(100);
/// How often the connection that holds the lock is looked at.
const LOOK: Duration = Duration::from_secs(1);
/// A connection that gives no answer for so long is dead.
const SILENCE: Duration = Duration::from_secs(5);
/// A machine that is gone without a word gives the lock back after 5 + 3 * 2 seconds.
const KEEP_ALIVE: [(&str, &str); 3] =
    [("tcp_keepalives_idle", "5"), ("tcp_keepalives_interval", "2"), ("tcp_keepalives_count", "3")];

/// Who else may serve the database.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Company {
    /// Nobody.
    Alone,
    /// Nodes that share its partitions by leases.
    Nodes,
}

impl Company {
    /// <https://www.postgresql.org/docs/15/explicit-locking.html#ADVISORY-LOCKS>: those who share and the one that does
    /// not keep each other out.
    const fn lock(self) -> &'static str {
        match self {
            Self::Alone => "SELECT pg_try_advisory_lock($1)",
            Self::Nodes => "SELECT pg_try_advisory_lock_shared($1)",
        }
    }
}

/// The database belongs to another server, or the lock cannot be taken.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// Another server runs on it.
    #[error(
        "another mixvideo serves {database} already: stop it first, or give this one a database of its own ({how})"
    )]
    Taken {
        /// Which, without its password.
        database: String,
        /// The flag that does it.
        how: &'static str,
    },
    /// A server that does not share serves it.
    #[error(
        "a mixvideo with `mailbox.backend = memory` serves {0} already: stop it first; only nodes with the mailbox in \
         Redis can share a database"
    )]
    NotShared(String),
    /// Another server took it while this one was cut off from it.
    #[error("another mixvideo took {0} over while this one had no connection to it, so this one ended")]
    TakenOver(String),
    /// The lock file cannot be used.
    #[error("the lock file {} cannot be used", path.display())]
    Unusable {
        /// Its path.
        path: PathBuf,
        /// Why.
        #[source]
        source: std::io::Error,
    },
    /// The database was not reached, or does not tell.
    #[error("whether another mixvideo serves {database} cannot be found out")]
    Unknown {
        /// Which, without its password.
        database: String,
        /// Why.
        #[source]
        source: sqlx::Error,
    },
}

/// Held as long as the server runs; it is free again when the process ends, however it ends.
#[derive(Debug)]
pub struct Lock {
    shown: String,
    /// Cancelled when another server has the database.
    lost: CancellationToken,
    _held: Held,
}

#[derive(Debug)]
enum Held {
    /// Nobody else can reach a database in memory.
    Memory,
    File {
        _file: File,
    },
    Session {
        _keeper: AbortOnDropHandle<()>,
    },
}

impl Lock {
    /// Takes the lock of the database.
    ///
    /// # Errors
    /// [`Error`].
    pub async fn take(database: &Database, company: Company) -> Result<Self, Error> {
        let (shown, lost) = (database.shown(), CancellationToken::new());
        let held = if let Some(file) = database.sqlite_file() {
            Held::File { _file: lock_file(file)? }
        } else if database.address().starts_with("sqlite:") {
            Held::Memory
        } else {
            let unknown = |source| Error::Unknown { database: shown.clone(), source };
            let options = PgConnectOptions::from_str(database.address()).map_err(unknown)?;
            let options = options.application_name("mixvideo lock").options(KEEP_ALIVE);
            let Some(connection) = lock_session(&options, company, START_PATIENCE).await.map_err(unknown)? else {
                return Err(match company {
                    Company::Alone => Error::Taken { database: shown, how: "--database URL" },
                    Company::Nodes => Error::NotShared(shown),
                });
            };
            let keeper = keep(options, company, connection, lost.clone());
            Held::Session { _keeper: AbortOnDropHandle::new(tokio::spawn(keeper)) }
        };
        Ok(Self { shown, lost, _held: held })
    }

    /// Waits until the database belongs to another server, and says so.
    pub async fn lost(&self) -> Error {
        self.lost.cancelled().await;
        Error::TakenOver(self.shown.clone())
    }
}

fn lock_file(database: &Path) -> Result<File, Error> {
    let mut path = database.as_os_str().to_owned();
    path.push(".lock");
    let path = PathBuf::from(path);
    let unusable = |source| Error::Unusable { path: path.clone(), source };
    if let Some(parent) = path.parent() {
        std::fs::create_dir_all(parent).map_err(unusable)?;
    }
    let file = OpenOptions::new().write(true).create(true).truncate(false).open(&path).map_err(unusable)?;
    match file.try_lock() {
        Ok(()) => Ok(file),
        Err(TryLockError::WouldBlock) => {
            Err(Error::Taken { database: database.display().to_string(), how: "--data DIRECTORY" })
        }
        Err(TryLockError::Error(source)) => Err(unusable(source)),
    }
}

/// A connection that holds the lock; `None` when another one has it and does not let go of it in time.
async fn lock_session(
    options: &PgConnectOptions,
    company: Company,
    patience: Duration,
) -> Result<Option<PgConnection>, sqlx::Error> {
    let end = Instant::now() + patience;
    let mut connection = heard(PgConnection::connect_with(options)).await?;
    loop {
        let asked = sqlx::query_scalar(company.lock()).bind(KEY).fetch_one(&mut connection);
        if heard(asked).await? {
            return Ok(Some(connection));
        }
        if Instant::now() >= end {
            return Ok(None);
        }
        sleep(AGAIN).await;
    }
}

/// The answer, unless it does not come.
async fn heard<T>(answer: impl Future<Output = Result<T, sqlx::Error>>) -> Result<T, sqlx::Error> {
    timeout(SILENCE, answer).await.unwrap_or_else(|_| Err(std::io::Error::from(std::io::ErrorKind::TimedOut).into()))
}

/// Looks after the lock: takes it again on a new connection when its own breaks, until another server was faster.
async fn keep(options: PgConnectOptions, company: Company, mut connection: PgConnection, lost: CancellationToken) {
    loop {
        sleep(LOOK).await;
        let Err(error) = heard(connection.ping()).await else { continue };
        tracing::warn!(%error, "the connection that holds the database's lock broke; the lock is taken again");
        connection = loop {
            match lock_session(&options, company, REGAIN_PATIENCE).await {
                Ok(Some(connection)) => break connection,
                Ok(None) => {
                    tracing::error!("another server has taken the database");
                    return lost.cancel();
                }
                // The committer tells how long the database has been away.
                Err(error) => tracing::debug!(%error, "the database's lock could not be asked for"),
            }
            sleep(LOOK).await;
        };
        tracing::info!("the database's lock is held again");
    }
}
