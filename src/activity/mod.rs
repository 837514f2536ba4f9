//! Activities.
pub mod media;
pub mod signed_url;
pub mod storage;
pub mod worker;
