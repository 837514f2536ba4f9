//! The whole service, put together: the only place that knows every concrete type.
//!
//! Start: lock, database, definitions, engine, HTTP. End: no new connections, the engine finishes what is in hand within
//! its limit, the rest goes on at the next start.

mod booking;
pub mod definitions;
pub mod gateways;
pub mod google;
mod listen;
mod lock;
pub mod providers;
mod reconciler;
pub mod redis;
mod retention;

use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use self::lock::Company;
use actix_web::dev::ServerHandle;
use actix_web::web::Data;
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD_NO_PAD;
use tokio::signal::unix::{Signal, SignalKind, signal};
use tokio_util::sync::CancellationToken;
use uuid::Uuid;

use crate::activity::provider::Callbacks;
use crate::activity::{self, Activities, Fetcher, Storage, WorkerPool};
use crate::auth::api_key::Keys;
use crate::config::{self, Backend, Config};
use crate::domain::rail;
use crate::domain::workflow::Activity;
use crate::gateway::sandbox;
use crate::gateway::webhook::WEBHOOK_PATH;
use crate::http::limit::Limits;
use crate::http::limit::shared::Shared;
use crate::http::{self, Arrivals, Browsers, Caller, Connections};
use crate::runtime::activity::LaneOptions;
use crate::runtime::clock::{Clock, SystemClock};
use crate::runtime::engine::{self, Engine, Parts};
use crate::runtime::journal::committer::Committer;
use crate::runtime::journal::{self, Journal};
use crate::runtime::lease;
use crate::runtime::mailbox::{self, Mailbox, Memory};
use crate::runtime::partition;
use crate::runtime::redis::Redis;
use crate::runtime::retry::Policy;
use crate::runtime::room::{RedisPermits, Terms};
use crate::runtime::watch::RedisWire;
use crate::store::tasks::Tasks;
use crate::store::{self, Database, settings, tables};

/// Waiting activities of the lane `media` that each partition takes in hand beside those that run.
const MEDIA_AHEAD: usize = 4;
/// The setting that holds the secret that links are signed with.
const LINK_SECRET: &str = "link_secret";
/// Calls to the gateway of payments at once.
const GATEWAY_CALLS_MAX: usize = 16;

