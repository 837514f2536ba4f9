//! Why a node gave no answer that can be used.

use alloy::transports::{RpcError, TransportError};

/// Characters of a node's words that are kept.
const WORDS_CHARS_MAX: usize = 300;

/// Why a node gave no answer that can be used.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Error {
    /// Nobody answered in time, or not as a node does: what was asked for may have been done all the same.
    #[error("the Ethereum node does not answer: {0}")]
    Down(String),
    /// The node understood, and refuses: in its own words.
    #[error("the Ethereum node refuses: {0}")]
    Refused(String),
    /// The node answered something that cannot be read.
    #[error("the Ethereum node's answer cannot be read: {0}")]
    Unreadable(String),
    /// The node does not have the block any more, or not yet: another one has taken its place.
    #[error("the Ethereum node does not have the block it just named")]
    BlockGone,
}

impl Error {
    pub(crate) fn unreadable(what: &str) -> Self {
        Self::Unreadable(short(what))
    }
}

impl From<TransportError> for Error {
    fn from(error: TransportError) -> Self {
        match error {
            RpcError::ErrorResp(payload) => Self::Refused(short(&format!("{} ({})", payload.message, payload.code))),
            RpcError::NullResp => Self::unreadable("null"),
            RpcError::DeserError { err, .. } => Self::unreadable(&err.to_string()),
            RpcError::UnsupportedFeature(feature) => Self::unreadable(feature),
            // A node's address may hold a key: whatever names it is left out.
            RpcError::Transport(kind) => match kind.as_http_error() {
                Some(http) => Self::Down(format!("HTTP status {}", http.status)),
                None => Self::Down("it cannot be reached, or took too long".to_owned()),
            },
            RpcError::LocalUsageError(error) => Self::unreadable(&error.to_string()),
            RpcError::SerError(error) => Self::unreadable(&error.to_string()),
        }
    }
}

fn short(words: &str) -> String {
    words.chars().take(WORDS_CHARS_MAX).collect()
}
