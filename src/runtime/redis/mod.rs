//! Redis: connections to a server, to the master that Sentinels know, or to a Cluster; scripts; news; and a watchdog.
//!
//! [`Redis`] is the door. Commands of many callers share a few connections (`lines`) and go out together; `pool` opens and
//! replaces them, `watchdog` notices within a second or two that a server is away, was restarted or was replaced, and
//! `subscription` keeps a connection for news. All of it lives on a thread of its own, so that it outlasts the runtimes
//! of those who use it.
//!
//! What is kept in Redis may be forgotten at any moment, by a restart its last second. Whoever relies on it watches
//! [`Redis::renewals`], and looks again after every [`News::Gap`].
//!
//! Every key begins with the installation's prefix ([`Redis::key`]), so that several share a server. Keys that one script
//! or pipeline touches lie in one slot of a Cluster: they share what stands between braces.

mod address;
mod check;
mod error;
mod pool;
mod script;
mod standing;
mod subscription;
mod watchdog;

use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use redis::{Cmd, Pipeline};
use tokio::runtime::Handle;
use tokio::sync::{Notify, oneshot, watch};

pub use self::address::{Address, AddressFault, Mode};
pub use self::check::{Fitness, Unfit};
pub use self::error::Error;
use self::pool::{Line, Pool, Pooled};
pub use self::script::{Args, Script};
pub use self::standing::{Absence, Server, Standing};
use self::subscription::Desk;
pub use self::subscription::{NEWS_MAX, News, Subscription};
use super::clock::Clock;

pub use redis::{FromRedisValue, Value, cmd, pipe};

/// How long opening a connection may take.
pub const CONNECT_LIMIT: Duration = Duration::from_millis(1_500);
/// How long an answer may take before it counts as lost.
pub const RESPONSE_LIMIT: Duration = Duration::from_secs(2);
/// How often the watchdog looks.
pub const WATCH_EVERY: Duration = Duration::from_millis(500);
/// Connections that callers share: more than one, so that a long answer does not hold up all of them.
const LINES: usize = 2;

/// A Redis. Copies share everything; the last one to be dropped ends it.
#[derive(Clone)]
pub struct Redis(Arc<Inner>);

struct Inner {
    prefix: String,
    shared: Arc<Shared>,
    desk: Arc<Desk>,
    home: Handle,
    /// Ends the thread when it is dropped.
    _end: oneshot::Sender<()>,
}

/// What callers, watchdog and news share.
struct Shared {
    pool: Arc<Pool>,
    lines: [tokio::sync::Mutex<Option<Kept>>; LINES],
    next_line: AtomicUsize,
    standing: Mutex<Standing>,
    /// Counts the lines that were given up, so that one that failed twice is not replaced twice.
    numbers: AtomicUsize,
    renewals: watch::Sender<u64>,
    reached: watch::Sender<bool>,
    /// A connection failed: the watchdog looks at once.
    alarm: Notify,
    clock: Arc<dyn Clock>,
}

/// A connection of the pool that is kept and shared.
struct Kept {
    number: usize,
    line: Line,
    pooled: Pooled,
}

impl Redis {
    /// Begins to connect to `address`, and answers at once. Keys begin with `prefix`.
    ///
    /// # Errors
    /// [`Error::Thread`] when there is no thread to be had, [`Error::Unreachable`] when the address cannot be used.
    pub fn start(address: Address, prefix: impl Into<String>, clock: Arc<dyn Clock>) -> Result<Self, Error> {
        let standing = Standing {
            mode: address.mode().name(),
            address: address.to_string(),
            away: Some(Absence { since: clock.now(), error: "it has not answered yet".to_owned() }),
            ..Standing::default()
        };
        let pool = Arc::new(Pool::new(address)?);
        let shared = Arc::new(Shared {
            pool: pool.clone(),
            lines: Default::default(),
            next_line: AtomicUsize::new(0),
            standing: Mutex::new(standing),
            numbers: AtomicUsize::new(0),
            renewals: watch::Sender::new(0),
            reached: watch::Sender::new(false),
            alarm: Notify::new(),
            clock,
        });
        let desk = Arc::new(Desk::default());
        let renewed = Arc::new(Notify::new());
        let (end, ended) = oneshot::channel::<()>();
        let runtime = tokio::runtime::Builder::new_current_thread()
            .enable_all()
            .build()
            .map_err(|error| Error::Thread(error.to_string()))?;
        let home = runtime.handle().clone();
        let (watched, heard) = (shared.clone(), desk.clone());
        let end_of_thread = EndOfThread(shared.clone());
        let run = move || {
            let _said_at_the_end = end_of_thread;
            runtime.block_on(async move {
                let news = tokio::spawn(heard.clone().run(pool, renewed.clone()));
                tokio::select! {
                    () = watchdog::run(&watched, &heard, &renewed) => {}
                    // The last `Redis` is gone.
                    _ = ended => {}
                }
                news.abort();
            });
            // Commands that are under way are not waited for.
            runtime.shutdown_background();
        };
        std::thread::Builder::new()
            .name("redis".to_owned())
            .spawn(run)
            .map_err(|error| Error::Thread(error.to_string()))?;
        Ok(Self(Arc::new(Inner { prefix: prefix.into(), shared, desk, home, _end: end })))
    }

