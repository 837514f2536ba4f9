//! The front: the actor through which every wish enters the engine. One per HTTP worker.
//!
//! It owns how many births a worker has under way, and refuses the next one early instead of letting a queue grow that
//! nobody can see. It never decides about a wish.

use std::cell::RefCell;
use std::rc::Rc;

use actix::{Actor, Addr, Context, Handler, Message, ResponseFuture};

use super::error::Error;
use crate::runtime::engine::{Birth, Born, Engine, NotBorn};
use crate::runtime::trace::{self, Trace};

/// Births that one HTTP worker has under way, at most.
pub const IN_FLIGHT_MAX: usize = 4_096;

/// Please make this actor.
#[derive(Message)]
#[rtype(result = "Result<Born, Refused>")]
pub struct Bear(pub Birth, pub Option<Trace>);

/// Why the front did not make it.
#[derive(Debug, thiserror::Error)]
pub enum Refused {
    /// The limit is reached.
    #[error("more than {IN_FLIGHT_MAX} requests wait to be written (IN_FLIGHT_MAX)")]
    Full,
    /// The engine refuses.
    #[error(transparent)]
    NotBorn(#[from] NotBorn),
}

/// The actor.
struct Front {
    engine: Engine,
    in_flight: Rc<()>,
}

impl Actor for Front {
    type Context = Context<Self>;

    fn started(&mut self, context: &mut Self::Context) {
        context.set_mailbox_capacity(IN_FLIGHT_MAX);
    }
}

impl Handler<Bear> for Front {
    type Result = ResponseFuture<Result<Born, Refused>>;

    fn handle(&mut self, Bear(birth, trace): Bear, _: &mut Self::Context) -> Self::Result {
        // Each birth under way holds a clone: their number is the count, also when a caller goes away.
        let place = self.in_flight.clone();
        if Rc::strong_count(&place) > IN_FLIGHT_MAX + 1 {
            return Box::pin(std::future::ready(Err(Refused::Full)));
        }
        let engine = self.engine.clone();
        Box::pin(async move {
            let born = trace::within(trace, engine.birth(birth)).await;
            drop(place);
            Ok(born?)
        })
    }
}

/// The way to this worker's front; starts it when it is first needed, and again should it ever die.
pub struct Door {
    engine: Engine,
    front: RefCell<Option<Addr<Front>>>,
}

impl Door {
    /// A door to `engine`.
    #[must_use]
    pub const fn new(engine: Engine) -> Self {
        Self { engine, front: RefCell::new(None) }
    }

    /// Makes an actor; answers once it is on disk.
    ///
    /// # Errors
    /// [`Refused`].
    pub async fn bear(&self, birth: Birth) -> Result<Born, Refused> {
        let actor = birth.actor.clone();
        match self.front().send(Bear(birth, trace::current())).await {
            Ok(answer) => answer,
            Err(_) => Err(NotBorn::Broken { actor, reason: "the front died with it".into() }.into()),
        }
    }

    fn front(&self) -> Addr<Front> {
        let mut front = self.front.borrow_mut();
        match &*front {
            Some(alive) if alive.connected() => alive.clone(),
            _ => {
                let started = Front { engine: self.engine.clone(), in_flight: Rc::new(()) }.start();
                front.insert(started).clone()
            }
        }
    }
}

impl From<Refused> for Error {
    fn from(refused: Refused) -> Self {
        match refused {
            Refused::Full => Self::unavailable(refused.to_string(), 1),
            Refused::NotBorn(NotBorn::Busy) => Self::unavailable(NotBorn::Busy.to_string(), 1),
            Refused::NotBorn(NotBorn::Exists(actor)) => Self::Conflict(format!(
                "{} {} exists already, and was asked for differently",
                actor.kind(),
                actor.key()
            )),
            Refused::NotBorn(NotBorn::Refused(reason)) => Self::BadRequest(reason),
            Refused::NotBorn(NotBorn::Claimed { .. }) => Self::KeyReused,
            Refused::NotBorn(NotBorn::Unavailable(reason)) => {
                tracing::warn!(reason, "a birth has an unknown outcome");
                Self::unavailable(
                    "the database did not answer in time, and whether this was accepted is not known: repeat the same \
                     request with the same id or Idempotency-Key",
                    2,
                )
            }
            Refused::NotBorn(broken @ NotBorn::Broken { .. }) => Self::internal(broken),
        }
    }
}
