//! What the sandbox gateway keeps, and which templates have yet to be told to a gateway.

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
                    "CREATE TABLE sandbox_objects (id {key} NOT NULL PRIMARY KEY, family {key} NOT NULL, \
                     kind {key} NOT NULL, body TEXT NOT NULL, ends_at BIGINT, created_at BIGINT NOT NULL){by_key}"
                ),
                "CREATE INDEX sandbox_objects_family ON sandbox_objects (family)".to_owned(),
                "CREATE INDEX sandbox_objects_ends_at ON sandbox_objects (ends_at)".to_owned(),
                format!(
                    "CREATE TABLE sandbox_events (id {key} NOT NULL PRIMARY KEY, body TEXT NOT NULL, \
                     due_at BIGINT NOT NULL, tries BIGINT NOT NULL, created_at BIGINT NOT NULL){by_key}"
                ),
                "CREATE INDEX sandbox_events_due_at ON sandbox_events (due_at)".to_owned(),
                "ALTER TABLE templates ADD COLUMN sync_wanted_at BIGINT".to_owned(),
            ],
        )
        .await
    }
}
