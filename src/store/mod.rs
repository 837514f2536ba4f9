//! Queries of the product: what is asked of the tables beside the engine.
//!
//! Nothing here decides anything, and nothing here wakes an actor: reading is not asking.

pub mod access_tokens;
pub mod actors;
pub mod api_keys;
pub mod audit;
pub mod cache;
mod claims;
mod database;
pub mod definitions;
pub mod executions;
pub mod ledger;
pub mod payments;
pub mod refunds;
pub mod sandbox;
pub mod settings;
pub mod sign_ins;
pub mod tables;
pub mod tasks;
pub mod templates;
pub mod users;

pub use database::{Database, Error};
