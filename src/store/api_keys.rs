//! API keys as they are stored: a digest, never the key. Who manages keys brings a connection; the server looks them
//! up within its limits.

use mixvideo_entities::api_key::{ActiveModel, Column, Entity};
use sea_orm::sea_query::Expr;
use sea_orm::{
    ColumnTrait, Condition, DatabaseConnection, DbErr, EntityTrait, IntoActiveModel, PaginatorTrait, QueryFilter,
    QueryOrder, QuerySelect, TransactionTrait,
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

/// Up to `limit` keys, by id, which is by age, after `after`.
///
/// # Errors
/// A read that failed.
pub async fn page(database: &Database, after: Option<&str>, limit: u64) -> Result<Vec<ApiKeyRow>, Error> {
    let mut find = Entity::find().order_by_asc(Column::Id).limit(limit);
    if let Some(after) = after {
        find = find.filter(Column::Id.gt(after));
    }
    database.read("list the keys", async |db| find.all(db).await).await
}

/// How many keys there are.
///
/// # Errors
/// A read that failed.
pub async fn count(database: &Database) -> Result<u64, Error> {
    database.read("count the keys", async |db| Entity::find().count(db).await).await
}

/// The key of this id.
///
/// # Errors
/// A read that failed.
pub async fn by_id(database: &DatabaseConnection, id: &str) -> Result<Option<ApiKeyRow>, DbErr> {
    Entity::find_by_id(id).one(database).await
}

/// Puts `new` beside the key `old`, which works until `until` and no longer; `false` when the old one was revoked
/// meanwhile, and then there is no new one.
///
/// # Errors
/// A write that failed.
pub async fn replace(
    database: &DatabaseConnection,
    old: &str,
    until: Timestamp,
    new: ApiKeyRow,
) -> Result<bool, DbErr> {
    let sooner = Condition::any().add(Column::ExpiresAt.is_null()).add(Column::ExpiresAt.gt(until.0));
    let standing = Entity::update_many()
        .col_expr(
            Column::ExpiresAt,
            Expr::case(sooner, Expr::value(until.0)).finally(Expr::col(Column::ExpiresAt)).into(),
        )
        .filter(Column::Id.eq(old))
        .filter(Column::RevokedAt.is_null());
    let transaction = database.begin().await?;
    if standing.exec(&transaction).await?.rows_affected == 0 {
        transaction.rollback().await?;
        return Ok(false);
    }
    let row: ActiveModel = new.into_active_model();
    Entity::insert(row).exec_without_returning(&transaction).await?;
    transaction.commit().await?;
    Ok(true)
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
