//! One durable actor in memory: its state as committed, and what it decided last.
//!
//! It decides when its supervisor says so and never writes: a decided state becomes the actor's only when the supervisor
//! says that it is on disk. It may be dropped at any moment; it will be read again from SQL.

use std::sync::Arc;

use actix::{Actor, Addr, Context, Handler, Message};

use super::clock::Clock;
use super::fold::{Snapshot, fold};
use super::inflight::Inflight;
use super::journal::Envelope;
use super::kind::Kind;
use super::lease::Epoch;
use super::partition::{Event, Ticket};
use super::supervisor::{Supervisor, report};
use crate::domain::Address;

/// What an actor may touch.
#[derive(Clone)]
pub struct Deps {
    /// Where decisions take their time from.
    pub clock: Arc<dyn Clock>,
    /// Where messages in hand are noted.
    pub inflight: Option<Arc<Inflight>>,
}

/// An actor of any kind.
pub struct Entity {
    address: Address,
    kind: Arc<dyn Kind>,
    current: Snapshot,
    decided: Option<Snapshot>,
    /// In which it decides.
    epoch: Option<Epoch>,
    supervisor: Addr<Supervisor>,
    deps: Deps,
}

impl Entity {
    /// The actor at `address`, as it was read or just born, in an epoch of its partition.
    #[must_use]
    pub fn new(
        address: Address,
        kind: Arc<dyn Kind>,
        current: Snapshot,
        epoch: Option<Epoch>,
        supervisor: Addr<Supervisor>,
        deps: Deps,
    ) -> Self {
        Self { address, kind, current, decided: None, epoch, supervisor, deps }
    }
}

impl Actor for Entity {
    type Context = Context<Self>;
}

/// Decide about these messages, in turn; answered to the supervisor with [`Event::Decided`].
#[derive(Message)]
#[rtype(result = "()")]
pub struct Decide {
    /// To be answered with.
    pub ticket: Ticket,
    /// The messages.
    pub messages: Vec<Envelope>,
}

/// What was decided last is on disk.
#[derive(Message)]
#[rtype(result = "()")]
pub struct Adopt;

impl Handler<Decide> for Entity {
    type Result = ();

    fn handle(&mut self, order: Decide, _: &mut Context<Self>) {
        let folded = {
            let _noted =
                self.deps.inflight.as_ref().map(|file| file.note(order.messages.iter().map(|message| &message.id)));
            fold(&*self.kind, &self.address, &self.current, &order.messages, self.deps.clock.now()).in_epoch(self.epoch)
        };
        self.decided = Some(folded.after);
        report(
            &self.supervisor,
            Event::Decided {
                actor: self.address.clone(),
                ticket: order.ticket,
                unit: folded.unit,
                is_final: folded.is_final,
                failed: folded.failed,
            },
        );
    }
}

impl Handler<Adopt> for Entity {
    type Result = ();

    fn handle(&mut self, _: Adopt, _: &mut Context<Self>) {
        if let Some(decided) = self.decided.take() {
            self.current = decided;
        }
    }
}
