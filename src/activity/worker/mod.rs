//! The child process that touches a customer's bytes.
//!
//! Whatever decodes a picture or encodes a video runs as `mixvideo worker`: the same binary, one job per process, with
//! limits on its memory, time and files. Its death names its job and harms nobody else, and cancelling is a kill.
//!
//! The protocol, all in JSON lines: the parent writes one [`Assignment`] to the child's stdin and keeps stdin open; the
//! child answers on stdout with any number of `{"progress":0.42}` and then one `{"done":{...}}` or
//! `{"failed":{"code","message","retryable"}}`. The job's files are [`INPUT`] and [`OUTPUT`] in the child's working
//! directory. When stdin ends, the parent is gone and the child ends too.

mod child;
mod pool;

use serde::{Deserialize, Serialize};

pub use child::worker_main;
pub use pool::WorkerPool;
pub(super) use pool::cancelled;

use super::media::{Render, Restyle};
use crate::domain::Failure;

/// The file a job reads, in its working directory.
pub const INPUT: &str = "input";
/// The file a job leaves, in its working directory.
pub const OUTPUT: &str = "output";

/// The longest assignment in bytes; a longer one is refused unread.
const ASSIGNMENT_BYTES_MAX: u64 = 64 * 1024;
/// Allows [`Job::Misbehave`]; only tests set it.
const MISBEHAVE_VARIABLE: &str = "MIXVIDEO_WORKER_MISBEHAVE";

/// What a child may use.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Limits {
    /// Address space in bytes on top of what the process has when it starts.
    pub memory_bytes: u64,
    /// Processor time in seconds.
    pub cpu_s: u64,
    /// The largest file it may write, in bytes.
    pub file_bytes: u64,
    /// How many files it may have open.
    pub open_files: u64,
}

impl Default for Limits {
    fn default() -> Self {
        Self { memory_bytes: 1 << 30, cpu_s: 300, file_bytes: 256 << 20, open_files: 64 }
    }
}

/// What a child does.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(tag = "kind", rename_all = "snake_case")]
pub enum Job {
    /// Decodes a customer's picture into an upright working copy.
    Picture,
    /// Makes a video of a working copy.
    Render(Render),
    /// Makes a picture of a working copy.
    Image(Restyle),
    /// Does what no job should, to show that the parent survives it. Refused unless the environment allows it.
    #[doc(hidden)]
    Misbehave {
        /// In which way.
        how: Misbehaviour,
    },
}

/// What can go wrong in a child.
#[doc(hidden)]
#[allow(missing_docs)]
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Misbehaviour {
    Panic,
    Abort,
    ExhaustMemory,
    BurnProcessor,
    WriteWithoutEnd,
    Hang,
    TalkGarbage,
    EndSilently,
    TouchEnvironment,
}

/// A job and what it may use.
#[derive(Debug, Serialize, Deserialize)]
struct Assignment {
    limits: Limits,
    job: Job,
}

/// What a child says.
#[derive(Debug, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
enum Said {
    Progress(f32),
    Done(serde_json::Value),
    Failed(Failure),
}
