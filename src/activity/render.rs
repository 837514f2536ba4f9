//! The step that makes a video of a picture.
//!
//! `{ "picture": file, "seconds"?, "fps"?, "format"?, "width"?, "height"?, "move"? }` -> `{ "file", "type", "seconds",
//! "frames" }`. A width or a height goes over the format's.

use serde::Deserialize;
use serde_json::{Value, json};

use super::media::{FPS, Render, SECONDS, SIDE_RANGE};
use super::settings::Settings;
use super::worker::Job;
use super::{Activities, FILE_BYTES_MAX, Running};
use crate::domain::Failure;

/// The largest frame, in pixels.
const FRAME_PIXELS_MAX: u32 = 1920 * 1080;

/// The shape of a film.
#[derive(Clone, Copy, Default, Deserialize)]
#[serde(rename_all = "snake_case")]
enum Format {
    #[default]
    Landscape,
    Portrait,
    Square,
}

impl Format {
    /// Its width and height, in pixels.
    const fn size(self) -> (u32, u32) {
        match self {
            Self::Landscape => (1280, 720),
            Self::Portrait => (720, 1280),
            Self::Square => (1080, 1080),
        }
    }
}

pub(super) async fn run(activities: &Activities, running: Running<'_>) -> Result<Value, Failure> {
    let settings = Settings::of(running.call, &["picture", "seconds", "fps", "format", "width", "height", "move"])?;
    let render = read(settings)?;
    let picture = activities.storage.get(settings.working_file("picture")?, FILE_BYTES_MAX).await?;
    let (file, report) = activities.work(running, &Job::Render(render), picture, "mp4").await?;
    Ok(json!({ "file": file, "type": "video/mp4", "seconds": render.seconds, "frames": report["frames"] }))
}

fn read(settings: Settings<'_>) -> Result<Render, Failure> {
    let format: Format = settings.choice("format", "landscape, portrait, square")?.unwrap_or_default();
    let (width, height) = format.size();
    let render = Render {
        seconds: settings.whole("seconds", &SECONDS, 5)?,
        fps: settings.whole("fps", &FPS, 30)?,
        width: settings.whole("width", &SIDE_RANGE, width)?,
        height: settings.whole("height", &SIDE_RANGE, height)?,
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
