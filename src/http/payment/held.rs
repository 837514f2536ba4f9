//! Money that is held: an operator says whether it is enough, or goes back. Who said so stands in the audit log and in the
//! payment's history.

use std::time::Duration;

use actix_web::http::StatusCode;
use actix_web::web::{Data, Path};

use super::view::{PaymentView, find, needs_attention};
use crate::domain::ids::InputId;
use crate::domain::payment::{self, Resolution};
use crate::http::caller::Caller;
use crate::http::envelope::Reply;
use crate::http::error::Error;
use crate::http::front::Door;
use crate::http::{State, asking, openapi};

/// How long a call waits for the payment's decision.
const LIMIT: Duration = Duration::from_secs(5);

/// Executes what is held all the same: what came is enough.
#[utoipa::path(post, path = "/ops/payments/{paymentId}/release", tag = "ops", operation_id = "release_payment",
    params(("paymentId" = String, Path)),
    responses((status = 200, description = "It is executed", body = openapi::Success<PaymentView>),
        (status = 202, description = "It is written down and not decided yet", body = openapi::Success<PaymentView>),
        (status = 409, description = "It is not held, or its money is gone", body = openapi::Failure),
        openapi::Operating))]
pub(in crate::http) async fn release(
    path: Path<String>,
    state: Data<State>,
    door: Data<Door>,
    caller: Caller,
) -> Result<Reply, Error> {
    resolve(&path, &state, &door, &caller, Resolution::Execute).await
}

/// Gives back what is held; nothing is executed.
#[utoipa::path(post, path = "/ops/payments/{paymentId}/give-back", tag = "ops", operation_id = "give_back_payment",
    params(("paymentId" = String, Path)),
    responses((status = 200, description = "It goes back", body = openapi::Success<PaymentView>),
        (status = 202, description = "It is written down and not decided yet", body = openapi::Success<PaymentView>),
        (status = 409, description = "It is not held, or nothing of it can go back", body = openapi::Failure),
        openapi::Operating))]
pub(in crate::http) async fn give_back(
    path: Path<String>,
    state: Data<State>,
    door: Data<Door>,
    caller: Caller,
) -> Result<Reply, Error> {
    resolve(&path, &state, &door, &caller, Resolution::GiveBack).await
}

async fn resolve(path: &str, state: &State, door: &Door, caller: &Caller, how: Resolution) -> Result<Reply, Error> {
    let id = find(state, caller, path).await?.state.id;
    let input = InputId::new((state.fresh)());
    let wish = payment::resolve_through(input, id, how, caller.owner());
    let (status, message) = match (asking::ask(state, door, input, &wish, LIMIT).await?, how) {
        (Some(Err(refused)), _) => return Err(Error::Conflict(refused)),
        (Some(Ok(())), Resolution::Execute) => (StatusCode::OK, "Payment released: it is executed"),
        (Some(Ok(())), Resolution::GiveBack) => (StatusCode::OK, "Payment goes back"),
        (None, _) => (StatusCode::ACCEPTED, "It is written down and not decided yet"),
    };
    let known = find(state, caller, path).await?;
    let attention = needs_attention(state, &known.state).await?;
    Ok(Reply::new(status, message, &PaymentView::of(&known.state, attention))?.no_store())
}
