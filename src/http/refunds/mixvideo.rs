//! `POST /payment/refund/{paymentId}`: money goes back, as Mixvideo's own document has it.

use actix_web::HttpRequest;
use actix_web::web::{self, Path};
use serde::Serialize;
use serde_json::{Map, Value};
use utoipa::ToSchema;

use super::ask::{self, Asked};
use crate::domain::ids::{PaymentId, RefundId};
use crate::domain::refund::{self, Reason, Request, Status};
use crate::http::body::{self, Body, Fields};
use crate::http::envelope::Reply;
use crate::http::error::Error;
use crate::http::idempotency::{Kept, Key, Once};
use crate::http::openapi;
use crate::http::wish::Desk;

const REASON_CHARS_MAX: usize = 50;

/// The body of a refund.
#[derive(ToSchema)]
#[expect(dead_code, reason = "it documents what `Wish` reads field by field")]
pub struct NewRefund {
    /// Why.
    #[schema(value_type = String, pattern = "^(user_request|technical_issue|duplicate|fraudulent)$", example = "user_request")]
    reason: Reason,
    /// How much, in minor units; all that is left when not given.
    #[schema(minimum = 1, example = 1000)]
    amount: Option<i64>,
    /// What is kept with it.
    #[schema(value_type = Option<Object>, example = json!({ "note": "Customer requested refund" }))]
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

impl Refunded {
    /// How it stands.
    pub(in crate::http) fn of(known: &refund::State) -> Self {
        let amount = known.amount.map(|amount| amount.minor).or(known.request.minor).unwrap_or(0);
        Self { refund_id: known.request.id.to_string(), amount, status: known.status.shown().mixvideo }
    }
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
    let once = Once::new(&desk, Key::of(&request, &desk.caller, &body.digest)?, Kept::AsLongAsMade);
    if let Some(first) = once.before().await? {
        return shown(&ask::again(&desk, &first).await?);
    }
    let wish = Wish::of(&body)?;
    let id = PaymentId::parse(&path).ok();
    let payment = ask::find(&desk.state, id, &path, |payment| ask::is_theirs(&desk.caller, payment)).await?;
    ask::refusal(&payment, "amount", wish.minor)?;
    let id = RefundId::new((desk.state.fresh)());
    let asked_by = desk.caller.owner().to_owned();
    let Wish { reason, minor, metadata } = wish;
    let request = Request { minor, metadata, ..Request::new(id, payment.id, reason, asked_by) };
    shown(&ask::ask(&desk, &once, request).await?)
}

/// What the body says.
struct Wish {
    reason: Reason,
    minor: Option<i64>,
    metadata: Map<String, Value>,
}

impl Wish {
    fn of(body: &Body) -> Result<Self, Error> {
        let mut fields = Fields::of(&body.object);
        let named = fields.required_text("reason", REASON_CHARS_MAX);
        let reason = named.and_then(|name| name.parse::<Reason>().ok());
        if named.is_some() && reason.is_none() {
            fields.fault("reason", "must be user_request, technical_issue, duplicate or fraudulent");
        }
        let minor = fields.whole("amount", 1..=i64::MAX);
        let metadata = ask::metadata(&mut fields)?;
        fields.finish()?;
        let reason = reason.ok_or_else(|| Error::field("reason", "is required"))?;
        Ok(Self { reason, minor, metadata })
    }
}

fn shown(asked: &Asked) -> Result<Reply, Error> {
    let refund = &asked.known.state;
    let why = || refund.failure.as_ref().map_or("the gateway does not say why", |failure| &failure.message);
    let message = match refund.status {
        Status::Succeeded | Status::ReversalInitiated | Status::ReversalProcessing => {
            "Refund processed successfully".to_owned()
        }
        Status::Failed | Status::ReversalSucceeded => format!("Refund failed: {}", why()),
        Status::Cancelled => "Refund was cancelled: others gave the money back".to_owned(),
        Status::Requested
        | Status::ReservingAccount
        | Status::Releasing
        | Status::Reserved
        | Status::Submitted
        | Status::OutcomeUnknown => "Refund is being processed".to_owned(),
    };
    asked.reply(&message, &Refunded::of(refund))
}
