//! What can go wrong with Redis, by what follows from it.

use std::time::Duration;

use redis::{ErrorKind, RedisError, ServerErrorKind};

/// Redis did not do what it was asked.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// It is known to be away, and was not asked. Nothing happened.
    #[error("Redis is away: {0}")]
    Away(String),
    /// It refused, and nothing happened: its memory limit is reached, or it cannot write to its disk.
    #[error("Redis takes no writes: {0}")]
    Refused(String),
    /// It did not answer in time. Whether it did what it was asked is not known.
    #[error("Redis did not answer within {0:?}")]
    Silent(Duration),
    /// The connection or the command failed. Whether it did what it was asked is not known.
    #[error("Redis failed")]
    Failed(#[source] RedisError),
    /// No connection could be had. Nothing happened.
    #[error("Redis cannot be reached: {0}")]
    Unreachable(String),
    /// The thread of the connections could not be started, or is gone.
    #[error("the thread of the connections to Redis cannot be used: {0}")]
    Thread(String),
}

impl From<RedisError> for Error {
    fn from(error: RedisError) -> Self {
        match error.code() {
            Some("OOM" | "MISCONF" | "NOREPLICAS") => Self::Refused(error.to_string()),
            _ => Self::Failed(error),
        }
    }
}

impl Error {
    /// Whether it is certain that nothing happened.
    #[must_use]
    pub const fn is_certain(&self) -> bool {
        matches!(self, Self::Away(_) | Self::Refused(_) | Self::Unreachable(_))
    }

    /// Whether the connection is of no use any more, or leads to a server that is not the master.
    pub(super) fn spoils_connection(&self) -> bool {
        match self {
            Self::Silent(_) => true,
            Self::Failed(error) => {
                error.is_unrecoverable_error()
                    || error.is_connection_dropped()
                    || error.is_timeout()
                    || matches!(error.kind(), ErrorKind::Server(ServerErrorKind::ReadOnly))
            }
            _ => false,
        }
    }

    /// Whether the server does not know the script.
    pub(super) fn is_unknown_script(&self) -> bool {
        matches!(self, Self::Failed(error) if error.kind() == ErrorKind::Server(ServerErrorKind::NoScript))
    }
}
