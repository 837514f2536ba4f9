//! `kill -9` at a step that is named: a server's own wires, to its database and to its gateway, run through here, and the
//! process dies when what has a name comes by.
//!
//! A step is something that others can see: a commit, named after what it writes ([`commit`]), or a call of the gateway
//! ([`gateway`]), named after what it asks for. Nothing of the server takes part in this.

mod commit;
mod frames;
mod gateway;
mod postgres;

use std::collections::BTreeSet;
use std::io;
use std::net::SocketAddr;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use rustix::process::Signal;
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::Notify;
use tokio_util::task::AbortOnDropHandle;

use crate::crash::service::signal;

/// When, around a step, the process dies.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Moment {
    /// It has asked for the step, and nobody has heard it.
    Before,
    /// The step is done, and it has not heard so.
    After,
}

impl Moment {
    pub const ALL: [Self; 2] = [Self::Before, Self::After];
}

#[derive(Default)]
struct Standing {
    /// Who dies.
    victim: Option<u32>,
    /// Where.
    set: Option<(String, Moment)>,
    /// What came by.
    met: BTreeSet<String>,
}

/// What the wires of one server run through. Clones are the same one.
#[derive(Clone, Default)]
pub struct Tripwire {
    standing: Arc<Mutex<Standing>>,
    sprung: Arc<Notify>,
}

impl Tripwire {
    fn standing(&self) -> MutexGuard<'_, Standing> {
        self.standing.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// From now on steps are noted.
    pub fn watch(&self) {
        self.standing().met.clear();
    }

    /// From now on the process `victim` dies when `step` comes by.
    pub fn set(&self, victim: u32, step: &str, moment: Moment) {
        let mut standing = self.standing();
        standing.victim = Some(victim);
        standing.set = Some((step.to_owned(), moment));
    }

    /// What came by since [`Tripwire::watch`].
    pub fn met(&self) -> BTreeSet<String> {
        self.standing().met.clone()
    }

    /// Waits until the process was killed.
    pub async fn sprung(&self) {
        self.sprung.notified().await;
    }

    /// A wire to `server`, on which `converse` carries every connection; its address from this end.
    async fn string<F: Future<Output = io::Result<()>> + Send + 'static>(
        &self,
        server: SocketAddr,
        converse: impl Fn(Self, TcpStream, SocketAddr) -> F + Send + 'static,
    ) -> (SocketAddr, AbortOnDropHandle<()>) {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let (address, wire) = (listener.local_addr().unwrap(), self.clone());
        let running = tokio::spawn(async move {
            while let Ok((near, _)) = listener.accept().await {
                // An end that goes away ends the other, as one wire would.
                tokio::spawn(converse(wire.clone(), near, server));
            }
        });
        (address, AbortOnDropHandle::new(running))
    }

    /// Says that `steps` come by, together; whether they may go on. What may not is to be seen by nobody.
    fn meet(&self, steps: &[String], moment: Moment) -> bool {
        let mut standing = self.standing();
        standing.met.extend(steps.iter().cloned());
        let is_set = standing.set.as_ref().is_some_and(|(step, when)| *when == moment && steps.contains(step));
        if is_set {
            standing.set = None;
            signal(standing.victim.expect("it was set with its victim"), Signal::KILL);
            self.sprung.notify_one();
        }
        !is_set
    }
}
