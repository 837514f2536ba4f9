//! Whether a Redis may be trusted with mailboxes: it must not evict keys, and must keep something on disk.

use std::collections::HashMap;

use redis::cmd;

use super::watchdog::{field, is_refusal, spelled};
use super::{Error, Redis};

/// What was found.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Fitness {
    /// What makes it unfit.
    pub faults: Vec<Unfit>,
    /// What could not be looked at, or should be known.
    pub warnings: Vec<String>,
}

/// Why a Redis is not fit to hold mailboxes.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Unfit {
    /// It drops keys when its memory is full.
    #[error(
        "Redis {server}may drop keys when its memory is full: set `maxmemory-policy noeviction` (it is {policy}, with \
         maxmemory {limit}), or `redis.allow_eviction = true` if you know what you do"
    )]
    Evicts {
        /// Which, with a space behind it; empty for the only one.
        server: String,
        /// Its `maxmemory-policy`.
        policy: String,
        /// Its `maxmemory` in bytes.
        limit: String,
    },
    /// It keeps nothing on disk.
    #[error(
        "Redis {server}keeps nothing on disk: set `appendonly yes` (recommended, with `appendfsync everysec`) or `save 60 \
         1`, or `redis.allow_no_persistence = true` if you know what you do"
    )]
    KeepsNothing {
        /// Which, with a space behind it; empty for the only one.
        server: String,
    },
}

impl Redis {
    /// Looks at the settings of every master.
    ///
    /// # Errors
    /// [`Error`] when Redis is away. A setting that it does not tell is a warning.
    pub async fn fitness(&self) -> Result<Fitness, Error> {
        let mut fitness = Fitness::default();
        match self.ask_masters::<String>(cmd("INFO").arg("memory")).await {
            Ok(answers) => {
                for (server, text) in answers {
                    let policy = field(&text, "maxmemory_policy").unwrap_or("noeviction");
                    let limit = field(&text, "maxmemory").unwrap_or("0");
                    if policy != "noeviction" && limit != "0" {
                        let (server, policy, limit) = (named(&server), policy.to_owned(), limit.to_owned());
                        fitness.faults.push(Unfit::Evicts { server, policy, limit });
                    }
                }
            }
            Err(error) if is_refusal(&error) => fitness.warnings.push(unseen("whether keys may be evicted", &error)),
            Err(error) => return Err(error),
        }
        self.look_at_persistence(&mut fitness).await?;
        Ok(fitness)
    }

    async fn look_at_persistence(&self, fitness: &mut Fitness) -> Result<(), Error> {
        let logs = match self.ask_masters::<String>(cmd("INFO").arg("persistence")).await {
            Ok(answers) => answers,
            Err(error) if is_refusal(&error) => {
                fitness.warnings.push(unseen("whether anything is kept on disk", &error));
                return Ok(());
            }
            Err(error) => return Err(error),
        };
        let without_log = logs.into_iter().filter(|(_, text)| field(text, "aof_enabled") != Some("1"));
        let mut without_log: Vec<String> = without_log.map(|(server, _)| server).collect();
        if without_log.is_empty() {
            return Ok(());
        }
        // How often snapshots are taken is a setting, and INFO does not show it.
        match self.snapshots().await {
            Ok(snapshots) => {
                without_log.retain(|server| snapshots.iter().any(|(of, save)| of == server && save.is_empty()));
                fitness.faults.extend(without_log.iter().map(|server| Unfit::KeepsNothing { server: named(server) }));
            }
            Err(error) if is_refusal(&error) => {
                fitness.warnings.push(unseen("whether snapshots are taken (there is no append-only file)", &error));
            }
            Err(error) => return Err(error),
        }
        Ok(())
    }

    /// The setting `save` of every master.
    async fn snapshots(&self) -> Result<Vec<(String, String)>, Error> {
        let answers: Vec<(String, HashMap<String, String>)> =
            self.ask_masters(cmd("CONFIG").arg("GET").arg("save")).await?;
        let save = |settings: HashMap<String, String>| settings.into_values().next().unwrap_or_default();
        Ok(answers.into_iter().map(|(server, settings)| (server, save(settings))).collect())
    }
}

fn named(server: &str) -> String {
    if server.is_empty() { String::new() } else { format!("at {server} ") }
}

fn unseen(what: &str, error: &Error) -> String {
    format!("{what} could not be seen: {}", spelled(error))
}
