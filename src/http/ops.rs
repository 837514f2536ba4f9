//! `/ops`: what operators see of the actors, and what they do about messages that were set aside.

use actix_web::web::{self, Data, Path, ServiceConfig};
use actix_web::{HttpRequest, http::StatusCode};
use serde::Serialize;
use serde_json::Value;
use utoipa::ToSchema;

use super::caller::Caller;
use super::envelope::{Reply, rfc3339};
use super::error::Error;
use super::guard::{get_and_head, resource};
use super::query::{Query, no_cursor};
use super::{State, health, openapi};
use crate::domain::ids::InputId;
use crate::domain::{Address, Verdict};
use crate::runtime::journal::{DeadLetter, Envelope, MessageId, Past};
use crate::runtime::trace::Trace;
use crate::store::actors::{self, ActorRow, Filter};

/// Actors of one trace that are looked at, at most.
const TRACED_MAX: u64 = 1_000;
/// Decisions and effects of one actor that are shown, at most.
const SHOWN_MAX: u64 = 200;

/// An actor in a list.
#[derive(Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub struct ActorListed {
    /// Its address: `kind/key`.
    id: String,
    /// Its kind.
    kind: String,
    /// The name of its state.
    status: String,
    /// How many decisions led to it.
    version: u64,
    /// Its birth.
    created_at: String,
    /// Its latest decision.
    updated_at: String,
}

/// Actors.
#[derive(Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub struct ActorList {
    /// Those of this page.
    actors: Vec<ActorListed>,
    /// How many match, counted within the last 15 seconds.
    total: u64,
    /// Where the next page begins.
    next_cursor: Option<String>,
}

/// A decision of an actor.
#[derive(Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub struct Decision {
    /// The actor's version from it on.
    version: u64,
    /// When.
    at: String,
    /// `applied`, `refused` or `ignored`.
    verdict: &'static str,
    /// Why it was refused.
    reason: Option<String>,
    /// The message's id.
    message_id: String,
    /// The message.
    #[schema(value_type = Object)]
    message: Value,
}

/// Something that must still happen.
#[derive(Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub struct Outstanding {
    /// The effect: `kind/key:version:index`.
    id: String,
    /// Who receives it; for an activity, who ordered it.
    to: String,
    /// The lane it waits in.
    lane: String,
    /// Not before this time.
    due: String,
    /// How often the process died while this was the only suspect.
    deaths: u32,
    /// How an activity waits for room: its permit, for whom, its priority.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(value_type = Option<Object>)]
    turn: Option<Value>,
    /// The message, or the activity's input.
    #[schema(value_type = Object)]
    body: Value,
}

/// An actor.
#[derive(Serialize, ToSchema)]
pub struct ActorShown {
    /// Its address: `kind/key`.
    id: String,
    /// Its kind.
    kind: String,
    /// The name of its state.
    status: String,
    /// How many decisions led to it.
    version: u64,
    /// The trace id of the call that it was born in, if that call brought one.
    #[serde(skip_serializing_if = "Option::is_none")]
    trace: Option<String>,
    /// Everything it knows.
    #[schema(value_type = Object)]
    state: Value,
    /// Its latest decisions, oldest first.
    history: Vec<Decision>,
    /// What it ordered and what is on its way to it.
    outstanding: Vec<Outstanding>,
}

/// A message that was set aside.
#[derive(Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub struct DeadListed {
    /// The effect: `kind/key:version:index`.
    id: String,
    /// Who was to receive it; for an activity, who ordered it.
    to: String,
    /// The lane it waited in.
    lane: String,
    /// Why it was set aside.
    reason: String,
    /// When.
    died_at: String,
    /// How often the process died while this was the only suspect.
    deaths: u32,
}

/// Messages that were set aside.
#[derive(Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub struct DeadList {
    /// Those of this page.
    dead: Vec<DeadListed>,
    /// How many there are in all.
    total: u64,
    /// Where the next page begins.
    next_cursor: Option<String>,
}

/// A message that was set aside, with what it says.
#[derive(Serialize, ToSchema)]
pub struct DeadShown {
    /// As in the list.
    #[serde(flatten)]
    listed: DeadListed,
    /// The message, or the activity's input.
    #[schema(value_type = Object)]
    body: Value,
}

/// What was done with a message.
#[derive(Serialize, ToSchema)]
pub struct Done {
    /// Which.
    id: String,
    /// `replayed` or `dropped`.
    status: &'static str,
}

/// Adds the routes. The two that end in a word stand before the one that takes everything.
pub(super) fn routes(config: &mut ServiceConfig) {
    config
        .service(resource("/ops/actors", |at| at.route(get_and_head().to(list))))
        .service(resource("/ops/actors/{id:.*}", |at| at.route(get_and_head().to(show))))
        .service(resource("/ops/dead", |at| at.route(get_and_head().to(dead))))
        .service(resource("/ops/dead/{id:.*}/replay", |at| at.route(web::post().to(replay))))
        .service(resource("/ops/dead/{id:.*}/drop", |at| at.route(web::post().to(drop_dead))))
        .service(resource("/ops/dead/{id:.*}", |at| at.route(get_and_head().to(dead_one))));
}

