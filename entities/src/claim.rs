//! A name that one birth has taken, such as an idempotency key.

use sea_orm::entity::prelude::*;

/// A row of `claims`.
#[derive(Clone, Debug, PartialEq, Eq, DeriveEntityModel)]
#[sea_orm(table_name = "claims")]
pub struct Model {
    /// The name.
    #[sea_orm(primary_key, auto_increment = false)]
    pub name: String,
    /// What the same caller must repeat.
    pub fingerprint: String,
    /// The address of the actor that was born with it.
    pub actor: String,
    /// The answer to repeat.
    pub answer: String,
    /// When it may be forgotten, in milliseconds.
    pub expires: i64,
}

/// It stands alone: rows refer to each other by address, not by foreign key.
#[derive(Copy, Clone, Debug, EnumIter, DeriveRelation)]
pub enum Relation {}

impl ActiveModelBehavior for ActiveModel {}
