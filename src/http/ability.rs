//! Whether a workflow can run here: asked before anything of it is accepted.

use std::fmt;
use std::sync::Arc;

use super::State;
use super::error::Error;
use crate::activity::here;
use crate::domain::workflow::Definition;

/// Why a workflow cannot run here; the sentence goes on after "cannot run here:".
#[derive(Debug)]
pub struct CannotRun(String);

impl fmt::Display for CannotRun {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl CannotRun {
    /// What the caller reads who wants to run the template `code`.
    #[must_use]
    pub fn of(&self, code: &str) -> Error {
        Error::BadRequest(format!("the template `{code}` cannot run here: {self}"))
    }
}

impl State {
    /// The definition that a new task of the workflow `name` takes.
    ///
    /// # Errors
    /// [`CannotRun`].
    pub fn workflow(&self, name: &str) -> Result<&Arc<Definition>, CannotRun> {
        let not_loaded = || CannotRun(format!("its workflow `{name}` is not loaded"));
        let definition = self.library.current(name).ok_or_else(not_loaded)?;
        match here::lacks(definition, |name| self.providers.get(name).is_some()).first() {
            None => Ok(definition),
            Some(need) => Err(CannotRun(format!("its workflow `{name}` needs {need}, which is not there"))),
        }
    }
}
