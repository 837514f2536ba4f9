//! Why a command did not do what it was asked.

use std::path::PathBuf;

use sea_orm::{DbErr, RuntimeErr, SqlxError};

use super::client;
use super::exit::Code;
use crate::app;
use crate::config::Faults;
use crate::runtime::journal;

/// Why a command did not do what it was asked.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The configuration.
    #[error(transparent)]
    Config(#[from] Faults),
    /// The flags do not go together; a sentence.
    #[error("{0}")]
    Usage(String),
    /// The server did not do it.
    #[error(transparent)]
    Server(#[from] client::Error),
    /// The service did not start.
    #[error("the service could not start")]
    Start(#[from] app::Error),
    /// The database cannot be used.
    #[error("the database {0} cannot be reached")]
    Database(String, #[source] DbErr),
    /// The database could not be brought up to date.
    #[error("the database is not ready")]
    Journal(#[from] journal::Error),
    /// A query failed.
    #[error("the database did not do it")]
    Query(#[from] DbErr),
    /// There is no such thing.
    #[error("there is no {0}")]
    Missing(String),
    /// The task failed.
    #[error("the task {id} failed: {message} ({code})")]
    Task {
        /// The task.
        id: String,
        /// The stable code.
        code: String,
        /// The reason.
        message: String,
    },
    /// A file could not be read or written.
    #[error("the file {path} cannot be {verb}")]
    File {
        /// Which one.
        path: PathBuf,
        /// `read` or `written`.
        verb: &'static str,
        /// Why.
        #[source]
        source: std::io::Error,
    },
    /// Something else the command found; a sentence.
    #[error("{0}")]
    Failed(String),
}

impl Error {
    /// The exit code that tells a script what kind of failure it was.
    #[must_use]
    pub fn exit_code(&self) -> Code {
        match self {
            Self::Config(_) | Self::Usage(_) => Code::Usage,
            Self::Server(error) => error.exit_code(),
            Self::Database(..) => Code::Unreachable,
            Self::Journal(journal::Error::Open(_)) => Code::Unreachable,
            Self::Start(app::Error::Providers(app::providers::Error::Secrets(_))) => Code::Usage,
            Self::Start(error) if error.is_unreachable() => Code::Unreachable,
            Self::Missing(_) => Code::Refused,
            Self::Task { .. } => Code::TaskFailed,
            Self::Start(_) | Self::Journal(_) | Self::Query(_) | Self::File { .. } | Self::Failed(_) => Code::Failed,
        }
    }
}

/// An error and what caused it, in one line.
pub(super) fn with_causes(error: &dyn std::error::Error) -> String {
    let mut text = error.to_string();
    let mut cause = error.source();
    while let Some(error) = cause {
        if nobody_answers(error) {
            text.push_str(": nothing answers at its address; start the database, or correct `database.url`");
            break;
        }
        // Some layers below write their cause into their own sentence.
        let said = error.to_string();
        if !text.ends_with(&said) {
            text.push_str(": ");
            text.push_str(&said);
        }
        cause = error.source();
    }
    text
}

/// No connection came about. A pool, which tries until its time is over, does not tell what it met.
fn nobody_answers(error: &(dyn std::error::Error + 'static)) -> bool {
    let is_silence = |error: &SqlxError| matches!(error, SqlxError::PoolTimedOut | SqlxError::Io(_));
    error.downcast_ref().is_some_and(is_silence)
        || matches!(error.downcast_ref(), Some(DbErr::Conn(RuntimeErr::SqlxError(cause))) if is_silence(cause))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_cause_is_told_once() {
        let refused = || RuntimeErr::SqlxError(std::sync::Arc::new(SqlxError::Protocol("bad greeting".into())));
        for error in
            [Error::Database("sqlite://a".into(), DbErr::Conn(refused())), Error::Query(DbErr::Query(refused()))]
        {
            let text = with_causes(&error);
            assert_eq!(text.matches("bad greeting").count(), 1, "{text}");
            assert!(text.starts_with(&error.to_string()), "{text}");
        }
        let file = Error::File { path: "a".into(), verb: "read", source: std::io::ErrorKind::NotFound.into() };
        assert_eq!(with_causes(&file), "the file a cannot be read: entity not found");
    }
}
