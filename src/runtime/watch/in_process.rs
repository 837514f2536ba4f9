//! A wire within one process, for several hubs in it. It keeps progress for as long as it lives.

use std::collections::{BTreeMap, HashMap};
use std::sync::{Arc, Mutex};

use async_trait::async_trait;
use tokio::sync::{Mutex as AsyncMutex, broadcast};

use super::{Away, Heard, ProgressChange, Wire, lock};
use crate::domain::{Address, EffectNo};

/// Bulletins that wait for a node; one that falls further behind has a gap.
const WAITING_MAX: usize = 1_024;

/// One node's end of the wire.
pub struct InProcess {
    channel: broadcast::Sender<String>,
    ear: AsyncMutex<broadcast::Receiver<String>>,
    progress: Arc<Mutex<HashMap<Address, BTreeMap<EffectNo, f32>>>>,
}

impl Default for InProcess {
    fn default() -> Self {
        let (channel, ear) = broadcast::channel(WAITING_MAX);
        Self { channel, ear: AsyncMutex::new(ear), progress: Arc::default() }
    }
}

impl InProcess {
    /// Another node's end.
    #[must_use]
    pub fn another_end(&self) -> Self {
        let ear = AsyncMutex::new(self.channel.subscribe());
        Self { channel: self.channel.clone(), ear, progress: self.progress.clone() }
    }
}

#[async_trait]
impl Wire for InProcess {
    async fn publish(&self, bulletin: String) -> Result<(), Away> {
        self.channel.send(bulletin).map(drop).map_err(|_| Away("nobody listens".to_owned()))
    }

    async fn hear(&self) -> Heard {
        match self.ear.lock().await.recv().await {
            Ok(bulletin) => Heard::Bulletin(bulletin),
            Err(broadcast::error::RecvError::Lagged(_)) => Heard::Gap,
            // This end holds a sender itself.
            Err(broadcast::error::RecvError::Closed) => std::future::pending().await,
        }
    }

    async fn keep_progress(&self, changes: Vec<ProgressChange>) -> Result<(), Away> {
        let mut kept = lock(&self.progress);
        for ProgressChange { actor, effect, fraction } in changes {
            let effects = kept.entry(actor.clone()).or_default();
            match fraction {
                Some(fraction) => drop(effects.insert(effect, fraction)),
                None => drop(effects.remove(&effect)),
            }
            if effects.is_empty() {
                kept.remove(&actor);
            }
        }
        Ok(())
    }

    async fn progress(&self, actor: &Address) -> Result<BTreeMap<EffectNo, f32>, Away> {
        Ok(lock(&self.progress).get(actor).cloned().unwrap_or_default())
    }
}
