//! Stripe's objects as JSON, read loosely: only what is needed, so that another version of Stripe's API still works.
//!
//! Full typed reading of events breaks when the account's version of the API moves.

use serde_json::Value;

use crate::domain::Timestamp;
use crate::domain::gateway::{
    Charge, Checkout, CheckoutStatus, Dispute, PAYMENT, PaymentFailure, PaymentIntent, PaymentStatus, REFUND, Refund,
    RefundStatus,
};

/// An object lacks what it cannot be understood without.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("the {object} has no usable `{field}`")]
pub struct Unreadable {
    /// What it is, such as `refund`.
    pub object: &'static str,
    /// What is missing or of another type.
    pub field: &'static str,
}

/// The fields of one object.
struct Fields<'a> {
    object: &'static str,
    json: &'a Value,
}

impl Fields<'_> {
    fn text(&self, field: &str) -> Option<String> {
        self.json[field].as_str().map(str::to_owned)
    }

    fn must_text(&self, field: &'static str) -> Result<String, Unreadable> {
        self.text(field).ok_or(Unreadable { object: self.object, field })
    }

    fn must_whole(&self, field: &'static str) -> Result<i64, Unreadable> {
        self.json[field].as_i64().ok_or(Unreadable { object: self.object, field })
    }

    /// The id of another object, which may stand there whole.
    fn id(&self, field: &str) -> Option<String> {
        let value = &self.json[field];
        value.as_str().or_else(|| value["id"].as_str()).map(str::to_owned)
    }

    fn ours(&self, name: &str) -> Option<String> {
        self.json["metadata"][name].as_str().map(str::to_owned)
    }
}

/// Seconds since the Unix epoch, as Stripe writes them.
#[must_use]
pub const fn moment(seconds: i64) -> Timestamp {
    Timestamp(seconds.saturating_mul(1_000))
}

/// A `checkout.session`.
///
/// # Errors
/// [`Unreadable`].
pub fn checkout(json: &Value) -> Result<Checkout, Unreadable> {
    let fields = Fields { object: "checkout session", json };
    let status = fields.text("status").unwrap_or_default();
    Ok(Checkout {
        id: fields.must_text("id")?,
        url: fields.text("url"),
        status: status.parse().unwrap_or(CheckoutStatus::Other),
        payment_status: fields.must_text("payment_status")?.parse().unwrap_or(PaymentStatus::Other),
        amount_total: json["amount_total"].as_i64(),
        currency: fields.text("currency"),
        payment_intent: fields.id("payment_intent"),
        payment: fields.ours(PAYMENT).or_else(|| fields.text("client_reference_id")),
        expires_at: json["expires_at"].as_i64().map(moment),
    })
}

/// A `refund`.
///
/// # Errors
/// [`Unreadable`].
pub fn refund(json: &Value) -> Result<Refund, Unreadable> {
    let fields = Fields { object: "refund", json };
    Ok(Refund {
        id: fields.must_text("id")?,
        payment_intent: fields.id("payment_intent"),
        charge: fields.id("charge"),
        amount: fields.must_whole("amount")?,
        currency: fields.must_text("currency")?,
        status: fields.text("status").unwrap_or_default().parse().unwrap_or(RefundStatus::Other),
        failure_reason: fields.text("failure_reason"),
        refund: fields.ours(REFUND),
    })
}

/// A `payment_intent`, without its charges.
///
/// # Errors
/// [`Unreadable`].
pub fn payment_intent(json: &Value) -> Result<PaymentIntent, Unreadable> {
    let fields = Fields { object: "payment intent", json };
    let error = &json["last_payment_error"];
    let code = ["decline_code", "code"].into_iter().find_map(|field| error[field].as_str()).unwrap_or_default();
    let failure = error.is_object().then(|| PaymentFailure {
        code: code.to_owned(),
        message: error["message"].as_str().unwrap_or_default().to_owned(),
    });
    let amount = fields.must_whole("amount")?;
    Ok(PaymentIntent {
        id: fields.must_text("id")?,
        status: fields.must_text("status")?,
        amount,
        amount_received: json["amount_received"].as_i64().unwrap_or_default(),
        currency: fields.must_text("currency")?,
        payment: fields.ours(PAYMENT),
        failure,
        charges: Vec::new(),
    })
}

/// A `charge`.
///
/// # Errors
/// [`Unreadable`].
pub fn charge(json: &Value) -> Result<Charge, Unreadable> {
    let fields = Fields { object: "charge", json };
    Ok(Charge {
        id: fields.must_text("id")?,
        payment_intent: fields.id("payment_intent"),
        payment: fields.ours(PAYMENT),
        amount_captured: fields.must_whole("amount_captured")?,
        amount_refunded: fields.must_whole("amount_refunded")?,
        currency: fields.must_text("currency")?,
        disputed: json["disputed"].as_bool().unwrap_or_default(),
        paid: json["paid"].as_bool().unwrap_or_default(),
    })
}

/// A `dispute`.
///
/// # Errors
/// [`Unreadable`].
pub fn dispute(json: &Value) -> Result<Dispute, Unreadable> {
    let fields = Fields { object: "dispute", json };
    Ok(Dispute {
        id: fields.must_text("id")?,
        charge: fields.id("charge"),
        payment_intent: fields.id("payment_intent"),
        amount: fields.must_whole("amount")?,
        currency: fields.must_text("currency")?,
        status: fields.must_text("status")?,
    })
}
