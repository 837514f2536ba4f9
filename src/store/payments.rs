//! Payments as they are read: one by its id, a customer's, and those, refunds among them, that a person should look at.

use mixvideo_entities::payment::{Column, Entity};
use mixvideo_entities::refund;
use sea_orm::{ColumnTrait, Condition, EntityTrait, PaginatorTrait, QueryFilter, QueryOrder, QuerySelect, Select};
use serde::de::DeserializeOwned;
use strum::IntoEnumIterator as _;

use super::{Database, Error};
use crate::domain::ids::PaymentId;
use crate::domain::payment::{self, PaymentMachine};
use crate::domain::{Machine, Timestamp};

/// A payment as it is stored.
#[derive(Clone, Debug, PartialEq)]
pub struct Known {
    /// How many decisions led to it.
    pub version: u64,
    /// What it knows.
    pub state: payment::State,
}

/// Whose payments to list.
#[derive(Clone, Debug)]
pub struct Filter<'a> {
    /// The customer.
    pub user_id: &'a str,
    /// Only those that this owner asked for.
    pub owner: Option<&'a str>,
}

/// A payment.
///
/// # Errors
/// A read that failed, or a row that cannot be read.
pub async fn read(database: &Database, id: PaymentId) -> Result<Option<Known>, Error> {
    let find = Entity::find_by_id(id.to_string());
    let row = database.read("read a payment", async |db| find.one(db).await).await?;
    row.map(known).transpose()
}

/// The payment whose money the gateway knows under `intent`.
///
/// # Errors
/// A read that failed.
pub async fn of_intent(database: &Database, intent: &str) -> Result<Option<PaymentId>, Error> {
    let find = Entity::find().filter(Column::IntentId.eq(intent)).select_only().column(Column::Id).into_tuple();
    let id: Option<String> = database.read("find a payment", async |db| find.one(db).await).await?;
    let corrupt = |id: &str| Error::Corrupt { table: "payments", id: id.to_owned(), what: "an id".to_owned() };
    id.map(|id| PaymentId::parse(&id).map_err(|_| corrupt(&id))).transpose()
}

/// Up to `limit` payments that wait for money since before a time, by their ids, past the id `after`.
///
/// # Errors
/// A read that failed, or a row that cannot be read.
pub async fn waiting(
    database: &Database,
    before: Timestamp,
    after: Option<PaymentId>,
    limit: u64,
) -> Result<Vec<Known>, Error> {
    let pending = payment::Status::iter().filter(|status| status.is_pending()).map(<&str>::from);
    let mut find = Entity::find().filter(Column::Status.is_in(pending)).filter(Column::CreatedAt.lt(before.0));
    if let Some(after) = after {
        find = find.filter(Column::Id.gt(after.to_string()));
    }
    let find = find.order_by_asc(Column::Id).limit(limit);
    let rows = database.read("list payments that wait", async |db| find.all(db).await).await?;
    rows.into_iter().map(known).collect()
}

/// Up to `limit` payments, past the id `after`, that ended and of which nothing happened since before a time; those that
/// promise money or wait for a person are not among them.
///
/// # Errors
/// A read that failed.
pub async fn finished(database: &Database, before: Timestamp, after: &str, limit: u64) -> Result<Vec<String>, Error> {
    let ended = payment::Status::iter().filter(|status| !status.is_pending() && *status != payment::Status::Held);
    let find = Entity::find()
        .filter(Column::Status.is_in(ended.map(<&str>::from)))
        .filter(Column::UpdatedAt.lt(before.0))
        .filter(Column::Reserved.eq(0))
        .filter(Column::Attention.is_null())
        .filter(Column::Id.gt(after))
        .select_only()
        .column(Column::Id)
        .order_by_asc(Column::Id)
        .limit(limit)
        .into_tuple();
    database.read("list payments that ended", async |db| find.all(db).await).await
}

/// The same of refunds.
///
/// # Errors
/// A read that failed.
pub async fn finished_refunds(
    database: &Database,
    before: Timestamp,
    after: &str,
    limit: u64,
) -> Result<Vec<String>, Error> {
    use refund::Column;
    let settled = crate::domain::refund::Status::iter().filter(|status| status.is_settled());
    let find = refund::Entity::find()
        .filter(Column::Status.is_in(settled.map(<&str>::from)))
        .filter(Column::UpdatedAt.lt(before.0))
        .filter(Column::Attention.is_null())
        .filter(Column::Id.gt(after))
        .select_only()
        .column(Column::Id)
        .order_by_asc(Column::Id)
        .limit(limit)
        .into_tuple();
    database.read("list refunds that ended", async |db| find.all(db).await).await
}

/// When the first payment was born; `None` when there is none.
///
/// # Errors
/// A read that failed.
pub async fn first_at(database: &Database) -> Result<Option<Timestamp>, Error> {
    let find = Entity::find().select_only().column(Column::CreatedAt).order_by_asc(Column::Id).into_tuple();
    let at: Option<i64> = database.read("find the first payment", async |db| find.one(db).await).await?;
    Ok(at.map(Timestamp))
}

