//! The step that takes the customer's picture, or several.
//!
//! `{ "source": "data:..." | "https://..." | {"file": "inputs/<sha256>"} }` -> `{ "file", "type", "width", "height" }`;
//! a list of sources gives `{ "files", "type" }`.

use std::time::Duration;

use bytes::Bytes;
use serde_json::{Value, json};

use super::media::{PICTURE_BYTES_MAX, PictureFault, inspect, parse_data_url};
use super::settings::Settings;
use super::worker::{Job, cancelled};
use super::{Activities, Running, fetch, storage};
use crate::domain::Failure;
use crate::domain::workflow::PICTURES;

/// How the keys of customers' files begin. Whoever names one knows its digest and so has had the file.
const INPUTS: &str = "inputs/";
/// How long a link may take to give its picture: it holds a place that another task could decode in.
const FETCH_LIMIT: Duration = Duration::from_secs(20);

pub(super) async fn run(activities: &Activities, running: Running<'_>) -> Result<Value, Failure> {
    let settings = Settings::of(running.call, &["source"])?;
    match settings.value("source") {
        Some(Value::Array(sources)) => all(activities, running, settings, sources).await,
        source => {
            let name = format!("{}.jpg", running.call.step);
            let (file, report) = take(activities, running, settings, source, &name).await?;
            Ok(json!({ "file": file, "type": "image/jpeg", "width": report["width"], "height": report["height"] }))
        }
    }
}

/// Takes pictures one after the other: a worker's memory is for one.
async fn all(
    activities: &Activities,
    running: Running<'_>,
    settings: Settings<'_>,
    sources: &[Value],
) -> Result<Value, Failure> {
    if sources.is_empty() || sources.len() > *PICTURES.end() {
        return Err(settings.fault("source", &format!("a list of at most {} pictures", PICTURES.end())));
    }
    let mut files = Vec::new();
    for (done, source) in sources.iter().enumerate() {
        let number = done + 1;
        let name = format!("{}-{number}.jpg", running.call.step);
        let taken = take(activities, running, settings, Some(source), &name).await;
        let (file, _) = taken.map_err(|failure| Failure {
            message: format!("picture {number} of {}: {}", sources.len(), failure.message),
            ..failure
        })?;
        files.push(file);
        (running.progress)(number as f32 / sources.len() as f32);
    }
    Ok(json!({ "files": files, "type": "image/jpeg" }))
}

/// Has a worker make the working copy `name` of a picture.
async fn take(
    activities: &Activities,
    running: Running<'_>,
    settings: Settings<'_>,
    source: Option<&Value>,
    name: &str,
) -> Result<(String, Value), Failure> {
    let bytes = bytes_of(activities, running, settings, source).await?;
    // What the header shows is not worth a process.
    inspect(&bytes)?;
    let desk = activities.desk()?;
    desk.lay(0, bytes).await?;
    activities.work(running, &Job::Picture, desk, name).await
}

async fn bytes_of(
    activities: &Activities,
    running: Running<'_>,
    settings: Settings<'_>,
    source: Option<&Value>,
) -> Result<Bytes, Failure> {
    let fault = || settings.fault("source", "a data URL, a link or {\"file\": \"inputs/...\"}");
    match source {
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
