//! From the configuration and the environment to the providers of models.

use std::collections::BTreeMap;
use std::sync::Arc;

use reqwest::header::HeaderName;
use secrecy::SecretString;

use crate::activity::provider::webhook::Secret;
use crate::activity::provider::{Callbacks, Provider, Providers};
use crate::config;

/// The providers cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// Secrets are missing or wrong; one sentence each.
    #[error("the providers of models cannot be used:\n  - {}", .0.join("\n  - "))]
    Secrets(Vec<String>),
    /// TLS cannot be set up.
    #[error("calls to providers of models cannot be made")]
    Client(#[from] reqwest::Error),
}

/// The providers as configured, with the secrets that `environment` holds.
///
/// # Errors
/// [`Error`] with every secret that is missing.
pub fn open(
    configured: &BTreeMap<String, config::Provider>,
    environment: impl Fn(&str) -> Option<String>,
    callbacks: Callbacks,
) -> Result<Arc<Providers>, Error> {
    let mut faults = Vec::new();
    let mut by_name = BTreeMap::new();
    for (name, provider) in configured {
        let mut secret = |key: &str, variable: &str| {
            let value = environment(variable).filter(|value| !value.trim().is_empty());
            if value.is_none() && !variable.is_empty() {
                faults.push(format!(
                    "`providers.{name}.{key}` names the environment variable {variable}, which is not set"
                ));
            }
            value
        };
        let key = secret("key_env", &provider.key_env);
        let signed = secret("webhook_secret_env", &provider.webhook_secret_env);
        let webhook_secret = signed.as_deref().and_then(Secret::parse);
        if signed.is_some() && webhook_secret.is_none() {
            let variable = &provider.webhook_secret_env;
            faults.push(format!("the environment variable {variable} holds no secret of webhooks: it reads whsec_..."));
        }
        let Ok(preset) = provider.preset.parse() else {
            faults.push(format!("`providers.{name}.preset` is not known"));
            continue;
        };
        let provider = Provider {
            preset,
            base_url: provider.base_url.trim_end_matches('/').to_owned(),
            key: key.map(|key| SecretString::from(key.trim().to_owned())),
            model: provider.model.clone(),
            webhook_secret,
            idempotency_header: HeaderName::try_from(&provider.idempotency_header).ok(),
            request_limit: provider.request_limit(),
            fetch_limit: provider.fetch_limit(),
            pace: provider.pace(),
        };
        by_name.insert(name.clone(), provider);
    }
    if faults.is_empty() { Ok(Providers::new(by_name, callbacks)?) } else { Err(Error::Secrets(faults)) }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::{Config, Sources};

    fn opened(settings: &[(&str, &str)], secrets: &'static [(&str, &str)]) -> Result<Arc<Providers>, Error> {
        let environment = settings.iter().map(|(key, value)| (format!("MIXVIDEO__{key}"), (*value).to_owned()));
        let sources = Sources { environment: environment.collect(), ..Sources::default() };
        let configured = Config::load(&sources).unwrap().providers;
        let secret =
            |name: &str| secrets.iter().find(|(known, _)| *known == name).map(|(_, value)| (*value).to_owned());
        open(&configured, secret, Callbacks::new(String::new(), [0; 32]))
    }

    const REPLICATE: &[(&str, &str)] = &[
        ("PROVIDERS__FILMS__PRESET", "replicate"),
        ("PROVIDERS__FILMS__BASE_URL", "https://api.replicate.com/v1/"),
        ("PROVIDERS__FILMS__MODEL", "owner/name"),
        ("PROVIDERS__FILMS__KEY_ENV", "TOKEN"),
        ("PROVIDERS__FILMS__WEBHOOK_SECRET_ENV", "SIGNING"),
    ];

    #[test]
    fn keys_come_from_the_environment_and_are_never_shown() {
        let providers = opened(REPLICATE, &[("TOKEN", "r8_swordfish"), ("SIGNING", "whsec_c3dvcmRmaXNo")]).unwrap();
        let films = providers.get("films").unwrap();
        assert_eq!(films.base_url, "https://api.replicate.com/v1");
        assert!(films.key.is_some() && films.webhook_secret.is_some());
        assert!(!format!("{providers:?}").contains("swordfish"));
    }

    #[test]
    fn every_secret_that_is_missing_or_wrong_is_named() {
        let Err(Error::Secrets(faults)) = opened(REPLICATE, &[("SIGNING", "swordfish")]) else { panic!() };
        assert_eq!(faults.len(), 2, "{faults:?}");
        assert!(faults[0].contains("`providers.films.key_env` names the environment variable TOKEN"), "{faults:?}");
        assert!(faults[1].contains("SIGNING holds no secret"), "{faults:?}");
        assert!(!faults[1].contains("swordfish"));
    }
}
