//! One decision of one actor: append-only.

use sea_orm::entity::prelude::*;

/// A row of `journal`.
#[derive(Clone, Debug, PartialEq, Eq, DeriveEntityModel)]
#[sea_orm(table_name = "journal")]
pub struct Model {
    /// Who decided.
    #[sea_orm(primary_key, auto_increment = false)]
    pub actor: String,
    /// Its version from this decision on.
    #[sea_orm(primary_key, auto_increment = false)]
    pub version: i64,
    /// The message decided on; unique per actor.
    pub message_id: String,
    /// `applied`, `refused` or `ignored`.
    pub verdict: String,
    /// Why it was refused.
    pub reason: Option<String>,
    /// The message, as JSON.
    pub body: String,
    /// The time the decision was given, in milliseconds.
    pub now: i64,
    /// The schema number of the message and of the state it led to.
    pub schema: i64,
}

/// It stands alone: rows refer to each other by address, not by foreign key.
#[derive(Copy, Clone, Debug, EnumIter, DeriveRelation)]
pub enum Relation {}

impl ActiveModelBehavior for ActiveModel {}
