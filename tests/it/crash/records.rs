//! What stands in the database at the end, read with SQL beside the server.

use std::collections::{BTreeMap, BTreeSet};

use sea_orm::{ConnectionTrait, DatabaseConnection, QueryResult, Statement};

use super::service::{Service, until};

/// Decisions of a no-op task: its birth and the report of its step.
pub const NOOP_ROWS: i64 = 2;
/// Decisions of a film: its birth and the reports of its three steps.
pub const FILM_ROWS: i64 = 4;

pub async fn rows(database: &DatabaseConnection, sql: &str) -> Vec<QueryResult> {
    let statement = Statement::from_string(database.get_database_backend(), sql);
    database.query_all_raw(statement).await.unwrap()
}

pub async fn count(database: &DatabaseConnection, sql: &str) -> i64 {
    rows(database, sql).await[0].try_get_by_index(0).unwrap()
}

/// What the journal holds of one actor.
struct History {
    rows: i64,
    messages: i64,
    first: i64,
    last: i64,
}

async fn histories(database: &DatabaseConnection) -> BTreeMap<String, History> {
    let sql = "SELECT actor, COUNT(*), COUNT(DISTINCT message_id), MIN(version), MAX(version) FROM journal \
               WHERE actor LIKE 'task/%' GROUP BY actor";
    let history = |row: QueryResult| {
        let number = |index| row.try_get_by_index(index).unwrap();
        let actor: String = row.try_get_by_index(0).unwrap();
        (actor, History { rows: number(1), messages: number(2), first: number(3), last: number(4) })
    };
    rows(database, sql).await.into_iter().map(history).collect()
}

/// Waits until every task has ended and nothing is outstanding, then looks whether each of the tasks `accepted`, with
/// the number of its decisions, completed with every effect recorded once, and whether there are no others.
pub async fn assert_each_happened_once(service: &Service, accepted: &BTreeMap<String, i64>) {
    let database = service.database().await;
    until("every task has ended", async || {
        count(&database, "SELECT COUNT(*) FROM tasks WHERE status NOT IN ('completed', 'failed', 'cancelled')").await
            == 0
    })
    .await;
    until("the outbox is empty", async || count(&database, "SELECT COUNT(*) FROM outbox").await == 0).await;
    assert_eq!(count(&database, "SELECT COUNT(*) FROM dead").await, 0, "messages were set aside");
    let histories = histories(&database).await;
    let mut found = BTreeSet::new();
    for row in rows(&database, "SELECT id, version, status FROM tasks").await {
        let (id, version): (String, i64) = (row.try_get_by_index(0).unwrap(), row.try_get_by_index(1).unwrap());
        let status: String = row.try_get_by_index(2).unwrap();
        assert_eq!(status, "completed", "{id}");
        let expected = accepted.get(&id).unwrap_or_else(|| panic!("{id} exists, and nobody was told so"));
        let history = histories.get(&format!("task/{id}")).unwrap_or_else(|| panic!("{id} has no history"));
        assert_eq!(history.rows, *expected, "decisions of {id}");
        assert_eq!(history.messages, history.rows, "a message of {id} was decided on twice");
        assert_eq!((history.first, history.last), (1, history.rows), "the versions of {id} have gaps");
        assert_eq!(version, history.last, "the state of {id} is not the one its journal leads to");
        found.insert(id);
    }
    let lost: Vec<_> = accepted.keys().filter(|id| !found.contains(*id)).collect();
    assert!(lost.is_empty(), "accepted and lost: {lost:?}");
}
