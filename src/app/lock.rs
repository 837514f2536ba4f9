//! One server per embedded database.

use std::fs::{File, OpenOptions, TryLockError};
use std::path::{Path, PathBuf};

/// The database belongs to another server, or the lock cannot be taken.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// Another server runs on it.
    #[error(
        "another mixvideo serves {} already: stop it first, or give this one a database of its own (--data DIRECTORY)",
        .0.display()
    )]
    Taken(PathBuf),
    /// The lock file cannot be used.
    #[error("the lock file {} cannot be used", path.display())]
    Unusable {
        /// Its path.
        path: PathBuf,
        /// Why.
        #[source]
        source: std::io::Error,
    },
}

/// Held as long as the server runs; the system frees it when the process ends, however it ends.
#[derive(Debug)]
pub struct Lock {
    _file: File,
}

impl Lock {
    /// Takes the lock of the SQLite database in `file`.
    ///
    /// # Errors
    /// [`Error`].
    pub fn take(file: &Path) -> Result<Self, Error> {
        let mut path = file.as_os_str().to_owned();
        path.push(".lock");
        let path = PathBuf::from(path);
        let unusable = |source| Error::Unusable { path: path.clone(), source };
        if let Some(parent) = path.parent() {
            std::fs::create_dir_all(parent).map_err(unusable)?;
        }
        let lock = OpenOptions::new().write(true).create(true).truncate(false).open(&path).map_err(unusable)?;
        match lock.try_lock() {
            Ok(()) => Ok(Self { _file: lock }),
            Err(TryLockError::WouldBlock) => Err(Error::Taken(file.to_owned())),
            Err(TryLockError::Error(source)) => Err(unusable(source)),
        }
    }
}
