//! What tells Stripe of templates. There is no gateway to Stripe yet: each of these says so and pretends nothing.

use actix_web::HttpRequest;
use actix_web::web::{self, Data, Path};
use serde::Serialize;
use serde_json::Value;
use utoipa::ToSchema;

use super::no_template;
use crate::http::body::{self, Fields};
use crate::http::envelope::Reply;
use crate::http::error::Error;
use crate::http::{State, openapi};
use crate::store::templates::Search;

/// Why nothing can be synced.
pub(super) const NO_GATEWAY: &str = "this service has no Stripe gateway";

/// The body of a sync.
#[derive(ToSchema)]
#[schema(rename_all = "camelCase")]
#[expect(dead_code, reason = "it documents what `sync` reads field by field")]
pub struct SyncTemplate {
    /// Tell Stripe even when it knows the template as it is.
    force_update: Option<bool>,
}

/// A template that was synced.
#[derive(Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub struct Synced {
    /// Stripe knows it as it is.
    synced: bool,
    /// Its product at Stripe.
    stripe_product_id: Option<String>,
    /// Its price at Stripe.
    stripe_price_id: Option<String>,
}

/// What a sync of all did.
#[derive(Serialize, ToSchema)]
pub struct SyncedAll {
    /// Those that Stripe knows as they are.
    successful: u64,
    /// Those that it does not.
    failed: u64,
    /// How many there are.
    total: u64,
}

/// How Stripe is set up.
#[derive(Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub struct Diagnosis {
    /// `none`: there is no gateway to Stripe.
    #[schema(example = "none")]
    environment: &'static str,
    /// Whether Stripe takes the key.
    api_key_valid: bool,
    /// What is wrong.
    issues: Vec<&'static str>,
    /// What Stripe says of the account.
    #[schema(value_type = Option<Object>)]
    account_info: Value,
    /// What can be done.
    recommendations: Vec<&'static str>,
}

/// Tells Stripe of a template. Without a gateway to Stripe it is a 400.
#[utoipa::path(post, path = "/templates/sync/{code}", tag = "templates", request_body = Option<SyncTemplate>,
    params(("code" = String, Path)),
    responses((status = 200, description = "It is synced", body = openapi::Success<Synced>), openapi::Managing))]
pub(in crate::http) async fn sync(
    request: HttpRequest,
    payload: web::Payload,
    path: Path<String>,
    state: Data<State>,
) -> Result<Reply, Error> {
    let body = body::read(&request, payload, body::PLAIN_MAX).await?;
    let mut fields = Fields::of(&body.object);
    fields.flag("forceUpdate");
    fields.only(&["forceUpdate"]);
    fields.finish()?;
    Err(refusal(&state, &path).await)
}

/// Why Stripe cannot be told of the template `code`.
pub(super) async fn refusal(state: &State, code: &str) -> Error {
    match state.templates.by_code(code, state.now()).await {
        Ok(Some(_)) => Error::BadRequest(format!("the template `{code}` cannot be synced: {NO_GATEWAY}")),
        Ok(None) => no_template(code),
        Err(error) => error.into(),
    }
}

/// Tells Stripe of all templates. Without a gateway to Stripe none succeeds.
#[utoipa::path(get, path = "/templates/sync-all-stripe", tag = "templates",
    responses((status = 200, description = "How many it knows", body = openapi::Success<SyncedAll>), openapi::Operating))]
pub(in crate::http) async fn sync_all(state: Data<State>) -> Result<Reply, Error> {
    let total = state.templates.count(&Search::default()).await?;
    let done = SyncedAll { successful: 0, failed: total, total };
    Ok(Reply::ok(&format!("No template was synced: {NO_GATEWAY}"), &done)?.no_store())
}

/// How Stripe is set up here.
#[utoipa::path(get, path = "/templates/diagnose-stripe", tag = "templates",
    responses((status = 200, description = "What was found", body = openapi::Success<Diagnosis>), openapi::Operating))]
pub(in crate::http) async fn diagnose() -> Result<Reply, Error> {
    let found = Diagnosis {
        environment: "none",
        api_key_valid: false,
        issues: vec![NO_GATEWAY],
        account_info: Value::Null,
        recommendations: vec!["Templates run without Stripe; selling them through it needs a release with a gateway"],
    };
    Ok(Reply::ok("Stripe is not set up here", &found)?.no_store())
}
