//! Paints `assets/demo.jpg`, the picture that `mixvideo demo` sends: a lake between hills at sunset. Everything is
//! computed, so the picture belongs to nobody: `cargo run --example demo_picture`.

use anyhow::Context;
use image::codecs::jpeg::JpegEncoder;
use image::{Rgb, RgbImage};

const WIDTH: u32 = 1600;
const HEIGHT: u32 = 1067;
/// Where the water begins, in parts of the height.
const SHORE: f32 = 0.635;
/// The sun's place and radius, in parts of the height (x from the left edge).
const SUN: (f32, f32, f32) = (0.98, 0.47, 0.036);

type Colour = [f32; 3];

fn main() -> anyhow::Result<()> {
    let picture = RgbImage::from_fn(WIDTH, HEIGHT, |x, y| {
        // Four samples a pixel keep the ridges smooth.
        let offsets = [(0.25, 0.25), (0.75, 0.25), (0.25, 0.75), (0.75, 0.75)];
        let samples = offsets.map(|(dx, dy)| look((x as f32 + dx) / HEIGHT as f32, (y as f32 + dy) / HEIGHT as f32));
        let grain = (hash(x as i32, y as i32) - 0.5) * 0.012;
        Rgb(std::array::from_fn(|n| {
            let mean = samples.iter().map(|sample| sample[n]).sum::<f32>() / 4.0 + grain;
            (mean.clamp(0.0, 1.0) * 255.0 + 0.5) as u8
        }))
    });
    let path = "assets/demo.jpg";
    let file = std::fs::File::create(path).with_context(|| format!("cannot write {path}"))?;
    picture.write_with_encoder(JpegEncoder::new_with_quality(file, 86))?;
    Ok(())
}

/// The colour seen at (x, y), both in parts of the height.
fn look(x: f32, y: f32) -> Colour {
    let colour = if y < SHORE { land(x, y, 1.0) } else { water(x, y) };
    let (across, down) = (x / 1.5 - 0.5, y - 0.5);
    let dim = 1.0 - 0.5 * (across * across + down * down);
    shore(x, y, colour).map(|channel| channel * dim)
}

/// Sky and hills; the sun's disc shows by `disc` (0 to 1): on the water it dissolves into glints.
fn land(x: f32, y: f32, disc: f32) -> Colour {
    let mut colour = sky(x, y, disc);
    // From the farthest range to the nearest: where its ridge lies, how rough it is, its colour, its trees.
    let ranges: [(f32, f32, f32, Colour, f32); 5] = [
        (0.475, 0.085, 1.7, [0.72, 0.50, 0.52], 0.0),
        (0.515, 0.090, 2.3, [0.52, 0.37, 0.46], 0.0),
        (0.560, 0.070, 2.9, [0.34, 0.26, 0.38], 0.0),
        (0.597, 0.050, 3.4, [0.19, 0.17, 0.27], 0.004),
        (0.622, 0.034, 4.6, [0.09, 0.09, 0.15], 0.012),
    ];
    for (number, (ridge, height, scale, own, trees)) in ranges.into_iter().enumerate() {
        let seed = number as i32 * 17 + 3;
        let line = ridge - height * (fractal(x * scale, 0.0, seed, 5) - 0.42) - trees * treetops(x, seed);
        if y > line {
            let near_sun = (-((x - SUN.0).powi(2)) * 5.0).exp();
            // Mist gathers in the valleys and glows below the sun.
            let mist = ((y - line) / 0.09).clamp(0.0, 1.0) * (0.62 - 0.11 * number as f32);
            let slope = (fractal(x * scale * 9.0, y * 26.0, seed + 5, 4) - 0.5) * (0.10 - 0.012 * number as f32);
            let lit: Colour = std::array::from_fn(|n| own[n] * (1.0 + slope) + [0.16, 0.08, 0.03][n] * near_sun);
            colour = mixed(lit, [0.96, 0.70, 0.54], mist * (0.55 + 0.45 * near_sun));
        }
    }
    colour
}

