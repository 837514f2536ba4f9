//! The state machines: what the product decides, and nothing else.
//!
//! Everything here is pure. No clock, no randomness, no IO: time comes in as a value, orders go out as values. A test
//! below refuses the names of whatever could do more.

pub mod account;
pub mod ethereum_address;
pub mod gateway;
pub mod ids;
pub mod input;
pub mod job;
pub mod machine;
pub mod money;
pub mod payment;
pub mod rail;
pub mod refund;
pub mod sender;
pub mod task;
pub mod template;
pub mod turn;
pub mod workflow;

pub use machine::{Address, Broken, Decision, EffectNo, Failure, Machine, Moment, Order, Report, Timestamp, Verdict};
pub use turn::{Permit, Priority, Turn};

#[cfg(test)]
#[path = "purity_tests.rs"]
mod purity_tests;
#[cfg(test)]
mod table;
