//! An address on Ethereum: 20 bytes, written as `0x` and 40 hexadecimal digits.
//!
//! Written in mixed case, the case is a checksum (EIP-55, eips.ethereum.org/EIPS/eip-55): a digit that is mistyped is
//! found before money is sent to nobody.

use std::fmt;

use serde::{Deserialize, Deserializer, Serialize, Serializer};
use sha3::{Digest as _, Keccak256};

/// An address that coins can be sent to.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct EthereumAddress([u8; 20]);

/// Why a text is no address to send coins to. Each reads as what is wrong with a field.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Malformed {
    /// It is written otherwise.
    #[error("must be an Ethereum address: 0x and 40 hexadecimal digits")]
    Form,
    /// It is written in mixed case, and not as the checksum wants it.
    #[error("must be spelled as its checksum (EIP-55) says: a digit or a letter's case is wrong")]
    Checksum,
    /// Nobody has its key: what is sent there is lost.
    #[error("must not be the zero address")]
    Zero,
}

impl EthereumAddress {
    /// Reads an address, in lower case, upper case or as its checksum wants it.
    ///
    /// # Errors
    /// [`Malformed`].
    pub fn parse(text: &str) -> Result<Self, Malformed> {
        let digits = text.strip_prefix("0x").ok_or(Malformed::Form)?;
        let mut bytes = [0; 20];
        hex::decode_to_slice(digits, &mut bytes).map_err(|_| Malformed::Form)?;
        if bytes == [0; 20] {
            return Err(Malformed::Zero);
        }
        let address = Self(bytes);
        let has = |wanted: fn(&u8) -> bool| digits.bytes().any(|byte| wanted(&byte));
        let is_mixed = has(u8::is_ascii_lowercase) && has(u8::is_ascii_uppercase);
        if is_mixed && address.to_string() != text {
            return Err(Malformed::Checksum);
        }
        Ok(address)
    }

    /// Its 20 bytes.
    #[must_use]
    pub const fn bytes(self) -> [u8; 20] {
        self.0
    }
}

/// With its checksum: a letter is upper case where the digest of the lower-case digits has a digit of 8 or more.
impl fmt::Display for EthereumAddress {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let digits = hex::encode(self.0);
        let checksum = hex::encode(Keccak256::digest(&digits));
        f.write_str("0x")?;
        for (letter, check) in digits.chars().zip(checksum.bytes()) {
            let is_upper = matches!(check, b'8'..=b'9' | b'a'..=b'f');
            write!(f, "{}", if is_upper { letter.to_ascii_uppercase() } else { letter })?;
        }
        Ok(())
    }
}

impl fmt::Debug for EthereumAddress {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

impl Serialize for EthereumAddress {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

impl<'de> Deserialize<'de> for EthereumAddress {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        Self::parse(&String::deserialize(deserializer)?).map_err(serde::de::Error::custom)
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    /// The examples of EIP-55.
    const CHECKED: [&str; 4] = [
        "0x5aAeb6053F3E94C9b9A09f33669435E7Ef1BeAed",
        "0xfB6916095ca1df60bB79Ce92cE3Ea74c37c5d359",
        "0xdbF03B407c01E7cD3CBea99509d93f8DDDC8C6FB",
        "0xD1220A0cf47c7B9Be7A2E6BA89F429762e7b9aDb",
    ];

    #[test]
    fn the_examples_of_the_standard_are_read_and_written() {
        for text in CHECKED {
            let address = EthereumAddress::parse(text).unwrap();
            assert_eq!(address.to_string(), text);
            let digits = &text[2..];
            for same in [digits.to_lowercase(), digits.to_uppercase()] {
                assert_eq!(EthereumAddress::parse(&format!("0x{same}")), Ok(address));
            }
        }
    }

    #[test]
    fn what_is_no_address_is_refused_with_its_reason() {
        let digits = &CHECKED[0][2..];
        for text in [
            "",
            "0x",
            digits,
            &format!("0X{digits}"),
            &CHECKED[0][..41],
            &format!("0x{digits}0"),
            &format!("0x{digits} "),
        ] {
            assert_eq!(EthereumAddress::parse(text), Err(Malformed::Form), "{text:?}");
        }
        assert_eq!(EthereumAddress::parse(&format!("0xg{}", &digits[1..])), Err(Malformed::Form));
        assert_eq!(EthereumAddress::parse(&format!("0x{}", "0".repeat(40))), Err(Malformed::Zero));
        assert_eq!(EthereumAddress::parse("0x5AAeb6053F3E94C9b9A09f33669435E7Ef1BeAed"), Err(Malformed::Checksum));
    }

    proptest! {
        #[test]
        fn a_letter_in_the_wrong_case_is_found(bytes in any::<[u8; 20]>(), at in 0..40_usize) {
            let text = EthereumAddress(bytes).to_string();
            let mut letters: Vec<u8> = text.bytes().collect();
            let flipped = &mut letters[at + 2];
            *flipped = if flipped.is_ascii_lowercase() { flipped.to_ascii_uppercase() } else { flipped.to_ascii_lowercase() };
            let changed = String::from_utf8(letters).unwrap();
            let digits = &changed[2..];
            let is_mixed = digits.bytes().any(|byte| byte.is_ascii_lowercase()) && digits.bytes().any(|byte| byte.is_ascii_uppercase());
            prop_assume!(changed != text && is_mixed);
            prop_assert_eq!(EthereumAddress::parse(&changed), Err(Malformed::Checksum));
        }
    }
}
