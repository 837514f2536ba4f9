//! What a picture is, by its first bytes. No pixel is decoded, so this is safe and cheap enough for the server itself.

use super::{PICTURE_BYTES_MAX, PICTURE_PIXELS_MAX};

/// A kind of picture that is taken.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum PictureKind {
    /// JPEG.
    Jpeg,
    /// PNG.
    Png,
    /// WebP.
    WebP,
}

impl PictureKind {
    /// Its media type.
    #[must_use]
    pub const fn media_type(self) -> &'static str {
        match self {
            Self::Jpeg => "image/jpeg",
            Self::Png => "image/png",
            Self::WebP => "image/webp",
        }
    }
}

/// What a picture's header says.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct PictureFacts {
    /// What it is, by content.
    pub kind: PictureKind,
    /// Pixels from left to right, as stored: a camera's note to turn the picture is not applied yet.
    pub width: u32,
    /// Pixels from top to bottom, as stored.
    pub height: u32,
}

/// Why a picture is not taken: each a sentence its owner can act on.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum PictureFault {
    /// No bytes.
    #[error("the picture is empty")]
    Empty,
    /// Too many bytes.
    #[error("the picture has more than {} MB; send a smaller one", PICTURE_BYTES_MAX / 1_000_000)]
    TooLarge,
    /// Too many pixels.
    #[error(
        "the picture is {width} x {height} pixels; at most {} million are taken; send a smaller one",
        PICTURE_PIXELS_MAX / 1_000_000
    )]
    TooManyPixels {
        /// Pixels from left to right.
        width: u64,
        /// Pixels from top to bottom.
        height: u64,
    },
    /// Another kind of file.
    #[error("this is {0}; send a picture as JPEG, PNG or WebP")]
    WrongKind(&'static str),
    /// It begins like a picture and does not go on like one.
    #[error("the picture is damaged or incomplete; export it again or send another one")]
    Damaged,
    /// Not a data URL; the text says what is wrong with it.
    #[error("this is no data URL: {0}; it reads data:image/jpeg;base64,...")]
    MalformedDataUrl(&'static str),
}

impl PictureFault {
    /// The stable code of the failure.
    #[must_use]
    pub const fn code(&self) -> &'static str {
        match self {
            Self::Empty => "picture_empty",
            Self::TooLarge => "picture_too_large",
            Self::TooManyPixels { .. } => "picture_too_many_pixels",
            Self::WrongKind(_) => "picture_kind_unsupported",
            Self::Damaged => "picture_damaged",
            Self::MalformedDataUrl(_) => "data_url_malformed",
        }
    }
}

/// Other files that people send, by the bytes at an offset, so that the answer can name them.
const WRONG_KINDS: &[(usize, &[u8], &str)] = &[
    (0, b"GIF8", "a GIF"),
    (0, b"BM", "a BMP picture"),
    (0, b"II*\0", "a TIFF or raw camera picture"),
    (0, b"MM\0*", "a TIFF or raw camera picture"),
    (4, b"ftypavif", "an AVIF picture"),
    (4, b"ftyphei", "a HEIC picture"),
    (4, b"ftyphev", "a HEIC picture"),
    (4, b"ftypmif1", "a HEIC picture"),
    (4, b"ftyp", "a video"),
    (0, b"%PDF", "a PDF"),
    (0, b"PK\x03\x04", "a ZIP archive or office document"),
    (0, b"<", "a text in HTML, XML or SVG"),
];

/// What `bytes` are, and whether they are within the limits.
///
/// # Errors
/// [`PictureFault`]; never [`PictureFault::MalformedDataUrl`].
pub fn inspect(bytes: &[u8]) -> Result<PictureFacts, PictureFault> {
    if bytes.is_empty() {
        return Err(PictureFault::Empty);
    }
    if bytes.len() > PICTURE_BYTES_MAX {
        return Err(PictureFault::TooLarge);
    }
    let kind = kind_of(bytes)?;
    let size = imagesize::blob_size(bytes).map_err(|_| PictureFault::Damaged)?;
    let (width, height) = (size.width as u64, size.height as u64);
    if width == 0 || height == 0 {
        return Err(PictureFault::Damaged);
    }
    if width.saturating_mul(height) > PICTURE_PIXELS_MAX {
        return Err(PictureFault::TooManyPixels { width, height });
    }
    let side = |side: u64| u32::try_from(side).map_err(|_| PictureFault::TooManyPixels { width, height });
    Ok(PictureFacts { kind, width: side(width)?, height: side(height)? })
}

