//! `POST /providers/{provider}/callback/{capability}`: a provider says that a job wants to be looked at.
//!
//! What it says of the job is not believed: it only makes us look. It is open to whoever has a capability that was given
//! out and a signature by the provider's secret; it is written down before it is answered, and a webhook that comes
//! twice is the same input.

use actix_web::http::header::HeaderMap;
use actix_web::web::{self, Data, Path, ServiceConfig};
use actix_web::{HttpRequest, HttpResponse};
use serde::Deserialize;

use super::State;
use super::body;
use super::error::Error;
use super::front::Door;
use super::guard::resource;
use super::openapi;
use crate::activity::provider::webhook::Signed;
use crate::domain::ids::InputId;
use crate::domain::job::JobId;
use crate::domain::{input, task};
use crate::runtime::engine::Birth;
use crate::runtime::journal::MessageId;

/// Where webhooks of providers come.
pub(super) const PREFIX: &str = "/providers/";
/// Characters of a webhook's id, at most.
const WEBHOOK_ID_CHARS_MAX: usize = 256;

/// Adds the route.
pub(super) fn routes(config: &mut ServiceConfig) {
    config.service(resource("/providers/{provider}/callback/{capability}", |at| at.route(web::post().to(called))));
}

/// What is read of a webhook.
#[derive(Deserialize)]
struct Webhook {
    id: String,
}

/// A provider's webhook, signed as Standard Webhooks has it.
#[utoipa::path(post, path = "/providers/{provider}/callback/{capability}", tag = "providers", security(()),
    params(("provider" = String, Path), ("capability" = String, Path),
        ("webhook-id" = String, Header), ("webhook-timestamp" = String, Header), ("webhook-signature" = String, Header)),
    request_body(content = Object, description = "The provider's job"),
    responses((status = 204, description = "It was written down"),
        (status = 400, description = "It names no job", body = openapi::Failure),
        (status = 403, description = "Its signature is wrong or too old", body = openapi::Failure),
        (status = 404, description = "No such link was given out", body = openapi::Failure),
        (status = 413, description = "The body is too large", body = openapi::Failure),
        (status = 503, description = "It could not be written down: send it again", body = openapi::Failure)))]
pub(super) async fn called(
    request: HttpRequest,
    payload: web::Payload,
    path: Path<(String, String)>,
    state: Data<State>,
    door: Data<Door>,
) -> Result<HttpResponse, Error> {
    let (name, capability) = path.into_inner();
    let nothing = || Error::NotFound("no such link was given to a provider".into());
    let calling = state.providers.callbacks().read(&name, &capability).ok_or_else(nothing)?;
    let secret =
        state.providers.get(&name).and_then(|provider| provider.webhook_secret.as_ref()).ok_or_else(nothing)?;
    let body = body::collect(&request, payload, body::WITH_PICTURES_MAX).await?;
    let id = header(request.headers(), "webhook-id")?;
    let signed = Signed {
        id,
        timestamp: header(request.headers(), "webhook-timestamp")?,
        signature: header(request.headers(), "webhook-signature")?,
        body: &body,
    };
    signed.verify(secret, state.now()).map_err(|unbelieved| Error::Forbidden(unbelieved.to_string()))?;
    let webhook: Webhook = serde_json::from_slice(&body)
        .map_err(|error| Error::BadRequest(format!("the webhook names no job: {error}")))?;
    let job = JobId::parse(&webhook.id).map_err(|malformed| Error::BadRequest(malformed.to_string()))?;
    let input = InputId::of_webhook(&name, id);
    let message = task::call_through(input, &calling.task, (&calling.step, calling.attempt), job, &name);
    let birth = Birth {
        actor: input::address(input),
        message: MessageId::from(&*format!("webhook:{id}")),
        body: serde_json::to_string(&message).map_err(Error::internal)?,
        claim: None,
    };
    door.bear(birth).await?;
    Ok(HttpResponse::NoContent().finish())
}

/// A header that must be there, once.
fn header<'a>(headers: &'a HeaderMap, name: &str) -> Result<&'a str, Error> {
    let mut lines = headers.get_all(name);
    let line = lines.next().and_then(|line| line.to_str().ok()).filter(|line| line.len() <= 16 * WEBHOOK_ID_CHARS_MAX);
    match (line, lines.next()) {
        (Some(line), None) => Ok(line),
        _ => Err(Error::Forbidden(format!("the webhook must have the header {name} once"))),
    }
}
