//! Taking a customer's picture: from whatever they sent to an upright JPEG of a bearable size.

use std::io::Read;
use std::path::Path;

use image::{DynamicImage, ImageDecoder, ImageFormat, ImageReader, Limits, RgbImage, metadata::Orientation};
use serde_json::{Value, json};

use super::{
    PICTURE_BYTES_MAX, PictureFault, PictureKind, WORKING_SIDE_MAX, Window, inspect, no_file, scale, write_jpeg,
};
use crate::domain::Failure;

/// What decoding may allocate, in bytes: 50 million pixels of four channels of 16 bits, and the decoder's own needs.
const DECODER_BYTES_MAX: u64 = 512 << 20;
/// The quality of working copies: high, because they are encoded once more.
const WORKING_QUALITY: u8 = 92;

/// Decodes the customer's picture at `input` and leaves its upright working copy, a JPEG, at `output`. Returns its
/// width and height.
///
/// # Errors
/// What [`PictureFault`] names, fatal; `working_file_failed`, passing.
pub fn take_picture(input: &Path, output: &Path) -> Result<Value, Failure> {
    let picture = open(input)?;
    let (width, height) = picture.dimensions();
    write_jpeg(picture, WORKING_QUALITY, output)?;
    Ok(json!({ "width": width, "height": height }))
}

/// The picture at `path`, decoded within the limits, upright, without transparency, no side over
/// [`WORKING_SIDE_MAX`].
pub(super) fn open(path: &Path) -> Result<RgbImage, Failure> {
    let mut bytes = Vec::new();
    let file = std::fs::File::open(path).map_err(|error| no_file("open", &error))?;
    file.take(PICTURE_BYTES_MAX as u64 + 1).read_to_end(&mut bytes).map_err(|error| no_file("read", &error))?;
    let facts = inspect(&bytes)?;
    let (picture, orientation) = decode(&bytes, facts.kind)?;
    // Scaled before it is turned: a turn needs a second copy.
    let mut picture = DynamicImage::ImageRgb8(shrunk(flattened(picture))?);
    picture.apply_orientation(orientation);
    Ok(picture.into_rgb8())
}

fn decode(bytes: &[u8], kind: PictureKind) -> Result<(DynamicImage, Orientation), Failure> {
    let format = match kind {
        PictureKind::Jpeg => ImageFormat::Jpeg,
        PictureKind::Png => ImageFormat::Png,
        PictureKind::WebP => ImageFormat::WebP,
    };
    let mut limits = Limits::default();
    limits.max_alloc = Some(DECODER_BYTES_MAX);
    let mut reader = ImageReader::with_format(std::io::Cursor::new(bytes), format);
    reader.limits(limits);
    let mut decoder = reader.into_decoder().map_err(unreadable)?;
    // A damaged note about the orientation is no reason to refuse the picture.
    let orientation = decoder.orientation().unwrap_or(Orientation::NoTransforms);
    let picture = DynamicImage::from_decoder(decoder).map_err(unreadable)?;
    Ok((picture, orientation))
}

/// The decoder's own words stay in the log; they help nobody who holds a broken picture.
fn unreadable(error: image::ImageError) -> Failure {
    eprintln!("the picture cannot be decoded: {error}");
    PictureFault::Damaged.into()
}

/// The picture without transparency: laid on white.
fn flattened(picture: DynamicImage) -> RgbImage {
    if !picture.color().has_alpha() {
        return picture.into_rgb8();
    }
    let picture = picture.into_rgba8();
    let (width, height) = picture.dimensions();
    let mut flat = RgbImage::new(width, height);
    for (target, source) in flat.pixels_mut().zip(picture.pixels()) {
        let [red, green, blue, alpha] = source.0.map(u32::from);
        target.0 = [red, green, blue].map(|channel| ((channel * alpha + 255 * (255 - alpha) + 127) / 255) as u8);
    }
    flat
}

fn shrunk(picture: RgbImage) -> Result<RgbImage, Failure> {
    let (width, height) = picture.dimensions();
    let longest = width.max(height);
    if longest <= WORKING_SIDE_MAX {
        return Ok(picture);
    }
    let side = |side: u32| (u64::from(side) * u64::from(WORKING_SIDE_MAX) / u64::from(longest)).max(1) as u32;
    let whole = Window { left: 0.0, top: 0.0, width: f64::from(width), height: f64::from(height) };
    scale(&picture, whole, side(width), side(height))
}
