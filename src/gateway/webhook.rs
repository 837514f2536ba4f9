//! Stripe's webhooks: whether to believe one, and what it says.
//!
//! `Stripe-Signature` holds `t=SECONDS` and one or more `v1=HEX`, each HMAC-SHA256 over `{t}.{body}` with a secret that is
//! used as it is written, `whsec_` included (docs.stripe.com/webhooks#verify-manually). The bytes are verified as they
//! came; only then are they read, and only as far as needed.

use hmac::{Hmac, KeyInit, Mac};
use secrecy::{ExposeSecret as _, SecretString};
use serde_json::Value;
use sha2::Sha256;

use super::object::{self, Unreadable};
use crate::domain::Timestamp;
use crate::domain::gateway::{DisputeStep, Event, What};

/// Where webhooks come in.
pub const WEBHOOK_PATH: &str = "/payment/webhook";
/// The header with the signature.
pub const SIGNATURE_HEADER: &str = "stripe-signature";
/// How far the sender's clock may be from ours, in milliseconds; an older webhook may be a copy.
pub const TOLERANCE_MS: i64 = 300_000;
/// The kinds of events that are acted upon, as [`read`] knows them.
pub const KINDS: [&str; 17] = [
    "checkout.session.completed",
    "checkout.session.expired",
    "checkout.session.async_payment_succeeded",
    "checkout.session.async_payment_failed",
    "payment_intent.payment_failed",
    "payment_intent.succeeded",
    "payment_intent.canceled",
    "charge.refunded",
    "refund.created",
    "refund.updated",
    "refund.failed",
    "charge.refund.updated",
    "charge.dispute.created",
    "charge.dispute.updated",
    "charge.dispute.closed",
    "charge.dispute.funds_withdrawn",
    "charge.dispute.funds_reinstated",
];
/// Characters of the header that are looked at, at most; and signatures in it.
const HEADER_CHARS_MAX: usize = 4_096;
const SIGNATURES_MAX: usize = 16;

/// What webhooks are signed with: one secret, or during a rotation several.
#[derive(Clone, Debug, Default)]
pub struct Secrets(Vec<SecretString>);

/// Why a webhook is not believed, or not understood.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Error {
    /// No secret is configured.
    #[error("webhooks cannot be verified here: set `stripe.webhook_secret`")]
    NoSecret,
    /// The header has no time or no signature.
    #[error("the header Stripe-Signature must read t=SECONDS,v1=HEX")]
    Malformed,
    /// None of its signatures is right.
    #[error("none of the webhook's signatures is right")]
    Forged,
    /// It was signed too long ago, or in the future.
    #[error("the webhook was signed more than {} seconds from now", TOLERANCE_MS / 1_000)]
    NotNow,
    /// It is believed, and says nothing that can be read.
    #[error("the webhook is no event: {0}")]
    NoEvent(String),
}

impl Error {
    /// Whether whoever sent it is not believed; otherwise it is believed and cannot be read.
    #[must_use]
    pub const fn is_unbelieved(&self) -> bool {
        !matches!(self, Self::NoEvent(_))
    }
}

impl Secrets {
    /// Secrets that are separated by commas; blanks around them do not count.
    #[must_use]
    pub fn parse(text: &str) -> Self {
        let each = text.split(',').map(str::trim).filter(|secret| !secret.is_empty());
        Self(each.map(SecretString::from).collect())
    }

    /// Whether there are none.
    #[must_use]
    pub const fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// The header that the first secret signs `body` with at `now`; `None` without a secret.
    #[must_use]
    pub fn sign(&self, body: &[u8], now: Timestamp) -> Option<String> {
        let seconds = (now.0 / 1_000).to_string();
        let signature = mac(self.0.first()?, &seconds, body).finalize().into_bytes();
        Some(format!("t={seconds},v1={}", hex::encode(signature)))
    }

