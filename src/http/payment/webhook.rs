//! `POST /payment/webhook`: what the gateway says by itself.
//!
//! Its bytes are verified as they came, then written down as an input whose id follows from the event's id, so that an
//! event that comes twice is one; only then is it answered, and acted upon. What cannot be matched to a payment is kept,
//! shown, and can be tried again.

use actix_web::HttpRequest;
use actix_web::http::StatusCode;
use actix_web::http::header::HeaderMap;
use actix_web::web::{self, Data};

use crate::activity::gateway::{payment_of, read_session};
use crate::domain::gateway::{Dispute, DisputeStep, Event, What};
use crate::domain::ids::{InputId, PaymentId, RefundId};
use crate::domain::money::{Currency, Money};
use crate::domain::payment::{self, News};
use crate::domain::rail::{self, DisputeStanding};
use crate::domain::{gateway, input};
use crate::gateway::webhook::{self, SIGNATURE_HEADER};
use crate::http::envelope::Reply;
use crate::http::error::Error;
use crate::http::front::Door;
use crate::http::{State, body, openapi};
use crate::runtime::engine::Birth;
use crate::runtime::journal::MessageId;
use crate::store::{payments, refunds};

const PROCESSED: &str = "Webhook processed successfully";

/// What an event means for us.
pub(super) enum Meaning {
    /// News for a payment of ours.
    News(PaymentId, News),
    /// A payment of ours should look at its session.
    Look(PaymentId),
    /// It is about money, and no payment of ours is found for it.
    Nobody(String),
    /// It is not acted upon.
    Nothing,
}

/// An event of the gateway, signed as Stripe does.
#[utoipa::path(post, path = "/payment/webhook", tag = "payment",
    security(("webhook_signature" = [])),
    request_body(content = Object, description = "The event"),
    responses((status = 200, description = "It was written down", body = openapi::Bare),
        (status = 400, description = "It cannot be read", body = openapi::Failure),
        (status = 403, description = "Its signature is wrong or too old", body = openapi::Failure),
        (status = 413, description = "The body is too large", body = openapi::Failure),
        (status = 503, description = "It could not be written down: send it again", body = openapi::Failure)))]
pub(in crate::http) async fn called(
    request: HttpRequest,
    payload: web::Payload,
    state: Data<State>,
    door: Data<Door>,
) -> Result<Reply, Error> {
    let bytes = body::collect(&request, payload, body::PLAIN_MAX).await?;
    let event = state.webhooks.event(signature(request.headers())?, &bytes, state.now()).map_err(refused)?;
    let raw = std::str::from_utf8(&bytes).map_err(|_| Error::BadRequest("the webhook is no UTF-8".into()))?;
    receive(&state, &door, &event, raw).await?;
    Ok(Reply::of_parts(StatusCode::OK, PROCESSED.to_owned(), None).no_store())
}

fn refused(error: webhook::Error) -> Error {
    match error {
        webhook::Error::NoSecret => Error::unavailable(error.to_string(), 60),
        webhook::Error::Forged | webhook::Error::NotNow => Error::Forbidden(error.to_string()),
        webhook::Error::Malformed | webhook::Error::NoEvent(_) => Error::BadRequest(error.to_string()),
    }
}

fn signature(headers: &HeaderMap) -> Result<&str, Error> {
    let mut lines = headers.get_all(SIGNATURE_HEADER);
    match (lines.next().and_then(|line| line.to_str().ok()), lines.next()) {
        (Some(line), None) => Ok(line),
        _ => Err(Error::BadRequest(format!("the webhook must have the header {SIGNATURE_HEADER} once"))),
    }
}

/// What became of an event.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Received {
    /// A payment is told.
    Told,
    /// It waits for a person.
    Parked,
    /// It is not acted upon.
    Dropped,
}

/// The input that an event becomes.
pub(super) fn input_of(state: &State, event: &Event) -> InputId {
    InputId::of_webhook(state.gateway.name(), &event.id)
}

/// Writes an event down; one that came before is there already.
///
/// # Errors
/// The gateway does not say whose money it is about, or it could not be written down: it is to come again.
pub(super) async fn receive(state: &State, door: &Door, event: &Event, raw: &str) -> Result<Received, Error> {
    let sender = state.gateway.name();
    let id = input_of(state, event);
    let raw = raw.to_owned();
    let mut received = Received::Told;
    let message = match meaning(state, &event.what).await? {
        Meaning::Nothing => return Ok(Received::Dropped),
        Meaning::News(payment, news) => with_raw(payment::told_through(id, payment, sender, news), raw),
        Meaning::Look(payment) => with_raw(payment::sync_through(id, payment, sender), raw),
        Meaning::Nobody(reason) => {
            tracing::warn!(event = event.id, kind = event.kind, reason, "a webhook is parked");
            received = Received::Parked;
            input::Message::Keep { raw, asked_by: sender.to_owned(), reason: format!("{}: {reason}", event.kind) }
        }
    };
    let birth = Birth {
        actor: input::address(id),
        message: MessageId::from(&*format!("webhook:{}", event.id)),
        body: serde_json::to_string(&message).map_err(Error::internal)?,
        claim: None,
    };
    door.bear(birth).await?;
    Ok(received)
}

