//! The step that takes the customer's picture.
//!
//! `{ "source": "data:..." | {"file": "inputs/<sha256>"} }` -> `{ "file", "type", "width", "height" }`.

use bytes::Bytes;
use serde_json::{Value, json};

use super::media::{PICTURE_BYTES_MAX, PictureFault, inspect, parse_data_url};
use super::settings::Settings;
use super::worker::Job;
use super::{Activities, Running, storage};
use crate::domain::Failure;

/// How the keys of customers' files begin. Whoever names one knows its digest and so has had the file.
const INPUTS: &str = "inputs/";

pub(super) async fn run(activities: &Activities, running: Running<'_>) -> Result<Value, Failure> {
    let settings = Settings::of(running.call, &["source"])?;
    let bytes = source(activities, settings).await?;
    // What the header shows is not worth a process.
    inspect(&bytes)?;
    let (file, report) = activities.work(running, &Job::Picture, bytes, "jpg").await?;
    Ok(json!({ "file": file, "type": "image/jpeg", "width": report["width"], "height": report["height"] }))
}

async fn source(activities: &Activities, settings: Settings<'_>) -> Result<Bytes, Failure> {
    let fault = || settings.fault("source", "a data URL or {\"file\": \"inputs/...\"}");
    match settings.value("source") {
        Some(Value::String(text)) => Ok(parse_data_url(text)?.1.into()),
        Some(Value::Object(source)) => {
            let key = source.get("file").and_then(Value::as_str).filter(|key| key.starts_with(INPUTS));
            match activities.storage.get(key.ok_or_else(fault)?, PICTURE_BYTES_MAX as u64).await {
                Err(storage::Error::TooLarge { .. }) => Err(PictureFault::TooLarge.into()),
                found => Ok(found?),
            }
        }
        _ => Err(fault()),
    }
}
