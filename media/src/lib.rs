//! Pictures and videos: what a worker does with a customer's bytes, and the cheap checks that come before.
//!
//! [`inspect()`] and [`parse_data_url`] look at headers only and may run in the server. Everything else decodes a
//! customer's bytes and runs in the worker process alone.
//!
//! A crate of its own because it is the one part that is too slow without optimisation: its loops, and the generic code
//! of the libraries below, which is compiled where it is used, are optimised in every profile.

mod camera;
mod data_url;
mod error;
mod inspect;
mod picture;
mod planes;
mod style;
mod timeline;
mod transition;
mod video;

pub use camera::Move;
pub use data_url::parse_data_url;
pub use error::Error;
pub use inspect::{PictureFacts, PictureFault, PictureKind, inspect};
pub use picture::take_picture;
pub use style::{Restyle, Style, restyle};
pub use transition::Transition;
pub use video::{FPS, Film, Render, SECONDS, render};

use std::path::Path;

use fast_image_resize::{FilterType, ResizeAlg, ResizeOptions, Resizer};
use image::{DynamicImage, RgbImage};
use serde::Serialize;

/// The largest picture a customer may send, in bytes.
pub const PICTURE_BYTES_MAX: usize = 10_000_000;
/// The most pixels a picture may have.
pub const PICTURE_PIXELS_MAX: u64 = 50_000_000;
/// The longest side of a working copy, in pixels.
pub const WORKING_SIDE_MAX: u32 = 4096;
/// The shortest and longest side of a result, in pixels.
pub const SIDE_RANGE: std::ops::RangeInclusive<u32> = 64..=1920;

/// How large a picture is that a job has left, in pixels.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
pub struct Size {
    /// From left to right.
    pub width: u32,
    /// From top to bottom.
    pub height: u32,
}

/// The part of a picture that is looked at, in pixels and parts of pixels.
#[derive(Clone, Copy, Debug, PartialEq)]
struct Window {
    left: f64,
    top: f64,
    width: f64,
    height: f64,
}

impl Window {
    /// The largest window of the shape `width`:`height` in the middle of a picture of `size`.
    fn filling(size: (u32, u32), width: u32, height: u32) -> Self {
        let (picture_width, picture_height) = (f64::from(size.0), f64::from(size.1));
        let scale = (picture_width / f64::from(width)).min(picture_height / f64::from(height));
        let (width, height) = (f64::from(width) * scale, f64::from(height) * scale);
        Self { left: (picture_width - width) / 2.0, top: (picture_height - height) / 2.0, width, height }
    }

    /// How to cut this window out and scale it smoothly.
    fn cut(self) -> ResizeOptions {
        ResizeOptions::new()
            .crop(self.left.max(0.0), self.top.max(0.0), self.width, self.height)
            .resize_alg(ResizeAlg::Convolution(FilterType::CatmullRom))
    }
}

/// The window of `picture`, scaled to `width` x `height`.
fn scale(picture: &RgbImage, window: Window, width: u32, height: u32) -> Result<RgbImage, Error> {
    use fast_image_resize::PixelType::U8x3;
    use fast_image_resize::images::{Image, ImageRef};
    let source = ImageRef::new(picture.width(), picture.height(), picture.as_raw(), U8x3).map_err(Error::not_scaled)?;
    let mut target = Image::new(width, height, U8x3);
    Resizer::new().resize(&source, &mut target, &window.cut()).map_err(Error::not_scaled)?;
    RgbImage::from_raw(width, height, target.into_vec()).ok_or_else(|| Error::not_scaled("sizes do not match"))
}

/// Writes `picture` as a JPEG of `quality` (1 to 100).
fn write_jpeg(picture: RgbImage, quality: u8, path: &Path) -> Result<(), Error> {
    let mut file = std::io::BufWriter::new(std::fs::File::create(path).map_err(|error| Error::file("write", error))?);
    let encoder = image::codecs::jpeg::JpegEncoder::new_with_quality(&mut file, quality);
    DynamicImage::ImageRgb8(picture).write_with_encoder(encoder).map_err(|error| Error::file("write", error))?;
    std::io::Write::flush(&mut file).map_err(|error| Error::file("write", error))
}
