//! What a value must be beyond its type.

use std::net::SocketAddr;

use strum::VariantNames as _;
use toml::Value;
use tracing_subscriber::EnvFilter;

use super::layers::Layered;
use crate::activity::fetch::AllowedHost;
use crate::activity::storage::{Place, PlaceFault};
use crate::auth::seal::Seal;
use crate::gateway::sandbox::Fault;
use crate::http::limit::bucket;
use crate::runtime::redis::{Address, AddressFault};

/// The highest number of calls a minute.
const CALLS_MAX: i64 = bucket::CALLS_MAX as i64;

/// Whole numbers and the least and the greatest that each may be.
const RANGES: &[(&str, i64, i64)] = &[
    ("server.workers", 0, 256),
    ("server.drain_seconds", 0, 3_600),
    ("server.proxies", 0, 16),
    ("server.connections", 1, 1_000_000),
    ("server.head_seconds", 1, 600),
    ("server.body_seconds", 1, 3_600),
    ("server.stall_seconds", 1, 600),
    ("server.keep_alive_seconds", 1, 3_600),
    ("server.body_memory_mb", 16, 1_048_576),
    ("browsers.https_seconds", 0, 315_360_000),
    ("limits.key.reading", 1, CALLS_MAX),
    ("limits.key.creating", 1, CALLS_MAX),
    ("limits.key.money", 1, CALLS_MAX),
    ("limits.key.unfinished_tasks", 0, 1_000_000_000),
    ("limits.user.reading", 1, CALLS_MAX),
    ("limits.user.creating", 1, CALLS_MAX),
    ("limits.user.money", 1, CALLS_MAX),
    ("limits.user.unfinished_tasks", 0, 1_000_000_000),
    ("limits.address.open", 1, CALLS_MAX),
    ("limits.address.sign_in", 1, CALLS_MAX),
    ("limits.address.webhook", 1, CALLS_MAX),
    ("limits.address.failed", 1, CALLS_MAX),
    ("database.attempt_seconds", 1, 600),
    ("database.patience_seconds", 1, 3_600),
    ("files.url_expiry_seconds", 60, 31_536_000),
    ("engine.partitions", 1, 1_024),
    ("engine.cached_actors", 1, 1_000_000),
    ("engine.tries", 1, 100),
    ("engine.deaths", 1, 100),
    ("engine.sweep_seconds", 1, 3_600),
    ("engine.lease_seconds", 2, 600),
    ("lanes.media", 0, 1_024),
    ("lanes.local", 1, 65_536),
    ("lanes.provider", 1, 65_536),
    ("worker.memory_mb", 64, 1_048_576),
    ("worker.cpu_seconds", 1, 86_400),
    ("worker.file_mb", 1, 1_048_576),
    ("payments.credit_price", 1, 1_000_000_000),
    ("payments.reconcile_seconds", 1, 86_400),
    ("stripe.request_seconds", 1, 600),
    ("audit.retention_days", 1, 36_500),
    ("journal.retention_days", 1, 36_500),
];

/// A key, and what is wrong with its text, if anything.
type TextCheck = (&'static str, fn(&str) -> Option<&'static str>);

/// Lists of origins.
const ORIGINS: [&str; 3] = ["auth.google.redirect_origins", "browsers.origins", "browsers.frame_ancestors"];

const TEXTS: &[TextCheck] = &[
    ("server.bind", bind),
    ("server.public_url", public_url),
    ("database.url", database_url),
    ("mailbox.backend", backend),
    ("redis.url", redis_url),
    ("storage.url", storage_url),
    ("engine.inflight_file", not_empty),
    ("worker.scratch", not_empty),
    ("payments.gateway", rail),
    ("payments.currency", currency),
    ("payments.receiver", not_blank),
    ("stripe.api_base", api_base),
    ("auth.encryption_key", encryption_key),
    ("auth.google.auth_url", endpoint),
    ("auth.google.token_url", endpoint),
    ("auth.google.userinfo_url", endpoint),
    ("auth.google.tokeninfo_url", endpoint),
    ("auth.google.revoke_url", endpoint),
    ("auth.google.jwks_url", endpoint),
    ("auth.google.issuer", endpoint),
    ("log.format", log_format),
    ("log.level", log_level),
];

