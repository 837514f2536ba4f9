//! Where files live: customers' pictures, working files, results.
//!
//! A thin door over `object_store`, so that a local directory and S3 differ in the URL alone. A write is reported only
//! when it would survive a power cut: on a local directory the bytes go to a staged file that is flushed to disk,
//! renamed into place and whose directory is flushed too; S3 acknowledges nothing it could lose.
//!
//! Nobody ever sees half a file: every write replaces the whole object at once.
//!
//! Links to files stay ours ([`super::signed_url`]), also on S3: they end when the secret changes, answer the same way
//! everywhere, and tell nobody where the bucket is. The price is that a video passes through the server.

mod place;
#[cfg(test)]
mod tests;

use std::ops::Range;
use std::sync::Arc;

use bytes::Bytes;
use futures_util::StreamExt;
use futures_util::stream::BoxStream;
use object_store::path::Path;
use object_store::{GetOptions, GetRange, ObjectMeta, ObjectStore, ObjectStoreExt};
use sha2::{Digest, Sha256};
use tokio::sync::RwLock;

pub use place::{Place, PlaceFault};

use crate::domain::Timestamp;

/// The longest key, in bytes.
const KEY_LENGTH_MAX: usize = 255;

/// Why storage did not do what it was asked.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The key could leave the storage, or would not survive a URL.
    #[error("`{0}` is no storage key: names of letters, digits, `.`, `_` and `-`, joined by `/`")]
    InvalidKey(String),
    /// The configured URL names no storage this build can open.
    #[error("the storage's URL {0}")]
    UnknownUrl(#[from] PlaceFault),
    /// The local directory cannot be made or read.
    #[error("cannot open storage directory `{directory}`")]
    Directory {
        /// As configured.
        directory: String,
        /// What the system said.
        #[source]
        source: std::io::Error,
    },
    /// There is no such file.
    #[error("no file `{0}` in storage")]
    NotFound(String),
    /// The file is larger than the reader was willing to hold in memory.
    #[error("file `{key}` has {size} bytes, more than the {limit} allowed here")]
    TooLarge {
        /// Which file.
        key: String,
        /// Its size in bytes.
        size: u64,
        /// What the reader allowed, in bytes.
        limit: u64,
    },
    /// The range asked for lies outside the file; HTTP answers 416.
    #[error("range {start}..{end} is not within file `{key}` of {size} bytes", start = range.start, end = range.end)]
    OutOfRange {
        /// Which file.
        key: String,
        /// What was asked for.
        range: Range<u64>,
        /// The file's size in bytes.
        size: u64,
    },
    /// The store itself failed.
    #[error("cannot {doing} file `{key}`")]
    Store {
        /// A verb: `write`, `read`, ...
        doing: &'static str,
        /// Which file.
        key: String,
        /// What the store said.
        #[source]
        source: object_store::Error,
    },
}

impl Error {
    fn of(doing: &'static str, key: &str, source: object_store::Error) -> Self {
        match source {
            object_store::Error::NotFound { .. } => Self::NotFound(key.to_owned()),
            source => Self::Store { doing, key: key.to_owned(), source },
        }
    }
}

/// A file being read.
pub struct Reading {
    /// The size of the whole file in bytes.
    pub size: u64,
    /// Which bytes follow.
    pub range: Range<u64>,
    /// The bytes, in pieces.
    pub stream: BoxStream<'static, Result<Bytes, Error>>,
}

/// A file as a listing shows it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct StoredFile {
    /// Which file.
    pub key: String,
    /// Its size in bytes.
    pub bytes: u64,
    /// When it was written last, by the store's clock.
    pub written: Timestamp,
}

/// What a sweep removed.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Swept {
    /// How many files.
    pub files: usize,
    /// How many bytes they had.
    pub bytes: u64,
    /// Whether it stopped at its limit, so that another sweep may find more.
    pub more: bool,
}

