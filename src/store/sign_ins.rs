//! What a sign-in leaves for a few minutes: states that came back, so that none comes back twice, and codes to redeem.

use mixvideo_entities::{sign_in_code, spent_state};
use sea_orm::sea_query::OnConflict;
use sea_orm::{ColumnTrait, EntityTrait, IntoActiveModel, QueryFilter};

use super::{Database, Error};
use crate::domain::Timestamp;

pub use mixvideo_entities::sign_in_code::Model as CodeRow;
pub use mixvideo_entities::spent_state::Model as SpentRow;

/// Spends a state; `false` when it was spent before.
///
/// # Errors
/// A write that failed.
pub async fn spend(database: &Database, row: SpentRow) -> Result<bool, Error> {
    let known = OnConflict::column(spent_state::Column::Hash).do_nothing().to_owned();
    let insert = spent_state::Entity::insert(row.into_active_model()).on_conflict(known);
    Ok(database.write("spend the state", async |db| insert.exec_without_returning(db).await).await? > 0)
}

/// Keeps a code to be redeemed.
///
/// # Errors
/// A write that failed.
pub async fn keep_code(database: &Database, row: CodeRow) -> Result<(), Error> {
    let insert = sign_in_code::Entity::insert(row.into_active_model());
    database.write("keep the code", async |db| insert.exec_without_returning(db).await).await?;
    Ok(())
}

/// Takes the code of this digest away; only one caller gets it.
///
/// # Errors
/// A read or write that failed.
pub async fn take_code(database: &Database, hash: &str) -> Result<Option<CodeRow>, Error> {
    database
        .write("redeem the code", async |db| {
            let found = sign_in_code::Entity::find_by_id(hash).one(db).await?;
            let deleted = sign_in_code::Entity::delete_by_id(hash).exec(db).await?;
            Ok(found.filter(|_| deleted.rows_affected > 0))
        })
        .await
}

/// Forgets states and codes whose time is over.
///
/// # Errors
/// A write that failed.
pub async fn prune(database: &Database, now: Timestamp) -> Result<u64, Error> {
    let states = spent_state::Entity::delete_many().filter(spent_state::Column::ExpiresAt.lt(now.0));
    let codes = sign_in_code::Entity::delete_many().filter(sign_in_code::Column::ExpiresAt.lt(now.0));
    database
        .write("forget old sign-ins", async |db| {
            Ok(states.exec(db).await?.rows_affected + codes.exec(db).await?.rows_affected)
        })
        .await
}
