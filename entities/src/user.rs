//! A person who signed in.

use sea_orm::entity::prelude::*;

/// A row of `users`.
#[derive(Clone, Debug, PartialEq, Eq, DeriveEntityModel)]
#[sea_orm(table_name = "users")]
pub struct Model {
    /// Our id of the person.
    #[sea_orm(primary_key, auto_increment = false)]
    pub id: String,
    /// Google's id of the person, which never changes.
    pub google_sub: String,
    /// The verified address of the latest sign-in.
    pub email: String,
    /// The name of the latest sign-in; may be empty.
    pub name: String,
    /// A link to the person's picture.
    pub picture: Option<String>,
    /// The refresh token, encrypted.
    pub refresh_token: Option<String>,
    /// A digest of the refresh token.
    pub refresh_hash: Option<String>,
    /// In milliseconds.
    pub created_at: i64,
    /// The latest sign-in, in milliseconds.
    pub seen_at: i64,
}

/// It stands alone: rows refer to each other by address, not by foreign key.
#[derive(Copy, Clone, Debug, EnumIter, DeriveRelation)]
pub enum Relation {}

impl ActiveModelBehavior for ActiveModel {}
