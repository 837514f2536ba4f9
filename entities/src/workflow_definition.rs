//! A workflow definition that tasks are pinned to; never changed, never deleted.

use sea_orm::entity::prelude::*;

/// A row of `workflow_definitions`.
#[derive(Clone, Debug, PartialEq, Eq, DeriveEntityModel)]
#[sea_orm(table_name = "workflow_definitions")]
pub struct Model {
    /// The digest of `source`.
    #[sea_orm(primary_key, auto_increment = false)]
    pub digest: String,
    /// The name of the workflow.
    pub name: String,
    /// The definition as it was read.
    pub source: String,
    /// When it was first seen, in milliseconds.
    pub created_at: i64,
}

/// It stands alone: rows refer to each other by address, not by foreign key.
#[derive(Copy, Clone, Debug, EnumIter, DeriveRelation)]
pub enum Relation {}

impl ActiveModelBehavior for ActiveModel {}
