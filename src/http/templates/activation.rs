//! `POST /templates/activate/{code}` and `/deactivate/{code}`.

use actix_web::web::{Data, Path};
use serde::Serialize;
use utoipa::ToSchema;

use super::{draft, no_template};
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
    /// Whether Stripe knows it as it is; false until a gateway exists.
    stripe_synced: bool,
}

/// Lets a template be run.
#[utoipa::path(post, path = "/templates/activate/{code}", tag = "templates", params(("code" = String, Path)),
    responses((status = 200, description = "It can be run", body = openapi::Success<Activation>), openapi::Managing))]
pub(in crate::http) async fn activate(path: Path<String>, state: Data<State>, caller: Caller) -> Result<Reply, Error> {
    shown("Template activated successfully", &set(&state, &caller, &path, true).await?)
}

/// Lets a template no longer be run. Tasks under way go on.
#[utoipa::path(post, path = "/templates/deactivate/{code}", tag = "templates", params(("code" = String, Path)),
    responses((status = 200, description = "It is inactive", body = openapi::Success<Activation>), openapi::Managing))]
pub(in crate::http) async fn deactivate(
    path: Path<String>,
    state: Data<State>,
    caller: Caller,
) -> Result<Reply, Error> {
    shown("Template deactivated successfully", &set(&state, &caller, &path, false).await?)
}

fn shown(message: &str, template: &Template) -> Result<Reply, Error> {
    Reply::ok(message, &Activation { is_active: template.is_active, stripe_synced: template.is_synced() })
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
