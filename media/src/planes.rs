//! Pictures and frames in the encoder's colours: one plane of brightness and two of colour.

use fast_image_resize::images::Image;
use fast_image_resize::{PixelType, Resizer};
use image::RgbImage;
use openh264::formats::YUVSlices;

use super::{Error, Window};

/// A picture in the encoder's colours (BT.709, limited range), each plane in full size.
pub(super) struct Planes {
    brightness: Image<'static>,
    blue: Image<'static>,
    red: Image<'static>,
}

impl Planes {
    pub(super) fn of(picture: &RgbImage) -> Self {
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

    pub(super) fn size(&self) -> (u32, u32) {
        (self.brightness.width(), self.brightness.height())
    }
}

/// A frame as the encoder takes it, colours at half the resolution; its buffers are used again.
pub(super) struct Frame {
    resizer: Resizer,
    brightness: Image<'static>,
    blue: Image<'static>,
    red: Image<'static>,
}

impl Frame {
    pub(super) fn new(width: u32, height: u32) -> Self {
        let plane = |width, height| Image::new(width, height, PixelType::U8);
        Self {
            resizer: Resizer::new(),
            brightness: plane(width, height),
            blue: plane(width / 2, height / 2),
            red: plane(width / 2, height / 2),
        }
    }

    /// Fills the frame with the window of a picture.
    pub(super) fn show(&mut self, picture: &Planes, window: Window) -> Result<(), Error> {
        let options = window.cut();
        self.resizer.resize(&picture.brightness, &mut self.brightness, &options).map_err(Error::not_scaled)?;
        self.resizer.resize(&picture.blue, &mut self.blue, &options).map_err(Error::not_scaled)?;
        self.resizer.resize(&picture.red, &mut self.red, &options).map_err(Error::not_scaled)
    }

    /// Lets `merge` change each plane by the same plane of `other`; it is told how many bytes a row has.
    pub(super) fn merge(&mut self, other: &Self, merge: impl Fn(&mut [u8], &[u8], usize)) {
        let planes =
            [(&mut self.brightness, &other.brightness), (&mut self.blue, &other.blue), (&mut self.red, &other.red)];
        for (plane, other) in planes {
            let row = plane.width() as usize;
            merge(plane.buffer_mut(), other.buffer(), row);
        }
    }

    pub(super) fn slices(&self) -> YUVSlices<'_> {
        let (width, height) = (self.brightness.width() as usize, self.brightness.height() as usize);
        let slices = (self.brightness.buffer(), self.blue.buffer(), self.red.buffer());
        YUVSlices::new(slices, (width, height), (width, width / 2, width / 2))
    }
}
