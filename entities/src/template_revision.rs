//! What a template said before it was changed, and what it says now.

use sea_orm::entity::prelude::*;

/// A row of `template_revisions`.
#[derive(Clone, Debug, PartialEq, Eq, DeriveEntityModel)]
#[sea_orm(table_name = "template_revisions")]
pub struct Model {
    /// The template.
    #[sea_orm(primary_key, auto_increment = false)]
    pub code: String,
    /// Which revision, from 1.
    #[sea_orm(primary_key, auto_increment = false)]
    pub revision: i64,
    /// Everything it said, as JSON.
    pub content: String,
    /// Since when, in milliseconds.
    pub created_at: i64,
    /// Who wrote it.
    pub created_by: String,
}

/// It stands alone: rows refer to each other by address, not by foreign key.
#[derive(Copy, Clone, Debug, EnumIter, DeriveRelation)]
pub enum Relation {}

impl ActiveModelBehavior for ActiveModel {}
