//! Signatures of webhooks as Standard Webhooks 1.0 has them (standardwebhooks.com), which Replicate follows.
//!
//! `webhook-signature` holds one or more of `v1,BASE64`, each HMAC-SHA256 over `{webhook-id}.{webhook-timestamp}.{body}`
//! with a secret that is written `whsec_BASE64`.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use hmac::{Hmac, KeyInit, Mac};
use sha2::Sha256;

use crate::domain::Timestamp;

/// How far the sender's clock may be from ours, in milliseconds; an older webhook may be a copy.
pub const TOLERANCE_MS: i64 = 300_000;
/// Signatures of one header that are looked at.
const SIGNATURES_MAX: usize = 16;

/// What webhooks are signed with.
#[derive(Clone)]
pub struct Secret(Vec<u8>);

impl std::fmt::Debug for Secret {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Secret(...)")
    }
}

impl Secret {
    /// Reads `whsec_` and base64.
    #[must_use]
    pub fn parse(text: &str) -> Option<Self> {
        let key = STANDARD.decode(text.trim().strip_prefix("whsec_")?).ok()?;
        (!key.is_empty()).then_some(Self(key))
    }
}

/// What comes with a webhook.
#[derive(Clone, Copy, Debug)]
pub struct Signed<'a> {
    /// `webhook-id`.
    pub id: &'a str,
    /// `webhook-timestamp`, in seconds.
    pub timestamp: &'a str,
    /// `webhook-signature`.
    pub signature: &'a str,
    /// The body as it came.
    pub body: &'a [u8],
}

/// Why a webhook is not believed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Unbelieved {
    /// The time is no number.
    #[error("webhook-timestamp is no number of seconds")]
    NoTime,
    /// It was signed too long ago, or in the future.
    #[error("the webhook was signed more than {} seconds from now", TOLERANCE_MS / 1_000)]
    NotNow,
    /// None of its signatures is right.
    #[error("none of the webhook's signatures is right")]
    Forged,
}

impl Signed<'_> {
    /// Whether `secret` signed it, and lately. The signature is looked at first, so that a forger learns nothing.
    ///
    /// # Errors
    /// [`Unbelieved`].
    pub fn verify(&self, secret: &Secret, now: Timestamp) -> Result<(), Unbelieved> {
        let mut mac = Hmac::<Sha256>::new_from_slice(&secret.0).expect("HMAC takes a key of any length");
        for part in [self.id.as_bytes(), b".", self.timestamp.as_bytes(), b".", self.body] {
            mac.update(part);
        }
        let given = self.signature.split(' ').take(SIGNATURES_MAX).filter_map(|one| one.strip_prefix("v1,"));
        let mut given = given.filter_map(|text| STANDARD.decode(text).ok());
        if !given.any(|signature| mac.clone().verify_slice(&signature).is_ok()) {
            return Err(Unbelieved::Forged);
        }
        let seconds: i64 = self.timestamp.parse().map_err(|_| Unbelieved::NoTime)?;
        let signed = Timestamp(seconds.saturating_mul(1_000));
        if signed.since_ms(now).unsigned_abs() > TOLERANCE_MS.unsigned_abs() { Err(Unbelieved::NotNow) } else { Ok(()) }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// From the specification's own example.
    const SECRET: &str = "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw";
    const SIGNED: Signed<'_> = Signed {
        id: "msg_p5jXN8AQM9LWM0D4loKWxJek",
        timestamp: "1614265330",
        signature: "v1,g0hM9SsE+OTPJTGt/tmIKtSyZlE3uFJELVlNIOLJ1OE=",
        body: br#"{"test": 2432232314}"#,
    };
    const NOW: Timestamp = Timestamp(1_614_265_330_000);

    fn verified(signed: Signed<'_>, now: Timestamp) -> Result<(), Unbelieved> {
        signed.verify(&Secret::parse(SECRET).unwrap(), now)
    }

    #[test]
    fn the_specifications_example_is_believed() {
        assert_eq!(verified(SIGNED, NOW), Ok(()));
    }

    #[test]
    fn one_right_signature_among_several_is_enough() {
        let several = format!("v1a,AAAA v1,AAAA {} v2,x", SIGNED.signature);
        assert_eq!(verified(Signed { signature: &several, ..SIGNED }, NOW), Ok(()));
    }

    #[test]
    fn whatever_was_changed_is_forged() {
        for signed in [
            Signed { id: "msg_other", ..SIGNED },
            Signed { timestamp: "1614265331", ..SIGNED },
            Signed { body: br#"{"test":2432232314}"#, ..SIGNED },
            Signed { signature: "", ..SIGNED },
            Signed { signature: "g0hM9SsE+OTPJTGt/tmIKtSyZlE3uFJELVlNIOLJ1OE=", ..SIGNED },
            Signed { signature: "v1,g0hM9SsE", ..SIGNED },
        ] {
            assert_eq!(verified(signed, NOW), Err(Unbelieved::Forged), "{signed:?}");
        }
        let other = Secret::parse("whsec_AAAA").unwrap();
        assert_eq!(SIGNED.verify(&other, NOW), Err(Unbelieved::Forged));
    }

    #[test]
    fn an_old_copy_and_one_from_the_future_are_not_believed() {
        for (late, outcome) in [
            (TOLERANCE_MS, Ok(())),
            (TOLERANCE_MS + 1, Err(Unbelieved::NotNow)),
            (-TOLERANCE_MS, Ok(())),
            (-TOLERANCE_MS - 1, Err(Unbelieved::NotNow)),
        ] {
            assert_eq!(verified(SIGNED, NOW.plus_ms(late)), outcome, "{late}");
        }
    }

    #[test]
    fn a_secret_reads_whsec_and_base64() {
        for wrong in ["", "whsec_", "MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw", "whsec_@@"] {
            assert!(Secret::parse(wrong).is_none(), "{wrong}");
        }
        assert!(!format!("{:?}", Secret::parse(SECRET).unwrap()).contains("77"));
    }
}
