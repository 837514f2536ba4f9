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
use object_store::{GetOptions, GetRange, ObjectMeta, ObjectStore, ObjectStoreExt};
use sha2::{Digest, Sha256};
use tokio::sync::RwLock;

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
            .with_fsync(true)
            .with_automatic_cleanup(true);
        Ok(Self { store: Arc::new(store), sweeping: Arc::default() })
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
    async fn a_copy_made_twice_leaves_nothing_behind() {
        let (directory, storage) = storage();
        storage.put("work/a", "one").await.unwrap();
        for _ in 0..2 {
            storage.copy("work/a", "results/a").await.unwrap();
        }
        let names = std::fs::read_dir(directory.path().join("files/results")).unwrap();
        let names: Vec<_> = names.map(|entry| entry.unwrap().file_name()).collect();
        assert_eq!(names, ["a"]);
    }

    #[tokio::test]
    async fn a_sweep_takes_what_may_go_in_bounded_portions_and_nothing_beside_its_folder() {
        let (directory, storage) = storage();
        for key in ["work/t/a", "work/t/b", "work/t/c", "work/t2/a", "results/t/a"] {
            storage.put(key, "12345").await.unwrap();
        }
        let spares_c = |file: &StoredFile| file.key != "work/t/c";
        let first = storage.sweep("work/t", 1, spares_c).await.unwrap();
        assert_eq!(first, Swept { files: 1, bytes: 5, more: true });
        let second = storage.sweep("work/t", 9, spares_c).await.unwrap();
        assert_eq!(second, Swept { files: 1, bytes: 5, more: false });
        for kept in ["work/t/c", "work/t2/a", "results/t/a"] {
            assert!(storage.size(kept).await.is_ok(), "{kept} was removed");
        }
        storage.sweep("work/t", 9, |_| true).await.unwrap();
        assert!(!directory.path().join("files/work/t").exists(), "an empty directory was left behind");
        assert_eq!(storage.sweep("work/t", 9, |_| true).await.unwrap(), Swept::default());
        assert!(matches!(storage.sweep("../files", 9, |_| true).await, Err(Error::InvalidKey(_))));
    }

    #[tokio::test]
    async fn an_input_that_is_sent_again_counts_as_new() {
        let (directory, storage) = storage();
        let key = storage.put_input("abc").await.unwrap();
        let file = std::fs::File::open(directory.path().join("files").join(&key)).unwrap();
        file.set_modified(std::time::UNIX_EPOCH + std::time::Duration::from_secs(1000)).unwrap();
        storage.put_input("abc").await.unwrap();
        let old = |file: &StoredFile| file.written < Timestamp(2_000_000);
        assert_eq!(storage.sweep("inputs", 9, old).await.unwrap(), Swept::default());
        assert_eq!(storage.get(&key, 3).await.unwrap(), "abc");
    }

    #[tokio::test]
    async fn a_file_written_again_during_a_sweep_stays() {
        let (_directory, storage) = storage();
        storage.put("inputs/a", "1").await.unwrap();
        // The first look is the listing's, the second the one before the removal.
        let looks = std::sync::atomic::AtomicUsize::new(0);
        let once = |_: &StoredFile| looks.fetch_add(1, std::sync::atomic::Ordering::Relaxed) == 0;
        assert_eq!(storage.sweep("inputs", 9, once).await.unwrap(), Swept::default());
        assert!(storage.size("inputs/a").await.is_ok());
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
