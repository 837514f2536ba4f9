//! `/ops/payments`: money that came elsewhere, as an operator says it, and money that its receiver has withdrawn.

use std::time::Duration;

use actix_web::http::StatusCode;
use actix_web::web::{self, Path};
use actix_web::{HttpMessage as _, HttpRequest};
use utoipa::ToSchema;

use super::view::{PaymentView, find, needs_attention};
use crate::domain::Address;
use crate::domain::ids::{InputId, PaymentId};
use crate::domain::money::{Currency, Money};
use crate::domain::payment::{self, Message, Receipt};
use crate::http::asking;
use crate::http::audit::Target;
use crate::http::body::{self, Body, Fields};
use crate::http::envelope::Reply;
use crate::http::error::Error;
use crate::http::idempotency::{Kept, Key, Made, Once, replayed};
use crate::http::openapi;
use crate::http::wish::{Desk, USER_CHARS_MAX};
use crate::runtime::journal::MessageId;

/// Characters of a receiver's or a client's name, at most.
const NAME_CHARS_MAX: usize = 100;
/// Characters of a currency, at most; how many it has is said by its own fault.
const CURRENCY_CHARS_MAX: usize = 10;
/// Characters of a reference, at most.
const REFERENCE_CHARS_MAX: usize = 255;
/// How long a call waits for the payment's answer.
const LIMIT: Duration = Duration::from_secs(5);

/// The body of a payment that came elsewhere.
#[derive(ToSchema)]
#[schema(rename_all = "camelCase")]
#[expect(dead_code, reason = "it documents what `receipt` reads field by field")]
pub struct NewReceipt {
    /// Who was paid.
    #[schema(max_length = 100, example = "platform")]
    receiver: String,
    /// The currency: three letters, such as usd, or eth.
    #[schema(example = "usd")]
    currency: String,
    /// How much came, in minor units (gwei for eth).
    #[schema(minimum = 1, example = 1000)]
    amount: i64,
    /// By which it is known elsewhere, such as a transaction's hash.
    #[schema(max_length = 255, example = "bank statement 17, line 4")]
    reference: String,
    /// The customer.
    #[schema(max_length = 255)]
    user_id: Option<String>,
    /// The application that may see it and have it refunded; operators alone without it.
    #[schema(max_length = 100)]
    client_id: Option<String>,
}

/// Writes down a payment that came elsewhere: it is confirmed at once, and an operator gives refunds of it back.
#[utoipa::path(post, path = "/ops/payments", tag = "ops", operation_id = "receive_payment", request_body = NewReceipt,
    params(openapi::IdempotencyHeader),
    responses((status = 200, description = "The payment", body = openapi::Success<PaymentView>), openapi::Managing))]
pub(in crate::http) async fn receive(request: HttpRequest, payload: web::Payload, desk: Desk) -> Result<Reply, Error> {
    let body = body::read(&request, payload, body::PLAIN_MAX).await?;
    let once = Once::new(&desk, Key::of(&request, &desk.caller, &body.digest)?, Kept::AsLongAsMade);
    if let Some(first) = once.before().await? {
        return again(&desk, &request, &first).await;
    }
    let id = PaymentId::new((desk.state.fresh)());
    let receipt = receipt(&body, id, desk.caller.owner())?;
    let birth = serde_json::to_string(&Message::ReceivedElsewhere(Box::new(receipt))).map_err(Error::internal)?;
    match once.bear(payment::address(id), MessageId::from("receipt"), birth).await? {
        Made::Now => made(&desk, &request, &id.to_string()).await,
        Made::Before(first) => again(&desk, &request, &first).await,
    }
}

async fn again(desk: &Desk, request: &HttpRequest, first: &Address) -> Result<Reply, Error> {
    Ok(replayed(made(desk, request, first.key()).await?))
}

async fn made(desk: &Desk, request: &HttpRequest, id: &str) -> Result<Reply, Error> {
    request.extensions_mut().insert(Target(id.to_owned()));
    shown(desk, id, "Payment received").await
}

fn receipt(body: &Body, id: PaymentId, asked_by: &str) -> Result<Receipt, Error> {
    let mut fields = Fields::of(&body.object);
    fields.only(&["receiver", "currency", "amount", "reference", "userId", "clientId"]);
    let receiver = fields.required_text("receiver", NAME_CHARS_MAX).unwrap_or_default().to_owned();
    let currency = fields.required_text("currency", CURRENCY_CHARS_MAX).map(Currency::parse);
    if let Some(Err(malformed)) = &currency {
        fields.fault("currency", malformed.to_string());
    }
    fields.require("amount");
    let minor = fields.whole("amount", 1..=i64::MAX).unwrap_or_default();
    let reference = fields.required_text("reference", REFERENCE_CHARS_MAX).unwrap_or_default().to_owned();
    let user_id = fields.text("userId", USER_CHARS_MAX).unwrap_or_default().to_owned();
    let owner = fields.name("clientId", NAME_CHARS_MAX).map(|client| format!("client:{client}"));
    fields.finish()?;
    let currency = currency.and_then(Result::ok).ok_or_else(|| Error::field("currency", "is required"))?;
    let owner = owner.unwrap_or_else(|| asked_by.to_owned());
    Ok(Receipt { id, paid: Money::new(minor, currency), receiver, reference, owner, user_id })
}

/// Says that its receiver has withdrawn what is left of a payment: on rails where that money is gone, nothing of it is
/// refunded any more.
#[utoipa::path(post, path = "/ops/payments/{paymentId}/withdraw", tag = "ops", operation_id = "withdraw_payment",
    params(("paymentId" = String, Path)),
    responses((status = 200, description = "The payment", body = openapi::Success<PaymentView>),
        (status = 202, description = "The payment has not answered yet", body = openapi::Success<PaymentView>),
        (status = 409, description = "Nothing is left of it, a refund of it is under way, or it is withdrawn",
            body = openapi::Failure), openapi::Operating))]
pub(in crate::http) async fn withdraw(path: Path<String>, desk: Desk) -> Result<Reply, Error> {
    let known = find(&desk.state, &desk.caller, &path).await?.state;
    let input = InputId::new((desk.state.fresh)());
    let wish = payment::withdraw_through(input, known.id, desk.caller.owner());
    match asking::ask(&desk.state, &desk.door, input, &wish, LIMIT).await? {
        Some(Ok(())) => shown(&desk, &path, "Payment withdrawn").await,
        Some(Err(refusal)) => Err(Error::Conflict(refusal)),
        None => {
            let attention = needs_attention(&desk.state, &known).await?;
            let view = PaymentView::of(&known, attention);
            Ok(Reply::new(StatusCode::ACCEPTED, "Withdrawal is on its way", &view)?.no_store())
        }
    }
}

async fn shown(desk: &Desk, id: &str, message: &str) -> Result<Reply, Error> {
    let known = find(&desk.state, &desk.caller, id).await?.state;
    let attention = needs_attention(&desk.state, &known).await?;
    Ok(Reply::ok(message, &PaymentView::of(&known, attention))?.no_store())
}
