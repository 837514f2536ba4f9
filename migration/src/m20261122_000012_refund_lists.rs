//! What lists of refunds are looked up by.

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
                format!("ALTER TABLE refunds ADD COLUMN refund_to {key}"),
                "CREATE INDEX refunds_created ON refunds (created_at, id)".to_owned(),
                "CREATE INDEX payments_owner ON payments (owner)".to_owned(),
            ],
        )
        .await
    }
}
