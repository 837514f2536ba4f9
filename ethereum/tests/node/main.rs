//! Keys and a real node.

// Tests are about what happens, not about reporting it.
#![allow(missing_docs, clippy::unwrap_used)]

mod anvil;
mod silence;
mod transfers;