fn with_raw(message: input::Message, raw: String) -> input::Message {
    match message {
        input::Message::Receive { concerns, deliver, schema, asked_by, .. } => {
            input::Message::Receive { concerns, deliver, schema, asked_by, raw: Some(raw) }
        }
        other => other,
    }
}

pub(super) async fn meaning(state: &State, what: &What) -> Result<Meaning, Error> {
    let nobody = |what: &str| Meaning::Nobody(format!("{what} names no payment of ours"));
    Ok(match what {
        What::CheckoutCompleted(checkout)
        | What::CheckoutExpired(checkout)
        | What::CheckoutAsyncSucceeded(checkout) => {
            match known(state, payment_of(checkout.payment.as_deref())).await? {
                None => nobody("the session"),
                Some(id) => match read_session(checkout.clone()) {
                    Some(session) => Meaning::News(id, News::Session(session)),
                    None => Meaning::Nobody("the session is paid in no currency that can be read".to_owned()),
                },
            }
        }
        What::CheckoutAsyncFailed(checkout) => match known(state, payment_of(checkout.payment.as_deref())).await? {
            None => nobody("the session"),
            Some(id) => {
                Meaning::News(id, News::NotPaid { reason: "the money did not arrive at the gateway".to_owned() })
            }
        },
        What::PaymentFailed(intent) => {
            let reason = intent.failure.as_ref().map(|failure| failure.message.clone()).unwrap_or_default();
            let news = News::Declined {
                reason: if reason.is_empty() { "the payment was declined".to_owned() } else { reason },
            };
            owner(state, payment_of(intent.payment.as_deref()), Some(&intent.id))
                .await?
                .map_or_else(|| nobody("the payment intent"), |id| Meaning::News(id, news))
        }
        What::PaymentSucceeded(intent) | What::PaymentCanceled(intent) => {
            let id = owner(state, payment_of(intent.payment.as_deref()), Some(&intent.id)).await?;
            id.map_or_else(|| nobody("the payment intent"), Meaning::Look)
        }
        What::ChargeRefunded(charge) => {
            let id = owner(state, payment_of(charge.payment.as_deref()), charge.payment_intent.as_deref()).await?;
            moved(id, charge.payment_intent.clone()).unwrap_or_else(|| nobody("the charge"))
        }
        What::RefundChanged(refund) => {
            let id = owner(state, of_refund(state, refund).await?, refund.payment_intent.as_deref()).await?;
            moved(id, refund.payment_intent.clone()).unwrap_or_else(|| nobody("the refund"))
        }
        What::DisputeChanged(dispute, step) => {
            if dispute.is_inquiry() {
                return Ok(Meaning::Nothing);
            }
            let id = owner(state, None, dispute.payment_intent.as_deref()).await?;
            id.zip(read_dispute(dispute, *step))
                .map_or_else(|| nobody("the dispute"), |(id, dispute)| Meaning::News(id, News::Dispute(dispute)))
        }
        What::Other => Meaning::Nothing,
    })
}

fn moved(id: Option<PaymentId>, intent: Option<String>) -> Option<Meaning> {
    id.zip(intent).map(|(id, intent)| Meaning::News(id, News::RefundsMoved { intent }))
}

fn read_dispute(dispute: &Dispute, step: DisputeStep) -> Option<rail::Dispute> {
    let standing = match (&*dispute.status, step) {
        ("won", _) | (_, DisputeStep::FundsReinstated) => DisputeStanding::Won,
        ("lost", _) => DisputeStanding::Lost,
        _ => DisputeStanding::Open,
    };
    let amount = Money::new(dispute.amount, Currency::parse(&dispute.currency).ok()?);
    Some(rail::Dispute { id: dispute.id.clone(), amount, standing })
}

/// The payment of a refund that carries our id.
async fn of_refund(state: &State, refund: &gateway::Refund) -> Result<Option<PaymentId>, Error> {
    let Some(id) = refund.refund.as_deref().and_then(|id| RefundId::parse(id).ok()) else { return Ok(None) };
    Ok(refunds::read(&state.database, id).await?.map(|known| known.state.request.payment))
}

async fn known(state: &State, id: Option<PaymentId>) -> Result<Option<PaymentId>, Error> {
    let Some(id) = id else { return Ok(None) };
    Ok(payments::read(&state.database, id).await?.map(|known| known.state.id))
}

/// The payment that is named, or whose money the gateway knows under `intent`, or that the gateway names for it when we
/// have not heard of it yet.
async fn owner(state: &State, named: Option<PaymentId>, intent: Option<&str>) -> Result<Option<PaymentId>, Error> {
    if let Some(id) = known(state, named).await? {
        return Ok(Some(id));
    }
    let Some(intent) = intent else { return Ok(None) };
    if let Some(id) = payments::of_intent(&state.database, intent).await? {
        return Ok(Some(id));
    }
    match state.gateway.payment_intent(intent).await {
        gateway::Answer::Accepted(found) => known(state, payment_of(found.payment.as_deref())).await,
        gateway::Answer::Rejected(_) => Ok(None),
        gateway::Answer::Unknown(doubt) => {
            tracing::warn!(intent, why = doubt.why, "the gateway does not say whose money an event is about");
            Err(Error::unavailable("the gateway does not say whose money this is", 5))
        }
    }
}
