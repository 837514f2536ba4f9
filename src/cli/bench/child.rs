//! The servers that are measured: a Mixvideo in a process of its own, and the bare endpoint it is compared with.

use std::collections::HashMap;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::process::Stdio;
use std::sync::Arc;
use std::time::Duration;

use actix_web::{App, HttpServer, web};
use rustix::process::{Pid, Signal, kill_process};
use secrecy::{ExposeSecret, SecretString};
use serde::Serialize;
use tokio::io::{AsyncBufReadExt, AsyncRead, BufReader};
use tokio::process::{Child as Process, Command};

use super::Args;
use crate::auth::api_key::{self, NewKey, Role};
use crate::cli::client::Client;
use crate::cli::{Error, database, kept_in, serve};
use crate::config::{Config, Database, Flag, Sources};
use crate::http::limit::bucket::CALLS_MAX;
use crate::runtime::clock::{Clock, SystemClock};
use crate::runtime::redis;

/// How long a server may take to listen.
const START_LIMIT: Duration = Duration::from_secs(60);
/// How long it may take to end before it is killed; its data is not kept.
const STOP_LIMIT: Duration = Duration::from_secs(10);

/// The keys of `[limits]` that count calls.
const BUCKETS: [&str; 10] = [
    "KEY__READING",
    "KEY__CREATING",
    "KEY__MONEY",
    "USER__READING",
    "USER__CREATING",
    "USER__MONEY",
    "ADDRESS__OPEN",
    "ADDRESS__SIGN_IN",
    "ADDRESS__WEBHOOK",
    "ADDRESS__FAILED",
];

/// A server under load.
pub(super) struct Child {
    /// Where it listens.
    pub address: SocketAddr,
    /// A client for everything that is not measured.
    pub client: Client,
    /// An operator's key to it.
    pub key: SecretString,
    /// Its database, if it is known.
    pub database: Option<Database>,
    /// In words.
    pub described: String,
    process: Option<Process>,
    scratch: Scratch,
}

enum Scratch {
    Kept(PathBuf),
    Temporary(tempfile::TempDir),
}

impl Child {
    /// Starts a server, or takes the one that `args` name.
    pub(super) async fn start(args: &Args) -> Result<Self, Error> {
        let scratch = match &args.data {
            Some(path) => Scratch::Kept(path.clone()),
            None => Scratch::Temporary(tempfile::tempdir().map_err(no_room)?),
        };
        std::fs::create_dir_all(scratch.path()).map_err(no_room)?;
        if let (Some(server), Some(key)) = (&args.server, &args.key) {
            return Self::running(server, key, args.count_in.as_deref(), scratch).await;
        }
        Self::own(args, "serve", scratch).await
    }

    /// Starts a server without guards: on the embedded database, in a directory of its own.
    pub(super) async fn unguarded(args: &Args) -> Result<Self, Error> {
        let scratch = Scratch::Temporary(tempfile::tempdir().map_err(no_room)?);
        let args = Args { database: None, redis: args.redis.clone(), ..args.clone() };
        Self::own(&args, "bench-unguarded", scratch).await
    }

    async fn own(args: &Args, subcommand: &str, scratch: Scratch) -> Result<Self, Error> {
        let directory = scratch.path().canonicalize().map_err(no_room)?;
        let mut flags = kept_in(&directory, "--data");
        flags.extend(args.database.clone().map(|value| Flag { name: "--database", key: "database.url", value }));
        let database = Config::load(&Sources { flags, ..Sources::default() })?.database;
        let mut command = this_program()?;
        command.args([subcommand, "--bind", "127.0.0.1:0", "--log", "warn", "--data"]).arg(&directory);
        if let Some(database) = &args.database {
            command.args(["--database", database]);
        }
        if let Some(redis) = &args.redis {
            command.env("MIXVIDEO__MAILBOX__BACKEND", "redis").env("MIXVIDEO__REDIS__URL", redis);
        }
        // They are on, and hold nobody up.
        for bucket in BUCKETS {
            command.env(format!("MIXVIDEO__LIMITS__{bucket}"), CALLS_MAX.to_string());
        }
        // Where no configuration lies about.
        let (process, url) = start(command.current_dir(&directory), serve::LISTENS).await?;
        let now = SystemClock.now();
        let connection = database::connect(&database).await?;
        let name = "bench".to_owned();
        let key = NewKey { role: Role::Operator, client_id: None, name, expires_at: None, receivers: Vec::new() };
        let (_, key) = api_key::create(&connection, key, now).await?;
        connection.close().await?;
        let client = Client::new(&url, Some(key.clone()))?;
        client.get(&["templates", "init"], &[]).await?;
        let mailbox = match &args.redis {
            None => String::new(),
            Some(redis) => format!(", mailboxes in Redis ({})", durability(redis).await?),
        };
        let described = format!("a server of its own on {}{mailbox}", database.shown());
        let address = address_of(&url).await?;
        Ok(Self { address, client, key, database: Some(database), described, process: Some(process), scratch })
    }

