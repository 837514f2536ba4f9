//! The kinds of actor, and where the states of each live.

use std::sync::Arc;

use crate::domain::account::AccountMachine;
use crate::domain::input::InputMachine;
use crate::domain::payment::{self, PaymentMachine};
use crate::domain::refund::{self, RefundMachine};
use crate::domain::task::{self, TaskMachine};
use crate::domain::workflow::Library;
use crate::runtime::journal::{Cell, Column, ColumnType, RecordTable, StateTable};
use crate::runtime::kind::{Hosted, Kind};

const fn text(name: &'static str) -> Column {
    Column { name, holds: ColumnType::Text }
}

const fn integer(name: &'static str) -> Column {
    Column { name, holds: ColumnType::Integer }
}

/// Tasks, with who asked, for whom, and for which template.
pub static TASKS: StateTable = StateTable {
    kind: "task",
    table: "tasks",
    columns: &[text("owner"), text("user_id"), text("template_code")],
    records: None,
};

/// Inputs from outside, with the address of the actor that they are about.
pub static INPUTS: StateTable =
    StateTable { kind: "input", table: "inputs", columns: &[text("concerns")], records: None };

/// Payments, with who pays whom for what, and with their amounts, which a constraint of the table holds together.
pub static PAYMENTS: StateTable = StateTable {
    kind: "payment",
    table: "payments",
    columns: &[
        text("owner"),
        text("user_id"),
        text("template_code"),
        text("receiver_id"),
        text("task_id"),
        text("intent_id"),
        text("currency"),
        integer("amount"),
        integer("captured"),
        integer("reserved"),
        integer("refunded"),
        integer("disputed"),
        integer("over_refunded"),
        text("attention"),
    ],
    records: None,
};

/// Refunds, with the payment they are of and the address that coins go to, in lower case: it may be spelled in any.
pub static REFUNDS: StateTable = StateTable {
    kind: "refund",
    table: "refunds",
    columns: &[
        text("payment_id"),
        text("gateway_id"),
        text("currency"),
        integer("amount"),
        text("attention"),
        text("refund_to"),
    ],
    records: None,
};

/// Receivers' accounts; what moved in them is in the ledger.
pub static ACCOUNTS: StateTable = StateTable {
    kind: "account",
    table: "accounts",
    columns: &[],
    records: Some(RecordTable {
        table: "ledger",
        columns: &[
            text("debit"),
            text("credit"),
            text("currency"),
            integer("amount"),
            text("cause"),
            text("payment_id"),
            text("refund_id"),
        ],
    }),
};

/// All of them, as the journal is opened with.
pub static ALL: &[&StateTable] = &[&TASKS, &INPUTS, &PAYMENTS, &REFUNDS, &ACCOUNTS];

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
        Arc::new(Hosted { machine: PaymentMachine, table: &PAYMENTS, cells: payment_cells }),
        Arc::new(Hosted { machine: RefundMachine, table: &REFUNDS, cells: refund_cells }),
        Arc::new(Hosted { machine: AccountMachine, table: &ACCOUNTS, cells: |_| Vec::new() }),
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

/// What nobody said is null.
fn said(text: &str) -> Cell {
    Cell::Text((!text.is_empty()).then(|| text.to_owned()))
}

fn payment_cells(payment: &payment::State) -> Vec<Cell> {
    let amounts = &payment.amounts;
    let attention = (!payment.attention.is_empty()).then(|| payment.attention.join("; "));
    vec![
        Cell::Text(Some(payment.owner.clone())),
        said(&payment.user_id),
        said(&payment.template_code),
        Cell::Text(Some(payment.receiver.clone())),
        Cell::Text(payment.task.as_ref().map(ToString::to_string)),
        Cell::Text(payment.intent.clone()),
        Cell::Text(Some(payment.price.currency.to_string())),
        Cell::Integer(Some(payment.price.minor)),
        Cell::Integer(Some(amounts.captured)),
        Cell::Integer(Some(amounts.reserved)),
        Cell::Integer(Some(amounts.refunded)),
        Cell::Integer(Some(amounts.disputed)),
        Cell::Integer(Some(amounts.over)),
        Cell::Text(attention),
    ]
}

fn refund_cells(refund: &refund::State) -> Vec<Cell> {
    vec![
        Cell::Text(Some(refund.request.payment.to_string())),
        Cell::Text(refund.gateway_id.clone()),
        Cell::Text(refund.amount.map(|amount| amount.currency.to_string())),
        Cell::Integer(refund.amount.map(|amount| amount.minor)),
        Cell::Text(refund.attention.clone()),
        Cell::Text(refund.request.refund_to.as_ref().map(|address| address.to_ascii_lowercase())),
    ]
}