/// Actors: kind by kind, newest ids first.
#[utoipa::path(get, path = "/ops/actors", tag = "ops", params(
        ("kind" = Option<String>, Query, description = "Only this kind, such as task"),
        ("status" = Option<String>, Query, description = "Only in this state, such as running"),
        ("trace" = Option<String>, Query, description = "Only those born because of calls whose traceparent had this trace id"),
        openapi::Paging),
    responses((status = 200, description = "Actors", body = openapi::Success<ActorList>), openapi::Operating))]
pub(super) async fn list(request: HttpRequest, state: Data<State>) -> Result<Reply, Error> {
    let query = Query::of(&request)?;
    let page = query.page()?;
    let filter = Filter {
        kind: query.text("kind").map(str::to_owned),
        status: query.text("status").map(str::to_owned),
        after: page.cursor().map(Address::parse).transpose().map_err(|_| no_cursor())?,
        traced: match query.text("trace").map(Trace::parse) {
            None => None,
            Some(None) => return Err(Error::field("trace", "must be 32 hexadecimal digits in lower case")),
            Some(Some(trace)) => Some(state.engine.journal().traced(&trace, TRACED_MAX).await?),
        },
        limit: page.fetch(),
    };
    if filter.kind.as_deref().is_some_and(|kind| !actors::is_kind(kind)) {
        return Err(Error::field("kind", "is no kind of actor"));
    }
    let (rows, next_cursor) = page.cut(actors::list(&state.database, &filter).await?, |row| row.address.to_string());
    let counts = health::gather(&state).await.actors;
    let total = counts
        .iter()
        .filter(|(kind, _)| filter.kind.as_deref().is_none_or(|wanted| wanted == **kind))
        .flat_map(|(_, states)| states)
        .filter(|(status, _)| filter.status.as_ref().is_none_or(|wanted| wanted == *status))
        .map(|(_, count)| count)
        .sum();
    let total = filter.traced.as_ref().map_or(total, |traced| traced.len() as u64);
    let list = ActorList { actors: rows.into_iter().map(listed).collect(), total, next_cursor };
    Ok(Reply::ok("Actors retrieved successfully", &list)?.no_store())
}

fn listed(row: ActorRow) -> ActorListed {
    ActorListed {
        id: row.address.to_string(),
        kind: row.address.kind().to_owned(),
        status: row.status,
        version: row.version,
        created_at: rfc3339(row.created_at),
        updated_at: rfc3339(row.updated_at),
    }
}

/// An actor: its state, its latest decisions, and what is outstanding.
#[utoipa::path(get, path = "/ops/actors/{id}", tag = "ops",
    params(("id" = String, Path, description = "`kind/key`, or a key alone")),
    responses((status = 200, description = "The actor", body = openapi::Success<ActorShown>), openapi::Operating))]
pub(super) async fn show(path: Path<String>, state: Data<State>) -> Result<Reply, Error> {
    let not_found = || Error::NotFound(format!("there is no actor `{}`", short(&path)));
    let address = resolve(&path).filter(|address| actors::is_kind(address.kind())).ok_or_else(not_found)?;
    let journal = state.engine.journal();
    let stored = journal.load(std::slice::from_ref(&address)).await?.remove(&address).ok_or_else(not_found)?;
    let history = journal.history(&address, stored.version.saturating_sub(SHOWN_MAX), SHOWN_MAX).await?;
    let outstanding = journal.outstanding(&address, SHOWN_MAX).await?;
    let shown = ActorShown {
        id: address.to_string(),
        kind: address.kind().to_owned(),
        status: stored.status,
        version: stored.version,
        trace: journal.trace_of(&address).await?.map(|trace| trace.as_str().to_owned()),
        state: json(&stored.state),
        history: history.into_iter().map(decision).collect(),
        outstanding: outstanding.into_iter().map(effect).collect(),
    };
    Ok(Reply::ok("Actor retrieved successfully", &shown)?.no_store())
}

/// The address that is meant: as it is, or of a key alone by what it begins with.
fn resolve(text: &str) -> Option<Address> {
    if text.is_empty() {
        return None;
    }
    if text.contains('/') {
        return Address::parse(text).ok();
    }
    let kind = if text.starts_with(InputId::PREFIX) { "input" } else { "task" };
    Some(Address::new(kind, text))
}

fn short(text: &str) -> String {
    text.chars().take(200).collect()
}

/// Stored JSON as it is, or as a text when it cannot be read: an operator must see it either way.
fn json(text: &str) -> Value {
    serde_json::from_str(text).unwrap_or_else(|_| Value::from(text))
}

fn decision(past: Past) -> Decision {
    let (verdict, reason) = match past.entry.verdict {
        Verdict::Applied => ("applied", None),
        Verdict::Ignored => ("ignored", None),
        Verdict::Refused(reason) => ("refused", Some(reason)),
    };
    Decision {
        version: past.entry.version,
        at: rfc3339(past.entry.now),
        verdict,
        reason,
        message_id: past.entry.message.to_string(),
        message: json(&past.entry.body),
    }
}

