//! All integration tests, in one binary: they share what is slow to link. `bash tests/run.sh` gives them the servers
//! they need.

// Tests are about what happens, not about reporting it.
#![allow(missing_docs, clippy::unwrap_used)]

mod bench;
mod cli;
mod contract;
mod crash;
mod engine;
mod http;
mod journal;
mod limits;
mod mailbox;
mod media;
mod network;
mod nodes;
mod oidc;
mod payments;
mod people;
mod postgres;
mod providers;
mod redis_server;
mod refunds;
mod server;
mod sharing;
mod site;
mod storage;
mod stripe;
mod templates;
mod tripwire;
