//! What the engine itself keeps: history, what is outstanding, what was set aside, and names taken.

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
                    "CREATE TABLE journal (actor {key} NOT NULL, version BIGINT NOT NULL, message_id {key} NOT NULL, \
                     verdict TEXT NOT NULL, reason TEXT, body TEXT NOT NULL, now BIGINT NOT NULL, \
                     schema BIGINT NOT NULL, PRIMARY KEY (actor, version), UNIQUE (actor, message_id)){by_key}"
                ),
                format!(
                    "CREATE TABLE outbox (id {key} NOT NULL PRIMARY KEY, target {key} NOT NULL, \
                     partition BIGINT NOT NULL, lane {key} NOT NULL, due BIGINT NOT NULL, body TEXT NOT NULL, \
                     deaths BIGINT NOT NULL DEFAULT 0, parked BIGINT NOT NULL DEFAULT 0, \
                     created_at BIGINT NOT NULL){by_key}"
                ),
                "CREATE INDEX outbox_sweep ON outbox (partition, lane, due, id)".to_owned(),
                "CREATE INDEX outbox_parked ON outbox (target) WHERE parked = 1".to_owned(),
                format!(
                    "CREATE TABLE dead (id {key} NOT NULL PRIMARY KEY, target {key} NOT NULL, \
                     partition BIGINT NOT NULL, lane {key} NOT NULL, due BIGINT NOT NULL, body TEXT NOT NULL, \
                     deaths BIGINT NOT NULL, reason TEXT NOT NULL, died_at BIGINT NOT NULL){by_key}"
                ),
                "CREATE INDEX dead_target ON dead (target)".to_owned(),
                format!(
                    "CREATE TABLE claims (name {key} NOT NULL PRIMARY KEY, fingerprint TEXT NOT NULL, \
                     actor {key} NOT NULL, answer TEXT NOT NULL, expires BIGINT NOT NULL){by_key}"
                ),
                "CREATE INDEX claims_expires ON claims (expires)".to_owned(),
                format!("CREATE TABLE settings (name {key} NOT NULL PRIMARY KEY, value TEXT NOT NULL){by_key}"),
            ],
        )
        .await
    }
}