/// The store of files. Cloning it is cheap and gives the same store.
#[derive(Clone, Debug)]
pub struct Storage {
    store: Arc<dyn ObjectStore>,
    /// Held by a sweep for the moment between a file's last look and its removal, and shared by writers of inputs: a
    /// file that a customer has just sent again is not taken away.
    sweeping: Arc<RwLock<()>>,
}

impl Storage {
    /// Opens the storage at `url`: see [`Place::parse`]. A directory is made when it is missing; the keys to S3 come from
    /// the environment (`AWS_ACCESS_KEY_ID`, `AWS_SECRET_ACCESS_KEY`, or what else Amazon's machines offer).
    ///
    /// # Errors
    /// [`Error::UnknownUrl`], [`Error::Directory`], [`Error::Store`].
    pub fn open(url: &str) -> Result<Self, Error> {
        Ok(Self { store: Place::parse(url)?.open()?, sweeping: Arc::default() })
    }

    /// Writes `bytes` as `key`, replacing what was there; durable when it returns.
    ///
    /// # Errors
    /// [`Error::InvalidKey`], [`Error::Store`].
    pub async fn put(&self, key: &str, bytes: impl Into<Bytes>) -> Result<(), Error> {
        let path = path_of(key)?;
        self.store.put(&path, bytes.into().into()).await.map_err(|source| Error::of("write", key, source))?;
        Ok(())
    }

    /// Keeps a customer's bytes under their own digest, `inputs/<sha256>`, and returns that key. The same bytes are
    /// kept once, and written anew each time: the time of the file is the time of its last use, by which it is removed.
    ///
    /// # Errors
    /// [`Error::Store`].
    pub async fn put_input(&self, bytes: impl Into<Bytes>) -> Result<String, Error> {
        let bytes = bytes.into();
        let digest = hex::encode(Sha256::digest(&bytes));
        let key = format!("inputs/{digest}");
        let _unswept = self.sweeping.read().await;
        self.put(&key, bytes).await?;
        Ok(key)
    }

    /// The whole file, when it has at most `limit` bytes.
    ///
    /// # Errors
    /// [`Error::InvalidKey`], [`Error::NotFound`], [`Error::TooLarge`], [`Error::Store`].
    pub async fn get(&self, key: &str, limit: u64) -> Result<Bytes, Error> {
        let found = self.store.get(&path_of(key)?).await.map_err(|source| Error::of("read", key, source))?;
        let size = found.meta.size;
        if size > limit {
            return Err(Error::TooLarge { key: key.to_owned(), size, limit });
        }
        found.bytes().await.map_err(|source| Error::of("read", key, source))
    }

    /// Opens the file for reading in pieces: all of it, or the bytes of `range` (its end is cut to the file's).
    ///
    /// # Errors
    /// [`Error::InvalidKey`], [`Error::NotFound`], [`Error::OutOfRange`], [`Error::Store`].
    pub async fn read(&self, key: &str, range: Option<Range<u64>>) -> Result<Reading, Error> {
        let path = path_of(key)?;
        let mut options = GetOptions::default();
        if let Some(asked) = range {
            let size = self.size(key).await?;
            let end = asked.end.min(size);
            if asked.start >= end {
                return Err(Error::OutOfRange { key: key.to_owned(), range: asked, size });
            }
            options.range = Some(GetRange::Bounded(asked.start..end));
        }
        let found = self.store.get_opts(&path, options).await.map_err(|source| Error::of("read", key, source))?;
        let (size, range, owned) = (found.meta.size, found.range.clone(), key.to_owned());
        let stream = found.into_stream().map(move |piece| piece.map_err(|source| Error::of("read", &owned, source)));
        Ok(Reading { size, range, stream: stream.boxed() })
    }

    /// The file's size in bytes.
    ///
    /// # Errors
    /// [`Error::InvalidKey`], [`Error::NotFound`], [`Error::Store`].
    pub async fn size(&self, key: &str) -> Result<u64, Error> {
        let found = self.store.head(&path_of(key)?).await.map_err(|source| Error::of("look up", key, source))?;
        Ok(found.size)
    }

