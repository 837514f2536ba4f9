//! An access token that was issued through us; the token itself is not kept.

use sea_orm::entity::prelude::*;

/// A row of `access_tokens`.
#[derive(Clone, Debug, PartialEq, Eq, DeriveEntityModel)]
#[sea_orm(table_name = "access_tokens")]
pub struct Model {
    /// A digest of the token.
    #[sea_orm(primary_key, auto_increment = false)]
    pub hash: String,
    /// Whose it is.
    pub user_id: String,
    /// What it is for, space-separated.
    pub scope: String,
    /// In milliseconds.
    pub created_at: i64,
    /// In milliseconds.
    pub expires_at: i64,
    /// In milliseconds.
    pub revoked_at: Option<i64>,
}

/// It stands alone: rows refer to each other by address, not by foreign key.
#[derive(Copy, Clone, Debug, EnumIter, DeriveRelation)]
pub enum Relation {}

impl ActiveModelBehavior for ActiveModel {}
