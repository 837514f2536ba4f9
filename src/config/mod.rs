//! The configuration: built-in defaults, then a file, then the environment, then flags.
//!
//! The defaults are the file `config.toml` of the repository, built in. All faults of all sources are found at once
//! and each is a sentence that names the key and where its value came from.

mod check;
mod layers;
mod providers;
#[cfg(test)]
mod tests;

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::num::NonZeroUsize;
use std::path::{Path, PathBuf};

use secrecy::{ExposeSecret, SecretString};
use serde::Deserialize;

pub use layers::{Faults, Flag, Sources};
pub use providers::Provider;

use crate::activity::fetch::AllowedHost;
use crate::gateway::sandbox::Fault;
use crate::http::browsers;
use crate::http::limit::Rates;

/// The defaults, as shipped.
pub const DEFAULTS: &str = include_str!("../../config.toml");
/// The file that is read when none is named, if it exists.
pub const DEFAULT_FILE: &str = "config.toml";

/// Everything that can be configured.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Config {
    /// Serving HTTP.
    pub server: Server,
    /// What browsers may do with answers.
    pub browsers: browsers::Settings,
    /// How much each may call.
    pub limits: Rates,
    /// The database.
    pub database: Database,
    /// How messages travel.
    pub mailbox: Mailbox,
    /// The Redis of production.
    pub redis: Redis,
    /// Where files are kept.
    pub storage: Storage,
    /// Links to files.
    pub files: Files,
    /// Following links.
    pub fetch: Fetch,
    /// Workflow definitions.
    pub workflows: Workflows,
    /// The engine's limits.
    pub engine: Engine,
    /// How many steps run at once.
    pub lanes: Lanes,
    /// What one job of a worker may use.
    pub worker: Worker,
    /// Providers of models, by name.
    #[serde(default)]
    pub providers: BTreeMap<String, Provider>,
    /// Selling.
    pub payments: Payments,
    /// Stripe.
    pub stripe: Stripe,
    /// Who may call.
    pub auth: Auth,
    /// What operators did.
    pub audit: Audit,
    /// The history.
    pub journal: Journal,
    /// Logging.
    pub log: Log,
}

/// `[server]`.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Server {
    /// Address and port to listen on; port 0 takes a free one.
    pub bind: SocketAddr,
    /// How clients reach the service; empty means the address it listens on. See [`Server::public_url`].
    pub public_url: String,
    /// Threads that answer HTTP; 0 means half of the cores. See [`Server::threads`].
    pub workers: usize,
    /// How long what is in hand may take to finish after SIGTERM, in seconds.
    pub drain_seconds: u64,
    /// Proxies that stand before the server.
    pub proxies: usize,
    /// Connections at once.
    pub connections: usize,
    /// How long a request's head may take to arrive, in seconds.
    pub head_seconds: u64,
    /// How long a body may take to arrive, in seconds.
    pub body_seconds: u64,
    /// After how long a client that neither sends nor takes what is due is cut off, in seconds.
    pub stall_seconds: u64,
    /// How long a connection may be silent between two requests, in seconds.
    pub keep_alive_seconds: u64,
    /// Memory for bodies, in MB of 1,048,576 bytes.
    pub body_memory_mb: usize,
}

/// `[database]`.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Database {
    /// The database's address, which may hold a password.
    pub url: SecretString,
    /// How long one attempt at a commit may take, in seconds.
    pub attempt_seconds: u64,
    /// How long a commit is tried again while the database is away, in seconds.
    pub patience_seconds: u64,
}

/// `[mailbox]`.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Mailbox {
    /// Which kind of mailbox.
    pub backend: Backend,
}

/// How messages travel between actors.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Backend {
    /// In this process's memory.
    Memory,
    /// In Redis.
    Redis,
}

/// `[redis]`.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Redis {
    /// Its address, which may hold a password.
    pub url: SecretString,
    /// Whether one that may drop keys is accepted.
    pub allow_eviction: bool,
    /// Whether one that keeps nothing on disk is accepted.
    pub allow_no_persistence: bool,
}

impl Redis {
    /// The address with its password. Never to be logged.
    #[must_use]
    pub fn address(&self) -> &str {
        self.url.expose_secret()
    }
}

/// `[storage]`.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Storage {
    /// The storage's address.
    pub url: String,
}

/// `[files]`.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Files {
    /// How long a link to a result works, in seconds.
    pub url_expiry_seconds: u64,
}

/// `[fetch]`.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Fetch {
    /// Hosts that links may lead to wherever they are.
    pub allow_hosts: Vec<AllowedHost>,
}

/// `[workflows]`.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Workflows {
    /// Definitions beside the bundled ones.
    pub directory: PathBuf,
}

/// `[engine]`.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Engine {
    /// Parts that the actors are divided into.
    pub partitions: u32,
    /// Actors that each partition keeps in memory.
    pub cached_actors: usize,
    /// Tries of a message before it is set aside.
    pub tries: u32,
    /// Ends of the process as the only suspect before a message is set aside.
    pub deaths: u32,
    /// Time between two sweeps of the outbox, in seconds.
    pub sweep_seconds: u64,
    /// How long a node's partitions stay its own after it was last heard of, in seconds.
    pub lease_seconds: u64,
    /// The file that notes the messages in hand.
    pub inflight_file: PathBuf,
}

