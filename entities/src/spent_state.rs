//! The state of a sign-in that came back once.

use sea_orm::entity::prelude::*;

/// A row of `spent_states`.
#[derive(Clone, Debug, PartialEq, Eq, DeriveEntityModel)]
#[sea_orm(table_name = "spent_states")]
pub struct Model {
    /// A digest of the state.
    #[sea_orm(primary_key, auto_increment = false)]
    pub hash: String,
    /// When it could no longer be used anyway, in milliseconds.
    pub expires_at: i64,
}

/// It stands alone: rows refer to each other by address, not by foreign key.
#[derive(Copy, Clone, Debug, EnumIter, DeriveRelation)]
pub enum Relation {}

impl ActiveModelBehavior for ActiveModel {}
