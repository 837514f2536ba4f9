//! Queries of the product: what is asked of the tables beside the engine.

pub mod tables;
