//! The bar for a store: the rows of finished tasks by plain multi-row inserts, nothing decided and nothing checked.

use std::path::Path;
use std::time::Instant;

use sea_orm::{ConnectionTrait, DatabaseConnection, DbBackend, Statement, TransactionTrait, Value};
use serde::Serialize;

use crate::cli::{Error, database};
use crate::config::Database;
use crate::runtime::journal;

/// Tasks whose rows are written, at most.
const TASKS_MAX: usize = 50_000;
/// Tasks in one transaction.
const TASKS_PER_COMMIT: usize = 256;
/// Rows in one statement.
const ROWS_PER_STATEMENT: usize = 128;

const JOURNAL: [&str; 8] = ["actor", "version", "message_id", "verdict", "reason", "body", "now", "schema"];
const TASKS: [&str; 10] =
    ["id", "version", "status", "schema", "created_at", "updated_at", "owner", "user_id", "template_code", "state"];

/// What `raw` found.
#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct Raw {
    /// Tasks whose rows were written.
    pub tasks: usize,
    /// Rows, of both tables.
    pub rows: usize,
    /// Tasks a second.
    pub tasks_per_second: f64,
}

/// The rows of one task.
struct Rows {
    task: Vec<Value>,
    decisions: Vec<Vec<Value>>,
}

/// Copies the rows of completed tasks in `source` to a place of their own, as fast as plain inserts go; `None` when
/// there are none.
pub(super) async fn measure(source: &Database, scratch: &Path) -> Result<Option<Raw>, Error> {
    let db = database::connect(source).await?;
    let tasks = read(&db).await?;
    if tasks.is_empty() {
        return Ok(None);
    }
    let rows = tasks.iter().map(|task| 1 + task.decisions.len()).sum();
    let seconds = if db.get_database_backend() == DbBackend::Sqlite {
        write(&beside(scratch).await?, &tasks, ("journal", "tasks")).await?
    } else {
        drop_copies(&db).await?;
        for table in ["journal", "tasks"] {
            db.execute_unprepared(&format!("CREATE TABLE bench_{table} (LIKE {table} INCLUDING ALL)")).await?;
        }
        let seconds = write(&db, &tasks, ("bench_journal", "bench_tasks")).await;
        drop_copies(&db).await?;
        seconds?
    };
    Ok(Some(Raw { tasks: tasks.len(), rows, tasks_per_second: tasks.len() as f64 / seconds }))
}

/// An SQLite file of its own with the tables of a journal, and as durable as one.
pub(super) async fn beside(scratch: &Path) -> Result<DatabaseConnection, Error> {
    let url = format!("sqlite://{}", scratch.join("raw.db").display());
    journal::migrate(&url).await?;
    let own = Database { url: url.into(), attempt_seconds: 0, patience_seconds: 0 };
    let own = database::connect(&own).await?;
    for setting in ["PRAGMA journal_mode = WAL", "PRAGMA synchronous = FULL"] {
        own.execute_unprepared(setting).await?;
    }
    Ok(own)
}

async fn drop_copies(db: &DatabaseConnection) -> Result<(), Error> {
    db.execute_unprepared("DROP TABLE IF EXISTS bench_journal, bench_tasks").await?;
    Ok(())
}

async fn read(db: &DatabaseConnection) -> Result<Vec<Rows>, Error> {
    let tasks =
        select(db, "tasks", &TASKS, &format!("WHERE status = 'completed' ORDER BY id LIMIT {TASKS_MAX}")).await?;
    let mut all = Vec::with_capacity(tasks.len());
    for chunk in tasks.chunks(ROWS_PER_STATEMENT) {
        let names =
            chunk.iter().map(|task| format!("'task/{}'", text(&task[0]).replace('\'', "''"))).collect::<Vec<_>>();
        let rest = format!("WHERE actor IN ({}) ORDER BY actor, version", names.join(","));
        let mut decisions = select(db, "journal", &JOURNAL, &rest).await?;
        for task in chunk.iter().rev() {
            let name = format!("task/{}", text(&task[0]));
            let from = decisions.partition_point(|row| text(&row[0]) < name.as_str());
            all.push(Rows { task: task.clone(), decisions: decisions.split_off(from) });
        }
    }
    Ok(all)
}

fn text(value: &Value) -> &str {
    if let Value::String(Some(text)) = value { text } else { "" }
}

