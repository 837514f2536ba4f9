//! Payments that came elsewhere, and money that was withdrawn.

use reqwest::Method;
use serde_json::{Value, json};

use super::{WALLET, received, refunds, said, unibee, unibee_body, uqpay, uqpay_body};
use crate::payments::{actor, paid, quiet};
use crate::server::{send, served};

#[test]
fn a_payment_that_came_elsewhere_is_confirmed_at_once() {
    served(async |server| {
        let body = json!({
            "receiver": "acct_1", "currency": "EUR", "amount": 700, "reference": "line 4", "clientId": "shop",
            "userId": "user_7",
        });
        let post = async || {
            let request = server.bare(Method::POST, "/ops/payments").bearer_auth(&server.operator);
            send(request.header("idempotency-key", "p1").json(&body)).await
        };
        let (first, raced) = tokio::join!(post(), post());
        assert_eq!(first.data(), raced.data());
        assert_eq!(post().await.header("idempotent-replayed"), "true");
        let shown = first.data().clone();
        for (field, wanted) in [
            ("status", json!("completed")),
            ("amount", json!(700)),
            ("currency", json!("eur")),
            ("receiverId", json!("acct_1")),
            ("userId", json!("user_7")),
            ("executionId", Value::Null),
            ("withdrawnAmount", json!(0)),
        ] {
            assert_eq!(shown[field], wanted, "{field}");
        }
        let id = shown["id"].as_str().unwrap();
        assert_eq!(*server.get(&format!("/payment/{id}")).await.data(), shown, "its client sees it");
        assert_eq!(server.get_as(&server.other, &format!("/payment/{id}")).await.status, 404);
        let known = actor(&server, "payment", id).await;
        assert_eq!((&known["state"]["rail"], &known["state"]["reference"]), (&json!("manual"), &json!("line 4")));
        let audit = server.get_as(&server.operator, "/ops/audit").await;
        let row = &audit.data()["actions"][0];
        assert_eq!((&row["action"], &row["target"]), (&json!("POST /ops/payments"), &json!(id)), "{}", audit.body);
    });
}

#[test]
fn every_field_of_a_receipt_is_checked() {
    served(async |server| {
        let faults = async |body: Value| server.post_as(&server.operator, "/ops/payments", body).await.faults();
        assert_eq!(
            faults(json!({})).await,
            ["receiver is required", "currency is required", "amount is required", "reference is required"]
        );
        let with = |field: &str, value: Value| {
            let mut body = json!({ "receiver": "a", "currency": "usd", "amount": 1, "reference": "r" });
            body[field] = value;
            body
        };
        for (field, value) in [
            ("receiver", json!("")),
            ("receiver", json!("x".repeat(101))),
            ("currency", json!("us")),
            ("currency", json!(1)),
            ("amount", json!(0)),
            ("amount", json!(-1)),
            ("amount", json!(1.5)),
            ("reference", json!("x".repeat(256))),
            ("userId", json!(1)),
            ("clientId", json!("a b")),
            ("color", json!("red")),
        ] {
            let told = faults(with(field, value)).await;
            assert!(told.len() == 1 && told[0].starts_with(field), "{field}: {told:?}");
        }
        assert_eq!(server.post("/ops/payments", with("amount", json!(1))).await.status, 403, "for operators");
        let payments = server.get_as(&server.operator, "/ops/actors?kind=payment").await;
        assert_eq!(payments.data()["actors"], json!([]));
    });
}

#[test]
fn what_was_withdrawn_is_refunded_in_no_face() {
    served(async |server| {
        let payment = received(&server, "acct_1").await;
        let withdraw =
            async || server.post_as(&server.operator, &format!("/ops/payments/{payment}/withdraw"), json!({})).await;
        assert_eq!(withdraw().await.data()["withdrawnAmount"], 1_000);
        assert!(said(&withdraw().await, 409).contains("is withdrawn already"));
        let wallet = json!({ "paymentId": payment, "refundTo": WALLET });
        for answer in [
            server.post(&format!("/payment/refund/{payment}"), json!({ "reason": "duplicate" })).await,
            send(uqpay(&server, &uqpay_body(&payment, "1"))).await,
            unibee(&server, unibee_body(&payment, 1, "R-1")).await,
            server.post("/refunds", wallet).await,
        ] {
            assert!(said(&answer, 400).contains("was withdrawn by its receiver"), "{}", answer.body);
        }
        assert_eq!(refunds(&server).await, 0);
        assert_eq!(server.post(&format!("/ops/payments/{payment}/withdraw"), json!({})).await.status, 403);
        let missing = server.post_as(&server.operator, "/ops/payments/pay_x/withdraw", json!({})).await;
        assert_eq!(missing.status, 404);
    });
}

#[test]
fn a_refund_under_way_holds_a_withdrawal_up() {
    served(async |server| {
        let payment = received(&server, "acct_1").await;
        assert_eq!(send(uqpay(&server, &uqpay_body(&payment, "1"))).await.status, 200);
        let refused = server.post_as(&server.operator, &format!("/ops/payments/{payment}/withdraw"), json!({})).await;
        assert!(said(&refused, 409).contains("is under way"));
    });
}

#[test]
fn at_a_gateway_refunds_of_withdrawn_money_come_out_of_what_else_its_receiver_has() {
    served(async |server| {
        let (one, two) = (paid(&server, "noop").await, paid(&server, "noop").await);
        let path = |payment: &str| format!("/ops/payments/{payment}/withdraw");
        let refund = async |payment: &str, amount: i64| {
            let body = json!({ "paymentId": payment, "refundTo": WALLET, "amount": amount });
            server.post("/refunds/partial", body).await
        };
        assert_eq!(server.post_as(&server.operator, &path(&one.id), json!({})).await.status, 200);
        quiet(&server).await;
        assert_eq!(refund(&one.id, 400).await.body["status"], "SUCCEEDED");
        quiet(&server).await;
        // The other payment is whole, and its receiver is not.
        let much = refund(&two.id, 700).await;
        assert!(said(&much, 400).contains("more than the 6.00 usd that the receiver has available"), "{}", much.body);
        quiet(&server).await;
        assert_eq!(refund(&two.id, 600).await.body["status"], "SUCCEEDED");
    });
}
