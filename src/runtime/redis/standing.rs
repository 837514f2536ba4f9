//! How Redis is doing, in words.

use crate::domain::Timestamp;

/// A server that holds data.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Server {
    /// Where it is; empty when it is the one that `redis.url` names.
    pub address: String,
    /// What it was called when it started: another name means that it started anew. Empty when it does not say.
    pub run_id: String,
    /// Which history of changes it continues: another one means that it may lack what the last master was told.
    pub history: String,
    /// Its release.
    pub version: String,
}

/// Redis does not answer.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Absence {
    /// Since when.
    pub since: Timestamp,
    /// What was said last.
    pub error: String,
}

/// How Redis is doing.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Standing {
    /// How it is run.
    pub mode: &'static str,
    /// Its address without its password.
    pub address: String,
    /// The masters, as they were seen last.
    pub servers: Vec<Server>,
    /// Since when it is away, and why; `None` while it answers.
    pub away: Option<Absence>,
    /// How often a server was found restarted or replaced, or came back without saying who it is.
    pub renewals: u64,
    /// Whether news of other nodes arrives.
    pub hears: bool,
    /// What an operator should know.
    pub warnings: Vec<String>,
}

impl Standing {
    /// In a sentence.
    #[must_use]
    pub fn sentence(&self, now: Timestamp) -> String {
        match &self.away {
            Some(away) => {
                let seconds = now.since_ms(away.since).max(0) / 1_000;
                format!("Redis at {} has been away for {seconds} s: {}", self.address, away.error)
            }
            None if !self.hears => format!("Redis at {} answers, but its news do not arrive", self.address),
            None => format!("Redis at {} answers ({})", self.address, self.mode),
        }
    }
}
