//! `GET /templates` and `GET /templates/get/{code}`.

use actix_web::HttpRequest;
use actix_web::web::{Data, Path};
use serde::Serialize;
use utoipa::ToSchema;

use super::draft::ChangedTemplate;
use super::no_template;
use crate::domain::template::{Content, TemplateType};
use crate::http::envelope::{Reply, rfc3339};
use crate::http::error::Error;
use crate::http::query::Query;
use crate::http::{State, openapi};
use crate::store::templates::{Search, Template};

/// A text that is searched for has so many characters at most.
const SEARCH_CHARS_MAX: usize = 100;

/// A template in a list.
#[derive(Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub struct Listed {
    /// The name it is run by.
    #[schema(example = "template_001")]
    code: String,
    /// Its name for people.
    name: String,
    /// What it makes.
    description: String,
    /// Its price in credits.
    credit_cost: i64,
    /// `IMAGE` or `VIDEO`.
    #[schema(value_type = String, example = "VIDEO")]
    template_type: TemplateType,
    /// Whether it can be run.
    is_active: bool,
    /// Words to find it by.
    tags: Vec<String>,
}

/// Templates.
#[derive(Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub struct TemplateList {
    /// Those of this page.
    templates: Vec<Listed>,
    /// How many there are in all.
    total: u64,
    /// Where the next page begins.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false)]
    next_cursor: Option<String>,
}

/// A template.
#[derive(Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub struct Shown {
    /// The name it is run by.
    #[schema(example = "template_001")]
    code: String,
    /// What it says.
    #[serde(flatten)]
    #[schema(value_type = ChangedTemplate)]
    content: Content,
    /// How often what it says was written, this time included.
    revision: u64,
    /// Whether it can be run.
    is_active: bool,
    /// Its product at Stripe.
    stripe_product_id: Option<String>,
    /// Its price at Stripe.
    stripe_price_id: Option<String>,
    /// When it was made.
    created_at: String,
    /// When it was last changed.
    updated_at: String,
}

/// The active templates, by code.
#[utoipa::path(get, path = "/templates", tag = "templates",
    params(("type" = Option<String>, Query, pattern = "^(IMAGE|VIDEO)?$", description = "Only those that make this; empty is as not given"),
        ("tag" = Option<String>, Query, description = "Only those with this tag, in either case"),
        ("search" = Option<String>, Query, max_length = 100,
            description = "Only those with this in their code, name, description or tags, in either case"),
        openapi::Paging),
    responses((status = 200, description = "The templates", body = openapi::Success<TemplateList>), openapi::Reading))]
pub(in crate::http) async fn list(request: HttpRequest, state: Data<State>) -> Result<Reply, Error> {
    let query = Query::of(&request)?;
    let page = query.page()?;
    let search = search(&query)?;
    let found = state.templates.search(&search, page.cursor(), page.fetch()).await?;
    let total = state.templates.count(&search).await?;
    let (found, next_cursor) = page.cut(found, |last| last.code.clone());
    let templates = found.into_iter().map(listed).collect();
    Reply::ok("Templates retrieved successfully", &TemplateList { templates, total, next_cursor })
}

fn search(query: &Query) -> Result<Search, Error> {
    let template_type = query.text("type").map(str::parse).transpose();
    let text = |name: &'static str| match query.text(name) {
        Some(text) if text.chars().count() > SEARCH_CHARS_MAX => {
            Err(Error::field(name, format!("must have at most {SEARCH_CHARS_MAX} characters")))
        }
        text => Ok(text.map(str::to_owned)),
    };
    Ok(Search {
        active_only: true,
        template_type: template_type.map_err(|_| Error::field("type", "must be IMAGE or VIDEO"))?,
        tag: text("tag")?,
        text: text("search")?,
    })
}

fn listed(template: Template) -> Listed {
    Listed {
        code: template.code,
        name: template.content.name,
        description: template.content.description,
        credit_cost: template.content.credit_cost,
        template_type: template.content.template_type,
        is_active: template.is_active,
        tags: template.content.tags,
    }
}

/// A template, active or not.
#[utoipa::path(get, path = "/templates/get/{code}", tag = "templates", params(("code" = String, Path)),
    responses((status = 200, description = "The template", body = openapi::Success<Shown>), openapi::Reading))]
pub(in crate::http) async fn get(path: Path<String>, state: Data<State>) -> Result<Reply, Error> {
    let template = state.templates.by_code(&path, state.now()).await?.ok_or_else(|| no_template(&path))?;
    let shown = Shown {
        code: template.code.clone(),
        content: template.content.clone(),
        revision: template.revision,
        is_active: template.is_active,
        stripe_product_id: template.stripe_product_id.clone(),
        stripe_price_id: template.stripe_price_id.clone(),
        created_at: rfc3339(template.created_at),
        updated_at: rfc3339(template.updated_at),
    };
    Reply::ok("Template retrieved successfully", &shown)
}
