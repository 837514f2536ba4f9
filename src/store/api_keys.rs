//! API keys as they are stored: a digest, never the key.

use mixvideo_entities::api_key::{ActiveModel, Column, Entity};
use sea_orm::sea_query::Expr;
use sea_orm::{ColumnTrait, Condition, EntityTrait, IntoActiveModel, QueryFilter, QueryOrder};

use super::{Database, Error};
use crate::domain::Timestamp;

pub use mixvideo_entities::api_key::Model as ApiKeyRow;

/// Stores a new key.
///
/// # Errors
/// A write that failed: for example a digest that is there already.
pub async fn insert(database: &Database, key: ApiKeyRow) -> Result<(), Error> {
    let row: ActiveModel = key.into_active_model();
    database.write("store the key", async |db| Entity::insert(row).exec_without_returning(db).await).await?;
    Ok(())
}

/// The key with this digest, revoked or not.
///
/// # Errors
/// A read that failed.
pub async fn by_hash(database: &Database, hash: &str) -> Result<Option<ApiKeyRow>, Error> {
    database.read("look up the key", async |db| Entity::find().filter(Column::Hash.eq(hash)).one(db).await).await
}

/// Every key, oldest first.
///
/// # Errors
/// A read that failed.
pub async fn list(database: &Database) -> Result<Vec<ApiKeyRow>, Error> {
    database.read("list the keys", async |db| Entity::find().order_by_asc(Column::CreatedAt).all(db).await).await
}

/// Revokes a key from `now` on; `false` when there is none that could be revoked.
///
/// # Errors
/// A write that failed.
pub async fn revoke(database: &Database, id: &str, now: Timestamp) -> Result<bool, Error> {
    let update = Entity::update_many()
        .col_expr(Column::RevokedAt, Expr::value(now.0))
        .filter(Column::Id.eq(id))
        .filter(Column::RevokedAt.is_null());
    let done = database.write("revoke the key", async |db| update.exec(db).await).await?;
    Ok(done.rows_affected > 0)
}

/// Notes that a key was used at `now`, unless a use after `not_after` is noted already.
///
/// # Errors
/// A write that failed.
pub async fn touch(database: &Database, id: &str, not_after: Timestamp, now: Timestamp) -> Result<(), Error> {
    let old = Condition::any().add(Column::LastUsedAt.is_null()).add(Column::LastUsedAt.lt(not_after.0));
    let update = Entity::update_many()
        .col_expr(Column::LastUsedAt, Expr::value(now.0))
        .filter(Column::Id.eq(id))
        .filter(old);
    database.write("note the key's use", async |db| update.exec(db).await).await?;
    Ok(())
}
