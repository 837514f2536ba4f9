//! Asking an actor: the wish is written down as an input, and whoever asks waits for the answer.

use std::time::{Duration, Instant};

use super::State;
use super::error::Error;
use super::front::Door;
use crate::domain::ids::InputId;
use crate::domain::{Address, input};
use crate::runtime::engine::Birth;
use crate::runtime::journal::MessageId;
use crate::runtime::watch::Watcher;

/// How often a waiting call looks for itself, in case news got lost.
pub(super) const SLOW_POLL: Duration = Duration::from_secs(1);

/// Writes `wish` down as the input `id` and waits for the answer of the actor concerned: `None` when it takes longer
/// than the limit.
///
/// # Errors
/// When it could not be written down, or the answer could not be read.
pub(super) async fn ask(
    state: &State,
    door: &Door,
    id: InputId,
    wish: &input::Message,
    limit: Duration,
) -> Result<Option<Result<(), String>>, Error> {
    let address = input::address(id);
    let news = state.engine.watch(&address).ok();
    let body = serde_json::to_string(wish).map_err(Error::internal)?;
    door.bear(Birth { actor: address.clone(), message: MessageId::from("receive"), body, claim: None }).await?;
    let Some(mut news) = news else {
        return Ok(None);
    };
    let end = Instant::now() + limit;
    loop {
        if let Some(answer) = answer_of(state, &address).await? {
            return Ok(Some(answer));
        }
        let left = end.saturating_duration_since(Instant::now());
        if left.is_zero() {
            return Ok(None);
        }
        wait_for(&mut news, left.min(SLOW_POLL)).await;
    }
}

async fn answer_of(state: &State, address: &Address) -> Result<Option<Result<(), String>>, Error> {
    let stored = state.engine.journal().load(std::slice::from_ref(address)).await?;
    let Some(row) = stored.get(address) else {
        return Ok(None);
    };
    let input: input::State = serde_json::from_str(&row.state).map_err(Error::internal)?;
    Ok(match (input.status, input.reason) {
        (input::Status::Answered, None) => Some(Ok(())),
        (input::Status::Answered, Some(refusal)) => Some(Err(refusal)),
        (input::Status::Delivered | input::Status::Parked, _) => None,
    })
}

/// Waits for news, no longer than `limit`.
pub(super) async fn wait_for(news: &mut Watcher, limit: Duration) {
    // Whether news came or not, the row is read next.
    let _ = tokio::time::timeout(limit, news.changed()).await;
}
