//! What a value must be beyond its type.

use std::net::SocketAddr;

use toml::Value;
use tracing_subscriber::EnvFilter;

use super::layers::Layered;
use crate::activity::fetch::AllowedHost;
use crate::activity::storage::{Place, PlaceFault};
use crate::runtime::redis::{Address, AddressFault};

/// Whole numbers and the least and the greatest that each may be.
const RANGES: [(&str, i64, i64); 18] = [
    ("server.workers", 0, 256),
    ("server.drain_seconds", 0, 3_600),
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
    ("journal.retention_days", 1, 36_500),
];

/// A key, and what is wrong with its text, if anything.
type TextCheck = (&'static str, fn(&str) -> Option<&'static str>);

const TEXTS: [TextCheck; 10] = [
    ("server.bind", bind),
    ("server.public_url", public_url),
    ("database.url", database_url),
    ("mailbox.backend", backend),
    ("redis.url", redis_url),
    ("storage.url", storage_url),
    ("engine.inflight_file", not_empty),
    ("worker.scratch", not_empty),
    ("log.format", log_format),
    ("log.level", log_level),
];

/// A sentence for every value that cannot be used.
pub(super) fn values(layered: &Layered) -> Vec<String> {
    let mut faults = Vec::new();
    for (key, least, greatest) in RANGES {
        if let Some(Value::Integer(number)) = layered.value(key)
            && !(least..=greatest).contains(number)
        {
            faults.push(layered.fault(key, &format!("must lie between {least} and {greatest}")));
        }
    }
    for (key, wrong) in TEXTS {
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
    faults
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
