//! The call that an actor was born in, where its caller traced it.

use sea_orm::entity::prelude::*;

/// A row of `traces`.
#[derive(Clone, Debug, PartialEq, Eq, DeriveEntityModel)]
#[sea_orm(table_name = "traces")]
pub struct Model {
    /// The actor's address.
    #[sea_orm(primary_key, auto_increment = false)]
    pub actor: String,
    /// The trace id: 32 hexadecimal digits.
    pub trace: String,
    /// The birth, in milliseconds.
    pub at: i64,
}

/// It stands alone: rows refer to each other by address, not by foreign key.
#[derive(Copy, Clone, Debug, EnumIter, DeriveRelation)]
pub enum Relation {}

impl ActiveModelBehavior for ActiveModel {}
