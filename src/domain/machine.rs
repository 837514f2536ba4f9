//! What every state machine of the product has in common.
//!
//! A machine is one function: `apply(state, message, moment) -> Decision`. The engine (`runtime`) stores what it
//! decides and carries out what it orders; the machine never learns how.

use std::fmt;
use std::sync::Arc;

use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};

use super::turn::Turn;

/// Milliseconds since the Unix epoch, UTC.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Timestamp(pub i64);

impl Timestamp {
    /// This moment and `ms` milliseconds; saturates at the ends of time.
    #[must_use]
    pub const fn plus_ms(self, ms: i64) -> Self {
        Self(self.0.saturating_add(ms))
    }

    /// Milliseconds from `earlier` to this moment; negative when `earlier` is the later one.
    #[must_use]
    pub const fn since_ms(self, earlier: Self) -> i64 {
        self.0.saturating_sub(earlier.0)
    }
}

/// Where an actor is reached: its kind and its key, written `kind/key`.
///
/// The kind is part of the address because a caller may choose a task's key freely; two kinds never share an actor.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Address(Arc<str>);

impl Address {
    /// The address of `key` among the actors of `kind`.
    #[must_use]
    pub fn new(kind: &str, key: &str) -> Self {
        Self(format!("{kind}/{key}").into())
    }

    /// Reads `kind/key`.
    ///
    /// # Errors
    /// [`MalformedAddress`] when the slash, the kind or the key is missing.
    pub fn parse(text: &str) -> Result<Self, MalformedAddress> {
        match text.split_once('/') {
            Some((kind, key)) if !kind.is_empty() && !key.is_empty() => Ok(Self(text.into())),
            _ => Err(MalformedAddress(text.to_owned())),
        }
    }

    /// The kind of actor, such as `task`.
    #[must_use]
    pub fn kind(&self) -> &str {
        self.0.split_once('/').map_or("", |(kind, _)| kind)
    }

    /// The actor's own id, such as `task_0193...`.
    #[must_use]
    pub fn key(&self) -> &str {
        self.0.split_once('/').map_or("", |(_, key)| key)
    }

    /// `kind/key`, as it is stored.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for Address {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl fmt::Debug for Address {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl Serialize for Address {
    fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(&self.0)
    }
}

impl<'de> Deserialize<'de> for Address {
    fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = String::deserialize(deserializer)?;
        Self::parse(&text).map_err(serde::de::Error::custom)
    }
}

/// A text that is no address.
#[derive(Debug, thiserror::Error)]
#[error("`{0}` is not an actor's address; it reads kind/key, for example task/task_0193")]
pub struct MalformedAddress(String);

/// Which effect of one actor: the version that decided it and its place among that decision's orders.
///
/// With the actor's address it makes the effect's id, `kind/key:version:index`, which is also the id of the message
/// that settles it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct EffectNo {
    /// The version of the decision that ordered it.
    pub version: u64,
    /// Its place among that decision's orders, from 0.
    pub index: u32,
}

/// When, and as which version, a decision will be written if it wins.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Moment {
    /// The time the decision is given; journaled with it.
    pub now: Timestamp,
    /// The version this decision will have: 1 for a birth.
    pub version: u64,
}

impl Moment {
    /// The number of the order at `index` of the decision being made.
    #[must_use]
    pub const fn effect(self, index: u32) -> EffectNo {
        EffectNo { version: self.version, index }
    }
}

/// What became of a message.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Verdict {
    /// The state changed.
    Applied,
    /// The message asked for something the state does not allow; the reason is a sentence for whoever asked.
    Refused(String),
    /// The message no longer matters (late, or already true).
    Ignored,
}

/// What a machine decided about one message.
#[derive(Clone, Debug, PartialEq)]
pub struct Decision<S, E> {
    /// What became of the message.
    pub verdict: Verdict,
    /// The state from now on. `None` keeps the state as it was; a birth that is not refused must give one.
    pub state: Option<S>,
    /// What must happen because of it, in order; the order's index is part of its [`EffectNo`].
    pub effects: Vec<E>,
}

impl<S, E> Decision<S, E> {
    /// The state becomes `state`, and `effects` must happen.
    #[must_use]
    pub fn applied(state: S, effects: Vec<E>) -> Self {
        Self { verdict: Verdict::Applied, state: Some(state), effects }
    }

    /// The message is refused for `reason`; nothing changes.
    #[must_use]
    pub fn refused(reason: impl Into<String>) -> Self {
        Self { verdict: Verdict::Refused(reason.into()), state: None, effects: Vec::new() }
    }

    /// The message no longer matters; nothing changes.
    #[must_use]
    pub const fn ignored() -> Self {
        Self { verdict: Verdict::Ignored, state: None, effects: Vec::new() }
    }

    /// The same decision with `effects` added: a refusal's answer to its sender, for example.
    #[must_use]
    pub fn and(mut self, effects: impl IntoIterator<Item = E>) -> Self {
        self.effects.extend(effects);
        self
    }
}

