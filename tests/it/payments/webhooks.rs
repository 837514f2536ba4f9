//! What the gateway says by itself: doubled, late, out of order, forged, or about nobody.

use mixvideo::domain::Timestamp;
use reqwest::Method;
use serde_json::{Value, json};

use super::{actor, buy, does, event, paid, quiet, session_of, tasks, tell};
use crate::server::{now, send, served};

#[test]
fn a_webhook_that_comes_twice_or_under_another_id_starts_one_execution() {
    served(async |server| {
        let bought = buy(&server, "noop").await;
        for id in ["evt_1", "evt_1", "evt_2"] {
            let told =
                tell(&server, &event(id, "checkout.session.completed", session_of(&bought, "complete", "paid"))).await;
            assert_eq!((told.status.as_u16(), told.message()), (200, "Webhook processed successfully"));
            assert!(told.body.get("data").is_none());
        }
        server.until(&bought.path(), |data| data["status"] == "completed").await;
        quiet(&server).await;
        assert_eq!(tasks(&server).await, 1);
    });
}

#[test]
fn a_session_that_is_complete_and_not_paid_starts_nothing() {
    served(async |server| {
        let bought = buy(&server, "noop").await;
        let object = session_of(&bought, "complete", "unpaid");
        tell(&server, &event("evt_1", "checkout.session.completed", object.clone())).await.data_free();
        quiet(&server).await;
        assert_eq!(server.get(&bought.path()).await.data()["status"], "pending");
        tell(&server, &event("evt_2", "checkout.session.async_payment_failed", object)).await.data_free();
        let shown = server.until(&bought.path(), |data| data["status"] == "failed").await;
        assert!(shown["failure"].is_string());
        assert_eq!(tasks(&server).await, 0);
    });
}

#[test]
fn other_money_than_was_asked_for_is_held_for_a_person() {
    served(async |server| {
        for (amount, currency) in [(999, "usd"), (1000, "eur")] {
            let bought = buy(&server, "noop").await;
            let mut object = session_of(&bought, "complete", "paid");
            object["amount_total"] = json!(amount);
            object["currency"] = json!(currency);
            tell(&server, &event(&bought.id, "checkout.session.completed", object)).await.data_free();
            let shown = server.until(&bought.path(), |data| data["attention"] == true).await;
            assert_eq!((&shown["status"], &shown["executionId"]), (&json!("pending"), &Value::Null));
        }
        assert_eq!(tasks(&server).await, 0);
        let health = send(server.bare(Method::GET, "/payment/health")).await;
        assert_eq!(health.data()["attention"], 2);
        let health = server.until("/health", |data| data["status"] == "attention").await;
        assert!(health["summary"].as_str().unwrap().contains("2 payments or refunds"), "{health}");
    });
}

#[test]
fn money_that_comes_after_the_end_is_kept_and_flagged_and_nothing_is_executed() {
    served(async |server| {
        let bought = buy(&server, "noop").await;
        does(&server, &bought, "expire").await;
        server.until(&bought.path(), |data| data["status"] == "cancelled").await;
        tell(&server, &event("evt_late", "checkout.session.completed", session_of(&bought, "complete", "paid"))).await;
        let shown = server.until(&bought.path(), |data| data["attention"] == true).await;
        assert_eq!((&shown["status"], &shown["executionId"]), (&json!("cancelled"), &Value::Null));
        assert_eq!(actor(&server, "payment", &bought.id).await["state"]["amounts"]["captured"], 1000);
        // What is late does not step back either.
        tell(&server, &event("evt_old", "checkout.session.expired", session_of(&bought, "expired", "unpaid"))).await;
        quiet(&server).await;
        assert_eq!(tasks(&server).await, 0);
    });
}

#[test]
fn an_expired_event_after_the_payment_changes_nothing() {
    served(async |server| {
        let bought = paid(&server, "noop").await;
        tell(&server, &event("evt_old", "checkout.session.expired", session_of(&bought, "expired", "unpaid"))).await;
        quiet(&server).await;
        assert_eq!(server.get(&bought.path()).await.data()["status"], "completed");
    });
}

