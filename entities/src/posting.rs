//! One move of money in the books of a receiver.

use sea_orm::entity::prelude::*;

/// A row of `ledger`, which is never changed. The amount is in minor units of `currency`, and more than nothing.
#[derive(Clone, Debug, PartialEq, Eq, DeriveEntityModel)]
#[sea_orm(table_name = "ledger")]
pub struct Model {
    /// The account's decision and its place in it.
    #[sea_orm(primary_key, auto_increment = false)]
    pub id: String,
    /// The receiver.
    pub actor: String,
    /// When it was decided, in milliseconds.
    pub at: i64,
    /// The bucket it comes from.
    pub debit: String,
    /// The bucket it goes to.
    pub credit: String,
    /// The currency.
    pub currency: String,
    /// How much.
    pub amount: i64,
    /// Why.
    pub cause: String,
    /// The payment it is of.
    pub payment_id: String,
    /// The refund that moved it.
    pub refund_id: Option<String>,
}

/// It stands alone: rows refer to each other by address, not by foreign key.
#[derive(Copy, Clone, Debug, EnumIter, DeriveRelation)]
pub enum Relation {}

impl ActiveModelBehavior for ActiveModel {}
