//! The product's own connections: a few that read, one that writes what belongs to no actor (templates, keys).

use std::str::FromStr;
use std::time::Duration;

use sea_orm::sqlx::sqlite::{SqliteConnectOptions, SqliteJournalMode, SqliteSynchronous};
use sea_orm::{ConnectOptions, DatabaseConnection, DbErr};

/// No query takes longer: a page that waits is worse than one that says so.
const LIMIT: Duration = Duration::from_secs(1);
/// Writes wait for the journal's commits, which come first.
const WRITE_LIMIT: Duration = Duration::from_secs(10);
const READERS: u32 = 2;
const CONNECT_LIMIT: Duration = Duration::from_secs(5);
/// SQLite's page cache per connection: `cache_size` counts KiB when negative.
const CACHE_KIB: &str = "-4096";

/// The database did not do what it was asked.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The address names no database, or none could be opened.
    #[error("cannot open the database")]
    Open(#[source] DbErr),
    /// It took too long.
    #[error("cannot {what}: the database took longer than its limit")]
    TooSlow {
        /// What was to be done.
        what: &'static str,
    },
    /// It failed.
    #[error("cannot {what}")]
    Failed {
        /// What was to be done.
        what: &'static str,
        /// The database's answer.
        #[source]
        source: DbErr,
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

/// The database of the product. Clones share its connections.
#[derive(Clone, Debug)]
pub struct Database {
    readers: DatabaseConnection,
    writer: DatabaseConnection,
}

impl Database {
    /// Opens a database whose schema is up to date: the journal brings it there.
    ///
    /// # Errors
    /// [`Error::Open`].
    pub async fn open(url: &str) -> Result<Self, Error> {
        let readers = connect(url, READERS, true).await.map_err(Error::Open)?;
        let writer = connect(url, 1, false).await.map_err(Error::Open)?;
        Ok(Self { readers, writer })
    }

    /// Reads within the limit. Boxed: callers that rarely ask need not carry the room that a query takes.
    pub(super) fn read<T>(
        &self,
        what: &'static str,
        query: impl AsyncFnOnce(&DatabaseConnection) -> Result<T, DbErr>,
    ) -> impl Future<Output = Result<T, Error>> {
        within(LIMIT, what, Box::pin(query(&self.readers)))
    }

    /// Writes within the limit. Boxed: callers that rarely ask need not carry the room that a query takes.
    pub(crate) fn write<T>(
        &self,
        what: &'static str,
        query: impl AsyncFnOnce(&DatabaseConnection) -> Result<T, DbErr>,
    ) -> impl Future<Output = Result<T, Error>> {
        within(WRITE_LIMIT, what, Box::pin(query(&self.writer)))
    }
}

async fn within<T>(
    limit: Duration,
    what: &'static str,
    query: impl Future<Output = Result<T, DbErr>>,
) -> Result<T, Error> {
    match tokio::time::timeout(limit, query).await {
        Ok(answer) => answer.map_err(|source| Error::Failed { what, source }),
        Err(_) => Err(Error::TooSlow { what }),
    }
}

async fn connect(url: &str, connections: u32, read_only: bool) -> Result<DatabaseConnection, DbErr> {
    let mut options = ConnectOptions::new(url);
    options
        .max_connections(connections)
        .min_connections(0)
        .connect_timeout(CONNECT_LIMIT)
        .acquire_timeout(CONNECT_LIMIT)
        .idle_timeout(None)
        .max_lifetime(None)
        .test_before_acquire_if_idle_for(Duration::from_secs(1))
        .sqlx_logging(false);
    if SqliteConnectOptions::from_str(url).is_ok() {
        options.map_sqlx_sqlite_opts(move |options| {
            options
                .journal_mode(SqliteJournalMode::Wal)
                .synchronous(SqliteSynchronous::Full)
                .busy_timeout(WRITE_LIMIT)
                .pragma("cache_size", CACHE_KIB)
                .pragma("query_only", if read_only { "ON" } else { "OFF" })
        });
    }
    sea_orm::Database::connect(options).await
}
