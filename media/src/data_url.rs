//! Pictures that come inside a text: `data:image/jpeg;base64,...` (RFC 2397).

use base64::Engine;
use base64::alphabet::STANDARD;
use base64::engine::{DecodePaddingMode, GeneralPurpose, GeneralPurposeConfig};

use super::{PICTURE_BYTES_MAX, PictureFault};

/// Base64 as browsers read it: padding may be missing.
const FORGIVING: GeneralPurpose = GeneralPurpose::new(
    &STANDARD,
    GeneralPurposeConfig::new().with_decode_padding_mode(DecodePaddingMode::Indifferent),
);

/// The media type that `text` declares (`text/plain` when none) and the bytes it holds. The declaration is not
/// believed; [`super::inspect`] says what the bytes are.
///
/// # Errors
/// [`PictureFault::MalformedDataUrl`], [`PictureFault::TooLarge`] (known from the text's length, before anything is
/// decoded) and [`PictureFault::Empty`].
pub fn parse_data_url(text: &str) -> Result<(String, Vec<u8>), PictureFault> {
    let scheme = text.get(..5).filter(|scheme| scheme.eq_ignore_ascii_case("data:"));
    scheme.ok_or(PictureFault::MalformedDataUrl("it does not begin with data:"))?;
    let (head, body) = text[5..].split_once(',').ok_or(PictureFault::MalformedDataUrl("its comma is missing"))?;
    let mut parameters = head.split(';');
    let declared = parameters.next().map(str::trim).filter(|declared| !declared.is_empty()).unwrap_or("text/plain");
    let in_base64 = parameters.next_back().is_some_and(|last| last.trim().eq_ignore_ascii_case("base64"));

    // Each byte takes at most three characters by percent, and four thirds in base64 (whose signs may be percent-coded).
    if body.len() > 4 * PICTURE_BYTES_MAX {
        return Err(PictureFault::TooLarge);
    }
    let written = body.bytes().filter(|byte| !byte.is_ascii_whitespace()).count();
    let escapes = body.bytes().filter(|byte| *byte == b'%').count();
    let characters = written.saturating_sub(2 * escapes);
    let length = if in_base64 { characters / 4 * 3 } else { characters };
    if length > PICTURE_BYTES_MAX + 3 {
        return Err(PictureFault::TooLarge);
    }
    let plain = percent_decoded(body)?;
    let bytes = if in_base64 {
        let packed: Vec<u8> = plain.into_iter().filter(|byte| !byte.is_ascii_whitespace()).collect();
        FORGIVING.decode(packed).map_err(|_| PictureFault::MalformedDataUrl("its base64 is damaged"))?
    } else {
        plain
    };
    match bytes.len() {
        0 => Err(PictureFault::Empty),
        length if length > PICTURE_BYTES_MAX => Err(PictureFault::TooLarge),
        _ => Ok((declared.to_ascii_lowercase(), bytes)),
    }
}

fn percent_decoded(body: &str) -> Result<Vec<u8>, PictureFault> {
    const BROKEN: PictureFault = PictureFault::MalformedDataUrl("a % is not followed by two hexadecimal digits");
    let mut pieces = body.split('%');
    let mut bytes = Vec::with_capacity(body.len());
    bytes.extend_from_slice(pieces.next().unwrap_or_default().as_bytes());
    for piece in pieces {
        let digits =
            piece.get(..2).filter(|digits| digits.bytes().all(|byte| byte.is_ascii_hexdigit())).ok_or(BROKEN)?;
        bytes.push(u8::from_str_radix(digits, 16).map_err(|_| BROKEN)?);
        bytes.extend_from_slice(&piece.as_bytes()[2..]);
    }
    Ok(bytes)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn taken(text: &str) -> (String, Vec<u8>) {
        parse_data_url(text).unwrap()
    }

    #[test]
    fn base64_and_percent_forms_are_read() {
        let abc = ("image/png".to_owned(), b"abc".to_vec());
        assert_eq!(taken("data:image/png;base64,YWJj"), abc);
        assert_eq!(taken("DATA:Image/PNG;name=x.png;BASE64,YWJj"), abc);
        assert_eq!(taken("data:image/png,a%62c"), abc);
        assert_eq!(taken("data:;base64,YQ"), ("text/plain".into(), b"a".to_vec()));
        assert_eq!(taken("data:image/png;base64,Y W\nJj"), abc);
        assert_eq!(taken("data:image/png;base64,YWI%3D").1, b"ab");
    }

    #[test]
    fn what_is_no_data_url_is_refused() {
        for text in [
            "",
            "data",
            "http://x/y.png",
            "data:image/png;base64",
            "data:;base64,@@@@",
            "data:,%4",
            "data:,%zz",
            "däta:,x",
            "data:,%é",
        ] {
            assert!(matches!(parse_data_url(text), Err(PictureFault::MalformedDataUrl(_))), "{text}");
        }
        assert_eq!(parse_data_url("data:image/png;base64,"), Err(PictureFault::Empty));
    }

    #[test]
    fn the_byte_limit_holds_for_both_forms() {
        let base64 = |bytes: usize| format!("data:;base64,{}", FORGIVING.encode(vec![0; bytes]));
        assert_eq!(taken(&base64(PICTURE_BYTES_MAX)).1.len(), PICTURE_BYTES_MAX);
        assert_eq!(parse_data_url(&base64(PICTURE_BYTES_MAX + 1)), Err(PictureFault::TooLarge));
        assert_eq!(
            parse_data_url(&format!("data:,{}", "a".repeat(PICTURE_BYTES_MAX + 1))),
            Err(PictureFault::TooLarge)
        );
        assert_eq!(
            parse_data_url(&format!("data:,{}", " ".repeat(PICTURE_BYTES_MAX * 5))),
            Err(PictureFault::TooLarge)
        );
    }
}
