//! Looks for a still picture: what a darkroom would do, computed pixel by pixel.

use std::path::Path;

use image::RgbImage;
use serde::{Deserialize, Serialize};

use super::{Error, SIDE_RANGE, Size, Window, picture, scale, write_jpeg};

/// The quality of finished pictures.
const QUALITY: u8 = 90;
/// How bright a channel looks (ITU-R BT.709).
const BRIGHTNESS: [f32; 3] = [0.2126, 0.7152, 0.0722];
/// A poster's paper, its border and the fine line between border and picture, in parts of the shorter side.
const PAPER: [u8; 3] = [247, 243, 234];
const KEYLINE: [u8; 3] = [58, 52, 46];
const BORDER_PART: f32 = 0.035;
const KEYLINE_PART: f32 = 0.0025;

/// A look.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, strum::EnumIter)]
#[serde(rename_all = "snake_case")]
pub enum Style {
    /// Warm lights, cool shadows, dimmed corners, a slim paper border.
    #[default]
    Poster,
    /// Brown and cream, like an old print.
    Sepia,
    /// Black and white with deep blacks and fine grain.
    Mono,
    /// Stronger colours, where they were weak most of all.
    Vivid,
}

/// What picture to make of a picture.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Restyle {
    /// The look.
    pub style: Style,
    /// Pixels from left to right; from the picture's shape when missing.
    pub width: Option<u32>,
    /// Pixels from top to bottom; from the picture's shape when missing.
    pub height: Option<u32>,
}

/// Makes a picture in the look of `restyle` from the one at `input` and leaves it, a JPEG, at `output`. The frame is
/// filled: what does not fit its shape is cut.
///
/// # Errors
/// A picture that cannot be read, [`Error::File`].
pub fn restyle(restyle: &Restyle, input: &Path, output: &Path) -> Result<Size, Error> {
    let picture = picture::open(input)?;
    let (width, height) = size_of(restyle, picture.dimensions());
    let mut picture = scale(&picture, Window::filling(picture.dimensions(), width, height), width, height)?;
    develop(restyle.style, &mut picture);
    if restyle.style == Style::Poster {
        frame(&mut picture);
    }
    write_jpeg(picture, QUALITY, output)?;
    Ok(Size { width, height })
}

/// The size of the result: what was asked for; a missing side follows the picture's shape; with neither, the picture's
/// own size, made smaller when it is too large for a result.
fn size_of(restyle: &Restyle, (width, height): (u32, u32)) -> (u32, u32) {
    let (least, most) = (*SIDE_RANGE.start(), *SIDE_RANGE.end());
    let follow = |side: u32, own: u32, other: u32| {
        let other = u64::from(side) * u64::from(other) / u64::from(own.max(1));
        u32::try_from(other).unwrap_or(most).clamp(least, most)
    };
    match (restyle.width, restyle.height) {
        (Some(width), Some(height)) => (width, height),
        (Some(asked), None) => (asked, follow(asked, width, height)),
        (None, Some(asked)) => (follow(asked, height, width), asked),
        (None, None) if width >= height => (width.clamp(least, most), follow(width.clamp(least, most), width, height)),
        (None, None) => (follow(height.clamp(least, most), height, width), height.clamp(least, most)),
    }
}

fn develop(style: Style, picture: &mut RgbImage) {
    let (width, height) = (picture.width() as f32, picture.height() as f32);
    for (x, y, pixel) in picture.enumerate_pixels_mut() {
        let (across, down) = ((x as f32 + 0.5) / width * 2.0 - 1.0, (y as f32 + 0.5) / height * 2.0 - 1.0);
        let from_middle = (across * across + down * down) / 2.0;
        let colour = pixel.0.map(|channel| f32::from(channel) / 255.0);
        let developed = match style {
            Style::Poster => dimmed(poster(colour), from_middle, 0.38),
            Style::Sepia => dimmed(sepia(colour), from_middle, 0.28),
            Style::Mono => dimmed(mono(colour, grain(x, y)), from_middle, 0.18),
            Style::Vivid => vivid(colour),
        };
        pixel.0 = developed.map(|channel| (channel.clamp(0.0, 1.0) * 255.0 + 0.5) as u8);
    }
}

fn poster(colour: [f32; 3]) -> [f32; 3] {
    let light = brightness(colour);
    let colour = saturated(colour, 1.18).map(|channel| contrast(channel, 0.55));
    // Lights go to amber, shadows to teal, and black becomes ink.
    let (warm, cool) = ([0.045, 0.012, -0.05], [-0.022, 0.008, 0.034]);
    std::array::from_fn(|n| 0.025 + colour[n] * 0.965 + warm[n] * light + cool[n] * (1.0 - light))
}

fn sepia(colour: [f32; 3]) -> [f32; 3] {
    let light = contrast(brightness(colour), 0.35);
    let (ink, paper) = ([0.10, 0.06, 0.035], [1.0, 0.945, 0.825]);
    let bend = [0.86, 1.04, 1.28];
    std::array::from_fn(|n| ink[n] + (paper[n] - ink[n]) * light.powf(bend[n]))
}

