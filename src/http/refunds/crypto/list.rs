//! `GET /refunds` and `GET /refunds/{id}`: the refunds that the caller may see, in whichever face they were asked for.

use actix_web::HttpRequest;
use actix_web::web::{Data, Path};
use serde::Serialize;
use utoipa::{IntoParams, ToSchema};

use super::query::{conditions, sort};
use super::view::CryptoRefund;
use crate::auth::roles::Role;
use crate::domain::ids::RefundId;
use crate::http::caller::Caller;
use crate::http::envelope::Reply;
use crate::http::error::Error;
use crate::http::query::Query;
use crate::http::{State, openapi};
use crate::store::refunds::{self, Whose};

/// Refunds of a page unless the caller says otherwise.
const LIMIT: u64 = 10;
/// Refunds of a page, at most.
const LIMIT_MAX: u64 = 100;
/// The last page that can be asked for: the database counts through all that comes before.
const PAGE_MAX: u64 = 100_000;

/// Which refunds, and in which order.
#[derive(IntoParams)]
#[into_params(parameter_in = Query)]
#[expect(dead_code, reason = "it documents what `list` reads")]
pub struct CryptoPaging {
    /// Which page; the first is 1.
    #[param(minimum = 1, maximum = 100000, default = 1)]
    page: Option<u64>,
    /// Refunds of a page.
    #[param(minimum = 1, maximum = 100, default = 10)]
    limit: Option<u64>,
    /// Pairs of a refund's field and what it must be, separated by commas: `key:value` or `key=value`. At most 10.
    #[param(example = "status:SUCCEEDED,receiverId:platform")]
    query: Option<String>,
    /// A refund's field, the smallest first, or `-` and a field, the largest first. The newest come first without it.
    #[param(example = "-amount")]
    sort: Option<String>,
}

/// A page of refunds.
#[derive(Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub struct CryptoRefunds {
    /// Those of this page.
    refunds: Vec<CryptoRefund>,
    /// Which page it is.
    #[schema(example = 1)]
    page: u64,
    /// Refunds of a page.
    #[schema(example = 10)]
    page_size: u64,
    /// How many pages there are.
    #[schema(example = 5)]
    total_pages: u64,
}

/// Refunds of every face: a client's own and those of the receivers it acts for, a person's own, an operator's all.
#[utoipa::path(get, path = "/refunds", tag = "refunds", operation_id = "list", params(CryptoPaging),
    responses((status = 200, description = "Refunds", body = CryptoRefunds), openapi::Reading))]
pub(in crate::http) async fn list(request: HttpRequest, state: Data<State>, caller: Caller) -> Result<Reply, Error> {
    let query = Query::of(&request)?;
    let page = query.whole("page", 1, PAGE_MAX)?.unwrap_or(1);
    let limit = query.whole("limit", 1, LIMIT_MAX)?.unwrap_or(LIMIT);
    let wanted = conditions(query.text("query"))?;
    let sort = sort(query.text("sort"))?;
    let whose = whose(&caller);
    let found = refunds::list(&state.database, whose, &wanted, sort, ((page - 1) * limit, limit)).await?;
    let total = refunds::count(&state.database, whose, &wanted).await?;
    let shown = CryptoRefunds {
        refunds: found.iter().map(CryptoRefund::listed).collect(),
        page,
        page_size: limit,
        total_pages: total.div_ceil(limit),
    };
    Ok(Reply::ok("Refunds retrieved successfully", &shown)?.no_store())
}

/// A refund.
#[utoipa::path(get, path = "/refunds/{id}", tag = "refunds", operation_id = "read", params(("id" = String, Path)),
    responses((status = 200, description = "The refund", body = CryptoRefund), openapi::Reading))]
pub(in crate::http) async fn show(path: Path<String>, state: Data<State>, caller: Caller) -> Result<Reply, Error> {
    let found = match RefundId::parse(&path) {
        Ok(id) => refunds::find(&state.database, whose(&caller), id).await?,
        Err(_) => None,
    };
    let shown = path.chars().take(64).collect::<String>();
    let found = found.ok_or_else(|| Error::NotFound(format!("there is no refund `{shown}`")))?;
    Ok(Reply::ok("Refund retrieved successfully", &CryptoRefund::listed(&found))?.no_store())
}

fn whose(caller: &Caller) -> Whose<'_> {
    match (caller.role(), caller.person()) {
        (Role::Operator, _) => Whose::Everybodys,
        (Role::User, Some(person)) => Whose::Users(&person.user_id),
        (Role::Client | Role::User, _) => Whose::Clients { owner: caller.owner(), receivers: caller.receivers() },
    }
}
