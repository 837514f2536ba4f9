//! How the service is doing, in figures and in [`words`].

mod words;

use std::collections::BTreeMap;
use std::time::Duration;

use actix_web::http::StatusCode;
use actix_web::web::{Data, ServiceConfig};
use serde::Serialize;
use tokio::sync::Mutex;
use utoipa::ToSchema;

use super::envelope::Reply;
use super::error::Error;
use super::guard::{get_and_head, resource};
use super::nodes::Nodes;
use super::{State, metrics, openapi};
use crate::domain::Timestamp;
use crate::runtime::engine;
use crate::runtime::journal::LaneDepth;
use crate::runtime::journal::committer::CommitterStats;
use crate::runtime::redis::Standing;
use crate::runtime::room;
use crate::store::{payments, tables};

/// Figures are gathered at most this often, however many ask, in milliseconds.
const GATHERED_MS: i64 = 1_000;
/// Counting every actor reads whole tables: it is done this often, in milliseconds.
const COUNTED_MS: i64 = 15_000;
/// How long a partition may take to answer.
const PATIENCE: Duration = Duration::from_millis(500);
/// What is remembered between two calls.
#[derive(Debug, Default)]
pub struct Figures(Mutex<Remembered>);

#[derive(Debug, Default)]
struct Remembered {
    health: Option<(Timestamp, Health)>,
    actors: Option<(Timestamp, Counts)>,
}

/// Actors by kind and state.
type Counts = BTreeMap<&'static str, BTreeMap<String, u64>>;

/// One lane of messages.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub struct Lane {
    /// Messages and activities that are outstanding.
    pub waiting: u64,
    /// Those of them that wait for an actor to be born.
    pub parked: u64,
    /// Those of them that the mailboxes hold.
    pub in_mailboxes: u64,
    /// How long the oldest that is due has waited, in milliseconds.
    pub oldest_age_ms: Option<i64>,
}

/// What the journal's writer did lately.
#[derive(Clone, Debug, Default, PartialEq, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub struct Commits {
    /// Commits since the start.
    pub commits: u64,
    /// Decisions of actors in them.
    pub units: u64,
    /// Decisions that wait to be written right now.
    pub waiting: usize,
    /// Half of the latest commits held no more.
    pub size_p50: usize,
    /// The largest of the latest commits.
    pub size_max: usize,
    /// Half of the latest commits took no longer, in milliseconds.
    pub latency_ms_p50: f64,
    /// 99 of 100 of the latest commits took no longer, in milliseconds.
    pub latency_ms_p99: f64,
    /// For how long the database has been away, in milliseconds.
    pub unavailable_for_ms: Option<u64>,
}

/// Activities that wait for a permit of their key.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub struct Permits {
    /// How many wait on this node.
    pub waiting: usize,
    /// For how many keys.
    pub keys: usize,
    /// What all nodes together hold, where several share the permits and can be asked.
    pub everywhere: Option<PermitsEverywhere>,
    /// For how long the permits that the nodes share cannot be had, in milliseconds: nothing with a key begins.
    pub unavailable_for_ms: Option<u64>,
}

/// The permits of all nodes.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub struct PermitsEverywhere {
    /// Nodes that were heard of within the last seconds.
    pub nodes: usize,
    /// Activities that hold one.
    pub running: usize,
    /// Activities that wait for one.
    pub waiting: usize,
}

impl Permits {
    fn of(engine: &engine::Health) -> Self {
        let (waiting, keys) = (engine.room.waiting, engine.room.keys_waited_for);
        let sharing = engine.sharing.as_ref();
        let everywhere = sharing.and_then(|sharing| sharing.everywhere).map(|all| PermitsEverywhere {
            nodes: all.nodes,
            running: all.totals.running,
            waiting: all.totals.waiting,
        });
        let away = sharing.and_then(|sharing| sharing.away.as_ref());
        let unavailable_for_ms = away.map(|(away, _)| u64::try_from(away.as_millis()).unwrap_or(u64::MAX));
        Self { waiting, keys, everywhere, unavailable_for_ms }
    }
}

