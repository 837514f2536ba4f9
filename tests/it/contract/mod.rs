//! The API's description: whether it is one, whether it says all, whether it is what the documents say, and whether
//! the server keeps to it, also for those who do not.

mod api;
mod docs;
mod documents;
mod mutant;
mod mutations;
mod schemathesis;
mod whole;
