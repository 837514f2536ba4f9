//! Tests of the product from outside.
#![allow(clippy::unwrap_used, missing_docs)]

mod media;
