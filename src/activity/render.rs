//! The step that makes a video of one picture or several.
//!
//! `{ "picture": file | [file, ...], "seconds"?, "fps"?, "format"?, "width"?, "height"?, "move"?, "transition"?,
//! "transition_ms"? }` -> `{ "file", "type", "seconds", "frames" }`. Each picture is seen for the seconds that are set; the
//! result's are the film's. A width or a height goes over the format's.

use std::ops::RangeInclusive;

use serde::Deserialize;
use serde_json::{Value, json};

use super::media::{FPS, Render, SECONDS, SIDE_RANGE};
use super::settings::Settings;
use super::worker::Job;
use super::{Activities, FILE_BYTES_MAX, Running};
use crate::domain::Failure;

/// The longest film, in seconds: a worker's limits on time and size are made for it.
const FILM_SECONDS_MAX: u32 = 120;
/// How long one picture may take to give way to the next, in milliseconds.
const TRANSITION_MS: RangeInclusive<u32> = 0..=10_000;
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
    let keys = ["picture", "seconds", "fps", "format", "width", "height", "move", "transition", "transition_ms"];
    let settings = Settings::of(running.call, &keys)?;
    let render = read(settings)?;
    let files = settings.working_files("picture")?;
    if files.len() as u32 * render.seconds > FILM_SECONDS_MAX {
        let must = format!("less: {} pictures make a film of at most {FILM_SECONDS_MAX} s", files.len());
        return Err(settings.fault("seconds", &must));
    }
    let desk = activities.desk()?;
    for (number, file) in files.iter().enumerate() {
        desk.lay(number, activities.storage.get(file, FILE_BYTES_MAX).await?).await?;
    }
    let job = Job::Render { render, pictures: files.len() };
    let name = format!("{}.mp4", running.call.step);
    let (file, report) = activities.work(running, &job, desk, &name).await?;
    let frames = &report["frames"];
    let seconds = frames.as_u64().map(|frames| frames as f64 / f64::from(render.fps));
    Ok(json!({ "file": file, "type": "video/mp4", "seconds": seconds, "frames": frames }))
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
        transition: settings.choice("transition", "fade, slide")?.unwrap_or_default(),
        transition_ms: settings.whole("transition_ms", &TRANSITION_MS, 600)?,
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
