//! The engine: durable actors over a journal in SQL and a mailbox, free of the product.
//!
//! Reading order: `journal` (what a commit is), `mailbox` (how messages travel), `kind` and `fold` (from messages to a
//! commit), `partition` (who decides what happens next: no IO), `actor` and `supervisor` (the shell that carries it
//! out), `engine` (the door for the product).

pub mod clock;
pub mod fold;
pub mod journal;
pub mod kind;
pub mod mailbox;
pub mod partition;
#[cfg(test)]
mod simulator;
