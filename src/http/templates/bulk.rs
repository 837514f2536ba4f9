//! `POST /templates/bulk`: the same thing done to many templates, one by one.

use std::ops::RangeInclusive;

use actix_web::HttpRequest;
use actix_web::web::{self, Data};
use serde::Serialize;
use utoipa::ToSchema;

use super::{activation, delete, stripe};
use crate::http::body::{self, Fields};
use crate::http::caller::Caller;
use crate::http::envelope::Reply;
use crate::http::error::Error;
use crate::http::{State, openapi};

/// Templates of one call.
const TEMPLATES: RangeInclusive<usize> = 1..=100;
const CHARS_MAX: usize = 64;

/// What can be done to many.
#[derive(Clone, Copy, Debug, PartialEq, Eq, strum::EnumString)]
#[strum(serialize_all = "snake_case")]
enum Operation {
    SyncStripe,
    Activate,
    Deactivate,
    Delete,
}

/// The body.
#[derive(ToSchema)]
#[schema(rename_all = "camelCase")]
#[expect(dead_code, reason = "it documents what `bulk` reads field by field")]
pub struct BulkOperation {
    /// The templates.
    #[schema(min_items = 1, max_items = 100, example = json!(["photo-to-video"]))]
    template_codes: Vec<String>,
    /// What is done to each.
    #[schema(pattern = "^(sync_stripe|activate|deactivate|delete)$", example = "activate")]
    operation: String,
}

/// What became of them.
#[derive(Default, Serialize, ToSchema)]
pub struct BulkDone {
    /// The codes with which it worked.
    successful: Vec<String>,
    /// Those with which it did not.
    failed: Vec<BulkFailed>,
    /// How many there were.
    total: usize,
}

/// Why it did not work with one.
#[derive(Serialize, ToSchema)]
pub struct BulkFailed {
    /// Which.
    code: String,
    /// As the call for this one alone would have said.
    error: String,
}

/// Does the same thing to many templates. Repeating it is safe: what is so already stays so.
#[utoipa::path(post, path = "/templates/bulk", tag = "templates", request_body = BulkOperation,
    responses((status = 200, description = "What became of each", body = openapi::Success<BulkDone>), openapi::Managing))]
pub(in crate::http) async fn bulk(
    request: HttpRequest,
    payload: web::Payload,
    state: Data<State>,
    caller: Caller,
) -> Result<Reply, Error> {
    let body = body::read(&request, payload, body::PLAIN_MAX).await?;
    let mut fields = Fields::of(&body.object);
    fields.require("templateCodes");
    let codes = fields.texts("templateCodes", TEMPLATES, CHARS_MAX).unwrap_or_default();
    let named = fields.required_text("operation", CHARS_MAX).map(str::parse::<Operation>);
    if matches!(named, Some(Err(_))) {
        fields.fault("operation", "must be sync_stripe, activate, deactivate or delete");
    }
    fields.only(&["templateCodes", "operation"]);
    fields.finish()?;
    let operation = named.and_then(Result::ok).ok_or_else(|| Error::internal("no operation"))?;
    let mut done = BulkDone { total: codes.len(), ..BulkDone::default() };
    for code in codes {
        match apply(&state, &caller, operation, code).await {
            Ok(()) => done.successful.push(code.to_owned()),
            // The gateway has its moods with each template alone.
            Err(error) if operation == Operation::SyncStripe && matches!(error, Error::Unavailable { .. }) => {
                done.failed.push(BulkFailed { code: code.to_owned(), error: error.sentence() });
            }
            // It is the service that fails, and not this template: the caller repeats the call.
            Err(error) if error.status().is_server_error() => return Err(error),
            Err(error) => done.failed.push(BulkFailed { code: code.to_owned(), error: error.sentence() }),
        }
    }
    Reply::ok("Bulk operation completed", &done)
}

async fn apply(state: &State, caller: &Caller, operation: Operation, code: &str) -> Result<(), Error> {
    match operation {
        Operation::SyncStripe => stripe::told(state, code, true).await.map(drop),
        Operation::Activate => {
            activation::set(state, caller, code, true).await?;
            told(state, code).await
        }
        Operation::Deactivate => {
            activation::set(state, caller, code, false).await?;
            told(state, code).await
        }
        Operation::Delete => delete::remove(state, caller, code).await,
    }
}

/// Tells Stripe of a switch that is made already; what does not work now is tried again by itself.
async fn told(state: &State, code: &str) -> Result<(), Error> {
    stripe::told_of_change(state, code, &mut Vec::new()).await;
    Ok(())
}
