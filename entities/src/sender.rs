//! The current state of an Ethereum address that coins go out from.

use sea_orm::entity::prelude::*;

/// A row of `senders`.
#[derive(Clone, Debug, PartialEq, Eq, DeriveEntityModel)]
#[sea_orm(table_name = "senders")]
pub struct Model {
    /// The chain's number and the address, with a dash between them.
    #[sea_orm(primary_key, auto_increment = false)]
    pub id: String,
    /// How many decisions led to it.
    pub version: i64,
    /// The name of its state.
    pub status: String,
    /// The schema number of `state`.
    pub schema: i64,
    /// Its birth, in milliseconds.
    pub created_at: i64,
    /// Its latest decision, in milliseconds.
    pub updated_at: i64,
    /// What a person should look at.
    pub attention: Option<String>,
    /// The state, as JSON.
    pub state: String,
}

/// It stands alone: rows refer to each other by address, not by foreign key.
#[derive(Copy, Clone, Debug, EnumIter, DeriveRelation)]
pub enum Relation {}

impl ActiveModelBehavior for ActiveModel {}
