//! `mixvideo doctor`: can the service run here?

mod gateway;
mod ledger;
mod workflows;

use std::error::Error as _;
use std::path::Path;
use std::process::Stdio;
use std::time::Duration;

use mixvideo_migration::{Migrator, MigratorTrait};
use sea_orm::{ConnectionTrait, DatabaseConnection, DbBackend, Statement};
use serde::Serialize;
use tokio_util::sync::CancellationToken;

use self::workflows::Workflow;
use super::table::aligned;
use super::{Error, database, print_json};
use crate::activity::storage::{self, Storage};
use crate::activity::worker::{self, Job, Limits, WorkerPool};
use crate::app;
use crate::auth::google::Off;
use crate::config::{Backend, Config, Faults};
use crate::runtime::clock::{Clock, SystemClock};
use crate::store::Database;

/// Less free space than this is a fault: renders and the journal need room.
const FREE_MB_MIN: u64 = 512;
/// Milliseconds that the database's clock may differ from this machine's.
const SKEW_MS_MAX: i64 = 5_000;
/// A machine whose clock is before this release was made is wrong: 2026-01-01.
const EARLIEST_MS: i64 = 1_767_225_600_000;
/// How long Redis may take to answer.
const REDIS_LIMIT: Duration = Duration::from_secs(5);
/// How long one trial may take.
const TRIAL_LIMIT: Duration = Duration::from_secs(30);

/// What to look at, and the output's form.
#[derive(Debug, clap::Args)]
pub(super) struct Args {
    /// Answer in JSON
    #[arg(long)]
    json: bool,
    /// Look at the books of payments and refunds instead: do they add up?
    #[arg(long)]
    ledger: bool,
}

/// What one look found.
#[derive(Debug, Serialize)]
struct Check {
    what: &'static str,
    ok: bool,
    says: String,
}

impl Check {
    fn of(what: &'static str, found: Result<String, String>) -> Self {
        let ok = found.is_ok();
        Self { what, ok, says: found.unwrap_or_else(|fault| fault) }
    }
}

/// Looks at everything and says what it found; fails when something is wrong.
pub(super) async fn run(args: Args, config: Result<Config, Faults>) -> Result<(), Error> {
    if let (true, Ok(config)) = (args.ledger, &config) {
        return ledger::run(args.json, config).await;
    }
    let (workflows, checks) = match &config {
        Ok(config) => look(config).await,
        Err(faults) => (Vec::new(), vec![Check::of("configuration", Err(faults.0.join("; ")))]),
    };
    if args.json {
        let ok = checks.iter().all(|check| check.ok);
        print_json(&serde_json::json!({ "ok": ok, "checks": checks, "workflows": workflows }));
    } else {
        let line = |check: &Check| {
            vec![if check.ok { "ok" } else { "WRONG" }.to_owned(), check.what.to_owned(), check.says.clone()]
        };
        say!("{}", aligned(&checks.iter().map(line).collect::<Vec<_>>()));
    }
    match checks.iter().filter(|check| !check.ok).count() {
        0 => Ok(()),
        1 => Err(Error::Failed("one thing is wrong".to_owned())),
        wrong => Err(Error::Failed(format!("{wrong} things are wrong"))),
    }
}

async fn look(config: &Config) -> (Vec<Workflow>, Vec<Check>) {
    let mut checks = vec![Check::of("configuration", Ok("every key is known and every value can be used".to_owned()))];
    checks.extend(look_at_database(config).await);
    if config.mailbox.backend == Backend::Redis {
        checks.extend(look_at_redis(config).await);
    }
    checks.push(Check::of("disk", free_space(config).await));
    let storage = tokio::time::timeout(TRIAL_LIMIT, look_at_storage(config)).await;
    checks.push(Check::of("storage", storage.unwrap_or_else(|_| Err("it did not answer in time".to_owned()))));
    let worker = tokio::time::timeout(TRIAL_LIMIT, worker(config)).await;
    let worker = worker.unwrap_or_else(|_| Err("the worker did not end in time".to_owned()));
    let here = workflows::Here { worker_works: worker.is_ok(), providers: &config.providers };
    checks.push(Check::of("worker", worker));
    let (workflows, found) = workflows::look(&config.workflows.directory, &here);
    checks.extend(found);
    checks.push(Check::of("gateway", gateway::look(config).await));
    checks.push(Check::of("webhooks", gateway::webhooks(config)));
    checks.push(Check::of("google", google(config).await));
    checks.push(Check::of("clock", clock()));
    (workflows, checks)
}

