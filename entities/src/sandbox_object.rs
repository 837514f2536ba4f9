//! What the sandbox gateway keeps: a session, a payment, a charge, a refund, a product or a price.

use sea_orm::entity::prelude::*;

/// A row of `sandbox_objects`.
#[derive(Clone, Debug, PartialEq, Eq, DeriveEntityModel)]
#[sea_orm(table_name = "sandbox_objects")]
pub struct Model {
    /// Its id, with Stripe's prefix.
    #[sea_orm(primary_key, auto_increment = false)]
    pub id: String,
    /// The id of what it belongs to: a session for what is paid through it, a product for its prices. They change together.
    pub family: String,
    /// What it is, as Stripe names it, such as `payment_intent`.
    pub kind: String,
    /// The object in Stripe's form.
    pub body: String,
    /// When it ends by itself, in milliseconds; null when it does not, or has.
    pub ends_at: Option<i64>,
    /// In milliseconds.
    pub created_at: i64,
}

/// It stands alone: rows refer to each other by id, not by foreign key.
#[derive(Copy, Clone, Debug, EnumIter, DeriveRelation)]
pub enum Relation {}

impl ActiveModelBehavior for ActiveModel {}