    /// Whether one of the secrets signed `body`, and lately. Signatures are looked at first, so that a forger learns
    /// nothing of our clock.
    ///
    /// # Errors
    /// [`Error`], never [`Error::NoEvent`].
    pub fn verify(&self, header: &str, body: &[u8], now: Timestamp) -> Result<(), Error> {
        if self.is_empty() {
            return Err(Error::NoSecret);
        }
        if header.len() > HEADER_CHARS_MAX {
            return Err(Error::Malformed);
        }
        let parts = || header.split(',').filter_map(|part| part.trim().split_once('='));
        let (_, time) = parts().find(|(name, _)| *name == "t").ok_or(Error::Malformed)?;
        let seconds: i64 = time.parse().map_err(|_| Error::Malformed)?;
        let given: Vec<Vec<u8>> = parts()
            .filter(|(name, _)| *name == "v1")
            .take(SIGNATURES_MAX)
            .filter_map(|(_, text)| hex::decode(text).ok().filter(|signature| !signature.is_empty()))
            .collect();
        if given.is_empty() {
            return Err(Error::Malformed);
        }
        let signs = |secret: &SecretString| {
            let mac = mac(secret, time, body);
            given.iter().any(|signature| mac.clone().verify_slice(signature).is_ok())
        };
        if !self.0.iter().any(signs) {
            return Err(Error::Forged);
        }
        let off = object::moment(seconds).since_ms(now).unsigned_abs();
        if off > TOLERANCE_MS.unsigned_abs() { Err(Error::NotNow) } else { Ok(()) }
    }

    /// The event in `body`, once it is believed.
    ///
    /// # Errors
    /// [`Error`].
    pub fn event(&self, header: &str, body: &[u8], now: Timestamp) -> Result<Event, Error> {
        self.verify(header, body, now)?;
        read(body)
    }
}

fn mac(secret: &SecretString, time: &str, body: &[u8]) -> Hmac<Sha256> {
    let mut mac =
        Hmac::<Sha256>::new_from_slice(secret.expose_secret().as_bytes()).expect("HMAC takes a key of any length");
    for part in [time.as_bytes(), b".", body] {
        mac.update(part);
    }
    mac
}

/// The event in a body that is believed.
///
/// # Errors
/// [`Error::NoEvent`].
pub fn read(body: &[u8]) -> Result<Event, Error> {
    let json: Value = serde_json::from_slice(body).map_err(|error| Error::NoEvent(error.to_string()))?;
    let text =
        |field: &'static str| json[field].as_str().ok_or(Unreadable { object: "event", field }).map_err(Error::from);
    let kind = text("type")?;
    Ok(Event {
        id: text("id")?.to_owned(),
        kind: kind.to_owned(),
        created: object::moment(json["created"].as_i64().unwrap_or_default()),
        api_version: json["api_version"].as_str().map(str::to_owned),
        what: what(kind, &json["data"]["object"])?,
    })
}

impl From<Unreadable> for Error {
    fn from(unreadable: Unreadable) -> Self {
        Self::NoEvent(unreadable.to_string())
    }
}

/// What an event of this kind says of its object.
fn what(kind: &str, json: &Value) -> Result<What, Unreadable> {
    let dispute = |step| object::dispute(json).map(|dispute| What::DisputeChanged(dispute, step));
    match kind {
        "checkout.session.completed" => object::checkout(json).map(What::CheckoutCompleted),
        "checkout.session.expired" => object::checkout(json).map(What::CheckoutExpired),
        "checkout.session.async_payment_succeeded" => object::checkout(json).map(What::CheckoutAsyncSucceeded),
        "checkout.session.async_payment_failed" => object::checkout(json).map(What::CheckoutAsyncFailed),
        "payment_intent.payment_failed" => object::payment_intent(json).map(What::PaymentFailed),
        "payment_intent.succeeded" => object::payment_intent(json).map(What::PaymentSucceeded),
        "payment_intent.canceled" => object::payment_intent(json).map(What::PaymentCanceled),
        "charge.refunded" => object::charge(json).map(What::ChargeRefunded),
        "refund.created" | "refund.updated" | "refund.failed" | "charge.refund.updated" => {
            object::refund(json).map(What::RefundChanged)
        }
        "charge.dispute.created" => dispute(DisputeStep::Created),
        "charge.dispute.updated" => dispute(DisputeStep::Updated),
        "charge.dispute.closed" => dispute(DisputeStep::Closed),
        "charge.dispute.funds_withdrawn" => dispute(DisputeStep::FundsWithdrawn),
        "charge.dispute.funds_reinstated" => dispute(DisputeStep::FundsReinstated),
        _ => Ok(What::Other),
    }
}

#[cfg(test)]
#[path = "webhook_tests.rs"]
mod tests;
