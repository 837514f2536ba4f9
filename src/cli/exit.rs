//! Exit codes, for scripts.

use std::process::ExitCode;

/// How a run ended, when not well.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u8)]
pub enum Code {
    /// It failed.
    Failed = 1,
    /// The flags or the configuration make no sense.
    Usage = 2,
    /// The server or the database cannot be reached.
    Unreachable = 3,
    /// The server refused, or there is no such thing.
    Refused = 4,
    /// The task was carried out and failed.
    TaskFailed = 5,
}

/// The codes in words, for `--help`.
pub const HELP: &str = "Exit codes: 0 done, 1 failed, 2 wrong flags or configuration, 3 server or database not \
                        reachable, 4 refused or not found, 5 the task failed";

impl From<Code> for ExitCode {
    fn from(code: Code) -> Self {
        Self::from(code as u8)
    }
}