/// The Redis that the mailboxes are in. Its address is for operators, in the log and in `mixvideo doctor`.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub struct Redis {
    /// `single server`, `Sentinel` or `Cluster`.
    pub mode: &'static str,
    /// For how long it has been away, in milliseconds.
    pub away_for_ms: Option<i64>,
    /// Why it is away, as it was said last.
    pub error: Option<String>,
    /// What its masters call themselves since they were started.
    pub run_ids: Vec<String>,
    /// How often it was found restarted or replaced since this node started; each time the mailboxes were filled again.
    pub renewals: u64,
    /// Whether news of other nodes arrive.
    pub hears: bool,
    /// What could not be seen.
    pub warnings: Vec<String>,
}

impl Redis {
    fn of(standing: Standing, now: Timestamp) -> Self {
        Self {
            mode: standing.mode,
            away_for_ms: standing.away.as_ref().map(|away| now.since_ms(away.since).max(0)),
            error: standing.away.map(|away| away.error),
            run_ids: standing.servers.into_iter().map(|server| server.run_id).collect(),
            renewals: standing.renewals,
            hears: standing.hears,
            warnings: standing.warnings,
        }
    }
}

/// What the limits of this node did.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub struct Limited {
    /// Calls that were refused since the start, by class.
    #[schema(value_type = Object)]
    pub refused: BTreeMap<&'static str, u64>,
    /// Tasks that were refused since the start, because their owner has too many that have not ended.
    pub refused_unfinished: u64,
    /// Clients whose bodies did not arrive in time, since the start.
    pub slow_clients_cut: u64,
    /// Connections that are open.
    pub connections: usize,
    /// For how long the limits that the nodes share cannot be had, in milliseconds: each node counts for itself.
    pub unavailable_for_ms: Option<u64>,
}

impl Limited {
    fn of(state: &State) -> Self {
        let away = state.limits.away().map(|(away, _)| u64::try_from(away.as_millis()).unwrap_or(u64::MAX));
        Self {
            refused: state.limits.refused().collect(),
            refused_unfinished: state.limits.unfinished.refused(),
            slow_clients_cut: state.arrivals.cut(),
            connections: state.connections.count(),
            unavailable_for_ms: away,
        }
    }
}

/// How the service is doing.
#[derive(Clone, Debug, PartialEq, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub struct Health {
    /// `ok`, `attention` (it works, and a person should look) or `down`.
    pub status: &'static str,
    /// What an operator needs to know, and what to do.
    pub summary: String,
    /// Actors by kind and state, counted within the last 15 seconds.
    #[schema(value_type = Object)]
    pub actors: Counts,
    /// The lanes that messages wait in.
    pub lanes: BTreeMap<String, Lane>,
    /// How long the oldest message that is due has waited, in milliseconds.
    pub oldest_message_age_ms: Option<i64>,
    /// Messages that were set aside and wait for a person.
    pub quarantined: Option<u64>,
    /// Payments and refunds that a person should look at.
    pub attention: Option<u64>,
    /// Supervisors that were started again since the start.
    pub restarts: u64,
    /// What the journal's writer did lately.
    pub commits: Commits,
    /// The Redis that the mailboxes are in; null when they are in memory.
    pub redis: Option<Redis>,
    /// The nodes, and whose the partitions are.
    pub nodes: Nodes,
    /// Partitions of this node that answer.
    pub partitions: usize,
    /// Partitions of this node that do not.
    pub silent_partitions: Vec<u32>,
    /// Actors in memory.
    pub actors_in_memory: usize,
    /// Messages and activities in hand.
    pub in_hand: usize,
    /// Activities running.
    pub running: usize,
    /// What waits for permits of busy keys. `/metrics` names the keys: they may hold what customers said.
    pub permits: Permits,
    #[serde(skip)]
    pub(super) busiest_keys: Vec<room::KeyStanding>,
    /// Actors that clients watch.
    pub watched: usize,
    /// What the limits did.
    pub limits: Limited,
    /// Whether messages are taken.
    pub open: bool,
    /// Whether the service is ending.
    pub draining: bool,
}

/// Adds the routes.
pub(super) fn routes(config: &mut ServiceConfig) {
    config
        .service(resource("/health", |at| at.route(get_and_head().to(health))))
        .service(resource("/health/live", |at| at.route(get_and_head().to(live))))
        .service(resource("/health/ready", |at| at.route(get_and_head().to(ready))))
        .service(resource("/metrics", |at| at.route(get_and_head().to(metrics::metrics))));
}

/// How the service is doing.
#[utoipa::path(get, path = "/health", tag = "health", security(()),
    responses((status = 200, description = "How it is doing", body = openapi::Success<Health>)))]
