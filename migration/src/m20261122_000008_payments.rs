//! The current states of payments and refunds.

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
                // The machine keeps to these by itself; a machine that does not must fail here and not in the books.
                format!(
                    "CREATE TABLE payments ({common}, owner {key}, user_id {key}, template_code {key}, \
                     receiver_id {key}, task_id {key}, intent_id {key}, currency {key}, amount BIGINT NOT NULL, \
                     captured BIGINT NOT NULL, reserved BIGINT NOT NULL, refunded BIGINT NOT NULL, \
                     disputed BIGINT NOT NULL, over_refunded BIGINT NOT NULL, attention TEXT, state TEXT NOT NULL, \
                     CHECK (amount >= 0 AND captured >= 0 AND reserved >= 0 AND refunded >= 0 AND disputed >= 0 \
                     AND over_refunded >= 0), \
                     CHECK (refunded + reserved + disputed <= captured + over_refunded))"
                ),
                "CREATE INDEX payments_status ON payments (status)".to_owned(),
                "CREATE INDEX payments_user ON payments (user_id, created_at)".to_owned(),
                "CREATE INDEX payments_intent ON payments (intent_id) WHERE intent_id IS NOT NULL".to_owned(),
                "CREATE INDEX payments_attention ON payments (id) WHERE attention IS NOT NULL".to_owned(),
                format!(
                    "CREATE TABLE refunds ({common}, payment_id {key}, gateway_id {key}, currency {key}, \
                     amount BIGINT, attention TEXT, state TEXT NOT NULL, CHECK (amount IS NULL OR amount > 0))"
                ),
                "CREATE INDEX refunds_status ON refunds (status)".to_owned(),
                "CREATE INDEX refunds_payment ON refunds (payment_id)".to_owned(),
                "CREATE INDEX refunds_attention ON refunds (id) WHERE attention IS NOT NULL".to_owned(),
            ],
        )
        .await
    }
}
