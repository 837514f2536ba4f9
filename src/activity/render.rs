//! The step that makes a video of a picture.
//!
//! `{ "picture": file, "seconds"?, "fps"?, "width"?, "height"?, "move"? }` -> `{ "file", "type", "seconds", "frames" }`.

use serde_json::{Value, json};

use super::media::{FPS, Render, SECONDS, SIDE_RANGE};
use super::settings::Settings;
use super::worker::Job;
use super::{Activities, FILE_BYTES_MAX, Running};
use crate::domain::Failure;

/// The largest frame, in pixels.
const FRAME_PIXELS_MAX: u32 = 1920 * 1080;

pub(super) async fn run(activities: &Activities, running: Running<'_>) -> Result<Value, Failure> {
    let settings = Settings::of(running.call, &["picture", "seconds", "fps", "width", "height", "move"])?;
    let render = read(settings)?;
    let picture = activities.storage.get(settings.working_file("picture")?, FILE_BYTES_MAX).await?;
    let (file, report) = activities.work(running, &Job::Render(render), picture, "mp4").await?;
    Ok(json!({ "file": file, "type": "video/mp4", "seconds": render.seconds, "frames": report["frames"] }))
}

fn read(settings: Settings<'_>) -> Result<Render, Failure> {
    let render = Render {
        seconds: settings.whole("seconds", &SECONDS, 5)?,
        fps: settings.whole("fps", &FPS, 30)?,
        width: settings.whole("width", &SIDE_RANGE, 1280)?,
        height: settings.whole("height", &SIDE_RANGE, 720)?,
        movement: settings
            .choice("move", "zoom_in, zoom_out, pan_left, pan_right, pan_up, pan_down")?
            .unwrap_or_default(),
    };
    // The encoder keeps colour at half the resolution.
    for (key, side) in [("width", render.width), ("height", render.height)] {
        if side % 2 != 0 {
            return Err(settings.fault(key, "an even number"));
        }
    }
    if render.width * render.height > FRAME_PIXELS_MAX {
        return Err(settings.fault("height", "smaller: a frame has at most 1920 x 1080 pixels"));
    }
    Ok(render)
}
