//! `POST /refunds` and `POST /refunds/partial`: what is left of a payment, or a part of it, goes back to an address.

use actix_web::HttpRequest;
use actix_web::web;
use serde_json::Map;
use utoipa::ToSchema;

use super::view::CryptoRefund;
use crate::domain::ethereum_address::EthereumAddress;
use crate::domain::ids::{PaymentId, RefundId};
use crate::domain::payment;
use crate::domain::rail::Rail;
use crate::domain::refund::{Face, Request};
use crate::http::body::{self, Body, Fields};
use crate::http::envelope::Reply;
use crate::http::error::Error;
use crate::http::idempotency::{Kept, Key, Once};
use crate::http::openapi;
use crate::http::refunds::ask;
use crate::http::wish::Desk;

/// Characters of an id or an address, at most.
const TEXT_CHARS_MAX: usize = 100;

/// The body of a refund of all that is left.
#[derive(ToSchema)]
#[schema(rename_all = "camelCase")]
#[expect(dead_code, reason = "it documents what `Wish` reads field by field")]
pub struct CryptoNewRefund {
    /// The payment.
    #[schema(example = "pay_018f3c5e000070008000000000000001")]
    payment_id: String,
    /// The address that the coins go to: 0x and 40 hexadecimal digits, with its checksum (EIP-55) when in mixed case.
    #[schema(example = "0x5aAeb6053F3E94C9b9A09f33669435E7Ef1BeAed")]
    refund_to: String,
}

/// The body of a refund of a part.
#[derive(ToSchema)]
#[schema(rename_all = "camelCase")]
#[expect(dead_code, reason = "it documents what `Wish` reads field by field")]
pub struct CryptoNewPartialRefund {
    /// The payment.
    #[schema(example = "pay_018f3c5e000070008000000000000001")]
    payment_id: String,
    /// The address that the coins go to: 0x and 40 hexadecimal digits, with its checksum (EIP-55) when in mixed case.
    #[schema(example = "0x5aAeb6053F3E94C9b9A09f33669435E7Ef1BeAed")]
    refund_to: String,
    /// How much, in minor units (gwei for ETH).
    #[schema(minimum = 1, example = 100)]
    amount: i64,
}

/// How much is asked for.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Part {
    /// All that is left.
    Rest,
    /// What the body says.
    Some,
}

/// Gives all that is left of a payment back.
#[utoipa::path(post, path = "/refunds", tag = "refunds", operation_id = "create", request_body = CryptoNewRefund,
    params(openapi::IdempotencyHeader),
    responses((status = 200, description = "The refund", body = CryptoRefund), openapi::Creating))]
pub(in crate::http) async fn full(request: HttpRequest, payload: web::Payload, desk: Desk) -> Result<Reply, Error> {
    refund(request, payload, desk, Part::Rest).await
}

/// Gives a part of a payment back.
#[utoipa::path(post, path = "/refunds/partial", tag = "refunds", operation_id = "create_partial",
    request_body = CryptoNewPartialRefund, params(openapi::IdempotencyHeader),
    responses((status = 200, description = "The refund", body = CryptoRefund), openapi::Creating))]
pub(in crate::http) async fn partial(request: HttpRequest, payload: web::Payload, desk: Desk) -> Result<Reply, Error> {
    refund(request, payload, desk, Part::Some).await
}

async fn refund(request: HttpRequest, payload: web::Payload, desk: Desk, part: Part) -> Result<Reply, Error> {
    let body = body::read(&request, payload, body::PLAIN_MAX).await?;
    let once = Once::new(&desk, Key::of(&request, &desk.caller, &body.digest)?, Kept::AsLongAsMade);
    let first = once.before().await?;
    let wish = Wish::of(&body, part)?;
    let id = PaymentId::parse(&wish.payment).ok();
    let is_theirs = |payment: &payment::State| ask::is_theirs(&desk.caller, payment);
    let payment = ask::find(&desk.state, id, &wish.payment, is_theirs).await?;
    let asked = match first {
        Some(first) => ask::again(&desk, &first).await?,
        None => {
            refusal(&payment, wish.minor)?;
            let request = Request {
                id: RefundId::new((desk.state.fresh)()),
                payment: payment.id,
                minor: wish.minor,
                reason: String::new(),
                metadata: Map::new(),
                asked_by: desk.caller.owner().to_owned(),
                face: Face::Crypto,
                refund_to: Some(wish.refund_to),
                external_no: None,
                marked: false,
            };
            ask::ask(&desk, &once, request).await?
        }
    };
    asked.reply("Refund created successfully", &CryptoRefund::of_payment(&asked.known, &payment))
}

/// In the order of the document. Whether the receiver has enough is known to the receiver's account, which is asked
/// last.
fn refusal(payment: &payment::State, minor: Option<i64>) -> Result<(), Error> {
    let id = payment.id;
    if payment.amounts.captured == 0 {
        return Err(Error::BadRequest(format!("payment {id} is not confirmed: nothing was paid for it")));
    }
    match payment.rail {
        Rail::Stripe => {
            return Err(Error::BadRequest(format!(
                "payment {id} is not a crypto payment: refund it with POST /payment/refund/{id}"
            )));
        }
        Rail::Sandbox | Rail::Manual | Rail::Ethereum => {}
    }
    ask::not_withdrawn(payment)?;
    ask::within(payment, "amount", minor)
}

/// What the body says.
struct Wish {
    payment: String,
    refund_to: String,
    minor: Option<i64>,
}

impl Wish {
    fn of(body: &Body, part: Part) -> Result<Self, Error> {
        let mut fields = Fields::of(&body.object);
        let payment = fields.required_text("paymentId", TEXT_CHARS_MAX).unwrap_or_default().to_owned();
        let refund_to = fields.required_text("refundTo", TEXT_CHARS_MAX);
        if let Some(Err(malformed)) = refund_to.map(EthereumAddress::parse) {
            fields.fault("refundTo", malformed.to_string());
        }
        let refund_to = refund_to.unwrap_or_default().to_owned();
        let minor = match part {
            Part::Some => {
                fields.require("amount");
                fields.whole("amount", 1..=i64::MAX)
            }
            // Who sends one wants a part back: everything must not go back instead.
            Part::Rest if body.object.contains_key("amount") => {
                fields.fault("amount", "is not taken here: POST /refunds/partial gives a part back");
                None
            }
            Part::Rest => None,
        };
        fields.finish().map(|()| Self { payment, refund_to, minor })
    }
}
