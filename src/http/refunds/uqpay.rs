//! `POST /api/v2/payment/refunds` and `/v2/payment/refunds`: a refund as UQPAY's document has it.
//!
//! Amounts are decimal numbers in texts, and become minor units without a float on the way. What fails is told with a
//! stable code and a sentence.

use actix_web::HttpRequest;
use actix_web::http::header::HeaderMap;
use actix_web::web;
use chrono::{DateTime, SecondsFormat};
use serde::Serialize;
use serde_json::{Map, Value};
use utoipa::{IntoParams, ToSchema};
use uuid::Uuid;

use super::ask::{self, Asked};
use crate::domain::Timestamp;
use crate::domain::ids::{AttemptId, PaymentId, RefundId};
use crate::domain::money::Money;
use crate::domain::payment;
use crate::domain::refund::{Face, Request};
use crate::http::body::{self, Body, Fields};
use crate::http::caller::Caller;
use crate::http::envelope::Reply;
use crate::http::error::{Error, Fault};
use crate::http::idempotency::{Kept, Key, Made, Once};
use crate::http::openapi;
use crate::http::wish::Desk;
use crate::store::payments;
use crate::store::refunds::Known;

/// Characters of an id, at most.
const ID_CHARS_MAX: usize = 36;
/// Characters of a reason, at most.
const REASON_CHARS_MAX: usize = 100;
/// Characters of an amount, at most: more than 64 bits hold.
const AMOUNT_CHARS_MAX: usize = 32;

/// The headers of the call.
#[derive(IntoParams)]
#[into_params(parameter_in = Header)]
#[expect(dead_code, reason = "it documents what `Headers` reads")]
pub struct UqpayHeaders {
    /// The key, with or without `Bearer ` before it. `Authorization` works as well.
    #[param(rename = "x-auth-token", example = "mv_...")]
    token: Option<String>,
    /// The application that calls: the one that the key belongs to, and any for an operator's key.
    #[param(rename = "x-client-id", min_length = 1)]
    client_id: String,
    /// The connected account (a receiver) that the call is made for; without it, the caller's own.
    #[param(rename = "x-on-behalf-of")]
    on_behalf_of: Option<String>,
    /// The same key and request again are answered with the same refund, for as long as it exists.
    #[param(rename = "x-idempotency-key", format = "uuid", example = "018f3c5e-0000-7000-8000-000000000001")]
    idempotency_key: String,
}

/// The body of the call.
#[derive(ToSchema)]
#[expect(dead_code, reason = "it documents what `Wish` reads field by field")]
pub struct UqpayNewRefund {
    /// The payment, or the gateway's payment intent.
    #[schema(max_length = 36, example = "PI1234567890123456789")]
    payment_intent_id: String,
    /// How much, in whole units of the payment's currency.
    #[schema(max_length = 32, example = "10.01")]
    amount: String,
    /// Why.
    #[schema(max_length = 100, example = "Return good")]
    reason: String,
    /// The payment's attempt.
    #[schema(max_length = 36, example = "PA1234567890123456789")]
    payment_attempt_id: Option<String>,
    /// What is kept with the refund.
    #[schema(value_type = Option<Object>, example = json!({ "customer_id": "cust_12345", "order_id": "order_6789" }))]
    metadata: Option<Map<String, Value>>,
}

/// A refund.
#[derive(Serialize, ToSchema)]
pub struct UqpayRefund {
    /// Its id.
    #[schema(example = "RF123456789")]
    payment_refund_id: String,
    /// The payment's attempt.
    #[schema(example = "PA123456789")]
    payment_attempt_id: String,
    /// How much, in whole units, with exactly the currency's digits.
    #[schema(example = "10.01")]
    amount: String,
    /// The currency: three upper-case letters of ISO 4217.
    #[schema(example = "USD")]
    currency: String,
    /// `INITIATED`, `PROCESSING`, `SUCCEEDED`, `FAILED`, `REVERSAL_INITIATED`, `REVERSAL_PROCESSING` or
    /// `REVERSAL_SUCCEEDED`.
    #[schema(example = "SUCCEEDED")]
    refund_status: &'static str,
    /// When it was asked for: RFC 3339 with its offset.
    #[schema(example = "2024-03-01T00:00:00+00:00")]
    create_time: String,
    /// When something happened to it last: RFC 3339 with its offset.
    #[schema(example = "2024-03-01T00:00:00+00:00")]
    update_time: String,
    /// Why.
    #[schema(max_length = 100, example = "Order 1234 has been returned")]
    reason: String,
    /// What is kept with it.
    #[schema(value_type = Object)]
    metadata: Map<String, Value>,
}

