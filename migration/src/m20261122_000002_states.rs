//! The current states of tasks and of inputs from outside.

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
        let Types { key, .. } = Types::of(manager);
        let common = format!(
            "id {key} NOT NULL PRIMARY KEY, version BIGINT NOT NULL, status TEXT NOT NULL, schema BIGINT NOT NULL, \
             created_at BIGINT NOT NULL, updated_at BIGINT NOT NULL"
        );
        run(
            manager,
            &[
                format!(
                    "CREATE TABLE tasks ({common}, owner {key}, user_id {key}, template_code {key}, \
                     state TEXT NOT NULL)"
                ),
                // Counting a million tasks by status reads this instead of their states.
                "CREATE INDEX tasks_status ON tasks (status)".to_owned(),
                "CREATE INDEX tasks_user ON tasks (user_id, created_at) WHERE user_id IS NOT NULL".to_owned(),
                format!("CREATE TABLE inputs ({common}, concerns {key}, state TEXT NOT NULL)"),
                "CREATE INDEX inputs_status ON inputs (status)".to_owned(),
            ],
        )
        .await
    }
}
