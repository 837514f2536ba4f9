//! Which nodes live, which of them owns each partition, and which messages were in hand when one died.

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
                    "CREATE TABLE nodes (id {key} NOT NULL PRIMARY KEY, host TEXT NOT NULL, pid BIGINT NOT NULL, \
                     generation BIGINT NOT NULL, since BIGINT NOT NULL, lease_until BIGINT NOT NULL, \
                     draining BIGINT NOT NULL){by_key}"
                ),
                format!(
                    "CREATE TABLE partitions (partition BIGINT NOT NULL PRIMARY KEY, owner {key}, \
                     epoch BIGINT NOT NULL, lease_until BIGINT NOT NULL, since BIGINT NOT NULL, \
                     generation BIGINT NOT NULL){by_key}"
                ),
                "ALTER TABLE outbox ADD COLUMN suspect BIGINT NOT NULL DEFAULT 0".to_owned(),
                "CREATE INDEX outbox_suspect ON outbox (partition) WHERE suspect = 1".to_owned(),
            ],
        )
        .await
    }
}
