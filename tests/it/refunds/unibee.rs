//! UniBee's face.

use serde_json::{Value, json};

use super::{fields, invoice_of, received, refunds, said, unibee, unibee_body};
use crate::payments::{actor, buy, paid, quiet};
use crate::server::{Answer, now, served};

fn refund_of(answer: &Answer) -> &Value {
    assert_eq!((answer.status.as_u16(), &answer.body["code"]), (200, &json!(0)), "{}", answer.body);
    &answer.body["data"]["refund"]
}

#[test]
fn the_documented_mark_is_a_refund_without_the_gateway() {
    served(async |server| {
        let bought = paid(&server, "noop").await;
        let before = now().0 / 1_000;
        let answer = unibee(&server, unibee_body(&bought.id, 123, "R-1")).await;
        assert_eq!(fields(&answer.body), ["code", "data", "message", "redirect", "requestId"].into());
        assert_eq!(answer.body["redirect"], "");
        assert_eq!(answer.body["requestId"], answer.header("x-trace-id"));
        let refund = refund_of(&answer);
        let documented = [
            "countryCode",
            "createTime",
            "currency",
            "externalRefundId",
            "gatewayCurrencyExchange",
            "gatewayId",
            "gatewayRefundId",
            "invoiceId",
            "merchantId",
            "metadata",
            "paymentId",
            "refundAmount",
            "refundComment",
            "refundCommentExplain",
            "refundId",
            "refundTime",
            "returnUrl",
            "status",
            "subscriptionId",
            "type",
            "userId",
        ];
        assert_eq!(fields(refund), documented.into());
        for (field, wanted) in [
            ("countryCode", json!("")),
            ("currency", json!("USD")),
            ("externalRefundId", json!("R-1")),
            ("gatewayCurrencyExchange", Value::Null),
            ("gatewayRefundId", json!("")),
            ("invoiceId", json!(invoice_of(&bought.id))),
            ("metadata", json!({})),
            ("paymentId", json!(bought.id)),
            ("refundAmount", json!(123)),
            ("refundComment", json!("Paid in cash")),
            ("refundCommentExplain", json!("")),
            ("returnUrl", json!("")),
            ("status", json!(20)),
            ("subscriptionId", json!("")),
            ("type", json!(2)),
        ] {
            assert_eq!(refund[field], wanted, "{field}");
        }
        for field in ["createTime", "refundTime"] {
            let at = refund[field].as_i64().unwrap();
            assert!((before..=now().0 / 1_000).contains(&at), "{field} is in seconds: {at}");
        }
        for field in ["gatewayId", "merchantId", "userId"] {
            assert!(refund[field].as_i64().unwrap() > 0, "{field}");
        }
        quiet(&server).await;
        let known = actor(&server, "refund", refund["refundId"].as_str().unwrap()).await;
        assert_eq!(known["state"]["gateway_id"], Value::Null, "no gateway was called");
        assert_eq!(server.get(&bought.path()).await.data()["refundedAmount"], 123);
    });
}

#[test]
fn names_stand_for_the_same_numbers_in_every_refund() {
    served(async |server| {
        let (one, two) = (paid(&server, "noop").await, paid(&server, "noop").await);
        let of = async |payment: &str| refund_of(&unibee(&server, unibee_body(payment, 1, payment)).await).clone();
        let (one, two, manual) = (of(&one.id).await, of(&two.id).await, of(&received(&server, "acct_1").await).await);
        for field in ["gatewayId", "merchantId", "userId"] {
            assert_eq!(one[field], two[field], "{field}");
        }
        assert_ne!(one["gatewayId"], manual["gatewayId"]);
        assert_ne!(one["merchantId"], manual["merchantId"]);
        assert_eq!(one["userId"], manual["userId"]);
    });
}

