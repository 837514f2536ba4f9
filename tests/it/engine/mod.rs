//! The engine as a whole, with real stores and without HTTP.

mod poison;
mod reviving;
mod running;
mod support;
mod toy;
mod turns;
