//! Links to files that nobody can guess and that end by themselves.
//!
//! `/files/{expires}/{signature}/{key}`: whoever holds the link may read that one file until `expires` (Unix seconds).
//! The signature is HMAC-SHA256 over the expiry and the key with the server's secret, so neither can be changed.

use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use hmac::{Hmac, KeyInit, Mac};
use sha2::Sha256;
use subtle::ConstantTimeEq;

use super::storage::is_key;
use crate::domain::Timestamp;

/// Where links to files begin.
pub const PREFIX: &str = "/files/";

/// The server's secret for links.
pub type Secret = [u8; 32];

/// Why a link opens nothing. HTTP answers 404 to all but [`Refused::Expired`], which may say 410.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Refused {
    /// It is not written as a link to a file.
    #[error("the link is malformed")]
    Malformed,
    /// Its signature is not ours.
    #[error("the link's signature is wrong")]
    Forged,
    /// It was ours; its time is over.
    #[error("the link has expired")]
    Expired,
}

/// The path of a link to `key` that works until `expires`, cut down to a whole second.
#[must_use]
pub fn sign(secret: &Secret, key: &str, expires: Timestamp) -> String {
    let seconds = expires.0.div_euclid(1000).max(0);
    let signature = URL_SAFE_NO_PAD.encode(signature(secret, key, seconds));
    format!("{PREFIX}{seconds}/{signature}/{key}")
}

/// The key a link opens at `now`.
///
/// # Errors
/// [`Refused`]. The signature is compared in constant time and before the expiry, so a forged link learns nothing.
pub fn verify<'a>(secret: &Secret, path: &'a str, now: Timestamp) -> Result<&'a str, Refused> {
    let mut parts = path.strip_prefix(PREFIX).ok_or(Refused::Malformed)?.splitn(3, '/');
    let (Some(seconds), Some(given), Some(key)) = (parts.next(), parts.next(), parts.next()) else {
        return Err(Refused::Malformed);
    };
    let digits = !seconds.is_empty() && seconds.bytes().all(|byte| byte.is_ascii_digit());
    let seconds: i64 = seconds.parse().ok().filter(|_| digits).ok_or(Refused::Malformed)?;
    let given = URL_SAFE_NO_PAD.decode(given).map_err(|_| Refused::Malformed)?;
    if !is_key(key) {
        return Err(Refused::Malformed);
    }
    if !bool::from(signature(secret, key, seconds).as_slice().ct_eq(&given)) {
        return Err(Refused::Forged);
    }
    if now.0 >= seconds.saturating_mul(1000) {
        return Err(Refused::Expired);
    }
    Ok(key)
}

fn signature(secret: &Secret, key: &str, seconds: i64) -> [u8; 32] {
    let mut mac = Hmac::<Sha256>::new_from_slice(secret).expect("HMAC takes a key of any length");
    mac.update(seconds.to_string().as_bytes());
    // A line end is in no number and in no key: no two pairs are signed alike.
    mac.update(b"\n");
    mac.update(key.as_bytes());
    mac.finalize().into_bytes().into()
}

#[cfg(test)]
mod tests {
    use super::*;

    const SECRET: Secret = [7; 32];
    const KEY: &str = "results/task_1/video.mp4";
    const EXPIRES: Timestamp = Timestamp(1_800_000_000_000);

    #[test]
    fn a_signed_link_opens_its_file_until_it_expires() {
        let path = sign(&SECRET, KEY, EXPIRES);
        assert!(path.starts_with("/files/1800000000/"), "{path}");
        assert_eq!(verify(&SECRET, &path, EXPIRES.plus_ms(-1)), Ok(KEY));
        assert_eq!(verify(&SECRET, &path, EXPIRES), Err(Refused::Expired));
    }

    #[test]
    fn a_changed_link_opens_nothing() {
        let path = sign(&SECRET, KEY, EXPIRES);
        let later = path.replace("1800000000", "1900000000");
        let other = path.replace("task_1", "task_2");
        for forged in [later, other] {
            assert_eq!(verify(&SECRET, &forged, Timestamp(0)), Err(Refused::Forged), "{forged}");
        }
        assert_eq!(verify(&[8; 32], &path, Timestamp(0)), Err(Refused::Forged));
    }

    #[test]
    fn a_text_that_is_no_link_is_malformed() {
        let good = sign(&SECRET, KEY, EXPIRES);
        let climbing = sign(&SECRET, "../secret", EXPIRES);
        for path in [
            "",
            "/files/",
            "/files/1/2",
            "/files/x/AA/a",
            "/files/-1/AA/a",
            "/files/+1/AA/a",
            "/files/1/??/a",
            &good[1..],
            &climbing,
        ] {
            assert_eq!(verify(&SECRET, path, Timestamp(0)), Err(Refused::Malformed), "{path}");
        }
    }

    #[test]
    fn a_shortened_signature_is_forged() {
        let path = sign(&SECRET, KEY, EXPIRES);
        let parts: Vec<&str> = path.splitn(5, '/').collect();
        let cut = format!("/files/{}/{}/{KEY}", parts[2], &parts[3][..4]);
        assert_eq!(verify(&SECRET, &cut, Timestamp(0)), Err(Refused::Forged));
    }
}
