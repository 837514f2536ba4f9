//! Compares payments with the gateway on a period: what its webhooks never told is found by asking.

use std::time::Duration;

use actix_web::web::Data;
use tokio_util::sync::CancellationToken;

use crate::http::{State, reconcile};

/// Compares every `period` until `stop`. The first look is a period away: the gateway sends again by itself what a
/// restart made it miss.
pub(super) async fn run(state: Data<State>, period: Duration, stop: CancellationToken) {
    let mut ticks = tokio::time::interval_at(tokio::time::Instant::now() + period, period);
    ticks.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
    loop {
        tokio::select! {
            () = stop.cancelled() => return,
            _ = ticks.tick() => {}
        }
        if let Err(error) = reconcile::on_period(&state, period).await {
            tracing::warn!(%error, "payments cannot be compared with the gateway; there is another look later");
        }
    }
}
