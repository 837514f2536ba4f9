//! `GET /templates/health`.

use actix_web::web::Data;
use serde::Serialize;
use utoipa::ToSchema;

use crate::http::envelope::{Reply, rfc3339};
use crate::http::error::Error;
use crate::http::{State, openapi};
use crate::store::templates::Search;

/// How the templates are.
#[derive(Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub struct TemplateHealth {
    /// How many there are, active or not.
    total_templates: u64,
    /// When they were counted.
    timestamp: String,
    /// `TemplateService`.
    service: &'static str,
}

/// Whether templates can be read.
#[utoipa::path(get, path = "/templates/health", tag = "templates", security(()),
    responses((status = 200, description = "They can", body = openapi::Success<TemplateHealth>)))]
pub(in crate::http) async fn health(state: Data<State>) -> Result<Reply, Error> {
    let total_templates = state.templates.count(&Search::default()).await?;
    let health = TemplateHealth { total_templates, timestamp: rfc3339(state.now()), service: "TemplateService" };
    Ok(Reply::ok("Template service is healthy", &health)?.no_store())
}
