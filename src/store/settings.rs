//! Facts about the whole database: decided at its first start, or how far something has come.

use mixvideo_entities::setting::{ActiveModel, Column, Entity};
use sea_orm::sea_query::Expr;
use sea_orm::sea_query::OnConflict;
use sea_orm::{ActiveValue, ColumnTrait as _, EntityTrait, QueryFilter as _};

use super::{Database, Error};

/// The value of the setting `name`: `first` when this is the first time anybody asks, else what it was then.
///
/// # Errors
/// A read or write that failed.
pub async fn decide(database: &Database, name: &str, first: &str) -> Result<String, Error> {
    let row = ActiveModel { name: ActiveValue::Set(name.to_owned()), value: ActiveValue::Set(first.to_owned()) };
    let stored = database
        .write("decide a setting", async |db| {
            let known = OnConflict::column(Column::Name).do_nothing().to_owned();
            Entity::insert(row).on_conflict(known).exec_without_returning(db).await?;
            Entity::find_by_id(name).one(db).await
        })
        .await?;
    stored.map(|row| row.value).ok_or_else(|| Error::Corrupt {
        table: "settings",
        id: name.to_owned(),
        what: "no value".to_owned(),
    })
}

/// The value of the setting `name`, if it has one.
///
/// # Errors
/// A read that failed.
pub async fn read(database: &Database, name: &str) -> Result<Option<String>, Error> {
    let find = Entity::find_by_id(name);
    let row = database.read("read a setting", async |db| find.one(db).await).await?;
    Ok(row.map(|row| row.value))
}

/// Changes the setting `name` from `known` to `value`; whether nobody was faster.
///
/// # Errors
/// A write that failed.
pub async fn replace(database: &Database, name: &str, known: &str, value: &str) -> Result<bool, Error> {
    let update = Entity::update_many().col_expr(Column::Value, Expr::value(value));
    let update = update.filter(Column::Name.eq(name)).filter(Column::Value.eq(known));
    let done = database.write("change a setting", async |db| update.exec(db).await).await?;
    Ok(done.rows_affected == 1)
}
