//! The engine: durable actors over a journal in SQL and a mailbox, free of the product.
//!
//! Reading order: `journal` (what a commit is), `mailbox` (how messages travel), `kind` and `fold` (from messages to a
//! commit), `partition` (who decides what happens next: no IO), `room` (which activities run now), `lease` (which node owns a
//! partition), `actor`, `supervisor` and `root` (the shell that
//! carries it out), `engine` (the door for the product).

pub mod activity;
pub mod actor;
pub mod clock;
pub mod engine;
pub mod fold;
pub mod inflight;
pub mod journal;
pub mod kind;
pub mod lease;
pub mod mailbox;
pub mod mailman;
pub mod partition;
pub mod redis;
pub mod retry;
pub mod room;
pub mod root;
#[cfg(test)]
mod simulator;
pub mod supervisor;
pub mod trace;
pub mod watch;
mod watchdog;
