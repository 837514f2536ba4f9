//! Schema of the Mixvideo database, one file per change. A file that was released is never edited.
//!
//! The SQL is written once for SQLite and PostgreSQL; [`Types`] holds the few words in which they differ.

pub use sea_orm_migration::prelude::{MigratorTrait, SchemaManager};

use sea_orm_migration::prelude::{DbErr, MigrationTrait, async_trait};
use sea_orm_migration::sea_orm::{ConnectionTrait, DbBackend};

mod m20261122_000001_journal;
mod m20261122_000002_states;
mod m20261122_000003_catalogue;
mod m20261122_000004_turns;
mod m20261122_000005_template_revisions;
mod m20261122_000006_begun;
mod m20261122_000007_leases;
mod m20261122_000008_payments;
mod m20261122_000009_sandbox;
mod m20261122_000010_users;
mod m20261122_000011_ledger;
mod m20261122_000012_refund_lists;
mod m20261122_000013_traces;
mod m20261123_000014_message_schemas;

/// Every change, oldest first.
pub struct Migrator;

#[async_trait::async_trait]
impl MigratorTrait for Migrator {
    fn migrations() -> Vec<Box<dyn MigrationTrait>> {
        vec![
            Box::new(m20261122_000001_journal::Migration),
            Box::new(m20261122_000002_states::Migration),
            Box::new(m20261122_000003_catalogue::Migration),
            Box::new(m20261122_000004_turns::Migration),
            Box::new(m20261122_000005_template_revisions::Migration),
            Box::new(m20261122_000006_begun::Migration),
            Box::new(m20261122_000007_leases::Migration),
            Box::new(m20261122_000008_payments::Migration),
            Box::new(m20261122_000009_sandbox::Migration),
            Box::new(m20261122_000010_users::Migration),
            Box::new(m20261122_000011_ledger::Migration),
            Box::new(m20261122_000012_refund_lists::Migration),
            Box::new(m20261122_000013_traces::Migration),
            Box::new(m20261123_000014_message_schemas::Migration),
        ]
    }
}

/// The words in which the two databases differ.
struct Types {
    /// A text that is a key or sorted: compared by its bytes, as SQLite does by itself.
    key: &'static str,
    /// Ends a table that lives inside its primary key's index.
    by_key: &'static str,
}

impl Types {
    fn of(manager: &SchemaManager<'_>) -> Self {
        match manager.get_database_backend() {
            DbBackend::Postgres => Self { key: "TEXT COLLATE \"C\"", by_key: "" },
            _ => Self { key: "TEXT", by_key: " WITHOUT ROWID" },
        }
    }
}

/// Runs `statements` in order.
async fn run(manager: &SchemaManager<'_>, statements: &[String]) -> Result<(), DbErr> {
    for statement in statements {
        manager.get_connection().execute_unprepared(statement).await?;
    }
    Ok(())
}
