//! The journal's behaviour, the same on SQLite and on PostgreSQL.

mod away;
mod fence;
mod fixture;
mod histories;
mod outbox;
mod poison;
mod records;
mod traces;
mod units;
