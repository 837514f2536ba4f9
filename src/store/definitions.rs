//! Workflow definitions that tasks may be pinned to: every one that was ever current, by digest.

use mixvideo_entities::workflow_definition::{ActiveModel, Column, Entity, Model};
use sea_orm::sea_query::OnConflict;
use sea_orm::{ActiveValue, EntityTrait, QueryOrder};

use super::{Database, Error};
use crate::domain::Timestamp;
use crate::domain::workflow::Definition;

/// The sources of all that are known, oldest first.
///
/// # Errors
/// A read that failed.
pub async fn all(database: &Database) -> Result<Vec<Model>, Error> {
    database
        .read("read the workflow definitions", async |db| Entity::find().order_by_asc(Column::CreatedAt).all(db).await)
        .await
}

/// Keeps definitions that are not kept yet.
///
/// # Errors
/// A write that failed.
pub async fn keep(
    database: &Database,
    definitions: impl IntoIterator<Item = &Definition>,
    now: Timestamp,
) -> Result<(), Error> {
    let rows: Vec<ActiveModel> = definitions
        .into_iter()
        .map(|definition| ActiveModel {
            digest: ActiveValue::Set(definition.digest().to_owned()),
            name: ActiveValue::Set(definition.name().to_owned()),
            source: ActiveValue::Set(definition.source().to_owned()),
            created_at: ActiveValue::Set(now.0),
        })
        .collect();
    if rows.is_empty() {
        return Ok(());
    }
    database
        .write("keep the workflow definitions", async |db| {
            let known = OnConflict::column(Column::Digest).do_nothing().to_owned();
            Entity::insert_many(rows).on_conflict(known).exec_without_returning(db).await.map(drop)
        })
        .await
}
