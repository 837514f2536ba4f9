//! What a commit carries out: statements over rows, together or not at all.

use crate::runtime::journal::dialect::Source;

/// A statement over rows. Its two forms do the same: which one is quicker depends on how far away the database is.
pub(super) struct Step<'a> {
    /// The rows; there is at least one. The first field is a text.
    pub(super) rows: Source<'a>,
    /// Over all rows at once: `{name}` stands for the rows of that name in this script, as a table in parentheses.
    pub(super) all: &'a str,
    /// Over one row, whose fields are `?1`, `?2` and so on.
    pub(super) each: &'a str,
    /// Whether it must write every row, no more and no less: anything else undoes the script.
    pub(super) counted: bool,
}

/// Steps that are carried out together or not at all.
#[derive(Default)]
pub(super) struct Script<'a> {
    pub(super) steps: Vec<Step<'a>>,
    /// Partitions and the epochs they must be in, or nothing is written.
    pub(super) fence: Option<Source<'a>>,
}
