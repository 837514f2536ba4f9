//! Objects as Stripe writes them, whole enough for its own description and for clients that read them by type.

use serde_json::{Value, json};

pub fn session(id: &str, base: &str, form: &Value, created: i64) -> Value {
    let item = &form["line_items"]["0"];
    let amount: i64 = item["price_data"]["unit_amount"].as_str().unwrap().parse().unwrap();
    let expires_at = form["expires_at"].as_str().map_or(created + 86_400, |text| text.parse().unwrap());
    json!({
        "id": id, "object": "checkout.session", "created": created, "livemode": false, "expires_at": expires_at,
        "amount_subtotal": amount, "amount_total": amount, "currency": item["price_data"]["currency"],
        "automatic_tax": { "enabled": false, "liability": null, "provider": null, "status": null },
        "client_reference_id": form["client_reference_id"], "customer": null, "custom_fields": [],
        "custom_text": {
            "after_submit": null, "shipping_address": null, "submit": null, "terms_of_service_acceptance": null
        },
        "metadata": metadata(form), "mode": "payment", "payment_intent": null, "payment_method_types": ["card"],
        "payment_status": "unpaid", "shipping_options": [], "status": "open", "success_url": form["success_url"],
        "cancel_url": form["cancel_url"], "url": format!("{base}/pay/{id}")
    })
}

pub fn intent(id: &str, charge: Option<&str>, session: &Value, wanted: &Value, created: i64) -> Value {
    let amount = &session["amount_total"];
    let paid = charge.is_some();
    json!({
        "id": id, "object": "payment_intent", "created": created, "livemode": false, "amount": amount,
        "amount_capturable": 0, "amount_received": if paid { amount.clone() } else { json!(0) },
        "capture_method": "automatic", "confirmation_method": "automatic", "currency": session["currency"],
        "last_payment_error": null, "latest_charge": charge, "metadata": wanted, "payment_method_types": ["card"],
        "status": if paid { "succeeded" } else { "requires_payment_method" }
    })
}

pub fn charge(id: &str, intent: &Value, created: i64) -> Value {
    json!({
        "id": id, "object": "charge", "created": created, "livemode": false, "amount": intent["amount"],
        "amount_captured": intent["amount"], "amount_refunded": 0, "captured": true, "currency": intent["currency"],
        "billing_details": { "address": null, "email": null, "name": null, "phone": null, "tax_id": null },
        "disputed": false, "metadata": intent["metadata"], "paid": true, "payment_intent": intent["id"],
        "refunded": false, "status": "succeeded"
    })
}

pub fn refund(id: &str, charge: &Value, amount: i64, form: &Value, created: i64) -> Value {
    json!({
        "id": id, "object": "refund", "created": created, "amount": amount, "charge": charge["id"],
        "currency": charge["currency"], "metadata": metadata(form), "payment_intent": charge["payment_intent"],
        "reason": form["reason"], "status": "succeeded", "receipt_number": null, "balance_transaction": null,
        "source_transfer_reversal": null, "transfer_reversal": null
    })
}

pub fn dispute(id: &str, charge: &Value, created: i64) -> Value {
    json!({
        "id": id, "object": "dispute", "created": created, "livemode": false, "amount": charge["amount_captured"],
        "balance_transactions": [], "charge": charge["id"], "currency": charge["currency"],
        "enhanced_eligibility_types": [], "evidence": { "enhanced_evidence": {} }, "is_charge_refundable": false, "metadata": {},
        "evidence_details": {
            "due_by": created + 604_800, "enhanced_eligibility": {}, "has_evidence": false, "past_due": false,
            "submission_count": 0
        },
        "payment_intent": charge["payment_intent"], "reason": "fraudulent", "status": "needs_response"
    })
}

pub fn product(id: &str, form: &Value, created: i64) -> Value {
    json!({
        "id": id, "object": "product", "created": created, "updated": created, "livemode": false,
        "active": form["active"].as_str() != Some("false"), "description": form["description"], "images": [],
        "marketing_features": [], "metadata": metadata(form), "name": form["name"], "type": "service",
        "default_price": null, "package_dimensions": null, "shippable": null, "tax_code": null, "url": null
    })
}

pub fn price(id: &str, form: &Value, created: i64) -> Value {
    let amount: i64 = form["unit_amount"].as_str().unwrap().parse().unwrap();
    json!({
        "id": id, "object": "price", "created": created, "livemode": false, "active": true,
        "billing_scheme": "per_unit", "currency": form["currency"], "metadata": metadata(form), "nickname": null,
        "product": form["product"], "recurring": null, "type": "one_time", "unit_amount": amount,
        "unit_amount_decimal": amount.to_string(), "lookup_key": null, "tax_behavior": "unspecified",
        "tiers_mode": null, "transform_quantity": null, "custom_unit_amount": null
    })
}

pub fn account() -> Value {
    json!({
        "id": "acct_1double", "object": "account", "country": "US", "charges_enabled": true, "payouts_enabled": true,
        "default_currency": "usd", "details_submitted": true, "email": null, "type": "standard", "metadata": {}
    })
}

pub fn event(id: &str, kind: &str, object: &Value, created: i64) -> Value {
    json!({
        "id": id, "object": "event", "api_version": "2026-09-30.endive", "created": created, "livemode": false,
        "pending_webhooks": 1, "request": { "id": null, "idempotency_key": null }, "type": kind,
        "data": { "object": object }
    })
}

pub fn error(kind: &str, code: &str, message: &str) -> Value {
    let mut error = json!({ "type": kind, "message": message });
    if !code.is_empty() {
        error["code"] = json!(code);
    }
    json!({ "error": error })
}

fn metadata(form: &Value) -> Value {
    form.get("metadata").cloned().unwrap_or_else(|| json!({}))
}