    async fn running(
        server: &str,
        key: &SecretString,
        count_in: Option<&str>,
        scratch: Scratch,
    ) -> Result<Self, Error> {
        let client = Client::new(server, Some(key.clone()))?;
        client.get(&["health", "live"], &[]).await?;
        let database = count_in.map(|url| Database { url: url.into(), attempt_seconds: 0, patience_seconds: 0 });
        let address = address_of(server).await?;
        let described = format!("the server at {server}");
        Ok(Self { address, client, key: key.clone(), database, described, process: None, scratch })
    }

    /// The bytes of a request in its name.
    pub(super) fn request(&self, method: &str, path: &str, body: Option<&str>) -> Vec<u8> {
        super::http::request(method, path, Some(self.key.expose_secret()), body)
    }

    /// Its resident memory in MB, when it is our own.
    pub(super) fn resident_mb(&self) -> Option<u64> {
        let pid = self.process.as_ref()?.id()?;
        let status = std::fs::read_to_string(format!("/proc/{pid}/status")).ok()?;
        resident_kb(&status).map(|kilobytes| kilobytes / 1_024)
    }

    /// A directory for what a measurement writes itself.
    pub(super) fn scratch(&self) -> &Path {
        self.scratch.path()
    }

    /// Ends it, when it is our own.
    pub(super) async fn stop(self) {
        if let Some(process) = self.process {
            stop(process).await;
        }
    }
}

impl Scratch {
    fn path(&self) -> &Path {
        match self {
            Self::Kept(path) => path,
            Self::Temporary(directory) => directory.path(),
        }
    }
}

/// The resident memory in a text of `/proc/PID/status`.
fn resident_kb(status: &str) -> Option<u64> {
    status.lines().find_map(|line| line.strip_prefix("VmRSS:"))?.split_whitespace().next()?.parse().ok()
}

/// The bare endpoint in a process of its own.
pub(super) struct BareServer {
    /// Where it listens.
    pub address: SocketAddr,
    process: Process,
}

impl BareServer {
    /// Starts it.
    pub(super) async fn start() -> Result<Self, Error> {
        let mut command = this_program()?;
        let (process, url) = start(command.arg("bench-baseline"), serve::LISTENS).await?;
        Ok(Self { address: address_of(&url).await?, process })
    }

    /// Ends it.
    pub(super) async fn stop(self) {
        stop(self.process).await;
    }
}

/// What the bare endpoint answers: as large as a task, and as little work as actix-web allows.
#[derive(Serialize)]
struct Bare {
    code: u16,
    message: &'static str,
    data: &'static str,
    number: u64,
}

/// Serves the bare endpoint with as many threads as a Mixvideo has by default, until it is ended.
pub(in crate::cli) async fn baseline() -> Result<(), Error> {
    let threads = Config::load(&Sources::default())?.server.threads();
    let answer = || async { web::Json(Bare { code: 200, message: "Task status retrieved", data: DATA, number: 1 }) };
    let server = HttpServer::new(move || App::new().default_service(web::to(answer)));
    let server = server.workers(threads).bind("127.0.0.1:0").map_err(|error| Error::Failed(error.to_string()))?;
    for address in server.addrs() {
        say!("{}http://{address}", serve::LISTENS);
    }
    server.run().await.map_err(|error| Error::Failed(error.to_string()))
}

/// As many bytes as a finished task shows.
const DATA: &str = "task_019a0000000070008000000000000abc completed 100 2026-01-01T00:00:00.000Z 2026-01-01T00:00:00.000Z \
                    0123456789abcdef0123456789abcdef noop exec_019a0000000070008000000000000abc null null null";

