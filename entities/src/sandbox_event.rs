//! An event of the sandbox gateway, and when its webhook is sent.

use sea_orm::entity::prelude::*;

/// A row of `sandbox_events`.
#[derive(Clone, Debug, PartialEq, Eq, DeriveEntityModel)]
#[sea_orm(table_name = "sandbox_events")]
pub struct Model {
    /// The event's id.
    #[sea_orm(primary_key, auto_increment = false)]
    pub id: String,
    /// The event in Stripe's form.
    pub body: String,
    /// When it is sent next, in milliseconds; the largest number once it was taken.
    pub due_at: i64,
    /// How often it was sent in vain.
    pub tries: i64,
    /// In milliseconds.
    pub created_at: i64,
}

/// It stands alone: rows refer to each other by id, not by foreign key.
#[derive(Copy, Clone, Debug, EnumIter, DeriveRelation)]
pub enum Relation {}

impl ActiveModelBehavior for ActiveModel {}
