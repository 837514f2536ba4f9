use serde_json::json;

use super::*;
use crate::domain::gateway::{CheckoutStatus, PaymentStatus, RefundStatus};

const NOW: Timestamp = Timestamp(1_800_000_000_000);
const BODY: &[u8] = br#"{"id":"evt_1","type":"ping"}"#;
/// Made with the official SDK: `stripe.webhooks.generateTestHeaderString` of npm's stripe 17.7.0, with that time, body and
/// secret.
const OFFICIAL: &str = "t=1800000000,v1=9b9e97aa9fb4fd5f6a4cc800dc23ac65671502fe3993269a2ec07e49a21dbd19";

fn secrets() -> Secrets {
    Secrets::parse("whsec_test_secret")
}

#[test]
fn what_the_official_sdk_signs_is_believed() {
    assert_eq!(secrets().verify(OFFICIAL, BODY, NOW), Ok(()));
    assert_eq!(secrets().sign(BODY, NOW).unwrap(), OFFICIAL);
}

#[test]
fn during_a_rotation_any_secret_and_any_signature_is_enough() {
    let both = Secrets::parse(" whsec_old , whsec_test_secret ");
    assert_eq!(both.verify(OFFICIAL, BODY, NOW), Ok(()));
    let (time, signature) = OFFICIAL.split_once(',').unwrap();
    let several = format!("{time},v0=00,v1=00ff,{signature}, v1=zz");
    assert_eq!(secrets().verify(&several, BODY, NOW), Ok(()));
}

#[test]
fn what_was_changed_or_signed_by_another_is_forged() {
    assert_eq!(secrets().verify(OFFICIAL, br#"{"id":"evt_1", "type":"ping"}"#, NOW), Err(Error::Forged));
    assert_eq!(secrets().verify(&OFFICIAL.replace("t=1800000000", "t=1800000001"), BODY, NOW), Err(Error::Forged));
    assert_eq!(Secrets::parse("whsec_other").verify(OFFICIAL, BODY, NOW), Err(Error::Forged));
    assert_eq!(Secrets::parse(" ,").verify(OFFICIAL, BODY, NOW), Err(Error::NoSecret));
}

#[test]
fn an_old_copy_and_one_from_the_future_are_not_believed() {
    for (late, outcome) in [
        (TOLERANCE_MS, Ok(())),
        (TOLERANCE_MS + 1, Err(Error::NotNow)),
        (-TOLERANCE_MS, Ok(())),
        (-TOLERANCE_MS - 1, Err(Error::NotNow)),
    ] {
        assert_eq!(secrets().verify(OFFICIAL, BODY, NOW.plus_ms(late)), outcome, "{late}");
    }
}

#[test]
fn a_header_without_time_or_signature_is_malformed() {
    let long = format!("{OFFICIAL},{}", "v1=00,".repeat(1_000));
    for header in ["", "t=", "v1=00", "t=1800000000", "t=x,v1=00", "t=1800000000,v0=00", "t=1800000000,v1=zz", &*long] {
        assert_eq!(secrets().verify(header, BODY, NOW), Err(Error::Malformed), "{header}");
    }
}

#[test]
fn secrets_are_not_shown() {
    assert!(!format!("{:?}", secrets()).contains("test_secret"));
}

fn event(kind: &str, object: &Value) -> Result<Event, Error> {
    let event = json!({ "id": "evt_1", "type": kind, "created": 1_800_000_000, "data": { "object": object } });
    read(event.to_string().as_bytes())
}

#[test]
fn an_event_of_another_version_is_read_as_far_as_needed() {
    let session = json!({ "id": "cs_1", "payment_status": "paid", "status": "complete", "amount_total": 1000,
        "currency": "usd", "payment_intent": { "id": "pi_1", "new_field": [1] }, "metadata": { "payment_id": "pay_1" },
        "a_field_of_the_future": { "deep": true } });
    let event = event("checkout.session.completed", &session).unwrap();
    let What::CheckoutCompleted(checkout) = event.what else { panic!("{event:?}") };
    assert_eq!((checkout.status, checkout.payment_status), (CheckoutStatus::Complete, PaymentStatus::Paid));
    assert_eq!((checkout.payment.as_deref(), checkout.payment_intent.as_deref()), (Some("pay_1"), Some("pi_1")));
    assert_eq!(event.created, NOW);
}

#[test]
fn a_status_nobody_knows_yet_is_no_error() {
    let refund = json!({ "id": "re_1", "amount": 5, "currency": "usd", "status": "teleported", "charge": "ch_1" });
    let What::RefundChanged(refund) = event("refund.updated", &refund).unwrap().what else { panic!() };
    assert_eq!((refund.status, refund.refund), (RefundStatus::Other, None));
}

#[test]
fn every_kind_that_is_acted_on_is_read() {
    let object = json!({ "id": "x_1", "payment_status": "unpaid", "status": "lost", "amount": 5, "currency": "usd",
        "amount_captured": 5, "amount_refunded": 5, "charge": "ch_1" });
    for kind in [
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
        "charge.dispute.created",
        "charge.dispute.updated",
        "charge.dispute.closed",
        "charge.dispute.funds_withdrawn",
        "charge.dispute.funds_reinstated",
    ] {
        let read = event(kind, &object).unwrap();
        assert_ne!(read.what, What::Other, "{kind}");
        assert!(matches!(event(kind, &json!({ "id": 7 })), Err(Error::NoEvent(_))), "{kind}");
    }
    assert_eq!(event("customer.created", &json!(null)).unwrap().what, What::Other);
}

#[test]
fn what_is_no_event_is_refused_after_it_is_believed() {
    for body in ["", "[]", "{}", r#"{"id":"evt_1"}"#, r#"{"type":"ping"}"#] {
        let header = secrets().sign(body.as_bytes(), NOW).unwrap();
        let error = secrets().event(&header, body.as_bytes(), NOW).unwrap_err();
        assert!(!error.is_unbelieved(), "{body}: {error}");
    }
}

#[test]
fn every_kind_that_the_gateway_is_asked_for_is_read() {
    for kind in KINDS {
        assert!(what(kind, &json!({})).is_err(), "{kind} is not looked at");
    }
    assert_eq!(what("customer.created", &json!({})), Ok(What::Other));
}
