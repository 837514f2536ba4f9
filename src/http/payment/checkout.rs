//! `POST /payment/checkout/{templateCode}`: everything is checked, then the payment is born, then the gateway opens a
//! session, then the caller is answered.

use std::time::Duration;

use actix_web::HttpRequest;
use actix_web::web::{self, Path};
use serde::Serialize;
use serde_json::{Map, Value};
use utoipa::ToSchema;

use super::view::{session_of, wait_until};
use crate::domain::Address;
use crate::domain::ids::{PaymentId, TaskId};
use crate::domain::payment::{self, Checkout, Message, Status};
use crate::http::body::{self, Body, Fields};
use crate::http::envelope::Reply;
use crate::http::error::Error;
use crate::http::idempotency::{Kept, Key, Made, Once, replayed};
use crate::http::openapi;
use crate::http::wish::{Desk, USER_CHARS_MAX, Wish};
use crate::runtime::journal::MessageId;
use crate::store::payments;

/// Keys of `metadata`, at most.
pub const METADATA_KEYS_MAX: usize = 50;
/// What `metadata` may bring into the journal, in bytes of JSON; pictures are kept elsewhere.
pub const METADATA_BYTES_MAX: usize = 256 * 1024;
/// How long a session can be paid, in milliseconds: Stripe allows 30 minutes to 24 hours.
const OPEN_MS: i64 = 23 * 3_600_000;
/// How long a call waits for the session.
const LIMIT: Duration = Duration::from_secs(15);
const OPENED: &str = "Checkout session created successfully";

/// The body of a checkout.
#[derive(ToSchema)]
#[schema(rename_all = "camelCase")]
#[expect(dead_code, reason = "it documents what `read_wish` reads field by field")]
pub struct NewCheckout {
    /// The customer.
    #[schema(example = "user_123")]
    user_id: String,
    /// What the template's workflow is told once it is paid; pictures as data URLs or links. At most 50 keys.
    #[schema(value_type = Option<Object>, example = json!({ "imageUrl": "https://example.com/image.jpg" }))]
    metadata: Option<Map<String, Value>>,
}

/// A session in which the payer pays.
#[derive(Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub struct Opened {
    /// The gateway's session.
    #[schema(example = "cs_xxx")]
    session_id: String,
    /// Where the payer pays; where nothing is to be paid, where the execution is shown.
    url: String,
    /// The payment.
    #[schema(example = "payment_123")]
    payment_id: String,
}

/// Opens a session in which a template is bought.
#[utoipa::path(post, path = "/payment/checkout/{templateCode}", tag = "payment", request_body = NewCheckout,
    params(("templateCode" = String, Path), openapi::IdempotencyHeader),
    responses((status = 200, description = "The session", body = openapi::Success<Opened>), openapi::Creating))]
pub(in crate::http) async fn checkout(
    request: HttpRequest,
    payload: web::Payload,
    path: Path<String>,
    desk: Desk,
) -> Result<Reply, Error> {
    let body = body::read(&request, payload, body::WITH_PICTURES_MAX).await?;
    let once = Once::new(&desk, Key::of(&request, &desk.caller, &body.digest)?, Kept::ADay);
    if let Some(first) = once.before().await? {
        return again(&desk, &first).await;
    }
    let id = PaymentId::new((desk.state.fresh)());
    let checkout = checked(&desk, body, path.into_inner(), id).await?;
    let birth = serde_json::to_string(&Message::Checkout(Box::new(checkout))).map_err(Error::internal)?;
    match once.bear(payment::address(id), MessageId::from("checkout"), birth).await? {
        Made::Now => opened(&desk, id).await,
        Made::Before(first) => again(&desk, &first).await,
    }
}

/// The same request came before: its session is answered, as soon as it is open.
async fn again(desk: &Desk, first: &Address) -> Result<Reply, Error> {
    let id = PaymentId::parse(first.key()).map_err(Error::internal)?;
    Ok(replayed(opened(desk, id).await?))
}

