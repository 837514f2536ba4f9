//! The gateway knows what its webhooks never told: refunds, disputes and sessions are found by asking.

use mixvideo_entities::sandbox_event;
use reqwest::Method;
use sea_orm::ActiveValue::Set;
use sea_orm::EntityTrait as _;
use serde_json::{Value, json};

use super::{Bought, actor, buy, does, event, quiet, session_of, tasks, tell};
use crate::server::{Server, now, send, served};
use crate::stripe::double::{Delivery, Double, Fault};
use crate::stripe::selling;

const RECONCILE: &str = "/ops/payments/reconcile";

async fn reconcile(server: &Server) -> Value {
    let found = server.bare(Method::POST, RECONCILE).bearer_auth(&server.operator);
    let found = send(found).await;
    found.data().clone()
}

async fn amounts(server: &Server, bought: &Bought) -> Value {
    actor(server, "payment", &bought.id).await["state"]["amounts"].clone()
}

/// A payment that is paid, of which no webhook told: what the double calls it.
async fn paid(server: &Server, double: &Double) -> (Bought, String) {
    let bought = buy(server, "noop").await;
    let intent = double.world().pay(&bought.session);
    (bought, intent)
}

#[test]
fn sessions_refunds_and_disputes_of_which_no_webhook_told_end_as_if_they_had() {
    selling(async |server, double| {
        double.world().delivery = Delivery::Dropped;
        let (paid_once, _) = paid(&server, &double).await;
        let (refunded, intent) = paid(&server, &double).await;
        let (lost, lost_intent) = paid(&server, &double).await;
        let (open, open_intent) = paid(&server, &double).await;
        let (won, won_intent) = paid(&server, &double).await;
        let expired = buy(&server, "noop").await;
        let found = reconcile(&server).await;
        assert_eq!((&found["left"], &found["parked"], &found["unreadable"]), (&json!(0), &json!(0), &json!(0)));
        assert_eq!(found["told"], 10, "two kinds of events for each of five: {found}");
        for bought in [&paid_once, &refunded, &lost, &open, &won] {
            server.until(&bought.path(), |data| data["status"] == "completed").await;
        }

        // Now that they are completed and nobody looks at them any more, somebody is busy in the dashboard.
        {
            let mut world = double.world();
            let form = json!({ "payment_intent": intent, "amount": "700" });
            assert_eq!(world.post("/v1/refunds", None, &form, "").0, 200);
            let dispute = world.dispute(&lost_intent);
            world.decide(&dispute, "lost");
            world.dispute(&open_intent);
            let dispute = world.dispute(&won_intent);
            world.decide(&dispute, "won");
            world.expire(&expired.session);
        }
        let found = reconcile(&server).await;
        assert_eq!((&found["told"], &found["left"], &found["more"]), (&json!(8), &json!(0), &json!(false)), "{found}");
        server.until(&refunded.path(), |data| data["refundedAmount"] == 700).await;
        server.until(&lost.path(), |data| data["disputedAmount"] == 1000).await;
        server.until(&open.path(), |data| data["disputedAmount"] == 1000).await;
        server.until(&expired.path(), |data| data["status"] == "cancelled").await;
        quiet(&server).await;
        let standing = async |bought: &Bought| {
            actor(&server, "payment", &bought.id).await["state"]["disputes"]
                .as_object()
                .unwrap()
                .values()
                .map(|dispute| dispute["standing"].clone())
                .collect::<Vec<_>>()
        };
        assert_eq!(standing(&lost).await, [json!("lost")]);
        assert_eq!(standing(&open).await, [json!("open")]);
        assert_eq!(standing(&won).await, [json!("won")]);
        assert_eq!(amounts(&server, &won).await["disputed"], 0);
        assert_eq!(tasks(&server).await, 5, "one execution for each that was paid");

        // Twice changes nothing, and neither does a webhook that comes after all.
        let all = [&paid_once, &refunded, &lost, &open, &won, &expired];
        let versions = async || {
            let mut versions = Vec::new();
            for bought in all {
                versions.push(actor(&server, "payment", &bought.id).await["version"].clone());
            }
            versions
        };
        let before = versions().await;
        let again = reconcile(&server).await;
        assert_eq!((&again["told"], &again["asked"]), (&json!(0), &json!(0)), "{again}");
        {
            let mut world = double.world();
            world.untold = world.events.clone();
            world.delivery = Delivery::Twice;
        }
        let told = double.tell(&format!("{}/payment/webhook", server.base)).await;
        assert!(told.iter().all(|status| *status == 200), "{told:?}");
        quiet(&server).await;
        assert_eq!(versions().await, before);
    });
}

#[test]
fn an_event_that_cannot_be_taken_in_now_is_taken_in_by_the_next_pass() {
    selling(async |server, double| {
        double.world().delivery = Delivery::Dropped;
        let (bought, intent) = paid(&server, &double).await;
        // What the payment does not know yet must be asked for, and that fails.
        double.world().dispute(&intent);
        double.world().events.remove(2);
        double.world().events.remove(0);
        double.fail_reads("/v1/payment_intents", Fault::Html502 { done: false });
        let found = reconcile(&server).await;
        assert_eq!((&found["left"], &found["told"]), (&json!(1), &json!(0)), "{found}");
        let born = server.get(&bought.path()).await.data()["createdAt"].clone();
        assert_eq!(found["reconciledUntil"], born, "nothing is known for sure since the first payment");
        let found = reconcile(&server).await;
        assert_eq!((&found["left"], &found["told"]), (&json!(0), &json!(1)), "{found}");
        assert_ne!(found["reconciledUntil"], born, "only now everything is known");
        server.until(&bought.path(), |data| data["disputedAmount"] == 1000).await;
    });
}