/// The service could not start.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// Another server has the database.
    #[error(transparent)]
    Lock(#[from] lock::Error),
    /// The journal could not be opened.
    #[error("the journal of {url} could not be opened")]
    Journal {
        /// The database without its password.
        url: String,
        /// Why.
        #[source]
        source: journal::Error,
    },
    /// The product's tables could not be used.
    #[error("the database could not be used")]
    Store(#[from] store::Error),
    /// A workflow definition is wrong.
    #[error("the workflow definitions could not be loaded")]
    Definitions(#[from] definitions::Error),
    /// The providers of models cannot be used.
    #[error(transparent)]
    Providers(#[from] providers::Error),
    /// Signing in with Google cannot be set up.
    #[error(transparent)]
    Google(#[from] crate::auth::google::Unusable),
    /// The storage for files could not be opened.
    #[error("the storage {url} could not be opened")]
    Storage {
        /// Its address.
        url: String,
        /// Why.
        #[source]
        source: Box<activity::storage::Error>,
    },
    /// The currency that credits are sold in is none.
    #[error("`payments.currency` cannot be used")]
    Currency(#[from] crate::domain::money::MalformedCurrency),
    /// Links could not be followed.
    #[error("TLS could not be set up")]
    Tls(#[source] reqwest::Error),
    /// Something of the machine could not be used.
    #[error("{what} could not be used")]
    Machine {
        /// What.
        what: String,
        /// Why.
        #[source]
        source: std::io::Error,
    },
    /// Whoever asks nobody may not be reached by everybody.
    #[error("a server that asks nobody who they are listens on 127.0.0.1 alone, not on {0}")]
    Exposed(SocketAddr),
    /// The engine could not start.
    #[error("the engine could not start")]
    Engine(#[from] engine::Error),
    /// The address of Redis cannot be used.
    #[error("`redis.url` {0}")]
    RedisUrl(#[source] crate::runtime::redis::AddressFault),
    /// Redis could not be asked.
    #[error("Redis could not be used")]
    Redis(#[source] crate::runtime::redis::Error),
    /// Redis may not be trusted with mailboxes.
    #[error(transparent)]
    Unfit(crate::runtime::redis::Unfit),
    /// The secret for links is damaged.
    #[error(
        "the setting `{LINK_SECRET}` in the database is damaged: remove it, and links given out so far stop working"
    )]
    LinkSecret,
}

impl Error {
    /// Whether the database could not be reached: it may be a matter of starting it.
    #[must_use]
    pub const fn is_unreachable(&self) -> bool {
        matches!(self, Self::Lock(lock::Error::Unknown { .. }) | Self::Journal { source: journal::Error::Open(_), .. })
    }
}

fn machine(what: impl Into<String>) -> impl FnOnce(std::io::Error) -> Error {
    let what = what.into();
    move |source| Error::Machine { what, source }
}

/// A running service.
pub struct App {
    base_url: String,
    engine: Engine,
    server: ServerHandle,
    drain: Duration,
    stop: CancellationToken,
    lock: lock::Lock,
}

impl App {
    /// Starts the service and listens.
    ///
    /// # Errors
    /// [`Error`]; nothing is left running.
    pub async fn start(config: Config) -> Result<Self, Error> {
        Self::start_for(config, None).await
    }

    /// Starts a service that asks nobody who they are, limits and traces nothing: for measuring what that costs. It listens
    /// to this machine alone.
    ///
    /// # Errors
    /// [`Error`]; nothing is left running.
    pub async fn start_unguarded(config: Config) -> Result<Self, Error> {
        if !config.server.bind.ip().is_loopback() {
            return Err(Error::Exposed(config.server.bind));
        }
        Self::start_for(config, Some(Caller::anybody())).await
    }

    async fn start_for(config: Config, unguarded: Option<Caller>) -> Result<Self, Error> {
        let company = company(&config);
        let lock = lock::Lock::take(&config.database, company).await?;
        let clock = SystemClock;
        let journal = open_journal(&config).await?;
        let database = Database::open(config.database.address()).await?;
        let library = definitions::library(&config.workflows.directory, &database, clock.now()).await?;
        let storage = Storage::open(&config.storage.url)
            .map_err(|source| Error::Storage { url: config.storage.url.clone(), source: Box::new(source) })?;
        let fetcher = Fetcher::new(config.fetch.allow_hosts.clone()).map_err(Error::Tls)?;
        // Before the engine: work that an engine began and cannot go on with would look like a crash.
        let link_secret = link_secret(&database).await?;
        let redis = redis::open(&config, &database, clock).await?;
        let listener = std::net::TcpListener::bind(config.server.bind)
            .map_err(machine(format!("the address {}", config.server.bind)))?;
        let bound = listener.local_addr().map_err(machine("the address listened on"))?;
        let callbacks = Callbacks::new(config.server.public_url(bound), link_secret);
        let providers = providers::open(&config.providers, |name| std::env::var(name).ok(), callbacks)?;
        let activities = open_activities(&config, storage.clone(), fetcher.clone())?;
        let public_url = config.server.public_url(bound);
        let rail = gateways::open(&config, database.clone(), public_url.clone(), link_secret, Arc::new(clock))?;
        let activities = activities.with_providers(providers.clone()).with_gateway(rail.gateway.clone());
        let selling = gateways::selling(&config)?;
        let committer = Committer::spawn(&journal).map_err(machine("a thread for the committer"))?;
        let engine = Engine::start(Parts {
            kinds: tables::kinds(&library),
            journal: journal.clone(),
            committer,
            mailbox: open_mailbox(&config, redis.clone(), clock),
            activities: Arc::new(activities),
            lanes: lanes(&config),
            clock: Arc::new(clock),
            leases: (company == Company::Nodes).then(|| leases(&config)),
            inflight: Some(parent_made(&config.engine.inflight_file)?),
            limits: partition_limits(&config),
            partitions: config.engine.partitions,
            wire: redis.clone().map(|redis| Arc::new(RedisWire::new(redis)) as _),
            permits: redis.clone().map(|redis| Arc::new(RedisPermits::new(redis, Terms::default())) as _),
        })
        .await?;
        let google = google::open(&config, &config.server.public_url(bound), &database)?;
        let state = Data::new(http::State {
            engine: engine.clone(),
            library,
            providers,
            storage: storage.clone(),
            fetcher,
            keys: Keys::new(database.clone()),
            unguarded,
            limits: Limits::new(config.limits, config.server.proxies, redis.clone().map(Shared::start)),
            browsers: Arc::new(Browsers::new(config.browsers.clone(), &public_url)),
            arrivals: arrivals(&config.server),
            connections: Connections::default(),
            google,
            tasks: Tasks::start(journal),
            selling,
            gateway: rail.gateway,
            sandbox: rail.sandbox.clone(),
            webhooks: rail.webhooks,
            catalogue: rail.catalogue.clone(),
            templates: rail.templates,
            link_secret,
            database: database.clone(),
            clock: Arc::new(clock),
            fresh: Uuid::now_v7,
            link_ms: i64::try_from(config.files.url_expiry_seconds.saturating_mul(1_000)).unwrap_or(i64::MAX),
            public_url,
            redis,
            figures: Default::default(),
            streams: Default::default(),
        });
        let server = listen::listen(&config.server, state.clone(), listener)?;
        let stop = CancellationToken::new();
        let period = Duration::from_secs(config.payments.reconcile_seconds);
        actix::spawn(reconciler::run(state, period, stop.clone()));
        actix::spawn(rail.catalogue.run(stop.clone()));
        if let Some(sandbox) = rail.sandbox {
            let url = format!("{}{WEBHOOK_PATH}", local_url(bound));
            sandbox::sender::spawn(sandbox, url, stop.clone()).map_err(Error::Tls)?;
        }
        let booked = database.clone();
        let kept =
            retention::Kept { history_days: config.journal.retention_days, audit_days: config.audit.retention_days };
        actix::spawn(retention::run(engine.clone(), storage, database, clock, kept, stop.clone()));
        actix::spawn(booking::run(engine.clone(), booked, stop.clone()));
        let drain = Duration::from_secs(config.server.drain_seconds);
        tracing::info!(address = %bound, database = config.database.shown(), "serving");
        Ok(Self { base_url: local_url(bound), engine, server, drain, stop, lock })
    }

    /// Where this machine reaches the service.
    #[must_use]
    pub fn base_url(&self) -> &str {
        &self.base_url
    }

    /// Serves until it is told to end, then drains.
    ///
    /// # Errors
    /// When another server took the database over.
    pub async fn serve_until(self, mut end: EndSignals) -> Result<(), Error> {
        let ended = tokio::select! {
            () = end.received() => Ok(()),
            taken = self.lock.lost() => Err(taken.into()),
        };
        self.drain().await;
        ended
    }

    /// Ends the service within its limit; nothing accepted is lost.
    pub async fn drain(self) {
        tracing::info!(limit_s = self.drain.as_secs(), "draining");
        self.stop.cancel();
        // Calls that wait for an outcome need the engine to answer them, so both end side by side.
        let (in_time, ()) = tokio::join!(self.engine.drain(self.drain), self.server.stop(true));
        tracing::info!(in_time, "ended");
    }
}

/// SIGTERM and SIGINT. From when it is made, they are kept for whoever waits, and end nothing by themselves: it is made
/// before the service starts, so that there is no moment in which the process would just die.
#[derive(Debug)]
pub struct EndSignals {
    terminate: Signal,
    interrupt: Signal,
}

impl EndSignals {
    /// Takes the two signals over.
    ///
    /// # Errors
    /// When the system does not allow it.
    pub fn expect() -> Result<Self, Error> {
        Ok(Self {
            terminate: signal(SignalKind::terminate()).map_err(machine("SIGTERM"))?,
            interrupt: signal(SignalKind::interrupt()).map_err(machine("SIGINT"))?,
        })
    }

    async fn received(&mut self) {
        tokio::select! {
            _ = self.terminate.recv() => {}
            _ = self.interrupt.recv() => {}
        }
    }
}

fn local_url(bound: SocketAddr) -> String {
    let ip = if bound.ip().is_unspecified() { std::net::Ipv4Addr::LOCALHOST.into() } else { bound.ip() };
    format!("http://{}", SocketAddr::new(ip, bound.port()))
}

async fn open_journal(config: &Config) -> Result<Journal, Error> {
    let mut options = journal::Options::new(config.database.address());
    options.attempt_limit = Duration::from_secs(config.database.attempt_seconds);
    options.patience = Policy { give_up_after_ms: config.database.patience_seconds * 1_000, ..options.patience };
    let failed = |source| Error::Journal { url: config.database.shown(), source };
    Journal::open(&options, tables::ALL, config.engine.partitions).await.map_err(failed)
}

fn open_activities(config: &Config, storage: Storage, fetcher: Fetcher) -> Result<Activities, Error> {
    let mega = 1_048_576;
    let limits = activity::worker::Limits {
        memory_bytes: config.worker.memory_mb * mega,
        cpu_s: config.worker.cpu_seconds,
        file_bytes: config.worker.file_mb * mega,
        ..activity::worker::Limits::default()
    };
    let executable = std::env::current_exe().map_err(machine("the path of this program"))?;
    let workers = WorkerPool::new(executable, limits, config.lanes.media());
    let scratch = &config.worker.scratch;
    Activities::open(storage, fetcher, workers, scratch)
        .map_err(machine(format!("the directory {} of the workers", scratch.display())))
}

fn open_mailbox(config: &Config, redis: Option<Redis>, clock: SystemClock) -> Arc<dyn Mailbox> {
    let (partitions, clock) = (config.engine.partitions, Arc::new(clock));
    match redis {
        None => Arc::new(Memory::new(partitions, clock)),
        Some(redis) => Arc::new(mailbox::Redis::new(redis, partitions, clock)),
    }
}

/// Who else may serve the database: with a mailbox that all nodes reach, any number of them. An SQLite file has one server.
fn company(config: &Config) -> Company {
    if config.mailbox.backend == Backend::Memory || config.database.address().starts_with("sqlite:") {
        Company::Alone
    } else {
        Company::Nodes
    }
}

fn leases(config: &Config) -> lease::Options {
    let lease_ms = i64::try_from(config.engine.lease_seconds.saturating_mul(1_000)).unwrap_or(i64::MAX);
    let url = config.database.address().to_owned();
    lease::Options { url, node: Uuid::new_v4(), limits: lease::Limits::of_lease(lease_ms) }
}

fn lanes(config: &Config) -> Vec<LaneOptions> {
    let (media, local, provider) = (config.lanes.media(), config.lanes.local, config.lanes.provider);
    vec![
        LaneOptions { name: Activity::Render.lane().into(), concurrency: media, ahead: media + MEDIA_AHEAD },
        LaneOptions { name: Activity::Noop.lane().into(), concurrency: local, ahead: local },
        LaneOptions { name: Activity::Provider.lane().into(), concurrency: provider, ahead: provider },
        LaneOptions { name: rail::LANE.into(), concurrency: GATEWAY_CALLS_MAX, ahead: 2 * GATEWAY_CALLS_MAX },
    ]
}

fn arrivals(server: &config::Server) -> Arrivals {
    let seconds = Duration::from_secs;
    Arrivals::new(seconds(server.body_seconds), seconds(server.stall_seconds), server.body_memory_mb << 20)
}

fn partition_limits(config: &Config) -> partition::Limits {
    partition::Limits {
        cached: config.engine.cached_actors,
        tries: config.engine.tries,
        deaths: config.engine.deaths,
        sweep_ms: i64::try_from(config.engine.sweep_seconds.saturating_mul(1_000)).unwrap_or(i64::MAX),
        ..partition::Limits::default()
    }
}

fn parent_made(path: &Path) -> Result<PathBuf, Error> {
    if let Some(parent) = path.parent() {
        std::fs::create_dir_all(parent).map_err(machine(format!("the directory {}", parent.display())))?;
    }
    Ok(path.to_owned())
}

/// The secret that links are signed with: drawn at the first start, the same on every node of the database.
async fn link_secret(database: &Database) -> Result<[u8; 32], Error> {
    let drawn: [u8; 32] = rand::random();
    let kept = settings::decide(database, LINK_SECRET, &STANDARD_NO_PAD.encode(drawn)).await?;
    let secret = STANDARD_NO_PAD.decode(kept).map_err(|_| Error::LinkSecret)?;
    secret.try_into().map_err(|_| Error::LinkSecret)
}
