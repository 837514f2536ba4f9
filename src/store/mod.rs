//! Queries of the product: what is asked of the tables beside the engine.
//!
//! Nothing here decides anything, and nothing here wakes an actor: reading is not asking.

pub mod actors;
pub mod api_keys;
pub mod cache;
mod claims;
mod database;
pub mod definitions;
pub mod executions;
pub mod payments;
pub mod sandbox;
pub mod settings;
pub mod tables;
pub mod tasks;
pub mod templates;

pub use database::{Database, Error};
