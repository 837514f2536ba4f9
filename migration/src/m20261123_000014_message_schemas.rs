//! Messages carry the schema number of what they say, as states do.

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
        let add = |table: &str| format!("ALTER TABLE {table} ADD COLUMN schema BIGINT NOT NULL DEFAULT 0");
        run(manager, &[add("outbox"), add("dead")]).await
    }
}
