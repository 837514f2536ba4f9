//! The engine as a whole, with real stores and without HTTP.

mod newer;
mod poison;
mod reviving;
mod running;
pub mod support;
pub mod toy;
mod turns;
