//! The API from outside: a real server, and nothing but its answers.

mod documented;
mod envelope;
mod files;
mod idempotency;
mod ops;
mod roles;
mod streams;
mod tasks;
pub mod templates;
mod validation;
