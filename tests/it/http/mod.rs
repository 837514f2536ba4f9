//! The API from outside: a real server, and nothing but its answers.

mod documented;
mod envelope;
mod files;
mod idempotency;
mod keys;
mod ops;
mod roles;
mod streams;
mod tasks;
pub mod templates;
mod validation;

pub use documented::as_documented;
pub use roles::example_path;
