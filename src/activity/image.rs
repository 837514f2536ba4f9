//! The step that makes a picture of a picture.
//!
//! `{ "picture": file, "style"?, "width"?, "height"? }` -> `{ "file", "type", "width", "height" }`.

use serde_json::{Value, json};

use super::media::{Restyle, SIDE_RANGE};
use super::settings::Settings;
use super::worker::Job;
use super::{Activities, FILE_BYTES_MAX, Running};
use crate::domain::Failure;

pub(super) async fn run(activities: &Activities, running: Running<'_>) -> Result<Value, Failure> {
    let settings = Settings::of(running.call, &["picture", "style", "width", "height"])?;
    let restyle = Restyle {
        style: settings.choice("style", "poster, sepia, mono, vivid")?.unwrap_or_default(),
        width: settings.optional_whole("width", &SIDE_RANGE)?,
        height: settings.optional_whole("height", &SIDE_RANGE)?,
    };
    let picture = activities.storage.get(settings.working_file("picture")?, FILE_BYTES_MAX).await?;
    let desk = activities.desk()?;
    desk.lay(0, picture).await?;
    let name = format!("{}.jpg", running.call.step);
    let (file, report) = activities.work(running, &Job::Image(restyle), desk, &name).await?;
    Ok(json!({ "file": file, "type": "image/jpeg", "width": report["width"], "height": report["height"] }))
}
