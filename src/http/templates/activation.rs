//! `POST /templates/activate/{code}` and `/deactivate/{code}`.

use actix_web::web::{Data, Path};
use serde::Serialize;
use utoipa::ToSchema;

use super::{draft, no_template, stripe};
use crate::http::caller::Caller;
use crate::http::envelope::Reply;
use crate::http::error::Error;
use crate::http::{State, openapi};
use crate::store::templates::Template;

/// Whether a template can be run.
#[derive(Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub struct Activation {
    /// Whether it can be run.
    is_active: bool,
    /// Whether Stripe knows it as it is.
    stripe_synced: bool,
    /// What its operator should know.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    warnings: Vec<String>,
}

/// Lets a template be run.
#[utoipa::path(post, path = "/templates/activate/{code}", tag = "templates", params(("code" = String, Path)),
    responses((status = 200, description = "It can be run", body = openapi::Success<Activation>), openapi::Managing))]
pub(in crate::http) async fn activate(path: Path<String>, state: Data<State>, caller: Caller) -> Result<Reply, Error> {
    let template = set(&state, &caller, &path, true).await?;
    shown(&state, "Template activated successfully", &template).await
}

/// Lets a template no longer be run. Tasks under way go on.
#[utoipa::path(post, path = "/templates/deactivate/{code}", tag = "templates", params(("code" = String, Path)),
    responses((status = 200, description = "It is inactive", body = openapi::Success<Activation>), openapi::Managing))]
pub(in crate::http) async fn deactivate(
    path: Path<String>,
    state: Data<State>,
    caller: Caller,
) -> Result<Reply, Error> {
    let template = set(&state, &caller, &path, false).await?;
    shown(&state, "Template deactivated successfully", &template).await
}

/// Tells Stripe, and answers.
async fn shown(state: &State, message: &str, template: &Template) -> Result<Reply, Error> {
    let mut warnings = Vec::new();
    let stripe_synced =
        template.is_synced() || stripe::told_of_change(state, &template.code, &mut warnings).await.is_some();
    Reply::ok(message, &Activation { is_active: template.is_active, stripe_synced, warnings })
}

/// Makes the template `code` active or inactive; one that is so already stays as it is.
pub(super) async fn set(state: &State, caller: &Caller, code: &str, is_active: bool) -> Result<Template, Error> {
    let changed = state.templates.change(code, caller.owner(), state.now(), |old| {
        if is_active {
            runnable(state, old)?;
        }
        Ok::<_, Error>(Template { is_active, ..old.clone() })
    });
    let template = changed.await?.ok_or_else(|| no_template(code))??;
    tracing::info!(code, is_active, by = caller.key_id(), "a template is switched");
    Ok(template)
}

/// The workflow may have changed since the template was written.
fn runnable(state: &State, template: &Template) -> Result<(), Error> {
    state.workflow(&template.content.workflow).map_err(|reason| reason.of(&template.code))?;
    draft::fit(state, &template.content).map(drop)
}
