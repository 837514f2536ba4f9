//! Connections and their settings.

use std::path::Path;
use std::str::FromStr;
use std::time::Duration;

use sea_orm::sqlx;
use sea_orm::sqlx::sqlite::{SqliteConnectOptions, SqliteJournalMode, SqliteSynchronous};
use sea_orm::{ConnectOptions, Database, DatabaseConnection};

use crate::runtime::journal::dialect::Dialect;
use crate::runtime::journal::error::Error;

/// What a connection is for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Purpose {
    /// The schema and the log of the file: what is done beside commits, without limits.
    Migrate,
    /// Units, and everything else that writes or asks what was written: each such connection is alone in its use.
    Write,
    /// Everything that only reads: a few connections, a second a read.
    Read,
}

/// No read takes longer; the time of writers is not spent on it.
pub(super) const READ_LIMIT: Duration = Duration::from_secs(1);
const READERS: u32 = 4;
/// A database that refuses connections is asked again and again for so long.
const CONNECT_LIMIT: Duration = Duration::from_secs(2);
/// How long SQLite waits for a writer in another process.
const BUSY_LIMIT: Duration = Duration::from_secs(5);
/// The same for one that only reads and whose thread has other things to do: it waits only while SQLite recovers its log.
const BUSY_LIMIT_READING: Duration = Duration::from_millis(100);
/// SQLite's page cache for the connection that commits: `cache_size` counts KiB when negative.
const CACHE_KIB: i32 = -16_384;
/// The same for one that reads: there are several, and the system has the file's pages in memory too.
const CACHE_KIB_READING: i32 = -4_096;
/// A commit's text depends on which kinds of rows it holds; each is prepared once.
const STATEMENTS_KEPT: usize = 512;

/// For a planner that would otherwise read whole tables to look up the few rows of a commit, which costs more with every
/// finished task, and that would otherwise plan each look-up again, which costs several times what the look-up does.
const LOOK_UPS_BY_INDEX: &[(&str, &str)] = &[
    ("plan_cache_mode", "force_generic_plan"),
    ("enable_seqscan", "off"),
    ("enable_hashjoin", "off"),
    ("enable_mergejoin", "off"),
    ("jit", "off"),
];

impl Dialect {
    /// By the address's scheme.
    pub(super) fn of(url: &str) -> Result<Self, Error> {
        match url.split_once(':') {
            Some(("sqlite", _)) => Ok(Self::Sqlite),
            Some(("postgres" | "postgresql", _)) => Ok(Self::Postgres),
            _ => Err(Error::Address {
                url: without_password(url),
                reason: "it must begin with sqlite: or postgres:".to_owned(),
            }),
        }
    }
}

/// The address as it may be shown: what stands between the scheme and an `@` is left out.
fn without_password(url: &str) -> String {
    match (url.split_once("://"), url.rsplit_once('@')) {
        (Some((scheme, _)), Some((_, rest))) => format!("{scheme}://...@{rest}"),
        _ => url.to_owned(),
    }
}

/// Makes the directory of an SQLite file.
pub(super) fn prepare(url: &str) -> Result<(), Error> {
    if Dialect::of(url)? != Dialect::Sqlite {
        return Ok(());
    }
    let wrong = |reason: String| Error::Address { url: url.to_owned(), reason };
    let options = SqliteConnectOptions::from_str(url).map_err(|error| wrong(error.to_string()))?;
    match options.get_filename().parent() {
        Some(directory) if directory != Path::new("") => {
            std::fs::create_dir_all(directory).map_err(|error| wrong(format!("its directory cannot be made: {error}")))
        }
        _ => Ok(()),
    }
}

const fn cache(purpose: Purpose) -> i32 {
    match purpose {
        Purpose::Write => CACHE_KIB,
        Purpose::Migrate | Purpose::Read => CACHE_KIB_READING,
    }
}

/// Opens SQLite's file, which was made before, for use on the calling thread.
///
/// # Errors
/// When it cannot be opened.
pub(super) fn open_here(url: &str, purpose: Purpose) -> Result<rusqlite::Connection, Error> {
    let wrong = |error: sqlx::Error| Error::Address { url: url.to_owned(), reason: error.to_string() };
    let options = SqliteConnectOptions::from_str(url).map_err(wrong)?;
    let open = || {
        let connection = rusqlite::Connection::open(options.get_filename())?;
        connection.busy_timeout(if purpose == Purpose::Read { BUSY_LIMIT_READING } else { BUSY_LIMIT })?;
        // The file is in WAL mode since it was made.
        connection.pragma_update(None, "synchronous", "full")?;
        connection.pragma_update(None, "foreign_keys", true)?;
        connection.pragma_update(None, "cache_size", cache(purpose))?;
        connection.pragma_update(None, "query_only", purpose == Purpose::Read)?;
        Ok(connection)
    };
    open().map_err(Error::File)
}

/// Connects; nothing is sent before the first statement, except for [`Purpose::Migrate`].
pub(super) async fn connect(url: &str, purpose: Purpose) -> Result<DatabaseConnection, Error> {
    let dialect = Dialect::of(url)?;
    let mut options = ConnectOptions::new(url);
    let connections = if purpose == Purpose::Read { READERS } else { 1 };
    options
        .max_connections(connections)
        .min_connections(0)
        .connect_timeout(CONNECT_LIMIT)
        .acquire_timeout(CONNECT_LIMIT)
        .idle_timeout(None)
        .max_lifetime(None)
        // One that the server has closed in the meantime is replaced rather than handed out.
        .test_before_acquire_if_idle_for(Duration::from_secs(1))
        .sqlx_logging(false);
    match dialect {
        Dialect::Sqlite => sqlite(&mut options, purpose),
        Dialect::Postgres => postgres(&mut options, purpose),
    }
    Database::connect(options).await.map_err(Error::Open)
}

fn sqlite(options: &mut ConnectOptions, purpose: Purpose) {
    options.map_sqlx_sqlite_opts(move |options| {
        let options = options
            .create_if_missing(true)
            .journal_mode(SqliteJournalMode::Wal)
            .synchronous(SqliteSynchronous::Full)
            .foreign_keys(true)
            .busy_timeout(BUSY_LIMIT)
            .statement_cache_capacity(STATEMENTS_KEPT)
            .pragma("cache_size", cache(purpose).to_string());
        if purpose == Purpose::Read { options.pragma("query_only", "ON") } else { options }
    });
}

fn postgres(options: &mut ConnectOptions, purpose: Purpose) {
    if purpose == Purpose::Read {
        options.statement_timeout(READ_LIMIT);
    }
    options.map_sqlx_postgres_opts(move |options| {
        let options = options.application_name("mixvideo").statement_cache_capacity(STATEMENTS_KEPT);
        match purpose {
            Purpose::Write => {
                options.options([("synchronous_commit", "on")]).options(LOOK_UPS_BY_INDEX.iter().copied())
            }
            Purpose::Read => options.options(LOOK_UPS_BY_INDEX.iter().copied()),
            Purpose::Migrate => options,
        }
    });
}
