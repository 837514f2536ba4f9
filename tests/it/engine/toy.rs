//! An actor that does what it is told: it counts, tells, arms timers, starts activities, and misbehaves.

use std::sync::Arc;

use mixvideo::domain::{Address, Broken, Decision, EffectNo, Machine, Moment, Order, Report, Timestamp, Turn};
use mixvideo::runtime::engine::Birth;
use mixvideo::runtime::journal::{Cell, Column, ColumnType, MessageId, StateTable};
use mixvideo::runtime::kind::{Hosted, Kind};
use serde::{Deserialize, Serialize};

/// Lives in the table of inputs, which has the right shape.
pub static TOYS: StateTable = StateTable {
    kind: "toy",
    table: "inputs",
    columns: &[Column { name: "concerns", holds: ColumnType::Text }],
    records: None,
};

pub struct Toy;

#[derive(Clone, Debug, Default, Serialize, Deserialize)]
pub struct State {
    pub count: u64,
    pub done: bool,
    pub started: Option<EffectNo>,
    pub reports: u64,
    pub failures: Vec<String>,
}

#[derive(Clone, Debug, Serialize, Deserialize)]
pub enum Message {
    /// The birth; tells others at once.
    Create {
        tells: Vec<(Address, Message)>,
    },
    Add(u64),
    Refuse,
    /// Adds after a while.
    AddLater {
        after_ms: i64,
    },
    Start {
        input: String,
        turn: Option<Turn>,
    },
    Stop,
    Reported(Report),
    Done,
    Panic,
    Break,
    Abort,
    /// Never decided, and the thread that decides never free again.
    Loop,
    /// What no database takes: a state with U+0000 in a column.
    Poison,
}

pub enum Effect {
    Tell(Address, Message),
    Later(Timestamp, Message),
    Start(String, Option<Turn>),
    Stop(EffectNo),
}

impl From<Effect> for Order {
    fn from(effect: Effect) -> Self {
        let json = |message: &Message| serde_json::to_string(message).unwrap();
        match effect {
            Effect::Tell(to, message) => Self::tell::<Toy>(to, &message),
            Effect::Later(due, message) => Self::Timer { due, message: json(&message) },
            Effect::Start(input, turn) => Self::Start { lane: "media", input, turn },
            Effect::Stop(effect) => Self::Cancel { effect },
        }
    }
}

impl Machine for Toy {
    const KIND: &'static str = "toy";
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
        let mut state = state.cloned().unwrap_or_default();
        let mut effects = Vec::new();
        match message {
            Message::Create { tells } => effects.extend(tells.into_iter().map(|(to, told)| Effect::Tell(to, told))),
            Message::Add(more) => state.count += more,
            Message::Refuse => return Ok(Decision::refused("told to refuse")),
            Message::AddLater { after_ms } => {
                effects.push(Effect::Later(moment.now.plus_ms(after_ms), Message::Add(1)));
            }
            Message::Start { input, turn } => {
                state.started = Some(moment.effect(0));
                effects.push(Effect::Start(input, turn));
            }
            Message::Stop => effects.extend(state.started.take().map(Effect::Stop)),
            Message::Reported(report) => {
                state.reports += 1;
                state.failures.extend(report.outcome.err().map(|failure| failure.code));
            }
            Message::Done => state.done = true,
            Message::Panic => panic!("told to panic"),
            Message::Break => return Err(Broken("told to break".to_owned())),
            Message::Abort => std::process::abort(),
            Message::Loop => loop {
                std::thread::park();
            },
            Message::Poison => state.failures.push("\0".to_owned()),
        }
        Ok(Decision::applied(state, effects))
    }

    fn is_birth(message: &Message) -> bool {
        matches!(message, Message::Create { .. })
    }

    fn reported(report: Report) -> Message {
        Message::Reported(report)
    }

    fn status(state: &State) -> &'static str {
        if state.done { "done" } else { "open" }
    }

    fn is_final(state: &State) -> bool {
        state.done
    }
}

pub fn kinds() -> Vec<Arc<dyn Kind>> {
    let cells = |state: &State| vec![Cell::Text(state.failures.last().cloned())];
    vec![Arc::new(Hosted { machine: Toy, table: &TOYS, cells })]
}

pub fn address(name: &str) -> Address {
    Address::new("toy", name)
}

/// A toy that tells others when it is born.
pub fn birth(name: &str, tells: Vec<(Address, Message)>) -> Birth {
    Birth {
        actor: address(name),
        message: MessageId::from("birth"),
        body: serde_json::to_string(&Message::Create { tells }).unwrap(),
        claim: None,
    }
}