pub(super) async fn health(state: Data<State>) -> Result<Reply, Error> {
    let health = gather(&state).await;
    let message = match health.status {
        "ok" => "Service is healthy",
        "down" => "Service is down",
        _ => "Service needs attention",
    };
    Ok(Reply::ok(message, &health)?.no_store())
}

/// The process runs.
#[utoipa::path(get, path = "/health/live", tag = "health", security(()),
    responses((status = 200, description = "It runs", body = openapi::Bare)))]
pub(super) async fn live() -> Reply {
    Reply::of_parts(StatusCode::OK, "Service is alive".to_owned(), None).no_store()
}

/// Requests can be taken.
#[utoipa::path(get, path = "/health/ready", tag = "health", security(()),
    responses((status = 200, description = "They can", body = openapi::Bare),
        (status = 503, description = "They cannot, and why", body = openapi::Failure)))]
pub(super) async fn ready(state: Data<State>) -> Result<Reply, Error> {
    if !state.engine.is_open() {
        return Err(Error::unavailable("the engine is starting or ending", 1));
    }
    if state.engine.committer().stats().unavailable_since.is_some() {
        return Err(Error::unavailable("the database does not take commits", 1));
    }
    state.engine.journal().dead_count().await.map_err(|error| {
        tracing::warn!(error = &error as &dyn std::error::Error, "not ready");
        Error::unavailable("the database does not answer", 1)
    })?;
    Ok(Reply::of_parts(StatusCode::OK, "Service is ready".to_owned(), None).no_store())
}

/// How the service is doing, not older than a second. Who asks meanwhile waits for the same figures.
pub(super) async fn gather(state: &State) -> Health {
    let now = state.now();
    let mut remembered = state.figures.0.lock().await;
    if let Some((at, health)) = &remembered.health
        && (0..GATHERED_MS).contains(&now.since_ms(*at))
    {
        return health.clone();
    }
    let counted = remembered.actors.as_ref().is_some_and(|(at, _)| (0..COUNTED_MS).contains(&now.since_ms(*at)));
    if !counted && let Some(counts) = count(state).await {
        remembered.actors = Some((now, counts));
    }
    let actors = remembered.actors.as_ref().map(|(_, counts)| counts.clone()).unwrap_or_default();
    let journal = state.engine.journal();
    let read = Read {
        lanes: journal.lanes().await.ok(),
        quarantined: journal.dead_count().await.ok(),
        attention: payments::attention_count(&state.database).await.ok(),
    };
    let mut health =
        assemble(actors, read, &state.engine.health(PATIENCE).await, state.engine.committer().stats(), state.now());
    if let Some(redis) = &state.redis {
        health.with_redis(Redis::of(redis.standing(), state.now()));
    }
    health.with_limits(Limited::of(state));
    remembered.health = Some((state.now(), health.clone()));
    health
}

/// Counts every actor; `None` when the database is too slow for that: the last count stays.
async fn count(state: &State) -> Option<Counts> {
    let mut counts = Counts::new();
    for table in tables::ALL {
        counts.insert(table.kind, state.engine.journal().counts(table.kind).await.ok()?);
    }
    Some(counts)
}

/// What was read from the journal, as far as it answered.
struct Read {
    lanes: Option<Vec<LaneDepth>>,
    quarantined: Option<u64>,
    attention: Option<u64>,
}

