//! The state machines: what the product decides, and nothing else.
//!
//! Everything here is pure. No async, no clock, no randomness, no IO: time comes in as a value, orders go out as
//! values. `tests/` holds a check that refuses the names of IO crates in this folder.

pub mod ids;
pub mod machine;
pub mod workflow;

pub use machine::{Address, Broken, Decision, EffectNo, Failure, Machine, Moment, Order, Report, Timestamp, Verdict};
