//! From async-stripe's types to what is known of a gateway's objects.

use std::collections::HashMap;

use stripe_types::Expandable;

use crate::domain::gateway::{
    Account, Charge, Checkout, CheckoutStatus, PAYMENT, PaymentFailure, PaymentIntent, PaymentStatus, Price, Product,
    REFUND, Refund, RefundStatus,
};
use crate::gateway::object::moment;

/// The metadata that marks what this service made.
pub(super) const SOURCE: (&str, &str) = ("source", "mixvideo");

fn id<T: stripe_types::Object>(of: Option<Expandable<T>>) -> Option<String>
where
    T::Id: std::fmt::Display,
{
    of.map(|of| of.id().to_string())
}

fn ours(metadata: &HashMap<String, String>, name: &str) -> Option<String> {
    metadata.get(name).cloned()
}

pub(super) fn checkout(session: stripe_shared::CheckoutSession) -> Checkout {
    let status = session.status.as_ref().map(|status| status.as_str()).unwrap_or_default();
    let named = session.metadata.as_ref().and_then(|metadata| ours(metadata, PAYMENT));
    Checkout {
        id: session.id.to_string(),
        url: session.url,
        status: status.parse().unwrap_or(CheckoutStatus::Other),
        payment_status: session.payment_status.as_str().parse().unwrap_or(PaymentStatus::Other),
        amount_total: session.amount_total,
        currency: session.currency.map(|currency| currency.to_string()),
        payment_intent: id(session.payment_intent),
        payment: named.or(session.client_reference_id),
        expires_at: Some(moment(session.expires_at)),
    }
}

pub(super) fn refund(refund: stripe_shared::Refund) -> Refund {
    Refund {
        id: refund.id.to_string(),
        payment_intent: id(refund.payment_intent),
        charge: id(refund.charge),
        amount: refund.amount,
        currency: refund.currency.to_string(),
        status: refund.status.unwrap_or_default().parse().unwrap_or(RefundStatus::Other),
        failure_reason: refund.failure_reason,
        refund: refund.metadata.as_ref().and_then(|metadata| ours(metadata, REFUND)),
    }
}

pub(super) fn charge(charge: stripe_shared::Charge) -> Charge {
    Charge {
        id: charge.id.to_string(),
        payment: ours(&charge.metadata, PAYMENT),
        payment_intent: id(charge.payment_intent),
        amount_captured: charge.amount_captured,
        amount_refunded: charge.amount_refunded,
        currency: charge.currency.to_string(),
        disputed: charge.disputed,
        paid: charge.paid,
    }
}

pub(super) fn payment_intent(intent: stripe_shared::PaymentIntent, charges: Vec<Charge>) -> PaymentIntent {
    let failure = intent.last_payment_error.map(|error| {
        let code = error.code.map(|code| code.as_str().to_owned());
        PaymentFailure {
            code: error.decline_code.or(code).unwrap_or_default(),
            message: error.message.unwrap_or_default(),
        }
    });
    PaymentIntent {
        id: intent.id.to_string(),
        status: intent.status.as_str().to_owned(),
        amount: intent.amount,
        amount_received: intent.amount_received,
        currency: intent.currency.to_string(),
        payment: ours(&intent.metadata, PAYMENT),
        failure,
        charges,
    }
}

pub(super) fn product(product: stripe_shared::Product) -> Product {
    Product {
        id: product.id.to_string(),
        name: product.name,
        description: product.description.unwrap_or_default(),
        active: product.active,
    }
}

pub(super) fn price(price: stripe_shared::Price) -> Price {
    Price {
        id: price.id.to_string(),
        product: price.product.id().to_string(),
        amount: price.unit_amount,
        currency: price.currency.to_string(),
        active: price.active,
        ours: price.metadata.get(SOURCE.0).is_some_and(|source| source == SOURCE.1),
    }
}

pub(super) fn account(account: stripe_shared::Account) -> Account {
    Account {
        id: account.id.to_string(),
        country: account.country,
        charges_enabled: account.charges_enabled.unwrap_or_default(),
        payouts_enabled: account.payouts_enabled.unwrap_or_default(),
    }
}