#[test]
fn a_card_that_is_declined_is_recorded_and_the_payer_may_try_again() {
    served(async |server| {
        let bought = buy(&server, "noop").await;
        does(&server, &bought, "decline").await;
        let shown = server.until(&bought.path(), |data| data["failure"].is_string()).await;
        assert_eq!(shown["status"], "pending");
        does(&server, &bought, "pay").await;
        server.until(&bought.path(), |data| data["status"] == "completed").await;
    });
}

#[test]
fn a_dispute_holds_money_back_refuses_refunds_and_gives_it_free_when_won() {
    served(async |server| {
        let bought = paid(&server, "noop").await;
        let intent = actor(&server, "payment", &bought.id).await["state"]["intent"].as_str().unwrap().to_owned();
        let dispute = |status: &str| json!({ "id": "dp_1", "object": "dispute", "payment_intent": intent, "amount": 1000, "currency": "usd", "status": status });
        tell(&server, &event("evt_0", "charge.dispute.created", dispute("warning_needs_response"))).await.data_free();
        tell(&server, &event("evt_1", "charge.dispute.created", dispute("needs_response"))).await.data_free();
        server.until(&bought.path(), |data| data["disputedAmount"] == 1000).await;
        let refused = server.post(&format!("/payment/refund/{}", bought.id), json!({ "reason": "duplicate" })).await;
        assert_eq!(refused.status, 400);
        tell(&server, &event("evt_2", "charge.dispute.closed", dispute("won"))).await.data_free();
        server.until(&bought.path(), |data| data["disputedAmount"] == 0).await;
        // The news of its beginning, once more and late.
        tell(&server, &event("evt_3", "charge.dispute.created", dispute("needs_response"))).await.data_free();
        quiet(&server).await;
        assert_eq!(server.get(&bought.path()).await.data()["disputedAmount"], 0);
    });
}

#[test]
fn what_is_about_nobody_is_parked_and_shown() {
    served(async |server| {
        let object = json!({
            "id": "cs_x", "status": "complete", "payment_status": "paid", "amount_total": 5, "currency": "usd",
            "metadata": { "payment_id": "pay_019a0000000070008000000000000abc" },
        });
        tell(&server, &event("evt_x", "checkout.session.completed", object)).await.data_free();
        let parked = server.until("/ops/actors?kind=input&status=parked", |data| data["total"] != 0).await;
        assert_eq!(parked["actors"].as_array().unwrap().len(), 1);
        let id = parked["actors"][0]["id"].as_str().unwrap().to_owned();
        let shown = server.get_as(&server.operator, &format!("/ops/actors/{id}")).await;
        assert!(shown.data()["state"]["reason"].as_str().unwrap().contains("names no payment of ours"));
        // What is not acted upon is not kept.
        tell(&server, &event("evt_y", "customer.created", json!({ "id": "cus_1" }))).await.data_free();
    });
}

#[test]
fn what_is_not_signed_right_is_refused_and_changes_nothing() {
    served(async |server| {
        let bought = buy(&server, "noop").await;
        let body = event("evt_1", "checkout.session.completed", session_of(&bought, "complete", "paid")).to_string();
        let post = async |signature: Option<&str>, body: &str| {
            let mut request = server.bare(Method::POST, "/payment/webhook").body(body.to_owned());
            if let Some(signature) = signature {
                request = request.header("stripe-signature", signature);
            }
            send(request).await.status.as_u16()
        };
        let sign = |body: &str, at: Timestamp| server.webhooks.sign(body.as_bytes(), at).unwrap();
        let good = sign(&body, now());
        assert_eq!(post(None, &body).await, 400);
        assert_eq!(post(Some("nonsense"), &body).await, 400);
        assert_eq!(post(Some("t=1,v1="), &body).await, 400);
        assert_eq!(post(Some(&good.replace("v1=", "v1=00")), &body).await, 403);
        assert_eq!(post(Some(&good), &body.replace("1000", "1001")).await, 403);
        assert_eq!(post(Some(&sign(&body, Timestamp(now().0 - 400_000))), &body).await, 403);
        assert_eq!(post(Some(&sign("{}", now())), "{}").await, 400);
        quiet(&server).await;
        assert_eq!(server.get(&bought.path()).await.data()["status"], "pending");
        assert_eq!(post(Some(&good), &body).await, 200);
    });
}
