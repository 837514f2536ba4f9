//! The workflow definitions of this node: bundled, beside them in a directory, and those that older tasks are pinned to.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use crate::domain::Timestamp;
use crate::domain::workflow::{BUNDLED, Definition, DuplicateName, InvalidDefinition, Library};
use crate::store::{self, Database, definitions};

/// The definitions cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// A file or the directory cannot be read.
    #[error("{} cannot be read", path.display())]
    Unreadable {
        /// Which.
        path: PathBuf,
        /// Why.
        #[source]
        source: std::io::Error,
    },
    /// Files are wrong; one line per fault.
    #[error("{}", lines(.0))]
    Invalid(Vec<InvalidDefinition>),
    /// Two files define the same workflow.
    #[error("two files define the same workflow")]
    Duplicate(#[from] DuplicateName),
    /// The kept definitions cannot be read or written.
    #[error("the kept workflow definitions cannot be used")]
    Store(#[from] store::Error),
}

fn lines(invalid: &[InvalidDefinition]) -> String {
    invalid.iter().map(ToString::to_string).collect::<Vec<_>>().join("\n")
}

/// The current definitions: the bundled ones, and `*.toml` of `directory` over them by name. A directory that does not
/// exist holds none.
///
/// # Errors
/// All faults of all files at once.
pub fn current(directory: &Path) -> Result<Vec<Definition>, Error> {
    let mut faults = Vec::new();
    let mut parse = |file: &str, source: &str| match Definition::parse(file, source) {
        Ok(definition) => Some(definition),
        Err(invalid) => {
            faults.push(invalid);
            None
        }
    };
    let mut found = Vec::new();
    for (path, source) in files(directory)? {
        found.extend(parse(&path.display().to_string(), &source));
    }
    for (file, source) in BUNDLED {
        found.extend(parse(file, source).filter(|bundled| !found.iter().any(|own| own.name() == bundled.name())));
    }
    if faults.is_empty() { Ok(found) } else { Err(Error::Invalid(faults)) }
}

fn files(directory: &Path) -> Result<Vec<(PathBuf, String)>, Error> {
    let unreadable = |path: &Path| {
        let path = path.to_owned();
        move |source| Error::Unreadable { path, source }
    };
    let entries = match std::fs::read_dir(directory) {
        Ok(entries) => entries,
        Err(missing) if missing.kind() == std::io::ErrorKind::NotFound => return Ok(Vec::new()),
        Err(source) => return Err(unreadable(directory)(source)),
    };
    let mut paths = Vec::new();
    for entry in entries {
        let path = entry.map_err(unreadable(directory))?.path();
        if path.extension().is_some_and(|extension| extension == "toml") {
            paths.push(path);
        }
    }
    paths.sort();
    paths
        .into_iter()
        .map(|path| {
            let source = std::fs::read_to_string(&path).map_err(unreadable(&path))?;
            Ok((path, source))
        })
        .collect()
}

/// The library of this node. What is current now is kept in the database for the tasks that will be pinned to it.
///
/// # Errors
/// [`Error`].
pub async fn library(directory: &Path, database: &Database, now: Timestamp) -> Result<Arc<Library>, Error> {
    let current = current(directory)?;
    definitions::keep(database, &current, now).await?;
    let mut old = Vec::new();
    for kept in definitions::all(database).await? {
        match Definition::parse(&format!("{} (kept)", kept.name), &kept.source) {
            Ok(definition) => old.push(definition),
            // Its tasks are set aside when their turn comes; the others go on.
            Err(error) => tracing::error!(digest = kept.digest, %error, "a kept definition cannot be read any more"),
        }
    }
    Ok(Arc::new(Library::new(current)?.with_old(old)))
}
