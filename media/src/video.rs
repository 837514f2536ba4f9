//! From still pictures to an H.264 video in an MP4, frame by frame, without an external program.
//!
//! A picture is turned into the encoder's colours once. Each frame is then three sub-pixel crops, of one brightness
//! plane and two colour planes, which costs a third of cutting RGB and converting every frame.

use std::collections::BTreeMap;
use std::collections::btree_map::Entry;
use std::io::{BufWriter, Write};
use std::path::{Path, PathBuf};

use image::RgbImage;
use muxide::api::{MuxerBuilder, VideoCodec};
use openh264::encoder::{
    BitRate, Complexity, Encoder, EncoderConfig, FrameRate, FrameType, IntraFramePeriod, Profile, QpRange,
    RateControlMode, UsageType, VuiConfig,
};
use openh264::{OpenH264API, Timestamp};
use serde::{Deserialize, Serialize};

use super::camera::Move;
use super::planes::{Frame, Planes};
use super::timeline::{Timeline, View};
use super::transition::Transition;
use super::{Error, Window, picture, scale};

/// How long a picture may be seen, in seconds.
pub const SECONDS: std::ops::RangeInclusive<u32> = 1..=30;
/// How many frames a second it may have.
pub const FPS: std::ops::RangeInclusive<u32> = 10..=60;
/// What the encoder may spend on a pixel of a frame, in bits: about 3 Mbit/s at 1280 x 720 and 30 frames a second.
const BITS_PER_PIXEL: f64 = 0.11;
/// How coarse the encoder may get: beyond this, smooth skies fall into blocks.
const COARSENESS: (u8, u8) = (14, 32);
/// A player can jump to a frame this often, in seconds.
const KEY_FRAME_EVERY_S: u32 = 2;

/// What video to make.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Render {
    /// How long each picture is seen, in seconds: 1 to 30.
    pub seconds: u32,
    /// Frames a second: 10 to 60.
    pub fps: u32,
    /// Pixels from left to right, even.
    pub width: u32,
    /// Pixels from top to bottom, even.
    pub height: u32,
    /// How the camera moves over each picture.
    #[serde(rename = "move")]
    pub movement: Move,
    /// How one picture gives way to the next.
    pub transition: Transition,
    /// How long that takes, in milliseconds; never more than half of a picture's time.
    pub transition_ms: u32,
}

impl Render {
    fn timeline(&self, pictures: usize) -> Timeline {
        let shared = (u64::from(self.transition_ms) * u64::from(self.fps)).div_ceil(1_000);
        Timeline::new(pictures as u32, self.seconds * self.fps, u32::try_from(shared).unwrap_or(u32::MAX))
    }
}

/// A video that a job has left.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
pub struct Film {
    /// How many frames it has.
    pub frames: u32,
}

/// Makes the video of `pictures`, at least one, one after the other, and leaves it at `output`; the frame is filled,
/// what does not fit its shape is cut. `progress` hears the part done after every frame.
///
/// # Errors
/// What [`PictureFault`](super::PictureFault) names, [`Error::Undecodable`], [`Error::File`], [`Error::NotScaled`],
/// [`Error::NotEncoded`].
pub fn render(render: &Render, pictures: &[PathBuf], output: &Path, progress: &dyn Fn(f32)) -> Result<Film, Error> {
    let file = std::fs::File::create(output).map_err(|error| Error::file("write", error))?;
    let mut muxer = MuxerBuilder::new(BufWriter::new(file))
        .video(VideoCodec::H264, render.width, render.height, f64::from(render.fps))
        .with_fast_start(true)
        .build()
        .map_err(Error::not_encoded)?;
    let mut encoder =
        Encoder::with_api_config(OpenH264API::from_source(), settings(render)).map_err(Error::not_encoded)?;
    let timeline = render.timeline(pictures.len());
    let mut projector = Projector::new(render, pictures);
    let frames = timeline.frames();
    for number in 0..frames {
        let seconds = f64::from(number) / f64::from(render.fps);
        let frame = projector.show(timeline.at(number))?;
        let at = Timestamp::from_millis((seconds * 1000.0) as u64);
        let encoded = encoder.encode_at(&frame.slices(), at).map_err(Error::not_encoded)?;
        let key_frame = matches!(encoded.frame_type(), FrameType::IDR | FrameType::I);
        muxer.write_video(seconds, &encoded.to_vec(), key_frame).map_err(Error::not_encoded)?;
        progress((number + 1) as f32 / frames as f32);
    }
    muxer.finish_in_place().map_err(Error::not_encoded)?;
    muxer.into_writer().flush().map_err(|error| Error::file("write", error))?;
    Ok(Film { frames })
}