fn effect(envelope: Envelope) -> Outstanding {
    Outstanding {
        id: envelope.id.to_string(),
        to: envelope.to.to_string(),
        lane: envelope.lane.to_string(),
        due: rfc3339(envelope.due),
        deaths: envelope.deaths,
        turn: envelope.turn.as_deref().map(json),
        body: json(&envelope.body),
    }
}

/// Messages that were set aside, by id.
#[utoipa::path(get, path = "/ops/dead", tag = "ops", params(openapi::Paging),
    responses((status = 200, description = "What was set aside", body = openapi::Success<DeadList>), openapi::Operating))]
pub(super) async fn dead(request: HttpRequest, state: Data<State>) -> Result<Reply, Error> {
    let page = Query::of(&request)?.page()?;
    let journal = state.engine.journal();
    let letters = journal.dead_list(page.cursor().map(MessageId::from).as_ref(), page.fetch()).await?;
    let (letters, next_cursor) = page.cut(letters, |letter| letter.envelope.id.to_string());
    let total = journal.dead_count().await?;
    let list = DeadList { dead: letters.iter().map(dead_listed).collect(), total, next_cursor };
    Ok(Reply::ok("Dead messages retrieved successfully", &list)?.no_store())
}

fn dead_listed(letter: &DeadLetter) -> DeadListed {
    DeadListed {
        id: letter.envelope.id.to_string(),
        to: letter.envelope.to.to_string(),
        lane: letter.envelope.lane.to_string(),
        reason: letter.reason.clone(),
        died_at: rfc3339(letter.died_at),
        deaths: letter.envelope.deaths,
    }
}

fn not_dead(id: &str) -> Error {
    Error::NotFound(format!("no message `{}` was set aside", short(id)))
}

/// A message that was set aside.
#[utoipa::path(get, path = "/ops/dead/{id}", tag = "ops", params(("id" = String, Path)),
    responses((status = 200, description = "The message", body = openapi::Success<DeadShown>), openapi::Operating))]
pub(super) async fn dead_one(path: Path<String>, state: Data<State>) -> Result<Reply, Error> {
    let letter = state.engine.journal().dead_show(&MessageId::from(path.as_str())).await?;
    let letter = letter.ok_or_else(|| not_dead(&path))?;
    let shown = DeadShown { listed: dead_listed(&letter), body: json(&letter.envelope.body) };
    Ok(Reply::ok("Dead message retrieved successfully", &shown)?.no_store())
}

/// Makes a message outstanding again, under its own id.
#[utoipa::path(post, path = "/ops/dead/{id}/replay", tag = "ops", params(("id" = String, Path)),
    responses((status = 200, description = "It is outstanding", body = openapi::Success<Done>), openapi::Operating))]
pub(super) async fn replay(path: Path<String>, state: Data<State>, caller: Caller) -> Result<Reply, Error> {
    let id = MessageId::from(path.as_str());
    let envelope = state.engine.journal().replay(&id, state.now()).await?.ok_or_else(|| not_dead(&path))?;
    tracing::info!(id = id.as_str(), by = caller.key_id(), "a message is replayed");
    state.engine.post(envelope).await;
    done(&id, "replayed", "Dead message replayed")
}

/// Forgets a message for good.
#[utoipa::path(post, path = "/ops/dead/{id}/drop", tag = "ops", params(("id" = String, Path)),
    responses((status = 200, description = "It is gone", body = openapi::Success<Done>), openapi::Operating))]
pub(super) async fn drop_dead(path: Path<String>, state: Data<State>, caller: Caller) -> Result<Reply, Error> {
    let id = MessageId::from(path.as_str());
    if !state.engine.journal().drop_dead(&id).await? {
        return Err(not_dead(&path));
    }
    tracing::info!(id = id.as_str(), by = caller.key_id(), "a message is dropped");
    done(&id, "dropped", "Dead message dropped")
}

fn done(id: &MessageId, status: &'static str, message: &str) -> Result<Reply, Error> {
    Ok(Reply::new(StatusCode::OK, message, &Done { id: id.to_string(), status })?.no_store())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_key_alone_is_known_by_what_it_begins_with() {
        let resolved = |text| resolve(text).map(|address| address.to_string());
        assert_eq!(resolved("task/order-1"), Some("task/order-1".into()));
        assert_eq!(resolved("task_0193"), Some("task/task_0193".into()));
        assert_eq!(resolved("order-1"), Some("task/order-1".into()));
        assert_eq!(resolved("in_0193"), Some("input/in_0193".into()));
        assert_eq!(resolved(""), None);
        assert_eq!(resolved("/x"), None);
    }

    #[test]
    fn a_body_that_is_no_json_is_shown_as_it_is() {
        assert_eq!(json("{\"a\":1}"), serde_json::json!({ "a": 1 }));
        assert_eq!(json("{broken"), Value::from("{broken"));
    }
}
