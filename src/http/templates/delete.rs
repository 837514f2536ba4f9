//! `DELETE /templates/delete/{code}`.

use actix_web::web::{Data, Path};
use serde::Serialize;
use utoipa::ToSchema;

use super::{no_template, stripe};
use crate::http::caller::Caller;
use crate::http::envelope::Reply;
use crate::http::error::Error;
use crate::http::{State, openapi};

/// A template that was deleted.
#[derive(Serialize, ToSchema)]
pub struct Deleted {
    /// It is gone.
    deleted: bool,
}

/// Deletes a template. Tasks under way go on, and its revisions are kept.
#[utoipa::path(delete, path = "/templates/delete/{code}", tag = "templates", params(("code" = String, Path)),
    responses((status = 200, description = "It is gone", body = openapi::Success<Deleted>), openapi::Managing))]
pub(in crate::http) async fn delete(path: Path<String>, state: Data<State>, caller: Caller) -> Result<Reply, Error> {
    remove(&state, &caller, &path).await?;
    Reply::ok("Template deleted successfully", &Deleted { deleted: true })
}

/// Deletes the template `code`, at Stripe too: if that does not work now, it is tried again by itself.
pub(super) async fn remove(state: &State, caller: &Caller, code: &str) -> Result<(), Error> {
    if !state.templates.delete(code, state.now()).await? {
        return Err(no_template(code));
    }
    tracing::info!(code, by = caller.key_id(), "a template is deleted");
    stripe::told_of_change(state, code, &mut Vec::new()).await;
    Ok(())
}
