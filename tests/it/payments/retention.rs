//! What payments and refunds came to is kept; how they came there is forgotten after its time.

use reqwest::Method;
use sea_orm::{ConnectionTrait as _, Statement};
use serde_json::json;

use super::on_sale;
use crate::crash::records::count;
use crate::crash::service::{Service, until};

/// A day more than histories are kept, in milliseconds.
const OLD_MS: i64 = 31 * 24 * 60 * 60 * 1_000;

#[tokio::test]
async fn histories_of_payments_and_refunds_are_forgotten_and_their_ends_are_not() {
    let mut service = Service::sqlite().await;
    service.start_with_templates().await;
    let caller = service.caller.clone();
    caller.ask(caller.request(Method::POST, "/templates").json(&on_sale())).await.unwrap().data();
    let mut bought = Vec::new();
    for _ in 0..3 {
        let order = caller.request(Method::POST, "/payment/checkout/test-noop").json(&json!({ "userId": "user_123" }));
        let opened = caller.ask(order).await.unwrap();
        let text = |field: &str| opened.data()[field].as_str().unwrap().to_owned();
        bought.push((text("paymentId"), text("sessionId")));
    }
    let [(ended, paid_in), (flagged, flagged_in), (waiting, _)] = bought.try_into().unwrap_or_else(|_| panic!());
    for session in [&paid_in, &flagged_in] {
        caller.ask(caller.request(Method::POST, &format!("/sandbox/checkout/{session}/pay"))).await.unwrap();
    }
    for id in [&ended, &flagged] {
        let path = format!("/ops/actors/payment/{id}");
        until("it is executed", async || caller.get(&path).await.data()["state"]["standing"] == "completed").await;
    }
    let body = json!({ "reason": "user_request", "amount": 400 });
    let refund = caller.request(Method::POST, &format!("/payment/refund/{ended}")).json(&body);
    let refund = caller.ask(refund).await.unwrap().data()["refundId"].as_str().unwrap().to_owned();
    until("it is refunded", async || caller.get(&format!("/payment/{ended}")).await.data()["refundedAmount"] == 400)
        .await;
    let database = service.database().await;
    let nothing = async |sql: String| until(&sql, async || count(&database, &sql).await == 0).await;
    nothing("SELECT COUNT(*) FROM sandbox_events WHERE due_at < 9000000000000000".to_owned()).await;
    nothing("SELECT COUNT(*) FROM inputs WHERE status = 'delivered'".to_owned()).await;
    nothing(format!("SELECT COUNT(*) FROM outbox WHERE id NOT LIKE 'payment/{waiting}:%'")).await;
    assert_eq!(service.terminate().await, Some(0));

    // As if all this was a month ago; one is flagged.
    for sql in [
        format!("UPDATE payments SET updated_at = updated_at - {OLD_MS}"),
        format!("UPDATE refunds SET updated_at = updated_at - {OLD_MS}"),
        format!("UPDATE payments SET attention = 'look' WHERE id = '{flagged}'"),
    ] {
        database.execute_raw(Statement::from_string(database.get_database_backend(), sql)).await.unwrap();
    }
    let rows =
        async |actor: &str| count(&database, &format!("SELECT COUNT(*) FROM journal WHERE actor = '{actor}'")).await;
    assert!(rows(&format!("payment/{ended}")).await > 0 && rows(&format!("refund/{refund}")).await > 0);
    service.start().await;
    until("the payment's history is gone", async || rows(&format!("payment/{ended}")).await == 0).await;
    until("the refund's history is gone", async || rows(&format!("refund/{refund}")).await == 0).await;
    assert!(rows(&format!("payment/{flagged}")).await > 0, "a person has yet to look at it");
    assert!(rows(&format!("payment/{waiting}")).await > 0, "it has not ended");
    let shown = caller.get(&format!("/payment/{ended}")).await;
    assert_eq!((&shown.data()["status"], &shown.data()["refundedAmount"]), (&json!("completed"), &json!(400)));
    // It still knows what it came to: no more is given back than is left.
    let much = json!({ "reason": "user_request", "amount": 601 });
    let much = caller.ask(caller.request(Method::POST, &format!("/payment/refund/{ended}")).json(&much)).await.unwrap();
    assert_eq!(much.status, 400, "{}", much.body);
    let rest = json!({ "reason": "user_request", "amount": 600 });
    caller.ask(caller.request(Method::POST, &format!("/payment/refund/{ended}")).json(&rest)).await.unwrap().data();
    until("the rest is refunded", async || {
        caller.get(&format!("/payment/{ended}")).await.data()["status"] == "refunded"
    })
    .await;
}
