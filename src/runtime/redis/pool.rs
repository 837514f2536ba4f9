//! Where connections come from: deadpool opens, checks and replaces them, for each of the three ways to run Redis.

use std::time::Duration;

use deadpool_redis::{PoolConfig, Runtime, Timeouts, cluster, sentinel};
use redis::aio::{ConnectionLike, MultiplexedConnection, PubSub};
use redis::cluster_async::ClusterConnection;
use redis::cluster_routing::{MultipleNodeRoutingInfo, RoutingInfo};
use redis::sentinel::{SentinelClient, SentinelNodeConnectionInfo, SentinelServerType};
use redis::{Client, Cmd, FromRedisValue, Pipeline, RedisError, RedisFuture, Value};
use tokio::sync::Mutex;

use super::address::{Address, Mode};
use super::error::Error;
use super::{CONNECT_LIMIT, LINES, RESPONSE_LIMIT};

/// Connections beside the lines: the watchdog's, and one that takes the place of another.
const SPARE: usize = 2;

enum Pools {
    Single(deadpool_redis::Pool),
    Sentinel(sentinel::Pool),
    Cluster(cluster::Pool),
}

/// The pool of connections, and the way to those that are not shared.
pub struct Pool {
    pools: Pools,
    address: Address,
    /// Whom the Sentinels are asked through.
    sentinels: Option<Mutex<SentinelClient>>,
}

impl Pool {
    /// A pool for `address`. Nothing is connected yet.
    pub fn new(address: Address) -> Result<Self, Error> {
        let config = PoolConfig {
            max_size: LINES + SPARE,
            timeouts: Timeouts {
                wait: Some(CONNECT_LIMIT),
                create: Some(CONNECT_LIMIT),
                recycle: Some(RESPONSE_LIMIT),
            },
            ..PoolConfig::default()
        };
        let unusable = |error: RedisError| Error::Unreachable(error.to_string());
        let runtime = Runtime::Tokio1;
        let seeds = address.seeds.clone();
        let mut sentinels = None;
        let pools = match &address.mode {
            Mode::Single => {
                let manager = deadpool_redis::Manager::new(seeds[0].clone()).map_err(unusable)?;
                let pool = deadpool_redis::Pool::builder(manager).config(config).runtime(runtime).build();
                Pools::Single(pool.map_err(|error| Error::Unreachable(error.to_string()))?)
            }
            Mode::Sentinel { master } => {
                let kind = sentinel::SentinelServerType::Master;
                let node = sentinel::SentinelNodeConnectionInfo {
                    tls_mode: address.tls().map(Into::into),
                    redis_connection_info: Some(login(&address)),
                };
                let manager =
                    sentinel::Manager::new(seeds.clone(), master.clone(), Some(node), kind).map_err(unusable)?;
                let mut node = SentinelNodeConnectionInfo::default().set_redis_connection_info(address.login.clone());
                if let Some(tls) = address.tls() {
                    node = node.set_tls_mode(tls);
                }
                let client = SentinelClient::build(seeds, master.clone(), Some(node), SentinelServerType::Master)
                    .map_err(unusable)?;
                sentinels = Some(Mutex::new(client));
                let pool = sentinel::Pool::builder(manager).config(config).runtime(runtime).build();
                Pools::Sentinel(pool.map_err(|error| Error::Unreachable(error.to_string()))?)
            }
            Mode::Cluster => {
                let manager = cluster::Manager::new(seeds, false).map_err(unusable)?;
                let pool = cluster::Pool::builder(manager).config(config).runtime(runtime).build();
                Pools::Cluster(pool.map_err(|error| Error::Unreachable(error.to_string()))?)
            }
        };
        Ok(Self { pools, address, sentinels })
    }

    /// A connection that was just made, or that just answered.
    pub async fn connection(&self) -> Result<Pooled, Error> {
        let unreachable = |error: &dyn std::error::Error| Error::Unreachable(with_causes(error));
        Ok(match &self.pools {
            Pools::Single(pool) => Pooled::Single(patient(pool.get().await.map_err(|error| unreachable(&error))?)),
            Pools::Sentinel(pool) => {
                let mut pooled = pool.get().await.map_err(|error| unreachable(&error))?;
                pooled.set_response_timeout(RESPONSE_LIMIT);
                Pooled::Sentinel(pooled)
            }
            Pools::Cluster(pool) => Pooled::Cluster(pool.get().await.map_err(|error| unreachable(&error))?),
        })
    }

    /// Lets go of all connections that nobody holds: they lead to a server that is not the one any more.
    pub fn forget(&self) {
        match &self.pools {
            Pools::Single(pool) => drop(pool.retain(|_, _| false)),
            Pools::Sentinel(pool) => drop(pool.retain(|_, _| false)),
            Pools::Cluster(pool) => drop(pool.retain(|_, _| false)),
        }
    }

