//! What is offered and who may ask: templates, API keys, and the workflow definitions that tasks are pinned to.

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
                    "CREATE TABLE templates (code {key} NOT NULL PRIMARY KEY, name TEXT NOT NULL, \
                     description TEXT NOT NULL, credit_cost BIGINT NOT NULL, version TEXT NOT NULL, \
                     template_type {key} NOT NULL, workflow {key} NOT NULL, is_active BOOLEAN NOT NULL, \
                     tags TEXT NOT NULL, image_model TEXT, image_prompt TEXT, video_model TEXT, video_prompt TEXT, \
                     settings TEXT NOT NULL, receiver_id {key}, stripe_product_id {key}, stripe_price_id {key}, \
                     last_stripe_sync_at BIGINT, created_at BIGINT NOT NULL, updated_at BIGINT NOT NULL, \
                     deleted_at BIGINT)"
                ),
                format!(
                    "CREATE TABLE api_keys (id {key} NOT NULL PRIMARY KEY, hash {key} NOT NULL UNIQUE, \
                     role TEXT NOT NULL, client_id {key}, name TEXT NOT NULL, created_at BIGINT NOT NULL, \
                     expires_at BIGINT, revoked_at BIGINT, last_used_at BIGINT)"
                ),
                format!(
                    "CREATE TABLE workflow_definitions (digest {key} NOT NULL PRIMARY KEY, name {key} NOT NULL, \
                     source TEXT NOT NULL, created_at BIGINT NOT NULL)"
                ),
            ],
        )
        .await
    }
}