/// What the engine can be ordered to do. Each machine has an `Effect` of its own, in its own words, that turns into
/// one of these. Bodies are JSON texts.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Order {
    /// Deliver a message to another actor.
    Tell {
        /// Who receives it.
        to: Address,
        /// The receiver's `Message`, as JSON.
        message: String,
        /// The receiver's [`Machine::SCHEMA`] as this release has it; 0 when it was not noted.
        schema: u32,
    },
    /// Run an activity; its end comes back as [`Report`] under this effect's id.
    Start {
        /// The queue with its own concurrency in which the activity waits, such as `render`.
        lane: &'static str,
        /// What the activity is given, as JSON.
        input: String,
        /// How it waits for room; `None` when it waits in its lane, first come first served.
        turn: Option<Turn>,
    },
    /// Deliver a message to the actor itself at `due`.
    Timer {
        /// Not before this time.
        due: Timestamp,
        /// The actor's own `Message`, as JSON.
        message: String,
    },
    /// Write a row into the table of records that the actor's kind has, in the commit of this decision and for good.
    Record {
        /// The row, as a JSON object: a value for each of the table's own columns, by name.
        row: String,
    },
    /// Settle an outstanding effect of this actor without its message: a timer is disarmed, an activity is stopped.
    Cancel {
        /// Which one.
        effect: EffectNo,
    },
}

impl Order {
    /// Deliver `message` to `to`, an actor of the machine `M`.
    #[must_use]
    pub fn tell<M: Machine>(to: Address, message: &M::Message) -> Self {
        Self::Tell { to, message: json(message), schema: M::SCHEMA }
    }
}

/// The JSON text of what an order carries: a message, a call, a row.
///
/// # Panics
/// When a map has keys that are no texts, or a number is not finite: no message, call or row has any.
#[must_use]
pub fn json(value: &impl Serialize) -> String {
    serde_json::to_string(value).expect("maps with text keys and finite numbers always have a JSON text")
}

/// How an activity ended; every machine that starts activities makes its own message of it.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Report {
    /// The effect that started the activity.
    pub effect: EffectNo,
    /// Its result, or why there is none.
    pub outcome: Result<serde_json::Value, Failure>,
}

/// Why an activity failed: data that a machine decides on, and a sentence that a person can act on.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, thiserror::Error)]
#[error("{code}: {message}")]
pub struct Failure {
    /// A stable code in snake case, such as `picture_too_large`.
    pub code: String,
    /// A sentence for the user.
    pub message: String,
    /// Whether another attempt can end differently.
    pub retryable: bool,
    /// The earliest sensible time of another attempt in milliseconds from now, when the other side named one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub retry_after_ms: Option<u64>,
}

impl Failure {
    /// A failure that another attempt would only repeat.
    #[must_use]
    pub fn fatal(code: &str, message: impl Into<String>) -> Self {
        Self { code: code.to_owned(), message: message.into(), retryable: false, retry_after_ms: None }
    }

    /// A failure that may pass.
    #[must_use]
    pub fn passing(code: &str, message: impl Into<String>) -> Self {
        Self { code: code.to_owned(), message: message.into(), retryable: true, retry_after_ms: None }
    }
}

/// An invariant that does not hold: a sentence for the operator who will find the message set aside.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{0}")]
pub struct Broken(pub String);

/// A kind of actor as a pure state machine.
pub trait Machine: Send + Sync + 'static {
    /// The durable name of the kind: first half of every address, never changed.
    const KIND: &'static str;
    /// The schema number of `State` and `Message`; raised when an older node could not read them.
    const SCHEMA: u32;
    /// Everything the actor knows.
    type State: Serialize + DeserializeOwned + Clone + Send + Sync + 'static;
    /// What can be said to it: facts in the past tense, requests in the imperative.
    type Message: Serialize + DeserializeOwned + Send + 'static;
    /// What it can order.
    type Effect: Into<Order>;

    /// Decides about `message`. `state` is `None` before the birth; only a message for which [`Machine::is_birth`]
    /// holds arrives then. Must not panic on any input; the engine survives it if it does.
    ///
    /// # Errors
    /// [`Broken`] when an invariant does not hold, so that no decision would be right. The engine tries again a few
    /// times and then sets the message aside for a person; the actor's other messages go on.
    fn apply(
        &self,
        state: Option<&Self::State>,
        message: Self::Message,
        moment: Moment,
    ) -> Result<Decision<Self::State, Self::Effect>, Broken>;

    /// Whether the message may arrive at an actor that does not exist yet and makes it.
    fn is_birth(message: &Self::Message) -> bool;

    /// The message that carries an activity's end. Machines that start none refuse it.
    fn reported(report: Report) -> Self::Message;

    /// The state's name as operators see and search it, such as `running`.
    fn status(state: &Self::State) -> &'static str;

    /// Whether nothing is outstanding and the actor can be put away at once.
    fn is_final(state: &Self::State) -> bool;
}