/// Gives a payment back, or a part of it. Answers when the gateway has, or after 10 seconds with how far it is.
#[utoipa::path(post, path = "/api/v2/payment/refunds", tag = "uqpay", operation_id = "create", request_body = UqpayNewRefund,
    params(UqpayHeaders), security(("x-auth-token" = []), ("bearer" = [])),
    responses((status = 200, description = "The refund", body = UqpayRefund), openapi::UqpayFailing))]
pub(in crate::http) async fn create(request: HttpRequest, payload: web::Payload, desk: Desk) -> Result<Reply, Error> {
    refund(request, payload, desk).await
}

/// The same, at the address that the document's example calls.
#[utoipa::path(post, path = "/v2/payment/refunds", tag = "uqpay", operation_id = "create_short", request_body = UqpayNewRefund,
    params(UqpayHeaders), security(("x-auth-token" = []), ("bearer" = [])),
    responses((status = 200, description = "The refund", body = UqpayRefund), openapi::UqpayFailing))]
pub(in crate::http) async fn create_short(
    request: HttpRequest,
    payload: web::Payload,
    desk: Desk,
) -> Result<Reply, Error> {
    refund(request, payload, desk).await
}

async fn refund(request: HttpRequest, payload: web::Payload, desk: Desk) -> Result<Reply, Error> {
    let headers = Headers::of(request.headers(), &desk.caller)?;
    let body = body::read(&request, payload, body::PLAIN_MAX).await?;
    let once = Once::new(&desk, Some(headers.key(&desk.caller, &body)), Kept::AsLongAsMade);
    if let Some(first) = once.before().await? {
        return again(&desk, ask::id_of(&first)?).await;
    }
    let wish = Wish::of(&body)?;
    let payment = wish.payment(&desk, &headers).await?;
    let amount = Money::of_decimal(&wish.amount, payment.price.currency)
        .map_err(|malformed| Error::field("amount", malformed.to_string()))?;
    ask::refusal(&payment, "amount", Some(amount.minor))?;
    let id = RefundId::new((desk.state.fresh)());
    let request = Request {
        id,
        payment: payment.id,
        minor: Some(amount.minor),
        reason: wish.reason,
        metadata: wish.metadata,
        asked_by: desk.caller.owner().to_owned(),
        face: Face::Uqpay,
        refund_to: None,
        external_no: None,
        marked: false,
    };
    match ask::bear(&once, request).await? {
        Made::Now => shown(&Asked { known: ask::ended(&desk.state, id).await?, replayed: false }),
        Made::Before(first) => again(&desk, ask::id_of(&first)?).await,
    }
}

/// The same request came before: how its refund stands. Who asks while the first call may still wait is told so.
async fn again(desk: &Desk, id: RefundId) -> Result<Reply, Error> {
    let known = ask::read(&desk.state, id).await?;
    let age_ms = desk.state.now().since_ms(known.state.created_at);
    let waits = u128::try_from(age_ms).is_ok_and(|age_ms| age_ms < ask::LIMIT.as_millis());
    if waits && !ask::is_decided(&known.state) {
        return Err(Error::Conflict("the first request with this x-idempotency-key is still running".into()));
    }
    shown(&Asked { known: ask::answered(known)?, replayed: true })
}

fn shown(asked: &Asked) -> Result<Reply, Error> {
    let Known { state, updated_at } = &asked.known;
    let promised = ask::promised(state)?;
    asked.reply(
        "Refund created successfully",
        &UqpayRefund {
            payment_refund_id: state.request.id.to_string(),
            payment_attempt_id: AttemptId::new(state.request.payment.uuid()).to_string(),
            amount: promised.decimal(),
            currency: promised.currency.as_str().to_ascii_uppercase(),
            refund_status: state.status.shown().uqpay,
            create_time: time(state.created_at),
            update_time: time(*updated_at),
            reason: state.request.reason.clone(),
            metadata: state.request.metadata.clone(),
        },
    )
}

/// RFC 3339 with a numeric offset, to the second, as the document writes times.
fn time(at: Timestamp) -> String {
    DateTime::from_timestamp_millis(at.0).unwrap_or_default().to_rfc3339_opts(SecondsFormat::Secs, false)
}

/// What the headers say.
struct Headers {
    /// The connected account that the call is made for.
    account: Option<String>,
    /// The idempotency key.
    key: Uuid,
}

