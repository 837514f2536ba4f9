//! Permits that several rooms of one process share: the ledger itself, for tests and simulations. It can be made to
//! forget, and to be away.

use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, PoisonError};

use async_trait::async_trait;
use tokio::sync::{Mutex as AsyncMutex, broadcast};
use tokio::time::Instant;
use uuid::Uuid;

use super::ledger::Ledger;
use super::permits::{Away, Everywhere, Grant, Permits, Ring, Saying, Terms};
use crate::domain::Timestamp;

/// Rings that wait for a node; one that falls further behind has a gap.
const WAITING_MAX: usize = 1_024;

/// One node's way to the ledger.
pub struct InProcess {
    common: Arc<Common>,
    ear: AsyncMutex<broadcast::Receiver<(Uuid, Vec<Arc<str>>)>>,
    /// Whom it belongs to, once it has spoken.
    node: Mutex<Option<Uuid>>,
}

struct Common {
    ledger: Mutex<Ledger>,
    begun: Instant,
    rings: broadcast::Sender<(Uuid, Vec<Arc<str>>)>,
    is_away: AtomicBool,
}

impl Common {
    fn now(&self) -> Timestamp {
        Timestamp(i64::try_from(self.begun.elapsed().as_millis()).unwrap_or(i64::MAX))
    }

    fn ledger<T>(&self, ask: impl FnOnce(&mut Ledger) -> T) -> Result<T, Away> {
        if self.is_away.load(Ordering::SeqCst) {
            return Err(Away("it is away".to_owned()));
        }
        Ok(ask(&mut self.ledger.lock().unwrap_or_else(PoisonError::into_inner)))
    }
}

impl InProcess {
    /// A ledger of its own.
    #[must_use]
    pub fn new(terms: Terms) -> Self {
        let (rings, ear) = broadcast::channel(WAITING_MAX);
        let lease_ms = i64::try_from(terms.lease.as_millis()).unwrap_or(i64::MAX);
        let ledger = Mutex::new(Ledger::new(lease_ms));
        let common = Arc::new(Common { ledger, begun: Instant::now(), rings, is_away: AtomicBool::new(false) });
        Self { common, ear: AsyncMutex::new(ear), node: Mutex::default() }
    }

    /// Another node's way to the same ledger.
    #[must_use]
    pub fn another_end(&self) -> Self {
        let ear = AsyncMutex::new(self.common.rings.subscribe());
        Self { common: self.common.clone(), ear, node: Mutex::default() }
    }

    /// The ledger loses everything.
    pub fn forget(&self) {
        self.common.ledger.lock().unwrap_or_else(PoisonError::into_inner).forget();
    }

    /// The ledger does not answer, or does again.
    pub fn set_away(&self, is_away: bool) {
        self.common.is_away.store(is_away, Ordering::SeqCst);
    }
}

#[async_trait]
impl Permits for InProcess {
    async fn exchange(&self, saying: Saying) -> Result<Vec<Grant>, Away> {
        *self.node.lock().unwrap_or_else(PoisonError::into_inner) = Some(saying.node);
        let now = self.common.now();
        let (grants, rings) = self.common.ledger(|ledger| ledger.exchange(now, &saying))?;
        if !rings.is_empty() {
            // This end listens itself.
            let _ = self.common.rings.send((saying.node, rings));
        }
        Ok(grants)
    }

    async fn rang(&self) -> Ring {
        let mut ear = self.ear.lock().await;
        loop {
            match ear.recv().await {
                Ok((node, _)) if *self.node.lock().unwrap_or_else(PoisonError::into_inner) == Some(node) => {}
                Ok((_, keys)) => return Ring::Keys(keys),
                Err(broadcast::error::RecvError::Lagged(_)) => return Ring::Gap,
                Err(broadcast::error::RecvError::Closed) => std::future::pending().await,
            }
        }
    }

    async fn everywhere(&self) -> Result<Everywhere, Away> {
        let now = self.common.now();
        self.common.ledger(|ledger| ledger.everywhere(now))
    }
}