async fn select(db: &DatabaseConnection, table: &str, columns: &[&str], rest: &str) -> Result<Vec<Vec<Value>>, Error> {
    let sql = format!("SELECT {} FROM {table} {rest}", columns.join(", "));
    let rows = db.query_all_raw(Statement::from_string(db.get_database_backend(), sql)).await?;
    let numbers = ["version", "schema", "created_at", "updated_at", "now"];
    let value = |row: &sea_orm::QueryResult, name: &str| -> Result<Value, sea_orm::DbErr> {
        if numbers.contains(&name) {
            return Ok(row.try_get::<i64>("", name)?.into());
        }
        Ok(row.try_get::<Option<String>>("", name)?.into())
    };
    let all = rows.iter().map(|row| columns.iter().map(|name| value(row, name)).collect::<Result<_, _>>());
    Ok(all.collect::<Result<_, _>>()?)
}

/// Writes everything and answers how many seconds that took.
async fn write(db: &DatabaseConnection, tasks: &[Rows], (journal, table): (&str, &str)) -> Result<f64, Error> {
    let began = Instant::now();
    for group in tasks.chunks(TASKS_PER_COMMIT) {
        let transaction = db.begin().await?;
        let decisions: Vec<&Vec<Value>> = group.iter().flat_map(|task| &task.decisions).collect();
        let states: Vec<&Vec<Value>> = group.iter().map(|task| &task.task).collect();
        for (table, columns, rows) in [(journal, &JOURNAL[..], decisions), (table, &TASKS[..], states)] {
            for rows in rows.chunks(ROWS_PER_STATEMENT) {
                let values = rows.iter().flat_map(|row| row.iter().cloned());
                let sql = insert(db.get_database_backend(), table, columns, rows.len());
                let statement = Statement::from_sql_and_values(db.get_database_backend(), sql, values);
                transaction.execute_raw(statement).await?;
            }
        }
        transaction.commit().await?;
    }
    Ok(began.elapsed().as_secs_f64())
}

fn insert(backend: DbBackend, table: &str, columns: &[&str], rows: usize) -> String {
    let mut number = 0;
    let mut place = || {
        number += 1;
        if backend == DbBackend::Postgres { format!("${number}") } else { "?".to_owned() }
    };
    let rows: Vec<String> =
        (0..rows).map(|_| format!("({})", columns.iter().map(|_| place()).collect::<Vec<_>>().join(","))).collect();
    format!("INSERT INTO {table} ({}) VALUES {}", columns.join(","), rows.join(","))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn places_are_written_as_each_database_wants_them() {
        assert_eq!(insert(DbBackend::Sqlite, "t", &["a", "b"], 2), "INSERT INTO t (a,b) VALUES (?,?),(?,?)");
        assert_eq!(insert(DbBackend::Postgres, "t", &["a", "b"], 2), "INSERT INTO t (a,b) VALUES ($1,$2),($3,$4)");
    }

    #[tokio::test]
    async fn the_rows_of_completed_tasks_are_copied() {
        let directory = tempfile::tempdir().unwrap();
        let url = format!("sqlite://{}", directory.path().join("from.db").display());
        journal::migrate(&url).await.unwrap();
        let source = Database { url: url.into(), attempt_seconds: 0, patience_seconds: 0 };
        assert!(measure(&source, directory.path()).await.unwrap().is_none());
        let db = database::connect(&source).await.unwrap();
        for (number, status) in [(1, "completed"), (2, "running"), (3, "completed")] {
            let task = format!(
                "INSERT INTO tasks (id, version, status, schema, created_at, updated_at, state) \
                 VALUES ('t{number}', 2, '{status}', 1, 0, 0, '{{}}')"
            );
            db.execute_unprepared(&task).await.unwrap();
            for version in [1, 2] {
                let decision = format!(
                    "INSERT INTO journal (actor, version, message_id, verdict, body, now, schema) \
                     VALUES ('task/t{number}', {version}, 'm{version}', 'applied', '{{}}', 0, 1)"
                );
                db.execute_unprepared(&decision).await.unwrap();
            }
        }
        let raw = measure(&source, directory.path()).await.unwrap().unwrap();
        assert_eq!((raw.tasks, raw.rows), (2, 6));
        assert!(raw.tasks_per_second > 0.0);
    }
}
