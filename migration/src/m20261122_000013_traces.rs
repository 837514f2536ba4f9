//! Which call an actor was born in; and how many tasks of one owner have not ended.

use sea_orm_migration::prelude::*;

use crate::{Types, run};

#[derive(DeriveMigrationName)]
pub struct Migration;

#[async_trait::async_trait]
impl MigrationTrait for Migration {
    /// Also on SQLite: a change that was cut short must be able to start over.
    fn use_transaction(&self) -> Option<bool> {
        Some(true)
    }

    async fn up(&self, manager: &SchemaManager) -> Result<(), DbErr> {
        let Types { key, by_key } = Types::of(manager);
        run(
            manager,
            &[
                format!(
                    "CREATE TABLE traces (actor {key} NOT NULL PRIMARY KEY, trace {key} NOT NULL, \
                     at BIGINT NOT NULL){by_key}"
                ),
                "CREATE INDEX traces_trace ON traces (trace)".to_owned(),
                "CREATE INDEX traces_at ON traces (at)".to_owned(),
                "DROP INDEX tasks_status".to_owned(),
                "CREATE INDEX tasks_status ON tasks (status, owner)".to_owned(),
            ],
        )
        .await
    }
}
