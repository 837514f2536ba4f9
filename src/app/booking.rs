//! Payments that are older than accounts tell theirs: once, after the first start of a release that has accounts. Such a payment
//! would tell on its next message anyway; this sends it one.

use tokio_util::sync::CancellationToken;

use crate::domain::ids::InputId;
use crate::domain::{input, payment};
use crate::runtime::engine::{Birth, Engine};
use crate::runtime::journal::MessageId;
use crate::store::{Database, payments, settings};

/// Payments asked in one go.
const PAGE: u64 = 100;
/// The setting that says that all were asked.
const DONE: &str = "payments_booked";
/// Who asks, in the history of the payment.
const ASKER: &str = "mixvideo";

/// Asks all of them, unless that was done. What fails is done at the next start.
pub(super) async fn run(engine: Engine, database: Database, stop: CancellationToken) {
    match ask_all(&engine, &database, &stop).await {
        Ok(0) => {}
        Ok(asked) => tracing::info!(asked, "payments that are older than accounts tell theirs"),
        Err(error) => {
            tracing::warn!(%error, "not all old payments could be asked to tell their account; the next start goes on")
        }
    }
}

async fn ask_all(engine: &Engine, database: &Database, stop: &CancellationToken) -> Result<u64, String> {
    let failed = |error: crate::store::Error| error.to_string();
    if settings::read(database, DONE).await.map_err(failed)?.is_some() {
        return Ok(0);
    }
    let (mut asked, mut after) = (0, String::new());
    while !stop.is_cancelled() {
        let page = payments::before_accounts(database, &after, PAGE).await.map_err(failed)?;
        let Some(last) = page.last() else {
            settings::decide(database, DONE, "yes").await.map_err(failed)?;
            return Ok(asked);
        };
        after = last.to_string();
        for id in page {
            // The same input at every start, and on every node: it is born once.
            let input = InputId::new(id.uuid());
            let body =
                serde_json::to_string(&payment::book_through(input, id, ASKER)).map_err(|error| error.to_string())?;
            let birth = Birth { actor: input::address(input), message: MessageId::from("receive"), body, claim: None };
            engine.birth(birth).await.map_err(|refused| format!("{refused:?}"))?;
            asked += 1;
        }
    }
    Ok(asked)
}
