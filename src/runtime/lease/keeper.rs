//! Keeps a node's leases: carries out what the planner decides, on a thread of its own.
//!
//! What a partition's machines do must not delay a renewal, so that a decision that loops harms one node (its watchdog
//! ends it) and not, by a lease that ran out, one node after the other.

use std::collections::BTreeMap;
use std::sync::{Arc, PoisonError, RwLock};
use std::time::Duration;

use sea_orm::sqlx;
use sea_orm::sqlx::postgres::{PgConnectOptions, PgListener, PgPoolOptions};
use tokio::sync::{Notify, mpsc};

use super::planner::{Answer, Command, Event, Planner, Round};
use super::store::{CHANNEL, Error, Store};
use super::{Epoch, Identity, Lease, NodeId, Options, View};
use crate::runtime::clock::{Monotonic, monotonic};

/// How long to wait before it is listened again for the others; until then they are found by looking.
const LISTEN_AGAIN: Duration = Duration::from_secs(1);
/// What the root is told to do.
#[derive(Debug)]
pub enum Order {
    /// Open a partition under this lease.
    Open(u32, Lease),
    /// Finish what is in hand of a partition; report [`Report::Drained`].
    Drain(u32),
    /// Stop everything of a partition, now.
    Close(u32),
    /// The node is a member: it has what it can have for now.
    Joined,
    /// Everything was given back.
    Left,
}

/// What the root tells.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Report {
    /// Nothing of the partition is in hand any more.
    Drained(u32, Epoch),
    /// The journal refused what was decided in this epoch.
    Fenced(u32, Epoch),
    /// The partition holds what only a newer release can read.
    Newer(u32),
    /// The node ends.
    Leave,
}

/// How everything stood at the last round.
#[derive(Clone, Debug)]
pub struct Seen {
    /// This node.
    pub me: NodeId,
    /// What the database said.
    pub view: View,
    /// When.
    at: Monotonic,
}

impl Seen {
    /// For how long nothing newer has been heard, in milliseconds.
    #[must_use]
    pub fn age_ms(&self) -> i64 {
        monotonic().since_ms(self.at)
    }
}

/// The way to a running keeper.
pub struct Door {
    /// What the root is told.
    pub orders: mpsc::UnboundedReceiver<Order>,
    /// What the root tells.
    pub reports: mpsc::UnboundedSender<Report>,
    /// How everything stood at the last round.
    pub seen: Arc<RwLock<Seen>>,
}

/// Keeps the leases of one node.
pub struct Keeper {
    me: NodeId,
    planner: Planner,
    leases: BTreeMap<u32, Lease>,
    orders: mpsc::UnboundedSender<Order>,
    seen: Arc<RwLock<Seen>>,
    /// The round that the planner wants.
    ask: Option<Round>,
    left: bool,
}

impl Keeper {
    /// Starts the thread for a node of this generation. It ends when everything was given back, or its door is dropped.
    ///
    /// # Errors
    /// [`Error`] when the database cannot be reached or the system gives no thread.
    pub async fn start(options: Options, generation: u32, partitions: u32) -> Result<Door, Error> {
        let Options { url, node, limits } = options;
        let me = Identity::draw(node, generation);
        // Here, not on the thread: who cannot reach the database finds out at the start.
        let mut store = Store::open(&url, me.clone(), limits, partitions).await?;
        // The thread's runtime needs a connection of its own.
        store.disconnect();
        let (orders, ordered) = mpsc::unbounded_channel();
        let (reports, reported) = mpsc::unbounded_channel();
        let seen = Arc::new(RwLock::new(Seen { me: me.id.clone(), view: View::default(), at: monotonic() }));
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().map_err(Error::Thread)?;
        let keeper = Self {
            me: me.id.clone(),
            planner: Planner::new(me, limits),
            leases: BTreeMap::new(),
            orders,
            seen: seen.clone(),
            ask: None,
            left: false,
        };
        let thread = std::thread::Builder::new().name("leases".to_owned());
        thread.spawn(move || runtime.block_on(keeper.run(store, reported))).map_err(Error::Thread)?;
        Ok(Door { orders: ordered, reports, seen })
    }

