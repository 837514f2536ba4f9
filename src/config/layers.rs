//! One layer over the other: which value every key has in the end, and where it came from.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;
use std::path::PathBuf;

use toml::{Table, Value};

use super::{Config, DEFAULT_FILE, DEFAULTS, providers, without_password};

/// What names of environment variables begin with.
const PREFIX: &str = "MIXVIDEO__";

/// Keys whose values are never shown.
const SECRET: &[&str] = &[
    "database.url",
    "redis.url",
    "stripe.secret_key",
    "stripe.webhook_secret",
    "auth.encryption_key",
    "auth.google.client_secret",
];

/// Where values come from, weakest first.
#[derive(Clone, Debug, Default)]
pub struct Sources {
    /// The file; [`Sources::here`] finds the default one.
    pub file: Option<PathBuf>,
    /// The environment.
    pub environment: Vec<(String, String)>,
    /// Flags of the command line.
    pub flags: Vec<Flag>,
}

/// A flag that sets a key.
#[derive(Clone, Debug)]
pub struct Flag {
    /// The flag as it was typed, such as `--bind`.
    pub name: &'static str,
    /// The key, such as `server.bind`.
    pub key: &'static str,
    /// The value.
    pub value: String,
}

impl Sources {
    /// The file named, or `config.toml` when it exists; this process's environment; `flags`.
    #[must_use]
    pub fn here(file: Option<PathBuf>, flags: Vec<Flag>) -> Self {
        let default = PathBuf::from(DEFAULT_FILE);
        let file = file.or_else(|| default.exists().then_some(default));
        let text = |text: std::ffi::OsString| text.to_string_lossy().into_owned();
        let environment = std::env::vars_os().map(|(name, value)| (text(name), text(value))).collect();
        Self { file, environment, flags }
    }
}

/// Everything that is wrong with the configuration, a sentence each.
#[derive(Debug, PartialEq, Eq, thiserror::Error)]
pub struct Faults(pub Vec<String>);

impl fmt::Display for Faults {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "the configuration cannot be used:")?;
        self.0.iter().try_for_each(|fault| write!(f, "\n  - {fault}"))
    }
}

/// Every key with its value and where it came from.
pub(super) struct Layered(BTreeMap<String, (Value, String)>);

impl Layered {
    /// The value of `key`.
    pub(super) fn value(&self, key: &str) -> Option<&Value> {
        self.0.get(key).map(|(value, _)| value)
    }

    /// A fault of the value of `key`; `what` completes the sentence.
    pub(super) fn fault(&self, key: &str, what: &str) -> String {
        let Some((value, source)) = self.0.get(key) else { return format!("`{key}` {what}") };
        format!("`{key}`{} from {source} {what}", shown(key, value))
    }

    /// The typed configuration.
    pub(super) fn into_config(self) -> Result<Config, String> {
        let mut table = Table::new();
        for (key, (value, _)) in self.0 {
            let mut names: Vec<&str> = key.split('.').collect();
            let last = names.pop().unwrap_or_default();
            let mut section = &mut table;
            for name in names {
                let inner = section.entry(name.to_owned()).or_insert_with(|| Value::Table(Table::new()));
                let Value::Table(inner) = inner else { return Err(format!("`{key}` lies in what is no section")) };
                section = inner;
            }
            section.insert(last.to_owned(), value);
        }
        Value::Table(table).try_into().map_err(|error: toml::de::Error| error.message().to_owned())
    }

    /// The names of the providers.
    pub(super) fn providers(&self) -> BTreeSet<&str> {
        self.0.keys().filter_map(|key| providers::name_of(key)).collect()
    }

    /// A provider comes to be, with all its keys, when a source first names it.
    fn know_provider(&mut self, name: &str) {
        if !name.is_empty() && !self.providers().contains(name) {
            let defaults: Table = providers::DEFAULTS.parse().expect("the built-in defaults are read by a test");
            let keys = defaults.into_iter().map(|(key, value)| {
                (format!("{}.{name}.{key}", providers::SECTION), (value, "the defaults".to_owned()))
            });
            self.0.extend(keys);
        }
    }

    fn set(&mut self, key: &str, value: Value, source: &str) -> Result<(), String> {
        if let Some(name) = providers::name_of(key) {
            self.know_provider(name);
        }
        let Some((current, place)) = self.0.get_mut(key) else { return Err(self.unknown(key, source)) };
        let Some(value) = as_kind(current, value.clone()) else {
            let kind = kind(current);
            return Err(format!("`{key}`{} from {source} must be {kind}", shown(key, &value)));
        };
        *current = value;
        source.clone_into(place);
        Ok(())
    }