#[test]
fn more_events_than_one_pass_reads_are_read_by_the_next_ones() {
    served(async |server| {
        let bought = buy(&server, "noop").await;
        does(&server, &bought, "pay").await;
        server.until(&bought.path(), |data| data["status"] == "completed").await;
        // Both of its events that are acted upon have come.
        server
            .until("/ops/actors?kind=input", |data| data["actors"].as_array().is_some_and(|all| all.len() == 2))
            .await;
        // Older than all that follows, and its webhook is lost.
        let intent = actor(&server, "payment", &bought.id).await["state"]["intent"].clone();
        let dispute = json!({ "id": "dp_1", "object": "dispute", "payment_intent": intent, "amount": 1000,
            "currency": "usd", "status": "needs_response" });
        let row = |number: usize, body: Value| sandbox_event::ActiveModel {
            id: Set(format!("evt_{number:032}")),
            body: Set(body.to_string()),
            due_at: Set(i64::MAX),
            tries: Set(0),
            created_at: Set(now().0),
        };
        let mut rows = vec![row(1, event("evt_1", "charge.dispute.created", dispute))];
        rows.extend(
            (2..=2_101).map(|number| {
                row(number, event(&format!("evt_{number}"), "customer.created", json!({ "id": "cus_1" })))
            }),
        );
        for rows in rows.chunks(500) {
            let insert = sandbox_event::Entity::insert_many(rows.to_vec());
            insert.exec_without_returning(&server.database).await.unwrap();
        }
        let first = reconcile(&server).await;
        assert_eq!((&first["more"], &first["told"], &first["events"]), (&json!(true), &json!(0), &json!(2_000)));
        let second = reconcile(&server).await;
        assert_eq!((&second["more"], &second["told"]), (&json!(false), &json!(1)), "{second}");
        server.until(&bought.path(), |data| data["disputedAmount"] == 1000).await;
    });
}

#[test]
fn a_payment_that_waits_too_long_is_made_to_ask() {
    selling(async |server, double| {
        double.world().delivery = Delivery::Dropped;
        let bought = buy(&server, "noop").await;
        double.world().pay(&bought.session);
        // As if the gateway listed nothing: only the session itself tells.
        double.world().events.clear();
        assert_eq!(reconcile(&server).await["asked"], 0, "it waits for a moment only");
        server.clock.advance(61_000);
        assert_eq!(reconcile(&server).await["asked"], 1);
        server.until(&bought.path(), |data| data["status"] == "completed").await;
        assert_eq!(reconcile(&server).await["asked"], 0);
    });
}

#[test]
fn an_operator_has_one_payment_ask_whatever_became_of_it() {
    selling(async |server, double| {
        double.world().delivery = Delivery::Dropped;
        let (bought, intent) = paid(&server, &double).await;
        let sync = format!("/ops/payments/{}/sync", bought.id);
        let asked = server.post_as(&server.operator, &sync, json!({})).await;
        assert_eq!(asked.data()["status"], "completed", "its session was asked for");
        let form = json!({ "payment_intent": intent, "amount": "300" });
        assert_eq!(double.world().post("/v1/refunds", None, &form, "").0, 200);
        let asked = server.post_as(&server.operator, &sync, json!({})).await;
        assert_eq!(asked.data()["refundedAmount"], 300, "its refunds were asked for");
        assert_eq!(server.post(&sync, json!({})).await.status, 403);
        assert_eq!(server.post(RECONCILE, json!({})).await.status, 403);
        assert_eq!(server.post_as(&server.operator, "/ops/payments/pay_x/sync", json!({})).await.status, 404);
    });
}

#[test]
fn what_concerns_nobody_is_parked_once_and_a_silent_gateway_is_said() {
    selling(async |server, double| {
        assert_eq!(reconcile(&server).await["events"], 0, "before the first payment nothing was missed");
        double.world().delivery = Delivery::Dropped;
        let (bought, _) = paid(&server, &double).await;
        let stranger = session_of(&bought, "complete", "paid");
        {
            let mut world = double.world();
            let mut event = world.events.last().unwrap().clone();
            event["id"] = json!("evt_stranger");
            event["data"]["object"]["metadata"] = json!({});
            event["data"]["object"]["client_reference_id"] = Value::Null;
            world.events.push(event);
        }
        double.fail_reads("/v1/events", Fault::Html502 { done: false });
        let silent = server.post_as(&server.operator, RECONCILE, json!({})).await;
        assert_eq!(silent.status, 503, "{}", silent.body);
        let found = reconcile(&server).await;
        assert_eq!((&found["told"], &found["parked"]), (&json!(3), &json!(1)), "{found}");
        let again = reconcile(&server).await;
        assert_eq!((&again["told"], &again["parked"]), (&json!(0), &json!(0)), "{again}");
        let parked = server.until("/ops/actors?kind=input&status=parked", |data| data["total"] == 1).await;
        assert_eq!(parked["actors"].as_array().unwrap().len(), 1);
        // The same event by its webhook is the same input.
        tell(&server, &event("evt_other", "checkout.session.completed", stranger)).await.data_free();
        server.until(&bought.path(), |data| data["status"] == "completed").await;
        quiet(&server).await;
        assert_eq!(tasks(&server).await, 1);
    });
}
