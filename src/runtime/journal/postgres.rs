//! A script on PostgreSQL: one statement of many parts, which is its own transaction and costs one trip.

use std::fmt::Write as _;

use sea_orm::{DbBackend, Statement};

use crate::runtime::journal::dialect::{Dialect, fill};
use crate::runtime::journal::script::Script;

/// The whole script as one statement.
///
/// All parts see the database as it was before the statement, and take effect together. A wrong count divides by zero,
/// which undoes them all. The epochs are read as they were when the statement began, without a lock: an owner has stopped
/// well before its partition can have another one, and the versions fence what is on its way nevertheless.
pub(super) fn statement(script: &Script<'_>) -> Statement {
    let rows = || script.steps.iter().map(|step| &step.rows).chain(&script.fence);
    let placed = Dialect::Postgres.place(rows());
    let mut text = String::from("WITH ");
    let mut counts = String::new();
    for (index, (step, place)) in script.steps.iter().zip(&placed).enumerate() {
        let comma = if index == 0 { "" } else { ",\n" };
        let _ = write!(text, "{comma}s{index} AS ({} RETURNING 1)", fill(step.all, &placed));
        if step.counted {
            let first = place.first;
            let _ = write!(counts, " AND (SELECT count(*) FROM s{index}) = cardinality(${first}::text[])");
        }
    }
    if let Some(fence) = placed.get(script.steps.len()) {
        let sql = "SELECT 1 FROM {fence} AS v JOIN partitions AS p ON p.partition = v.partition AND p.epoch = v.epoch";
        let _ = write!(text, ",\nheld AS ({})", fill(sql, &placed));
        let _ = write!(counts, " AND (SELECT count(*) FROM held) = cardinality(${}::int8[])", fence.first);
    }
    let _ = write!(text, "\nSELECT 1 / (CASE WHEN TRUE{counts} THEN 1 ELSE 0 END)");
    Statement::from_sql_and_values(DbBackend::Postgres, text, Dialect::Postgres.bind(rows()))
}
