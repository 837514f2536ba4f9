//! What the sandbox gateway keeps. Objects of one family change together, in one transaction, with the events that tell
//! of it: so an event is neither lost nor told of something that did not happen.

use mixvideo_entities::{sandbox_event, sandbox_object};
use sea_orm::sea_query::{Expr, OnConflict};
use sea_orm::{
    ColumnTrait, EntityTrait, ExprTrait as _, IntoActiveModel, QueryFilter, QueryOrder, QuerySelect,
    SqliteTransactionMode, TransactionOptions, TransactionTrait,
};
use serde_json::Value;

use super::{Database, Error};
use crate::domain::Timestamp;

/// Objects of one family, at most: a payment's refunds, a product's prices.
pub const FAMILY_MAX: u64 = 1_000;
/// When an event is sent that is not to be sent any more.
const NEVER: Timestamp = Timestamp(i64::MAX);

/// Something the sandbox keeps.
#[derive(Clone, Debug, PartialEq)]
pub struct Object {
    /// Its id, with Stripe's prefix.
    pub id: String,
    /// What it belongs to.
    pub family: String,
    /// What it is, as Stripe names it.
    pub kind: String,
    /// The object in Stripe's form.
    pub body: Value,
    /// When it ends by itself.
    pub ends_at: Option<Timestamp>,
    /// When it was made.
    pub created_at: Timestamp,
}

/// A webhook to be delivered.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Pending {
    /// The event's id.
    pub id: String,
    /// The event in Stripe's form.
    pub body: String,
    /// When it is sent next.
    pub due_at: Timestamp,
    /// How often it was sent in vain.
    pub tries: u32,
    /// When it happened.
    pub created_at: Timestamp,
}

/// What a change leaves behind.
#[derive(Clone, Debug, Default)]
pub struct Change {
    /// Objects as they are now, new ones included.
    pub objects: Vec<Object>,
    /// What is told of it.
    pub events: Vec<Pending>,
}

/// The tables of the sandbox.
#[derive(Clone, Debug)]
pub struct Sandbox(Database);

impl Sandbox {
    /// The sandbox of `database`.
    #[must_use]
    pub const fn new(database: Database) -> Self {
        Self(database)
    }

    /// The family that an object belongs to.
    ///
    /// # Errors
    /// A read that failed.
    pub async fn family_of(&self, id: &str) -> Result<Option<String>, Error> {
        let find = sandbox_object::Entity::find_by_id(id);
        let row = self.0.read("look up an object of the sandbox", async |db| find.one(db).await).await?;
        Ok(row.map(|row| row.family))
    }

    /// The objects of a family, the oldest first.
    ///
    /// # Errors
    /// A read that failed, or a row that cannot be read.
    pub async fn family(&self, family: &str) -> Result<Vec<Object>, Error> {
        let find = of_family(family);
        let rows = self.0.read("list objects of the sandbox", async |db| find.all(db).await).await?;
        rows.into_iter().map(object).collect()
    }

    /// Changes a family to what `decide` makes of it: one change at a time.
    ///
    /// # Errors
    /// A write that failed, or a row that cannot be read; nothing changed. Inside: what `decide` refuses with.
    pub async fn change<R>(
        &self,
        family: &str,
        decide: impl FnOnce(&[Object]) -> Result<Change, R>,
    ) -> Result<Result<Vec<Object>, R>, Error> {
        self.0
            .write("change the sandbox", async |db| {
                let transaction = db.begin_with_options(writing()).await?;
                let rows = of_family(family).lock_exclusive().all(&transaction).await?;
                let known = match rows.into_iter().map(object).collect::<Result<Vec<_>, _>>() {
                    Ok(known) => known,
                    Err(unreadable) => return Ok(Err(unreadable)),
                };
                let change = match decide(&known) {
                    Ok(change) => change,
                    Err(refused) => return Ok(Ok(Err(refused))),
                };
                for changed in &change.objects {
                    use sandbox_object::Column;
                    let replace =
                        OnConflict::column(Column::Id).update_columns([Column::Body, Column::EndsAt]).to_owned();
                    let insert = sandbox_object::Entity::insert(row(changed).into_active_model());
                    insert.on_conflict(replace).exec_without_returning(&transaction).await?;
                }
                for event in change.events {
                    let row = sandbox_event::Model {
                        id: event.id,
                        body: event.body,
                        due_at: event.due_at.0,
                        tries: i64::from(event.tries),
                        created_at: event.created_at.0,
                    };
                    sandbox_event::Entity::insert(row.into_active_model()).exec_without_returning(&transaction).await?;
                }
                transaction.commit().await?;
                Ok(Ok(Ok(change.objects)))
            })
            .await?
    }

