//! An effect that must still happen.

use sea_orm::entity::prelude::*;

/// A row of `outbox`.
#[derive(Clone, Debug, PartialEq, Eq, DeriveEntityModel)]
#[sea_orm(table_name = "outbox")]
pub struct Model {
    /// The effect: `kind/key:version:index`.
    #[sea_orm(primary_key, auto_increment = false)]
    pub id: String,
    /// The address of the actor that receives it.
    pub target: String,
    /// The partition of the target.
    pub partition: i64,
    /// The queue it waits in.
    pub lane: String,
    /// Not before this time, in milliseconds.
    pub due: i64,
    /// The message, or the input of an activity, as JSON.
    pub body: String,
    /// How often the process died while this was the only suspect.
    pub deaths: i64,
    /// How an activity waits for room, as JSON; null when there is nothing to say but its lane.
    pub turn: Option<String>,
    pub schema: i64,
    /// 1 while it waits for the birth of its target.
    pub parked: i64,
    /// 1 once its activity has noted that it begins to act.
    pub begun: i64,
    /// 1 when it was in hand as a process died, until it is tried again.
    pub suspect: i64,
    /// When it was decided, in milliseconds.
    pub created_at: i64,
}

/// It stands alone: rows refer to each other by address, not by foreign key.
#[derive(Copy, Clone, Debug, EnumIter, DeriveRelation)]
pub enum Relation {}

impl ActiveModelBehavior for ActiveModel {}
