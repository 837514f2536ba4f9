//! Why a job on a picture did not end well.

use super::PictureFault;

/// What a library below said.
pub(crate) type Cause = Box<dyn std::error::Error + Send + Sync>;

/// Why a job on a picture did not end well. The causes are for a log; they help nobody who holds a broken picture.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The picture is not taken.
    #[error(transparent)]
    Picture(#[from] PictureFault),
    /// The header is a picture's and the rest is not: [`PictureFault::Damaged`] to its owner.
    #[error("the picture cannot be decoded")]
    Undecodable(#[source] Cause),
    /// A file of the job cannot be opened, read or written: the machine's trouble, not the picture's.
    #[error("cannot {doing} the job's file")]
    File {
        /// A verb: `open`, `read`, `write`.
        doing: &'static str,
        /// What the system said.
        #[source]
        source: Cause,
    },
    /// The picture cannot be scaled.
    #[error("the picture cannot be scaled")]
    NotScaled(#[source] Cause),
    /// The video cannot be encoded.
    #[error("the video cannot be encoded")]
    NotEncoded(#[source] Cause),
}

impl Error {
    /// The stable code of the failure.
    #[must_use]
    pub const fn code(&self) -> &'static str {
        match self {
            Self::Picture(fault) => fault.code(),
            Self::Undecodable(_) => PictureFault::Damaged.code(),
            Self::File { .. } => "working_file_failed",
            Self::NotScaled(_) => "picture_not_scaled",
            Self::NotEncoded(_) => "encoder_failed",
        }
    }

    /// Whether the same picture may fare better another time.
    #[must_use]
    pub const fn may_pass(&self) -> bool {
        match self {
            Self::File { .. } => true,
            Self::Picture(_) | Self::Undecodable(_) | Self::NotScaled(_) | Self::NotEncoded(_) => false,
        }
    }

    pub(crate) fn file(doing: &'static str, source: impl Into<Cause>) -> Self {
        Self::File { doing, source: source.into() }
    }

    pub(crate) fn undecodable(source: impl Into<Cause>) -> Self {
        Self::Undecodable(source.into())
    }

    pub(crate) fn not_scaled(source: impl Into<Cause>) -> Self {
        Self::NotScaled(source.into())
    }

    pub(crate) fn not_encoded(source: impl Into<Cause>) -> Self {
        Self::NotEncoded(source.into())
    }
}