fn sky(x: f32, y: f32, disc: f32) -> Colour {
    let height = (1.0 - y / SHORE).clamp(0.0, 1.0);
    let stops: [(f32, Colour); 5] = [
        (0.0, [1.00, 0.74, 0.45]),
        (0.22, [0.99, 0.62, 0.43]),
        (0.45, [0.83, 0.48, 0.50]),
        (0.72, [0.42, 0.34, 0.53]),
        (1.0, [0.15, 0.19, 0.39]),
    ];
    let mut colour = stops[0].1;
    for pair in stops.windows(2) {
        let part = ((height - pair[0].0) / (pair[1].0 - pair[0].0)).clamp(0.0, 1.0);
        colour = mixed(colour, pair[1].1, part);
    }
    let away = ((x - SUN.0).powi(2) + (y - SUN.1).powi(2)).sqrt();
    let glow = (-away * 5.5).exp() * 0.75 + (-away * 16.0).exp() * 0.45;
    colour = std::array::from_fn(|n| colour[n] + [0.62, 0.36, 0.10][n] * glow);
    // Long clouds, lit from below where the sun is near.
    let drift = fractal(x * 1.3 + 3.0, y * 5.0, 40, 3);
    let cover = fractal(x * 1.9 + drift * 0.8, y * 8.5 + drift, 71, 6);
    let band = smooth(0.10, 0.35, height) * (1.0 - 0.55 * smooth(0.65, 1.0, height));
    let cloud = smooth(0.47, 0.70, cover) * band;
    let lit = (-away * 2.2).exp();
    let body = mixed([0.47, 0.33, 0.47], [1.0, 0.64, 0.44], (lit * 1.5).min(1.0));
    colour = mixed(colour, body, cloud * 0.78);
    // The first stars.
    let cell = ((x * 240.0) as i32, (y * 240.0) as i32);
    if hash(cell.0, cell.1) > 0.9975 {
        let (dx, dy) = ((x * 240.0).fract() - 0.5, (y * 240.0).fract() - 0.5);
        let star = (-(dx * dx + dy * dy) * 40.0).exp() * smooth(0.7, 0.95, height) * (1.0 - cloud);
        colour = colour.map(|channel| channel + star * 0.8);
    }
    let disc = disc * (1.0 - smooth(SUN.2 - 0.002, SUN.2 + 0.002, away));
    // Glow and clouds may add up to more than white; the disc is the brightest thing there is.
    mixed(colour.map(|channel| channel.min(0.97)), [1.0, 0.97, 0.86], disc)
}

fn water(x: f32, y: f32) -> Colour {
    let depth = (y - SHORE) / (1.0 - SHORE);
    // Ripples are narrow far away and wide nearby.
    let far = 1.0 / (depth + 0.045);
    let ripple = fractal(x * (3.0 + far * 1.6), depth.sqrt() * 62.0, 90, 4) - 0.5;
    let small = fractal(x * (16.0 + far * 5.0), depth.sqrt() * 170.0, 97, 3) - 0.5;
    let sway = ripple * 0.020 + small * 0.008;
    let mirrored = SHORE - (y - SHORE) * 0.98 + (ripple * 0.11 + small * 0.05) * (0.25 + depth);
    let reflected = land(x + sway, mirrored.clamp(0.0, SHORE - 0.001), 0.0);
    // Blue water under a yellow glow would look green: below the sun the water is red-brown and dims green most.
    let near_sun = (-((x - SUN.0) / 0.42).powi(2)).exp();
    let deep = mixed([0.07, 0.12, 0.22], [0.30, 0.13, 0.15], near_sun);
    let filtered: Colour = std::array::from_fn(|n| reflected[n] * (1.0 - [0.0, 0.20, 0.12][n] * near_sun));
    let tint = mixed(filtered, deep, 0.20 + 0.42 * depth);
    // The sun's road: glints that scatter sideways towards the viewer.
    let road = (-((x - SUN.0) / (0.045 + depth * 0.10)).powi(2)).exp();
    let glint = smooth(0.03, 0.20, ripple + small * 0.9) * road * (1.0 - 0.45 * depth);
    let lit = mixed(tint, [1.0, 0.80, 0.52], glint * 0.85);
    // A thin line of light where water meets land.
    let edge = (-depth * 90.0).exp() * 0.25;
    mixed(lit, [1.0, 0.80, 0.62], edge)
}

