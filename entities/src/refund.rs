//! The current state of a refund.

use sea_orm::entity::prelude::*;

/// A row of `refunds`. The amount is in minor units of `currency`.
#[derive(Clone, Debug, PartialEq, Eq, DeriveEntityModel)]
#[sea_orm(table_name = "refunds")]
pub struct Model {
    /// The refund's id.
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
    /// The payment.
    pub payment_id: Option<String>,
    /// The gateway's id of it.
    pub gateway_id: Option<String>,
    /// The currency of its amount, once it is promised.
    pub currency: Option<String>,
    /// How much, once it is promised.
    pub amount: Option<i64>,
    /// What a person should look at.
    pub attention: Option<String>,
    /// The address that coins go to, in lower case.
    pub refund_to: Option<String>,
    /// The state, as JSON.
    pub state: String,
}

/// It stands alone: rows refer to each other by address, not by foreign key.
#[derive(Copy, Clone, Debug, EnumIter, DeriveRelation)]
pub enum Relation {}

impl ActiveModelBehavior for ActiveModel {}
