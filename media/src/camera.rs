//! How the camera moves over a still picture: slowly, and without a jolt at either end.

use serde::{Deserialize, Serialize};

use super::Window;

/// How much closer the camera is at the near end of a zoom.
const ZOOM: f64 = 1.18;
/// How much closer than needed the camera is while it pans, so that there is room to move.
const PAN_ZOOM: f64 = 1.15;
/// The longest way of a pan, in parts of the frame.
const PAN_PART_MAX: f64 = 0.35;

/// A camera move.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, strum::EnumIter)]
#[serde(rename_all = "snake_case")]
pub enum Move {
    /// Towards the middle.
    #[default]
    ZoomIn,
    /// Away from the middle.
    ZoomOut,
    /// From right to left.
    PanLeft,
    /// From left to right.
    PanRight,
    /// From the bottom to the top.
    PanUp,
    /// From the top to the bottom.
    PanDown,
}

impl Move {
    /// What the camera sees of a picture of `size` at `part` (0 to 1) of the way, in the shape of `frame`.
    pub(super) fn window(self, size: (u32, u32), frame: (u32, u32), part: f64) -> Window {
        let full = Window::filling(size, frame.0, frame.1);
        let way = eased(part);
        match self {
            // Equal steps of the exponent look like an even speed.
            Self::ZoomIn => closer(full, ZOOM.powf(way)),
            Self::ZoomOut => closer(full, ZOOM.powf(1.0 - way)),
            Self::PanLeft => shifted(size, closer(full, PAN_ZOOM), 0.5 - way, 0.0),
            Self::PanRight => shifted(size, closer(full, PAN_ZOOM), way - 0.5, 0.0),
            Self::PanUp => shifted(size, closer(full, PAN_ZOOM), 0.0, 0.5 - way),
            Self::PanDown => shifted(size, closer(full, PAN_ZOOM), 0.0, way - 0.5),
        }
    }

    /// How much narrower than the widest view the narrowest one is.
    pub(super) const fn closest(self) -> f64 {
        match self {
            Self::ZoomIn | Self::ZoomOut => ZOOM,
            Self::PanLeft | Self::PanRight | Self::PanUp | Self::PanDown => PAN_ZOOM,
        }
    }
}

/// Starts and ends at rest.
pub(super) fn eased(part: f64) -> f64 {
    let part = part.clamp(0.0, 1.0);
    part * part * (3.0 - 2.0 * part)
}

fn closer(window: Window, zoom: f64) -> Window {
    let (width, height) = (window.width / zoom, window.height / zoom);
    Window {
        left: window.left + (window.width - width) / 2.0,
        top: window.top + (window.height - height) / 2.0,
        width,
        height,
    }
}

/// The window moved by `x` and `y` (-0.5 to 0.5) of the way it has in a picture of `size`.
fn shifted(size: (u32, u32), window: Window, x: f64, y: f64) -> Window {
    let way = |side: u32, length: f64| (f64::from(side) - length).clamp(0.0, length * PAN_PART_MAX);
    Window {
        left: window.left + x * way(size.0, window.width),
        top: window.top + y * way(size.1, window.height),
        ..window
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use strum::IntoEnumIterator;

    const FRAME: (u32, u32) = (1280, 720);

    proptest! {
        #[test]
        fn the_camera_never_leaves_the_picture_and_keeps_the_frames_shape(
            width in 1_u32..5000, height in 1_u32..5000, part in 0.0..=1.0_f64,
        ) {
            for movement in Move::iter() {
                let window = movement.window((width, height), FRAME, part);
                prop_assert!(window.left > -1e-6 && window.top > -1e-6, "{movement:?} {window:?}");
                prop_assert!(window.left + window.width < f64::from(width) + 1e-6, "{movement:?} {window:?}");
                prop_assert!(window.top + window.height < f64::from(height) + 1e-6, "{movement:?} {window:?}");
                prop_assert!((window.width / window.height - 16.0 / 9.0).abs() < 1e-6, "{movement:?} {window:?}");
            }
        }
    }

    #[test]
    fn each_move_goes_where_its_name_says() {
        let ends =
            |movement: Move| (movement.window((2000, 2000), FRAME, 0.0), movement.window((2000, 2000), FRAME, 1.0));
        let (first, last) = ends(Move::ZoomIn);
        assert!(last.width < first.width);
        let (first, last) = ends(Move::ZoomOut);
        assert!(last.width > first.width);
        let (first, last) = ends(Move::PanLeft);
        assert!(last.left < first.left && last.top == first.top);
        let (first, last) = ends(Move::PanRight);
        assert!(last.left > first.left);
        let (first, last) = ends(Move::PanUp);
        assert!(last.top < first.top && last.left == first.left);
        let (first, last) = ends(Move::PanDown);
        assert!(last.top > first.top);
    }
}