/// Reeds and a dark bank in the foreground on the left and right.
fn shore(x: f32, y: f32, behind: Colour) -> Colour {
    let side = ((x - 0.75).abs() / 0.75).powf(3.0);
    let bank = 1.03 - 0.13 * side - 0.02 * fractal(x * 9.0, 0.0, 120, 4);
    let mut cover = smooth(bank - 0.002, bank + 0.002, y);
    for layer in 0..3 {
        let spacing = 0.0075 + layer as f32 * 0.003;
        let stem = (x / spacing).floor();
        for neighbour in [-1.0, 0.0, 1.0] {
            let number = (stem + neighbour) as i32;
            let (place, length, lean) = (hash(number, layer), hash(number, layer + 7), hash(number, layer + 13) - 0.5);
            let root = (number as f32 + place) * spacing;
            let reach = (0.03 + 0.15 * length * length) * side;
            let up = (bank + 0.01 - y) / reach.max(1e-4);
            if (0.0..1.0).contains(&up) && side > 0.08 {
                let middle = root + lean * 0.045 * up * up * (reach / 0.1);
                let thick = 0.0013 * (1.0 - up * 0.75);
                cover = cover.max(1.0 - smooth(thick * 0.6, thick * 1.2, (x - middle).abs()));
            }
        }
    }
    mixed(behind, [0.045, 0.045, 0.07], cover)
}

/// Pointed treetops along a ridge, 0 to 1.
fn treetops(x: f32, seed: i32) -> f32 {
    let mut top = 0.0_f32;
    for (spacing, salt) in [(0.0062_f32, 0), (0.0091, 31)] {
        let number = (x / spacing).floor();
        for neighbour in [-1.0, 0.0, 1.0] {
            let tree = (number + neighbour) as i32;
            let centre = (tree as f32 + hash(tree, seed + salt)) * spacing;
            let height = 0.25 + 0.75 * hash(tree, seed + salt + 1);
            top = top.max(height * (1.0 - (x - centre).abs() / (spacing * 0.62)));
        }
    }
    top.max(0.0)
}

fn mixed(one: Colour, other: Colour, part: f32) -> Colour {
    std::array::from_fn(|n| one[n] + (other[n] - one[n]) * part)
}

fn smooth(from: f32, to: f32, value: f32) -> f32 {
    let part = ((value - from) / (to - from)).clamp(0.0, 1.0);
    part * part * (3.0 - 2.0 * part)
}

/// Layered noise, 0 to 1, mean about one half.
fn fractal(x: f32, y: f32, seed: i32, octaves: i32) -> f32 {
    let (mut sum, mut weight, mut scale) = (0.0, 0.5, 1.0);
    for octave in 0..octaves {
        sum += weight * noise(x * scale + octave as f32 * 7.3, y * scale, seed + octave);
        weight *= 0.5;
        scale *= 2.03;
    }
    sum / (1.0 - 0.5_f32.powi(octaves))
}

/// Smooth noise between the points of a grid.
fn noise(x: f32, y: f32, seed: i32) -> f32 {
    let (left, top) = (x.floor(), y.floor());
    let (across, down) = (smooth(0.0, 1.0, x - left), smooth(0.0, 1.0, y - top));
    let at = |dx: i32, dy: i32| hash((left as i32 + dx) ^ seed.wrapping_mul(7919), top as i32 + dy + seed * 131);
    let upper = at(0, 0) + (at(1, 0) - at(0, 0)) * across;
    let lower = at(0, 1) + (at(1, 1) - at(0, 1)) * across;
    upper + (lower - upper) * down
}

/// A number from 0 to 1 that looks random and is always the same for the same place.
fn hash(x: i32, y: i32) -> f32 {
    let mut bits = (x as u32).wrapping_mul(0x9e37_79b1) ^ (y as u32).wrapping_mul(0x85eb_ca77);
    bits = (bits ^ (bits >> 15)).wrapping_mul(0x2c1b_3c6d);
    bits = (bits ^ (bits >> 12)).wrapping_mul(0x297a_2d39);
    ((bits ^ (bits >> 15)) >> 8) as f32 / 16_777_216.0
}