    /// Makes `to` the same file as `from`, replacing what was there; durable when it returns.
    ///
    /// # Errors
    /// [`Error::InvalidKey`], [`Error::NotFound`], [`Error::Store`].
    pub async fn copy(&self, from: &str, to: &str) -> Result<(), Error> {
        let (source, target) = (path_of(from)?, path_of(to)?);
        let found = self.store.head(&source).await.map_err(|error| Error::of("copy", from, error))?;
        // On a local directory a copy is a second name of the same file, and renaming one over the other would do
        // nothing but leave a staged name behind.
        if self.store.head(&target).await.is_ok_and(|there| there.e_tag.is_some() && there.e_tag == found.e_tag) {
            return Ok(());
        }
        self.store.copy(&source, &target).await.map_err(|source| Error::of("copy", from, source))
    }

    /// Removes the file; one that is already gone is no error.
    ///
    /// # Errors
    /// [`Error::InvalidKey`], [`Error::Store`].
    pub async fn delete(&self, key: &str) -> Result<(), Error> {
        match self.store.delete(&path_of(key)?).await.map_err(|source| Error::of("delete", key, source)) {
            Ok(()) | Err(Error::NotFound(_)) => Ok(()),
            Err(error) => Err(error),
        }
    }

    /// Removes the files below `folder` that `may_go` names, `most` of them at once, and the directories that this
    /// leaves empty. Holds one file's facts at a time in memory; a sweep that was cut short is simply repeated.
    ///
    /// # Errors
    /// [`Error::InvalidKey`], [`Error::Store`]. What was removed until then stays removed.
    pub async fn sweep(
        &self,
        folder: &str,
        most: usize,
        may_go: impl Fn(&StoredFile) -> bool + Send + Sync,
    ) -> Result<Swept, Error> {
        let mut swept = Swept::default();
        let mut found = self.store.list(Some(&path_of(folder)?));
        while let Some(meta) = found.next().await {
            let listed = StoredFile::of(&meta.map_err(|source| Error::of("list", folder, source))?);
            if !may_go(&listed) {
                continue;
            }
            if swept.files == most {
                swept.more = true;
                break;
            }
            let _alone = self.sweeping.write().await;
            // The listing may be older than the file by now.
            let path = path_of(&listed.key)?;
            match self.store.head(&path).await.map_err(|source| Error::of("look up", &listed.key, source)) {
                Ok(meta) if !may_go(&StoredFile::of(&meta)) => continue,
                Ok(_) => self.delete(&listed.key).await?,
                Err(Error::NotFound(_)) => continue,
                Err(error) => return Err(error),
            }
            swept.files += 1;
            swept.bytes += listed.bytes;
        }
        Ok(swept)
    }
}

impl StoredFile {
    fn of(meta: &ObjectMeta) -> Self {
        let written = Timestamp(meta.last_modified.timestamp_millis());
        Self { key: meta.location.to_string(), bytes: meta.size, written }
    }
}

/// The media type that goes with a key's ending.
#[must_use]
pub fn media_type(key: &str) -> &'static str {
    match key.rsplit_once('.').map(|(_, ending)| ending) {
        Some("mp4") => "video/mp4",
        Some("jpg") => "image/jpeg",
        Some("png") => "image/png",
        Some("webp") => "image/webp",
        _ => "application/octet-stream",
    }
}

/// Whether `key` may name a file: see [`Error::InvalidKey`]. A name that starts with a dot is none, so nothing climbs
/// out and nothing is hidden.
pub(super) fn is_key(key: &str) -> bool {
    let letter = |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'.' | b'_' | b'-');
    let name = |name: &str| !name.is_empty() && !name.starts_with('.') && name.bytes().all(letter);
    key.len() <= KEY_LENGTH_MAX && key.split('/').all(name)
}

fn path_of(key: &str) -> Result<Path, Error> {
    if is_key(key) { Ok(Path::from(key)) } else { Err(Error::InvalidKey(key.to_owned())) }
}
