//! `GET /templates/revisions/{code}`: what a template said, and who wrote it.

use actix_web::HttpRequest;
use actix_web::web::{Data, Path};
use serde::Serialize;
use utoipa::ToSchema;

use super::draft::ChangedTemplate;
use super::no_template;
use crate::domain::template::Content;
use crate::http::envelope::{Reply, rfc3339};
use crate::http::error::Error;
use crate::http::query::{Query, no_cursor};
use crate::http::{State, openapi};
use crate::store::templates::Revision;

/// A revision of a template.
#[derive(Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub struct RevisionShown {
    /// Which, from 1; a task names the one it began with.
    revision: u64,
    /// What the template said.
    #[serde(flatten)]
    #[schema(value_type = ChangedTemplate)]
    content: Content,
    /// Since when.
    created_at: String,
    /// Who wrote it.
    created_by: String,
}

/// Revisions of a template.
#[derive(Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub struct RevisionList {
    /// Those of this page, the newest first.
    revisions: Vec<RevisionShown>,
    /// How many there are in all.
    total: u64,
    /// Where the next page begins.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false)]
    next_cursor: Option<String>,
}

/// What a template said before each change, the newest first; also of one that was deleted.
#[utoipa::path(get, path = "/templates/revisions/{code}", tag = "templates",
    params(("code" = String, Path), openapi::Paging),
    responses((status = 200, description = "Revisions", body = openapi::Success<RevisionList>), openapi::Operating))]
pub(in crate::http) async fn revisions(
    request: HttpRequest,
    path: Path<String>,
    state: Data<State>,
) -> Result<Reply, Error> {
    let page = Query::of(&request)?.page()?;
    let before = page.cursor().map(str::parse).transpose().map_err(|_| no_cursor())?;
    let total = state.templates.count_revisions(&path).await?;
    if total == 0 {
        return Err(no_template(&path));
    }
    let found = state.templates.revisions(&path, before, page.fetch()).await?;
    let (found, next_cursor) = page.cut(found, |last| last.number.to_string());
    let list = RevisionList { revisions: found.into_iter().map(shown).collect(), total, next_cursor };
    Ok(Reply::ok("Template revisions retrieved successfully", &list)?.no_store())
}

fn shown(revision: Revision) -> RevisionShown {
    RevisionShown {
        revision: revision.number,
        content: revision.content,
        created_at: rfc3339(revision.created_at),
        created_by: revision.created_by,
    }
}
