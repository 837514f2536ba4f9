//! Keys and a real node.

mod anvil;
mod silence;
mod transfers;
