//! What waits for a person: seen by operators, seen to, and passed on once it is known whom it concerns.

use serde_json::{Value, json};

use super::{Bought, buy, event, quiet, session_of, tasks, tell};
use crate::server::{Server, served};

/// A payment that got less than it asked for.
async fn held(server: &Server) -> Bought {
    let bought = buy(server, "noop").await;
    let mut object = session_of(&bought, "complete", "paid");
    object["amount_total"] = json!(999);
    tell(server, &event(&bought.id, "checkout.session.completed", object)).await.data_free();
    server.until(&bought.path(), |data| data["attention"] == true).await;
    bought
}

fn acknowledged(id: &str) -> String {
    format!("/ops/payments/{id}/acknowledge")
}

#[test]
fn what_needs_a_person_is_listed_with_its_reason_until_it_is_acknowledged() {
    served(async |server| {
        assert_eq!(
            server.get_as(&server.operator, "/ops/attention").await.data(),
            &json!({ "flagged": [], "total": 0 })
        );
        let bought = held(&server).await;
        let list = server.get_as(&server.operator, "/ops/attention").await;
        let flagged = &list.data()["flagged"][0];
        assert_eq!((&list.data()["total"], &flagged["id"]), (&json!(1), &json!(bought.id)));
        assert!(flagged["why"].as_str().unwrap().contains("9.99 usd came instead of 10.00 usd"), "{flagged}");
        for _ in 0..2 {
            let seen = server.post_as(&server.operator, &acknowledged(&bought.id), json!({})).await;
            assert_eq!((&seen.data()["id"], &seen.data()["attention"]), (&json!(bought.id), &json!(false)));
        }
        assert_eq!(server.get_as(&server.operator, "/ops/attention").await.data()["total"], 0);
        server.until("/health", |data| data["status"] == "ok").await;
        assert_eq!(tasks(&server).await, 0, "seeing to it executes nothing");
    });
}

#[test]
fn nobody_but_operators_sees_or_acknowledges_what_needs_a_person() {
    served(async |server| {
        let bought = held(&server).await;
        assert_eq!(server.get("/ops/attention").await.status, 403);
        assert_eq!(server.post(&acknowledged(&bought.id), json!({})).await.status, 403);
        assert_eq!(server.post("/ops/inputs/in_x/replay", json!({})).await.status, 403);
        for path in [acknowledged("pay_x"), "/ops/inputs/in_x/replay".to_owned()] {
            assert_eq!(server.post_as(&server.operator, &path, json!({})).await.status, 404, "{path}");
        }
        assert_eq!(server.get_as(&server.operator, "/ops/attention").await.data()["total"], 1);
    });
}

#[test]
fn a_parked_event_is_replayed_once_its_payment_is_known() {
    served(async |server| {
        let bought = buy(&server, "noop").await;
        let intent = format!("pi_of_{}", bought.id);
        let dispute = json!({ "id": "dp_1", "object": "dispute", "payment_intent": intent, "amount": 1000,
            "currency": "usd", "status": "needs_response" });
        tell(&server, &event("evt_1", "charge.dispute.created", dispute)).await.data_free();
        let parked = server.until("/ops/actors?kind=input&status=parked", |data| data["total"] == 1).await;
        let id = parked["actors"][0]["id"].as_str().unwrap().strip_prefix("input/").unwrap().to_owned();
        let replay = async || server.post_as(&server.operator, &format!("/ops/inputs/{id}/replay"), json!({})).await;
        let early = replay().await;
        assert_eq!(early.status, 409);
        assert!(early.message().contains("names no payment of ours"), "{}", early.body);

        tell(&server, &event("evt_2", "checkout.session.completed", session_of(&bought, "complete", "paid"))).await;
        server.until(&bought.path(), |data| data["status"] == "completed").await;
        for _ in 0..2 {
            replay().await.data_free();
            server.until(&bought.path(), |data| data["disputedAmount"] == 1000).await;
        }
        quiet(&server).await;
        let shown = server.get_as(&server.operator, &format!("/ops/actors/input/{id}")).await;
        assert_eq!((&shown.data()["status"], &shown.data()["state"]["reason"]), (&json!("answered"), &Value::Null));
        assert_eq!(server.get(&bought.path()).await.data()["disputedAmount"], 1000);
    });
}