/// Shows pictures as they are needed, and holds no more of them in memory than are seen.
struct Projector<'a> {
    render: &'a Render,
    pictures: &'a [PathBuf],
    open: BTreeMap<usize, Planes>,
    frame: Frame,
    next: Frame,
}

impl<'a> Projector<'a> {
    fn new(render: &'a Render, pictures: &'a [PathBuf]) -> Self {
        let frame = || Frame::new(render.width, render.height);
        Self { render, pictures, open: BTreeMap::new(), frame: frame(), next: frame() }
    }

    /// The frame for a view.
    fn show(&mut self, view: View) -> Result<&Frame, Error> {
        self.open.retain(|picture, _| *picture >= view.shot.picture);
        let shots = std::iter::once(view.shot).chain(view.next.map(|(shot, _)| shot));
        for (shot, frame) in shots.zip([&mut self.frame, &mut self.next]) {
            let picture = match self.open.entry(shot.picture) {
                Entry::Occupied(open) => open.into_mut(),
                Entry::Vacant(place) => {
                    let picture = picture::open(&self.pictures[shot.picture])?;
                    place.insert(Planes::of(&prepared(self.render, picture)?))
                }
            };
            let size = (self.render.width, self.render.height);
            frame.show(picture, self.render.movement.window(picture.size(), size, shot.part))?;
        }
        if let Some((_, part)) = view.next {
            self.render.transition.merge(&mut self.frame, &self.next, part);
        }
        Ok(&self.frame)
    }
}

fn settings(render: &Render) -> EncoderConfig {
    let pixels_a_second = f64::from(render.width) * f64::from(render.height) * f64::from(render.fps);
    EncoderConfig::new()
        .usage_type(UsageType::CameraVideoRealTime)
        .profile(Profile::High)
        .complexity(Complexity::Medium)
        .rate_control_mode(RateControlMode::Quality)
        .bitrate(BitRate::from_bps((pixels_a_second * BITS_PER_PIXEL) as u32))
        .qp(QpRange::new(COARSENESS.0, COARSENESS.1))
        .max_frame_rate(FrameRate::from_hz(render.fps as f32))
        .intra_frame_period(IntraFramePeriod::from_num_frames(render.fps * KEY_FRAME_EVERY_S))
        .skip_frames(false)
        // The whole picture moves: there is no background to find.
        .background_detection(false)
        .scene_change_detect(false)
        // One job, one core; and threads would make the bytes differ from run to run.
        .num_threads(1)
        .vui(VuiConfig::bt709())
}

/// The picture no larger than the closest view needs it: every frame is then cut from fewer pixels, and shimmers less.
fn prepared(render: &Render, picture: RgbImage) -> Result<RgbImage, Error> {
    let closest = Window::filling(picture.dimensions(), render.width, render.height).width / render.movement.closest();
    let part = f64::from(render.width) / closest;
    if part >= 1.0 {
        return Ok(picture);
    }
    let (width, height) = picture.dimensions();
    let whole = Window { left: 0.0, top: 0.0, width: f64::from(width), height: f64::from(height) };
    let side = |side: u32| (f64::from(side) * part).ceil() as u32;
    scale(&picture, whole, side(width), side(height))
}
