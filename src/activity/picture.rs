//! The step that takes the customer's picture.
//!
//! `{ "source": "data:..." | "https://..." | {"file": "inputs/<sha256>"} }` -> `{ "file", "type", "width", "height" }`.

use std::time::Duration;

use bytes::Bytes;
use serde_json::{Value, json};

use super::media::{PICTURE_BYTES_MAX, PictureFault, inspect, parse_data_url};
use super::settings::Settings;
use super::worker::{Job, cancelled};
use super::{Activities, Running, fetch, storage};
use crate::domain::Failure;

/// How the keys of customers' files begin. Whoever names one knows its digest and so has had the file.
const INPUTS: &str = "inputs/";
/// How long a link may take to give its picture: it holds a place that another task could decode in.
const FETCH_LIMIT: Duration = Duration::from_secs(20);

pub(super) async fn run(activities: &Activities, running: Running<'_>) -> Result<Value, Failure> {
    let settings = Settings::of(running.call, &["source"])?;
    let bytes = source(activities, running, settings).await?;
    // What the header shows is not worth a process.
    inspect(&bytes)?;
    let (file, report) = activities.work(running, &Job::Picture, bytes, "jpg").await?;
    Ok(json!({ "file": file, "type": "image/jpeg", "width": report["width"], "height": report["height"] }))
}

async fn source(activities: &Activities, running: Running<'_>, settings: Settings<'_>) -> Result<Bytes, Failure> {
    let fault = || settings.fault("source", "a data URL, a link or {\"file\": \"inputs/...\"}");
    match settings.value("source") {
        Some(Value::String(text)) if is_link(text) => fetched(activities, running, text).await,
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

/// Whether a picture is given by a link; what is wrong with it is for who follows it to say.
fn is_link(text: &str) -> bool {
    !text.get(..5).is_some_and(|scheme| scheme.eq_ignore_ascii_case("data:"))
}

async fn fetched(activities: &Activities, running: Running<'_>, link: &str) -> Result<Bytes, Failure> {
    let within = FETCH_LIMIT.min(Duration::from_millis(running.call.timeout_ms));
    tokio::select! {
        biased;
        () = running.cancel.cancelled() => Err(cancelled()),
        found = activities.fetcher.fetch(link, PICTURE_BYTES_MAX as u64, within) => match found {
            Err(fetch::Error::TooLarge { .. }) => Err(PictureFault::TooLarge.into()),
            found => Ok(found?.bytes),
        },
    }
}
