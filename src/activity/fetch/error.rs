//! Why a link gave nothing, and whether another attempt may.

use std::time::Duration;

use reqwest::{StatusCode, Url};

use super::dns;
use super::link::{LinkFault, host_of};
use crate::domain::Failure;

/// Why a link gave nothing. The texts are for whoever sent the link; the causes are for a log.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The link, or one that it was redirected to, is not followed.
    #[error(transparent)]
    Link(#[from] LinkFault),
    /// Nobody knows the host.
    #[error("the host `{host}` of the link is not known")]
    UnknownHost {
        /// Its name.
        host: String,
        /// What the resolver said.
        #[source]
        source: Box<reqwest::Error>,
    },
    /// No connection, or one that ended before an answer.
    #[error("the server `{host}` of the link could not be reached")]
    Unreachable {
        /// Its name.
        host: String,
        /// What happened.
        #[source]
        source: Box<reqwest::Error>,
    },
    /// The file ended before its announced length, or its form is wrong.
    #[error("the file behind the link broke off")]
    BrokenOff(#[source] Box<reqwest::Error>),
    /// It took too long.
    #[error("the link did not give its file in time")]
    TimedOut,
    /// More redirects than are followed.
    #[error("the link is redirected more than {0} times")]
    TooManyRedirects(usize),
    /// A redirect to where it came from.
    #[error("the link is redirected in a circle")]
    RedirectLoop,
    /// A redirect to nowhere.
    #[error("the link is redirected without saying where to")]
    RedirectNowhere,
    /// Another answer than a file.
    #[error("the server of the link answered {status}")]
    Status {
        /// The answer.
        status: StatusCode,
        /// When it asked to be asked again.
        retry_after: Option<Duration>,
    },
    /// A larger file than whoever fetches wants.
    #[error("the file behind the link has more than {limit_bytes} bytes")]
    TooLarge {
        /// How many were wanted.
        limit_bytes: u64,
    },
    /// The file is packed, although it was asked for as it is.
    #[error("the server of the link packs its files, which was not asked for")]
    Packed,
}

impl Error {
    /// The stable code of the failure.
    #[must_use]
    pub fn code(&self) -> &'static str {
        match self {
            Self::Link(fault) => fault.code(),
            Self::UnknownHost { .. } => "link_host_unknown",
            Self::Unreachable { .. } => "link_unreachable",
            Self::BrokenOff(_) => "link_broken_off",
            Self::TimedOut => "link_timed_out",
            Self::TooManyRedirects(_) => "link_redirects_too_many",
            Self::RedirectLoop => "link_redirect_loop",
            Self::RedirectNowhere => "link_redirect_nowhere",
            Self::Status { status, .. } => match status.as_u16() {
                404 | 410 => "link_not_found",
                401 | 403 => "link_forbidden",
                429 => "link_busy",
                500..=599 => "link_server_failed",
                _ => "link_unusable",
            },
            Self::TooLarge { .. } => "link_too_large",
            Self::Packed => "link_packed",
        }
    }

    /// Whether the same link may give its file another time.
    #[must_use]
    pub fn may_pass(&self) -> bool {
        match self {
            Self::UnknownHost { .. } | Self::Unreachable { .. } | Self::BrokenOff(_) | Self::TimedOut => true,
            Self::Status { status, .. } => status.is_server_error() || matches!(status.as_u16(), 408 | 425 | 429),
            Self::Link(_)
            | Self::TooManyRedirects(_)
            | Self::RedirectLoop
            | Self::RedirectNowhere
            | Self::TooLarge { .. }
            | Self::Packed => false,
        }
    }

    /// What a request to `url` that got no answer means.
    pub(super) fn of_request(url: &Url, error: reqwest::Error) -> Self {
        let host = host_of(url);
        let error = error.without_url();
        if error.is_timeout() {
            return Self::TimedOut;
        }
        match dns_fault(&error) {
            Some(dns::Fault::NotPublic { address, what }) => {
                tracing::warn!(%host, %address, what, "a link led to an address that is not public");
                LinkFault::NotPublic { host }.into()
            }
            Some(dns::Fault::Unknown(_)) => Self::UnknownHost { host, source: Box::new(error) },
            None => Self::Unreachable { host, source: Box::new(error) },
        }
    }
}

/// What our resolver said, when it was the cause.
fn dns_fault(error: &reqwest::Error) -> Option<&dns::Fault> {
    let mut cause: Option<&(dyn std::error::Error + 'static)> = Some(error);
    while let Some(link) = cause {
        if let Some(fault) = link.downcast_ref() {
            return Some(fault);
        }
        cause = link.source();
    }
    None
}

impl From<Error> for Failure {
    fn from(error: Error) -> Self {
        tracing::info!(error = &error as &dyn std::error::Error, "a link gave nothing");
        let failure = if error.may_pass() { Self::passing } else { Self::fatal };
        let retry_after = match &error {
            Error::Status { retry_after, .. } => *retry_after,
            _ => None,
        };
        let retry_after_ms = retry_after.map(|rest| u64::try_from(rest.as_millis()).unwrap_or(u64::MAX));
        Self { retry_after_ms, ..failure(error.code(), error.to_string()) }
    }
}
