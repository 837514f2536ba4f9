//! `GET /payment/success` and `GET /payment/cancel`: where the payer comes back to.
//!
//! Session and payment together are the capability. What they say is not believed: the gateway is asked how the session
//! stands, and the answer tells what is known then.

use std::time::Duration;

use actix_web::http::StatusCode;
use actix_web::http::header;
use actix_web::web::Data;
use actix_web::{HttpRequest, HttpResponse, Responder as _};
use serde::Serialize;
use utoipa::ToSchema;

use super::page;
use super::view::session_of;
use crate::domain::ids::{ExecutionId, InputId, PaymentId};
use crate::domain::payment::{self, Status, documented_status};
use crate::http::envelope::Reply;
use crate::http::error::Error;
use crate::http::front::Door;
use crate::http::query::Query;
use crate::http::view::{TaskError, TaskResult, show};
use crate::http::{State, asking, openapi};
use crate::store::payments;

/// How long a call waits for the gateway's answer.
const LIMIT: Duration = Duration::from_secs(8);
/// Who asks, in the history of the payment.
const PAYER: &str = "payer";

/// A payment as its payer sees it.
#[derive(Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub struct Paid {
    /// Its id.
    #[schema(example = "payment_123")]
    id: String,
    /// `pending`, `completed`, `failed`, `cancelled` or `refunded`.
    status: &'static str,
    /// The template that is bought.
    template_code: String,
}

/// The execution as its payer sees it.
#[derive(Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub struct Executed {
    /// The execution.
    #[schema(example = "exec_123")]
    execution_id: String,
    /// The task.
    #[schema(example = "task_123")]
    task_id: String,
    /// `pending`, `running`, `completed` or `failed`.
    status: &'static str,
    /// From 0 to 100.
    progress: u8,
    /// What it made; null until it is completed.
    result: Option<TaskResult>,
    /// Why it failed.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false)]
    error: Option<TaskError>,
}

/// What became of a payment.
#[derive(Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub struct Arrival {
    /// The payment.
    payment: Paid,
    /// What it pays for; null until it is paid.
    execution: Option<Executed>,
}

/// What became of a payment that was to be cancelled.
#[derive(Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub struct Cancelled {
    /// The payment.
    payment: Paid,
}

/// The payer comes back after paying. Asked with `Accept: text/html`, it is a page that shows the progress and then the
/// result.
#[utoipa::path(get, path = "/payment/success", tag = "payment", security(()),
    params(("session_id" = String, Query), ("payment_id" = String, Query)),
    responses((status = 200, description = "How the payment and its execution stand", body = openapi::Success<Arrival>),
        openapi::Linked))]
pub(in crate::http) async fn success(
    request: HttpRequest,
    state: Data<State>,
    door: Data<Door>,
) -> Result<HttpResponse, Error> {
    let mut known = named(&request, &state).await?;
    let looked = known.looked_at.is_some_and(|at| state.now().since_ms(at) < payment::LOOK_EVERY_MS);
    if known.status.is_pending() && !looked {
        let id = InputId::new((state.fresh)());
        asking::ask(&state, &door, id, &payment::sync_through(id, known.id, PAYER), LIMIT).await?;
        known = named(&request, &state).await?;
    }
    if page::is_wanted(request.headers()) {
        return Ok(page::success());
    }
    let message = match known.status {
        Status::Completed if known.amounts.is_refunded() => "Payment was refunded",
        Status::Completed => "Payment successful, template execution started",
        Status::Created | Status::AwaitingPayer => "Payment has not arrived yet; ask again in a moment",
        Status::Held => "Payment arrived and is being checked by a person",
        Status::Failed => "Payment failed",
        Status::Cancelled => "Payment was cancelled",
        Status::Expired => "Payment was not made in time",
    };
    let execution = execution(&state, &known).await?;
    let arrival = Arrival { payment: paid(&known), execution };
    Ok(Reply::ok(message, &arrival)?.no_store().respond_to(&request).map_into_boxed_body())
}

