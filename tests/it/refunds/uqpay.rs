//! UQPAY's face.

use chrono::DateTime;
use reqwest::Method;
use serde_json::{Value, json};
use uuid::Uuid;

use super::{fields, key_for, received, received_as, refunds, said, uqpay, uqpay_body, uqpay_with};
use crate::payments::{actor, paid, quiet};
use crate::server::{Answer, Server, send, served};
use crate::stripe::double::Fault;
use crate::stripe::selling;

async fn refused(server: &Server, body: Value) -> String {
    let answer = send(uqpay(server, &body)).await;
    assert_eq!(fields(&answer.body), ["code", "message"].into());
    said(&answer, 400).to_owned()
}

#[test]
fn the_documented_refund_gives_back_what_it_says() {
    served(async |server| {
        let bought = paid(&server, "noop").await;
        let attempt = server.get(&bought.path()).await.data()["attemptId"].clone();
        let body = json!({
            "payment_intent_id": bought.id, "amount": "4.01", "reason": "Return good", "payment_attempt_id": attempt,
            "metadata": { "customer_id": "cust_12345", "order_id": "order_6789" },
        });
        let answer = send(uqpay(&server, &body)).await;
        assert_eq!(answer.status, 200, "{}", answer.body);
        let refund = &answer.body;
        let documented = [
            "payment_refund_id",
            "payment_attempt_id",
            "amount",
            "currency",
            "refund_status",
            "create_time",
            "update_time",
            "reason",
            "metadata",
        ];
        assert_eq!(fields(refund), documented.into(), "a bare object, with what is documented");
        assert!(refund["payment_refund_id"].as_str().unwrap().starts_with("re_"));
        for (field, wanted) in [
            ("payment_attempt_id", &attempt),
            ("amount", &json!("4.01")),
            ("currency", &json!("USD")),
            ("refund_status", &json!("SUCCEEDED")),
            ("reason", &json!("Return good")),
            ("metadata", &body["metadata"]),
        ] {
            assert_eq!(&refund[field], wanted, "{field}");
        }
        for field in ["create_time", "update_time"] {
            let text = refund[field].as_str().unwrap();
            assert!(DateTime::parse_from_rfc3339(text).is_ok() && text.ends_with("+00:00"), "{text}");
        }
        assert_eq!(answer.header("cache-control"), "no-store");
        server.until(&bought.path(), |data| data["refundedAmount"] == 401).await;
    });
}

#[test]
fn a_payment_is_named_by_its_id_or_by_the_gateways() {
    served(async |server| {
        let bought = paid(&server, "noop").await;
        let intent = actor(&server, "payment", &bought.id).await["state"]["intent"].as_str().unwrap().to_owned();
        assert!(intent.starts_with("pi_"), "{intent}");
        for id in [&bought.id, &intent] {
            let answer = send(uqpay(&server, &uqpay_body(id, "1.5"))).await;
            assert_eq!((answer.status.as_u16(), &answer.body["amount"]), (200, &json!("1.50")), "{}", answer.body);
            assert_eq!(answer.body["metadata"], json!({}));
        }
        quiet(&server).await;
        assert_eq!(actor(&server, "payment", &bought.id).await["state"]["amounts"]["refunded"], 300);
    });
}

#[test]
fn both_addresses_and_every_spelling_of_the_token_are_one_route() {
    served(async |server| {
        let bought = paid(&server, "noop").await;
        let body = uqpay_body(&bought.id, "1");
        let key = Uuid::now_v7().to_string();
        let mut seen = Vec::new();
        for path in ["/api/v2/payment/refunds", "/v2/payment/refunds"] {
            for (header, token) in [
                ("x-auth-token", server.client.clone()),
                ("x-auth-token", format!("Bearer {}", server.client)),
                ("authorization", format!("Bearer {}", server.client)),
            ] {
                let request = server.bare(Method::POST, path).header(header, token);
                let request = request.header("x-client-id", "shop").header("x-idempotency-key", &key);
                let answer = send(request.json(&body)).await;
                assert_eq!(answer.status, 200, "{path} {header}: {}", answer.body);
                seen.push(answer.body["payment_refund_id"].clone());
            }
        }
        assert!(seen.iter().all(|id| *id == seen[0]), "{seen:?}");
        assert_eq!(refunds(&server).await, 1);
    });
}