async fn look_at_database(config: &Config) -> Vec<Check> {
    let missing = config.database.sqlite_file().filter(|file| !file.exists());
    if let Some(file) = missing {
        let says = format!("{} does not exist yet; the first `serve` or `migrate` makes it", file.display());
        return vec![Check::of("database", Ok(says))];
    }
    let db = match database::connect(&config.database).await {
        Ok(db) => db,
        Err(error) => return vec![Check::of("database", Err(super::error::with_causes(&error)))],
    };
    let reached = format!("{} is reached", config.database.shown());
    vec![
        Check::of("database", Ok(reached)),
        Check::of("schema", schema(&db).await),
        Check::of("database writes", writable(&db).await),
        Check::of("database settings", settings(&db).await),
        Check::of("database clock", skew(&db).await),
        Check::of("nodes", nodes(&db).await),
    ]
}

async fn look_at_redis(config: &Config) -> Vec<Check> {
    // It reads and changes nothing, and so needs no prefix of the installation's.
    let redis = match app::redis::connect(&config.redis, "mixvideo-doctor".to_owned(), SystemClock) {
        Ok(redis) => redis,
        Err(error) => return vec![Check::of("redis", Err(super::error::with_causes(&error)))],
    };
    let reached = redis.reached(REDIS_LIMIT).await;
    let standing = redis.standing();
    if reached.is_err() {
        return vec![Check::of("redis", Err(standing.sentence(SystemClock.now())))];
    }
    let versions: Vec<&str> = standing.servers.iter().map(|server| &*server.version).collect();
    let says = format!("{} answers ({}, Redis {})", standing.address, standing.mode, versions.join(", "));
    let mut checks = vec![Check::of("redis", Ok(says))];
    match redis.fitness().await {
        Err(error) => checks.push(Check::of("redis settings", Err(super::error::with_causes(&error)))),
        Ok(fitness) => {
            let warnings: Vec<String> = standing.warnings.into_iter().chain(fitness.warnings.clone()).collect();
            let faults = app::redis::faults(&config.redis, fitness);
            checks.extend(faults.iter().map(|unfit| Check::of("redis settings", Err(unfit.to_string()))));
            checks.extend(
                warnings.into_iter().map(|warning| Check::of("redis settings", Ok(format!("note: {warning}")))),
            );
            if checks.len() == 1 {
                let says = "it drops no keys and keeps its data on disk".to_owned();
                checks.push(Check::of("redis settings", Ok(says)));
            }
        }
    }
    checks
}

async fn schema(db: &DatabaseConnection) -> Result<String, String> {
    // Asking for the migrations would make their table: look first, a doctor changes nothing.
    let known: Vec<String> = Migrator::get_migration_files().iter().map(|file| file.name().to_owned()).collect();
    let applied = column(db, "SELECT version FROM seaql_migrations ORDER BY version").await.unwrap_or_default();
    if let Some(newer) = applied.iter().find(|name| !known.contains(name)) {
        return Err(format!("it was made by a newer release, which added {newer}"));
    }
    match known.len() - applied.len() {
        0 => Ok("up to date".to_owned()),
        pending => Ok(format!("{pending} changes are due; `serve` or `migrate` makes them")),
    }
}