impl Headers {
    fn of(headers: &HeaderMap, caller: &Caller) -> Result<Self, Error> {
        let mut faults = Vec::new();
        let client = required(headers, "x-client-id", &mut faults);
        let account = line(headers, "x-on-behalf-of", &mut faults);
        let key = required(headers, "x-idempotency-key", &mut faults);
        // Only the form that RFC 9562 writes: others would be other keys for the same UUID.
        let uuid = key.filter(|key| key.len() == 36).and_then(|key| Uuid::try_parse(key).ok());
        if key.is_some() && uuid.is_none() {
            faults.push(Fault::new("x-idempotency-key", "must be a UUID"));
        }
        let (Some(client), Some(key), true) = (client, uuid, faults.is_empty()) else {
            return Err(Error::Invalid(faults));
        };
        if caller.client_id().is_some_and(|own| own != client) {
            return Err(Error::Forbidden("the x-client-id is not that of this key".into()));
        }
        if account.is_some_and(|account| !caller.may_act_for_receiver(account)) {
            return Err(Error::Forbidden("this key does not act for the account in x-on-behalf-of".into()));
        }
        Ok(Self { account: account.map(str::to_owned), key })
    }

    /// Both addresses are one route, and an account is a part of what is asked for.
    fn key(&self, caller: &Caller, body: &Body) -> Key {
        let account = self.account.as_deref().unwrap_or_default();
        Key::of_parts(&["uqpay", caller.owner()], &self.key.to_string(), &[account, &body.digest])
    }
}

/// A header that is not empty.
fn line<'a>(headers: &'a HeaderMap, name: &str, faults: &mut Vec<Fault>) -> Option<&'a str> {
    let mut lines = headers.get_all(name);
    let first = lines.next()?;
    if lines.next().is_some() {
        faults.push(Fault::new(name, "came twice"));
        return None;
    }
    let text = first.to_str().ok().map(str::trim);
    if text.is_none() {
        faults.push(Fault::new(name, "must be printable ASCII characters"));
    }
    text.filter(|text| !text.is_empty())
}

fn required<'a>(headers: &'a HeaderMap, name: &str, faults: &mut Vec<Fault>) -> Option<&'a str> {
    let before = faults.len();
    let text = line(headers, name, faults);
    if text.is_none() && faults.len() == before {
        faults.push(Fault::new(name, "is required"));
    }
    text
}

/// What the body says.
struct Wish {
    intent: String,
    amount: String,
    reason: String,
    attempt: Option<String>,
    metadata: Map<String, Value>,
}

impl Wish {
    fn of(body: &Body) -> Result<Self, Error> {
        let mut fields = Fields::of(&body.object);
        let intent = fields.required_text("payment_intent_id", ID_CHARS_MAX).unwrap_or_default().to_owned();
        let amount = fields.required_text("amount", AMOUNT_CHARS_MAX);
        // How many digits it may have is known with the payment's currency.
        match amount {
            Some(amount) if !Money::is_decimal(amount) => {
                fields.fault("amount", "must be digits, with a point before the last ones, such as 10.01");
            }
            Some(amount) if amount.bytes().all(|byte| matches!(byte, b'0' | b'.')) => {
                fields.fault("amount", "must be more than nothing");
            }
            Some(_) | None => {}
        }
        let amount = amount.unwrap_or_default().to_owned();
        let reason = fields.required_text("reason", REASON_CHARS_MAX).unwrap_or_default().to_owned();
        let attempt = fields.text("payment_attempt_id", ID_CHARS_MAX).map(str::to_owned);
        let metadata = ask::metadata(&mut fields)?;
        fields.finish().map(|()| Self { intent, amount, reason, attempt, metadata })
    }

    /// The payment: ours by its id or by the gateway's intent, of the account that the call is made for.
    async fn payment(&self, desk: &Desk, headers: &Headers) -> Result<payment::State, Error> {
        let id = match PaymentId::parse(&self.intent) {
            Ok(id) => Some(id),
            Err(_) => payments::of_intent(&desk.state.database, &self.intent).await?,
        };
        let is_theirs = |payment: &payment::State| match &headers.account {
            Some(account) => payment.receiver == *account,
            None => desk.caller.may_touch(&payment.owner),
        };
        let payment = ask::find(&desk.state, id, &self.intent, is_theirs).await?;
        match &self.attempt {
            Some(attempt) if *attempt != payment.attempt_id().to_string() => {
                Err(Error::NotFound(format!("payment {} has no attempt `{attempt}`", payment.id)))
            }
            Some(_) | None => Ok(payment),
        }
    }
}
