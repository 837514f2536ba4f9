//! The permits of all nodes in Redis: the ledger as a script, on Redis' clock.

use std::collections::HashMap;
use std::sync::{Arc, OnceLock};

use async_trait::async_trait;
use serde::Deserialize;
use tokio::sync::Mutex;
use uuid::Uuid;

use super::permits::{Away, Everywhere, Grant, Permits, Ring, Saying, Terms};
use crate::runtime::redis::{Args, Error, News, Redis, Script, Subscription, cmd};

/// What the keys of all permits begin with. They lie in one slot of a Cluster, because one script touches many.
const BASE: &str = "{permits}";
/// The channel on which nodes hear that permits are to be had, or to be given back.
const CHANNEL: &str = "permits";

/// A node's way to the permits.
pub struct RedisPermits {
    redis: Redis,
    script: Script,
    base: String,
    channel: String,
    lease_ms: u64,
    ear: Mutex<Subscription>,
    /// Whom it belongs to, once it has spoken.
    node: OnceLock<Uuid>,
}

/// What the script publishes.
#[derive(Deserialize)]
struct Rung {
    node: Uuid,
    keys: Vec<Arc<str>>,
}

impl From<Error> for Away {
    fn from(error: Error) -> Self {
        Self(error.to_string())
    }
}

impl RedisPermits {
    /// The permits of the installation.
    #[must_use]
    pub fn new(redis: Redis, terms: Terms) -> Self {
        let (base, channel) = (redis.key(BASE), redis.key(CHANNEL));
        let ear = Mutex::new(redis.subscribe(&channel));
        let lease_ms = u64::try_from(terms.lease.as_millis()).unwrap_or(u64::MAX);
        let script = Script::new(include_str!("permits.lua"));
        Self { redis, script, base, channel, lease_ms, ear, node: OnceLock::new() }
    }
}

#[async_trait]
impl Permits for RedisPermits {
    async fn exchange(&self, saying: Saying) -> Result<Vec<Grant>, Away> {
        let node = self.node.get_or_init(|| saying.node);
        let mut args = Args::default().with(node.to_string()).with(saying.number).with(self.lease_ms);
        args.push(saying.totals.running);
        args.push(saying.totals.waiting);
        args.push(&self.channel);
        for statement in &saying.statements {
            args.push(&*statement.key);
            args.push(statement.limit);
            args.push(statement.held);
            args.push(statement.wanted);
        }
        let answers: Vec<i64> = self.script.run(&self.redis, &self.base, &args).await?;
        let pairs = saying.statements.into_iter().zip(answers.chunks_exact(2));
        let grant = |(statement, answer): (super::Statement, &[i64])| {
            let permits = |count: i64| u32::try_from(count).ok();
            Some(Grant { key: statement.key, held: permits(answer[0])?, keep: permits(answer[1])? })
        };
        Ok(pairs.filter_map(grant).collect())
    }

    async fn rang(&self) -> Ring {
        let mut ear = self.ear.lock().await;
        loop {
            let News::Message(text) = ear.next().await else { return Ring::Gap };
            match serde_json::from_str::<Rung>(&text) {
                Ok(rung) if self.node.get() == Some(&rung.node) => {}
                Ok(rung) => return Ring::Keys(rung.keys),
                Err(error) => {
                    tracing::warn!(%error, "a ring for permits could not be read");
                    return Ring::Gap;
                }
            }
        }
    }

    async fn everywhere(&self) -> Result<Everywhere, Away> {
        let time: (i64, i64) = self.redis.query(&cmd("TIME")).await?;
        let now_ms = time.0 * 1_000 + time.1 / 1_000;
        let nodes: HashMap<String, String> =
            self.redis.query(cmd("HGETALL").arg(format!("{}:nodes", self.base))).await?;
        let mut everywhere = Everywhere::default();
        for standing in nodes.values() {
            let figures: Vec<i64> = standing.split(' ').filter_map(|figure| figure.parse().ok()).collect();
            let [running, waiting, until_ms] = figures[..] else { continue };
            if until_ms > now_ms {
                everywhere.nodes += 1;
                everywhere.totals.running += usize::try_from(running).unwrap_or(0);
                everywhere.totals.waiting += usize::try_from(waiting).unwrap_or(0);
            }
        }
        Ok(everywhere)
    }
}