/// Takes the writer's turn and gives it back.
async fn writable(db: &DatabaseConnection) -> Result<String, String> {
    let trial: &[&str] = match db.get_database_backend() {
        DbBackend::Sqlite => &["BEGIN IMMEDIATE", "ROLLBACK"],
        _ => &["CREATE TEMPORARY TABLE mixvideo_doctor (one INT)", "DROP TABLE mixvideo_doctor"],
    };
    for statement in trial {
        db.execute_unprepared(statement).await.map_err(|error| format!("it does not take writes: {error}"))?;
    }
    Ok("it takes writes".to_owned())
}

async fn settings(db: &DatabaseConnection) -> Result<String, String> {
    if db.get_database_backend() == DbBackend::Sqlite {
        let mode = one(db, "PRAGMA journal_mode").await?;
        return match mode.as_str() {
            "wal" => Ok("write-ahead log; `serve` writes with synchronous=FULL".to_owned()),
            other => Err(format!("the journal mode is {other}, not wal; `migrate` sets it")),
        };
    }
    let fsync = one(db, "SHOW fsync").await?;
    let version = one(db, "SHOW server_version").await?;
    if fsync != "on" {
        return Err("fsync is off: what was answered may be lost when the machine fails".to_owned());
    }
    Ok(format!("PostgreSQL {version}, fsync on; `serve` writes with synchronous_commit=on"))
}

async fn skew(db: &DatabaseConnection) -> Result<String, String> {
    if db.get_database_backend() == DbBackend::Sqlite {
        return Ok("this machine's".to_owned());
    }
    let there = one(db, "SELECT (extract(epoch FROM clock_timestamp()) * 1000)::bigint::text").await?;
    let there: i64 = there.parse().map_err(|_| format!("its time `{there}` cannot be read"))?;
    let skew = (SystemClock.now().0 - there).abs();
    if skew > SKEW_MS_MAX {
        Err(format!("it differs from this machine's by {skew} ms"))
    } else {
        Ok(format!("differs by {skew} ms"))
    }
}

/// Which nodes serve the database together right now.
async fn nodes(db: &DatabaseConnection) -> Result<String, String> {
    if db.get_database_backend() == DbBackend::Sqlite {
        return Ok("SQLite has one server".to_owned());
    }
    let migrated = one(db, "SELECT count(to_regclass('nodes'))::text").await?;
    if migrated == "0" {
        return Ok("none yet: the tables are made by the first `serve` or `migrate`".to_owned());
    }
    let now = "(extract(epoch FROM clock_timestamp()) * 1000)::bigint";
    let sql = format!(
        "SELECT substr(n.id, 1, 8) || ' (process ' || n.pid || ' on ' || n.host || ') ' \
         || CASE WHEN n.draining = 1 THEN 'is ending and still has ' ELSE 'has ' END \
         || (SELECT count(*) FROM partitions AS p WHERE p.owner = n.id AND p.lease_until > {now}) || ' partitions' \
         FROM nodes AS n WHERE n.lease_until > {now} ORDER BY n.id"
    );
    let living = column(db, &sql).await?;
    if living.is_empty() {
        return Ok("none shares this database; a server with `mailbox.backend = memory` serves alone".to_owned());
    }
    Ok(living.join(", "))
}

async fn column(db: &DatabaseConnection, sql: &str) -> Result<Vec<String>, String> {
    let statement = Statement::from_string(db.get_database_backend(), sql);
    let rows = db.query_all_raw(statement).await.map_err(|error| error.to_string())?;
    rows.iter().map(|row| row.try_get_by_index(0).map_err(|error| error.to_string())).collect()
}

async fn one(db: &DatabaseConnection, sql: &str) -> Result<String, String> {
    column(db, sql).await?.into_iter().next().ok_or_else(|| format!("`{sql}` answers nothing"))
}