fn this_program() -> Result<Command, Error> {
    let program =
        std::env::current_exe().map_err(|error| Error::Failed(format!("this program is not found: {error}")))?;
    let mut command = Command::new(program);
    command.stdin(Stdio::null()).stdout(Stdio::piped()).kill_on_drop(true);
    Ok(command)
}

/// Starts a server and reads its address from the line that begins with `says`.
async fn start(command: &mut Command, says: &str) -> Result<(Process, String), Error> {
    let mut process = command.spawn().map_err(|error| Error::Failed(format!("no server could be started: {error}")))?;
    let stdout = process.stdout.take().ok_or_else(|| Error::Failed("the server's output is lost".to_owned()))?;
    let url = tokio::time::timeout(START_LIMIT, told(stdout, says)).await.ok().flatten();
    let url = url.ok_or_else(|| Error::Failed("the server that was started does not listen".to_owned()))?;
    Ok((process, url))
}

async fn told(stdout: impl AsyncRead + Unpin, says: &str) -> Option<String> {
    let mut lines = BufReader::new(stdout).lines();
    while let Ok(Some(line)) = lines.next_line().await {
        if let Some(url) = line.strip_prefix(says) {
            return Some(url.trim().to_owned());
        }
    }
    None
}

async fn stop(mut process: Process) {
    let pid = process.id().and_then(|pid| Pid::from_raw(i32::try_from(pid).ok()?));
    let asked = pid.is_some_and(|pid| kill_process(pid, Signal::TERM).is_ok());
    if asked && tokio::time::timeout(STOP_LIMIT, process.wait()).await.is_ok() {
        return;
    }
    // It is dropped next, which kills it too.
    let _ = process.kill().await;
}

async fn address_of(url: &str) -> Result<SocketAddr, Error> {
    let wrong = || Error::Failed(format!("{url} is not an address that can be loaded: plain http only"));
    let parsed = reqwest::Url::parse(url).map_err(|_| wrong())?;
    let (Some(host), Some(port), "http") = (parsed.host_str(), parsed.port_or_known_default(), parsed.scheme()) else {
        return Err(wrong());
    };
    tokio::net::lookup_host((host, port)).await.map_err(|_| wrong())?.next().ok_or_else(wrong)
}

/// How a Redis keeps what it is told: figures mean little without it.
async fn durability(url: &str) -> Result<String, Error> {
    let unusable = |error: &dyn std::error::Error| Error::Failed(format!("{url} cannot be measured: {error}"));
    let address = redis::Address::parse(url).map_err(|fault| unusable(&fault))?;
    let redis =
        redis::Redis::start(address, "mixvideo-bench", Arc::new(SystemClock)).map_err(|error| unusable(&error))?;
    redis.reached(START_LIMIT).await.map_err(|error| unusable(&error))?;
    let asked = redis.ask_masters(redis::cmd("CONFIG").arg("GET").arg("append*")).await;
    let told: Vec<(String, HashMap<String, String>)> = asked.map_err(|error| unusable(&error))?;
    let setting = |name: &str| told.first().and_then(|(_, settings)| settings.get(name)).cloned().unwrap_or_default();
    Ok(format!("appendonly {}, appendfsync {}", setting("appendonly"), setting("appendfsync")))
}

fn no_room(error: std::io::Error) -> Error {
    Error::Failed(format!("there is no place for the data: {error}"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn resident_memory_is_read_from_the_kernel() {
        assert_eq!(resident_kb("Name:\tx\nVmRSS:\t  118000 kB\nThreads:\t3\n"), Some(118_000));
        assert_eq!(resident_kb("Name:\tx\n"), None);
    }

    #[tokio::test]
    async fn the_address_is_found_among_other_lines() {
        let output = b"starting\nmixvideo listens on http://127.0.0.1:4711\nmore\n";
        assert_eq!(told(output.as_slice(), serve::LISTENS).await.as_deref(), Some("http://127.0.0.1:4711"));
        assert_eq!(told(b"no\n".as_slice(), serve::LISTENS).await, None);
    }

    #[tokio::test]
    async fn only_plain_http_is_loaded() {
        assert_eq!(address_of("http://127.0.0.1:81/").await.unwrap().to_string(), "127.0.0.1:81");
        assert!(address_of("https://127.0.0.1").await.is_err());
        assert!(address_of("nonsense").await.is_err());
    }
}
