//! What the gateway knows and we were not told: webhooks that never came, and payments that wait too long.
//!
//! The gateway is asked for everything that happened since the last pass. What is not among our inputs is taken in as
//! if its webhook came now, through the same function: sessions, refunds and disputes alike. Payments that still wait
//! are made to look at their session. A pass needs nothing to be said to it, may run twice or at the same time as
//! another, and what it cannot finish is left to the next one.

use std::time::Duration;

use actix_web::http::StatusCode;
use actix_web::web::{Data, Path};
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use super::view::{PaymentView, find, needs_attention};
use super::webhook::{Received, input_of, receive};
use crate::domain::gateway::{Answer, Event, Events};
use crate::domain::ids::InputId;
use crate::domain::{Timestamp, input, payment};
use crate::gateway::webhook;
use crate::http::caller::Caller;
use crate::http::envelope::{Reply, rfc3339};
use crate::http::error::Error;
use crate::http::front::Door;
use crate::http::{State, asking, openapi};
use crate::runtime::engine::Birth;
use crate::runtime::journal::MessageId;
use crate::store::{payments, settings};

/// Pages of events that one pass reads, at most; the next pass goes on behind them.
const PAGES_MAX: usize = 20;
/// Payments that one pass makes ask, at most.
const ASKED_MAX: usize = 1_000;
/// Payments that are read in one go.
const PAGE: u64 = 100;
/// How far back the gateway's list goes, in milliseconds: Stripe keeps events for 30 days.
const KEPT_MS: i64 = 30 * 24 * 60 * 60 * 1_000;
/// What happened so long before the last pass is asked for once more, in milliseconds: a list may lag behind, and the
/// gateway's clock is not ours.
const OVERLAP_MS: i64 = 10 * 60 * 1_000;
/// A payment that waits and of which the gateway said nothing for so long asks again, in milliseconds, when an operator
/// wants to know; and on the period, where its own timer should have asked twice by then.
const WAITED_MS: i64 = 60_000;
const WAITED_MS_MAX: i64 = 2 * 60 * 60 * 1_000;
/// How long a call waits for the gateway's answer.
const LIMIT: Duration = Duration::from_secs(8);
/// The setting that says how far events have been seen.
const MARK: &str = "reconciled";
/// Who asks, in the history of payments.
const RECONCILER: &str = "reconciler";

/// How far events have been seen.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
struct Mark {
    /// Everything before this time.
    since: Timestamp,
    /// A look at the list that was not finished.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    under_way: Option<UnderWay>,
    /// When the last pass ended.
    passed_at: Timestamp,
}

/// A look at the list of events, the newest first, that takes several passes.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
struct UnderWay {
    /// When it began: everything before is known once it ends.
    began: Timestamp,
    /// The event behind which it goes on.
    after: String,
    /// Something could not be taken in: all of it is looked at again.
    left: bool,
}

/// What a pass found.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub struct Found {
    /// Events of the gateway that were looked at.
    events: usize,
    /// Events whose webhook never came, and which are acted upon now.
    told: usize,
    /// Those of them that concern no payment of ours: they wait for a person.
    parked: usize,
    /// Events that cannot be read.
    unreadable: usize,
    /// Events that could not be taken in now: the next pass tries again.
    left: usize,
    /// Payments that wait, and are made to ask the gateway.
    asked: usize,
    /// There was more than one pass looks at: the next one goes on.
    more: bool,
}

/// What a pass found, and how far events have been seen.
#[derive(Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub struct Reconciled {
    #[serde(flatten)]
    found: Found,
    /// Everything that the gateway says happened before this time is known.
    reconciled_until: Option<String>,
}

/// Asks the gateway about everything that we may have missed: events whose webhooks never came, payments that wait.
#[utoipa::path(post, path = "/ops/payments/reconcile", tag = "ops", operation_id = "reconcile_payments",
    responses((status = 200, description = "What was found", body = openapi::Success<Reconciled>),
        (status = 503, description = "The gateway does not answer", body = openapi::Failure), openapi::Operating))]
