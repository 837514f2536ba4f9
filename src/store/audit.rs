//! What operators did: written down before it is done, and how it ended afterwards.

use mixvideo_entities::audit::{Column, Entity};
use sea_orm::sea_query::Expr;
use sea_orm::{
    ColumnTrait, DatabaseConnection, DbErr, EntityTrait, IntoActiveModel, PaginatorTrait, QueryFilter, QueryOrder,
    QuerySelect,
};

use super::{Database, Error};
use crate::domain::Timestamp;

pub use mixvideo_entities::audit::Model as AuditRow;

/// Notes that something begins.
///
/// # Errors
/// A write that failed: then it must not be done.
pub async fn begin(database: &Database, row: AuditRow) -> Result<(), Error> {
    let insert = Entity::insert(row.into_active_model());
    database.write("note the operator's action", async |db| insert.exec_without_returning(db).await).await?;
    Ok(())
}

/// The same, on a connection that the command line brings.
///
/// # Errors
/// A write that failed.
pub async fn note(database: &DatabaseConnection, row: AuditRow) -> Result<(), DbErr> {
    Entity::insert(row.into_active_model()).exec_without_returning(database).await?;
    Ok(())
}

/// Notes how it ended, and what it was about where the call itself did not say.
///
/// # Errors
/// A write that failed.
pub async fn end(database: &Database, id: &str, status: u16, target: Option<String>) -> Result<(), Error> {
    let update = Entity::update_many()
        .col_expr(Column::Status, Expr::value(i32::from(status)))
        .col_expr(Column::Target, Expr::value(target))
        .filter(Column::Id.eq(id));
    database.write("note how the operator's action ended", async |db| update.exec(db).await).await?;
    Ok(())
}

/// Up to `limit` actions, the newest first, older than the one of id `before`.
///
/// # Errors
/// A read that failed.
pub async fn list(database: &Database, before: Option<&str>, limit: u64) -> Result<Vec<AuditRow>, Error> {
    let mut find = Entity::find().order_by_desc(Column::Id).limit(limit);
    if let Some(before) = before {
        find = find.filter(Column::Id.lt(before));
    }
    database.read("list the operators' actions", async |db| find.all(db).await).await
}

/// How many there are.
///
/// # Errors
/// A read that failed.
pub async fn count(database: &Database) -> Result<u64, Error> {
    database.read("count the operators' actions", async |db| Entity::find().count(db).await).await
}

/// Forgets up to `limit` actions older than `before`; how many those were.
///
/// # Errors
/// A write that failed.
pub async fn prune(database: &Database, before: Timestamp, limit: u64) -> Result<u64, Error> {
    let old = Entity::find().select_only().column(Column::Id).filter(Column::At.lt(before.0)).limit(limit);
    database
        .write("forget old actions of operators", async |db| {
            let ids: Vec<String> = old.into_tuple().all(db).await?;
            if ids.is_empty() {
                return Ok(0);
            }
            Ok(Entity::delete_many().filter(Column::Id.is_in(ids)).exec(db).await?.rows_affected)
        })
        .await
}
