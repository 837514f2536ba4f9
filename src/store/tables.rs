//! Where the states of each kind of actor live.

use crate::runtime::journal::{Column, ColumnType, StateTable};

const fn text(name: &'static str) -> Column {
    Column { name, holds: ColumnType::Text }
}

/// Tasks, with who asked, for whom, and for which template.
pub static TASKS: StateTable =
    StateTable { kind: "task", table: "tasks", columns: &[text("owner"), text("user_id"), text("template_code")] };

/// Inputs from outside, with the address of the actor that they are about.
pub static INPUTS: StateTable = StateTable { kind: "input", table: "inputs", columns: &[text("concerns")] };

/// All of them, as the journal is opened with.
pub static ALL: &[&StateTable] = &[&TASKS, &INPUTS];