/// Up to `limit` payments of a customer, the newest first, older than `before`.
///
/// # Errors
/// A read that failed, or a row that cannot be read.
pub async fn list(
    database: &Database,
    filter: &Filter<'_>,
    before: Option<(Timestamp, PaymentId)>,
    limit: u64,
) -> Result<Vec<Known>, Error> {
    let mut find = matching(filter);
    if let Some((at, id)) = before {
        let same_time = Condition::all().add(Column::CreatedAt.eq(at.0)).add(Column::Id.lt(id.to_string()));
        find = find.filter(Condition::any().add(Column::CreatedAt.lt(at.0)).add(same_time));
    }
    let find = find.order_by_desc(Column::CreatedAt).order_by_desc(Column::Id).limit(limit);
    let rows = database.read("list the payments", async |db| find.all(db).await).await?;
    rows.into_iter().map(known).collect()
}

/// How many there are.
///
/// # Errors
/// A read that failed.
pub async fn count(database: &Database, filter: &Filter<'_>) -> Result<u64, Error> {
    let find = matching(filter);
    database.read("count the payments", async |db| find.count(db).await).await
}

/// What a person should look at: the id of each such payment and refund, and why, at most `limit` of each.
///
/// # Errors
/// A read that failed.
pub async fn attention(database: &Database, limit: u64) -> Result<Vec<(String, String)>, Error> {
    let payments = Entity::find()
        .filter(Column::Attention.is_not_null())
        .select_only()
        .columns([Column::Id, Column::Attention])
        .order_by_desc(Column::Id)
        .limit(limit)
        .into_tuple::<(String, Option<String>)>();
    let refunds = refund::Entity::find()
        .filter(refund::Column::Attention.is_not_null())
        .select_only()
        .columns([refund::Column::Id, refund::Column::Attention])
        .order_by_desc(refund::Column::Id)
        .limit(limit)
        .into_tuple::<(String, Option<String>)>();
    let mut rows = database.read("find what needs a person", async |db| payments.all(db).await).await?;
    rows.extend(database.read("find what needs a person", async |db| refunds.all(db).await).await?);
    Ok(rows.into_iter().map(|(id, why)| (id, why.unwrap_or_default())).collect())
}

/// Up to `limit` payments with money in them that were written down before there were accounts, after the id `after`.
///
/// # Errors
/// A read that failed, or an id that cannot be read.
pub async fn before_accounts(database: &Database, after: &str, limit: u64) -> Result<Vec<PaymentId>, Error> {
    let find = Entity::find()
        .filter(Column::Schema.lt(payment::FIRST_BOOKED_SCHEMA))
        .filter(Column::Captured.gt(0))
        .filter(Column::Id.gt(after))
        .select_only()
        .column(Column::Id)
        .order_by_asc(Column::Id)
        .limit(limit)
        .into_tuple::<String>();
    let ids = database.read("find payments without an account", async |db| find.all(db).await).await?;
    let corrupt = |id: &String| Error::Corrupt { table: "payments", id: id.clone(), what: "an id".to_owned() };
    ids.iter().map(|id| PaymentId::parse(id).map_err(|_| corrupt(id))).collect()
}

/// How many payments and refunds a person should look at.
///
/// # Errors
/// A read that failed.
pub async fn attention_count(database: &Database) -> Result<u64, Error> {
    let payments = Entity::find().filter(Column::Attention.is_not_null());
    let refunds = refund::Entity::find().filter(refund::Column::Attention.is_not_null());
    let count = async |db: &sea_orm::DatabaseConnection| Ok(payments.count(db).await? + refunds.count(db).await?);
    database.read("count what needs a person", count).await
}

fn matching(filter: &Filter<'_>) -> Select<Entity> {
    let find = Entity::find().filter(Column::UserId.eq(filter.user_id));
    match filter.owner {
        Some(owner) => find.filter(Column::Owner.eq(owner)),
        None => find,
    }
}

fn known(row: mixvideo_entities::payment::Model) -> Result<Known, Error> {
    let state = parse::<PaymentMachine>("payments", &row.id, row.schema, &row.state)?;
    Ok(Known { version: row.version.unsigned_abs(), state })
}

pub(super) fn parse<M: Machine>(table: &'static str, id: &str, schema: i64, state: &str) -> Result<M::State, Error>
where
    M::State: DeserializeOwned,
{
    let corrupt = |what| Error::Corrupt { table, id: id.to_owned(), what };
    if schema > i64::from(M::SCHEMA) {
        return Err(corrupt(format!("schema {schema}, and this release knows {}", M::SCHEMA)));
    }
    serde_json::from_str(state).map_err(|error| corrupt(format!("a state: {error}")))
}
