//! Encryption at rest: of others' secrets that the database and a browser keep for us, only this service can read any.
//!
//! AES-256-GCM with a random nonce for each text. What a text is for is authenticated with it, so that one that was
//! made for one purpose, or one person, cannot be passed off as another's.

use aws_lc_rs::aead::{AES_256_GCM, Aad, NONCE_LEN, Nonce, RandomizedNonceKey};
use base64::Engine as _;
use base64::engine::general_purpose::{STANDARD, URL_SAFE_NO_PAD};
use secrecy::SecretString;

/// Bytes of a key.
const KEY_BYTES: usize = 32;
/// Keys at most: the one in use, and those that it replaces.
const KEYS_MAX: usize = 4;

/// The keys cannot be read; completes a sentence about the setting.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error(
    "must be 32 random bytes in base64, as `openssl rand -base64 32` prints them; up to 4 of them, joined by commas"
)]
pub struct Malformed;

/// A text could not be sealed: the machine gave no randomness.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("cannot encrypt")]
pub struct Unsealable;

/// Keys: the first one seals, each of them opens.
pub struct Seal(Vec<RandomizedNonceKey>);

impl std::fmt::Debug for Seal {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Seal({} keys)", self.0.len())
    }
}

impl Seal {
    /// Reads keys in base64, the newest first, joined by commas.
    ///
    /// # Errors
    /// [`Malformed`], also when there is none.
    pub fn parse(text: &str) -> Result<Self, Malformed> {
        let keys = text.split(',').map(|key| {
            let bytes = STANDARD.decode(key.trim()).ok().filter(|bytes| bytes.len() == KEY_BYTES);
            RandomizedNonceKey::new(&AES_256_GCM, &bytes.ok_or(Malformed)?).map_err(|_| Malformed)
        });
        let keys = keys.collect::<Result<Vec<_>, _>>()?;
        if keys.len() > KEYS_MAX { Err(Malformed) } else { Ok(Self(keys)) }
    }

    /// `text`, readable only by [`Seal::open`] with the same purpose: base64 for URLs of nonce, ciphertext and tag.
    ///
    /// # Errors
    /// [`Unsealable`].
    pub fn close(&self, purpose: &str, text: &str) -> Result<String, Unsealable> {
        let key = self.0.first().ok_or(Unsealable)?;
        let mut sealed = text.as_bytes().to_vec();
        let nonce = key.seal_in_place_append_tag(Aad::from(purpose), &mut sealed).map_err(|_| Unsealable)?;
        sealed.splice(0..0, nonce.as_ref().iter().copied());
        Ok(URL_SAFE_NO_PAD.encode(sealed))
    }

    /// The text that was sealed for `purpose`; `None` when it was sealed with another key or for something else, or was
    /// changed.
    #[must_use]
    pub fn open(&self, purpose: &str, sealed: &str) -> Option<SecretString> {
        let bytes = URL_SAFE_NO_PAD.decode(sealed).ok()?;
        let (nonce, ciphertext) = bytes.split_first_chunk::<NONCE_LEN>()?;
        self.0.iter().find_map(|key| {
            let mut text = ciphertext.to_vec();
            let nonce = Nonce::assume_unique_for_key(*nonce);
            let text = key.open_in_place(nonce, Aad::from(purpose), &mut text).ok()?;
            Some(SecretString::from(std::str::from_utf8(text).ok()?))
        })
    }
}

#[cfg(test)]
mod tests {
    use secrecy::ExposeSecret as _;

    use super::*;

    fn key(byte: u8) -> String {
        STANDARD.encode([byte; KEY_BYTES])
    }

    fn opened(seal: &Seal, purpose: &str, sealed: &str) -> Option<String> {
        seal.open(purpose, sealed).map(|text| text.expose_secret().to_owned())
    }

    #[test]
    fn what_is_sealed_is_read_again_for_its_purpose_alone() {
        let seal = Seal::parse(&key(1)).unwrap();
        let sealed = seal.close("refresh_token:1", "swordfish").unwrap();
        assert!(!sealed.contains("swordfish"));
        assert_ne!(sealed, seal.close("refresh_token:1", "swordfish").unwrap(), "the nonce repeats");
        assert_eq!(opened(&seal, "refresh_token:1", &sealed).as_deref(), Some("swordfish"));
        assert_eq!(opened(&seal, "refresh_token:2", &sealed), None);
    }

    #[test]
    fn what_was_changed_anywhere_is_not_read() {
        let seal = Seal::parse(&key(1)).unwrap();
        let sealed = seal.close("p", "swordfish").unwrap();
        let bytes = URL_SAFE_NO_PAD.decode(&sealed).unwrap();
        for at in 0..bytes.len() {
            let mut changed = bytes.clone();
            changed[at] ^= 1;
            assert_eq!(opened(&seal, "p", &URL_SAFE_NO_PAD.encode(changed)), None, "byte {at}");
        }
        for text in ["", "x", "!!", &sealed[..10]] {
            assert_eq!(opened(&seal, "p", text), None, "{text}");
        }
    }

    #[test]
    fn a_new_key_comes_first_and_the_old_one_still_opens() {
        let old = Seal::parse(&key(1)).unwrap();
        let both = Seal::parse(&format!("{}, {}", key(2), key(1))).unwrap();
        let new = Seal::parse(&key(2)).unwrap();
        let before = old.close("p", "a").unwrap();
        assert_eq!(opened(&both, "p", &before).as_deref(), Some("a"));
        assert_eq!(opened(&new, "p", &before), None);
        assert_eq!(opened(&new, "p", &both.close("p", "b").unwrap()).as_deref(), Some("b"));
    }

    #[test]
    fn keys_of_another_form_are_refused() {
        let many = vec![key(1); KEYS_MAX + 1].join(",");
        for text in ["", "swordfish", &STANDARD.encode([1; 16]), &format!("{},", key(1)), &many] {
            assert!(Seal::parse(text).is_err(), "{text}");
        }
    }
}
