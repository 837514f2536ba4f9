//! `POST /templates` and `POST /templates/test/create`.

use actix_web::HttpRequest;
use actix_web::web::{self, Data};
use serde::Serialize;
use serde_json::{Map, Value, json};
use utoipa::ToSchema;

use super::draft::{self, Draft};
use crate::http::body;
use crate::http::caller::Caller;
use crate::http::envelope::Reply;
use crate::http::error::Error;
use crate::http::idempotency::Key;
use crate::http::{State, openapi};
use crate::store::templates::{self, NewTemplate};

/// A template that was made.
#[derive(Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub struct Created {
    /// Its code.
    #[schema(example = "template_002")]
    code: String,
    /// Its product at Stripe; null until a gateway exists.
    stripe_product_id: Option<String>,
    /// Its price at Stripe; null until a gateway exists.
    stripe_price_id: Option<String>,
    /// What its operator should know.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    warnings: Vec<String>,
}

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

    /// What the caller is told once it is made.
    fn answer(&self, message: &str) -> Result<Reply, Error> {
        let code = self.new.code.clone();
        let warnings = self.warnings.clone();
        Reply::ok(message, &Created { code, stripe_product_id: None, stripe_price_id: None, warnings })
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
        return Ok(first);
    }
    let ready = Ready::of(&state, &body.object)?;
    let answer = ready.answer("Template created successfully")?;
    let claim = key.as_ref().map(|key| key.claim(&answer, state.now())).transpose()?;
    match (state.templates.create(&ready.new, caller.owner(), claim.as_ref(), state.now()).await?, key) {
        (templates::Created::Claimed { fingerprint, answer }, Some(key)) => key.replay(&fingerprint, &answer),
        (templates::Created::Taken | templates::Created::Claimed { .. }, _) => {
            Err(Error::Conflict(format!("the template `{}` exists already", ready.new.code)))
        }
        (templates::Created::Now, _) => {
            tracing::info!(code = ready.new.code, by = caller.key_id(), "a template is made");
            Ok(answer)
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
    ready.answer("Test template created successfully")
}