fn mono(colour: [f32; 3], grain: f32) -> [f32; 3] {
    // As through an orange filter: skies darken, skin lightens.
    let light = contrast(colour[0] * 0.42 + colour[1] * 0.46 + colour[2] * 0.12, 0.6);
    // Grain shows in the middle tones, as on film.
    [light + grain * 0.025 * (1.0 - (2.0 * light - 1.0).powi(2)); 3]
}

fn vivid(colour: [f32; 3]) -> [f32; 3] {
    let most = colour.into_iter().fold(0.0_f32, f32::max);
    let least = colour.into_iter().fold(1.0_f32, f32::min);
    saturated(colour, 1.55 - 0.35 * (most - least)).map(|channel| contrast(channel, 0.3))
}

fn brightness(colour: [f32; 3]) -> f32 {
    colour.iter().zip(BRIGHTNESS).map(|(channel, weight)| channel * weight).sum()
}

fn saturated(colour: [f32; 3], amount: f32) -> [f32; 3] {
    let light = brightness(colour);
    colour.map(|channel| (light + (channel - light) * amount).clamp(0.0, 1.0))
}

/// An S-shaped tone curve; `amount` 0 changes nothing, 1 is a full smoothstep.
fn contrast(channel: f32, amount: f32) -> f32 {
    let curved = channel * channel * (3.0 - 2.0 * channel);
    channel + (curved - channel) * amount
}

/// Darker towards the corners, not at all in the middle.
fn dimmed(colour: [f32; 3], from_middle: f32, amount: f32) -> [f32; 3] {
    let kept = 1.0 - amount * from_middle.powf(1.6);
    colour.map(|channel| channel * kept)
}

/// Noise from -1 to 1 that is the same for the same place, so that a repeated step gives the same picture.
fn grain(x: u32, y: u32) -> f32 {
    let mut bits = x.wrapping_mul(0x9e37_79b1) ^ y.wrapping_mul(0x85eb_ca77);
    bits = (bits ^ (bits >> 15)).wrapping_mul(0x2c1b_3c6d);
    bits = (bits ^ (bits >> 12)).wrapping_mul(0x297a_2d39);
    ((bits ^ (bits >> 15)) >> 8) as f32 / 8_388_608.0 - 1.0
}

fn frame(picture: &mut RgbImage) {
    let (width, height) = picture.dimensions();
    let shorter = width.min(height) as f32;
    let border = (shorter * BORDER_PART).round() as u32;
    let line = (shorter * KEYLINE_PART).round().max(1.0) as u32;
    for (x, y, pixel) in picture.enumerate_pixels_mut() {
        let edge = x.min(y).min(width - 1 - x).min(height - 1 - y);
        if edge < border {
            pixel.0 = PAPER;
        } else if edge < border + line {
            pixel.0 = KEYLINE;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn sized(width: Option<u32>, height: Option<u32>, picture: (u32, u32)) -> (u32, u32) {
        size_of(&Restyle { style: Style::Poster, width, height }, picture)
    }

    #[test]
    fn a_missing_side_follows_the_pictures_shape() {
        assert_eq!(sized(Some(800), Some(800), (4000, 3000)), (800, 800));
        assert_eq!(sized(Some(800), None, (4000, 3000)), (800, 600));
        assert_eq!(sized(None, Some(600), (4000, 3000)), (800, 600));
        assert_eq!(sized(None, None, (4000, 3000)), (1920, 1440));
        assert_eq!(sized(None, None, (3000, 4000)), (1440, 1920));
        assert_eq!(sized(None, None, (1000, 500)), (1000, 500));
        assert_eq!(sized(None, None, (1, 1)), (64, 64));
        assert_eq!(sized(Some(1920), None, (1, 4096)), (1920, 1920));
    }

    #[test]
    fn mono_has_no_colour_and_sepia_is_warm() {
        let mut picture = RgbImage::from_fn(64, 64, |x, y| image::Rgb([(x * 4) as u8, (y * 4) as u8, 128]));
        let mut brown = picture.clone();
        develop(Style::Mono, &mut picture);
        assert!(picture.pixels().all(|pixel| pixel.0[0] == pixel.0[1] && pixel.0[1] == pixel.0[2]));
        develop(Style::Sepia, &mut brown);
        assert!(brown.pixels().all(|pixel| pixel.0[0] >= pixel.0[1] && pixel.0[1] >= pixel.0[2]));
    }

    #[test]
    fn a_poster_has_its_border_and_dimmed_corners() {
        let mut picture = RgbImage::from_pixel(400, 300, image::Rgb([128, 128, 128]));
        develop(Style::Poster, &mut picture);
        frame(&mut picture);
        assert_eq!(picture.get_pixel(0, 0).0, PAPER);
        assert_eq!(picture.get_pixel(399, 150).0, PAPER);
        assert_eq!(picture.get_pixel(11, 150).0, KEYLINE);
        assert!(picture.get_pixel(15, 15).0[1] + 20 < picture.get_pixel(200, 150).0[1]);
    }
}
