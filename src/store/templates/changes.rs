//! Making, changing and deleting templates. Each change is one transaction; what a template said is never overwritten.

use mixvideo_entities::template::{Column, Entity};
use mixvideo_entities::template_revision;
use sea_orm::sea_query::{Expr, OnConflict};
use sea_orm::{
    ActiveModelTrait as _, ColumnTrait, ConnectionTrait, DatabaseConnection, DatabaseTransaction, DbErr, EntityTrait,
    IntoActiveModel, QueryFilter, QuerySelect, SqliteTransactionMode, TransactionOptions, TransactionTrait,
};

use super::{Template, Templates, row};
use crate::domain::Timestamp;
use crate::domain::template::Content;
use crate::runtime::journal::Claim;
use crate::store::{Error, claims};

/// A template to be made.
#[derive(Clone, Debug, PartialEq)]
pub struct NewTemplate {
    /// Its code.
    pub code: String,
    /// What it says.
    pub content: Content,
    /// Whether it can be run.
    pub is_active: bool,
}

/// What became of a template that was to be made.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Created {
    /// It is made.
    Now,
    /// Its code is taken; nothing changed.
    Taken,
    /// The idempotency key was used before; nothing changed.
    Claimed {
        /// What the key was used for.
        fingerprint: String,
        /// What was answered then.
        answer: String,
    },
}

impl Templates {
    /// Makes a template, with the `claim` of its call in the same transaction. A code whose template was deleted is free,
    /// and its revisions go on.
    ///
    /// # Errors
    /// A write that failed; nothing changed.
    pub async fn create(
        &self,
        new: &NewTemplate,
        by: &str,
        claim: Option<&Claim>,
        now: Timestamp,
    ) -> Result<Created, Error> {
        let template = Template {
            code: new.code.clone(),
            content: new.content.clone(),
            revision: 1,
            is_active: new.is_active,
            stripe_product_id: None,
            stripe_price_id: None,
            last_stripe_sync_at: None,
            created_at: now,
            updated_at: now,
        };
        let created =
            self.database.write("store the template", async |db| insert(db, template, by, claim).await).await?;
        self.cache.clear();
        Ok(created)
    }

    /// Changes a template to what `decide` makes of it: one change at a time, so that none is lost. What it says becomes a
    /// new revision when it differs. `None` when there is no such template; what `decide` refuses with, when it does.
    ///
    /// # Errors
    /// A write that failed, or a row that cannot be read; nothing changed.
    pub async fn change<R>(
        &self,
        code: &str,
        by: &str,
        now: Timestamp,
        decide: impl FnOnce(&Template) -> Result<Template, R>,
    ) -> Result<Option<Result<Template, R>>, Error> {
        let changed = self
            .database
            .write("change the template", async |db| {
                let transaction = db.begin_with_options(writing()).await?;
                let find = Entity::find_by_id(code).filter(Column::DeletedAt.is_null()).lock_exclusive();
                let old = match find.one(&transaction).await?.map(row::template) {
                    None => return Ok(Ok(None)),
                    Some(Err(unreadable)) => return Ok(Err(unreadable)),
                    Some(Ok(old)) => old,
                };
                let mut new = match decide(&old) {
                    Err(refused) => return Ok(Ok(Some(Err(refused)))),
                    Ok(new) if new == old => return Ok(Ok(Some(Ok(old)))),
                    Ok(new) => new,
                };
                new.updated_at = now;
                if new.content != old.content {
                    new.revision = old.revision + 1;
                    keep_revision(&transaction, &new, by).await?;
                }
                replace(&transaction, &new).await?;
                transaction.commit().await?;
                Ok(Ok(Some(Ok(new))))
            })
            .await;
        self.cache.clear();
        changed?
    }

    /// Withdraws a template; its revisions stay. `false` when there is none.
    ///
    /// # Errors
    /// A write that failed; nothing changed.
    pub async fn delete(&self, code: &str, now: Timestamp) -> Result<bool, Error> {
        let delete = Entity::update_many()
            .col_expr(Column::DeletedAt, Expr::value(now.0))
            .col_expr(Column::UpdatedAt, Expr::value(now.0))
            .col_expr(Column::IsActive, Expr::value(false))
            .col_expr(Column::SyncWantedAt, Expr::value(now.0))
            .filter(Column::Code.eq(code))
            .filter(Column::DeletedAt.is_null());
        let deleted = self.database.write("delete the template", async |db| delete.exec(db).await).await;
        self.cache.clear();
        Ok(deleted?.rows_affected > 0)
    }
}

async fn insert(
    db: &DatabaseConnection,
    mut template: Template,
    by: &str,
    claim: Option<&Claim>,
) -> Result<Created, DbErr> {
    let transaction = db.begin_with_options(writing()).await?;
    if let Some(claim) = claim {
        let actor = format!("template/{}", template.code);
        if let Some(first) = claims::take(&transaction, claim, &actor).await? {
            return Ok(Created::Claimed { fingerprint: first.fingerprint, answer: first.answer });
        }
    }
    match Entity::find_by_id(&*template.code).lock_exclusive().one(&transaction).await? {
        Some(known) if known.deleted_at.is_none() => return Ok(Created::Taken),
        Some(deleted) => {
            template.revision = deleted.revision.unsigned_abs() + 1;
            replace(&transaction, &template).await?;
        }
        None => {
            // Whoever makes the same one at the same time on another node is first.
            let first_wins = OnConflict::column(Column::Code).do_nothing().to_owned();
            let new = Entity::insert(row::of_template(&template).into_active_model()).on_conflict(first_wins);
            if new.exec_without_returning(&transaction).await? == 0 {
                return Ok(Created::Taken);
            }
        }
    }
    keep_revision(&transaction, &template, by).await?;
    transaction.commit().await?;
    Ok(Created::Now)
}

async fn replace(transaction: &DatabaseTransaction, template: &Template) -> Result<(), DbErr> {
    let row = row::of_template(template).into_active_model().reset_all();
    let update = Entity::update_many().set(row).filter(Column::Code.eq(&*template.code));
    update.exec(transaction).await.map(drop)
}

async fn keep_revision(connection: &impl ConnectionTrait, template: &Template, by: &str) -> Result<(), DbErr> {
    let row = row::of_revision(template, by).into_active_model();
    template_revision::Entity::insert(row).exec_without_returning(connection).await.map(drop)
}

/// SQLite takes the writer's turn at the beginning: a transaction that reads first could not become one that writes.
fn writing() -> TransactionOptions {
    TransactionOptions { sqlite_transaction_mode: Some(SqliteTransactionMode::Immediate), ..Default::default() }
}
