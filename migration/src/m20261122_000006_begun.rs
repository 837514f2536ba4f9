//! Which activities have begun: those that must not act twice ask before they act.

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
        run(manager, &["ALTER TABLE outbox ADD COLUMN begun BIGINT NOT NULL DEFAULT 0".to_owned()]).await
    }
}
