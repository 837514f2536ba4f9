//! `GET /payment/{paymentId}` and `GET /payment/history`.

use actix_web::HttpRequest;
use actix_web::web::{Data, Path};
use serde::Serialize;
use utoipa::ToSchema;

use super::view::{PaymentView, find, needs_attention};
use crate::auth::api_key::Role;
use crate::domain::Timestamp;
use crate::domain::ids::PaymentId;
use crate::domain::payment::documented_status;
use crate::http::caller::Caller;
use crate::http::envelope::{Reply, rfc3339};
use crate::http::error::Error;
use crate::http::query::{Query, no_cursor};
use crate::http::wish::USER_CHARS_MAX;
use crate::http::{State, openapi};
use crate::store::payments::{self, Filter, Known};

/// A payment in a list.
#[derive(Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub struct PaymentListed {
    /// Its id.
    #[schema(example = "payment_123")]
    id: String,
    /// The template that was bought.
    template_code: String,
    /// `pending`, `completed`, `failed`, `cancelled` or `refunded`.
    status: &'static str,
    /// What it costs, in minor units.
    amount: i64,
    /// The currency.
    currency: String,
    /// When it was asked for.
    created_at: String,
}

/// Payments.
#[derive(Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub struct PaymentList {
    /// Those of this page, the newest first.
    payments: Vec<PaymentListed>,
    /// How many there are.
    total: u64,
    /// Where the next page begins.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false)]
    next_cursor: Option<String>,
}

/// A payment.
#[utoipa::path(get, path = "/payment/{paymentId}", tag = "payment", params(("paymentId" = String, Path)),
    responses((status = 200, description = "The payment", body = openapi::Success<PaymentView>), openapi::Reading))]
pub(in crate::http) async fn details(path: Path<String>, state: Data<State>, caller: Caller) -> Result<Reply, Error> {
    let known = find(&state, &caller, &path).await?;
    let attention = needs_attention(&state, &known.state).await?;
    Ok(Reply::ok("Payment details retrieved successfully", &PaymentView::of(&known.state, attention))?.no_store())
}

/// A customer's payments: of them, a client sees those that it asked for itself; who signed in sees all of their own.
#[utoipa::path(get, path = "/payment/history", tag = "payment",
    params(("userId" = String, Query), openapi::Paging),
    responses((status = 200, description = "Payments", body = openapi::Success<PaymentList>), openapi::Reading))]
pub(in crate::http) async fn history(request: HttpRequest, state: Data<State>, caller: Caller) -> Result<Reply, Error> {
    let query = Query::of(&request)?;
    let user_id = query.text("userId").ok_or_else(|| Error::field("userId", "is required"))?;
    if user_id.chars().count() > USER_CHARS_MAX {
        return Err(Error::field("userId", format!("must have 1 to {USER_CHARS_MAX} characters")));
    }
    let page = query.page()?;
    let before = page.cursor().map(parse).transpose()?;
    if caller.person().is_some_and(|person| person.user_id != user_id) {
        return Err(Error::NotFound("who signed in sees nobody else's payments".into()));
    }
    let owner = match caller.role() {
        Role::Operator | Role::User => None,
        Role::Client => Some(caller.owner()),
    };
    let filter = Filter { user_id, owner };
    let found = payments::list(&state.database, &filter, before, page.fetch()).await?;
    let total = payments::count(&state.database, &filter).await?;
    let (found, next_cursor) = page.cut(found, cursor);
    let list = PaymentList { payments: found.iter().map(listed).collect(), total, next_cursor };
    Ok(Reply::ok("Payment history retrieved successfully", &list)?.no_store())
}

fn listed(Known { state, .. }: &Known) -> PaymentListed {
    PaymentListed {
        id: state.id.to_string(),
        template_code: state.template_code.clone(),
        status: documented_status(state.status, &state.amounts),
        amount: state.price.minor,
        currency: state.price.currency.to_string(),
        created_at: rfc3339(state.created_at),
    }
}

fn cursor(last: &Known) -> String {
    format!("{}.{}", last.state.created_at.0, last.state.id)
}

fn parse(cursor: &str) -> Result<(Timestamp, PaymentId), Error> {
    let parts = cursor.split_once('.').and_then(|(at, id)| Some((at.parse().ok()?, PaymentId::parse(id).ok()?)));
    parts.map(|(at, id)| (Timestamp(at), id)).ok_or_else(no_cursor)
}