pub(in crate::http) async fn reconcile(state: Data<State>, door: Data<Door>) -> Result<Reply, Error> {
    let found = pass(&state, &door, WAITED_MS).await?;
    let mark = read_mark(&state).await?;
    let reconciled_until = mark.map(|(mark, _)| rfc3339(mark.since));
    Ok(Reply::ok("Payments are compared with the gateway", &Reconciled { found, reconciled_until })?.no_store())
}

/// Makes one payment ask the gateway how it stands: its session while it waits, its refunds afterwards.
#[utoipa::path(post, path = "/ops/payments/{paymentId}/sync", tag = "ops", operation_id = "sync_payment",
    params(("paymentId" = String, Path)),
    responses((status = 200, description = "The payment", body = openapi::Success<PaymentView>),
        (status = 202, description = "The gateway has not answered yet", body = openapi::Success<PaymentView>),
        openapi::Operating))]
pub(in crate::http) async fn sync(
    path: Path<String>,
    state: Data<State>,
    door: Data<Door>,
    caller: Caller,
) -> Result<Reply, Error> {
    let id = find(&state, &caller, &path).await?.state.id;
    let input = InputId::new((state.fresh)());
    let wish = payment::sync_through(input, id, caller.owner());
    let (status, message) = match asking::ask(&state, &door, input, &wish, LIMIT).await? {
        Some(Ok(())) => (StatusCode::OK, "The gateway was asked"),
        Some(Err(refused)) => return Err(Error::Conflict(refused)),
        None => (StatusCode::ACCEPTED, "The gateway has not answered yet"),
    };
    let known = find(&state, &caller, &path).await?;
    let attention = needs_attention(&state, &known.state).await?;
    Ok(Reply::new(status, message, &PaymentView::of(&known.state, attention))?.no_store())
}

/// A pass on the period, unless one ended within it: by another node, or because an operator asked.
///
/// # Errors
/// The gateway or the database did not answer.
pub async fn on_period(state: &State, period: Duration) -> Result<Option<Found>, Error> {
    let half_ms = i64::try_from(period.as_millis() / 2).unwrap_or(i64::MAX);
    if let Some((mark, _)) = read_mark(state).await?
        && state.now().since_ms(mark.passed_at) < half_ms
    {
        return Ok(None);
    }
    pass(state, &Door::new(state.engine.clone()), WAITED_MS_MAX).await.map(Some)
}

async fn pass(state: &State, door: &Door, waited_ms: i64) -> Result<Found, Error> {
    let mut found = Found::default();
    // First, so that a gateway that lists nothing does not keep payments from asking.
    ask_waiting(state, door, waited_ms, &mut found).await?;
    replay_events(state, door, &mut found).await?;
    if found.told + found.left > 0 {
        tracing::warn!(?found, "the gateway knew what its webhooks never told");
    }
    Ok(found)
}

async fn read_mark(state: &State) -> Result<Option<(Mark, String)>, Error> {
    let Some(text) = settings::read(&state.database, MARK).await? else { return Ok(None) };
    // One that cannot be read is begun anew.
    Ok(serde_json::from_str(&text).ok().map(|mark| (mark, text)))
}

/// Where this pass begins: before the first payment there was nothing to miss.
async fn mark(state: &State) -> Result<Option<(Mark, String)>, Error> {
    if let Some(known) = read_mark(state).await? {
        return Ok(Some(known));
    }
    let Some(first) = payments::first_at(&state.database).await? else { return Ok(None) };
    let mark = Mark { since: first, ..Mark::default() };
    let text = serde_json::to_string(&mark).map_err(Error::internal)?;
    let kept = settings::decide(&state.database, MARK, &text).await?;
    Ok(Some((serde_json::from_str(&kept).unwrap_or(mark), kept)))
}

