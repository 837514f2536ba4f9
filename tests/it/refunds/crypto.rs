//! The face of payments in coins: what is asked for.

use reqwest::Method;
use serde_json::{Value, json};

use super::{WALLET, fields, key_for, received, refunds, said};
use crate::payments::{actor, buy, paid, quiet};
use crate::server::{Answer, Server, send, served};
use crate::stripe::selling;

const DOCUMENTED: [&str; 10] = [
    "_id",
    "paymentIntentId",
    "paymentId",
    "userId",
    "receiverId",
    "refundTo",
    "amount",
    "status",
    "createdAt",
    "updatedAt",
];

async fn part(server: &Server, payment: &str, amount: i64) -> Answer {
    let body = json!({ "paymentId": payment, "refundTo": WALLET, "amount": amount });
    server.post("/refunds/partial", body).await
}

async fn full(server: &Server, payment: &str) -> Answer {
    server.post("/refunds", json!({ "paymentId": payment, "refundTo": WALLET })).await
}

#[test]
fn the_documented_refunds_give_a_part_and_then_the_rest() {
    served(async |server| {
        let payment = received(&server, "acct_1").await;
        let some = part(&server, &payment, 100).await;
        assert_eq!(some.status, 200, "{}", some.body);
        assert_eq!(fields(&some.body), DOCUMENTED.into(), "a bare object, with what is documented");
        for (field, wanted) in [
            ("paymentIntentId", json!(payment)),
            ("paymentId", json!(payment)),
            ("userId", json!("user_123")),
            ("receiverId", json!("acct_1")),
            ("refundTo", json!(WALLET)),
            ("amount", json!(100)),
            ("status", json!("PROCESSING")),
        ] {
            assert_eq!(some.body[field], wanted, "{field}");
        }
        let rest = full(&server, &payment).await;
        assert_eq!((&rest.body["amount"], &rest.body["status"]), (&json!(900), &json!("PROCESSING")));
        assert!(said(&full(&server, &payment).await, 400).starts_with("Nothing is left"));
        let shown = server.get(&format!("/refunds/{}", some.body["_id"].as_str().unwrap())).await;
        assert_eq!(shown.body["createdAt"], some.body["createdAt"]);
        assert_eq!(fields(&shown.body), DOCUMENTED.into());
        assert_eq!(shown.header("cache-control"), "no-store");
    });
}

#[test]
fn on_the_sandbox_a_refund_in_coins_is_sent_as_any_other() {
    served(async |server| {
        let bought = paid(&server, "noop").await;
        let refund = part(&server, &bought.id, 250).await;
        assert_eq!((&refund.body["status"], &refund.body["amount"]), (&json!("SUCCEEDED"), &json!(250)));
        assert!(refund.body["paymentIntentId"].as_str().unwrap().starts_with("pi_"), "{}", refund.body);
        server.until(&bought.path(), |data| data["refundedAmount"] == 250).await;
    });
}

#[test]
fn every_field_of_a_refund_in_coins_is_checked() {
    served(async |server| {
        let payment = received(&server, "acct_1").await;
        let faults = async |path: &str, body: Value| server.post(path, body).await.faults();
        assert_eq!(faults("/refunds", json!({})).await, ["paymentId is required", "refundTo is required"]);
        assert_eq!(
            faults("/refunds/partial", json!({ "paymentId": null, "refundTo": "" })).await,
            ["paymentId is required", "refundTo must have 1 to 100 characters", "amount is required"]
        );
        let to = |address: &str| json!({ "paymentId": payment, "refundTo": address, "amount": 1 });
        let digits = &WALLET[2..];
        for address in
            [digits, &WALLET[..41], &format!("{WALLET}0"), &format!("0X{digits}"), &format!("0xg{}", &digits[1..])]
        {
            assert_eq!(
                faults("/refunds/partial", to(address)).await,
                ["refundTo must be an Ethereum address: 0x and 40 hexadecimal digits"],
                "{address}"
            );
        }
        let zero = format!("0x{}", "0".repeat(40));
        assert_eq!(faults("/refunds/partial", to(&zero)).await, ["refundTo must not be the zero address"]);
        let mistyped = WALLET.replace("aA", "Aa");
        assert!(faults("/refunds/partial", to(&mistyped)).await[0].contains("EIP-55"));
        for amount in [json!(0), json!(-1), json!(1.5), json!("1"), json!(1e30)] {
            let body = json!({ "paymentId": payment, "refundTo": WALLET, "amount": amount });
            assert!(faults("/refunds/partial", body).await[0].starts_with("amount must be a whole number"), "{amount}");
        }
        let misplaced = json!({ "paymentId": payment, "refundTo": WALLET, "amount": 1 });
        assert!(faults("/refunds", misplaced).await[0].contains("POST /refunds/partial"), "not everything");
        for address in [digits.to_lowercase(), digits.to_uppercase()] {
            assert_eq!(server.post("/refunds/partial", to(&format!("0x{address}"))).await.status, 200, "{address}");
        }
        assert_eq!(refunds(&server).await, 2);
    });
}

