//! Activities: what a workflow's steps do.
//!
//! One file per kind of step. A step may run twice (a crash between its end and its record), so each writes to a key
//! that follows from its task and name alone: the second run replaces the first one's file with the same bytes. Working
//! files are `work/<task>/<step>.<ending>`, published ones `results/<task>/<kind>.<ending>`.
//!
//! A step reads the working files of its own task and customers' inputs by digest, nothing else: a task's parameters
//! come from its user and must not open another's files.

pub mod ethereum;
pub mod fetch;
pub mod gateway;
pub mod here;
mod image;
mod noop;
mod picture;
pub mod provider;
mod render;
pub mod retention;
mod runner;
mod settings;
pub mod signed_url;
pub mod storage;
mod store;
pub mod worker;

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use serde_json::Value;
use tokio_util::sync::CancellationToken;

pub use fetch::Fetcher;
pub use mixvideo_media as media;
pub use provider::Providers;
pub use storage::Storage;
pub use worker::WorkerPool;

use crate::domain::Failure;
use crate::domain::workflow::{Activity, StepCall};
use crate::gateway::Gateway;
use worker::{Job, OUTPUT, input_name};

/// The largest file that a step takes from storage or a worker, in bytes.
const FILE_BYTES_MAX: u64 = 256 << 20;

/// What hears how much of a step is done, in parts of 1.
pub type Progress<'a> = &'a (dyn Fn(f32) + Send + Sync);

/// Carries out steps.
#[derive(Clone, Debug)]
pub struct Activities {
    storage: Storage,
    fetcher: Fetcher,
    workers: WorkerPool,
    scratch: PathBuf,
    providers: Option<Arc<Providers>>,
    gateway: Option<Arc<dyn Gateway>>,
}

/// The circumstances of a step that is running.
#[derive(Clone, Copy)]
struct Running<'a> {
    call: &'a StepCall,
    progress: Progress<'a>,
    cancel: &'a CancellationToken,
}

impl Activities {
    /// Activities over `storage`, following links by `fetcher`, with workers' directories below `scratch`, which is made when missing. What workers
    /// of dead servers left there is removed.
    ///
    /// # Errors
    /// When `scratch` cannot be made or read.
    pub fn open(storage: Storage, fetcher: Fetcher, workers: WorkerPool, scratch: &Path) -> std::io::Result<Self> {
        std::fs::create_dir_all(scratch)?;
        let scratch = scratch.canonicalize()?;
        sweep(&scratch)?;
        Ok(Self { storage, fetcher, workers, scratch, providers: None, gateway: None })
    }

    /// The same with providers of models.
    #[must_use]
    pub fn with_providers(self, providers: Arc<Providers>) -> Self {
        Self { providers: Some(providers), ..self }
    }

    /// The same with a gateway of payments.
    #[must_use]
    pub fn with_gateway(self, gateway: Arc<dyn Gateway>) -> Self {
        Self { gateway: Some(gateway), ..self }
    }

    /// Where the steps' files are.
    #[must_use]
    pub const fn storage(&self) -> &Storage {
        &self.storage
    }

    fn providers(&self) -> Option<&Providers> {
        self.providers.as_deref()
    }

    /// Runs one step to its end and returns its result. Running it again gives the same and leaves nothing twice.
    /// Cancelling ends it within a second; dropping the future does too.
    ///
    /// # Errors
    /// [`Failure`]: `step_settings_invalid` and what is wrong with the customer's picture are fatal; what the machine
    /// or the storage did may pass.
    pub async fn run(
        &self,
        call: &StepCall,
        progress: Progress<'_>,
        cancel: &CancellationToken,
    ) -> Result<Value, Failure> {
        let running = Running { call, progress, cancel };
        match call.activity {
            Activity::Noop => noop::run(),
            Activity::Picture => picture::run(self, running).await,
            Activity::Render => render::run(self, running).await,
            Activity::Image => image::run(self, running).await,
            Activity::Store => store::run(self, running).await,
            Activity::Provider => Err(Failure::fatal("step_unreadable", "a provider's step is a job")),
        }
    }

