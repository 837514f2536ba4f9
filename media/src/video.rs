//! From a still picture to an H.264 video in an MP4, frame by frame, without an external program.
//!
//! The picture is turned into the encoder's colours once. Each frame is then three sub-pixel crops, of one brightness
//! plane and two colour planes, which costs a third of cutting RGB and converting every frame.

use std::io::{BufWriter, Write};
use std::path::Path;

use fast_image_resize::images::Image;
use fast_image_resize::{PixelType, Resizer};
use image::RgbImage;
use muxide::api::{MuxerBuilder, VideoCodec};
use openh264::encoder::{
    BitRate, Complexity, Encoder, EncoderConfig, FrameRate, FrameType, IntraFramePeriod, Profile, QpRange,
    RateControlMode, UsageType, VuiConfig,
};
use openh264::formats::YUVSlices;
use openh264::{OpenH264API, Timestamp};
use serde::{Deserialize, Serialize};

use super::camera::Move;
use super::{Error, Window, picture, scale};

/// How long a video may be, in seconds.
pub const SECONDS: std::ops::RangeInclusive<u32> = 1..=30;
/// How many frames a second it may have.
pub const FPS: std::ops::RangeInclusive<u32> = 10..=60;
/// What the encoder may spend on a pixel of a frame, in bits: about 3 Mbit/s at 1280 x 720 and 30 frames a second.
const BITS_PER_PIXEL: f64 = 0.11;
/// How coarse the encoder may get: beyond this, smooth skies fall into blocks.
const COARSENESS: (u8, u8) = (14, 32);
/// A player can jump to a frame this often, in seconds.
const KEY_FRAME_EVERY_S: u32 = 2;

/// What video to make of a picture.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Render {
    /// How long, in seconds: 1 to 30.
    pub seconds: u32,
    /// Frames a second: 10 to 60.
    pub fps: u32,
    /// Pixels from left to right, even.
    pub width: u32,
    /// Pixels from top to bottom, even.
    pub height: u32,
    /// How the camera moves.
    #[serde(rename = "move")]
    pub movement: Move,
}

/// A video that a job has left.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
pub struct Film {
    /// How many frames it has.
    pub frames: u32,
}

/// Makes the video of the picture at `input` and leaves it at `output`; the frame is filled, what does not fit its
/// shape is cut. `progress` hears the part done after every frame.
///
/// The same picture and settings give the same bytes.
///
/// # Errors
/// A picture that cannot be read, [`Error::NotEncoded`], [`Error::File`].
pub fn render(render: &Render, input: &Path, output: &Path, progress: &dyn Fn(f32)) -> Result<Film, Error> {
    let planes = Planes::of(&prepared(render, picture::open(input)?)?);
    let file = std::fs::File::create(output).map_err(|error| Error::file("write", error))?;
    let mut muxer = MuxerBuilder::new(BufWriter::new(file))
        .video(VideoCodec::H264, render.width, render.height, f64::from(render.fps))
        .with_fast_start(true)
        .build()
        .map_err(Error::not_encoded)?;
    let mut encoder =
        Encoder::with_api_config(OpenH264API::from_source(), settings(render)).map_err(Error::not_encoded)?;
    let mut shutter = Shutter::new(render.width, render.height);
    let frames = render.seconds * render.fps;
    for number in 0..frames {
        let part = f64::from(number) / f64::from(frames.saturating_sub(1).max(1));
        let window = render.movement.window(planes.size(), (render.width, render.height), part);
        let seconds = f64::from(number) / f64::from(render.fps);
        let frame = shutter.take(&planes, window)?;
        let at = Timestamp::from_millis((seconds * 1000.0) as u64);
        let encoded = encoder.encode_at(&frame, at).map_err(Error::not_encoded)?;
        let key_frame = matches!(encoded.frame_type(), FrameType::IDR | FrameType::I);
        muxer.write_video(seconds, &encoded.to_vec(), key_frame).map_err(Error::not_encoded)?;
        progress((number + 1) as f32 / frames as f32);
    }
    muxer.finish_in_place().map_err(Error::not_encoded)?;
    muxer.into_writer().flush().map_err(|error| Error::file("write", error))?;
    Ok(Film { frames })
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

/// A picture in the encoder's colours (BT.709, limited range), each plane in full size.
struct Planes {
    brightness: Image<'static>,
    blue: Image<'static>,
    red: Image<'static>,
}

impl Planes {
    fn of(picture: &RgbImage) -> Self {
        let (width, height) = picture.dimensions();
        let plane = || Image::new(width, height, PixelType::U8);
        let mut planes = Self { brightness: plane(), blue: plane(), red: plane() };
        let targets =
            planes.brightness.buffer_mut().iter_mut().zip(planes.blue.buffer_mut()).zip(planes.red.buffer_mut());
        for (((y, u), v), pixel) in targets.zip(picture.pixels()) {
            let [red, green, blue] = pixel.0.map(i32::from);
            // ITU-R BT.709-6, item 3, in parts of 65,536; the half is for rounding.
            *y = ((11_966 * red + 40_254 * green + 4_064 * blue + (16 << 16) + 32_768) >> 16) as u8;
            *u = ((-6_596 * red - 22_189 * green + 28_785 * blue + (128 << 16) + 32_768) >> 16) as u8;
            *v = ((28_785 * red - 26_145 * green - 2_640 * blue + (128 << 16) + 32_768) >> 16) as u8;
        }
        planes
    }

    fn size(&self) -> (u32, u32) {
        (self.brightness.width(), self.brightness.height())
    }
}

/// Cuts frames out of planes, into buffers that are used again.
struct Shutter {
    resizer: Resizer,
    brightness: Image<'static>,
    blue: Image<'static>,
    red: Image<'static>,
}

impl Shutter {
    fn new(width: u32, height: u32) -> Self {
        let plane = |width, height| Image::new(width, height, PixelType::U8);
        Self {
            resizer: Resizer::new(),
            brightness: plane(width, height),
            blue: plane(width / 2, height / 2),
            red: plane(width / 2, height / 2),
        }
    }

    fn take(&mut self, planes: &Planes, window: Window) -> Result<YUVSlices<'_>, Error> {
        let options = window.cut();
        self.resizer.resize(&planes.brightness, &mut self.brightness, &options).map_err(Error::not_scaled)?;
        self.resizer.resize(&planes.blue, &mut self.blue, &options).map_err(Error::not_scaled)?;
        self.resizer.resize(&planes.red, &mut self.red, &options).map_err(Error::not_scaled)?;
        let (width, height) = (self.brightness.width() as usize, self.brightness.height() as usize);
        let slices = (self.brightness.buffer(), self.blue.buffer(), self.red.buffer());
        Ok(YUVSlices::new(slices, (width, height), (width, width / 2, width / 2)))
    }
}