fn assemble(actors: Counts, read: Read, engine: &engine::Health, stats: CommitterStats, now: Timestamp) -> Health {
    let answers = read.lanes.is_some() && read.quarantined.is_some();
    let mut lanes: BTreeMap<String, Lane> = BTreeMap::new();
    for depth in read.lanes.unwrap_or_default() {
        let oldest_age_ms = depth.oldest_due.map(|due| now.since_ms(due)).filter(|age| *age >= 0);
        let lane = Lane { waiting: depth.waiting, parked: depth.parked, in_mailboxes: 0, oldest_age_ms };
        lanes.insert(depth.lane, lane);
    }
    for (lane, held) in &engine.mailboxes {
        lanes.entry(lane.to_string()).or_default().in_mailboxes = *held as u64;
    }
    let ms = |duration: Duration| duration.as_secs_f64() * 1e3;
    let commits = Commits {
        commits: stats.commits,
        units: stats.units,
        waiting: stats.waiting,
        size_p50: stats.size_p50,
        size_max: stats.size_max,
        latency_ms_p50: ms(stats.latency_p50),
        latency_ms_p99: ms(stats.latency_p99),
        unavailable_for_ms: stats
            .unavailable_since
            .map(|since| u64::try_from(since.elapsed().as_millis()).unwrap_or(u64::MAX)),
    };
    let sum = |figure: fn(&crate::runtime::supervisor::Standing) -> usize| engine.partitions.values().map(figure).sum();
    let mut health = Health {
        status: "ok",
        summary: String::new(),
        actors,
        oldest_message_age_ms: lanes.values().filter_map(|lane| lane.oldest_age_ms).max(),
        lanes,
        quarantined: read.quarantined,
        attention: read.attention,
        restarts: engine.restarts,
        commits,
        nodes: Nodes::of(engine.seen.as_ref()),
        redis: None,
        partitions: engine.partitions.len(),
        silent_partitions: engine.silent.clone(),
        actors_in_memory: sum(|standing| standing.actors),
        in_hand: sum(|standing| standing.in_hand),
        permits: Permits::of(engine),
        busiest_keys: engine.room.keys.clone(),
        running: engine.room.lanes.iter().map(|lane| lane.taken).sum(),
        watched: engine.watched,
        limits: Limited::default(),
        open: engine.open,
        draining: engine.draining,
    };
    (health.status, health.summary) = words::judge(&health, answers);
    health
}

impl Health {
    /// Adds what is known of Redis, and what it means.
    fn with_redis(&mut self, redis: Redis) {
        let trouble = words::redis_trouble(&redis);
        self.redis = Some(redis);
        self.trouble(trouble);
    }

    /// Adds what the limits did, and what it means.
    fn with_limits(&mut self, limits: Limited) {
        let trouble = words::limits_trouble(&limits);
        if self.status == "ok" {
            self.summary.push_str(&words::refusals(&limits));
        }
        self.limits = limits;
        self.trouble(trouble);
    }

    fn trouble(&mut self, trouble: Option<String>) {
        let Some(trouble) = trouble else { return };
        if self.status == "ok" {
            self.status = "attention";
            self.summary = trouble;
        } else {
            self.summary = format!("{} {trouble}", self.summary);
        }
    }
}

#[cfg(test)]
mod tests {
    use std::time::Instant;

    use super::*;
    use crate::runtime::journal::DECIDE;

    fn health(read: Read, engine: engine::Health, stats: CommitterStats) -> Health {
        assemble(Counts::new(), read, &engine, stats, Timestamp(100_000))
    }

    fn open() -> engine::Health {
        engine::Health { open: true, ..engine::Health::default() }
    }

    fn read(lanes: Vec<LaneDepth>, quarantined: u64) -> Read {
        Read { lanes: Some(lanes), quarantined: Some(quarantined), attention: Some(0) }
    }

    fn lane(oldest_due: Option<i64>) -> LaneDepth {
        LaneDepth { lane: DECIDE.into(), waiting: 3, oldest_due: oldest_due.map(Timestamp), parked: 1 }
    }

    #[test]
    fn a_quiet_service_says_that_all_is_well() {
        let shown = health(read(vec![lane(Some(99_000))], 0), open(), CommitterStats::default());
        assert_eq!(shown.status, "ok");
        assert_eq!(shown.summary, "All is well: 0 activities running, 3 messages waiting, nothing set aside.");
        assert_eq!(shown.oldest_message_age_ms, Some(1_000));
    }

    #[test]
    fn what_waits_for_permits_is_said_without_its_keys() {
        let key = room::KeyStanding { key: "ada".into(), limit: 4, taken: 4, waiting: 9 };
        let standing = room::Standing { waiting: 9, keys_waited_for: 1, keys: vec![key], ..room::Standing::default() };
        let busy = engine::Health { room: standing, ..open() };
        let shown = health(read(vec![], 0), busy, CommitterStats::default());
        assert_eq!(shown.permits, Permits { waiting: 9, keys: 1, ..Permits::default() });
        assert!(shown.summary.ends_with("9 activities wait for permits of 1 busy keys, which `/metrics` names."));
        assert!(!serde_json::to_string(&shown).unwrap().contains("ada"), "this page is open to everybody");
    }