    /// Where the master is, when Sentinels know it.
    pub async fn master(&self) -> Result<Option<String>, Error> {
        let Some(sentinels) = &self.sentinels else { return Ok(None) };
        let asked = async { sentinels.lock().await.async_get_client().await };
        let client = tokio::time::timeout(RESPONSE_LIMIT, asked).await.map_err(|_| Error::Silent(RESPONSE_LIMIT))??;
        Ok(Some(client.get_connection_info().addr().to_string()))
    }

    /// A connection of its own for news. In a Cluster any node will do; each further attempt takes the next one.
    pub async fn news(&self, attempt: usize) -> Result<PubSub, Error> {
        let connected = async {
            let client = match &self.sentinels {
                Some(sentinels) => sentinels.lock().await.async_get_client().await?,
                None => Client::open(self.address.seeds[attempt % self.address.seeds.len()].clone())?,
            };
            client.get_async_pubsub().await
        };
        let limit = CONNECT_LIMIT + RESPONSE_LIMIT;
        Ok(tokio::time::timeout(limit, connected).await.map_err(|_| Error::Silent(limit))??)
    }
}

fn login(address: &Address) -> deadpool_redis::RedisConnectionInfo {
    let login = &address.login;
    deadpool_redis::RedisConnectionInfo {
        db: login.db(),
        username: login.username().map(str::to_owned),
        password: login.password().map(str::to_owned),
        protocol: deadpool_redis::ProtocolVersion::default(),
    }
}

/// The library's own limit is half a second: a server that waits for its disk would often be over it.
fn patient(mut pooled: deadpool_redis::Connection) -> deadpool_redis::Connection {
    pooled.set_response_timeout(RESPONSE_LIMIT);
    pooled
}

fn with_causes(error: &dyn std::error::Error) -> String {
    let mut text = error.to_string();
    let mut cause = error.source();
    while let Some(next) = cause {
        let said = next.to_string();
        if !text.contains(&said) {
            text = format!("{text}: {said}");
        }
        cause = next.source();
    }
    text
}

/// A connection on loan from the pool.
pub enum Pooled {
    Single(deadpool_redis::Connection),
    Sentinel(sentinel::Connection),
    Cluster(cluster::Connection),
}

impl Pooled {
    /// The connection, to be shared: what is sent through its copies goes out together and is answered in turn.
    pub fn line(&self) -> Line {
        match self {
            Self::Single(pooled) => Line::One((**pooled).clone()),
            Self::Sentinel(pooled) => Line::One((**pooled).clone()),
            Self::Cluster(pooled) => Line::Cluster((**pooled).clone()),
        }
    }

    /// Takes a connection that is of no use out of the pool.
    pub fn discard(self) {
        match self {
            Self::Single(pooled) => drop(deadpool_redis::Connection::take(pooled)),
            Self::Sentinel(pooled) => drop(sentinel::Connection::take(pooled)),
            Self::Cluster(pooled) => drop(cluster::Connection::take(pooled)),
        }
    }
}

/// A connection that many use at once.
#[derive(Clone)]
pub enum Line {
    /// To one server.
    One(MultiplexedConnection),
    /// To all masters of a Cluster.
    Cluster(ClusterConnection),
}

impl Line {
    /// What every master answers to `command`, with its address; of a single server the address is empty.
    pub async fn ask_masters<T: FromRedisValue>(
        &mut self,
        command: &Cmd,
        limit: Duration,
    ) -> Result<Vec<(String, T)>, Error> {
        let asked = async {
            match self {
                Self::One(connection) => Ok(vec![(String::new(), command.query_async(connection).await?)]),
                Self::Cluster(connection) => {
                    let everyone = RoutingInfo::MultiNode((MultipleNodeRoutingInfo::AllMasters, None));
                    let answer = connection.route_command(command.clone(), everyone).await?;
                    let mut answers: Vec<(String, T)> = redis::from_redis_value(answer).map_err(RedisError::from)?;
                    answers.sort_by(|(one, _), (other, _)| one.cmp(other));
                    Ok(answers)
                }
            }
        };
        tokio::time::timeout(limit, asked).await.map_err(|_| Error::Silent(limit))?
    }
}

impl ConnectionLike for Line {
    fn req_packed_command<'a>(&'a mut self, cmd: &'a Cmd) -> RedisFuture<'a, Value> {
        match self {
            Self::One(connection) => connection.req_packed_command(cmd),
            Self::Cluster(connection) => connection.req_packed_command(cmd),
        }
    }

    fn req_packed_commands<'a>(
        &'a mut self,
        cmd: &'a Pipeline,
        offset: usize,
        count: usize,
    ) -> RedisFuture<'a, Vec<Value>> {
        match self {
            Self::One(connection) => connection.req_packed_commands(cmd, offset, count),
            Self::Cluster(connection) => connection.req_packed_commands(cmd, offset, count),
        }
    }

    fn get_db(&self) -> i64 {
        match self {
            Self::One(connection) => connection.get_db(),
            Self::Cluster(connection) => connection.get_db(),
        }
    }
}
