//! `POST /payment/refund/{paymentId}`: money goes back.

use std::time::Duration;

use actix_web::HttpRequest;
use actix_web::web::{self, Path};
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};
use utoipa::ToSchema;

use super::checkout::METADATA_KEYS_MAX;
use super::view::{find, wait_until};
use crate::domain::ids::{PaymentId, RefundId};
use crate::domain::money::Money;
use crate::domain::payment;
use crate::domain::refund::{self, Message, Reason, Request, Status};
use crate::http::body::{self, Body, Fields};
use crate::http::envelope::Reply;
use crate::http::error::Error;
use crate::http::front::Refused;
use crate::http::idempotency::{Key, REPLAYED};
use crate::http::openapi;
use crate::http::wish::Desk;
use crate::runtime::engine::{Birth, NotBorn};
use crate::runtime::journal::MessageId;
use crate::store::payments;

/// How long a call waits for the gateway's word.
const LIMIT: Duration = Duration::from_secs(10);
const REASON_CHARS_MAX: usize = 50;
/// What may be kept with a refund, in bytes of JSON.
const METADATA_BYTES_MAX: usize = 16 * 1024;

/// The body of a refund.
#[derive(ToSchema)]
#[expect(dead_code, reason = "it documents what `read_request` reads field by field")]
pub struct NewRefund {
    /// Why.
    #[schema(value_type = String, pattern = "^(user_request|technical_issue|duplicate|fraudulent)$", example = "user_request")]
    reason: Reason,
    /// How much, in minor units; all that is left when not given.
    #[schema(minimum = 1, example = 1000)]
    amount: Option<i64>,
    /// What is kept with it.
    #[schema(value_type = Object)]
    metadata: Option<Map<String, Value>>,
}

/// A refund.
#[derive(Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub struct Refunded {
    /// Its id.
    #[schema(example = "re_xxx")]
    refund_id: String,
    /// How much, in minor units.
    amount: i64,
    /// `pending`, `succeeded`, `failed` or `cancelled`.
    status: &'static str,
}

/// What an Idempotency-Key remembers: how the refund ends is not known yet when it is claimed.
#[derive(Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
struct Claimed {
    refund_id: RefundId,
}

/// Gives a payment back, or a part of it. Answers when the gateway has, or after 10 seconds with `pending`.
#[utoipa::path(post, path = "/payment/refund/{paymentId}", tag = "payment", request_body = NewRefund,
    params(("paymentId" = String, Path), openapi::IdempotencyHeader),
    responses((status = 200, description = "The refund", body = openapi::Success<Refunded>), openapi::Creating))]
pub(in crate::http) async fn refund(
    request: HttpRequest,
    payload: web::Payload,
    path: Path<String>,
    desk: Desk,
) -> Result<Reply, Error> {
    let body = body::read(&request, payload, body::PLAIN_MAX).await?;
    let key = Key::of(&request, &desk.caller, &body.digest)?;
    if let Some(key) = &key
        && let Some(first) = key.answered(desk.state.engine.journal()).await?
    {
        return again(&desk, &first).await;
    }
    let id = RefundId::new((desk.state.fresh)());
    let wish = read_request(&body, id, desk.caller.owner());
    let known = find(&desk.state, &desk.caller, &path).await;
    let wish = Request { payment: known.as_ref().map_or(PaymentId::new(id.uuid()), |known| known.state.id), ..wish? };
    refusal(&known?.state, wish.minor)?;
    let claimed = Reply::ok("", &Claimed { refund_id: id })?;
    let claim = key.as_ref().map(|key| key.claim(&claimed, desk.state.now())).transpose()?;
    let body = serde_json::to_string(&Message::Request(Box::new(wish))).map_err(Error::internal)?;
    let birth = Birth { actor: refund::address(id), message: MessageId::from("request"), body, claim };
    match (desk.door.bear(birth).await, key) {
        (Ok(_), _) => settled(&desk, id).await,
        (Err(Refused::NotBorn(NotBorn::Claimed { fingerprint, answer, .. })), Some(key)) => {
            again(&desk, &key.replay(&fingerprint, &answer)?).await
        }
        (Err(refused), _) => Err(refused.into()),
    }
}

