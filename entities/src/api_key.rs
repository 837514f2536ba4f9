//! A key to the API; the key itself is not kept.

use sea_orm::entity::prelude::*;

/// A row of `api_keys`.
#[derive(Clone, Debug, PartialEq, Eq, DeriveEntityModel)]
#[sea_orm(table_name = "api_keys")]
pub struct Model {
    /// The public id of the key.
    #[sea_orm(primary_key, auto_increment = false)]
    pub id: String,
    /// A digest of the key.
    pub hash: String,
    /// `operator` or `client`.
    pub role: String,
    /// The client it acts for.
    pub client_id: Option<String>,
    /// A name for people.
    pub name: String,
    /// In milliseconds.
    pub created_at: i64,
    /// In milliseconds.
    pub expires_at: Option<i64>,
    /// In milliseconds.
    pub revoked_at: Option<i64>,
    /// In milliseconds; kept roughly.
    pub last_used_at: Option<i64>,
    /// The receivers that a client may act for, as a JSON list.
    pub receivers: String,
}

/// It stands alone: rows refer to each other by address, not by foreign key.
#[derive(Copy, Clone, Debug, EnumIter, DeriveRelation)]
pub enum Relation {}

impl ActiveModelBehavior for ActiveModel {}
