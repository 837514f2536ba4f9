//! A kind of actor as the engine sees it: a [`Machine`] without its types, and where its states are stored.

use std::any::Any;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;

use serde::Deserialize;

use super::journal::{Cell, StateRow, StateTable};
use crate::domain::{Machine, Moment, Order, Report, Verdict};

/// A state whose type only its kind knows.
pub type State = Arc<dyn Any + Send + Sync>;

/// Runs code of a kind; a panic of it becomes an error with what it said, so that it harms one actor only.
///
/// # Errors
/// A sentence, when it panicked.
pub fn caught<T>(code: impl FnOnce() -> T) -> Result<T, String> {
    catch_unwind(AssertUnwindSafe(code)).map_err(|panic| format!("it panicked: {}", panic_text(&*panic)))
}

/// What a panic said.
#[must_use]
pub fn panic_text(panic: &(dyn Any + Send)) -> &str {
    panic
        .downcast_ref::<&str>()
        .copied()
        .or_else(|| panic.downcast_ref::<String>().map(String::as_str))
        .unwrap_or("no message")
}

/// One decision, without its types.
#[derive(Debug)]
pub struct Step {
    /// What became of the message.
    pub verdict: Verdict,
    /// The new state; `None` keeps the old one.
    pub state: Option<State>,
    /// What must happen.
    pub orders: Vec<Order>,
}

/// Why there is no decision.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Undecided {
    /// The actor does not exist and the message does not make it: it waits for the birth.
    Unborn,
    /// The message or the state is broken, or the machine panicked: a sentence for the operator.
    Broken(String),
}

/// Why a stored state cannot be used.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Unreadable {
    /// It was written by a newer release than this one.
    Newer(u32),
    /// It is not a state of this kind.
    Broken(String),
}

/// A kind of actor without its types.
pub trait Kind: Send + Sync {
    /// Where its states live; names the kind.
    fn table(&self) -> &'static StateTable;
    /// The schema number of its states.
    fn schema(&self) -> u32;
    /// Decides about one message, as [`Machine::apply`].
    ///
    /// # Errors
    /// [`Undecided`] when no decision can be made.
    fn decide(&self, state: Option<&State>, body: &str, moment: Moment) -> Result<Step, Undecided>;
    /// The state as it is stored.
    ///
    /// # Errors
    /// A sentence, when it cannot be written as JSON.
    fn row(&self, state: &State) -> Result<StateRow, String>;
    /// A stored state.
    ///
    /// # Errors
    /// [`Unreadable`] when it is newer or broken.
    fn read(&self, schema: u32, json: &str) -> Result<State, Unreadable>;
    /// Whether the actor can be put away at once.
    fn is_final(&self, state: &State) -> bool;
    /// The message that carries an activity's end, as JSON.
    fn reported(&self, report: Report) -> String;
}

/// A machine together with its table.
pub struct Hosted<M: Machine> {
    /// The machine.
    pub machine: M,
    /// Where its states live.
    pub table: &'static StateTable,
    /// The values of the table's own columns for a state, in their order.
    pub cells: fn(&M::State) -> Vec<Cell>,
}

impl<M: Machine> Hosted<M> {
    fn typed(state: &State) -> Option<&M::State> {
        state.downcast_ref::<M::State>()
    }
}

/// What every machine must be able to write; it fails only for types that JSON cannot hold.
fn json<T: serde::Serialize>(value: &T) -> Result<String, String> {
    serde_json::to_string(value).map_err(|error| format!("the state cannot be written as JSON: {error}"))
}

impl<M: Machine> Kind for Hosted<M> {
    fn table(&self) -> &'static StateTable {
        self.table
    }

    fn schema(&self) -> u32 {
        M::SCHEMA
    }

    fn decide(&self, state: Option<&State>, body: &str, moment: Moment) -> Result<Step, Undecided> {
        let message = M::Message::deserialize(&mut serde_json::Deserializer::from_str(body))
            .map_err(|error| Undecided::Broken(format!("the message cannot be read: {error}")))?;
        let typed = match state {
            Some(state) => Some(
                Self::typed(state).ok_or_else(|| Undecided::Broken("the state belongs to another kind".to_owned()))?,
            ),
            None if M::is_birth(&message) => None,
            None => return Err(Undecided::Unborn),
        };
        let decision =
            self.machine.apply(typed, message, moment).map_err(|broken| Undecided::Broken(broken.to_string()))?;
        Ok(Step {
            verdict: decision.verdict,
            state: decision.state.map(|state| Arc::new(state) as State),
            orders: decision.effects.into_iter().map(Into::into).collect(),
        })
    }

    fn row(&self, state: &State) -> Result<StateRow, String> {
        let typed = Self::typed(state).ok_or("the state belongs to another kind")?;
        Ok(StateRow { status: M::status(typed), schema: M::SCHEMA, state: json(typed)?, cells: (self.cells)(typed) })
    }

    fn read(&self, schema: u32, text: &str) -> Result<State, Unreadable> {
        if schema > M::SCHEMA {
            return Err(Unreadable::Newer(schema));
        }
        let state: M::State = serde_json::from_str(text).map_err(|error| Unreadable::Broken(error.to_string()))?;
        Ok(Arc::new(state))
    }

    fn is_final(&self, state: &State) -> bool {
        Self::typed(state).is_some_and(M::is_final)
    }

    fn reported(&self, report: Report) -> String {
        json(&M::reported(report)).unwrap_or_else(|reason| reason)
    }
}
