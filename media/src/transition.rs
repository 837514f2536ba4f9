//! How one picture gives way to the next.

use serde::{Deserialize, Serialize};

use super::camera::eased;
use super::planes::Frame;

/// What a part of a mixture is measured in.
const WHOLE: u32 = 256;

/// A transition.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, strum::EnumIter)]
#[serde(rename_all = "snake_case")]
pub enum Transition {
    /// One shines through the other.
    #[default]
    Fade,
    /// The next one comes from the right and pushes the other out.
    Slide,
}

impl Transition {
    /// Turns `frame` into what is seen when `part` (0 to 1) of the way to `next` is done.
    pub(super) fn merge(self, frame: &mut Frame, next: &Frame, part: f64) {
        let part = eased(part);
        match self {
            Self::Fade => {
                let new = (part * f64::from(WHOLE)).round() as u32;
                frame.merge(next, |plane, next, _| {
                    for (old, next) in plane.iter_mut().zip(next) {
                        *old = ((u32::from(*old) * (WHOLE - new) + u32::from(*next) * new + WHOLE / 2) / WHOLE) as u8;
                    }
                });
            }
            Self::Slide => frame.merge(next, |plane, next, row| {
                let new = (part * row as f64).round() as usize;
                for (old, next) in plane.chunks_exact_mut(row).zip(next.chunks_exact(row)) {
                    old.copy_within(new.., 0);
                    old[row - new..].copy_from_slice(&next[..new]);
                }
            }),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::Window;
    use crate::planes::Planes;
    use openh264::formats::YUVSource;
    use strum::IntoEnumIterator;

    const WIDTH: usize = 8;

    fn grey(level: u8) -> Frame {
        shaded(|_| level)
    }

    /// A frame whose columns are as bright as told.
    fn shaded(level: impl Fn(u32) -> u8) -> Frame {
        let picture = Planes::of(&image::RgbImage::from_fn(8, 4, |x, _| image::Rgb([level(x); 3])));
        let mut frame = Frame::new(WIDTH as u32, 4);
        frame.show(&picture, Window { left: 0.0, top: 0.0, width: 8.0, height: 4.0 }).unwrap();
        frame
    }

    fn row_at(transition: Transition, part: f64) -> Vec<u8> {
        let mut frame = grey(0);
        transition.merge(&mut frame, &grey(255), part);
        frame.slices().y()[..WIDTH].to_vec()
    }

    #[test]
    fn a_transition_begins_with_the_old_picture_and_ends_with_the_new_one() {
        for transition in Transition::iter() {
            assert_eq!(row_at(transition, 0.0), [16; WIDTH], "{transition:?}");
            assert_eq!(row_at(transition, 1.0), [235; WIDTH], "{transition:?}");
        }
    }

    #[test]
    fn half_way_a_fade_is_a_mixture_and_a_slide_is_both_side_by_side() {
        assert_eq!(row_at(Transition::Fade, 0.5), [126; WIDTH]);
        assert_eq!(row_at(Transition::Slide, 0.5), [16, 16, 16, 16, 235, 235, 235, 235]);
        let row = |frame: &Frame| frame.slices().y()[..WIDTH].to_vec();
        let (mut old, new) = (shaded(|x| x as u8 * 30), shaded(|x| 255 - x as u8 * 30));
        let (out, coming) = (row(&old)[4..].to_vec(), row(&new)[..4].to_vec());
        Transition::Slide.merge(&mut old, &new, 0.5);
        assert_eq!(row(&old), [out, coming].concat());
    }
}
