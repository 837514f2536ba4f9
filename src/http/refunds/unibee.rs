//! `POST /merchant/invoice/mark_refund`: a refund that was given back elsewhere, as UniBee's document has it.
//!
//! It is a mark: no gateway is called. It takes its amount from what is left of the payment like every other refund, and
//! is refused beyond that.

use actix_web::HttpRequest;
use actix_web::web;
use serde::Serialize;
use serde_json::{Map, Value};
use utoipa::ToSchema;

use super::ask::{self, Asked};
use crate::domain::Timestamp;
use crate::domain::ids::{InvoiceId, PaymentId, RefundId};
use crate::domain::payment;
use crate::domain::refund::{Face, Request, Status};
use crate::http::body::{self, Body, Fields, digest_of};
use crate::http::envelope::Reply;
use crate::http::error::Error;
use crate::http::idempotency::{Kept, Key, Once};
use crate::http::openapi;
use crate::http::wish::Desk;

/// Characters of a refund's number and of an invoice's id, at most.
const NUMBER_CHARS_MAX: usize = 100;
/// Characters of a reason, at most.
const REASON_CHARS_MAX: usize = 500;
/// A mark is type 2; type 1 is a refund through the gateway.
const MARKED: u8 = 2;

/// The body of the call.
#[derive(ToSchema)]
#[schema(rename_all = "camelCase")]
#[expect(dead_code, reason = "it documents what `Wish` reads field by field")]
pub struct UnibeeMark {
    /// The payment's invoice.
    #[schema(max_length = 100, example = "inv_018f3c5e000070008000000000000001")]
    invoice_id: String,
    /// Why.
    #[schema(max_length = 500, example = "Returned in the shop")]
    reason: String,
    /// How much, in minor units.
    #[schema(minimum = 1, example = 123)]
    refund_amount: i64,
    /// The caller's own number of it: the same number and body again are the same refund.
    #[schema(max_length = 100, example = "R-1001")]
    refund_no: Option<String>,
}

/// What a gateway changed between currencies: never filled here.
#[derive(Serialize, ToSchema)]
pub struct UnibeeExchange {
    /// The changed amount, in minor units.
    exchange_amount: i64,
    /// The rate.
    exchange_rate: i64,
    /// From.
    from_currency: String,
    /// To.
    to_currency: String,
}

/// A refund. What does not apply is null, 0 or empty.
#[derive(Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub struct UnibeeRefund {
    /// Empty.
    country_code: &'static str,
    /// When it was asked for, in seconds since 1970.
    create_time: i64,
    /// The currency: three upper-case letters.
    #[schema(example = "USD")]
    currency: String,
    /// The caller's number of it.
    external_refund_id: String,
    /// Null.
    gateway_currency_exchange: Option<UnibeeExchange>,
    /// A number that stands for the rail on which the payment came: the same for ever.
    gateway_id: i64,
    /// The gateway's id of the refund; empty for a mark.
    gateway_refund_id: String,
    /// The payment's invoice.
    invoice_id: String,
    /// A number that stands for the receiver: the same for ever.
    merchant_id: i64,
    /// What is kept with it.
    #[schema(value_type = Object)]
    metadata: Map<String, Value>,
    /// The payment.
    payment_id: String,
    /// How much, in minor units.
    refund_amount: i64,
    /// Why.
    refund_comment: String,
    /// Why it failed, when it did.
    refund_comment_explain: String,
    /// Its id.
    refund_id: String,
    /// When it succeeded, in seconds since 1970; 0 before that.
    refund_time: i64,
    /// Empty.
    return_url: &'static str,
    /// 10 pending, 20 succeeded, 30 failed, 40 cancelled.
    #[schema(example = 20)]
    status: u8,
    /// Empty.
    subscription_id: &'static str,
    /// 2: marked, without a gateway.
    #[serde(rename = "type")]
    #[schema(example = 2)]
    kind: u8,
    /// A number that stands for the customer, the same for ever; 0 when nobody said who that is.
    user_id: i64,
}

/// What the answer holds.
#[derive(Serialize, ToSchema)]
pub struct UnibeeMarked {
    /// The refund.
    refund: UnibeeRefund,
}

/// Marks that an invoice, or a part of it, was given back elsewhere.
#[utoipa::path(post, path = "/merchant/invoice/mark_refund", tag = "unibee", operation_id = "mark_refund",
    request_body = UnibeeMark, params(openapi::IdempotencyHeader),
    responses((status = 200, description = "The refund", body = openapi::UnibeeSuccess<UnibeeMarked>),
        openapi::UnibeeFailing))]
