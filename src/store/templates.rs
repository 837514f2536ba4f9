//! Templates: what is offered. `changes` writes them, `sync` notes what the gateway knows, `row` knows their
//! columns.

mod changes;
mod row;
mod sync;

use std::sync::Arc;

use mixvideo_entities::template::{Column, Entity};
use mixvideo_entities::template_revision;
use sea_orm::sea_query::{Expr, LikeExpr};
use sea_orm::{ColumnTrait, EntityTrait, ExprTrait as _, PaginatorTrait, QueryFilter, QueryOrder, QuerySelect, Select};

use super::cache::Cache;
use super::{Database, Error};
use crate::domain::Timestamp;
use crate::domain::template::{Content, TemplateType};

pub use changes::{Created, NewTemplate};
pub use sync::Wish;

/// Templates are read for every new task and change by hand.
const CACHE_MS: i64 = 1_000;
const CACHED_MAX: usize = 1_000;

/// A template.
#[derive(Clone, Debug, PartialEq)]
pub struct Template {
    /// Its code: the name it is bought and run by.
    pub code: String,
    /// What it says.
    pub content: Content,
    /// How often what it says was written, this time included.
    pub revision: u64,
    /// Whether it can be run.
    pub is_active: bool,
    /// Its product at Stripe.
    pub stripe_product_id: Option<String>,
    /// Its price at Stripe.
    pub stripe_price_id: Option<String>,
    /// When Stripe was last told of it.
    pub last_stripe_sync_at: Option<Timestamp>,
    /// When it was made.
    pub created_at: Timestamp,
    /// When it was last changed.
    pub updated_at: Timestamp,
}

impl Template {
    /// Whether Stripe knows it as it is.
    #[must_use]
    pub fn is_synced(&self) -> bool {
        let told = self.last_stripe_sync_at.is_some_and(|at| at >= self.updated_at);
        told && self.stripe_product_id.is_some() && self.stripe_price_id.is_some()
    }
}

/// What a template said from one change to the next.
#[derive(Clone, Debug, PartialEq)]
pub struct Revision {
    /// Which, from 1.
    pub number: u64,
    /// What it said.
    pub content: Content,
    /// Since when.
    pub created_at: Timestamp,
    /// Who wrote it.
    pub created_by: String,
}

/// Which templates to list.
#[derive(Clone, Debug, Default)]
pub struct Search {
    /// Only those that can be run.
    pub active_only: bool,
    /// Only those that make this.
    pub template_type: Option<TemplateType>,
    /// Only those with this tag, in either case.
    pub tag: Option<String>,
    /// Only those with this in their code, name, description or tags, in either case.
    pub text: Option<String>,
}

/// How the templates stand with Stripe.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct SyncCounts {
    /// All of them.
    pub total: u64,
    /// Those with a product.
    pub with_product: u64,
    /// Those that can be run.
    pub active: u64,
    /// Those that can be run and that Stripe does not know as they are.
    pub needs_sync: u64,
}

/// The templates. Clones share a cache.
#[derive(Clone, Debug)]
pub struct Templates {
    database: Database,
    cache: Arc<Cache<String, Option<Arc<Template>>>>,
}

impl Templates {
    /// The templates of `database`.
    #[must_use]
    pub fn new(database: Database) -> Self {
        Self { database, cache: Arc::new(Cache::new(CACHED_MAX, CACHE_MS)) }
    }

    /// Up to `limit` that match, by code past `after`.
    ///
    /// # Errors
    /// A read that failed, or a row that cannot be read.
    pub async fn search(&self, search: &Search, after: Option<&str>, limit: u64) -> Result<Vec<Template>, Error> {
        let find = matching(search).filter(Column::Code.gt(after.unwrap_or_default()));
        let find = find.order_by_asc(Column::Code).limit(limit);
        let rows = self.database.read("list the templates", async |db| find.all(db).await).await?;
        rows.into_iter().map(row::template).collect()
    }

