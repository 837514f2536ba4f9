//! Digests of the access tokens that were issued through us: whose they are, and until when.

use mixvideo_entities::access_token::{Column, Entity};
use sea_orm::sea_query::{Expr, OnConflict};
use sea_orm::{ColumnTrait, EntityTrait, IntoActiveModel, QueryFilter, QuerySelect};

use super::{Database, Error};
use crate::domain::Timestamp;

pub use mixvideo_entities::access_token::Model as AccessTokenRow;

/// Notes a token; one that is known already stays as it is.
///
/// # Errors
/// A write that failed.
pub async fn keep(database: &Database, row: AccessTokenRow) -> Result<(), Error> {
    let known = OnConflict::column(Column::Hash).do_nothing().to_owned();
    let insert = Entity::insert(row.into_active_model()).on_conflict(known);
    database.write("note the access token", async |db| insert.exec_without_returning(db).await).await?;
    Ok(())
}

/// The token of this digest, revoked or not.
///
/// # Errors
/// A read that failed.
pub async fn by_hash(database: &Database, hash: &str) -> Result<Option<AccessTokenRow>, Error> {
    database.read("look up the access token", async |db| Entity::find_by_id(hash).one(db).await).await
}

/// Revokes every token of a person; their digests.
///
/// # Errors
/// A read or write that failed.
pub async fn revoke_all(database: &Database, user_id: &str, now: Timestamp) -> Result<Vec<String>, Error> {
    let update = Entity::update_many()
        .col_expr(Column::RevokedAt, Expr::value(now.0))
        .filter(Column::UserId.eq(user_id))
        .filter(Column::RevokedAt.is_null());
    let hashes = Entity::find().select_only().column(Column::Hash).filter(Column::UserId.eq(user_id));
    database
        .write("revoke the access tokens", async |db| {
            update.exec(db).await?;
            hashes.into_tuple().all(db).await
        })
        .await
}

/// Forgets tokens that expired before `before`.
///
/// # Errors
/// A write that failed.
pub async fn prune(database: &Database, before: Timestamp) -> Result<u64, Error> {
    let delete = Entity::delete_many().filter(Column::ExpiresAt.lt(before.0));
    Ok(database.write("forget old access tokens", async |db| delete.exec(db).await).await?.rows_affected)
}