pub(in crate::http) async fn mark(request: HttpRequest, payload: web::Payload, desk: Desk) -> Result<Reply, Error> {
    let body = body::read(&request, payload, body::PLAIN_MAX).await?;
    let wish = Wish::of(&body)?;
    let id = InvoiceId::parse(&wish.invoice).ok().map(|invoice| PaymentId::new(invoice.uuid()));
    let payment = ask::find(&desk.state, id, &wish.invoice, |payment| ask::is_theirs(&desk.caller, payment)).await;
    let payment = payment.map_err(|error| match error {
        Error::NotFound(_) => Error::NotFound(format!("there is no invoice `{}`", wish.invoice)),
        other => other,
    })?;
    // A number names one refund of a seller, whoever of the seller's keys brings it.
    let key = match &wish.number {
        Some(number) => Some(Key::of_parts(&["unibee", &payment.owner], number, &[&body.digest])),
        None => Key::of(&request, &desk.caller, &body.digest)?,
    };
    let once = Once::new(&desk, key, Kept::AsLongAsMade);
    let asked = match once.before().await.map_err(|error| wish.reused(error))? {
        Some(first) => ask::again(&desk, &first).await?,
        None => {
            ask::refusal(&payment, "refundAmount", Some(wish.minor))?;
            let request = Request {
                id: RefundId::new((desk.state.fresh)()),
                payment: payment.id,
                minor: Some(wish.minor),
                reason: wish.reason.clone(),
                metadata: Map::new(),
                asked_by: desk.caller.owner().to_owned(),
                face: Face::Unibee,
                refund_to: None,
                external_no: wish.number.clone(),
                marked: true,
            };
            ask::ask(&desk, &once, request).await.map_err(|error| wish.reused(error))?
        }
    };
    shown(&asked, &payment)
}

fn shown(asked: &Asked, payment: &payment::State) -> Result<Reply, Error> {
    let refund = &asked.known.state;
    let promised = ask::promised(refund)?;
    let succeeded_at = refund.ended_at.filter(|_| refund.status == Status::Succeeded);
    let refund = UnibeeRefund {
        country_code: "",
        create_time: seconds(refund.created_at),
        currency: promised.currency.as_str().to_ascii_uppercase(),
        external_refund_id: refund.request.external_no.clone().unwrap_or_default(),
        gateway_currency_exchange: None,
        gateway_id: number("gateway", payment.rail.into()),
        gateway_refund_id: refund.gateway_id.clone().unwrap_or_default(),
        invoice_id: payment.invoice_id().to_string(),
        merchant_id: number("merchant", &payment.receiver),
        metadata: refund.request.metadata.clone(),
        payment_id: payment.id.to_string(),
        refund_amount: promised.minor,
        refund_comment: refund.request.reason.clone(),
        refund_comment_explain: refund.failure.as_ref().map(|failure| failure.message.clone()).unwrap_or_default(),
        refund_id: refund.request.id.to_string(),
        refund_time: succeeded_at.map_or(0, seconds),
        return_url: "",
        status: refund.status.shown().unibee,
        subscription_id: "",
        kind: MARKED,
        user_id: number("user", &payment.user_id),
    };
    asked.reply("Invoice marked as refunded", &UnibeeMarked { refund })
}

fn seconds(at: Timestamp) -> i64 {
    at.0.div_euclid(1_000)
}

/// The whole number that stands for a name, where the document has numbers: the same for ever, from 1 to 2^52, which every
/// reader of JSON holds exactly. An empty name is 0.
fn number(kind: &str, name: &str) -> i64 {
    const DIGITS: usize = 13;
    if name.is_empty() {
        return 0;
    }
    let digest = digest_of(&[kind, name]);
    1 + i64::from_str_radix(&digest[..DIGITS], 16).expect("a digest is written in hexadecimal digits")
}

/// What the body says.
struct Wish {
    invoice: String,
    reason: String,
    minor: i64,
    number: Option<String>,
}

impl Wish {
    fn of(body: &Body) -> Result<Self, Error> {
        let mut fields = Fields::of(&body.object);
        let invoice = fields.required_text("invoiceId", NUMBER_CHARS_MAX).unwrap_or_default().to_owned();
        let reason = fields.required_text("reason", REASON_CHARS_MAX).unwrap_or_default().to_owned();
        fields.require("refundAmount");
        let minor = fields.whole("refundAmount", 1..=i64::MAX).unwrap_or_default();
        let number = fields.text("refundNo", NUMBER_CHARS_MAX).map(str::to_owned);
        fields.finish().map(|()| Self { invoice, reason, minor, number })
    }

    /// A number that was used for something else is a field with a fault.
    fn reused(&self, error: Error) -> Error {
        match (error, &self.number) {
            (Error::KeyReused, Some(number)) => {
                Error::field("refundNo", format!("was used for another refund already: `{number}`"))
            }
            (error, _) => error,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// These are in the books of callers.
    #[test]
    fn a_name_stands_for_the_same_number_for_ever() {
        assert_eq!(number("merchant", "platform"), 4_476_955_973_884_397);
        assert_eq!(number("user", "user_123"), 2_005_206_433_526_572);
        assert_ne!(number("merchant", "platform"), number("user", "platform"));
        assert_eq!(number("user", ""), 0);
        for name in ["platform", "acct_1", "user_123", "stripe"] {
            assert!((1..=1 << 52).contains(&number("user", name)), "{name}");
        }
    }
}