#[test]
fn every_header_is_checked() {
    served(async |server| {
        let body = uqpay_body("pay_x", "1");
        let bare = || server.bare(Method::POST, "/api/v2/payment/refunds").json(&body);
        let keyed = || bare().header("x-auth-token", &server.client);
        let key = "018f3c5e-0000-7000-8000-000000000001";
        assert!(said(&send(bare()).await, 401).contains("needs to know who calls"));
        assert_eq!(send(bare().header("x-auth-token", "mv_unknown")).await.status, 401);
        let twice = bare().header("x-auth-token", &server.client).header("x-auth-token", &server.client);
        assert!(said(&send(twice).await, 401).contains("came twice"));
        let message = said(&send(keyed()).await, 400).to_owned();
        assert_eq!(message, "Invalid request: x-client-id is required; x-idempotency-key is required");
        for (key, wanted) in [
            ("x", "x-idempotency-key must be a UUID"),
            ("018f3c5e000070008000000000000001", "x-idempotency-key must be a UUID"),
            ("", "x-idempotency-key is required"),
        ] {
            let request = keyed().header("x-client-id", "shop").header("x-idempotency-key", key);
            assert_eq!(said(&send(request).await, 400), format!("Invalid request: {wanted}"));
        }
        let doubled = keyed().header("x-client-id", "shop").header("x-idempotency-key", key);
        let doubled = send(doubled.header("x-idempotency-key", key)).await;
        assert_eq!(said(&doubled, 400), "Invalid request: x-idempotency-key came twice");
        let other = keyed().header("x-client-id", "other").header("x-idempotency-key", key);
        assert!(said(&send(other).await, 403).contains("x-client-id"));
        let account = keyed().header("x-client-id", "shop").header("x-idempotency-key", key);
        let account = account.header("x-on-behalf-of", "acct_1");
        assert!(said(&send(account).await, 403).contains("x-on-behalf-of"));
        // An operator may be anybody; what is wrong then is the payment.
        let operator = bare().header("x-auth-token", &server.operator).header("x-client-id", "anything");
        let operator = send(operator.header("x-idempotency-key", key).header("x-on-behalf-of", "")).await;
        assert!(said(&operator, 404).contains("no payment `pay_x`"));
        assert_eq!(operator.body["code"], "not_found");
        assert_eq!(refunds(&server).await, 0);
    });
}

#[test]
fn every_field_is_checked() {
    served(async |server| {
        let bought = paid(&server, "noop").await;
        let with = |field: &str, value: Value| {
            let mut body = uqpay_body(&bought.id, "1.00");
            body[field] = value;
            body
        };
        assert_eq!(
            refused(&server, json!({})).await,
            "Invalid request: payment_intent_id is required; amount is required; reason is required"
        );
        for (field, value, wanted) in [
            ("payment_intent_id", json!("x".repeat(37)), "must have 1 to 36 characters"),
            ("payment_intent_id", json!(1), "must be a text"),
            ("reason", json!("x".repeat(101)), "must have 1 to 100 characters"),
            ("reason", json!(""), "must have 1 to 100 characters"),
            ("payment_attempt_id", json!("x".repeat(37)), "must have 1 to 36 characters"),
            ("metadata", json!([]), "must be an object"),
            ("metadata", json!({ "a": "x".repeat(17_000) }), "must have at most 16384 bytes"),
            ("amount", json!(10.01), "must be a text"),
            ("amount", json!("9".repeat(33)), "must have 1 to 32 characters"),
            ("amount", json!("0"), "must be more than nothing"),
            ("amount", json!("0.00"), "must be more than nothing"),
        ] {
            assert_eq!(refused(&server, with(field, value)).await, format!("Invalid request: {field} {wanted}"));
        }
        for amount in ["-1", "+1", "1e2", "1,00", "ten", ".5", "5.", " 1", "0x1", "1.2.3"] {
            let told = refused(&server, with("amount", json!(amount))).await;
            assert!(told.starts_with("Invalid request: amount must be digits"), "{amount}: {told}");
        }
        let nobodys = refused(&server, uqpay_body("pay_x", "ten")).await;
        assert!(nobodys.contains("amount must be digits"), "fields before the payment: {nobodys}");
        let told = refused(&server, with("amount", json!("1.001"))).await;
        assert!(told.contains("at most 2 of them behind a point"), "{told}");
        let told = refused(&server, with("amount", json!("10.01"))).await;
        assert!(told.contains("must not be more than the 10.00 usd left"), "{told}");
        let foreign = with("payment_attempt_id", json!("att_018f3c5e000070008000000000000001"));
        assert!(said(&send(uqpay(&server, &foreign)).await, 404).contains("has no attempt"));
        let long = with("reason", json!("ä".repeat(100)));
        assert_eq!(send(uqpay(&server, &long)).await.body["reason"], long["reason"]);
        let malformed = server.bare(Method::POST, "/v2/payment/refunds").header("x-auth-token", &server.client);
        let malformed = malformed.header("x-client-id", "shop").header("x-idempotency-key", Uuid::now_v7().to_string());
        let malformed = send(malformed.body("{")).await;
        assert!(said(&malformed, 400).contains("not valid JSON"));
        assert_eq!(fields(&malformed.body), ["code", "message"].into());
        assert_eq!(refunds(&server).await, 1);
    });
}