/// Everything that can be wrong is found before anything exists.
async fn checked(desk: &Desk, body: Body, template_code: String, id: PaymentId) -> Result<Checkout, Error> {
    let state = &desk.state;
    let ids = (TaskId::new((state.fresh)()), id);
    let wish = read_wish(body, template_code, ids, desk.caller.person().is_none())?;
    let (template, create) = desk.checked(wish).await?;
    let size = serde_json::to_string(&create.request.parameters).map_err(Error::internal)?.len();
    if size > METADATA_BYTES_MAX {
        return Err(Error::TooLarge(format!(
            "the metadata has {size} bytes; without pictures at most {METADATA_BYTES_MAX} are taken"
        )));
    }
    let credits = template.content.credit_cost;
    let price = state
        .selling
        .price(credits)
        .ok_or_else(|| Error::BadRequest(format!("the template `{}` costs more than can be paid", template.code)))?;
    let base = state.public_url.trim_end_matches('/');
    Ok(Checkout {
        id,
        name: template.content.name.clone(),
        price,
        receiver: template.content.receiver_id.clone().unwrap_or_else(|| state.selling.receiver.clone()),
        rail: state.selling.rail,
        execution: Box::new(create),
        success_url: format!("{base}/payment/success?session_id={{CHECKOUT_SESSION_ID}}&payment_id={id}"),
        cancel_url: format!("{base}/payment/cancel?session_id={{CHECKOUT_SESSION_ID}}&payment_id={id}"),
        open_ms: OPEN_MS,
    })
}

/// Who signed in buys for themselves; an application says for whom.
fn read_wish(
    body: Body,
    template_code: String,
    (id, payment): (TaskId, PaymentId),
    needs_user: bool,
) -> Result<Wish, Error> {
    let mut fields = Fields::of(&body.object);
    if needs_user {
        fields.require("userId");
    }
    let user_id = fields.text("userId", USER_CHARS_MAX);
    let metadata = fields.object("metadata");
    if metadata.is_some_and(|metadata| metadata.len() > METADATA_KEYS_MAX) {
        fields.fault("metadata", format!("must have at most {METADATA_KEYS_MAX} keys"));
    }
    let wish = Wish {
        id,
        id_chosen: false,
        task_type: None,
        template_code,
        user_id: user_id.map(str::to_owned),
        payment: Some(payment),
        parameters: metadata.cloned().unwrap_or_default(),
        field_prefix: "metadata.",
        digest: body.digest.clone(),
    };
    fields.finish().map(|()| wish)
}

/// The answer, once the gateway has opened the session.
async fn opened(desk: &Desk, id: PaymentId) -> Result<Reply, Error> {
    let state = &desk.state;
    let news = state.engine.watch(&payment::address(id)).ok();
    let read = async || {
        let known = payments::read(&state.database, id).await?;
        known.map(|known| known.state).ok_or_else(|| Error::internal(format!("payment {id} is gone")))
    };
    let is_open = |known: &payment::State| known.session.as_ref().is_some_and(|session| session.url.is_some());
    let known = wait_until(news, LIMIT, read, |known| is_open(known) || known.status != Status::Created).await?;
    let url = known.session.as_ref().and_then(|session| session.url.clone());
    let url = url.or_else(|| {
        let session = session_of(&known).filter(|_| known.price.minor == 0)?;
        Some(known.urls.0.replace("{CHECKOUT_SESSION_ID}", &session))
    });
    match (known.status, session_of(&known), url) {
        (Status::Failed, ..) => {
            Err(Error::BadRequest(known.failure.clone().unwrap_or_else(|| "the payment gateway refuses it".to_owned())))
        }
        (_, Some(session_id), Some(url)) => {
            let opened = Opened { session_id, url, payment_id: id.to_string() };
            Ok(Reply::ok(OPENED, &opened)?.no_store())
        }
        (Status::Created | Status::AwaitingPayer, ..) => Err(Error::unavailable(
            format!(
                "the payment gateway does not answer in time; payment {id} goes on by itself: repeat the request with \
                 the same Idempotency-Key for its session"
            ),
            5,
        )),
        _ => Err(Error::Conflict(format!("payment {id} can no longer be paid"))),
    }
}
