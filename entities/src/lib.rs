//! Rows of the Mixvideo database: no queries, no rules. Times are milliseconds since the Unix epoch, UTC.

// The derive macros make public items that cannot carry documentation of their own.
#![allow(missing_docs)]

pub mod access_token;
pub mod account;
pub mod api_key;
pub mod audit;
pub mod claim;
pub mod dead;
pub mod input;
pub mod journal;
pub mod outbox;
pub mod payment;
pub mod posting;
pub mod refund;
pub mod sandbox_event;
pub mod sandbox_object;
pub mod setting;
pub mod sign_in_code;
pub mod spent_state;
pub mod task;
pub mod template;
pub mod template_revision;
pub mod trace;
pub mod user;
pub mod user_client;
pub mod workflow_definition;
