//! A machine as a table for people: every state meets every message. Each kind lists its own; how a cell reads is the same
//! for all.

use std::fmt::{Display, Write as _};

use super::{Machine, Moment, Verdict};

/// A state, when it was reached, and what it shall meet.
pub struct Row<M: Machine, N> {
    pub name: &'static str,
    pub machine: M,
    /// `None` before the birth.
    pub state: Option<M::State>,
    pub moment: Moment,
    pub messages: Vec<(N, M::Message)>,
}

/// How a kind's states and effects read.
pub struct Words<M: Machine> {
    pub state: fn(&M::State) -> String,
    pub effect: fn(&M::Effect, Moment) -> String,
    /// The room for a message's name, in characters.
    pub width: usize,
}

/// The table of these rows.
pub fn of<M: Machine, N: Display>(words: &Words<M>, rows: impl IntoIterator<Item = Row<M, N>>) -> String {
    let mut table = String::new();
    for Row { name, machine, state, moment, messages } in rows {
        let shown = state.as_ref().map_or_else(|| "-".to_owned(), words.state);
        writeln!(table, "\n== {name}: {shown}").unwrap();
        for (said, message) in messages {
            let cell = cell(&machine, words, state.as_ref(), message, moment);
            writeln!(table, "{said:<width$} {cell}", width = words.width).unwrap();
        }
    }
    table.trim_start().to_owned()
}

fn cell<M: Machine>(
    machine: &M,
    words: &Words<M>,
    state: Option<&M::State>,
    message: M::Message,
    moment: Moment,
) -> String {
    let decision = match machine.apply(state, message, moment) {
        Ok(decision) => decision,
        Err(broken) => return format!("broken: {broken}"),
    };
    let mut cell = match &decision.verdict {
        Verdict::Applied => "applied".to_owned(),
        Verdict::Refused(reason) => format!("refused: {reason}"),
        Verdict::Ignored => "ignored".to_owned(),
    };
    if let Some(state) = &decision.state {
        write!(cell, " -> {}", (words.state)(state)).unwrap();
    }
    for ordered in &decision.effects {
        write!(cell, "; {}", (words.effect)(ordered, moment)).unwrap();
    }
    cell
}
