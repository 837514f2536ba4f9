//! `GET /templates/sync-status` and `GET /templates/verify-sync/{code}`: what Stripe knows: the first as far
//! as the database says, the second as Stripe itself says.

use actix_web::HttpRequest;
use actix_web::web::{Data, Path};
use serde::Serialize;
use utoipa::ToSchema;

use super::no_template;
use crate::http::envelope::{Reply, rfc3339};
use crate::http::error::Error;
use crate::http::query::Query;
use crate::http::{State, openapi};
use crate::store::templates::{Search, Template};

/// How a template stands with Stripe.
#[derive(Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub struct SyncListed {
    /// Which.
    code: String,
    /// Its name for people.
    name: String,
    /// Whether it can be run.
    is_active: bool,
    /// Whether Stripe has a product for it.
    has_stripe_product: bool,
    /// When Stripe was last told of it; null when never.
    last_stripe_sync_at: Option<String>,
}

/// How the templates stand with Stripe.
#[derive(Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub struct SyncStatus {
    /// How many there are, active or not.
    total_templates: u64,
    /// Those that Stripe has a product for.
    with_stripe_product: u64,
    /// Those that can be run.
    active_templates: u64,
    /// Those that can be run and that Stripe does not know as they are.
    needs_sync: u64,
    /// Those of this page, by code.
    templates: Vec<SyncListed>,
    /// Where the next page begins.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false)]
    next_cursor: Option<String>,
}

/// How one template stands with Stripe.
#[derive(Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub struct SyncVerified {
    /// Which.
    template_code: String,
    /// Whether Stripe knows it as it is.
    synced: bool,
    /// What is missing or differs.
    issues: Vec<String>,
    /// Its product at Stripe.
    stripe_product_id: Option<String>,
    /// Its price at Stripe.
    stripe_price_id: Option<String>,
    /// What can be done.
    recommendations: Vec<String>,
}

/// How the templates stand with Stripe.
#[utoipa::path(get, path = "/templates/sync-status", tag = "templates", params(openapi::Paging),
    responses((status = 200, description = "All templates", body = openapi::Success<SyncStatus>), openapi::Operating))]
pub(in crate::http) async fn status(request: HttpRequest, state: Data<State>) -> Result<Reply, Error> {
    let page = Query::of(&request)?.page()?;
    let counts = state.templates.sync_counts().await?;
    let found = state.templates.search(&Search::default(), page.cursor(), page.fetch()).await?;
    let (found, next_cursor) = page.cut(found, |last| last.code.clone());
    let status = SyncStatus {
        total_templates: counts.total,
        with_stripe_product: counts.with_product,
        active_templates: counts.active,
        needs_sync: counts.needs_sync,
        templates: found.into_iter().map(listed).collect(),
        next_cursor,
    };
    Ok(Reply::ok("Sync status retrieved", &status)?.no_store())
}

fn listed(template: Template) -> SyncListed {
    SyncListed {
        code: template.code,
        name: template.content.name,
        is_active: template.is_active,
        has_stripe_product: template.stripe_product_id.is_some(),
        last_stripe_sync_at: template.last_stripe_sync_at.map(rfc3339),
    }
}

/// How a template stands with Stripe, as Stripe itself says.
#[utoipa::path(get, path = "/templates/verify-sync/{code}", tag = "templates", params(("code" = String, Path)),
    responses((status = 200, description = "What was found", body = openapi::Success<SyncVerified>), openapi::Operating))]
pub(in crate::http) async fn verify(path: Path<String>, state: Data<State>) -> Result<Reply, Error> {
    let template = state.templates.by_code(&path, state.now()).await?.ok_or_else(|| no_template(&path))?;
    let issues = state.catalogue.verify(&template).await?.issues;
    let synced = issues.is_empty();
    let recommendation = match synced {
        true => "Template is properly synced with Stripe".to_owned(),
        false => format!("Sync it: POST /templates/sync/{} with forceUpdate true", template.code),
    };
    let verified = SyncVerified {
        template_code: template.code.clone(),
        synced,
        issues,
        stripe_product_id: template.stripe_product_id.clone(),
        stripe_price_id: template.stripe_price_id.clone(),
        recommendations: vec![recommendation],
    };
    Ok(Reply::ok("Template sync verified successfully", &verified)?.no_store())
}