/// The same request came before: how that refund stands now.
async fn again(desk: &Desk, first: &Reply) -> Result<Reply, Error> {
    let (_, _, data) = first.parts();
    let claimed: Claimed = serde_json::from_str(data.map_or("null", |data| data.get())).map_err(Error::internal)?;
    let replayed = actix_web::http::header::HeaderValue::from_static("true");
    Ok(settled(desk, claimed.refund_id).await?.with(REPLAYED, replayed))
}

fn read_request(body: &Body, id: RefundId, asked_by: &str) -> Result<Request, Error> {
    let mut fields = Fields::of(&body.object);
    let named = fields.required_text("reason", REASON_CHARS_MAX);
    let reason = named.and_then(|name| name.parse::<Reason>().ok());
    if named.is_some() && reason.is_none() {
        fields.fault("reason", "must be user_request, technical_issue, duplicate or fraudulent");
    }
    let minor = fields.whole("amount", 1..=i64::MAX);
    let metadata = fields.object("metadata");
    if metadata.is_some_and(|metadata| metadata.len() > METADATA_KEYS_MAX) {
        fields.fault("metadata", format!("must have at most {METADATA_KEYS_MAX} keys"));
    }
    let bytes = metadata.map_or(Ok(0), |metadata| serde_json::to_string(metadata).map(|text| text.len()));
    if bytes.map_err(Error::internal)? > METADATA_BYTES_MAX {
        fields.fault("metadata", format!("must have at most {METADATA_BYTES_MAX} bytes"));
    }
    fields.finish()?;
    let reason = reason.ok_or_else(|| Error::field("reason", "is required"))?;
    let metadata = metadata.cloned().unwrap_or_default();
    // The payment is named once it is found.
    let payment = PaymentId::new(id.uuid());
    Ok(Request { minor, metadata, ..Request::new(id, payment, reason, asked_by.to_owned()) })
}

/// What can be seen to be refused before anything is written; the payment itself has the last word.
fn refusal(known: &payment::State, minor: Option<i64>) -> Result<(), Error> {
    let left = Money::new(known.amounts.remainder(), known.price.currency);
    if known.amounts.captured == 0 {
        return Err(Error::BadRequest(format!("nothing was paid for payment {}", known.id)));
    }
    if left.minor == 0 {
        return Err(Error::BadRequest(format!("nothing is left of payment {} to refund", known.id)));
    }
    if minor.is_some_and(|minor| minor > left.minor) {
        return Err(Error::field("amount", format!("must not be more than the {left} left of payment {}", known.id)));
    }
    Ok(())
}

/// The answer, once the gateway has said how it ends, or the limit is over.
async fn settled(desk: &Desk, id: RefundId) -> Result<Reply, Error> {
    let state = &desk.state;
    let news = state.engine.watch(&refund::address(id)).ok();
    let read = async || {
        let known = payments::read_refund(&state.database, id).await?;
        known.ok_or_else(|| Error::internal(format!("refund {id} is gone")))
    };
    let known = wait_until(news, LIMIT, read, |known| known.status.is_settled()).await?;
    let message = match (known.status, &known.failure) {
        (Status::Failed, Some(failure)) if known.amount.is_none() => {
            return Err(Error::BadRequest(failure.message.clone()));
        }
        (Status::Succeeded | Status::ReversalInitiated | Status::ReversalProcessing, _) => {
            "Refund processed successfully".to_owned()
        }
        (Status::Failed | Status::ReversalSucceeded, failure) => {
            let why = failure.as_ref().map_or("the gateway does not say why", |failure| &failure.message);
            format!("Refund failed: {why}")
        }
        (Status::Cancelled, _) => "Refund was cancelled: others gave the money back".to_owned(),
        (
            Status::Requested
            | Status::ReservingAccount
            | Status::Releasing
            | Status::Reserved
            | Status::Submitted
            | Status::OutcomeUnknown,
            _,
        ) => "Refund is being processed".to_owned(),
    };
    let amount = known.amount.map(|amount| amount.minor).or(known.request.minor).unwrap_or(0);
    let refunded = Refunded { refund_id: id.to_string(), amount, status: known.status.shown().mixvideo };
    Ok(Reply::ok(&message, &refunded)?.no_store())
}
