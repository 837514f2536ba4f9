//! News by Redis: bulletins on one channel, progress in hashes that end by themselves.

use std::collections::BTreeMap;

use async_trait::async_trait;
use tokio::sync::Mutex;

use super::{Away, Heard, PROGRESS_KEPT, ProgressChange, Wire};
use crate::domain::{Address, EffectNo};
use crate::runtime::redis::{Error, News, Redis, Subscription, cmd, pipe};

/// The channel that all nodes of the installation hear.
const CHANNEL: &str = "news";

/// A node's end of the wire.
pub struct RedisWire {
    redis: Redis,
    channel: String,
    ear: Mutex<Subscription>,
}

impl From<Error> for Away {
    fn from(error: Error) -> Self {
        Self(error.to_string())
    }
}

impl RedisWire {
    /// Begins to listen.
    #[must_use]
    pub fn new(redis: Redis) -> Self {
        let channel = redis.key(CHANNEL);
        let ear = Mutex::new(redis.subscribe(&channel));
        Self { redis, channel, ear }
    }

    /// All progress lies in one slot of a Cluster, so that it is written in one go.
    fn key(&self, actor: &Address) -> String {
        self.redis.key(&format!("{{progress}}:{actor}"))
    }
}

#[async_trait]
impl Wire for RedisWire {
    async fn publish(&self, bulletin: String) -> Result<(), Away> {
        self.redis.query::<()>(cmd("PUBLISH").arg(&self.channel).arg(bulletin)).await?;
        Ok(())
    }

    async fn hear(&self) -> Heard {
        match self.ear.lock().await.next().await {
            News::Message(bulletin) => Heard::Bulletin(bulletin.as_ref().to_owned()),
            News::Gap => Heard::Gap,
        }
    }

    async fn keep_progress(&self, changes: Vec<ProgressChange>) -> Result<(), Away> {
        let kept_ms = u64::try_from(PROGRESS_KEPT.as_millis()).unwrap_or(u64::MAX);
        let mut commands = pipe();
        for ProgressChange { actor, effect, fraction } in changes {
            let (key, field) = (self.key(&actor), format!("{}:{}", effect.version, effect.index));
            match fraction {
                Some(fraction) => {
                    commands.cmd("HSET").arg(&key).arg(field).arg(fraction).ignore();
                    commands.cmd("PEXPIRE").arg(&key).arg(kept_ms).ignore();
                }
                None => drop(commands.cmd("HDEL").arg(&key).arg(field).ignore()),
            }
        }
        self.redis.pipeline::<()>(&commands).await?;
        Ok(())
    }

    async fn progress(&self, actor: &Address) -> Result<BTreeMap<EffectNo, f32>, Away> {
        let stored: BTreeMap<String, f32> = self.redis.query(cmd("HGETALL").arg(self.key(actor))).await?;
        let effect = |field: &str| {
            let (version, index) = field.split_once(':')?;
            Some(EffectNo { version: version.parse().ok()?, index: index.parse().ok()? })
        };
        Ok(stored.iter().filter_map(|(field, fraction)| Some((effect(field)?, *fraction))).collect())
    }
}
