//! The sandbox's objects, in Stripe's form as far as anybody reads them, and the rules that they keep.

use serde_json::{Value, json};

use super::{Sandbox, invalid, missing};
use crate::domain::Timestamp;
use crate::domain::gateway::{
    NewCheckout, NewPrice, NewRefund, PAYMENT, Price, Product, REFUND as REFUND_ID, Rejection,
};
use crate::store::sandbox::{Change, FAMILY_MAX, Object, Pending};

pub(super) const SESSION: &str = "checkout.session";
pub(super) const INTENT: &str = "payment_intent";
pub(super) const CHARGE: &str = "charge";
pub(super) const REFUND: &str = "refund";
pub(super) const PRODUCT: &str = "product";
pub(super) const PRICE: &str = "price";

/// The version of Stripe's API that events are written in.
const API_VERSION: &str = "2026-09-30.endive";

pub(super) fn seconds(moment: Timestamp) -> i64 {
    moment.0.div_euclid(1_000)
}

fn object(id: &str, family: &str, kind: &str, now: Timestamp, mut body: Value) -> Object {
    body["id"] = json!(id);
    body["object"] = json!(kind);
    body["created"] = json!(seconds(now));
    body["livemode"] = json!(false);
    Object { id: id.to_owned(), family: family.to_owned(), kind: kind.to_owned(), body, ends_at: None, created_at: now }
}

/// The event that tells of `object` as it is now.
pub(super) fn event(kind: &str, object: &Object, now: Timestamp) -> Pending {
    let id = Sandbox::fresh("evt");
    let body = json!({ "id": id, "object": "event", "api_version": API_VERSION, "created": seconds(now),
        "livemode": false, "pending_webhooks": 1, "request": { "id": null, "idempotency_key": null }, "type": kind,
        "data": { "object": object.body } });
    Pending { id, body: body.to_string(), due_at: now, tries: 0, created_at: now }
}

/// A session that is open.
pub(super) fn session(id: &str, url: &str, new: &NewCheckout, now: Timestamp) -> Result<Object, Rejection> {
    if new.amount <= 0 {
        let message = "This value must be greater than or equal to 1.".to_owned();
        return Err(invalid("parameter_invalid_integer", message));
    }
    let mut metadata = json!(new.ids);
    metadata[PAYMENT] = json!(new.payment);
    let body = json!({ "amount_subtotal": new.amount, "amount_total": new.amount, "currency": new.currency,
        "client_reference_id": new.payment, "metadata": metadata, "mode": "payment", "status": "open",
        "payment_status": "unpaid", "payment_intent": null, "url": url, "success_url": new.success_url,
        "cancel_url": new.cancel_url, "expires_at": seconds(new.expires_at),
        "line_items": [{ "description": new.name }] });
    Ok(Object { ends_at: Some(new.expires_at), ..object(id, id, SESSION, now, body) })
}

/// The payment of a session.
pub(super) fn intent(session: &Object, now: Timestamp) -> Object {
    let (amount, currency) = (&session.body["amount_total"], &session.body["currency"]);
    let body = json!({ "amount": amount, "amount_received": 0, "currency": currency, "latest_charge": null,
        "last_payment_error": null, "metadata": session.body["metadata"], "status": "requires_payment_method" });
    object(&Sandbox::fresh("pi"), &session.id, INTENT, now, body)
}

/// The money of a payment.
pub(super) fn charge(intent: &Object, now: Timestamp) -> Object {
    let body = json!({ "amount": intent.body["amount"], "amount_captured": intent.body["amount"],
        "amount_refunded": 0, "captured": true, "currency": intent.body["currency"], "disputed": false,
        "metadata": intent.body["metadata"], "paid": true, "payment_intent": intent.id, "refunded": false,
        "status": "succeeded" });
    object(&Sandbox::fresh("ch"), &intent.family, CHARGE, now, body)
}

