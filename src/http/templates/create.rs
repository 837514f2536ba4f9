//! `POST /templates` and `POST /templates/test/create`.

use actix_web::HttpRequest;
use actix_web::http::header::HeaderValue;
use actix_web::web::{self, Data};
use serde::{Deserialize, Serialize};
use serde_json::value::RawValue;
use serde_json::{Map, Value, json};
use utoipa::ToSchema;

use super::draft::{self, Draft};
use super::stripe;
use crate::http::body;
use crate::http::caller::Caller;
use crate::http::envelope::Reply;
use crate::http::error::Error;
use crate::http::idempotency::{Key, REPLAYED};
use crate::http::{State, openapi};
use crate::store::templates::{self, NewTemplate};

/// A template that was made.
#[derive(Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub struct Created {
    /// Its code.
    #[schema(example = "template_002")]
    code: String,
    /// Its product at Stripe; null until Stripe could be told.
    stripe_product_id: Option<String>,
    /// Its price at Stripe; null until Stripe could be told.
    stripe_price_id: Option<String>,
    /// What its operator should know.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    warnings: Vec<String>,
}

/// What whoever makes a template is told.
const CREATED: &str = "Template created successfully";

/// A template that can be made, and what its operator should know of it.
pub(super) struct Ready {
    pub new: NewTemplate,
    pub warnings: Vec<String>,
}

impl Ready {
    /// Reads and checks a template to be made. One whose workflow cannot run here is inactive, whatever it says.
    ///
    /// # Errors
    /// Everything that is wrong with it.
    pub(super) fn of(state: &State, object: &Map<String, Value>) -> Result<Self, Error> {
        let (code, draft) = Draft::of_new(object)?;
        let wanted = draft.is_active.unwrap_or(true);
        let content = draft.content();
        let fit = draft::fit(state, &content)?;
        let new = NewTemplate { code, content, is_active: wanted && fit.hindrance.is_none() };
        Ok(Self { new, warnings: fit.warnings })
    }

    /// What the caller is told once it is made, before Stripe is told.
    fn created(&self) -> Created {
        let code = self.new.code.clone();
        Created { code, stripe_product_id: None, stripe_price_id: None, warnings: self.warnings.clone() }
    }
}

impl Created {
    /// Tells Stripe. If that does not work now, it is tried again by itself.
    async fn told(mut self, state: &State) -> Self {
        match stripe::told(state, &self.code, false).await {
            Ok(known) => {
                self.stripe_product_id = Some(known.product);
                self.stripe_price_id = Some(known.price);
            }
            Err(error) => self.warnings.push(format!("{}; it is tried again by itself", error.sentence())),
        }
        self
    }

    /// The answer that was kept from before Stripe was told, with what Stripe calls it by now.
    async fn replayed(kept: &Reply, state: &State) -> Result<Reply, Error> {
        let (_, message, data) = kept.parts();
        let mut created: Self = serde_json::from_str(data.map_or("null", RawValue::get)).map_err(Error::internal)?;
        if let Some((product, price)) = state.templates.known(&created.code).await? {
            created.stripe_product_id = Some(product);
            created.stripe_price_id = Some(price);
        } else {
            created = created.told(state).await;
        }
        let answer = Reply::ok(message, &created)?;
        Ok(answer.with(REPLAYED, HeaderValue::from_static("true")))
    }
}

/// Makes a template.
#[utoipa::path(post, path = "/templates", tag = "templates", request_body = draft::NewTemplate,
    params(openapi::IdempotencyHeader),
    responses((status = 200, description = "The template", body = openapi::Success<Created>), openapi::Managing))]
pub(in crate::http) async fn create(
    request: HttpRequest,
    payload: web::Payload,
    state: Data<State>,
    caller: Caller,
) -> Result<Reply, Error> {
    let body = body::read(&request, payload, body::PLAIN_MAX).await?;
    let key = Key::of(&request, &caller, &body.digest)?;
    if let Some(key) = &key
        && let Some(first) = key.answered(state.engine.journal()).await?
    {
        return Created::replayed(&first, &state).await;
    }
    let ready = Ready::of(&state, &body.object)?;
    let created = ready.created();
    let answer = Reply::ok(CREATED, &created)?;
    let claim = key.as_ref().map(|key| key.claim(&answer, state.now())).transpose()?;
    match (state.templates.create(&ready.new, caller.owner(), claim.as_ref(), state.now()).await?, key) {
        (templates::Created::Claimed { fingerprint, answer }, Some(key)) => {
            Created::replayed(&key.replay(&fingerprint, &answer)?, &state).await
        }
        (templates::Created::Taken | templates::Created::Claimed { .. }, _) => {
            Err(Error::Conflict(format!("the template `{}` exists already", ready.new.code)))
        }
        (templates::Created::Now, _) => {
            tracing::info!(code = ready.new.code, by = caller.key_id(), "a template is made");
            Reply::ok(CREATED, &created.told(&state).await)
        }
    }
}

/// Makes a template to try things with, on the embedded default; once it is there, nothing changes.
#[utoipa::path(post, path = "/templates/test/create", tag = "templates",
    responses((status = 200, description = "The template", body = openapi::Success<Created>), openapi::Managing))]
pub(in crate::http) async fn create_test(state: Data<State>, caller: Caller) -> Result<Reply, Error> {
    let test = json!({
        "code": "test-image-generation",
        "name": "Test Image Generation",
        "description": "Makes a picture of a picture, to see that everything works",
        "workflow": "image-generation-workflow",
        "creditCost": 1,
        "templateType": "IMAGE",
        "tags": ["test", "image"],
        "settings": { "style": "vivid" },
    });
    let Value::Object(test) = test else { return Err(Error::internal("the test template is no object")) };
    let ready = Ready::of(&state, &test)?;
    // Whether it was there before makes no difference to the answer.
    state.templates.create(&ready.new, caller.owner(), None, state.now()).await?;
    Reply::ok("Test template created successfully", &ready.created().told(&state).await)
}