    async fn run(mut self, store: Store, mut reported: mpsc::UnboundedReceiver<Report>) {
        let bell = Arc::new(Notify::new());
        let listening = tokio::spawn(listen(store.options(), self.me.clone(), bell.clone()));
        let mut idle = Some(store);
        let mut under_way = None;
        self.happened(Event::Tick);
        while !self.left && !self.orders.is_closed() {
            if let Some(mut store) = idle.take_if(|_| self.ask.is_some())
                && let Some(round) = self.ask.take()
            {
                under_way = Some(Box::pin(async move {
                    let answer = store.round(&round).await;
                    (store, answer)
                }));
            }
            let wake =
                Duration::from_millis(self.planner.next_wake().since_ms(monotonic()).clamp(0, 60_000).unsigned_abs());
            let answered = async {
                match &mut under_way {
                    Some(round) => round.await,
                    None => std::future::pending().await,
                }
            };
            let event = tokio::select! {
                () = tokio::time::sleep(wake) => Event::Tick,
                () = bell.notified() => Event::Rung,
                report = reported.recv() => match report {
                    Some(Report::Drained(partition, epoch)) => Event::Drained { partition, epoch },
                    Some(Report::Fenced(partition, epoch)) => Event::Fenced { partition, epoch },
                    Some(Report::Newer(partition)) => Event::Newer { partition },
                    Some(Report::Leave) => Event::Leave,
                    None => break,
                },
                (store, answer) = answered => {
                    idle = Some(store);
                    under_way = None;
                    self.answered(answer)
                }
            };
            self.happened(event);
        }
        listening.abort();
        // Whatever is left is not ours any more as soon as nobody renews it.
        self.leases.values().for_each(Lease::end);
    }

    fn answered(&self, answer: Result<Answer, Error>) -> Event {
        match answer {
            Ok(answer) => {
                let seen = Seen { me: self.me.clone(), view: answer.view.clone(), at: monotonic() };
                *self.seen.write().unwrap_or_else(PoisonError::into_inner) = seen;
                Event::Answered(answer)
            }
            Err(error) => {
                tracing::warn!(error = &error as &dyn std::error::Error, "leases were not renewed; it is tried again");
                Event::Unanswered
            }
        }
    }

    fn happened(&mut self, event: Event) {
        for command in self.planner.on_event(event, monotonic()) {
            self.carry_out(command);
        }
    }

    fn carry_out(&mut self, command: Command) {
        match command {
            Command::Ask(round) => self.ask = Some(round),
            Command::Open { partition, epoch, until } => {
                tracing::info!(partition, epoch = epoch.0, "a partition is ours");
                let lease = Lease::new(epoch, until);
                self.leases.insert(partition, lease.clone());
                self.order(Order::Open(partition, lease));
            }
            Command::Extend { partitions, until } => {
                for lease in partitions.iter().filter_map(|partition| self.leases.get(partition)) {
                    lease.renew(until);
                }
            }
            Command::Drain { partition } => self.order(Order::Drain(partition)),
            Command::Close { partition } => {
                tracing::warn!(partition, "a partition is not ours any more: what runs of it is stopped");
                if let Some(lease) = self.leases.remove(&partition) {
                    lease.end();
                }
                self.order(Order::Close(partition));
            }
            Command::Joined => self.order(Order::Joined),
            Command::Left => {
                self.left = true;
                self.order(Order::Left);
            }
        }
    }

    fn order(&self, order: Order) {
        if self.orders.send(order).is_err() {
            tracing::debug!("nobody carries out orders any more");
        }
    }
}

/// Rings when another node says that something changed. Without it, changes are found at the next renewal.
async fn listen(options: PgConnectOptions, me: NodeId, bell: Arc<Notify>) {
    loop {
        if let Err(error) = listen_once(&options, &me, &bell).await {
            tracing::debug!(%error, "other nodes are not heard; they are looked for at each renewal");
        }
        tokio::time::sleep(LISTEN_AGAIN).await;
    }
}

async fn listen_once(options: &PgConnectOptions, me: &NodeId, bell: &Notify) -> Result<(), sqlx::Error> {
    let pool = PgPoolOptions::new().max_connections(1).connect_with(options.clone()).await?;
    let mut listener = PgListener::connect_with(&pool).await?;
    listener.listen(CHANNEL).await?;
    // What was said before it was listened.
    bell.notify_one();
    while let Some(said) = listener.try_recv().await? {
        if said.payload() != &*me.0 {
            bell.notify_one();
        }
    }
    Ok(())
}
