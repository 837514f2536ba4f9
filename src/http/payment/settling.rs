//! How a refund ends, when somebody asks or says so: `POST /ops/refunds/{refundId}/sync`, `/paid` and `/failed`.

use actix_web::HttpRequest;
use actix_web::web::{self, Data, Path};
use utoipa::ToSchema;

use crate::domain::ids::{InputId, RefundId};
use crate::domain::{input, refund};
use crate::http::asking::ask;
use crate::http::body::{self, Body, Fields};
use crate::http::caller::Caller;
use crate::http::envelope::Reply;
use crate::http::error::Error;
use crate::http::front::Door;
use crate::http::refunds::mixvideo::Refunded;
use crate::http::{State, openapi};
use crate::store::refunds;

use std::time::Duration;

/// How long a call waits for the refund's answer.
const LIMIT: Duration = Duration::from_secs(10);
/// Characters of what an operator says about a refund.
const WORDS_CHARS_MAX: usize = 200;

/// The body that says that a refund was paid.
#[derive(ToSchema)]
#[expect(dead_code, reason = "it documents what `paid` reads")]
pub struct PaidByHand {
    /// By which it is known elsewhere, such as a transaction's hash.
    #[schema(max_length = 200, example = "0x2f4c...")]
    reference: String,
}

/// The body that says that a refund will not be paid.
#[derive(ToSchema)]
#[expect(dead_code, reason = "it documents what `failed` reads")]
pub struct NotPaidByHand {
    /// Why.
    #[schema(max_length = 200, example = "the address takes no coins")]
    reason: String,
}

/// Has the gateway asked how a refund stands, also about one that has ended.
#[utoipa::path(post, path = "/ops/refunds/{refundId}/sync", tag = "ops", operation_id = "sync_refund",
    params(("refundId" = String, Path)),
    responses((status = 200, description = "The refund, as it stands", body = openapi::Success<Refunded>),
        (status = 409, description = "No gateway knows of it", body = openapi::Failure), openapi::Operating))]
pub(in crate::http) async fn sync(
    path: Path<String>,
    state: Data<State>,
    door: Data<Door>,
    caller: Caller,
) -> Result<Reply, Error> {
    let id = find(&state, &path).await?;
    asked(&state, &door, id, |input| refund::sync_through(input, id, caller.owner()), "Refund synchronized").await
}

/// A refund that an operator has paid, where no gateway could.
#[utoipa::path(post, path = "/ops/refunds/{refundId}/paid", tag = "ops", operation_id = "refund_paid",
    params(("refundId" = String, Path)), request_body = PaidByHand,
    responses((status = 200, description = "The refund, as it stands", body = openapi::Success<Refunded>),
        (status = 409, description = "It does not wait for an operator", body = openapi::Failure), openapi::Operating))]
pub(in crate::http) async fn paid(
    request: HttpRequest,
    payload: web::Payload,
    path: Path<String>,
    state: Data<State>,
    door: Data<Door>,
    caller: Caller,
) -> Result<Reply, Error> {
    let reference = words(&body::read(&request, payload, body::PLAIN_MAX).await?, "reference")?;
    let id = find(&state, &path).await?;
    asked(&state, &door, id, |input| refund::paid_through(input, id, caller.owner(), reference), "Refund paid").await
}

/// A refund that an operator will not pay.
#[utoipa::path(post, path = "/ops/refunds/{refundId}/failed", tag = "ops", operation_id = "refund_failed",
    params(("refundId" = String, Path)), request_body = NotPaidByHand,
    responses((status = 200, description = "The refund, as it stands", body = openapi::Success<Refunded>),
        (status = 409, description = "It does not wait for an operator", body = openapi::Failure), openapi::Operating))]
pub(in crate::http) async fn failed(
    request: HttpRequest,
    payload: web::Payload,
    path: Path<String>,
    state: Data<State>,
    door: Data<Door>,
    caller: Caller,
) -> Result<Reply, Error> {
    let reason = words(&body::read(&request, payload, body::PLAIN_MAX).await?, "reason")?;
    let id = find(&state, &path).await?;
    asked(&state, &door, id, |input| refund::not_paid_through(input, id, caller.owner(), reason), "Refund failed").await
}

fn words(body: &Body, field: &str) -> Result<String, Error> {
    let mut fields = Fields::of(&body.object);
    let words = fields.required_text(field, WORDS_CHARS_MAX).map(str::to_owned);
    fields.finish()?;
    words.ok_or_else(|| Error::field(field, "is required"))
}

async fn find(state: &State, id: &str) -> Result<RefundId, Error> {
    let none = || Error::NotFound(format!("there is no refund `{}`", id.chars().take(64).collect::<String>()));
    let parsed = RefundId::parse(id).map_err(|_| none())?;
    refunds::read(&state.database, parsed).await?.map(|_| parsed).ok_or_else(none)
}

/// Asks the refund, and answers how it stands then.
async fn asked(
    state: &State,
    door: &Door,
    id: RefundId,
    wish: impl FnOnce(InputId) -> input::Message,
    done: &str,
) -> Result<Reply, Error> {
    let input = InputId::new((state.fresh)());
    let message = match ask(state, door, input, &wish(input), LIMIT).await? {
        Some(Ok(())) => done,
        Some(Err(refusal)) => return Err(Error::Conflict(refusal)),
        None => "Refund has not answered yet; it goes on by itself",
    };
    let known = refunds::read(&state.database, id).await?;
    let known = known.ok_or_else(|| Error::internal(format!("refund {id} is gone")))?;
    Ok(Reply::ok(message, &Refunded::of(&known.state))?.no_store())
}
