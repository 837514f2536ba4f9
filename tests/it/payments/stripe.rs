//! Payments through the double of Stripe: its webhooks come twice, in any order or never, and answers get lost. There is
//! one execution for what was paid, and one refund for what was asked for.

use mixvideo::gateway::webhook::WEBHOOK_PATH;
use reqwest::Method;
use serde_json::{Value, json};

use super::{Bought, actor, buy, quiet, tasks};
use crate::server::{Server, send};
use crate::stripe::double::{Delivery, Double, Fault};
use crate::stripe::selling;

/// A minute and a little: the first look at a session that nobody told about has come.
const LOOKED_MS: i64 = 61_000;

async fn tell(server: &Server, double: &Double) -> Vec<u16> {
    double.tell(&format!("{}{WEBHOOK_PATH}", server.base)).await
}

async fn until_completed(server: &Server, bought: &Bought) -> Value {
    server.until(&bought.path(), |data| data["status"] == "completed").await
}

pub async fn paid(server: &Server, double: &Double) -> Bought {
    let bought = buy(server, "noop").await;
    double.world().pay(&bought.session);
    tell(server, double).await;
    until_completed(server, &bought).await;
    bought
}

async fn refund(server: &Server, bought: &Bought, amount: i64) -> Value {
    let body = json!({ "reason": "user_request", "amount": amount });
    server.post(&format!("/payment/refund/{}", bought.id), body).await.data().clone()
}

async fn amounts(server: &Server, bought: &Bought) -> Value {
    actor(server, "payment", &bought.id).await["state"]["amounts"].clone()
}

#[test]
fn webhooks_that_come_once_twice_or_reversed_start_one_execution_each() {
    selling(async |server, double| {
        for (number, delivery) in [Delivery::Once, Delivery::Twice, Delivery::Reversed].into_iter().enumerate() {
            double.world().delivery = delivery;
            let bought = buy(&server, "noop").await;
            double.world().pay(&bought.session);
            let told = tell(&server, &double).await;
            assert!(told.len() >= 3 && told.iter().all(|status| *status == 200), "{delivery:?}: {told:?}");
            let shown = until_completed(&server, &bought).await;
            server
                .until(&format!("/task/{}", shown["taskId"].as_str().unwrap()), |task| task["status"] == "completed")
                .await;
            quiet(&server).await;
            assert_eq!(tasks(&server).await, number + 1, "{delivery:?}");
            assert_eq!(amounts(&server, &bought).await["captured"], 1_000, "{delivery:?}");
        }
        assert_eq!(double.world().all("checkout.session").len(), 3);
    });
}

#[test]
fn when_no_webhook_comes_the_payer_who_comes_back_makes_us_ask() {
    selling(async |server, double| {
        double.world().delivery = Delivery::Dropped;
        let bought = buy(&server, "noop").await;
        double.world().pay(&bought.session);
        assert!(tell(&server, &double).await.is_empty());
        server.clock.advance(mixvideo::domain::payment::LOOK_EVERY_MS);
        let back = send(server.bare(Method::GET, &bought.back("success"))).await;
        assert_eq!(back.data()["payment"]["status"], "completed");
        quiet(&server).await;
        assert_eq!(tasks(&server).await, 1);
    });
}

#[test]
fn when_no_webhook_comes_and_nobody_comes_back_the_payment_asks_by_itself() {
    selling(async |server, double| {
        double.world().delivery = Delivery::Dropped;
        let bought = buy(&server, "noop").await;
        double.world().pay(&bought.session);
        quiet(&server).await;
        assert_eq!(server.get(&bought.path()).await.data()["status"], "pending");
        server.clock.advance(LOOKED_MS);
        // The mailbox waits by the machine's clock: any message to the payment makes it see that the timer is due.
        let ring = format!("/ops/payments/{}/acknowledge", bought.id);
        server.post_as(&server.operator, &ring, json!({})).await.data();
        until_completed(&server, &bought).await;
        quiet(&server).await;
        assert_eq!(tasks(&server).await, 1);
    });
}

#[test]
fn a_checkout_whose_answer_is_lost_is_one_session_that_can_be_paid() {
    selling(async |server, double| {
        double.fail("/v1/checkout/sessions", Fault::Reset { done: true });
        let bought = buy(&server, "noop").await;
        assert_eq!(double.world().all("checkout.session").len(), 1);
        double.world().pay(&bought.session);
        tell(&server, &double).await;
        until_completed(&server, &bought).await;
    });
}

/// One refund whose first answer gets lost.
fn lost(fault: Fault) {
    selling(async |server, double| {
        let bought = paid(&server, &double).await;
        double.fail("/v1/refunds", fault);
        let refunded = refund(&server, &bought, 400).await;
        assert_eq!((&refunded["status"], &refunded["amount"]), (&json!("succeeded"), &json!(400)), "{fault:?}");
        double.world().delivery = Delivery::Twice;
        let told = tell(&server, &double).await;
        assert!(told.len() == 4 && told.iter().all(|status| *status == 200), "{fault:?}: {told:?}");
        quiet(&server).await;
        let refunds = double.world().all("refund");
        assert_eq!((refunds.len(), &refunds[0]["amount"]), (1, &json!(400)), "{fault:?}");
        assert_eq!(refunds[0]["metadata"]["refund_id"], refunded["refundId"], "{fault:?}");
        let amounts = amounts(&server, &bought).await;
        assert_eq!((&amounts["refunded"], &amounts["reserved"]), (&json!(400), &json!(0)), "{fault:?}");
    });
}

#[test]
fn a_refund_whose_answer_is_lost_is_made_once() {
    let faults = [
        Fault::Reset { done: true },
        Fault::Reset { done: false },
        Fault::Html502 { done: true },
        Fault::Garbage,
        Fault::Stored500,
        Fault::KeyInUse,
    ];
    // Each rests for seconds before it asks again: all at once.
    std::thread::scope(|scope| faults.map(|fault| drop(scope.spawn(move || lost(fault)))));
}

#[test]
fn a_refund_that_somebody_makes_at_stripe_counts_and_leaves_less() {
    selling(async |server, double| {
        let bought = paid(&server, &double).await;
        let intent = double.world().all("payment_intent")[0]["id"].clone();
        let form = json!({ "payment_intent": intent, "amount": "700" });
        assert_eq!(double.world().post("/v1/refunds", None, &form, "").0, 200);
        tell(&server, &double).await;
        server.until(&bought.path(), |data| data["refundedAmount"] == 700).await;
        let much = json!({ "reason": "user_request", "amount": 301 });
        let much = server.post(&format!("/payment/refund/{}", bought.id), much).await;
        assert_eq!(much.faults().len(), 1);
        assert_eq!(refund(&server, &bought, 300).await["status"], "succeeded");
        server.until(&bought.path(), |data| data["status"] == "refunded").await;
        assert_eq!(double.world().all("refund").len(), 2);
    });
}
