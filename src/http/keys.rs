//! `/ops/keys`: operators make, rotate and revoke keys. A key is shown in the answer that makes it, and never again: so
//! these calls take no `Idempotency-Key`, whose answers are stored.

use actix_web::web::{self, Data, Path, ServiceConfig};
use actix_web::{HttpMessage as _, HttpRequest};
use secrecy::ExposeSecret as _;
use serde::Serialize;
use utoipa::ToSchema;

use super::audit::Target;
use super::body::{self, Fields};
use super::envelope::{Reply, rfc3339};
use super::error::Error;
use super::guard::{get_and_head, resource};
use super::query::Query;
use super::{State, idempotency, openapi};
use crate::auth::api_key::{self, NewKey, OVERLAP_MS, OVERLAP_MS_MAX, Role};
use crate::domain::Timestamp;
use crate::store::api_keys::{self, ApiKeyRow};

const NAME_CHARS_MAX: usize = 100;
const RECEIVERS_MAX: usize = 100;
/// The longest time that a key may work, in seconds: ten years.
const LIFE_S_MAX: i64 = 10 * 366 * 24 * 60 * 60;

/// A key, without the key itself.
#[derive(Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub struct Key {
    /// Its public id.
    #[schema(example = "key_0193")]
    id: String,
    /// `operator` or `client`.
    role: String,
    /// The application that it belongs to.
    client_id: Option<String>,
    /// A name for people.
    name: String,
    /// The receivers that it may act for: connected accounts.
    receivers: Vec<String>,
    /// When it was made.
    created_at: String,
    /// When it stops working.
    expires_at: Option<String>,
    /// When it was revoked.
    revoked_at: Option<String>,
    /// When it was last used, within a minute.
    last_used_at: Option<String>,
}

/// Keys.
#[derive(Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub struct KeyList {
    /// Those of this page, the oldest first.
    keys: Vec<Key>,
    /// How many there are.
    total: u64,
    /// Where the next page begins.
    next_cursor: Option<String>,
}

/// A key that was made.
#[derive(Serialize, ToSchema)]
pub struct Made {
    /// Its public id.
    id: String,
    /// The key: it cannot be had again.
    #[schema(example = "mv_...")]
    key: String,
}

/// A key that was revoked.
#[derive(Serialize, ToSchema)]
pub struct Revoked {
    /// Its public id.
    id: String,
    /// It no longer works.
    revoked: bool,
}

/// A key to make.
#[derive(ToSchema)]
#[schema(rename_all = "camelCase")]
#[expect(dead_code, reason = "it documents what `create` reads")]
pub struct CreateKey {
    /// `operator` or `client`.
    #[schema(pattern = "^(operator|client)$", example = "client")]
    role: String,
    /// The application that a client's key belongs to; without it, the key is an application of its own.
    #[schema(pattern = "^[A-Za-z0-9_-]{1,100}$", example = "shop")]
    client_id: Option<String>,
    /// A name for people.
    name: Option<String>,
    /// The receivers that a client's key may act for.
    receivers: Option<Vec<String>>,
    /// For how long it works, in seconds; without it, until it is revoked.
    #[schema(minimum = 1, example = 86400)]
    expires_in_seconds: Option<i64>,
}

/// How to rotate a key.
#[derive(ToSchema)]
#[schema(rename_all = "camelCase")]
#[expect(dead_code, reason = "it documents what `rotate` reads")]
pub struct RotateKey {
    /// For how long the old key works beside the new one, in seconds; a day unless given.
    #[schema(minimum = 0, maximum = 2592000, example = 3600)]
    overlap_seconds: Option<i64>,
}

/// Adds the routes.
pub(super) fn routes(config: &mut ServiceConfig) {
    config
        .service(resource("/ops/keys", |at| at.route(get_and_head().to(list)).route(web::post().to(create))))
        .service(resource("/ops/keys/{id}/rotate", |at| at.route(web::post().to(rotate))))
        .service(resource("/ops/keys/{id}/revoke", |at| at.route(web::post().to(revoke))));
}

/// Keys, the oldest first.
#[utoipa::path(get, path = "/ops/keys", tag = "ops", operation_id = "keys", params(openapi::Paging),
    responses((status = 200, description = "Keys", body = openapi::Success<KeyList>), openapi::Operating))]
pub(super) async fn list(request: HttpRequest, state: Data<State>) -> Result<Reply, Error> {
    let page = Query::of(&request)?.page()?;
    let rows = api_keys::page(&state.database, page.cursor(), page.fetch()).await?;
    let (rows, next_cursor) = page.cut(rows, |row| row.id.clone());
    let total = api_keys::count(&state.database).await?;
    let list = KeyList { keys: rows.into_iter().map(shown).collect(), total, next_cursor };
    Ok(Reply::ok("Keys retrieved successfully", &list)?.no_store())
}