#[test]
fn every_field_of_a_mark_is_checked() {
    served(async |server| {
        let bought = paid(&server, "noop").await;
        let told = async |body: Value| {
            let answer = unibee(&server, body).await;
            assert_eq!(fields(&answer.body), ["code", "data", "message", "redirect", "requestId"].into());
            assert_eq!((&answer.body["code"], &answer.body["data"]), (&json!(400), &Value::Null));
            said(&answer, 400).to_owned()
        };
        assert_eq!(
            told(json!({})).await,
            "Invalid request: invoiceId is required; reason is required; refundAmount is required"
        );
        let with = |field: &str, value: Value| {
            let mut body = unibee_body(&bought.id, 1, "R-1");
            body[field] = value;
            body
        };
        for amount in [json!(0), json!(-1), json!(1.5), json!("1")] {
            let message = told(with("refundAmount", amount.clone())).await;
            assert!(message.starts_with("Invalid request: refundAmount must be a whole number"), "{amount}: {message}");
        }
        for (field, value) in [
            ("invoiceId", json!(7)),
            ("invoiceId", json!("x".repeat(101))),
            ("reason", json!("")),
            ("reason", json!("x".repeat(501))),
            ("refundNo", json!(7)),
            ("refundNo", json!("x".repeat(101))),
        ] {
            let message = told(with(field, value)).await;
            assert!(message.starts_with(&format!("Invalid request: {field} must")), "{message}");
        }
        let much = told(with("refundAmount", json!(1_001))).await;
        assert!(much.contains("refundAmount must not be more than the 10.00 usd left"), "{much}");
        let unpaid = buy(&server, "noop").await;
        let unpaid = told(unibee_body(&unpaid.id, 1, "R-1")).await;
        assert!(unpaid.starts_with("Nothing was paid"), "{unpaid}");
        for invoice in ["inv_018f3c5e000070008000000000000001", "inv_x", &bought.id] {
            let answer = unibee(&server, with("invoiceId", json!(invoice))).await;
            assert_eq!(said(&answer, 404), format!("There is no invoice `{invoice}`"));
            assert_eq!(answer.body["code"], 404);
        }
        let body = unibee_body(&bought.id, 1, "R-1");
        let stranger = server.post_as(&server.other, "/merchant/invoice/mark_refund", body.clone()).await;
        assert_eq!(stranger.status, 404);
        let nobody = server.post_as("mv_unknown", "/merchant/invoice/mark_refund", body).await;
        assert_eq!((nobody.status.as_u16(), &nobody.body["code"]), (401, &json!(401)));
        assert_eq!(refunds(&server).await, 0);
    });
}

#[test]
fn a_number_and_a_body_are_one_refund_and_another_body_is_refused() {
    served(async |server| {
        let bought = paid(&server, "noop").await;
        let post = async |body: Value| unibee(&server, body).await;
        let body = unibee_body(&bought.id, 100, "R-1");
        let (first, raced) = tokio::join!(post(body.clone()), post(body.clone()));
        assert_eq!(refund_of(&first)["refundId"], refund_of(&raced)["refundId"]);
        // A second key of the seller, and an operator, know the same numbers.
        let again = server.post_as(&server.operator, "/merchant/invoice/mark_refund", body).await;
        assert_eq!(refund_of(&again)["refundId"], refund_of(&first)["refundId"]);
        let other = post(unibee_body(&bought.id, 200, "R-1")).await;
        assert!(said(&other, 400).contains("refundNo was used for another refund"));
        let elsewhere = paid(&server, "noop").await;
        assert_eq!(post(unibee_body(&elsewhere.id, 100, "R-1")).await.status, 400);
        assert_eq!(refunds(&server).await, 1);
        // Without a number each call is a refund of its own.
        let mut bare = unibee_body(&bought.id, 100, "");
        bare.as_object_mut().unwrap().remove("refundNo");
        let (one, two) = (post(bare.clone()).await, post(bare).await);
        assert_ne!(refund_of(&one)["refundId"], refund_of(&two)["refundId"]);
        assert_eq!(refund_of(&one)["externalRefundId"], "");
        quiet(&server).await;
        assert_eq!(actor(&server, "payment", &bought.id).await["state"]["amounts"]["refunded"], 300);
    });
}

#[test]
fn a_number_is_one_sellers_own() {
    served(async |server| {
        let ours = received(&server, "platform").await;
        let mut receipt = json!({ "receiver": "platform", "currency": "usd", "amount": 1000, "reference": "1" });
        receipt["clientId"] = json!("other");
        let theirs = server.post_as(&server.operator, "/ops/payments", receipt).await.data()["id"].clone();
        assert_eq!(unibee(&server, unibee_body(&ours, 1, "R-1")).await.status, 200);
        let body = unibee_body(theirs.as_str().unwrap(), 2, "R-1");
        assert_eq!(server.post_as(&server.other, "/merchant/invoice/mark_refund", body).await.status, 200);
    });
}