#[test]
fn checks_come_in_the_order_of_the_document_each_with_its_own_message() {
    served(async |server| {
        let unknown = "pay_018f3c5e000070008000000000000001";
        let bad = json!({ "paymentId": unknown, "refundTo": "0x", "amount": 1 });
        assert_eq!(server.post("/refunds/partial", bad).await.status, 400, "fields before the payment");
        for id in [unknown, "nothing"] {
            assert_eq!(said(&part(&server, id, 1).await, 404), format!("There is no payment `{id}`"));
        }
        let unpaid = buy(&server, "noop").await;
        assert!(said(&part(&server, &unpaid.id, 1).await, 400).contains("is not confirmed"));
        let payment = received(&server, "acct_1").await;
        let faults = part(&server, &payment, 1_001).await.faults();
        assert!(faults[0].starts_with("amount must not be more than the 10.00 usd left"), "{faults:?}");
        let withdrawn = server.post_as(&server.operator, &format!("/ops/payments/{payment}/withdraw"), json!({})).await;
        assert_eq!(withdrawn.status, 200, "{}", withdrawn.body);
        // Withdrawn before beyond what is left.
        for answer in [part(&server, &payment, 1_001).await, full(&server, &payment).await] {
            assert!(said(&answer, 400).contains("was withdrawn by its receiver"));
        }
        assert_eq!(refunds(&server).await, 0);
    });
}

#[test]
fn a_payment_at_stripe_is_no_payment_in_coins() {
    selling(async |server, double| {
        let bought = buy(&server, "noop").await;
        // Unconfirmed before no coins.
        assert!(said(&part(&server, &bought.id, 1).await, 400).contains("is not confirmed"));
        double.world().pay(&bought.session);
        double.tell(&format!("{}{}", server.base, mixvideo::gateway::webhook::WEBHOOK_PATH)).await;
        server.until(&bought.path(), |data| data["status"] == "completed").await;
        for answer in [part(&server, &bought.id, 1).await, full(&server, &bought.id).await] {
            assert!(said(&answer, 400).contains("is not a crypto payment"));
        }
    });
}

#[test]
fn the_same_key_is_one_refund_and_other_callers_find_nothing() {
    served(async |server| {
        let payment = received(&server, "acct_1").await;
        let post = async || {
            let request = server.request(Method::POST, "/refunds/partial").header("idempotency-key", "c1");
            send(request.json(&json!({ "paymentId": payment, "refundTo": WALLET, "amount": 100 }))).await
        };
        let (first, raced) = tokio::join!(post(), post());
        assert_eq!(first.body["_id"], raced.body["_id"], "{} {}", first.body, raced.body);
        assert_eq!(post().await.header("idempotent-replayed"), "true");
        let id = first.body["_id"].as_str().unwrap();
        let other = json!({ "paymentId": payment, "refundTo": WALLET, "amount": 200 });
        let other = server.request(Method::POST, "/refunds/partial").header("idempotency-key", "c1").json(&other);
        assert_eq!(send(other).await.status, 422);
        let agency = key_for(&server, "agency", &["acct_1"]).await;
        for (key, status) in [(&server.other, 404), (&agency, 200), (&server.operator, 200)] {
            assert_eq!(server.get_as(key, &format!("/refunds/{id}")).await.status, status);
            let body = json!({ "paymentId": payment, "refundTo": WALLET, "amount": 1 });
            assert_eq!(server.post_as(key, "/refunds/partial", body).await.status, status);
        }
        let missing = server.get("/refunds/re_018f3c5e000070008000000000000001").await;
        assert_eq!(said(&missing, 404), "There is no refund `re_018f3c5e000070008000000000000001`");
        assert!(missing.body["traceId"].is_string(), "errors have the envelope");
        assert_eq!(said(&server.get("/refunds/x").await, 404), "There is no refund `x`");
        quiet(&server).await;
        assert_eq!(actor(&server, "payment", &payment).await["state"]["amounts"]["reserved"], 102);
    });
}
