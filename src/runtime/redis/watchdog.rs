//! Notices that Redis is away, back, restarted or replaced.

use std::sync::Arc;

use redis::cmd;
use tokio::sync::Notify;

use super::error::Error;
use super::pool::Pooled;
use super::standing::{Absence, Server};
use super::subscription::Desk;
use super::{RESPONSE_LIMIT, Shared, WATCH_EVERY};

/// The parts of `INFO` that say who a server is.
const WHO: [&str; 2] = ["server", "replication"];

/// What a look found.
#[derive(Debug, PartialEq, Eq)]
struct Sight {
    /// The masters; empty when they do not say who they are.
    servers: Vec<Server>,
    /// Why they do not.
    warning: Option<String>,
}

/// Looks at Redis again and again, until it is dropped.
pub async fn run(shared: &Arc<Shared>, desk: &Arc<Desk>, renewed: &Notify) {
    let mut watchdog =
        Watchdog { shared, desk, renewed, held: None, reconnected: false, master: None, known: None, anonymous: false };
    loop {
        watchdog.look().await;
        // At once when a connection failed, but never in a hurry.
        let _ = tokio::time::timeout(WATCH_EVERY, shared.alarm.notified()).await;
        tokio::time::sleep(WATCH_EVERY / 10).await;
    }
}

struct Watchdog<'a> {
    shared: &'a Arc<Shared>,
    desk: &'a Arc<Desk>,
    renewed: &'a Notify,
    /// The connection it looks through for as long as it lives.
    held: Option<Pooled>,
    /// It is another one than at the last look.
    reconnected: bool,
    /// Where the Sentinels say that the master is.
    master: Option<String>,
    known: Option<Vec<Server>>,
    anonymous: bool,
}

impl Watchdog<'_> {
    async fn look(&mut self) {
        match self.sight().await {
            Ok(sight) => self.seen(sight).await,
            Err(error) => self.missed(&error).await,
        }
    }

    async fn sight(&mut self) -> Result<Sight, Error> {
        let master = self.shared.pool.master().await?;
        if self.master.is_some() && self.master != master {
            tracing::warn!(from = self.master, to = master, "the Sentinels have made another server the master");
            self.shared.give_up_all().await;
            self.let_go();
        }
        self.master = master;
        if let Some(held) = &self.held {
            match look_through(held, self.master.as_deref()).await {
                // What was closed may be there again already; what says nothing is away.
                Err(error) if !matches!(error, Error::Silent(_)) => self.let_go(),
                sight => return sight.inspect_err(|_| self.let_go()),
            }
        }
        let pooled = self.shared.pool.connection().await?;
        match look_through(&pooled, self.master.as_deref()).await {
            Ok(sight) => {
                self.held = Some(pooled);
                self.reconnected = true;
                Ok(sight)
            }
            Err(error) => {
                pooled.discard();
                Err(error)
            }
        }
    }

    fn let_go(&mut self) {
        if let Some(held) = self.held.take() {
            held.discard();
        }
    }

    async fn seen(&mut self, sight: Sight) {
        let was_away = self.shared.standing().away.is_some();
        let first = self.known.is_none();
        let silent = sight.servers.is_empty();
        let reconnected = std::mem::take(&mut self.reconnected);
        // A server that does not say who it is may be another one after each lost connection.
        let changed = if silent { was_away || reconnected } else { self.known.as_ref() != Some(&sight.servers) };
        let renewed = changed && !first;
        if renewed {
            tracing::warn!(servers = ?sight.servers, "Redis was restarted or replaced: what it was told last may be missing");
            self.shared.give_up_all().await;
            self.renewed.notify_one();
        } else if was_away {
            tracing::info!("Redis answers");
        }
        if silent && !self.anonymous {
            tracing::warn!(why = sight.warning, "Redis does not say who it is: each reconnection counts as a restart");
        }
        self.anonymous = silent;
        {
            let mut standing = self.shared.standing();
            standing.away = None;
            standing.servers.clone_from(&sight.servers);
            standing.warnings = sight.warning.into_iter().collect();
            standing.renewals += u64::from(renewed);
        }
        self.known = Some(sight.servers);
        self.shared.reached.send_replace(true);
        if renewed {
            self.shared.renewals.send_modify(|renewals| *renewals += 1);
        }
    }

    async fn missed(&self, error: &Error) {
        let text = spelled(error);
        {
            let mut standing = self.shared.standing();
            let since = match &standing.away {
                Some(away) => away.since,
                None => {
                    tracing::warn!(error = text, "Redis is away");
                    self.shared.clock.now()
                }
            };
            standing.away = Some(Absence { since, error: text });
        }
        // What hangs is not waited for: its callers hear at once, and later ones do not wait for it.
        self.shared.give_up_all().await;
        if !self.desk.hears() {
            self.shared.pool.forget();
        }
    }
}

async fn look_through(pooled: &Pooled, master: Option<&str>) -> Result<Sight, Error> {
    let mut line = pooled.line();
    let mut servers: Vec<Server> = Vec::new();
    for section in WHO {
        match line.ask_masters::<String>(cmd("INFO").arg(section), RESPONSE_LIMIT).await {
            Ok(answers) => {
                for (place, (address, text)) in answers.into_iter().enumerate() {
                    if field(&text, "role") == Some("slave") {
                        return Err(Error::Unreachable(format!("the server {address} is a replica, not a master")));
                    }
                    if field(&text, "loading") == Some("1") {
                        return Err(Error::Unreachable(format!("the server {address} still reads its data")));
                    }
                    if section == WHO[0] {
                        let address = if address.is_empty() { master.unwrap_or_default().to_owned() } else { address };
                        let said = |name| field(&text, name).unwrap_or_default().to_owned();
                        let (run_id, version) = (said("run_id"), said("redis_version"));
                        servers.push(Server { address, run_id, history: String::new(), version });
                    } else if let Some(server) = servers.get_mut(place) {
                        server.history = field(&text, "master_replid").unwrap_or_default().to_owned();
                    }
                }
            }
            Err(error) if is_refusal(&error) => {
                let warning = Some(format!("INFO cannot be asked ({}): restarts are only guessed", spelled(&error)));
                return Ok(Sight { servers: Vec::new(), warning });
            }
            Err(error) => return Err(error),
        }
    }
    if servers.iter().any(|server| server.run_id.is_empty()) {
        let warning = Some("INFO names no run_id: restarts are only guessed".to_owned());
        return Ok(Sight { servers: Vec::new(), warning });
    }
    Ok(Sight { servers, warning: None })
}

/// Whether the command is forbidden or unknown, rather than the server unwell.
pub(super) fn is_refusal(error: &Error) -> bool {
    matches!(error, Error::Failed(error) if matches!(error.code(), Some("NOPERM" | "ERR")))
}

/// The field of this name in an answer to `INFO`.
pub(super) fn field<'a>(text: &'a str, name: &str) -> Option<&'a str> {
    text.lines().find_map(|line| line.trim().strip_prefix(name)?.strip_prefix(':'))
}

pub(super) fn spelled(error: &Error) -> String {
    match std::error::Error::source(error) {
        Some(cause) => format!("{error}: {cause}"),
        None => error.to_string(),
    }
}
