//! Workflow definitions: which steps a task takes, in which order, and what each may cost.
//!
//! A [`Definition`] is read from TOML by [`Definition::parse`], which names every fault at once. A task is pinned to
//! the digest of the text it began with; the [`Library`] keeps the definitions in use and those that old tasks need.

mod check;
#[cfg(test)]
mod condition_tests;
mod definition;
mod graph;
mod library;
mod needs;
mod parameter;
mod parse;
mod placeholder;
mod reader;
mod step;
#[cfg(test)]
mod tests;
mod when;

pub use definition::{Concurrency, Definition, Pinned, Produces, Retry, Step};
pub use library::{BUNDLED, DuplicateName, Library};
pub use needs::Need;
pub use parameter::{FieldFault, PICTURES, Parameter, ParameterKind};
pub use parse::{Fault, InvalidDefinition, limits};
pub use step::{Activity, Settings, StepCall};
pub use when::When;
