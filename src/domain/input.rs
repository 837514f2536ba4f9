//! An input: something said from outside that must reach an actor, such as a cancel, an operator's command or a
//! webhook.
//!
//! It is written down before the caller is answered, and tells the actor concerned in the same decision. What is told
//! carries the input's own address (the caller puts it there, see [`Message::Receive`]), so that the receiver can
//! answer with [`Message::Answered`].

use serde::{Deserialize, Serialize};

use super::ids::InputId;
use super::machine::json;
use super::{Address, Broken, Decision, Machine, Moment, Order, Report, Timestamp};

/// How far an input has come. The names are durable.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, strum::EnumIter, strum::IntoStaticStr)]
#[serde(rename_all = "snake_case")]
#[strum(serialize_all = "snake_case")]
pub enum Status {
    /// On its way to the actor concerned, or there and not answered yet.
    Delivered,
    /// The actor concerned has answered.
    Answered,
    /// Nobody could take it; it waits for a person.
    Parked,
}

/// Everything an input knows. What was told is in the journal, in the message of its birth.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct State {
    /// How far it has come.
    pub status: Status,
    /// The actor it is for.
    pub concerns: Address,
    /// Who said it, such as an API key's id.
    pub asked_by: String,
    /// Why the actor refused it, or why it is parked; `None` while it waits and when it was accepted.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub reason: Option<String>,
    /// When it was written down.
    pub received_at: Timestamp,
    /// When it was answered.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub answered_at: Option<Timestamp>,
}

/// What can be said to an input. The tags are durable.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, strum::IntoStaticStr)]
#[serde(rename_all = "snake_case")]
#[strum(serialize_all = "snake_case")]
pub enum Message {
    /// The birth: pass this on.
    Receive {
        /// The actor it is for.
        concerns: Address,
        /// That actor's message as JSON, with the address of this input in it, so that the actor can answer.
        deliver: String,
        /// The schema number of that message; 0 for those that were received before it was noted.
        #[serde(default)]
        schema: u32,
        /// Who said it.
        asked_by: String,
        /// What was said, as it came, when it says more than `deliver`.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        raw: Option<String>,
    },
    /// The birth of what concerns no actor that we know: it waits for a person.
    Keep {
        /// What was said, as it came.
        raw: String,
        /// Who said it.
        asked_by: String,
        /// Why nobody takes it.
        reason: String,
    },
    /// Pass on what was kept: by now it is known whom it concerns.
    PassOn {
        /// The actor it is for.
        concerns: Address,
        /// That actor's message as JSON, with the address of this input in it.
        deliver: String,
        /// The schema number of that message.
        #[serde(default)]
        schema: u32,
        /// The input that asks and wants to be told.
        input: Address,
    },
    /// The actor concerned has decided.
    Answered {
        /// Why it refused; `None` when it accepted.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        refused: Option<String>,
    },
    /// Wait for a person.
    Park {
        /// Why, for that person.
        reason: String,
    },
}

/// What an input orders.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Effect {
    /// Pass a message on.
    Tell {
        /// To whom.
        to: Address,
        /// That actor's message as JSON.
        message: String,
        /// The schema number of that message.
        schema: u32,
    },
}

impl From<Effect> for Order {
    fn from(effect: Effect) -> Self {
        match effect {
            Effect::Tell { to, message, schema } => Self::Tell { to, message, schema },
        }
    }
}

/// The kind in the address of what concerns nobody: such as `nobody/stripe`.
const NOBODY: &str = "nobody";

/// The address of an input.
#[must_use]
pub fn address(id: InputId) -> Address {
    Address::new(InputMachine::KIND, &id.to_string())
}

/// The birth of an input through which `asked_by` tells `concerns`, an actor of the machine `M`, a message.
#[must_use]
pub fn receive<M: Machine>(concerns: Address, message: &M::Message, asked_by: &str) -> Message {
    Message::Receive { concerns, deliver: json(message), schema: M::SCHEMA, asked_by: asked_by.to_owned(), raw: None }
}

