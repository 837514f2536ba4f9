//! People who signed in, and the clients that they signed in through.

use mixvideo_entities::user::{ActiveModel, Column, Entity};
use mixvideo_entities::user_client;
use sea_orm::sea_query::{Expr, OnConflict};
use sea_orm::{ActiveValue, ColumnTrait, EntityTrait, IntoActiveModel, QueryFilter};

use super::{Database, Error};
use crate::domain::Timestamp;

pub use mixvideo_entities::user::Model as UserRow;

/// A refresh token as it is kept.
#[derive(Clone, Debug)]
pub struct KeptRefresh {
    /// The token, encrypted.
    pub sealed: String,
    /// Its digest.
    pub hash: String,
}

/// Notes that the person of `row` signed in: a known one keeps id and birth, and the refresh token unless a new one came.
///
/// # Errors
/// A read or write that failed.
pub async fn signed_in(database: &Database, row: UserRow) -> Result<UserRow, Error> {
    let mut news = vec![Column::Email, Column::Name, Column::Picture, Column::SeenAt];
    if row.refresh_token.is_some() {
        news.extend([Column::RefreshToken, Column::RefreshHash]);
    }
    let sub = row.google_sub.clone();
    let insert: ActiveModel = row.into_active_model();
    let known = OnConflict::column(Column::GoogleSub).update_columns(news).to_owned();
    let stored = database
        .write("note who signed in", async |db| {
            Entity::insert(insert).on_conflict(known).exec_without_returning(db).await?;
            Entity::find().filter(Column::GoogleSub.eq(&sub)).one(db).await
        })
        .await?;
    stored.ok_or_else(|| Error::Corrupt { table: "users", id: sub, what: "nothing after a write".to_owned() })
}

/// The person of this id.
///
/// # Errors
/// A read that failed.
pub async fn by_id(database: &Database, id: &str) -> Result<Option<UserRow>, Error> {
    database.read("look up the user", async |db| Entity::find_by_id(id).one(db).await).await
}

/// The person whom Google calls `sub`.
///
/// # Errors
/// A read that failed.
pub async fn by_google_sub(database: &Database, sub: &str) -> Result<Option<UserRow>, Error> {
    database.read("look up the user", async |db| Entity::find().filter(Column::GoogleSub.eq(sub)).one(db).await).await
}

/// The person whose refresh token has this digest.
///
/// # Errors
/// A read that failed.
pub async fn by_refresh_hash(database: &Database, hash: &str) -> Result<Option<UserRow>, Error> {
    let find = Entity::find().filter(Column::RefreshHash.eq(hash));
    database.read("look up the user", async |db| find.one(db).await).await
}

/// Puts `new` (`None`: nothing) in the place of the refresh token whose digest is `old`; `false` when it is there no longer.
///
/// # Errors
/// A write that failed.
pub async fn replace_refresh(database: &Database, old: &str, new: Option<KeptRefresh>) -> Result<bool, Error> {
    let (sealed, hash) = new.map_or((None, None), |new| (Some(new.sealed), Some(new.hash)));
    let update = Entity::update_many()
        .col_expr(Column::RefreshToken, Expr::value(sealed))
        .col_expr(Column::RefreshHash, Expr::value(hash))
        .filter(Column::RefreshHash.eq(old));
    Ok(database.write("replace the refresh token", async |db| update.exec(db).await).await?.rows_affected > 0)
}

/// Notes that a person signed in through a client.
///
/// # Errors
/// A write that failed.
pub async fn link(database: &Database, user_id: &str, client_id: &str, now: Timestamp) -> Result<(), Error> {
    let row = user_client::ActiveModel {
        user_id: ActiveValue::Set(user_id.to_owned()),
        client_id: ActiveValue::Set(client_id.to_owned()),
        created_at: ActiveValue::Set(now.0),
    };
    let known =
        OnConflict::columns([user_client::Column::UserId, user_client::Column::ClientId]).do_nothing().to_owned();
    let insert = user_client::Entity::insert(row).on_conflict(known);
    database.write("note the user's client", async |db| insert.exec_without_returning(db).await).await?;
    Ok(())
}

/// Whether a person signed in through a client.
///
/// # Errors
/// A read that failed.
pub async fn is_linked(database: &Database, user_id: &str, client_id: &str) -> Result<bool, Error> {
    let find = user_client::Entity::find_by_id((user_id.to_owned(), client_id.to_owned()));
    Ok(database.read("look up the user's client", async |db| find.one(db).await).await?.is_some())
}