/// The payer does not want to pay. What is paid already is not cancelled.
#[utoipa::path(get, path = "/payment/cancel", tag = "payment", security(()),
    params(("session_id" = String, Query), ("payment_id" = String, Query)),
    responses((status = 200, description = "Nobody can pay any more", body = openapi::Success<Cancelled>),
        (status = 202, description = "The gateway has not answered yet", body = openapi::Success<Cancelled>),
        (status = 409, description = "It is paid, or has failed", body = openapi::Failure), openapi::Linked))]
pub(in crate::http) async fn cancel(
    request: HttpRequest,
    state: Data<State>,
    door: Data<Door>,
) -> Result<HttpResponse, Error> {
    let mut known = named(&request, &state).await?;
    if known.status.is_pending() {
        let id = InputId::new((state.fresh)());
        asking::ask(&state, &door, id, &payment::cancel_through(id, known.id, PAYER), LIMIT).await?;
        known = named(&request, &state).await?;
    }
    let (status, message) = match known.status {
        Status::Cancelled | Status::Expired => (StatusCode::OK, "Payment cancelled"),
        Status::Created | Status::AwaitingPayer => (StatusCode::ACCEPTED, "Cancellation is on its way"),
        Status::Completed | Status::Held | Status::Failed => {
            let status = documented_status(known.status, &known.amounts);
            let sentence = match known.status {
                Status::Failed => format!("payment {} has failed: there is nothing to cancel", known.id),
                _ => format!("payment {} is paid ({status}) and can no longer be cancelled: refund it", known.id),
            };
            if page::is_wanted(request.headers()) {
                return Ok(page::message(StatusCode::CONFLICT, "This payment is made already", &sentence));
            }
            return Err(Error::Conflict(sentence));
        }
    };
    if page::is_wanted(request.headers()) {
        return Ok(page::message(status, message, "You can close this page."));
    }
    let cancelled = Cancelled { payment: paid(&known) };
    Ok(Reply::new(status, message, &cancelled)?.no_store().respond_to(&request).map_into_boxed_body())
}

/// The payment that the query names by both of its ids.
async fn named(request: &HttpRequest, state: &State) -> Result<payment::State, Error> {
    let query = Query::of(request)?;
    let wanted = |name: &str| query.text(name).ok_or_else(|| Error::field(name, "is required"));
    let (session, id) = (wanted("session_id")?, wanted("payment_id")?);
    let not_found = || Error::NotFound("there is no payment of this session".into());
    let id = PaymentId::parse(id).map_err(|_| not_found())?;
    let known = payments::read(&state.database, id).await?.ok_or_else(not_found)?;
    if session_of(&known.state).is_none_or(|known| known != session) {
        return Err(not_found());
    }
    Ok(known.state)
}

fn paid(known: &payment::State) -> Paid {
    Paid {
        id: known.id.to_string(),
        status: documented_status(known.status, &known.amounts),
        template_code: known.template_code.clone(),
    }
}

/// The execution; just ordered, it may not be born yet.
async fn execution(state: &State, payment: &payment::State) -> Result<Option<Executed>, Error> {
    let (Some(task_id), true) = (&payment.task, payment.is_executed()) else { return Ok(None) };
    let task = state.tasks.read(task_id, state.now()).await?;
    let shown = match &task {
        Some(known) => Some(show(state, known).await),
        None => None,
    };
    let (status, progress, result, error) = match shown {
        Some(shown) => (shown.status, shown.progress, shown.result, shown.error),
        None => ("pending", 0, None, None),
    };
    let (execution_id, task_id) = (ExecutionId::of_task(task_id).to_string(), task_id.to_string());
    Ok(Some(Executed { execution_id, task_id, status, progress, result, error }))
}

/// What a page may do: nothing but its own script and style, its own polls, and showing the result.
pub(super) const PAGE_POLICY: (header::HeaderName, &str) = (
    header::CONTENT_SECURITY_POLICY,
    "default-src 'none'; script-src 'unsafe-inline'; style-src 'unsafe-inline'; connect-src 'self'; img-src *; \
     media-src *; base-uri 'none'; form-action 'none'",
);
