//! Addresses that coins go out from, and whose each of their nonces is.

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
        run(
            manager,
            &[
                format!(
                    "CREATE TABLE senders (id {key} NOT NULL PRIMARY KEY, version BIGINT NOT NULL, \
                     status TEXT NOT NULL, schema BIGINT NOT NULL, created_at BIGINT NOT NULL, \
                     updated_at BIGINT NOT NULL, attention TEXT, state TEXT NOT NULL)"
                ),
                // A refund has one nonce for ever, and a nonce one refund: the last word against two transfers.
                format!(
                    "CREATE TABLE nonces (id {key} NOT NULL PRIMARY KEY, actor {key} NOT NULL, at BIGINT NOT NULL, \
                     nonce BIGINT NOT NULL, refund_id {key} NOT NULL, UNIQUE (actor, nonce), UNIQUE (refund_id))"
                ),
            ],
        )
        .await
    }
}
