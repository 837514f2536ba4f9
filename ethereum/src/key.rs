//! Keys. They are read once and never shown: whatever prints one prints its address.

use std::fmt;
use std::path::Path;
use std::str::FromStr as _;

use alloy::primitives::Address;
use alloy::signers::local::coins_bip39::English;
use alloy::signers::local::{MnemonicBuilder, PrivateKeySigner};
use secrecy::{ExposeSecret as _, SecretString};

/// Why there is no key. None of them says what was read.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum KeyError {
    /// The text is none.
    #[error("the key is not 64 hexadecimal digits of a private key")]
    Malformed,
    /// The file cannot be read, or the password is another one.
    #[error("the keystore file cannot be opened with its password")]
    Keystore,
    /// The words are none.
    #[error("the phrase is not 12 to 24 English words of BIP-39 with their checksum")]
    Phrase,
}

/// The key of an address.
#[derive(Clone)]
pub struct Key(pub(crate) PrivateKeySigner);

impl Key {
    /// A key of its hexadecimal digits, with or without `0x`.
    ///
    /// # Errors
    /// [`KeyError::Malformed`].
    pub fn of_digits(digits: &SecretString) -> Result<Self, KeyError> {
        let digits = digits.expose_secret().trim();
        PrivateKeySigner::from_str(digits).map(Self).map_err(|_| KeyError::Malformed)
    }

    /// The key in a keystore file (Web3 Secret Storage, as geth and foundry write it). It takes about a second.
    ///
    /// # Errors
    /// [`KeyError::Keystore`].
    pub fn of_keystore(file: &Path, password: &SecretString) -> Result<Self, KeyError> {
        PrivateKeySigner::decrypt_keystore(file, password.expose_secret()).map(Self).map_err(|_| KeyError::Keystore)
    }

    /// Its address.
    #[must_use]
    pub fn address(&self) -> Address {
        self.0.address()
    }
}

impl fmt::Debug for Key {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Key({})", self.address())
    }
}

/// Addresses without number that one phrase has the keys of (BIP-32, `m/44'/60'/0'/0/N`).
#[derive(Clone)]
pub struct Deposits(SecretString);

impl Deposits {
    /// The addresses of a phrase.
    ///
    /// # Errors
    /// [`KeyError::Phrase`].
    pub fn of_phrase(phrase: SecretString) -> Result<Self, KeyError> {
        let deposits = Self(phrase);
        deposits.key(0)?;
        Ok(deposits)
    }

    /// The key of a number.
    ///
    /// # Errors
    /// [`KeyError::Phrase`] for a number above 2^31 - 1.
    pub fn key(&self, number: u32) -> Result<Key, KeyError> {
        let builder = MnemonicBuilder::<English>::default().phrase(self.0.expose_secret().trim());
        let signer = builder.index(number).and_then(|builder| builder.build());
        signer.map(Key).map_err(|_| KeyError::Phrase)
    }

    /// The address of a number.
    ///
    /// # Errors
    /// [`KeyError::Phrase`] for a number above 2^31 - 1.
    pub fn address(&self, number: u32) -> Result<Address, KeyError> {
        self.key(number).map(|key| key.address())
    }
}

impl fmt::Debug for Deposits {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Deposits")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The phrase of everybody's test chain, and its first addresses and key.
    const PHRASE: &str = "test test test test test test test test test test test junk";
    const DIGITS: &str = "ac0974bec39a17e36ba4a6b4d238ff944bacb478cbed5efcae784d7bf4f2ff80";
    const FIRST: &str = "0xf39Fd6e51aad88F6F4ce6aB8827279cffFb92266";
    const SECOND: &str = "0x70997970C51812dc3A010C7d01b50e0d17dc79C8";

    #[test]
    fn a_phrase_has_an_address_for_each_number() {
        let deposits = Deposits::of_phrase(format!(" {PHRASE}\n").into()).unwrap();
        assert_eq!(deposits.address(0).unwrap().to_string(), FIRST);
        assert_eq!(deposits.address(1).unwrap().to_string(), SECOND);
        assert_eq!(deposits.key(0).unwrap().address(), Key::of_digits(&DIGITS.into()).unwrap().address());
        assert_eq!(deposits.address(u32::MAX), Err(KeyError::Phrase));
    }

    #[test]
    fn what_is_no_key_is_refused_and_not_repeated() {
        for text in ["", "0x", &DIGITS[1..], &format!("{DIGITS}0"), &"0".repeat(64), "zz"] {
            assert_eq!(Key::of_digits(&text.into()).unwrap_err(), KeyError::Malformed, "{text}");
        }
        let wrong = PHRASE.replace("junk", "test");
        assert_eq!(Deposits::of_phrase(wrong.into()).unwrap_err(), KeyError::Phrase);
    }

    #[test]
    fn a_keystore_opens_with_its_password_alone() {
        let folder = tempfile::tempdir().unwrap();
        let secret = alloy::hex::decode(DIGITS).unwrap();
        let mut random = rand::rngs::OsRng;
        PrivateKeySigner::encrypt_keystore(folder.path(), &mut random, secret, "open sesame", Some("key")).unwrap();
        let file = folder.path().join("key");
        assert_eq!(Key::of_keystore(&file, &"open sesame".into()).unwrap().address().to_string(), FIRST);
        assert_eq!(Key::of_keystore(&file, &"sesame".into()).unwrap_err(), KeyError::Keystore);
        assert_eq!(Key::of_keystore(&folder.path().join("none"), &"x".into()).unwrap_err(), KeyError::Keystore);
    }

    #[test]
    fn what_prints_a_key_prints_no_secret() {
        let key = Key::of_digits(&DIGITS.into()).unwrap();
        assert_eq!(format!("{key:?}"), format!("Key({FIRST})"));
        assert_eq!(format!("{:?}", Deposits::of_phrase(PHRASE.into()).unwrap()), "Deposits");
    }
}
