//! The kinds of actor, and where the states of each live.

use std::sync::Arc;

use crate::domain::input::InputMachine;
use crate::domain::task::{self, TaskMachine};
use crate::domain::workflow::Library;
use crate::runtime::journal::{Cell, Column, ColumnType, StateTable};
use crate::runtime::kind::{Hosted, Kind};

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

/// The kinds of actor of the product, each with its table.
#[must_use]
pub fn kinds(library: &Arc<Library>) -> Vec<Arc<dyn Kind>> {
    vec![
        Arc::new(Hosted { machine: TaskMachine::new(library.clone()), table: &TASKS, cells: task_cells }),
        Arc::new(Hosted {
            machine: InputMachine,
            table: &INPUTS,
            cells: |input| vec![Cell::Text(Some(input.concerns.to_string()))],
        }),
    ]
}

fn task_cells(task: &task::State) -> Vec<Cell> {
    let request = &task.request;
    vec![
        Cell::Text(Some(request.owner.clone())),
        Cell::Text(request.user_id.clone()),
        Cell::Text(Some(request.template_code.clone())),
    ]
}
