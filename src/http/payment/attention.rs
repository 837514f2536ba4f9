//! What waits for a person: payments and refunds that say so, and events of the gateway that concern nobody.

use std::time::Duration;

use actix_web::web::{Data, Path};
use serde::Serialize;
use utoipa::ToSchema;

use super::view::{PaymentView, find, needs_attention};
use super::webhook::{Meaning, meaning};
use crate::domain::ids::InputId;
use crate::domain::input::{self, Message};
use crate::domain::payment;
use crate::gateway::webhook;
use crate::http::caller::Caller;
use crate::http::envelope::Reply;
use crate::http::error::Error;
use crate::http::front::Door;
use crate::http::{State, asking, openapi};
use crate::store::payments;

/// Payments and refunds of a list, at most; each.
const LISTED_MAX: u64 = 100;
/// How long a call waits for the actor's answer.
const LIMIT: Duration = Duration::from_secs(5);

/// Something that a person should look at.
#[derive(Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub struct Flagged {
    /// The payment or refund.
    id: String,
    /// Why.
    why: String,
}

/// Everything that a person should look at.
#[derive(Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub struct Attention {
    /// The newest first, at most 100 payments and 100 refunds.
    flagged: Vec<Flagged>,
    /// How many there are.
    total: u64,
}

/// Payments and refunds that a person should look at.
#[utoipa::path(get, path = "/ops/attention", tag = "ops", operation_id = "attention",
    responses((status = 200, description = "They", body = openapi::Success<Attention>), openapi::Operating))]
pub(in crate::http) async fn list(state: Data<State>) -> Result<Reply, Error> {
    let flagged = payments::attention(&state.database, LISTED_MAX).await?;
    let flagged = flagged.into_iter().map(|(id, why)| Flagged { id, why }).collect();
    let total = payments::attention_count(&state.database).await?;
    Ok(Reply::ok("What needs a person", &Attention { flagged, total })?.no_store())
}

/// What was flagged of a payment is seen to.
#[utoipa::path(post, path = "/ops/payments/{paymentId}/acknowledge", tag = "ops",
    params(("paymentId" = String, Path)),
    responses((status = 200, description = "The payment", body = openapi::Success<PaymentView>), openapi::Operating))]
pub(in crate::http) async fn acknowledge(
    path: Path<String>,
    state: Data<State>,
    door: Data<Door>,
    caller: Caller,
) -> Result<Reply, Error> {
    let id = find(&state, &caller, &path).await?.state.id;
    let input = InputId::new((state.fresh)());
    let wish = payment::acknowledge_through(input, id, caller.owner());
    asking::ask(&state, &door, input, &wish, LIMIT).await?;
    let known = find(&state, &caller, &path).await?;
    let attention = needs_attention(&state, &known.state).await?;
    Ok(Reply::ok("Payment acknowledged", &PaymentView::of(&known.state, attention))?.no_store())
}

/// Tries again to find the payment that a parked event of the gateway concerns.
#[utoipa::path(post, path = "/ops/inputs/{inputId}/replay", tag = "ops", operation_id = "replay_input", params(("inputId" = String, Path)),
    responses((status = 200, description = "It was passed on", body = openapi::Bare),
        (status = 409, description = "It still concerns nobody", body = openapi::Failure), openapi::Operating))]
pub(in crate::http) async fn replay(
    path: Path<String>,
    state: Data<State>,
    door: Data<Door>,
    caller: Caller,
) -> Result<Reply, Error> {
    let none = || Error::NotFound("there is no parked event of that id".into());
    let kept = InputId::parse(&path).map_err(|_| none())?;
    let born = state.engine.journal().history(&input::address(kept), 0, 1).await?;
    let body = born.first().map(|past| past.entry.body.clone()).ok_or_else(none)?;
    let Ok(Message::Keep { raw, asked_by, .. }) = serde_json::from_str(&body) else { return Err(none()) };
    let event = webhook::read(raw.as_bytes()).map_err(Error::internal)?;
    let told = match meaning(&state, &event.what).await? {
        Meaning::News(id, news) => payment::told_through(kept, id, &asked_by, news),
        Meaning::Look(id) => payment::sync_through(kept, id, &asked_by),
        Meaning::Nobody(reason) => return Err(Error::Conflict(reason)),
        Meaning::Nothing => return Err(Error::Conflict("nothing follows from this event any more".into())),
    };
    let Message::Receive { concerns, deliver, schema, .. } = told else { return Err(none()) };
    let id = InputId::new((state.fresh)());
    let wish = input::pass_on_through(id, kept, (concerns, deliver, schema), caller.owner());
    asking::ask(&state, &door, id, &wish, LIMIT).await?;
    Ok(Reply::of_parts(actix_web::http::StatusCode::OK, "The event was passed on".to_owned(), None).no_store())
}
