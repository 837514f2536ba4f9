//! `PUT /templates/update/{code}`.

use actix_web::HttpRequest;
use actix_web::web::{self, Data, Path};
use serde::Serialize;
use utoipa::ToSchema;

use super::draft::{self, Draft};
use super::{no_template, stripe};
use crate::http::body;
use crate::http::caller::Caller;
use crate::http::envelope::Reply;
use crate::http::error::Error;
use crate::http::{State, openapi};
use crate::store::templates::Template;

/// A template that was changed.
#[derive(Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub struct Updated {
    /// It is as it was asked for.
    updated: bool,
    /// Whether Stripe knows it as it is.
    stripe_synced: bool,
    /// What its operator should know.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    warnings: Vec<String>,
}

/// Changes a template. Tasks under way end as they began: only new ones see the change.
#[utoipa::path(put, path = "/templates/update/{code}", tag = "templates", request_body = draft::ChangedTemplate,
    params(("code" = String, Path)),
    responses((status = 200, description = "It is changed", body = openapi::Success<Updated>), openapi::Managing))]
pub(in crate::http) async fn update(
    request: HttpRequest,
    payload: web::Payload,
    path: Path<String>,
    state: Data<State>,
    caller: Caller,
) -> Result<Reply, Error> {
    let body = body::read(&request, payload, body::PLAIN_MAX).await?;
    let draft = Draft::of_change(&body.object)?;
    let mut warnings = Vec::new();
    let changed = state.templates.change(&path, caller.owner(), state.now(), |old| {
        let (new, told) = changed(&state, old, draft)?;
        warnings = told;
        Ok::<_, Error>(new)
    });
    let template = changed.await?.ok_or_else(|| no_template(&path))??;
    tracing::info!(code = template.code, revision = template.revision, by = caller.key_id(), "a template is changed");
    let stripe_synced = template.is_synced() || stripe::told_of_change(&state, &path, &mut warnings).await.is_some();
    let updated = Updated { updated: true, stripe_synced, warnings };
    Reply::ok("Template updated successfully", &updated)
}

/// The template as it will be, and what its operator should know.
fn changed(state: &State, old: &Template, draft: Draft) -> Result<(Template, Vec<String>), Error> {
    let wanted = draft.is_active;
    let content = draft.over(old.content.clone());
    let fit = draft::fit(state, &content)?;
    let is_active = match (fit.hindrance, wanted) {
        (Some(reason), Some(true)) => return Err(Error::field("isActive", format!("cannot be true: {reason}"))),
        (Some(_), _) => false,
        (None, wanted) => wanted.unwrap_or(old.is_active),
    };
    Ok((Template { content, is_active, ..old.clone() }, fit.warnings))
}
