//! Refunds as they are read: one by its id, and lists of them together with what they say of their payments.

use mixvideo_entities::{payment, refund};
use sea_orm::sea_query::{Alias, CaseStatement, Expr, Func, NullOrdering};
use sea_orm::{
    ColumnTrait, Condition, EntityTrait, JoinType, Order, PaginatorTrait, QueryFilter, QueryOrder, QuerySelect, Select,
};
use strum::IntoEnumIterator as _;

use super::payments::parse;
use super::{Database, Error};
use crate::domain::Timestamp;
use crate::domain::ids::RefundId;
use crate::domain::refund::{RefundMachine, State, Status};

/// A refund as it is stored.
#[derive(Clone, Debug, PartialEq)]
pub struct Known {
    /// What it knows.
    pub state: State,
    /// When something happened to it last.
    pub updated_at: Timestamp,
}

/// A refund together with what is said of its payment.
#[derive(Clone, Debug, PartialEq)]
pub struct Listed {
    /// The refund.
    pub refund: Known,
    /// The gateway's id of what was paid.
    pub intent: Option<String>,
    /// The customer.
    pub user_id: Option<String>,
    /// Who was paid.
    pub receiver: Option<String>,
}

/// Whose refunds are meant: those of which payments.
#[derive(Clone, Copy, Debug)]
pub enum Whose<'a> {
    /// All.
    Everybodys,
    /// What this owner sold, or what these receivers were paid.
    Clients {
        /// The owner.
        owner: &'a str,
        /// The receivers.
        receivers: &'a [String],
    },
    /// What this customer paid.
    Users(&'a str),
}

/// What refunds are looked for and sorted by.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Field {
    /// Their id.
    Id,
    /// The gateway's id of what was paid; the payment's where there is none.
    Intent,
    /// The payment.
    Payment,
    /// The customer.
    User,
    /// Who was paid.
    Receiver,
    /// Where the coins go.
    RefundTo,
    /// How much, once it is promised.
    Amount,
    /// How far they are, by the name in the face of coins.
    Status,
    /// When they were asked for.
    CreatedAt,
    /// When something happened to them last.
    UpdatedAt,
}

/// What a field must be.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Wanted {
    /// This text.
    Text(Field, String),
    /// This number; times are milliseconds.
    Number(Field, i64),
    /// One of these.
    Status(Vec<Status>),
}

/// How a list is sorted.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Sort {
    /// By what.
    pub by: Field,
    /// The largest first.
    pub descending: bool,
}

/// A refund.
///
/// # Errors
/// A read that failed, or a row that cannot be read.
pub async fn read(database: &Database, id: RefundId) -> Result<Option<Known>, Error> {
    let find = refund::Entity::find_by_id(id.to_string());
    let row = database.read("read a refund", async |db| find.one(db).await).await?;
    row.map(|row| known(&row.id, row.schema, &row.state, row.updated_at)).transpose()
}

/// A refund of those, with its payment.
///
/// # Errors
/// A read that failed, or a row that cannot be read.
pub async fn find(database: &Database, whose: Whose<'_>, id: RefundId) -> Result<Option<Listed>, Error> {
    let find = of(whose).filter(refund::Column::Id.eq(id.to_string()));
    Ok(rows(database, find).await?.pop())
}

/// Up to `limit` refunds of those that are as wanted, from the one at `offset` on; the newest of two alike first.
///
/// # Errors
/// A read that failed, or a row that cannot be read.
pub async fn list(
    database: &Database,
    whose: Whose<'_>,
    wanted: &[Wanted],
    sort: Sort,
    (offset, limit): (u64, u64),
) -> Result<Vec<Listed>, Error> {
    let order = if sort.descending { Order::Desc } else { Order::Asc };
    let find = matching(whose, wanted)
        .order_by_with_nulls(expression(sort.by), order, NullOrdering::Last)
        .order_by_desc(refund::Column::Id);
    rows(database, find.offset(offset).limit(limit)).await
}

/// How many there are.
///
/// # Errors
/// A read that failed.
pub async fn count(database: &Database, whose: Whose<'_>, wanted: &[Wanted]) -> Result<u64, Error> {
    let find = matching(whose, wanted);
    database.read("count the refunds", async |db| find.count(db).await).await
}