/// A sentence for every value that cannot be used.
pub(super) fn values(layered: &Layered) -> Vec<String> {
    let mut faults = Vec::new();
    for &(key, least, greatest) in RANGES {
        if let Some(Value::Integer(number)) = layered.value(key)
            && !(least..=greatest).contains(number)
        {
            faults.push(layered.fault(key, &format!("must lie between {least} and {greatest}")));
        }
    }
    for &(key, wrong) in TEXTS {
        if let Some(Value::String(text)) = layered.value(key)
            && let Some(what) = wrong(text)
        {
            faults.push(layered.fault(key, what));
        }
    }
    if let Some(Value::Array(hosts)) = layered.value("fetch.allow_hosts") {
        let wrong = hosts.iter().filter_map(|host| host.as_str()?.parse::<AllowedHost>().err());
        faults.extend(wrong.map(|what| layered.fault("fetch.allow_hosts", &format!("cannot be used: {what}"))));
    }
    if let Some(Value::Array(names)) = layered.value("payments.sandbox_faults")
        && names.iter().any(|name| name.as_str().is_none_or(|name| name.parse::<Fault>().is_err()))
    {
        let what = format!("may hold {}", Fault::VARIANTS.join(", "));
        faults.push(layered.fault("payments.sandbox_faults", &what));
    }
    let text = |key: &str| layered.value(key).and_then(Value::as_str).unwrap_or_default();
    if text("payments.gateway") == "stripe" {
        for key in ["stripe.secret_key", "stripe.webhook_secret"] {
            if text(key).trim().is_empty() {
                faults.push(layered.fault(key, "must be set, because `payments.gateway` is stripe"));
            }
        }
    }
    for key in ORIGINS {
        let Some(Value::Array(origins)) = layered.value(key) else { continue };
        let wrong = origins.iter().filter_map(Value::as_str).filter(|text| !is_origin(text));
        let what = |text| format!("holds {text}, which is no origin such as https://app.example.com");
        faults.extend(wrong.map(|text| layered.fault(key, &what(text))));
    }
    faults
}

fn encryption_key(text: &str) -> Option<&'static str> {
    let ok = text.is_empty() || Seal::parse(text).is_ok();
    (!ok).then_some("must be 32 random bytes in base64, as `openssl rand -base64 32` prints them; up to 4, with commas")
}

/// Something over HTTP that is called, or names itself so.
fn endpoint(text: &str) -> Option<&'static str> {
    let ok = reqwest::Url::parse(text).is_ok_and(|url| matches!(url.scheme(), "http" | "https") && url.has_host());
    (!ok).then_some("is not an address such as https://accounts.google.com")
}

fn is_origin(text: &str) -> bool {
    reqwest::Url::parse(text).is_ok_and(|url| {
        matches!(url.scheme(), "http" | "https") && url.origin().ascii_serialization() == text.trim_end_matches('/')
    })
}

fn bind(text: &str) -> Option<&'static str> {
    text.parse::<SocketAddr>().is_err().then_some("is not an address and a port such as 127.0.0.1:8080")
}

fn public_url(text: &str) -> Option<&'static str> {
    let ok = text.is_empty()
        || reqwest::Url::parse(text).is_ok_and(|url| matches!(url.scheme(), "http" | "https") && url.query().is_none());
    (!ok).then_some("is not an address such as https://video.example.com")
}

fn database_url(text: &str) -> Option<&'static str> {
    let known = ["sqlite:", "postgres://", "postgresql://"].iter().any(|scheme| text.starts_with(scheme));
    (!known).then_some("must begin with sqlite:// or postgres://")
}

fn backend(text: &str) -> Option<&'static str> {
    (!matches!(text, "memory" | "redis")).then_some("must be memory or redis")
}

fn redis_url(text: &str) -> Option<&'static str> {
    Address::parse(text).err().map(|AddressFault(what)| what)
}

fn rail(text: &str) -> Option<&'static str> {
    (!matches!(text, "sandbox" | "stripe")).then_some("must be sandbox or stripe")
}

fn currency(text: &str) -> Option<&'static str> {
    let ok = text.len() == 3 && text.bytes().all(|byte| byte.is_ascii_lowercase());
    (!ok).then_some("must be three lower-case letters, such as usd")
}

fn not_blank(text: &str) -> Option<&'static str> {
    text.trim().is_empty().then_some("must not be blank")
}

fn api_base(text: &str) -> Option<&'static str> {
    let ok = reqwest::Url::parse(text)
        .is_ok_and(|url| matches!(url.scheme(), "http" | "https") && url.query().is_none() && url.fragment().is_none());
    (!ok).then_some("is not an address such as https://api.stripe.com")
}

fn storage_url(text: &str) -> Option<&'static str> {
    Place::parse(text).err().map(|PlaceFault(what)| what)
}

fn not_empty(text: &str) -> Option<&'static str> {
    text.is_empty().then_some("must name a path")
}

fn log_format(text: &str) -> Option<&'static str> {
    (!matches!(text, "text" | "json")).then_some("must be text or json")
}

fn log_level(text: &str) -> Option<&'static str> {
    let ok = !text.is_empty() && EnvFilter::try_new(text).is_ok();
    (!ok).then_some("is not a level such as info, or a list of filters")
}
