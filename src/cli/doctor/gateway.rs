//! Does the gateway of payments answer, and will its webhooks be believed?

use std::sync::Arc;

use secrecy::ExposeSecret as _;

use crate::app::gateways;
use crate::config::{Config, Rail};
use crate::domain::gateway::Answer;
use crate::gateway::Gateway as _;
use crate::gateway::webhook::Secrets;
use crate::runtime::clock::SystemClock;

/// Asks the gateway whose account it is.
pub(super) async fn look(config: &Config) -> Result<String, String> {
    if config.payments.gateway == Rail::Sandbox {
        return Ok("the sandbox: no money moves".to_owned());
    }
    let stripe = gateways::stripe(config, Arc::new(SystemClock)).map_err(|error| error.to_string())?;
    let mode = if stripe.is_live() { "live" } else { "test mode" };
    match stripe.account().await {
        Answer::Accepted(account) if account.charges_enabled => {
            Ok(format!("Stripe answers ({mode}): {} can take money", account.id))
        }
        Answer::Accepted(account) => {
            Err(format!("Stripe answers ({mode}), and {} cannot take money yet: see its dashboard", account.id))
        }
        Answer::Rejected(rejection) => Err(format!("Stripe does not take us ({mode}): {rejection}")),
        Answer::Unknown(doubt) => Err(format!("Stripe does not answer: {doubt}")),
    }
}

/// Whether there is something to verify webhooks with.
pub(super) fn webhooks(config: &Config) -> Result<String, String> {
    match config.payments.gateway {
        Rail::Sandbox => Ok("signed by the sandbox itself".to_owned()),
        Rail::Stripe if Secrets::parse(config.stripe.webhook_secret.expose_secret()).is_empty() => {
            Err("`stripe.webhook_secret` is empty: no webhook would be believed".to_owned())
        }
        Rail::Stripe => Ok("a signing secret is set".to_owned()),
    }
}
