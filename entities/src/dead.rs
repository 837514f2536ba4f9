//! An effect that was set aside for a person.

use sea_orm::entity::prelude::*;

/// A row of `dead`.
#[derive(Clone, Debug, PartialEq, Eq, DeriveEntityModel)]
#[sea_orm(table_name = "dead")]
pub struct Model {
    /// The effect: `kind/key:version:index`.
    #[sea_orm(primary_key, auto_increment = false)]
    pub id: String,
    /// The address of the actor that was to receive it.
    pub target: String,
    /// The partition of the target.
    pub partition: i64,
    /// The queue it waited in.
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
    /// Why it was set aside.
    pub reason: String,
    /// When it was set aside, in milliseconds.
    pub died_at: i64,
}

/// It stands alone: rows refer to each other by address, not by foreign key.
#[derive(Copy, Clone, Debug, EnumIter, DeriveRelation)]
pub enum Relation {}

impl ActiveModelBehavior for ActiveModel {}
