//! The definitions in use.

use std::collections::HashMap;
use std::sync::Arc;

use super::definition::Definition;

/// The definitions that come with the product: the file's name and its text.
pub const BUNDLED: [(&str, &str); 8] = [
    ("video-generation-workflow.toml", include_str!("../../../workflows/video-generation-workflow.toml")),
    ("image-generation-workflow.toml", include_str!("../../../workflows/image-generation-workflow.toml")),
    ("noop.toml", include_str!("../../../workflows/noop.toml")),
    ("photo-set-workflow.toml", include_str!("../../../workflows/photo-set-workflow.toml")),
    ("slideshow-workflow.toml", include_str!("../../../workflows/slideshow-workflow.toml")),
    ("openai-image-workflow.toml", include_str!("../../../workflows/openai-image-workflow.toml")),
    ("openai-video-workflow.toml", include_str!("../../../workflows/openai-video-workflow.toml")),
    ("replicate-workflow.toml", include_str!("../../../workflows/replicate-workflow.toml")),
];

/// Every definition that a task may be pinned to, and which one of each name new tasks take.
#[derive(Debug, Default)]
pub struct Library {
    by_digest: HashMap<String, Arc<Definition>>,
    current: HashMap<String, Arc<Definition>>,
}

/// Two definitions in use claim one name.
#[derive(Debug, PartialEq, Eq, thiserror::Error)]
#[error("two workflows are named `{0}`")]
pub struct DuplicateName(pub String);

impl Library {
    /// A library in which `current` are the definitions for new tasks.
    ///
    /// # Errors
    /// [`DuplicateName`] when two of them have one name.
    pub fn new(current: impl IntoIterator<Item = Definition>) -> Result<Self, DuplicateName> {
        let mut library = Self::default();
        for definition in current {
            let definition = Arc::new(definition);
            library.by_digest.insert(definition.digest().to_owned(), definition.clone());
            if let Some(other) = library.current.insert(definition.name().to_owned(), definition) {
                return Err(DuplicateName(other.name().to_owned()));
            }
        }
        Ok(library)
    }

    /// The library with `old` definitions as well: those that tasks under way began with.
    #[must_use]
    pub fn with_old(mut self, old: impl IntoIterator<Item = Definition>) -> Self {
        for definition in old {
            self.by_digest.entry(definition.digest().to_owned()).or_insert_with(|| Arc::new(definition));
        }
        self
    }

    /// The definition that new tasks of the workflow `name` take.
    #[must_use]
    pub fn current(&self, name: &str) -> Option<&Arc<Definition>> {
        self.current.get(name)
    }

    /// The definition whose text has this digest.
    #[must_use]
    pub fn by_digest(&self, digest: &str) -> Option<&Arc<Definition>> {
        self.by_digest.get(digest)
    }

    /// The definitions for new tasks, by name.
    #[must_use]
    pub fn all_current(&self) -> Vec<&Arc<Definition>> {
        let mut all: Vec<_> = self.current.values().collect();
        all.sort_by_key(|definition| definition.name());
        all
    }
}
