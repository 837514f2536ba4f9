//! The current state of a payment.

use sea_orm::entity::prelude::*;

/// A row of `payments`. Amounts are in minor units of `currency`.
#[derive(Clone, Debug, PartialEq, Eq, DeriveEntityModel)]
#[sea_orm(table_name = "payments")]
pub struct Model {
    /// The payment's id.
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
    /// The client that asked for it.
    pub owner: Option<String>,
    /// The customer.
    pub user_id: Option<String>,
    /// The template that is bought.
    pub template_code: Option<String>,
    /// Who is paid.
    pub receiver_id: Option<String>,
    /// The task it pays for.
    pub task_id: Option<String>,
    /// The gateway's id of what was paid.
    pub intent_id: Option<String>,
    /// The currency of its amounts.
    pub currency: Option<String>,
    /// What it costs.
    pub amount: i64,
    /// What came in.
    pub captured: i64,
    /// What is promised to refunds.
    pub reserved: i64,
    /// What was given back.
    pub refunded: i64,
    /// What disputes hold back or took.
    pub disputed: i64,
    /// By how much others took more than was there.
    pub over_refunded: i64,
    /// What a person should look at.
    pub attention: Option<String>,
    /// The state, as JSON.
    pub state: String,
}

/// It stands alone: rows refer to each other by address, not by foreign key.
#[derive(Copy, Clone, Debug, EnumIter, DeriveRelation)]
pub enum Relation {}

impl ActiveModelBehavior for ActiveModel {}
