//! `mixvideo openapi`.

use super::Error;

/// Prints the description that is generated from the code.
pub(super) fn run() -> Result<(), Error> {
    say!("{}", crate::http::document());
    Ok(())
}
