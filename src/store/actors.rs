//! Actors of every kind as operators list them.

use sea_orm::sea_query::{Alias, ExprTrait, Order, Query};
use sea_orm::{ConnectionTrait, DbErr, QueryResult};

use super::{Database, Error, tables};
use crate::domain::{Address, Timestamp};
use crate::runtime::journal::StateTable;

/// One actor in a list.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ActorRow {
    /// Its address.
    pub address: Address,
    /// The name of its state.
    pub status: String,
    /// How many decisions led to it.
    pub version: u64,
    /// Its birth.
    pub created_at: Timestamp,
    /// Its latest decision.
    pub updated_at: Timestamp,
}

/// Which actors to list.
#[derive(Clone, Debug, Default)]
pub struct Filter {
    /// Only this kind.
    pub kind: Option<String>,
    /// Only in this state.
    pub status: Option<String>,
    /// Only these.
    pub traced: Option<Vec<Address>>,
    /// Past this one.
    pub after: Option<Address>,
    /// At most so many.
    pub limit: u64,
}

/// Whether actors of that kind exist at all.
#[must_use]
pub fn is_kind(kind: &str) -> bool {
    tables::ALL.iter().any(|table| table.kind == kind)
}

/// The actors that match: kind by kind, newest ids first within a kind.
///
/// # Errors
/// A read that failed.
pub async fn list(database: &Database, filter: &Filter) -> Result<Vec<ActorRow>, Error> {
    let mut rows = Vec::new();
    let wanted = |table: &&&StateTable| filter.kind.as_deref().is_none_or(|kind| kind == table.kind);
    let begun = |table: &&&StateTable| filter.after.as_ref().is_none_or(|after| table.kind >= after.kind());
    let mut kinds: Vec<_> = tables::ALL.iter().filter(wanted).filter(begun).collect();
    kinds.sort_by_key(|table| table.kind);
    for table in kinds {
        let left = filter.limit - rows.len() as u64;
        if left == 0 {
            break;
        }
        rows.extend(page(database, table, filter, left).await?);
    }
    Ok(rows)
}

async fn page(
    database: &Database,
    table: &'static StateTable,
    filter: &Filter,
    limit: u64,
) -> Result<Vec<ActorRow>, Error> {
    let column = Alias::new;
    let mut select = Query::select();
    select
        .columns(["id", "status", "version", "created_at", "updated_at"].map(column))
        .from(Alias::new(table.table))
        .order_by(column("id"), Order::Desc)
        .limit(limit);
    if let Some(status) = &filter.status {
        select.and_where(sea_orm::sea_query::Expr::col(column("status")).eq(status.as_str()));
    }
    if let Some(traced) = &filter.traced {
        let keys = traced.iter().filter(|actor| actor.kind() == table.kind).map(Address::key);
        select.and_where(sea_orm::sea_query::Expr::col(column("id")).is_in(keys));
    }
    if let Some(after) = filter.after.as_ref().filter(|after| after.kind() == table.kind) {
        select.and_where(sea_orm::sea_query::Expr::col(column("id")).lt(after.key()));
    }
    let row = |row: &QueryResult| -> Result<ActorRow, DbErr> {
        Ok(ActorRow {
            address: Address::new(table.kind, &row.try_get_by_index::<String>(0)?),
            status: row.try_get_by_index(1)?,
            version: row.try_get_by_index::<i64>(2)?.unsigned_abs(),
            created_at: Timestamp(row.try_get_by_index(3)?),
            updated_at: Timestamp(row.try_get_by_index(4)?),
        })
    };
    database
        .read("list the actors", async |db| db.query_all(&select).await?.iter().map(row).collect::<Result<Vec<_>, _>>())
        .await
}
