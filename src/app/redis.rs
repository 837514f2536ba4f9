//! Redis, where the mailboxes are in it: opened, looked at, and refused when it may not be trusted with them.

use std::sync::Arc;
use std::time::Duration;

use uuid::Uuid;

use super::Error;
use crate::config::{self, Backend, Config};
use crate::runtime::clock::SystemClock;
use crate::runtime::redis::{self, Fitness, Redis, Unfit};
use crate::store::{Database, settings};

/// The setting that holds what the installation's keys begin with.
const PREFIX: &str = "redis_prefix";
/// How long the start waits for Redis. Without it tasks are accepted and wait.
const START_LIMIT: Duration = Duration::from_secs(5);

/// Redis, when the mailboxes are in it.
pub(super) async fn open(config: &Config, database: &Database, clock: SystemClock) -> Result<Option<Redis>, Error> {
    if config.mailbox.backend != Backend::Redis {
        return Ok(None);
    }
    let drawn = format!("mixvideo-{}", &Uuid::new_v4().simple().to_string()[..12]);
    let prefix = settings::decide(database, PREFIX, &drawn).await?;
    let redis = connect(&config.redis, prefix, clock)?;
    if let Err(error) = redis.reached(START_LIMIT).await {
        tracing::warn!(%error, "tasks are accepted and wait until Redis answers; its settings are looked at then");
        look_later(redis.clone(), config.redis.clone());
        return Ok(Some(redis));
    }
    let fitness = redis.fitness().await.map_err(Error::Redis)?;
    for warning in &fitness.warnings {
        tracing::warn!("{warning}");
    }
    match faults(&config.redis, fitness).into_iter().next() {
        Some(unfit) => Err(Error::Unfit(unfit)),
        None => Ok(Some(redis)),
    }
}

/// Connects as the configuration says.
///
/// # Errors
/// [`Error::RedisUrl`] or [`Error::Redis`]; whether it answers is another matter.
pub fn connect(config: &config::Redis, prefix: String, clock: SystemClock) -> Result<Redis, Error> {
    let address = redis::Address::parse(config.address()).map_err(Error::RedisUrl)?;
    Redis::start(address, prefix, Arc::new(clock)).map_err(Error::Redis)
}

/// What is not forgiven.
#[must_use]
pub fn faults(config: &config::Redis, fitness: Fitness) -> Vec<Unfit> {
    let forgiven = |unfit: &Unfit| match unfit {
        Unfit::Evicts { .. } => config.allow_eviction,
        Unfit::KeepsNothing { .. } => config.allow_no_persistence,
    };
    fitness.faults.into_iter().filter(|unfit| !forgiven(unfit)).collect()
}

/// A service that runs does not end because of what it finds; it says so.
fn look_later(redis: Redis, config: config::Redis) {
    actix::spawn(async move {
        while redis.reached(START_LIMIT).await.is_err() {}
        match redis.fitness().await {
            Ok(fitness) => {
                for unfit in faults(&config, fitness) {
                    tracing::error!("{unfit}; the next start will be refused");
                }
            }
            Err(error) => tracing::warn!(%error, "the settings of Redis could not be looked at"),
        }
    });
}