/// A refund of the payment of a family, its charge as it is then, and what is told of both.
pub(super) fn refund(family: &[Object], id: &str, new: &NewRefund, now: Timestamp) -> Result<Change, Rejection> {
    let taken = |object: &&Object| object.kind == CHARGE && object.body["payment_intent"] == *new.payment_intent;
    let Some(charge) = family.iter().find(taken) else {
        let message =
            format!("This PaymentIntent ({}) does not have a successful charge to refund.", new.payment_intent);
        return Err(invalid("payment_intent_unexpected_state", message));
    };
    let whole = |field: &str| charge.body[field].as_i64().unwrap_or_default();
    let (captured, refunded) = (whole("amount_captured"), whole("amount_refunded"));
    let left = captured - refunded;
    if left <= 0 {
        let message = format!("Charge {} has already been refunded.", charge.id);
        return Err(invalid("charge_already_refunded", message));
    }
    if new.amount <= 0 {
        return Err(invalid("parameter_invalid_integer", "This value must be greater than or equal to 1.".to_owned()));
    }
    if new.amount > left {
        let message = format!(
            "Refund amount ({}) is greater than unrefunded amount on charge ({left}), in minor units",
            new.amount
        );
        return Err(invalid("amount_too_large", message));
    }
    if family.len() as u64 >= FAMILY_MAX {
        return Err(invalid(
            "too_many_refunds",
            format!("The sandbox keeps at most {FAMILY_MAX} refunds (FAMILY_MAX)"),
        ));
    }
    let body = json!({ "amount": new.amount, "charge": charge.id, "currency": charge.body["currency"],
        "failure_reason": null, "metadata": { REFUND_ID: new.refund, PAYMENT: new.payment },
        "payment_intent": new.payment_intent, "reason": null, "status": "succeeded" });
    let refund = object(id, &charge.family, REFUND, now, body);
    let mut charge = charge.clone();
    charge.body["amount_refunded"] = json!(refunded + new.amount);
    charge.body["refunded"] = json!(new.amount == left);
    let events = vec![event("refund.created", &refund, now), event("charge.refunded", &charge, now)];
    Ok(Change { objects: vec![refund, charge], events })
}

/// A product as it is to be.
pub(super) fn product(family: &[Object], product: &Product, now: Timestamp) -> Object {
    let known = family.iter().find(|object| object.id == product.id);
    let body = json!({ "name": product.name, "description": product.description, "active": product.active });
    let created_at = known.map_or(now, |known| known.created_at);
    object(&product.id, &product.id, PRODUCT, created_at, body)
}

pub(super) fn read_product(json: &Value) -> Option<Product> {
    Some(Product {
        id: json["id"].as_str()?.to_owned(),
        name: json["name"].as_str()?.to_owned(),
        description: json["description"].as_str().unwrap_or_default().to_owned(),
        active: json["active"].as_bool()?,
    })
}

/// A price that is offered.
pub(super) fn price(family: &[Object], id: &str, new: &NewPrice, now: Timestamp) -> Result<Object, Rejection> {
    if !family.iter().any(|object| object.id == new.product) {
        return Err(missing(PRODUCT, &new.product));
    }
    if family.len() as u64 >= FAMILY_MAX {
        return Err(invalid("too_many_prices", format!("The sandbox keeps at most {FAMILY_MAX} prices (FAMILY_MAX)")));
    }
    let body = json!({ "product": new.product, "unit_amount": new.amount, "currency": new.currency, "active": true });
    Ok(object(id, &new.product, PRICE, now, body))
}

/// A price that is offered or archived.
pub(super) fn offered(family: &[Object], id: &str, active: bool) -> Result<Object, Rejection> {
    let mut price = family.iter().find(|object| object.id == id).ok_or_else(|| missing(PRICE, id))?.clone();
    price.body["active"] = json!(active);
    Ok(price)
}

pub(super) fn read_price(json: &Value) -> Option<Price> {
    Some(Price {
        id: json["id"].as_str()?.to_owned(),
        product: json["product"].as_str()?.to_owned(),
        amount: json["unit_amount"].as_i64(),
        currency: json["currency"].as_str()?.to_owned(),
        active: json["active"].as_bool()?,
        ours: true,
    })
}
