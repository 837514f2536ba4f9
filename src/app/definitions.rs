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

/// A definition as it was read, with the name of its file.
pub type Found = (String, Result<Definition, InvalidDefinition>);

/// Every definition in use: `*.toml` of `directory`, and the bundled ones that none of these replaces by its name. A
/// directory that does not exist holds none.
///
/// # Errors
/// [`Error::Unreadable`]. What is wrong with a file stands in its place.
pub fn found(directory: &Path) -> Result<Vec<Found>, Error> {
    let parse = |file: String, source: &str| {
        let parsed = Definition::parse(&file, source);
        (file, parsed)
    };
    let own = files(directory)?;
    let mut found: Vec<Found> =
        own.into_iter().map(|(path, source)| parse(path.display().to_string(), &source)).collect();
    for (file, source) in BUNDLED {
        let (file, parsed) = parse(file.to_owned(), source);
        let has_name =
            |own: &Found| own.1.as_ref().ok().map(Definition::name) == parsed.as_ref().ok().map(Definition::name);
        if !found.iter().any(|own| own.1.is_ok() && has_name(own)) {
            found.push((file, parsed));
        }
    }
    Ok(found)
}

/// The current definitions: those in use, when all of them are right.
///
/// # Errors
/// All faults of all files at once.
pub fn current(directory: &Path) -> Result<Vec<Definition>, Error> {
    let mut faults = Vec::new();
    let mut definitions = Vec::new();
    for (_, parsed) in found(directory)? {
        match parsed {
            Ok(definition) => definitions.push(definition),
            Err(invalid) => faults.push(invalid),
        }
    }
    if faults.is_empty() { Ok(definitions) } else { Err(Error::Invalid(faults)) }
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