    /// A directory for one job of a worker, gone when it is dropped.
    fn desk(&self) -> Result<Desk, Failure> {
        let prefix = format!("{DIRECTORY_PREFIX}{}-", std::process::id());
        Ok(Desk(tempfile::Builder::new().prefix(&prefix).tempdir_in(&self.scratch).map_err(no_scratch)?))
    }

    /// Has a worker do `job` on what lies on `desk`, keeps what it leaves as the step's working file `name`, and returns
    /// that file's key and the worker's report.
    async fn work(&self, running: Running<'_>, job: &Job, desk: Desk, name: &str) -> Result<(String, Value), Failure> {
        let Desk(directory) = desk;
        let timeout = Duration::from_millis(running.call.timeout_ms);
        let report = self.workers.run(job, directory.path(), running.progress, running.cancel, timeout).await?;
        let output = directory.path().join(OUTPUT);
        if tokio::fs::metadata(&output).await.map_err(no_scratch)?.len() > FILE_BYTES_MAX {
            return Err(Failure::fatal("result_too_large", "the result is larger than allowed"));
        }
        let key = format!("{}{name}", work_prefix(running.call));
        self.storage.put(&key, tokio::fs::read(&output).await.map_err(no_scratch)?).await?;
        Ok((key, report))
    }
}

/// Where a worker finds its inputs and leaves its output.
struct Desk(tempfile::TempDir);

impl Desk {
    /// Lays down input `number`, from 0.
    async fn lay(&self, number: usize, input: Bytes) -> Result<(), Failure> {
        tokio::fs::write(self.0.path().join(input_name(number)), &input).await.map_err(no_scratch)
    }
}

/// How the name of a worker's directory begins; the server's process id follows.
const DIRECTORY_PREFIX: &str = "job-";

/// Removes the directories of servers that are gone.
fn sweep(scratch: &Path) -> std::io::Result<()> {
    for entry in std::fs::read_dir(scratch)? {
        let entry = entry?;
        let name = entry.file_name();
        let server = name.to_str().and_then(|name| name.strip_prefix(DIRECTORY_PREFIX)?.split('-').next());
        // This server has begun nothing yet: what bears its id is of one before it, as in a container, where ids repeat.
        let alive = |pid: &str| pid != std::process::id().to_string() && Path::new("/proc").join(pid).exists();
        if server.is_some_and(|pid| !alive(pid)) {
            std::fs::remove_dir_all(entry.path())?;
        }
    }
    Ok(())
}

/// How the keys of the step's task's working files begin.
fn work_prefix(call: &StepCall) -> String {
    format!("{}/", retention::working_folder(&call.task))
}

fn no_scratch(error: std::io::Error) -> Failure {
    Failure::passing("working_file_failed", format!("a working file could not be written or read: {error}"))
}

impl From<media::PictureFault> for Failure {
    fn from(fault: media::PictureFault) -> Self {
        Self::fatal(fault.code(), fault.to_string())
    }
}

impl From<media::Error> for Failure {
    fn from(error: media::Error) -> Self {
        let message = match &error {
            media::Error::Picture(fault) => fault.to_string(),
            media::Error::Undecodable(_) => media::PictureFault::Damaged.to_string(),
            media::Error::File { .. } | media::Error::NotScaled(_) | media::Error::NotEncoded(_) => error.to_string(),
        };
        if error.may_pass() { Self::passing(error.code(), message) } else { Self::fatal(error.code(), message) }
    }
}

impl From<storage::Error> for Failure {
    fn from(error: storage::Error) -> Self {
        use storage::Error;
        match &error {
            Error::InvalidKey(_) => Self::fatal("file_key_invalid", error.to_string()),
            Error::NotFound(_) => Self::fatal("file_not_found", error.to_string()),
            Error::TooLarge { .. } => Self::fatal("file_too_large", error.to_string()),
            Error::UnknownUrl(_) | Error::Directory { .. } | Error::OutOfRange { .. } | Error::Store { .. } => {
                tracing::warn!(error = &error as &dyn std::error::Error, "storage failed a step");
                Self::passing("storage_unavailable", error.to_string())
            }
        }
    }
}