fn shown(row: ApiKeyRow) -> Key {
    let time = |at: Option<i64>| at.map(|at| rfc3339(Timestamp(at)));
    Key {
        receivers: api_key::receivers(&row),
        id: row.id,
        role: row.role,
        client_id: row.client_id,
        name: row.name,
        created_at: rfc3339(Timestamp(row.created_at)),
        expires_at: time(row.expires_at),
        revoked_at: time(row.revoked_at),
        last_used_at: time(row.last_used_at),
    }
}

fn unrepeatable(request: &HttpRequest) -> Result<(), Error> {
    if request.headers().contains_key(idempotency::HEADER) {
        let why = "this call takes no Idempotency-Key: its answer holds a key, and is not stored to be repeated";
        return Err(Error::BadRequest(why.into()));
    }
    Ok(())
}

/// Makes a key, which is shown in this answer alone.
#[utoipa::path(post, path = "/ops/keys", tag = "ops", operation_id = "create_key", request_body = CreateKey,
    responses((status = 200, description = "The key", body = openapi::Success<Made>), openapi::Managing))]
pub(super) async fn create(request: HttpRequest, payload: web::Payload, state: Data<State>) -> Result<Reply, Error> {
    unrepeatable(&request)?;
    let body = body::read(&request, payload, body::PLAIN_MAX).await?;
    let mut fields = Fields::of(&body.object);
    fields.only(&["role", "clientId", "name", "receivers", "expiresInSeconds"]);
    let role = match fields.required_text("role", NAME_CHARS_MAX) {
        Some("operator") => Role::Operator,
        Some("client") => Role::Client,
        Some(_) => {
            fields.fault("role", "must be operator or client");
            Role::Client
        }
        None => Role::Client,
    };
    let client_id = fields.name("clientId", NAME_CHARS_MAX).map(str::to_owned);
    let name = fields.text("name", NAME_CHARS_MAX).unwrap_or_default().to_owned();
    let receivers = fields.texts("receivers", 0..=RECEIVERS_MAX, NAME_CHARS_MAX).unwrap_or_default();
    let life_s = fields.whole("expiresInSeconds", 1..=LIFE_S_MAX);
    if role == Role::Operator {
        for (field, given) in [("clientId", client_id.is_some()), ("receivers", !receivers.is_empty())] {
            if given {
                fields.fault(field, "is for clients: an operator may act for everybody");
            }
        }
    }
    fields.finish()?;
    let now = state.now();
    let new = NewKey {
        role,
        client_id,
        name,
        expires_at: life_s.map(|life_s| now.plus_ms(life_s.saturating_mul(1_000))),
        receivers: receivers.into_iter().map(str::to_owned).collect(),
    };
    let (id, key) = state.keys.create(new, now).await?;
    request.extensions_mut().insert(Target(id.clone()));
    Ok(Reply::ok("Key created successfully", &Made { id, key: key.expose_secret().to_owned() })?.no_store())
}

/// Makes a key that takes another one's place: both work until the overlap is over.
#[utoipa::path(post, path = "/ops/keys/{id}/rotate", tag = "ops", operation_id = "rotate_key", request_body = Option<RotateKey>,
    params(("id" = String, Path)),
    responses((status = 200, description = "The new key", body = openapi::Success<Made>), openapi::Managing))]
pub(super) async fn rotate(
    request: HttpRequest,
    payload: web::Payload,
    path: Path<String>,
    state: Data<State>,
) -> Result<Reply, Error> {
    unrepeatable(&request)?;
    let body = body::read(&request, payload, body::PLAIN_MAX).await?;
    let mut fields = Fields::of(&body.object);
    fields.only(&["overlapSeconds"]);
    let overlap_ms = fields.whole("overlapSeconds", 0..=OVERLAP_MS_MAX / 1_000).map_or(OVERLAP_MS, |s| s * 1_000);
    fields.finish()?;
    let (id, key) = state.keys.rotate(&path, overlap_ms, state.now()).await?.ok_or_else(|| no_key(&path))?;
    request.extensions_mut().insert(Target(id.clone()));
    Ok(Reply::ok("Key rotated successfully", &Made { id, key: key.expose_secret().to_owned() })?.no_store())
}

/// Ends a key: within seconds it opens nothing.
#[utoipa::path(post, path = "/ops/keys/{id}/revoke", tag = "ops", operation_id = "revoke_key", params(("id" = String, Path)),
    responses((status = 200, description = "It no longer works", body = openapi::Success<Revoked>), openapi::Operating))]
pub(super) async fn revoke(path: Path<String>, state: Data<State>) -> Result<Reply, Error> {
    if !state.keys.revoke(&path, state.now()).await? {
        return Err(no_key(&path));
    }
    Ok(Reply::ok("Key revoked successfully", &Revoked { id: path.into_inner(), revoked: true })?.no_store())
}

fn no_key(id: &str) -> Error {
    Error::NotFound(format!("there is no working key `{}`", id.chars().take(100).collect::<String>()))
}
