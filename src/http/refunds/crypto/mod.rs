//! `/refunds`: refunds as the document of payments in coins has them. It lists the refunds of every face.

pub(in crate::http) mod create;
pub(in crate::http) mod list;
mod query;
mod view;
