//! Receivers' accounts, and the ledger of what moved in them.

use sea_orm_migration::prelude::*;
use sea_orm_migration::sea_orm::DbBackend;

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
                    "CREATE TABLE accounts (id {key} NOT NULL PRIMARY KEY, version BIGINT NOT NULL, \
                     status TEXT NOT NULL, schema BIGINT NOT NULL, created_at BIGINT NOT NULL, \
                     updated_at BIGINT NOT NULL, state TEXT NOT NULL)"
                ),
                // A row is a whole posting, so none can be out of balance.
                format!(
                    "CREATE TABLE ledger (id {key} NOT NULL PRIMARY KEY, actor {key} NOT NULL, at BIGINT NOT NULL, \
                     debit {key} NOT NULL, credit {key} NOT NULL, currency {key} NOT NULL, amount BIGINT NOT NULL, \
                     cause {key} NOT NULL, payment_id {key} NOT NULL, refund_id {key}, \
                     CHECK (amount > 0), CHECK (debit <> credit))"
                ),
                "CREATE INDEX ledger_actor ON ledger (actor)".to_owned(),
                "CREATE INDEX ledger_payment ON ledger (payment_id)".to_owned(),
                "CREATE INDEX payments_of_receiver ON payments (receiver_id, id)".to_owned(),
            ],
        )
        .await?;
        run(manager, &only_added_to(manager.get_database_backend())).await
    }
}

/// Refuses every change of the ledger but more of it.
fn only_added_to(database: DbBackend) -> Vec<String> {
    const WHY: &str = "the ledger is only added to";
    if database == DbBackend::Postgres {
        return vec![
            format!(
                "CREATE FUNCTION ledger_refuses() RETURNS trigger LANGUAGE plpgsql AS \
                 $$ BEGIN RAISE EXCEPTION '{WHY}'; END $$"
            ),
            "CREATE TRIGGER ledger_kept BEFORE UPDATE OR DELETE OR TRUNCATE ON ledger \
             FOR EACH STATEMENT EXECUTE FUNCTION ledger_refuses()"
                .to_owned(),
        ];
    }
    let trigger = |change: &str| {
        format!("CREATE TRIGGER ledger_{change} BEFORE {change} ON ledger BEGIN SELECT RAISE(ABORT, '{WHY}'); END")
    };
    vec![trigger("update"), trigger("delete")]
}
