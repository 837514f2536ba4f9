//! Steps on real pictures, with the real worker process.

mod bundled;
pub mod films;
mod pictures;
mod workers;

use std::path::PathBuf;

use base64::Engine;
use mixvideo::activity::worker::{Limits, WorkerPool};
use mixvideo::activity::{Activities, Fetcher, Storage};
use mixvideo::domain::Failure;
use mixvideo::domain::workflow::{Activity, StepCall};
use serde_json::{Value, json};
use tempfile::TempDir;
use tokio_util::sync::CancellationToken;

fn executable() -> PathBuf {
    env!("CARGO_BIN_EXE_mixvideo").into()
}

/// Activities over a directory of their own.
struct Studio {
    directory: TempDir,
    activities: Activities,
}

impl Studio {
    fn open() -> Self {
        Self::within(Limits::default())
    }

    fn within(limits: Limits) -> Self {
        let directory = tempfile::tempdir().unwrap();
        let storage = Storage::open(&format!("file://{}", directory.path().join("files").display())).unwrap();
        let workers = WorkerPool::new(executable(), limits, 2);
        let fetcher = Fetcher::new(vec!["127.0.0.1".parse().unwrap()]).unwrap();
        let activities = Activities::open(storage, fetcher, workers, &directory.path().join("scratch")).unwrap();
        Self { directory, activities }
    }

    async fn run(&self, step: &str, activity: Activity, with: Value) -> Result<Value, Failure> {
        self.activities.run(&call(step, activity, with), &|_| (), &CancellationToken::new()).await
    }

    /// Takes `bytes` as the task's picture and returns the working copy's key.
    async fn take(&self, bytes: &[u8]) -> Result<Value, Failure> {
        self.run("picture", Activity::Picture, json!({ "source": data_url(bytes) })).await
    }

    async fn bytes(&self, result: &Value) -> Vec<u8> {
        self.activities.storage().get(result["file"].as_str().unwrap(), 1 << 30).await.unwrap().to_vec()
    }

    /// Every file below `folder`, sorted.
    fn files(&self, folder: &str) -> Vec<String> {
        let mut found = Vec::new();
        let mut folders = vec![self.directory.path().join(folder)];
        while let Some(folder) = folders.pop() {
            for entry in std::fs::read_dir(folder).unwrap() {
                let path = entry.unwrap().path();
                if path.is_dir() {
                    folders.push(path);
                } else {
                    found.push(path.strip_prefix(self.directory.path()).unwrap().display().to_string());
                }
            }
        }
        found.sort();
        found
    }
}

fn call(step: &str, activity: Activity, with: Value) -> StepCall {
    StepCall {
        task: "task_1".into(),
        step: step.into(),
        attempt: 1,
        activity,
        timeout_ms: 60_000,
        with: with.as_object().cloned().unwrap(),
        job: None,
    }
}

fn data_url(bytes: &[u8]) -> String {
    format!("data:image/jpeg;base64,{}", base64::engine::general_purpose::STANDARD.encode(bytes))
}

/// A picture with something to see everywhere: red grows to the right, green downwards, over a chequered blue.
fn painting(width: u32, height: u32) -> image::RgbImage {
    image::RgbImage::from_fn(width, height, |x, y| {
        let blue = if (x / 40 + y / 40) % 2 == 0 { 200 } else { 40 };
        image::Rgb([(x * 255 / width) as u8, (y * 255 / height) as u8, blue])
    })
}

fn encoded(picture: &image::RgbImage, format: image::ImageFormat) -> Vec<u8> {
    let mut bytes = std::io::Cursor::new(Vec::new());
    picture.write_to(&mut bytes, format).unwrap();
    bytes.into_inner()
}