/// `[lanes]`.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Lanes {
    /// Steps that decode or encode at once; 0 means one per core. See [`Lanes::media`].
    media: usize,
    /// Cheap steps at once.
    pub local: usize,
    /// Calls to providers of models at once.
    pub provider: usize,
}

/// `[worker]`.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Worker {
    /// Memory of one job, in MB of 1,048,576 bytes.
    pub memory_mb: u64,
    /// Processor time of one job, in seconds.
    pub cpu_seconds: u64,
    /// The largest file of one job, in MB of 1,048,576 bytes.
    pub file_mb: u64,
    /// Where jobs keep their files while they run.
    pub scratch: PathBuf,
}

/// `[payments]`.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Payments {
    /// The rail that payments travel on.
    pub gateway: Rail,
    /// The currency that credits are sold in.
    pub currency: String,
    /// What one credit costs, in minor units of the currency.
    pub credit_price: i64,
    /// Who is paid, unless a template names another.
    pub receiver: String,
    /// How often payments are compared with the gateway, in seconds.
    pub reconcile_seconds: u64,
    /// What the sandbox does wrong.
    pub sandbox_faults: Vec<Fault>,
}

/// The rail that payments travel on.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Rail {
    /// It plays one.
    Sandbox,
    /// Stripe.
    Stripe,
}

/// `[stripe]`.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Stripe {
    /// The secret key; empty when there is none.
    pub secret_key: SecretString,
    /// What webhooks are signed with, separated by commas; empty when there is nothing.
    pub webhook_secret: SecretString,
    /// Where the API is.
    pub api_base: String,
    /// How long one call may take, in seconds.
    pub request_seconds: u64,
}

/// `[auth]`.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Auth {
    /// Keys that tokens of people are encrypted with, in base64, the newest first; empty for none.
    pub encryption_key: SecretString,
    /// Signing in with Google.
    pub google: Google,
}

/// `[auth.google]`.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Google {
    /// The client id; empty: nobody can sign in.
    pub client_id: String,
    /// Its secret.
    pub client_secret: SecretString,
    /// Where browsers are sent to sign in.
    pub auth_url: String,
    /// Where codes become tokens.
    pub token_url: String,
    /// Whose a token is.
    pub userinfo_url: String,
    /// Which application a token was given to.
    pub tokeninfo_url: String,
    /// Where tokens are revoked.
    pub revoke_url: String,
    /// The keys that sign ID tokens.
    pub jwks_url: String,
    /// Who signs ID tokens.
    pub issuer: String,
    /// What applications may ask for.
    pub scopes: Vec<String>,
    /// Origins that a sign-in may lead back to.
    pub redirect_origins: Vec<String>,
}

/// `[audit]`.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Audit {
    /// How long it is kept what operators did, in days.
    pub retention_days: u32,
}

/// `[journal]`.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Journal {
    /// How long the history of finished work is kept, in days.
    pub retention_days: u32,
}

/// `[log]`.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Log {
    /// How lines are written.
    pub format: LogFormat,
    /// What is written: a level, or filters.
    pub level: String,
}

/// How lines of the log are written.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum LogFormat {
    /// For people.
    Text,
    /// One object a line.
    Json,
}

impl Config {
    /// Reads `sources` over the defaults.
    ///
    /// # Errors
    /// [`Faults`]: every fault of every source.
    pub fn load(sources: &Sources) -> Result<Self, Faults> {
        let (table, mut faults) = layers::merge(sources);
        faults.extend(check::values(&table));
        faults.extend(providers::faults(&table));
        if !faults.is_empty() {
            return Err(Faults(faults));
        }
        table.into_config().map_err(|fault| Faults(vec![fault]))
    }
}

impl Server {
    /// How clients reach the service when it listens on `bound`, without a slash at the end.
    #[must_use]
    pub fn public_url(&self, bound: SocketAddr) -> String {
        match self.public_url.trim_end_matches('/') {
            "" => format!("http://{bound}"),
            url => url.to_owned(),
        }
    }

    /// Threads that answer HTTP.
    #[must_use]
    pub fn threads(&self) -> usize {
        if self.workers == 0 { (cores() / 2).max(1) } else { self.workers }
    }
}

impl Database {
    /// The address with its password. Never to be logged.
    #[must_use]
    pub fn address(&self) -> &str {
        self.url.expose_secret()
    }

    /// The address as it may be shown.
    #[must_use]
    pub fn shown(&self) -> String {
        without_password(self.address())
    }

    /// The file, when it is SQLite in a file.
    #[must_use]
    pub fn sqlite_file(&self) -> Option<&Path> {
        let rest = self.address().strip_prefix("sqlite:")?;
        let path = rest.strip_prefix("//").unwrap_or(rest).split('?').next()?;
        (!path.is_empty() && path != ":memory:").then(|| Path::new(path))
    }
}

impl Lanes {
    /// Steps that decode or encode at once.
    #[must_use]
    pub fn media(&self) -> usize {
        if self.media == 0 { cores() } else { self.media }
    }
}

fn cores() -> usize {
    std::thread::available_parallelism().map_or(1, NonZeroUsize::get)
}

/// An address without what stands between its scheme and the last `@`.
fn without_password(url: &str) -> String {
    match (url.split_once("://"), url.rsplit_once('@')) {
        (Some((scheme, _)), Some((_, rest))) => format!("{scheme}://...@{rest}"),
        _ => url.to_owned(),
    }
}
