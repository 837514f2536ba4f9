//! The bar for a latency: as many bare commits as a no-op task has, at the same rate.

use std::path::Path;
use std::time::{Duration, Instant};

use sea_orm::{ConnectionTrait, DatabaseConnection, DbBackend, DbErr, Statement};

use super::load::{Quantiles, Times, wait_until};
use super::raw;
use crate::cli::{Error, database};
use crate::config::Database;

/// A no-op task is accepted, and completed.
const COMMITS: i64 = 2;
/// About as long as what a decision leaves in the journal.
const BODY: &str = "0123456789abcdef0123456789abcdef0123456789abcdef0123456789abcdef0123456789abcdef0123456789abcdef";

/// Two commits of one row each, one after the other, `rate` times a second for `span` on the same kind of database; from
/// when the first was due.
///
/// # Errors
/// When the database refuses a table or a row.
pub(super) async fn measure(
    source: &Database,
    scratch: &Path,
    rate: u32,
    (warm_up, span): (Duration, Duration),
) -> Result<Quantiles, Error> {
    let mut db = database::connect(source).await?;
    if db.get_database_backend() == DbBackend::Sqlite {
        db = raw::beside(scratch).await?;
    }
    db.execute_unprepared("DROP TABLE IF EXISTS bench_commits").await?;
    db.execute_unprepared("CREATE TABLE bench_commits (id BIGINT PRIMARY KEY, body TEXT NOT NULL)").await?;
    let times = pairs(&db, rate, (warm_up, span)).await;
    db.execute_unprepared("DROP TABLE bench_commits").await?;
    Ok(times?.quantiles())
}

async fn pairs(db: &DatabaseConnection, rate: u32, (warm_up, span): (Duration, Duration)) -> Result<Times, DbErr> {
    let (began, step) = (Instant::now(), Duration::from_secs(1) / rate.max(1));
    let mut times = Times::new();
    for number in 0.. {
        let due = began + step * number;
        if due >= began + warm_up + span {
            break;
        }
        wait_until(due).await;
        for commit in 0..COMMITS {
            let values = [(i64::from(number) * COMMITS + commit).into(), BODY.into()];
            let insert = "INSERT INTO bench_commits (id, body) VALUES ($1, $2)";
            db.execute_raw(Statement::from_sql_and_values(db.get_database_backend(), insert, values)).await?;
        }
        if due >= began + warm_up {
            times.note(due.elapsed());
        }
    }
    Ok(times)
}
