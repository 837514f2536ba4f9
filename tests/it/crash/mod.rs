//! The real program, killed, drained and starved of its database: nothing accepted is lost, every effect happens once.

mod database_away;
mod definitions;
mod drain;
mod kills;
mod links;
mod poison;
pub mod records;
mod redis_away;
pub mod service;
mod steps;
mod templates;
mod turns;
mod two_at_once;
