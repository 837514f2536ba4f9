//! What operators do, written down: before it is done, so that nothing is done unseen, and how it ended afterwards.
//! `GET /ops/audit` shows it.

use actix_web::dev::{ServiceRequest, ServiceResponse};
use actix_web::web::{Data, ServiceConfig};
use actix_web::{HttpMessage as _, HttpRequest};
use serde::Serialize;
use utoipa::ToSchema;

use super::caller::Caller;
use super::envelope::{Reply, TraceId, rfc3339};
use super::error::Error;
use super::guard::{get_and_head, resource};
use super::query::{Query, no_cursor};
use super::{State, openapi};
use crate::domain::Timestamp;
use crate::store::Database;
use crate::store::audit::{self, AuditRow};

/// Characters of a path that are kept.
const PATH_CHARS_MAX: usize = 500;

/// What an action was about, where its route does not say it: handlers leave it in the request's extensions.
#[derive(Clone, Debug)]
pub struct Target(pub String);

/// An action under way.
pub struct Noted {
    id: String,
    database: Database,
}

/// Notes that `caller` begins what `request` asks for.
///
/// # Errors
/// A write that failed: then it must not be done.
pub async fn begin(request: &ServiceRequest, caller: &Caller) -> Result<Noted, Error> {
    let state = request.app_data::<Data<State>>().ok_or_else(|| Error::internal("no state"))?;
    let trace = request.extensions().get::<TraceId>().map(|trace| trace.as_str().to_owned());
    let path: String = request.path().chars().take(PATH_CHARS_MAX).collect();
    let row = AuditRow {
        id: format!("audit_{}", (state.fresh)().simple()),
        at: state.now().0,
        by_id: caller.key_id().to_owned(),
        action: format!("{} {path}", request.method()),
        target: None,
        trace_id: trace.unwrap_or_default(),
        status: None,
    };
    let noted = Noted { id: row.id.clone(), database: state.database.clone() };
    audit::begin(&state.database, row).await?;
    Ok(noted)
}

impl Noted {
    /// Notes how it ended. It has happened by now, so that a failure here is only logged: the row stays, without an end.
    pub async fn end(self, response: &ServiceResponse) {
        let target = response.request().extensions().get::<Target>().map(|target| target.0.clone());
        let status = response.status().as_u16();
        if let Err(error) = audit::end(&self.database, &self.id, status, target).await {
            tracing::error!(id = self.id, status, error = &error as &dyn std::error::Error, "an audit row has no end");
        }
    }
}

/// An operator's action.
#[derive(Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub struct Action {
    /// Its id.
    id: String,
    /// When it began.
    at: String,
    /// The operator's key, or `command line`.
    by: String,
    /// What was called.
    #[schema(example = "POST /ops/keys")]
    action: String,
    /// What it was about, where the call does not say it.
    target: Option<String>,
    /// By which the call is found in the logs.
    trace_id: String,
    /// How it ended, as an HTTP status; null while it runs, and when the process died before it ended.
    status: Option<i32>,
}

/// Actions.
#[derive(Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub struct ActionList {
    /// Those of this page, the newest first.
    actions: Vec<Action>,
    /// How many are kept.
    total: u64,
    /// Where the next page begins.
    next_cursor: Option<String>,
}

/// Adds the route.
pub(super) fn routes(config: &mut ServiceConfig) {
    config.service(resource("/ops/audit", |at| at.route(get_and_head().to(list))));
}

/// What operators did, the newest first.
#[utoipa::path(get, path = "/ops/audit", tag = "ops", operation_id = "audit", params(openapi::Paging),
    responses((status = 200, description = "Actions", body = openapi::Success<ActionList>), openapi::Operating))]
pub(super) async fn list(request: HttpRequest, state: Data<State>) -> Result<Reply, Error> {
    let page = Query::of(&request)?.page()?;
    if page.cursor().is_some_and(|cursor| !cursor.starts_with("audit_")) {
        return Err(no_cursor());
    }
    let rows = audit::list(&state.database, page.cursor(), page.fetch()).await?;
    let (rows, next_cursor) = page.cut(rows, |row| row.id.clone());
    let total = audit::count(&state.database).await?;
    let actions = rows.into_iter().map(|row| Action {
        id: row.id,
        at: rfc3339(Timestamp(row.at)),
        by: row.by_id,
        action: row.action,
        target: row.target,
        trace_id: row.trace_id,
        status: row.status,
    });
    let list = ActionList { actions: actions.collect(), total, next_cursor };
    Ok(Reply::ok("Audit log retrieved successfully", &list)?.no_store())
}