    fn unknown(&self, key: &str, source: &str) -> String {
        let section = match providers::name_of(key) {
            None => key.split_once('.').map_or(key, |(section, _)| section).to_owned(),
            Some(name) => format!("{}.{name}", providers::SECTION),
        };
        let prefix = format!("{section}.");
        let names: Vec<&str> = self.0.keys().filter_map(|name| name.strip_prefix(&prefix)).collect();
        if names.is_empty() {
            let mut sections: Vec<&str> = self.0.keys().filter_map(|name| Some(name.split_once('.')?.0)).collect();
            sections.dedup();
            return format!("`{key}` from {source} is not known; the sections are {}", sections.join(", "));
        }
        format!("`{key}` from {source} is not known; [{section}] has {}", names.join(", "))
    }
}

/// All sources over the defaults, and the faults of those that could not be applied.
pub(super) fn merge(sources: &Sources) -> (Layered, Vec<String>) {
    let defaults: Table = DEFAULTS.parse().expect("the built-in defaults are read by a test");
    let mut layered =
        Layered(flat(defaults).into_iter().map(|(key, value)| (key, (value, "the defaults".to_owned()))).collect());
    let mut faults = Vec::new();
    let mut apply = |key: &str, value: Value, source: &str| faults.extend(layered.set(key, value, source).err());
    let file = sources.file.as_ref().map(|path| (path, read(path)));
    if let Some((path, Ok(table))) = &file {
        for (key, value) in flat(table.clone()) {
            apply(&key, value, &path.display().to_string());
        }
    }
    for (name, value) in &sources.environment {
        if let Some(key) = name.strip_prefix(PREFIX) {
            let key = key.to_lowercase().replace("__", ".");
            apply(&key, Value::String(value.clone()), &format!("the environment variable {name}"));
        }
    }
    for flag in &sources.flags {
        apply(flag.key, Value::String(flag.value.clone()), &format!("the flag {}", flag.name));
    }
    if let Some((_, Err(fault))) = file {
        faults.insert(0, fault);
    }
    (layered, faults)
}

fn read(path: &std::path::Path) -> Result<Table, String> {
    let name = path.display();
    let text = std::fs::read_to_string(path).map_err(|error| format!("the file {name} cannot be read: {error}"))?;
    text.parse().map_err(|error: toml::de::Error| {
        let line = error.span().map_or(1, |span| text[..span.start].lines().count().max(1));
        format!("the file {name} is not TOML at line {line}: {}", error.message())
    })
}

/// `[section] key = value` as `section.key`, however deep.
fn flat(table: Table) -> Vec<(String, Value)> {
    let pairs = table.into_iter().flat_map(|(section, value)| match value {
        Value::Table(keys) => {
            flat(keys).into_iter().map(|(name, value)| (format!("{section}.{name}"), value)).collect::<Vec<_>>()
        }
        value => vec![(section, value)],
    });
    pairs.collect()
}

/// `value` as the kind that `like` is; texts are read, because the environment and flags know nothing else.
fn as_kind(like: &Value, value: Value) -> Option<Value> {
    match (like, value) {
        (Value::String(_), Value::String(text)) => Some(Value::String(text)),
        (Value::Integer(_), Value::Integer(number)) => Some(Value::Integer(number)),
        (Value::Integer(_), Value::String(text)) => text.trim().parse().ok().map(Value::Integer),
        (Value::Boolean(_), Value::Boolean(flag)) => Some(Value::Boolean(flag)),
        (Value::Boolean(_), Value::String(text)) => text.trim().parse().ok().map(Value::Boolean),
        (Value::Array(_), Value::Array(list)) if list.iter().all(Value::is_str) => Some(Value::Array(list)),
        (Value::Array(_), Value::String(text)) => {
            let texts = text.split(',').map(str::trim).filter(|text| !text.is_empty());
            Some(Value::Array(texts.map(Into::into).collect()))
        }
        _ => None,
    }
}

fn kind(value: &Value) -> &'static str {
    match value {
        Value::Integer(_) => "a whole number",
        Value::Boolean(_) => "true or false",
        Value::Array(_) => "a list of texts",
        _ => "a text",
    }
}

/// ` = value`, without passwords, unless all of it is a secret.
fn shown(key: &str, value: &Value) -> String {
    match value {
        _ if SECRET.contains(&key) => String::new(),
        Value::String(text) => format!(" = {}", Value::String(without_password(text))),
        value => format!(" = {value}"),
    }
}