    /// Families with something that ends by itself before `now`.
    ///
    /// # Errors
    /// A read that failed.
    pub async fn ending(&self, now: Timestamp, limit: u64) -> Result<Vec<String>, Error> {
        use sandbox_object::Column;
        let find = sandbox_object::Entity::find().filter(Column::EndsAt.lte(now.0)).limit(limit);
        let rows = self.0.read("list what ends in the sandbox", async |db| find.all(db).await).await?;
        Ok(rows.into_iter().map(|row| row.family).collect())
    }

    /// Webhooks that are due, the oldest first.
    ///
    /// # Errors
    /// A read that failed.
    pub async fn due(&self, now: Timestamp, limit: u64) -> Result<Vec<Pending>, Error> {
        use sandbox_event::Column;
        let find = sandbox_event::Entity::find().filter(Column::DueAt.lte(now.0));
        let find = find.order_by_asc(Column::CreatedAt).order_by_asc(Column::Id).limit(limit);
        let rows = self.0.read("list webhooks of the sandbox", async |db| find.all(db).await).await?;
        Ok(rows.into_iter().map(pending).collect())
    }

    /// A webhook was taken, or is given up: it is not sent any more, and stays in the list of events.
    ///
    /// # Errors
    /// A write that failed.
    pub async fn delivered(&self, id: &str) -> Result<(), Error> {
        use sandbox_event::Column;
        let update = sandbox_event::Entity::update_many().col_expr(Column::DueAt, Expr::value(NEVER.0));
        let update = update.filter(Column::Id.eq(id));
        self.0.write("settle a webhook of the sandbox", async |db| update.exec(db).await).await.map(drop)
    }

    /// Up to `limit` events since a time, older than the event `after`, the newest first: their ids say when they were.
    ///
    /// # Errors
    /// A read that failed.
    pub async fn events(&self, since: Timestamp, after: Option<&str>, limit: u64) -> Result<Vec<Pending>, Error> {
        use sandbox_event::Column;
        let mut find = sandbox_event::Entity::find().filter(Column::CreatedAt.gte(since.0));
        if let Some(after) = after {
            find = find.filter(Column::Id.lt(after));
        }
        let find = find.order_by_desc(Column::Id).limit(limit);
        let rows = self.0.read("list events of the sandbox", async |db| find.all(db).await).await?;
        Ok(rows.into_iter().map(pending).collect())
    }

    /// A webhook was not taken, and is sent again at `due_at`.
    ///
    /// # Errors
    /// A write that failed.
    pub async fn postponed(&self, id: &str, due_at: Timestamp) -> Result<(), Error> {
        use sandbox_event::Column;
        let update = sandbox_event::Entity::update_many()
            .col_expr(Column::DueAt, Expr::value(due_at.0))
            .col_expr(Column::Tries, Expr::col(Column::Tries).add(1))
            .filter(Column::Id.eq(id));
        self.0.write("postpone a webhook of the sandbox", async |db| update.exec(db).await).await.map(drop)
    }
}

fn of_family(family: &str) -> sea_orm::Select<sandbox_object::Entity> {
    use sandbox_object::Column;
    let find = sandbox_object::Entity::find().filter(Column::Family.eq(family));
    find.order_by_asc(Column::CreatedAt).order_by_asc(Column::Id).limit(FAMILY_MAX)
}

fn pending(row: sandbox_event::Model) -> Pending {
    Pending {
        id: row.id,
        body: row.body,
        due_at: Timestamp(row.due_at),
        tries: u32::try_from(row.tries).unwrap_or(u32::MAX),
        created_at: Timestamp(row.created_at),
    }
}

/// Forgets events that happened before a time and are not to be sent any more.
///
/// # Errors
/// A write that failed.
pub async fn prune_events(database: &Database, before: Timestamp) -> Result<(), Error> {
    use sandbox_event::Column;
    let delete = sandbox_event::Entity::delete_many().filter(Column::DueAt.eq(NEVER.0));
    let delete = delete.filter(Column::CreatedAt.lt(before.0));
    database.write("forget events of the sandbox", async |db| delete.exec(db).await).await.map(drop)
}

fn object(row: sandbox_object::Model) -> Result<Object, Error> {
    let body = serde_json::from_str(&row.body).map_err(|error| Error::Corrupt {
        table: "sandbox_objects",
        id: row.id.clone(),
        what: format!("no JSON: {error}"),
    })?;
    Ok(Object {
        id: row.id,
        family: row.family,
        kind: row.kind,
        body,
        ends_at: row.ends_at.map(Timestamp),
        created_at: Timestamp(row.created_at),
    })
}

fn row(object: &Object) -> sandbox_object::Model {
    sandbox_object::Model {
        id: object.id.clone(),
        family: object.family.clone(),
        kind: object.kind.clone(),
        body: object.body.to_string(),
        ends_at: object.ends_at.map(|at| at.0),
        created_at: object.created_at.0,
    }
}

/// SQLite takes the writer's turn at the beginning: a transaction that reads first could not become one that writes.
fn writing() -> TransactionOptions {
    TransactionOptions { sqlite_transaction_mode: Some(SqliteTransactionMode::Immediate), ..Default::default() }
}