/// The free space where data are kept, by `df`, which looks the same everywhere.
async fn free_space(config: &Config) -> Result<String, String> {
    let database = config.database.sqlite_file().map(Path::to_path_buf);
    let storage = config.storage.url.strip_prefix("file://").map(Into::into);
    let mut least = None;
    for path in [database, storage, Some(config.worker.scratch.clone())].into_iter().flatten() {
        let existing = path.ancestors().find(|path| path.exists()).unwrap_or(Path::new("."));
        let output = tokio::process::Command::new("df").arg("-Pk").arg(existing).stdin(Stdio::null()).output().await;
        let output = output.map_err(|error| format!("df cannot be asked: {error}"))?;
        let text = String::from_utf8_lossy(&output.stdout).into_owned();
        let kilobytes = text.lines().nth(1).and_then(|line| line.split_whitespace().nth(3)?.parse::<u64>().ok());
        let free = kilobytes.ok_or_else(|| format!("df says nothing of {}", existing.display()))? / 1_024;
        if least.as_ref().is_none_or(|(least, _)| free < *least) {
            least = Some((free, path));
        }
    }
    let (free, path) = least.ok_or("no directory is configured")?;
    let says = format!("{free} MB are free for {}", path.display());
    if free < FREE_MB_MIN { Err(format!("only {says}; {FREE_MB_MIN} MB are the least")) } else { Ok(says) }
}

/// Writes a file, reads it back and deletes it.
async fn look_at_storage(config: &Config) -> Result<String, String> {
    const BYTES: &[u8] = b"mixvideo doctor";
    // What S3 answers has several lines.
    let said = |error: storage::Error| match error.source() {
        Some(cause) => format!("{error}: {}", cause.to_string().split_whitespace().collect::<Vec<_>>().join(" ")),
        None => error.to_string(),
    };
    let key = format!("work/doctor-{}/probe.txt", std::process::id());
    let storage = Storage::open(&config.storage.url).map_err(said)?;
    storage.put(&key, BYTES).await.map_err(said)?;
    let read = storage.get(&key, 1_024).await.map_err(said);
    storage.delete(&key).await.map_err(said)?;
    if read?.as_ref() != BYTES {
        return Err("a file reads back differently than it was written".to_owned());
    }
    Ok(format!("{} takes files and gives them back", config.storage.url))
}

/// Has a worker decode the bundled picture.
async fn worker(config: &Config) -> Result<String, String> {
    let directory = tempfile::tempdir().map_err(|error| format!("there is no place for its files: {error}"))?;
    let program = std::env::current_exe().map_err(|error| format!("this program cannot find itself: {error}"))?;
    std::fs::write(directory.path().join(worker::INPUT), super::demo::PICTURE).map_err(|error| error.to_string())?;
    let limits = Limits {
        memory_bytes: config.worker.memory_mb << 20,
        cpu_s: config.worker.cpu_seconds,
        file_bytes: config.worker.file_mb << 20,
        ..Limits::default()
    };
    let pool = WorkerPool::new(program, limits, 1);
    let done = pool.run(&Job::Picture, directory.path(), &|_| (), &CancellationToken::new(), TRIAL_LIMIT).await;
    done.map(|_| "a child process decodes a picture within its limits".to_owned())
        .map_err(|failure| failure.to_string())
}

/// Whether people can sign in, and whether Google is reached; no secret is shown.
async fn google(config: &Config) -> Result<String, String> {
    // It is asked nothing: a doctor changes nothing, and reaching Google takes no database.
    let database = Database::open("sqlite::memory:").await.map_err(|error| error.to_string())?;
    let public_url = config.server.public_url(config.server.bind);
    match crate::app::google::open(config, &public_url, &database).map_err(|error| error.to_string())? {
        Err(off @ Off::NoClient) => Ok(off.to_string()),
        Err(off @ Off::NoKey) => Err(off.to_string()),
        Ok(google) => match google.probe().await {
            Ok(keys) => {
                Ok(format!("it is reached and signs with {keys} keys; it must know {public_url}/auth/google/callback"))
            }
            Err(fault) => Err(fault.to_string()),
        },
    }
}

fn clock() -> Result<String, String> {
    let now = SystemClock.now();
    let shown = chrono::DateTime::from_timestamp_millis(now.0).map(|time| time.to_rfc3339()).unwrap_or_default();
    if now.0 < EARLIEST_MS { Err(format!("it is {shown} here, before this release was made")) } else { Ok(shown) }
}