/// Takes in the events that never came.
async fn replay_events(state: &State, door: &Door, found: &mut Found) -> Result<(), Error> {
    let Some((mark, known)) = mark(state).await? else { return Ok(()) };
    let now = state.now();
    let since = mark.since.plus_ms(-OVERLAP_MS).max(now.plus_ms(-KEPT_MS));
    let (began, mut after, mut left) = match &mark.under_way {
        Some(under_way) => (under_way.began, Some(under_way.after.clone()), under_way.left),
        None => (now, None, false),
    };
    for _ in 0..PAGES_MAX {
        let Events { raw, next } = match state.gateway.events(since, after.as_deref()).await {
            Answer::Accepted(page) => page,
            Answer::Unknown(doubt) => return Err(silent(&doubt.why)),
            Answer::Rejected(rejection) => {
                // It may have forgotten the event to go on from: the next pass begins at the newest.
                let anew = Mark { under_way: None, ..mark };
                write_mark(state, &known, &anew).await?;
                return Err(silent(&rejection.message));
            }
        };
        replay_page(state, door, &raw, found).await?;
        after = next;
        if after.is_none() {
            break;
        }
    }
    left |= found.left > 0;
    found.more |= after.is_some();
    let (since, under_way) = match after {
        Some(after) => (mark.since, Some(UnderWay { began, after, left })),
        None if left => (mark.since, None),
        None => (began, None),
    };
    write_mark(state, &known, &Mark { since, under_way, passed_at: now }).await
}

/// Whoever was faster has seen the same.
async fn write_mark(state: &State, known: &str, mark: &Mark) -> Result<(), Error> {
    let text = serde_json::to_string(mark).map_err(Error::internal)?;
    settings::replace(&state.database, MARK, known, &text).await?;
    Ok(())
}

fn silent(why: &str) -> Error {
    tracing::warn!(why, "the gateway does not list what happened");
    Error::unavailable("the gateway does not list what happened", 30)
}

/// Takes in those events of a page that are not among our inputs, the oldest first.
async fn replay_page(state: &State, door: &Door, raw: &[String], found: &mut Found) -> Result<(), Error> {
    found.events += raw.len();
    let mut events: Vec<(Event, &String)> = Vec::with_capacity(raw.len());
    for raw in raw.iter().rev() {
        match webhook::read(raw.as_bytes()) {
            Ok(event) => events.push((event, raw)),
            Err(error) => {
                tracing::error!(%error, "an event of the gateway cannot be read");
                found.unreadable += 1;
            }
        }
    }
    let addresses: Vec<_> = events.iter().map(|(event, _)| input::address(input_of(state, event))).collect();
    let known = state.engine.journal().load(&addresses).await?;
    for ((event, raw), address) in events.iter().zip(&addresses) {
        if known.contains_key(address) {
            continue;
        }
        match receive(state, door, event, raw).await {
            Ok(Received::Told) => found.told += 1,
            Ok(Received::Parked) => {
                found.told += 1;
                found.parked += 1;
            }
            Ok(Received::Dropped) => {}
            Err(error) => {
                tracing::warn!(event = event.id, %error, "an event of the gateway could not be taken in");
                found.left += 1;
            }
        }
    }
    Ok(())
}

/// Makes payments ask of which the gateway said nothing for so long.
async fn ask_waiting(state: &State, door: &Door, waited_ms: i64, found: &mut Found) -> Result<(), Error> {
    let before = state.now().plus_ms(-waited_ms);
    let mut after = None;
    loop {
        let page = payments::waiting(&state.database, before, after, PAGE).await?;
        let Some(last) = page.last() else { return Ok(()) };
        after = Some(last.state.id);
        for known in &page {
            if known.state.looked_at.is_some_and(|at| at >= before) {
                continue;
            }
            if found.asked == ASKED_MAX {
                found.more = true;
                return Ok(());
            }
            let id = InputId::new((state.fresh)());
            let wish = payment::sync_through(id, known.state.id, RECONCILER);
            let body = serde_json::to_string(&wish).map_err(Error::internal)?;
            let (actor, message) = (input::address(id), MessageId::from("receive"));
            door.bear(Birth { actor, message, body, claim: None }).await?;
            found.asked += 1;
        }
    }
}
