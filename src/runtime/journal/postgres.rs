//! A script on PostgreSQL: one statement of many parts, which is its own transaction and costs one trip.

use std::fmt::Write as _;

use sea_orm::{DbBackend, Statement};

use crate::runtime::journal::dialect::{Dialect, fill};
use crate::runtime::journal::script::Script;

/// The whole script as one statement.
///
/// All parts see the database as it was before the statement, and take effect together. A wrong count divides by zero,
/// which undoes them all.
pub(super) fn statement(script: &Script<'_>) -> Statement {
    let rows = || script.steps.iter().map(|step| &step.rows);
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
    let _ = write!(text, "\nSELECT 1 / (CASE WHEN TRUE{counts} THEN 1 ELSE 0 END)");
    Statement::from_sql_and_values(DbBackend::Postgres, text, Dialect::Postgres.bind(rows()))
}