fn kind_of(bytes: &[u8]) -> Result<PictureKind, PictureFault> {
    if bytes.starts_with(b"\xff\xd8\xff") {
        return Ok(PictureKind::Jpeg);
    }
    if bytes.starts_with(b"\x89PNG\r\n\x1a\n") {
        return Ok(PictureKind::Png);
    }
    if bytes.starts_with(b"RIFF") && bytes.get(8..12) == Some(b"WEBP") {
        return Ok(PictureKind::WebP);
    }
    let named =
        WRONG_KINDS.iter().find(|(offset, magic, _)| bytes.get(*offset..).is_some_and(|b| b.starts_with(magic)));
    Err(PictureFault::WrongKind(named.map_or("no picture that is known here", |(_, _, name)| name)))
}

#[cfg(test)]
mod tests {
    use super::*;
    use image::{ImageFormat, RgbImage};

    fn encoded(format: ImageFormat) -> Vec<u8> {
        let mut bytes = std::io::Cursor::new(Vec::new());
        RgbImage::new(30, 20).write_to(&mut bytes, format).unwrap();
        bytes.into_inner()
    }

    /// A PNG's signature and header, and nothing after it.
    fn png_header(width: u32, height: u32) -> Vec<u8> {
        let mut bytes = b"\x89PNG\r\n\x1a\n\0\0\0\x0dIHDR".to_vec();
        bytes.extend_from_slice(&width.to_be_bytes());
        bytes.extend_from_slice(&height.to_be_bytes());
        bytes.extend_from_slice(&[8, 6, 0, 0, 0, 0, 0, 0, 0]);
        bytes
    }

    #[test]
    fn a_picture_is_known_by_its_content() {
        for (format, kind) in [
            (ImageFormat::Jpeg, PictureKind::Jpeg),
            (ImageFormat::Png, PictureKind::Png),
            (ImageFormat::WebP, PictureKind::WebP),
        ] {
            assert_eq!(inspect(&encoded(format)), Ok(PictureFacts { kind, width: 30, height: 20 }));
        }
    }

    #[test]
    fn a_tiny_file_that_claims_huge_sides_is_refused_at_its_header() {
        let fault = inspect(&png_header(60_000, 60_000)).unwrap_err();
        assert_eq!(fault, PictureFault::TooManyPixels { width: 60_000, height: 60_000 });
        assert!(matches!(inspect(&png_header(u32::MAX, u32::MAX)), Err(PictureFault::TooManyPixels { .. })));
        assert_eq!(inspect(&png_header(0, 5)), Err(PictureFault::Damaged));
    }

    #[test]
    fn a_picture_over_the_byte_limit_is_refused() {
        let mut bytes = encoded(ImageFormat::Jpeg);
        bytes.resize(PICTURE_BYTES_MAX + 1, 0);
        assert_eq!(inspect(&bytes), Err(PictureFault::TooLarge));
        bytes.pop();
        assert!(inspect(&bytes).is_ok());
    }

    #[test]
    fn another_kind_of_file_is_refused_by_name() {
        for (bytes, name) in [
            (&b"PK\x03\x04rest"[..], "ZIP"),
            (b"\0\0\0\x18ftypheic", "HEIC"),
            (b"<svg xmlns=", "SVG"),
            (b"%PDF-1.7", "PDF"),
            (b"RIFF1234WAVE", "no picture"),
            (b"hello", "no picture"),
        ] {
            let fault = inspect(bytes).unwrap_err();
            assert!(fault.to_string().contains(name), "{fault}");
            assert_eq!(fault.code(), "picture_kind_unsupported");
        }
        assert_eq!(inspect(b""), Err(PictureFault::Empty));
    }

    #[test]
    fn a_header_cut_short_is_damaged_and_never_panics() {
        for format in [ImageFormat::Jpeg, ImageFormat::Png, ImageFormat::WebP] {
            let whole = encoded(format);
            for length in 0..whole.len().min(64) {
                let _facts = inspect(&whole[..length]);
            }
            assert_eq!(inspect(&whole[..13]), Err(PictureFault::Damaged), "{format:?}");
        }
    }
}
