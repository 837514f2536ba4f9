//! How an activity waits for room: its permit, for whom it is, its priority.

use sea_orm_migration::prelude::*;

use crate::run;

#[derive(DeriveMigrationName)]
pub struct Migration;

#[async_trait::async_trait]
impl MigrationTrait for Migration {
    /// Also on SQLite: a change that was cut short must be able to start over.
    fn use_transaction(&self) -> Option<bool> {
        Some(true)
    }

    async fn up(&self, manager: &SchemaManager) -> Result<(), DbErr> {
        run(
            manager,
            &["ALTER TABLE outbox ADD COLUMN turn TEXT".to_owned(), "ALTER TABLE dead ADD COLUMN turn TEXT".to_owned()],
        )
        .await
    }
}
