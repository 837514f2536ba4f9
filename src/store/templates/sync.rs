//! Telling the gateway of templates: that it is to be done is written in the commit of every change, and taken back once
//! it is done, so a sync that is cut short is found again.

use mixvideo_entities::template::{Column, Entity};
use sea_orm::sea_query::Expr;
use sea_orm::{ColumnTrait, Condition, EntityTrait, QueryFilter, QueryOrder, QuerySelect};

use super::{Template, Templates, row};
use crate::domain::Timestamp;
use crate::store::Error;

/// What the gateway is to be told.
#[derive(Clone, Debug, PartialEq)]
pub struct Wish {
    /// The template as it is now.
    pub template: Template,
    /// Whether it was deleted.
    pub deleted: bool,
    /// Since when this is to be told: the same for every try.
    pub since: Timestamp,
}

impl Templates {
    /// What the gateway is to be told of a template, deleted or not; a wish that is younger than `oldest` is gone on with.
    /// `None` when there is no such template.
    ///
    /// # Errors
    /// A read or write that failed, or a row that cannot be read.
    pub async fn wish(&self, code: &str, oldest: Timestamp, now: Timestamp) -> Result<Option<Wish>, Error> {
        let old = Condition::any().add(Column::SyncWantedAt.is_null()).add(Column::SyncWantedAt.lt(oldest.0));
        let want = Entity::update_many()
            .col_expr(Column::SyncWantedAt, Expr::value(now.0))
            .filter(Column::Code.eq(code))
            .filter(old);
        let found = self
            .database
            .write("note that the gateway is to be told", async |db| {
                want.exec(db).await?;
                Entity::find_by_id(code).one(db).await
            })
            .await?;
        let Some(row) = found else { return Ok(None) };
        let deleted = row.deleted_at.is_some();
        let since = Timestamp(row.sync_wanted_at.unwrap_or(now.0));
        Ok(Some(Wish { template: row::template(row)?, deleted, since }))
    }

    /// The gateway knows `told` under these ids; `false` when the template has changed since, and is to be told again.
    ///
    /// # Errors
    /// A write that failed.
    pub async fn told(&self, told: &Template, (product, price): (&str, &str), now: Timestamp) -> Result<bool, Error> {
        let note = Entity::update_many()
            .col_expr(Column::StripeProductId, Expr::value(product))
            .col_expr(Column::StripePriceId, Expr::value(price))
            .col_expr(Column::LastStripeSyncAt, Expr::value(now.0.max(told.updated_at.0)))
            .col_expr(Column::SyncWantedAt, Expr::value(Option::<i64>::None))
            .filter(Column::Code.eq(&*told.code))
            .filter(Column::Revision.eq(row::signed(told.revision)))
            .filter(Column::UpdatedAt.eq(told.updated_at.0))
            .filter(Column::IsActive.eq(told.is_active));
        let noted = self.database.write("note what the gateway knows", async |db| note.exec(db).await).await;
        self.cache.clear();
        Ok(noted?.rows_affected > 0)
    }

    /// The product and the price of a template, deleted or not, once the gateway was told of it.
    ///
    /// # Errors
    /// A read that failed.
    pub async fn known(&self, code: &str) -> Result<Option<(String, String)>, Error> {
        let find = Entity::find_by_id(code);
        let row = self.database.read("look up what the gateway knows", async |db| find.one(db).await).await?;
        Ok(row.and_then(|row| row.stripe_product_id.zip(row.stripe_price_id)))
    }

    /// Up to `limit` codes past `after` that the gateway is to be told of since before `before`.
    ///
    /// # Errors
    /// A read that failed.
    pub async fn untold(&self, before: Timestamp, after: &str, limit: u64) -> Result<Vec<String>, Error> {
        let find = Entity::find()
            .filter(Column::SyncWantedAt.lte(before.0))
            .filter(Column::Code.gt(after))
            .order_by_asc(Column::Code)
            .limit(limit);
        let rows = self.database.read("list what the gateway is to be told", async |db| find.all(db).await).await?;
        Ok(rows.into_iter().map(|row| row.code).collect())
    }
}
