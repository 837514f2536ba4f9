//! The simulator: the production core, fold, room and in-memory mailbox against a modelled journal, under faults.
//!
//! Everything a run does follows from its seed: which actors there are, in which order commands are carried out, what
//! is lost, delivered twice or killed. A failure prints its seed; `MIXVIDEO_SIM_SEED=<seed> cargo test simulator`
//! plays it again and prints what happened, `MIXVIDEO_SIM_SEEDS=<count>` plays more seeds than usual.
//!
//! The model asks three things of a shell: mailbox commands (posts and settles) are carried out in the order given; an
//! actor's commands that touch memory alone (adopt, forget) take effect before the core hears the next event; and an
//! activity that is stopped before it began does not begin.

pub(super) mod dice;
mod invariants;
mod journal;
mod machine;
mod mail;
mod owner;
mod plan;
mod room;
mod shell;
mod tests;
mod world;
