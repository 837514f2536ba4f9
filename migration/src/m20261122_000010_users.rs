//! People who sign in, what we hold of their tokens, what a client's key may act for, and what operators did.

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
                    "CREATE TABLE users (id {key} NOT NULL PRIMARY KEY, google_sub {key} NOT NULL UNIQUE, \
                     email TEXT NOT NULL, name TEXT NOT NULL, picture TEXT, refresh_token TEXT, \
                     refresh_hash {key}, created_at BIGINT NOT NULL, seen_at BIGINT NOT NULL)"
                ),
                "CREATE INDEX users_refresh ON users (refresh_hash)".to_owned(),
                format!(
                    "CREATE TABLE user_clients (user_id {key} NOT NULL, client_id {key} NOT NULL, \
                     created_at BIGINT NOT NULL, PRIMARY KEY (user_id, client_id)){by_key}"
                ),
                format!(
                    "CREATE TABLE access_tokens (hash {key} NOT NULL PRIMARY KEY, user_id {key} NOT NULL, \
                     scope TEXT NOT NULL, created_at BIGINT NOT NULL, expires_at BIGINT NOT NULL, \
                     revoked_at BIGINT){by_key}"
                ),
                "CREATE INDEX access_tokens_user ON access_tokens (user_id)".to_owned(),
                "CREATE INDEX access_tokens_expiry ON access_tokens (expires_at)".to_owned(),
                format!(
                    "CREATE TABLE spent_states (hash {key} NOT NULL PRIMARY KEY, expires_at BIGINT NOT NULL){by_key}"
                ),
                format!(
                    "CREATE TABLE sign_in_codes (hash {key} NOT NULL PRIMARY KEY, user_id {key} NOT NULL, \
                     access_token TEXT NOT NULL, token_expires_at BIGINT NOT NULL, expires_at BIGINT NOT NULL)"
                ),
                format!(
                    "CREATE TABLE audit (id {key} NOT NULL PRIMARY KEY, at BIGINT NOT NULL, by_id {key} NOT NULL, \
                     action TEXT NOT NULL, target TEXT, trace_id TEXT NOT NULL, status INTEGER)"
                ),
                "CREATE INDEX audit_at ON audit (at)".to_owned(),
                "ALTER TABLE api_keys ADD COLUMN receivers TEXT NOT NULL DEFAULT '[]'".to_owned(),
            ],
        )
        .await
    }
}