    #[test]
    fn permits_of_all_nodes_are_said_and_so_is_that_they_cannot_be_had() {
        let totals = room::Totals { running: 4, waiting: 9 };
        let everywhere = Some(room::Everywhere { nodes: 2, totals });
        let standing = room::Standing { waiting: 5, keys_waited_for: 1, ..room::Standing::default() };
        let sharing = Some(room::SharingStanding { away: None, everywhere });
        let two = engine::Health { room: standing, sharing, ..open() };
        let shown = health(read(vec![], 0), two, CommitterStats::default());
        assert!(
            shown.summary.ends_with(
                "Of 2 nodes together 4 activities hold a permit and 9 wait for one, 5 of them on this node."
            ),
            "{}",
            shown.summary
        );
        let away = Some((Duration::from_secs(7), "no answer".to_owned()));
        let sharing = Some(room::SharingStanding { away, everywhere: None });
        let shown = health(read(vec![], 0), engine::Health { sharing, ..open() }, CommitterStats::default());
        assert_eq!((shown.status, shown.permits.unavailable_for_ms), ("attention", Some(7_000)));
        assert!(shown.summary.contains("have not been had for 7 s"), "{}", shown.summary);
    }

    #[test]
    fn a_message_that_is_not_due_yet_has_no_age() {
        let shown = health(read(vec![lane(Some(200_000))], 0), open(), CommitterStats::default());
        assert_eq!(shown.oldest_message_age_ms, None);
    }

    #[test]
    fn what_needs_a_person_is_said_with_what_to_do() {
        let one = health(read(vec![], 1), open(), CommitterStats::default());
        assert_eq!(one.status, "attention");
        assert!(one.summary.contains("1 message was set aside and waits"), "{}", one.summary);
        let old = health(read(vec![lane(Some(10_000))], 0), open(), CommitterStats::default());
        assert!(old.summary.contains("lane `decide` has been due for 90 s"), "{}", old.summary);
        let film = LaneDepth { lane: "media".into(), ..lane(Some(10_000)) };
        let rendering = health(read(vec![film], 0), open(), CommitterStats::default());
        assert_eq!(rendering.status, "ok", "a film that takes a while is no trouble");
        let silent = health(read(vec![], 0), engine::Health { silent: vec![3], ..open() }, CommitterStats::default());
        assert_eq!(silent.status, "attention");
    }

    #[test]
    fn a_redis_that_is_away_needs_attention_and_is_not_the_end() {
        let mut shown = health(read(vec![], 0), open(), CommitterStats::default());
        shown.with_redis(Redis { hears: true, ..Redis::default() });
        assert_eq!(shown.status, "ok");
        let error = Some("connection refused".to_owned());
        shown.with_redis(Redis { away_for_ms: Some(12_345), error, ..Redis::default() });
        assert_eq!(shown.status, "attention");
        assert!(shown.summary.starts_with("Redis has been away for 12 s (connection refused)"), "{}", shown.summary);
    }

    #[test]
    fn what_the_limits_did_is_said() {
        let mut shown = health(read(vec![], 0), open(), CommitterStats::default());
        let refused = BTreeMap::from([("reading", 0), ("creating", 7)]);
        shown.with_limits(Limited { refused, refused_unfinished: 2, slow_clients_cut: 3, ..Limited::default() });
        assert_eq!(shown.status, "ok");
        assert!(
            shown.summary.ends_with(
                " Since the start 7 calls were refused by their limits (creating 7), 2 tasks for having too many under way, and 3 \
                 slow clients were cut off."
            ),
            "{}",
            shown.summary
        );
        shown.with_limits(Limited { unavailable_for_ms: Some(5_000), ..Limited::default() });
        assert_eq!(shown.status, "attention");
        assert!(shown.summary.contains("Limits have not been shared for 5 s"), "{}", shown.summary);
    }

    #[test]
    fn a_database_that_is_away_is_down_and_comes_first() {
        let away = CommitterStats { unavailable_since: Some(Instant::now()), ..CommitterStats::default() };
        let shown = health(read(vec![], 5), open(), away);
        assert_eq!(shown.status, "down");
        assert!(shown.summary.starts_with("The database has taken no commits"), "{}", shown.summary);
        let mute = health(Read { lanes: None, quarantined: None, attention: None }, open(), CommitterStats::default());
        assert_eq!(mute.status, "down");
    }
}
