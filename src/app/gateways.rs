//! From the configuration to the rail that payments travel on.

use std::sync::Arc;
use std::time::Duration;

use secrecy::ExposeSecret as _;

use super::Error;
use crate::config::{Config, Rail};
use crate::domain::money::{Currency, MalformedCurrency};
use crate::domain::rail;
use crate::gateway::Gateway;
use crate::gateway::catalogue::{Catalogue, Terms};
use crate::gateway::sandbox::{self, Sandbox};
use crate::gateway::stripe::Stripe;
use crate::gateway::webhook::Secrets;
use crate::http::Selling;
use crate::runtime::clock::Clock;
use crate::store::Database;
use crate::store::templates::Templates;

/// The rail, and what stands around it.
pub(super) struct Opened {
    pub gateway: Arc<dyn Gateway>,
    pub sandbox: Option<Sandbox>,
    pub webhooks: Secrets,
    pub templates: Templates,
    pub catalogue: Catalogue,
}

/// Opens the rail that is configured; nothing is asked of it yet.
///
/// # Errors
/// When TLS cannot be set up.
pub(super) fn open(
    config: &Config,
    database: Database,
    public_url: String,
    secret: [u8; 32],
    clock: Arc<dyn Clock>,
) -> Result<Opened, Error> {
    let templates = Templates::new(database.clone());
    let (gateway, sandbox, webhooks): (Arc<dyn Gateway>, _, _) = match config.payments.gateway {
        Rail::Stripe => {
            let webhooks = Secrets::parse(config.stripe.webhook_secret.expose_secret());
            (Arc::new(stripe(config, clock.clone()).map_err(Error::Tls)?), None, webhooks)
        }
        Rail::Sandbox => {
            let faults = config.payments.sandbox_faults.clone();
            let parts = sandbox::Parts { database, clock: clock.clone(), public_url, secret, faults };
            let sandbox = Sandbox::new(parts);
            let webhooks = sandbox.webhook_secrets();
            (Arc::new(sandbox.clone()), Some(sandbox), webhooks)
        }
    };
    let terms = Terms { currency: config.payments.currency.clone(), credit_price: config.payments.credit_price };
    let catalogue = Catalogue::new(gateway.clone(), templates.clone(), terms, &secret, clock);
    Ok(Opened { gateway, sandbox, webhooks, templates, catalogue })
}

/// Stripe as it is configured.
///
/// # Errors
/// When TLS cannot be set up.
pub fn stripe(config: &Config, clock: Arc<dyn Clock>) -> Result<Stripe, reqwest::Error> {
    let limit = Duration::from_secs(config.stripe.request_seconds);
    Stripe::new(&config.stripe.api_base, config.stripe.secret_key.clone(), limit, clock)
}

/// What credits cost, as it is configured.
///
/// # Errors
/// When the currency is none.
pub(super) fn selling(config: &Config) -> Result<Selling, MalformedCurrency> {
    let payments = &config.payments;
    Ok(Selling {
        currency: Currency::parse(&payments.currency)?,
        credit_price: payments.credit_price,
        receiver: payments.receiver.clone(),
        rail: match payments.gateway {
            Rail::Stripe => rail::Rail::Stripe,
            Rail::Sandbox => rail::Rail::Sandbox,
        },
    })
}