    /// How many match.
    ///
    /// # Errors
    /// A read that failed.
    pub async fn count(&self, search: &Search) -> Result<u64, Error> {
        let find = matching(search);
        self.database.read("count the templates", async |db| find.count(db).await).await
    }

    /// A template, active or not; read at most a second ago.
    ///
    /// # Errors
    /// A read that failed, or a row that cannot be read.
    pub async fn by_code(&self, code: &str, now: Timestamp) -> Result<Option<Arc<Template>>, Error> {
        if let Some(known) = self.cache.get(code, now) {
            return Ok(known);
        }
        let read = async || {
            let find = kept().filter(Column::Code.eq(code));
            let row = self.database.read("look up the template", async |db| find.one(db).await).await?;
            Ok(row.map(row::template).transpose()?.map(Arc::new))
        };
        self.cache.get_or_read(&code.to_owned(), now, read).await
    }

    /// Up to `limit` revisions of a template, the newest first, before revision `before`. A deleted template's are kept.
    ///
    /// # Errors
    /// A read that failed, or a row that cannot be read.
    pub async fn revisions(&self, code: &str, before: Option<u64>, limit: u64) -> Result<Vec<Revision>, Error> {
        use template_revision::Column;
        let before = before.map_or(i64::MAX, |before| i64::try_from(before).unwrap_or(i64::MAX));
        let find = template_revision::Entity::find()
            .filter(Column::Code.eq(code))
            .filter(Column::Revision.lt(before))
            .order_by_desc(Column::Revision)
            .limit(limit);
        let rows = self.database.read("list the revisions", async |db| find.all(db).await).await?;
        rows.into_iter().map(row::revision).collect()
    }

    /// How many revisions of a template are kept.
    ///
    /// # Errors
    /// A read that failed.
    pub async fn count_revisions(&self, code: &str) -> Result<u64, Error> {
        let find = template_revision::Entity::find().filter(template_revision::Column::Code.eq(code));
        self.database.read("count the revisions", async |db| find.count(db).await).await
    }

    /// How the templates stand with Stripe.
    ///
    /// # Errors
    /// A read that failed.
    pub async fn sync_counts(&self) -> Result<SyncCounts, Error> {
        let active = || kept().filter(Column::IsActive.eq(true));
        let synced = Column::StripeProductId
            .is_not_null()
            .and(Column::StripePriceId.is_not_null())
            .and(Column::LastStripeSyncAt.is_not_null())
            .and(Expr::col(Column::LastStripeSyncAt).gte(Expr::col(Column::UpdatedAt)));
        self.database
            .read("count what Stripe knows", async |db| {
                let active_count = active().count(db).await?;
                Ok(SyncCounts {
                    total: kept().count(db).await?,
                    with_product: kept().filter(Column::StripeProductId.is_not_null()).count(db).await?,
                    active: active_count,
                    needs_sync: active_count.saturating_sub(active().filter(synced).count(db).await?),
                })
            })
            .await
    }
}

/// Those that were not deleted.
fn kept() -> Select<Entity> {
    Entity::find().filter(Column::DeletedAt.is_null())
}

fn matching(search: &Search) -> Select<Entity> {
    let mut find = kept();
    if search.active_only {
        find = find.filter(Column::IsActive.eq(true));
    }
    if let Some(template_type) = search.template_type {
        let name: &str = template_type.into();
        find = find.filter(Column::TemplateType.eq(name));
    }
    let needles = [search.tag.as_deref().map(row::tag_words), search.text.as_deref().map(row::text_words)];
    for needle in needles.into_iter().flatten() {
        let escaped = needle.replace('\\', "\\\\").replace('%', "\\%").replace('_', "\\_");
        find = find.filter(Column::Words.like(LikeExpr::new(format!("%{escaped}%")).escape('\\')));
    }
    find
}
