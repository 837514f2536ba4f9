//! `GET /templates/execution/{taskId}/progress` and `GET /templates/executions/user/{userId}`.

use std::collections::HashSet;

use actix_web::HttpRequest;
use actix_web::web::{Data, Path};
use serde::Serialize;
use utoipa::ToSchema;

use crate::auth::api_key::Role;
use crate::domain::ids::{ExecutionId, TaskId};
use crate::domain::task;
use crate::domain::{Address, Timestamp};
use crate::http::caller::Caller;
use crate::http::envelope::{Reply, rfc3339};
use crate::http::error::Error;
use crate::http::query::{Query, no_cursor};
use crate::http::view::{ExecutionView, find, show};
use crate::http::{State, openapi};
use crate::store::executions::{self, Execution, Filter};

/// An execution in a list.
#[derive(Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub struct ExecutionListed {
    /// The execution: derived from the task.
    #[schema(example = "exec_123")]
    execution_id: String,
    /// The template it runs.
    #[schema(example = "template_001")]
    template_code: String,
    /// `pending`, `running`, `completed` or `failed`; cancelled shows as failed.
    #[schema(example = "completed")]
    status: &'static str,
    /// When it was accepted.
    created_at: String,
    /// Something of it waits for an operator.
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    attention: bool,
}

/// Executions.
#[derive(Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub struct ExecutionList {
    /// Those of this page, the newest first.
    executions: Vec<ExecutionListed>,
    /// How many there are in all.
    total: u64,
    /// Where the next page begins.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false)]
    next_cursor: Option<String>,
}

/// How far an execution is.
#[utoipa::path(get, path = "/templates/execution/{taskId}/progress", tag = "templates",
    params(("taskId" = String, Path)),
    responses((status = 200, description = "The execution", body = openapi::Success<ExecutionView>), openapi::Reading))]
pub(in crate::http) async fn progress(path: Path<String>, state: Data<State>, caller: Caller) -> Result<Reply, Error> {
    let known = find(&state, &caller, &path).await?;
    let view = ExecutionView::of(&known, show(&state, &known).await);
    Ok(Reply::ok("Execution progress retrieved", &view)?.no_store())
}

/// What was run for a user: of it, a client sees what it asked for itself; who signed in sees all of their own.
#[utoipa::path(get, path = "/templates/executions/user/{userId}", tag = "templates",
    params(("userId" = String, Path), openapi::Paging),
    responses((status = 200, description = "Executions", body = openapi::Success<ExecutionList>), openapi::Reading))]
pub(in crate::http) async fn of_user(
    request: HttpRequest,
    path: Path<String>,
    state: Data<State>,
    caller: Caller,
) -> Result<Reply, Error> {
    let page = Query::of(&request)?.page()?;
    let before = page.cursor().map(parse).transpose()?;
    if caller.person().is_some_and(|person| person.user_id != *path) {
        return Err(Error::NotFound("who signed in sees nobody else's executions".into()));
    }
    let owner = match caller.role() {
        Role::Operator | Role::User => None,
        Role::Client => Some(caller.owner()),
    };
    let filter = Filter { user_id: &path, owner };
    let found = executions::list(&state.database, &filter, before.as_ref(), page.fetch()).await?;
    let total = executions::count(&state.database, &filter).await?;
    let (found, next_cursor) = page.cut(found, cursor);
    let attention = set_aside(&state, &found).await?;
    let shown = found.iter().map(|one| listed(one, attention.contains(&task::address(&one.task))));
    let list = ExecutionList { executions: shown.collect(), total, next_cursor };
    Ok(Reply::ok("User executions retrieved successfully", &list)?.no_store())
}

/// Those under way of which something was set aside.
async fn set_aside(state: &State, found: &[Execution]) -> Result<HashSet<Address>, Error> {
    let under_way = found.iter().filter(|execution| !execution.status.is_final());
    let addresses: Vec<Address> = under_way.map(|execution| task::address(&execution.task)).collect();
    Ok(state.engine.journal().with_dead(&addresses.iter().collect::<Vec<_>>()).await?)
}

fn listed(execution: &Execution, attention: bool) -> ExecutionListed {
    ExecutionListed {
        execution_id: ExecutionId::of_task(&execution.task).to_string(),
        template_code: execution.template_code.clone(),
        status: if attention { "running" } else { task::documented_status(execution.status) },
        created_at: rfc3339(execution.created_at),
        attention,
    }
}

/// No task's id holds a dot.
fn cursor(last: &Execution) -> String {
    format!("{}.{}", last.created_at.0, last.task)
}

fn parse(cursor: &str) -> Result<(Timestamp, TaskId), Error> {
    let parts = cursor.split_once('.').and_then(|(at, task)| Some((at.parse().ok()?, TaskId::parse(task).ok()?)));
    parts.map(|(at, task)| (Timestamp(at), task)).ok_or_else(no_cursor)
}