/// The birth of the input `id` through which `asked_by` has the input `kept` pass `message`, of this schema number, on to
/// `concerns`.
#[must_use]
pub fn pass_on_through(
    id: InputId,
    kept: InputId,
    (concerns, deliver, schema): (Address, String, u32),
    asked_by: &str,
) -> Message {
    let pass_on = Message::PassOn { concerns, deliver, schema, input: address(id) };
    receive::<InputMachine>(address(kept), &pass_on, asked_by)
}

/// The machine of inputs.
#[derive(Clone, Copy, Debug, Default)]
pub struct InputMachine;

impl Machine for InputMachine {
    const KIND: &'static str = "input";
    const SCHEMA: u32 = 1;
    type State = State;
    type Message = Message;
    type Effect = Effect;

    fn apply(
        &self,
        state: Option<&State>,
        message: Message,
        moment: Moment,
    ) -> Result<Decision<State, Effect>, Broken> {
        match (state, message) {
            (None, Message::Receive { concerns, deliver, schema, asked_by, raw: _ }) => {
                let tell = Effect::Tell { to: concerns.clone(), message: deliver, schema };
                let status = Status::Delivered;
                let received_at = moment.now;
                let born = State { status, concerns, asked_by, reason: None, received_at, answered_at: None };
                Ok(Decision::applied(born, vec![tell]))
            }
            (None, Message::Keep { raw: _, asked_by, reason }) => Ok(Decision::applied(
                State {
                    status: Status::Parked,
                    concerns: Address::new(NOBODY, &asked_by),
                    asked_by,
                    reason: Some(reason),
                    received_at: moment.now,
                    answered_at: None,
                },
                vec![],
            )),
            (None, other) => Err(Broken(format!("`{}` reached an input that was never received", tag(&other)))),
            (Some(state), message) => Ok(decide(state, message, moment)),
        }
    }

    fn is_birth(message: &Message) -> bool {
        matches!(message, Message::Receive { .. } | Message::Keep { .. })
    }

    /// An input starts no activity; the report of one is set aside by being parked.
    fn reported(report: Report) -> Message {
        Message::Park { reason: format!("an activity reported to it that it never started: {report:?}") }
    }

    fn status(state: &State) -> &'static str {
        state.status.into()
    }

    fn is_final(state: &State) -> bool {
        matches!(state.status, Status::Answered)
    }
}

fn tag(message: &Message) -> &'static str {
    message.into()
}

fn answer(input: Address) -> Effect {
    let message = json(&Message::Answered { refused: None });
    Effect::Tell { to: input, message, schema: InputMachine::SCHEMA }
}

fn decide(state: &State, message: Message, moment: Moment) -> Decision<State, Effect> {
    match (state.status, message) {
        (Status::Delivered | Status::Answered | Status::Parked, Message::Receive { .. } | Message::Keep { .. }) => {
            Decision::ignored()
        }
        (Status::Delivered | Status::Answered, Message::PassOn { input, .. }) => {
            Decision::ignored().and([answer(input)])
        }
        (Status::Parked, Message::PassOn { concerns, deliver, schema, input }) => {
            let tell = Effect::Tell { to: concerns.clone(), message: deliver, schema };
            let state = State { status: Status::Delivered, concerns, reason: None, ..state.clone() };
            Decision::applied(state, vec![tell, answer(input)])
        }
        // The receiver's word is a fact, however late it comes.
        (Status::Delivered | Status::Parked, Message::Answered { refused }) => {
            let answered_at = Some(moment.now);
            Decision::applied(State { status: Status::Answered, reason: refused, answered_at, ..state.clone() }, vec![])
        }
        (Status::Answered, Message::Answered { .. } | Message::Park { .. }) => Decision::ignored(),
        (Status::Delivered, Message::Park { reason }) => {
            Decision::applied(State { status: Status::Parked, reason: Some(reason), ..state.clone() }, vec![])
        }
        (Status::Parked, Message::Park { .. }) => Decision::ignored(),
    }
}

#[cfg(test)]
#[path = "input_tests.rs"]
mod tests;
