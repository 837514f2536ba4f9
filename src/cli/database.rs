//! The command line's own connection to the database, beside a server that may be running.

use std::time::Duration;

use sea_orm::{ConnectOptions, Database, DatabaseConnection};

use super::Error;
use crate::config;

/// How long to wait for a connection, and for a writer in another process.
const LIMIT: Duration = Duration::from_secs(5);

/// One connection; an SQLite file that is missing is not made.
pub(super) async fn connect(database: &config::Database) -> Result<DatabaseConnection, Error> {
    open(database.address(), &database.shown(), false).await
}

/// One connection that only reads.
pub(super) async fn connect_read_only(database: &config::Database) -> Result<DatabaseConnection, Error> {
    open(database.address(), &database.shown(), true).await
}

async fn open(address: &str, shown: &str, read_only: bool) -> Result<DatabaseConnection, Error> {
    let mut options = ConnectOptions::new(address);
    options.max_connections(1).connect_timeout(LIMIT).acquire_timeout(LIMIT).sqlx_logging(false);
    // Not `read_only`: such a connection cannot join a write-ahead log whose server has just ended.
    options.map_sqlx_sqlite_opts(move |options| {
        let options = options.create_if_missing(false).busy_timeout(LIMIT);
        if read_only { options.pragma("query_only", "ON") } else { options }
    });
    options.map_sqlx_postgres_opts(move |options| {
        let mode = if read_only { "on" } else { "off" };
        options.application_name("mixvideo command line").options([("default_transaction_read_only", mode)])
    });
    Database::connect(options).await.map_err(|error| Error::Database(shown.to_owned(), error))
}
