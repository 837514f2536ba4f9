//! Sends the sandbox's webhooks, over HTTP and signed, until each is taken.

use std::time::Duration;

use reqwest::{Client, redirect};
use tokio_util::sync::CancellationToken;

use super::{Fault, Sandbox, payer};
use crate::domain::Timestamp;
use crate::gateway::webhook::{SIGNATURE_HEADER, Secrets};
use crate::store::Error;
use crate::store::sandbox::Pending;

/// How often there is a look even when nothing rings.
const PERIOD: Duration = Duration::from_secs(1);
/// Webhooks, and sessions that end, of one look.
const PAGE: u64 = 50;
/// How long one delivery may take.
const LIMIT: Duration = Duration::from_secs(15);
/// The rest after the first delivery in vain, and the longest, in milliseconds.
const REST_MS: i64 = 500;
const REST_MS_MAX: i64 = 60 * 60 * 1_000;
/// After three days Stripe gives up, and so does the sandbox.
const KEPT_MS: i64 = 3 * 24 * 60 * 60 * 1_000;

/// Sends webhooks to `url` until `stop`.
///
/// # Errors
/// When TLS cannot be set up.
pub fn spawn(sandbox: Sandbox, url: String, stop: CancellationToken) -> Result<(), reqwest::Error> {
    let client = Client::builder().redirect(redirect::Policy::none()).no_proxy().timeout(LIMIT).build()?;
    let sender = Sender { secrets: sandbox.webhook_secrets(), sandbox, client, url };
    actix::spawn(async move {
        while !stop.is_cancelled() {
            if let Err(error) = sender.send_due(&stop).await {
                tracing::warn!(%error, "the sandbox cannot send its webhooks; there is another look soon");
            }
            tokio::select! {
                () = stop.cancelled() => {}
                () = sender.sandbox.sending.notified() => {}
                () = tokio::time::sleep(PERIOD) => {}
            }
        }
    });
    Ok(())
}

struct Sender {
    sandbox: Sandbox,
    secrets: Secrets,
    client: Client,
    url: String,
}

impl Sender {
    async fn send_due(&self, stop: &CancellationToken) -> Result<(), Error> {
        let now = self.sandbox.clock.now();
        for session in self.sandbox.kept.ending(now, PAGE).await? {
            // Whoever was faster did the same.
            let _done_already =
                self.sandbox.kept.change(&session, |family| payer::expire(family, &session, now)).await?;
        }
        let mut due = self.sandbox.kept.due(now, PAGE).await?;
        if self.sandbox.has(Fault::ReorderWebhooks) {
            due.reverse();
        }
        for pending in due {
            if stop.is_cancelled() {
                return Ok(());
            }
            self.send(&pending, now).await?;
        }
        Ok(())
    }

    async fn send(&self, pending: &Pending, now: Timestamp) -> Result<(), Error> {
        if self.sandbox.has(Fault::LostWebhooks) {
            return self.sandbox.kept.delivered(&pending.id).await;
        }
        let mut taken = self.post(&pending.body).await;
        if self.sandbox.has(Fault::DuplicateWebhooks) && taken.is_ok() {
            taken = self.post(&pending.body).await;
        }
        match taken {
            Ok(()) => self.sandbox.kept.delivered(&pending.id).await,
            Err(why) if now.since_ms(pending.created_at) > KEPT_MS => {
                tracing::error!(event = pending.id, why, "the sandbox gives a webhook up after three days");
                self.sandbox.kept.delivered(&pending.id).await
            }
            Err(why) => {
                let rest_ms = REST_MS.saturating_mul(1 << pending.tries.min(20)).min(REST_MS_MAX);
                tracing::warn!(event = pending.id, why, rest_ms, "a webhook of the sandbox was not taken");
                self.sandbox.kept.postponed(&pending.id, now.plus_ms(rest_ms)).await
            }
        }
    }

    async fn post(&self, body: &str) -> Result<(), String> {
        let signature = self.secrets.sign(body.as_bytes(), self.sandbox.clock.now()).unwrap_or_default();
        let request = self.client.post(&self.url).header(SIGNATURE_HEADER, signature);
        let request = request.header("content-type", "application/json").body(body.to_owned());
        match request.send().await {
            Ok(answer) if answer.status().is_success() => Ok(()),
            Ok(answer) => Err(format!("the answer was {}", answer.status())),
            Err(error) => Err(error.without_url().to_string()),
        }
    }
}
