//! Taking a customer's picture: from whatever they sent to an upright JPEG of a bearable size.

use std::io::Read;
use std::path::Path;

use image::{DynamicImage, ImageDecoder, ImageFormat, ImageReader, Limits, RgbImage, metadata::Orientation};

use super::{Error, PICTURE_BYTES_MAX, PictureKind, Size, WORKING_SIDE_MAX, Window, inspect, scale, write_jpeg};

/// What decoding may allocate, in bytes: 50 million pixels of four channels of 16 bits, and the decoder's own needs.
const DECODER_BYTES_MAX: u64 = 512 << 20;
/// The quality of working copies: high, because they are encoded once more.
const WORKING_QUALITY: u8 = 92;

/// Decodes the customer's picture at `input` and leaves its upright working copy, a JPEG, at `output`.
///
/// # Errors
/// What [`PictureFault`](super::PictureFault) names, [`Error::Undecodable`], [`Error::File`].
pub fn take_picture(input: &Path, output: &Path) -> Result<Size, Error> {
    let picture = open(input)?;
    let (width, height) = picture.dimensions();
    write_jpeg(picture, WORKING_QUALITY, output)?;
    Ok(Size { width, height })
}

/// The picture at `path`, decoded within the limits, upright, without transparency, no side over
/// [`WORKING_SIDE_MAX`].
pub(super) fn open(path: &Path) -> Result<RgbImage, Error> {
    let mut bytes = Vec::new();
    let file = std::fs::File::open(path).map_err(|error| Error::file("open", error))?;
    file.take(PICTURE_BYTES_MAX as u64 + 1).read_to_end(&mut bytes).map_err(|error| Error::file("read", error))?;
    let facts = inspect(&bytes)?;
    let (picture, orientation) = decode(&bytes, facts.kind)?;
    // Scaled before it is turned: a turn needs a second copy.
    let mut picture = DynamicImage::ImageRgb8(shrunk(flattened(picture))?);
    picture.apply_orientation(orientation);
    Ok(picture.into_rgb8())
}

fn decode(bytes: &[u8], kind: PictureKind) -> Result<(DynamicImage, Orientation), Error> {
    let format = match kind {
        PictureKind::Jpeg => ImageFormat::Jpeg,
        PictureKind::Png => ImageFormat::Png,
        PictureKind::WebP => ImageFormat::WebP,
    };
    let mut limits = Limits::default();
    limits.max_alloc = Some(DECODER_BYTES_MAX);
    let mut reader = ImageReader::with_format(std::io::Cursor::new(bytes), format);
    reader.limits(limits);
    let mut decoder = reader.into_decoder().map_err(Error::undecodable)?;
    // A damaged note about the orientation is no reason to refuse the picture.
    let orientation = decoder.orientation().unwrap_or(Orientation::NoTransforms);
    let picture = DynamicImage::from_decoder(decoder).map_err(Error::undecodable)?;
    Ok((picture, orientation))
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

fn shrunk(picture: RgbImage) -> Result<RgbImage, Error> {
    let (width, height) = picture.dimensions();
    let longest = width.max(height);
    if longest <= WORKING_SIDE_MAX {
        return Ok(picture);
    }
    let side = |side: u32| (u64::from(side) * u64::from(WORKING_SIDE_MAX) / u64::from(longest)).max(1) as u32;
    let whole = Window { left: 0.0, top: 0.0, width: f64::from(width), height: f64::from(height) };
    scale(&picture, whole, side(width), side(height))
}
