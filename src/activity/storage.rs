//! Where files live: customers' pictures, working files, results.
//!
//! A thin door over `object_store`, so that a local directory and S3 differ in the URL alone. A write is reported only
//! when it would survive a power cut: on a local directory the bytes go to a staged file that is flushed to disk,
//! renamed into place and whose directory is flushed too; S3 acknowledges nothing it could lose.
//!
//! Nobody ever sees half a file: every write replaces the whole object at once.

use std::ops::Range;
use std::path::Path as FilePath;
use std::sync::Arc;

use bytes::Bytes;
use futures_util::StreamExt;
use futures_util::stream::BoxStream;
use object_store::local::LocalFileSystem;
use object_store::path::Path;
use object_store::{GetOptions, GetRange, ObjectStore, ObjectStoreExt};
use sha2::{Digest, Sha256};

/// The longest key, in bytes.
const KEY_LENGTH_MAX: usize = 255;

/// Why storage did not do what it was asked.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The key could leave the storage, or would not survive a URL.
    #[error("`{0}` is no storage key: names of letters, digits, `.`, `_` and `-`, joined by `/`")]
    InvalidKey(String),
    /// The configured URL names no storage this build can open.
    #[error("cannot open storage at `{0}`: write file://DIRECTORY, for example file://data/files")]
    UnknownUrl(String),
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

/// The store of files. Cloning it is cheap and gives the same store.
#[derive(Clone, Debug)]
pub struct Storage {
    store: Arc<dyn ObjectStore>,
}

impl Storage {
    /// Opens `url`: `file://` and a directory, absolute or relative to the working directory; it is made when missing.
    ///
    /// # Errors
    /// [`Error::UnknownUrl`] and [`Error::Directory`].
    pub fn open(url: &str) -> Result<Self, Error> {
        let directory =
            url.strip_prefix("file://").filter(|rest| !rest.is_empty()).ok_or_else(|| Error::UnknownUrl(url.into()))?;
        let failed = |source| Error::Directory { directory: directory.to_owned(), source };
        std::fs::create_dir_all(directory).map_err(failed)?;
        let absolute = FilePath::new(directory).canonicalize().map_err(failed)?;
        let store = LocalFileSystem::new_with_prefix(absolute)
            .map_err(|source| Error::of("open", directory, source))?
            .with_fsync(true);
        Ok(Self { store: Arc::new(store) })
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
    /// kept once.
    ///
    /// # Errors
    /// [`Error::Store`].
    pub async fn put_input(&self, bytes: impl Into<Bytes>) -> Result<String, Error> {
        let bytes = bytes.into();
        let digest: String = Sha256::digest(&bytes).iter().map(|byte| format!("{byte:02x}")).collect();
        let key = format!("inputs/{digest}");
        match self.size(&key).await {
            Ok(size) if size == bytes.len() as u64 => {}
            Ok(_) | Err(Error::NotFound(_)) => self.put(&key, bytes).await?,
            Err(error) => return Err(error),
        }
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
        self.store.copy(&path_of(from)?, &path_of(to)?).await.map_err(|source| Error::of("copy", from, source))
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

#[cfg(test)]
mod tests {
    use super::*;

    fn storage() -> (tempfile::TempDir, Storage) {
        let directory = tempfile::tempdir().unwrap();
        let storage = Storage::open(&format!("file://{}/files", directory.path().display())).unwrap();
        (directory, storage)
    }

    async fn text(reading: Reading) -> String {
        let pieces: Vec<_> = reading.stream.map(|piece| piece.unwrap().to_vec()).collect().await;
        String::from_utf8(pieces.concat()).unwrap()
    }

    #[tokio::test]
    async fn what_is_put_is_read_whole_and_by_range() {
        let (_directory, storage) = storage();
        storage.put("work/t/a.mp4", "hello world").await.unwrap();
        assert_eq!(storage.get("work/t/a.mp4", 11).await.unwrap(), "hello world");
        let part = storage.read("work/t/a.mp4", Some(6..99)).await.unwrap();
        assert_eq!((part.size, part.range.clone()), (11, 6..11));
        assert_eq!(text(part).await, "world");
        assert_eq!(text(storage.read("work/t/a.mp4", None).await.unwrap()).await, "hello world");
        let outside = storage.read("work/t/a.mp4", Some(11..12)).await.err();
        assert!(matches!(outside, Some(Error::OutOfRange { size: 11, .. })), "{outside:?}");
    }

    #[tokio::test]
    async fn a_file_over_the_readers_limit_is_refused() {
        let (_directory, storage) = storage();
        storage.put("a", "12345").await.unwrap();
        assert!(matches!(storage.get("a", 4).await, Err(Error::TooLarge { size: 5, limit: 4, .. })));
    }

    #[tokio::test]
    async fn the_same_input_is_kept_once_under_its_digest() {
        let (directory, storage) = storage();
        let first = storage.put_input("abc").await.unwrap();
        assert_eq!(first, "inputs/ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad");
        assert_eq!(storage.put_input("abc").await.unwrap(), first);
        assert_eq!(std::fs::read_dir(directory.path().join("files/inputs")).unwrap().count(), 1);
    }

    #[tokio::test]
    async fn a_copy_replaces_and_outlives_its_original() {
        let (_directory, storage) = storage();
        storage.put("work/a", "one").await.unwrap();
        storage.put("results/a", "old").await.unwrap();
        storage.copy("work/a", "results/a").await.unwrap();
        storage.put("work/a", "two").await.unwrap();
        storage.delete("work/a").await.unwrap();
        storage.delete("work/a").await.unwrap();
        assert_eq!(storage.get("results/a", 9).await.unwrap(), "one");
        assert!(matches!(storage.copy("work/a", "results/a").await, Err(Error::NotFound(_))));
    }

    #[tokio::test]
    async fn a_key_that_could_leave_the_storage_is_refused() {
        let (_directory, storage) = storage();
        let long = "a".repeat(256);
        for key in
            ["", "..", "../a", "a/../../b", "/etc/passwd", "a//b", "a/", ".hidden", "a b", "a%2fb", "ä", "a\0", &long]
        {
            assert!(matches!(storage.put(key, "x").await, Err(Error::InvalidKey(_))), "{key:?} was taken");
            assert!(matches!(storage.get(key, 1).await, Err(Error::InvalidKey(_))), "{key:?} was read");
        }
    }

    #[test]
    fn an_unknown_storage_url_is_refused_with_an_example() {
        let error = Storage::open("ftp://files").unwrap_err().to_string();
        assert!(error.contains("file://data/files"), "{error}");
    }
}
