//! Every revision of a template is kept, and templates are found by their words.

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
                "ALTER TABLE templates ADD COLUMN revision BIGINT NOT NULL DEFAULT 1".to_owned(),
                "ALTER TABLE templates ADD COLUMN words TEXT NOT NULL DEFAULT ''".to_owned(),
                format!(
                    "CREATE TABLE template_revisions (code {key} NOT NULL, revision BIGINT NOT NULL, \
                     content TEXT NOT NULL, created_at BIGINT NOT NULL, created_by TEXT NOT NULL, \
                     PRIMARY KEY (code, revision)){by_key}"
                ),
            ],
        )
        .await
    }
}
