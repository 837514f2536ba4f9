//! API keys as they are stored: a digest, never the key. Who manages keys brings a connection; the server looks them
//! up within its limits.

use mixvideo_entities::api_key::{ActiveModel, Column, Entity};
use sea_orm::sea_query::Expr;
use sea_orm::{
    ColumnTrait, Condition, DatabaseConnection, DbErr, EntityTrait, IntoActiveModel, QueryFilter, QueryOrder,
};

use super::{Database, Error};
use crate::domain::Timestamp;

pub use mixvideo_entities::api_key::Model as ApiKeyRow;

/// Stores a new key.
///
/// # Errors
/// A write that failed: for example a digest that is there already.
pub async fn insert(database: &DatabaseConnection, key: ApiKeyRow) -> Result<(), DbErr> {
    let row: ActiveModel = key.into_active_model();
    Entity::insert(row).exec_without_returning(database).await?;
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
pub async fn list(database: &DatabaseConnection) -> Result<Vec<ApiKeyRow>, DbErr> {
    Entity::find().order_by_asc(Column::CreatedAt).order_by_asc(Column::Id).all(database).await
}

/// Revokes a key from `now` on; `false` when there is none that could be revoked.
///
/// # Errors
/// A write that failed.
pub async fn revoke(database: &DatabaseConnection, id: &str, now: Timestamp) -> Result<bool, DbErr> {
    let update = Entity::update_many()
        .col_expr(Column::RevokedAt, Expr::value(now.0))
        .filter(Column::Id.eq(id))
        .filter(Column::RevokedAt.is_null());
    Ok(update.exec(database).await?.rows_affected > 0)
}

/// Notes that a key was used at `now`, unless a use after `not_after` is noted already.
///
/// # Errors
/// A write that failed.
pub async fn touch(database: &Database, id: &str, not_after: Timestamp, now: Timestamp) -> Result<(), Error> {
    let old = Condition::any().add(Column::LastUsedAt.is_null()).add(Column::LastUsedAt.lt(not_after.0));
    let update =
        Entity::update_many().col_expr(Column::LastUsedAt, Expr::value(now.0)).filter(Column::Id.eq(id)).filter(old);
    database.write("note the key's use", async |db| update.exec(db).await).await?;
    Ok(())
}
