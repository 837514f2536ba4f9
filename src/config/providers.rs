//! `[providers.NAME]`: providers of models. Names are the operator's; each has the same keys.

use std::time::Duration;

use serde::Deserialize;
use strum::IntoEnumIterator as _;
use toml::Value;

use super::layers::Layered;
use crate::activity::provider::Preset;
use crate::domain::job::Pace;

/// What keys of providers begin with.
pub(super) const SECTION: &str = "providers";

/// The keys of a provider with their defaults.
pub(super) const DEFAULTS: &str = r#"
preset = ""
base_url = ""
key_env = ""
model = ""
webhook_secret_env = ""
idempotency_header = ""
request_seconds = 60
fetch_seconds = 300
poll_ms = 2000
poll_ms_max = 30000
settle_seconds = 60
"#;

/// Whole numbers and the least and the greatest that each may be.
const RANGES: [(&str, i64, i64); 5] = [
    ("request_seconds", 1, 3_600),
    ("fetch_seconds", 1, 3_600),
    ("poll_ms", 10, 3_600_000),
    ("poll_ms_max", 10, 3_600_000),
    ("settle_seconds", 0, 86_400),
];

/// A key, and what is wrong with its text, if anything.
type TextCheck = (&'static str, fn(&str) -> Option<String>);

const TEXTS: [TextCheck; 4] =
    [("preset", preset), ("base_url", base_url), ("model", model), ("idempotency_header", header)];

/// A provider of models.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Provider {
    /// Its dialect; see [`Preset`].
    pub preset: String,
    /// Where its API begins.
    pub base_url: String,
    /// The environment variable that holds its key; empty for a provider without keys.
    pub key_env: String,
    /// The model unless a step names another.
    pub model: String,
    /// The environment variable that holds the secret of its webhooks; empty for none.
    pub webhook_secret_env: String,
    /// The header in which it takes an idempotency key; empty for none.
    pub idempotency_header: String,
    /// How long one call may take, in seconds.
    pub request_seconds: u64,
    /// How long fetching a result may take, in seconds.
    pub fetch_seconds: u64,
    /// The rest before the first look at a job, in milliseconds.
    pub poll_ms: u64,
    /// The longest rest between two looks, in milliseconds.
    pub poll_ms_max: u64,
    /// How long a lost submit may take to show up, in seconds.
    pub settle_seconds: u64,
}

impl Provider {
    /// How long to rest between calls.
    #[must_use]
    pub const fn pace(&self) -> Pace {
        Pace { first_ms: self.poll_ms, max_ms: self.poll_ms_max, settle_ms: self.settle_seconds.saturating_mul(1_000) }
    }

    /// How long one call may take.
    #[must_use]
    pub const fn request_limit(&self) -> Duration {
        Duration::from_secs(self.request_seconds)
    }

    /// How long fetching a result may take.
    #[must_use]
    pub const fn fetch_limit(&self) -> Duration {
        Duration::from_secs(self.fetch_seconds)
    }
}

/// The name of the provider that `key` belongs to.
pub(super) fn name_of(key: &str) -> Option<&str> {
    key.strip_prefix(SECTION)?.strip_prefix('.')?.split('.').next()
}

/// A sentence for everything that is wrong with the providers.
pub(super) fn faults(layered: &Layered) -> Vec<String> {
    let mut faults = Vec::new();
    for name in layered.providers() {
        let allowed = |byte: u8| byte.is_ascii_lowercase() || byte.is_ascii_digit() || byte == b'_' || byte == b'-';
        if !(1..=32).contains(&name.len()) || !name.bytes().all(allowed) {
            let form = "1 to 32 lower-case letters, digits, `_` and `-`";
            faults.push(format!("the provider [{SECTION}.{name}] must have a name of {form}"));
        }
        for (key, least, greatest) in RANGES {
            let key = format!("{SECTION}.{name}.{key}");
            if let Some(Value::Integer(number)) = layered.value(&key)
                && !(least..=greatest).contains(number)
            {
                faults.push(layered.fault(&key, &format!("must lie between {least} and {greatest}")));
            }
        }
        for (key, wrong) in TEXTS {
            let key = format!("{SECTION}.{name}.{key}");
            if let Some(Value::String(text)) = layered.value(&key)
                && let Some(what) = wrong(text)
            {
                faults.push(layered.fault(&key, &what));
            }
        }
        let text = |key: &str| layered.value(&format!("{SECTION}.{name}.{key}")).and_then(Value::as_str);
        let signs = text("preset").and_then(|preset| preset.parse().ok()) == Some(Preset::Replicate);
        if !signs && text("webhook_secret_env").is_some_and(|variable| !variable.is_empty()) {
            let key = format!("{SECTION}.{name}.webhook_secret_env");
            faults.push(layered.fault(&key, "is for the preset replicate only: the others sign no webhooks"));
        }
    }
    faults
}

fn preset(text: &str) -> Option<String> {
    let known: Vec<&str> = Preset::iter().map(Into::into).collect();
    text.parse::<Preset>().is_err().then(|| format!("must be one of: {}", known.join(", ")))
}

fn base_url(text: &str) -> Option<String> {
    let ok = reqwest::Url::parse(text)
        .is_ok_and(|url| matches!(url.scheme(), "http" | "https") && url.query().is_none() && url.fragment().is_none());
    (!ok).then(|| "is not an address such as https://api.replicate.com/v1".to_owned())
}

fn model(text: &str) -> Option<String> {
    text.is_empty().then(|| "must name a model".to_owned())
}

fn header(text: &str) -> Option<String> {
    let ok = text.is_empty() || reqwest::header::HeaderName::try_from(text).is_ok();
    (!ok).then(|| "is not the name of a header such as Idempotency-Key".to_owned())
}
