//! The current state of a task.

use sea_orm::entity::prelude::*;

/// A row of `tasks`.
#[derive(Clone, Debug, PartialEq, Eq, DeriveEntityModel)]
#[sea_orm(table_name = "tasks")]
pub struct Model {
    /// The task id.
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
    /// The user it is for.
    pub user_id: Option<String>,
    /// The template it runs.
    pub template_code: Option<String>,
    /// The state, as JSON.
    pub state: String,
}

/// It stands alone: rows refer to each other by address, not by foreign key.
#[derive(Copy, Clone, Debug, EnumIter, DeriveRelation)]
pub enum Relation {}

impl ActiveModelBehavior for ActiveModel {}