    /// Waits until Redis has answered once.
    ///
    /// # Errors
    /// [`Error::Away`] when it has not within `limit`.
    pub async fn reached(&self, limit: Duration) -> Result<(), Error> {
        let mut reached = self.0.shared.reached.subscribe();
        match tokio::time::timeout(limit, reached.wait_for(|reached| *reached)).await {
            Ok(Ok(_)) => Ok(()),
            _ => Err(Error::Away(self.standing().away.map_or_else(String::new, |away| away.error))),
        }
    }

    /// The installation's key of this name.
    #[must_use]
    pub fn key(&self, name: &str) -> String {
        format!("{}:{name}", self.0.prefix)
    }

    /// How Redis is doing.
    #[must_use]
    pub fn standing(&self) -> Standing {
        Standing { hears: self.0.desk.hears(), ..self.0.shared.standing().clone() }
    }

    /// Counts up whenever a server was restarted or replaced, so that it may lack what it was told last; or came back
    /// without saying who it is.
    #[must_use]
    pub fn renewals(&self) -> watch::Receiver<u64> {
        self.0.shared.renewals.subscribe()
    }

    /// Subscribes to news of `channel`, a key of this installation.
    #[must_use]
    pub fn subscribe(&self, channel: &str) -> Subscription {
        self.0.desk.subscribe(channel)
    }

    /// Sends a command.
    ///
    /// # Errors
    /// [`Error`].
    pub async fn query<T: FromRedisValue>(&self, command: &Cmd) -> Result<T, Error> {
        let (number, mut line) = self.line().await?;
        self.judged(number, async { command.query_async(&mut line).await }).await
    }

    /// Sends several commands in one go; their keys lie in one slot.
    ///
    /// # Errors
    /// [`Error`]: of the first command that failed; the others may have been carried out.
    pub async fn pipeline<T: FromRedisValue>(&self, commands: &Pipeline) -> Result<T, Error> {
        let (number, mut line) = self.line().await?;
        self.judged(number, async { commands.query_async(&mut line).await }).await
    }

    /// What every master answers to a command, with its address; of a single server the address is empty.
    ///
    /// # Errors
    /// [`Error`]: of the first that failed.
    pub async fn ask_masters<T: FromRedisValue>(&self, command: &Cmd) -> Result<Vec<(String, T)>, Error> {
        let (_, mut line) = self.line().await?;
        line.ask_masters(command, RESPONSE_LIMIT).await
    }

    async fn judged<T>(&self, number: usize, asked: impl Future<Output = redis::RedisResult<T>>) -> Result<T, Error> {
        // A Cluster's connection has no limit of its own.
        let answer = match tokio::time::timeout(RESPONSE_LIMIT, asked).await {
            Ok(answer) => answer.map_err(Error::from),
            Err(_) => Err(Error::Silent(RESPONSE_LIMIT)),
        };
        if let Err(error) = &answer
            && error.spoils_connection()
        {
            self.0.shared.give_up(number).await;
        }
        answer
    }

    /// A connection to share; one is opened when there is none.
    async fn line(&self) -> Result<(usize, Line), Error> {
        let shared = &self.0.shared;
        shared.is_here()?;
        let place = shared.next_line.fetch_add(1, Ordering::Relaxed) % LINES;
        let mut place = shared.lines[place].lock().await;
        if let Some(kept) = &*place {
            return Ok((kept.number, kept.line.clone()));
        }
        shared.is_here()?;
        // Opened at home: a connection ends with the runtime that it was opened on.
        let pool = shared.pool.clone();
        let opened = self.0.home.spawn(async move { pool.connection().await }).await;
        let opened = opened.unwrap_or_else(|gone| Err(Error::Thread(gone.to_string())));
        let pooled = opened.inspect_err(|_| shared.alarm.notify_one())?;
        let number = shared.numbers.fetch_add(1, Ordering::Relaxed);
        let line = pooled.line();
        *place = Some(Kept { number, line: line.clone(), pooled });
        Ok((number, line))
    }
}

/// Without its thread nothing is reached; whoever looks is to know, also when it ended by a panic.
struct EndOfThread(Arc<Shared>);

impl Drop for EndOfThread {
    fn drop(&mut self) {
        let error = "the thread of the connections has ended: start the service again".to_owned();
        self.0.standing().away = Some(Absence { since: self.0.clock.now(), error });
    }
}

impl Shared {
    fn standing(&self) -> MutexGuard<'_, Standing> {
        self.standing.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// A single server that is away is not asked again and again. Of a Cluster some other part may well be there.
    fn is_here(&self) -> Result<(), Error> {
        let standing = self.standing();
        match &standing.away {
            Some(away) if standing.mode != Mode::Cluster.name() || standing.servers.is_empty() => {
                Err(Error::Away(away.error.clone()))
            }
            _ => Ok(()),
        }
    }

    /// This connection is of no use any more.
    async fn give_up(&self, number: usize) {
        self.alarm.notify_one();
        for place in &self.lines {
            if let Some(kept) = place.lock().await.take_if(|kept| kept.number == number) {
                kept.pooled.discard();
            }
        }
    }

    /// None of the connections is to be used any more.
    async fn give_up_all(&self) {
        for place in &self.lines {
            if let Some(kept) = place.lock().await.take() {
                kept.pooled.discard();
            }
        }
        self.pool.forget();
    }
}