#[test]
fn amounts_have_their_currencys_digits() {
    served(async |server| {
        for (currency, minor, asked, shown, refused) in [
            ("jpy", 1_000, "250", "250", "250.0"),
            ("kwd", 1_000, "0.25", "0.250", "0.2505"),
            ("eth", 1_000_000_000, "0.25", "0.250000000", "0.0000000001"),
        ] {
            let receipt = json!({ "receiver": "platform", "currency": currency, "amount": minor });
            let payment = received_as(&server, receipt).await;
            assert_eq!(send(uqpay(&server, &uqpay_body(&payment, refused))).await.status, 400, "{currency}");
            let answer = send(uqpay(&server, &uqpay_body(&payment, asked))).await;
            assert_eq!(answer.body["amount"], shown, "{}", answer.body);
            assert_eq!(answer.body["currency"], currency.to_uppercase());
            assert_eq!(answer.body["refund_status"], "PROCESSING", "an operator is to give it back");
        }
    });
}

#[test]
fn the_same_key_and_body_are_one_refund_and_another_body_is_refused() {
    served(async |server| {
        let bought = paid(&server, "noop").await;
        let key = Uuid::now_v7().to_string();
        let first = send(uqpay_with(&server, &key, &uqpay_body(&bought.id, "1.00"))).await;
        let again = send(uqpay_with(&server, &key.to_uppercase(), &uqpay_body(&bought.id, "1.00"))).await;
        assert_eq!(again.status, 200, "{}", again.body);
        for field in ["payment_refund_id", "amount", "refund_status", "create_time"] {
            assert_eq!(again.body[field], first.body[field], "{field}");
        }
        assert_eq!((first.header("idempotent-replayed"), again.header("idempotent-replayed")), ("", "true"));
        let other = send(uqpay_with(&server, &key, &uqpay_body(&bought.id, "2.00"))).await;
        assert_eq!((said(&other, 422).is_empty(), &other.body["code"]), (false, &json!("idempotency_key_reused")));
        // Another caller's key of that name is another key.
        let request = server.bare(Method::POST, "/v2/payment/refunds").header("x-auth-token", &server.operator);
        let request = request.header("x-client-id", "any").header("x-idempotency-key", &key);
        let operators = send(request.json(&uqpay_body(&bought.id, "1.00"))).await;
        assert_ne!(operators.body["payment_refund_id"], first.body["payment_refund_id"]);
        assert_eq!(refunds(&server).await, 2);
    });
}

#[test]
fn who_repeats_a_request_that_still_runs_is_told_so_and_later_what_became_of_it() {
    selling(async |server, double| {
        let bought = crate::payments::buy(&server, "noop").await;
        double.world().pay(&bought.session);
        double.tell(&format!("{}{}", server.base, mixvideo::gateway::webhook::WEBHOOK_PATH)).await;
        server.until(&bought.path(), |data| data["status"] == "completed").await;
        // The gateway has no time, so that the first call waits.
        double.fail("/v1/refunds", Fault::TooMany);
        let key = Uuid::now_v7().to_string();
        let ask = async || -> Answer { send(uqpay_with(&server, &key, &uqpay_body(&bought.id, "1.00"))).await };
        let repeated = async {
            while refunds(&server).await == 0 {
                tokio::task::yield_now().await;
            }
            ask().await
        };
        let (first, repeated) = tokio::join!(ask(), repeated);
        assert!(said(&repeated, 409).contains("still running"));
        assert_eq!(repeated.body["code"], "conflict");
        assert_eq!(first.body["refund_status"], "SUCCEEDED", "{}", first.body);
        assert_eq!(ask().await.body["payment_refund_id"], first.body["payment_refund_id"]);
        assert_eq!(double.world().all("refund").len(), 1);
    });
}

#[test]
fn an_account_refunds_what_it_was_paid_and_nothing_else() {
    served(async |server| {
        let theirs = received(&server, "acct_1").await;
        let others = received(&server, "acct_2").await;
        let key = key_for(&server, "agency", &["acct_1"]).await;
        let ask = async |payment: &str, account: &str| {
            let request = server.bare(Method::POST, "/v2/payment/refunds").header("x-auth-token", &key);
            let request = request.header("x-client-id", "agency").header("x-on-behalf-of", account);
            let request = request.header("x-idempotency-key", Uuid::now_v7().to_string());
            send(request.json(&uqpay_body(payment, "1.00"))).await
        };
        assert_eq!(ask(&theirs, "acct_1").await.status, 200);
        assert_eq!(ask(&others, "acct_2").await.status, 403);
        let foreign = ask(&others, "acct_1").await;
        assert_eq!(said(&foreign, 404), format!("There is no payment `{others}`"));
        assert_eq!(ask(&theirs, "").await.status, 404, "without the account it is the agency's own, and it has none");
        let stranger = server.bare(Method::POST, "/v2/payment/refunds").header("x-auth-token", &server.other);
        let stranger = stranger.header("x-client-id", "other").header("x-idempotency-key", Uuid::now_v7().to_string());
        assert_eq!(send(stranger.json(&uqpay_body(&theirs, "1.00"))).await.status, 404);
    });
}
