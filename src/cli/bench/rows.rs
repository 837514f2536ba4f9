//! What is on disk: counted in SQL by a connection that only reads.

use std::time::{Duration, Instant};

use sea_orm::{ConnectionTrait, DatabaseConnection, Statement};

use crate::cli::{Error, database};
use crate::config::Database;
use crate::runtime::clock::{Clock, SystemClock};

/// How often the rows are looked at.
const POLL: Duration = Duration::from_millis(5);
/// What is due within this time is waited for, in milliseconds.
const SOON_MS: i64 = 1_000;
/// Looks between two counts of what is completed, which read many rows.
const LOOKS_PER_COUNT: u32 = 200;

/// The rows of a database.
pub(super) struct Rows(DatabaseConnection);

impl Rows {
    /// Opens them.
    pub(super) async fn open(database: &Database) -> Result<Self, Error> {
        Ok(Self(database::connect_read_only(database).await?))
    }

    /// Tasks that are completed.
    pub(super) async fn completed(&self) -> Result<u64, Error> {
        self.number("SELECT COUNT(*) FROM tasks WHERE status = 'completed'").await
    }

    /// Decisions of tasks.
    pub(super) async fn decisions(&self) -> Result<u64, Error> {
        self.number("SELECT COUNT(*) FROM journal").await
    }

    /// Waits until nothing is outstanding or `completed` tasks are, whichever comes first, and says when that was;
    /// `None` when it was not so at `until`.
    pub(super) async fn drained(&self, completed: u64, until: Instant) -> Result<Option<Instant>, Error> {
        let mut looks = 0_u32;
        while Instant::now() < until {
            let empty = self.number("SELECT COUNT(*) FROM (SELECT 1 FROM outbox LIMIT 1) AS one").await? == 0;
            looks += 1;
            if empty || (looks.is_multiple_of(LOOKS_PER_COUNT) && self.completed().await? >= completed) {
                return Ok(Some(Instant::now()));
            }
            tokio::time::sleep(POLL).await;
        }
        Ok(None)
    }

    /// Waits until nothing is to be done at once any more, and says when that was; `None` when it was not so at `until`.
    /// What rests for seconds, as the timers of payments that wait do, is not waited for.
    pub(super) async fn nothing_outstanding(&self, until: Instant) -> Result<Option<Instant>, Error> {
        while Instant::now() < until {
            let soon = SystemClock.now().plus_ms(SOON_MS).0;
            let due = format!("SELECT COUNT(*) FROM (SELECT 1 FROM outbox WHERE due <= {soon} LIMIT 1) AS one");
            if self.number(&due).await? == 0 {
                return Ok(Some(Instant::now()));
            }
            tokio::time::sleep(POLL).await;
        }
        Ok(None)
    }

    /// Waits until the number that a query gives is as wanted, and says when that was; `None` when it was not so at `until`.
    pub(super) async fn wait(
        &self,
        sql: &str,
        wanted: impl Fn(u64) -> bool,
        until: Instant,
    ) -> Result<Option<Instant>, Error> {
        while Instant::now() < until {
            if wanted(self.number(sql).await?) {
                return Ok(Some(Instant::now()));
            }
            tokio::time::sleep(POLL).await;
        }
        Ok(None)
    }

    /// The one text that a query gives.
    pub(super) async fn text(&self, sql: &str) -> Result<String, Error> {
        let row = self.0.query_one_raw(Statement::from_string(self.0.get_database_backend(), sql)).await?;
        Ok(row.ok_or_else(|| Error::Missing(format!("answer to {sql}")))?.try_get_by_index(0)?)
    }

    /// The one number that a query gives.
    pub(super) async fn number(&self, sql: &str) -> Result<u64, Error> {
        let row = self.0.query_one_raw(Statement::from_string(self.0.get_database_backend(), sql)).await?;
        let number: i64 = row.ok_or_else(|| Error::Missing(format!("answer to {sql}")))?.try_get_by_index(0)?;
        Ok(number.unsigned_abs())
    }
}
