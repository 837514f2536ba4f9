//! Something that an operator did.

use sea_orm::entity::prelude::*;

/// A row of `audit`.
#[derive(Clone, Debug, PartialEq, Eq, DeriveEntityModel)]
#[sea_orm(table_name = "audit")]
pub struct Model {
    /// Time-ordered.
    #[sea_orm(primary_key, auto_increment = false)]
    pub id: String,
    /// When it began, in milliseconds.
    pub at: i64,
    /// The operator's key, or `command line`.
    pub by_id: String,
    /// What was called, such as `POST /ops/keys`.
    pub action: String,
    /// What it was about, where the call does not say it.
    pub target: Option<String>,
    /// By which the call is found in the logs.
    pub trace_id: String,
    /// How it ended, as an HTTP status; none when the process died before it did.
    pub status: Option<i32>,
}

/// It stands alone: rows refer to each other by address, not by foreign key.
#[derive(Copy, Clone, Debug, EnumIter, DeriveRelation)]
pub enum Relation {}

impl ActiveModelBehavior for ActiveModel {}