fn of(whose: Whose<'_>) -> Select<refund::Entity> {
    let payment =
        refund::Entity::belongs_to(payment::Entity).from(refund::Column::PaymentId).to(payment::Column::Id).into();
    let find = refund::Entity::find().join(JoinType::InnerJoin, payment);
    match whose {
        Whose::Everybodys => find,
        Whose::Clients { owner, receivers } => {
            let mut theirs = Condition::any().add(payment::Column::Owner.eq(owner));
            if !receivers.is_empty() {
                theirs = theirs.add(payment::Column::ReceiverId.is_in(receivers));
            }
            find.filter(theirs)
        }
        Whose::Users(user) => find.filter(payment::Column::UserId.eq(user)),
    }
}

fn matching(whose: Whose<'_>, wanted: &[Wanted]) -> Select<refund::Entity> {
    wanted.iter().fold(of(whose), |find, wanted| match wanted {
        Wanted::Text(Field::RefundTo, address) => {
            find.filter(refund::Column::RefundTo.eq(address.to_ascii_lowercase()))
        }
        Wanted::Text(field, text) => find.filter(equals(*field, text.as_str())),
        Wanted::Number(field, number) => find.filter(equals(*field, *number)),
        Wanted::Status(statuses) => {
            find.filter(refund::Column::Status.is_in(statuses.iter().map(|status| <&str>::from(*status))))
        }
    })
}

fn equals(field: Field, value: impl Into<Expr>) -> Expr {
    use sea_orm::sea_query::ExprTrait as _;
    expression(field).eq(value)
}

fn expression(field: Field) -> Expr {
    let of_refund = |column: refund::Column| Expr::col(column.as_column_ref());
    let of_payment = |column: payment::Column| Expr::col(column.as_column_ref());
    match field {
        Field::Id => of_refund(refund::Column::Id),
        Field::Intent => {
            Func::coalesce([of_payment(payment::Column::IntentId), of_refund(refund::Column::PaymentId)]).into()
        }
        Field::Payment => of_refund(refund::Column::PaymentId),
        Field::User => of_payment(payment::Column::UserId),
        Field::Receiver => of_payment(payment::Column::ReceiverId),
        Field::RefundTo => of_refund(refund::Column::RefundTo),
        Field::Amount => of_refund(refund::Column::Amount),
        Field::Status => shown_status(),
        Field::CreatedAt => of_refund(refund::Column::CreatedAt),
        Field::UpdatedAt => of_refund(refund::Column::UpdatedAt),
    }
}

/// The name that is shown for a status, so that a list sorted by it is in the order that is seen.
fn shown_status() -> Expr {
    use sea_orm::sea_query::ExprTrait as _;
    let named = |status: Status| ColumnTrait::eq(&refund::Column::Status, <&str>::from(status));
    let shown: Expr = Status::iter()
        .fold(CaseStatement::new(), |shown, status| shown.case(named(status), status.shown().crypto))
        .into();
    // PostgreSQL must know that it sorts texts.
    shown.cast_as(Alias::new("TEXT"))
}

type Row = (String, i64, String, i64, Option<String>, Option<String>, Option<String>);

async fn rows(database: &Database, find: Select<refund::Entity>) -> Result<Vec<Listed>, Error> {
    let find = find
        .select_only()
        .columns([refund::Column::Id, refund::Column::Schema, refund::Column::State, refund::Column::UpdatedAt])
        .columns([payment::Column::IntentId, payment::Column::UserId, payment::Column::ReceiverId])
        .into_tuple::<Row>();
    let rows = database.read("list the refunds", async |db| find.all(db).await).await?;
    let listed = |(id, schema, state, updated_at, intent, user_id, receiver): Row| {
        Ok(Listed { refund: known(&id, schema, &state, updated_at)?, intent, user_id, receiver })
    };
    rows.into_iter().map(listed).collect()
}

fn known(id: &str, schema: i64, state: &str, updated_at: i64) -> Result<Known, Error> {
    let state = parse::<RefundMachine>("refunds", id, schema, state)?;
    Ok(Known { state, updated_at: Timestamp(updated_at) })
}
