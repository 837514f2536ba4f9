//! A code that an application redeems once for the token of whoever signed in.

use sea_orm::entity::prelude::*;

/// A row of `sign_in_codes`.
#[derive(Clone, Debug, PartialEq, Eq, DeriveEntityModel)]
#[sea_orm(table_name = "sign_in_codes")]
pub struct Model {
    /// A digest of the code.
    #[sea_orm(primary_key, auto_increment = false)]
    pub hash: String,
    /// Who signed in.
    pub user_id: String,
    /// The access token, encrypted.
    pub access_token: String,
    /// When the access token expires, in milliseconds.
    pub token_expires_at: i64,
    /// When the code expires, in milliseconds.
    pub expires_at: i64,
}

/// It stands alone: rows refer to each other by address, not by foreign key.
#[derive(Copy, Clone, Debug, EnumIter, DeriveRelation)]
pub enum Relation {}

impl ActiveModelBehavior for ActiveModel {}
