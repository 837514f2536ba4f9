//! Payments that are older than accounts: the first start of a release that has accounts makes them tell theirs.

use reqwest::Method;
use sea_orm::{ConnectionTrait as _, DatabaseConnection};
use serde_json::{Value, json};

use super::on_sale;
use crate::crash::records::{count, rows};
use crate::crash::service::{Service, until};

/// Buys at the sandbox: the payment's id, and its session's.
async fn buy(service: &Service) -> (String, String) {
    let caller = &service.caller;
    let order = caller.request(Method::POST, "/payment/checkout/test-noop").json(&json!({ "userId": "user_123" }));
    let opened = caller.ask(order).await.unwrap();
    let text = |field: &str| opened.data()[field].as_str().unwrap().to_owned();
    (text("paymentId"), text("sessionId"))
}

async fn paid(service: &Service) -> String {
    let (id, session) = buy(service).await;
    let caller = &service.caller;
    caller.ask(caller.request(Method::POST, &format!("/sandbox/checkout/{session}/pay"))).await.unwrap();
    let path = format!("/ops/actors/payment/{id}");
    until("it is executed", async || caller.get(&path).await.data()["state"]["standing"] == "completed").await;
    id
}

/// Takes away what a release without accounts did not have.
async fn age(database: &DatabaseConnection) {
    let kept = "SELECT sql FROM sqlite_master WHERE type = 'trigger' AND name = 'ledger_delete'";
    let kept: String = rows(database, kept).await[0].try_get_by_index(0).unwrap();
    for sql in [
        "DROP TRIGGER ledger_delete",
        "DELETE FROM ledger",
        &kept,
        "DELETE FROM accounts",
        // Whoever never heard of an account knows no message of one.
        "DELETE FROM journal WHERE actor LIKE 'account/%' OR message_id LIKE 'account/%'",
        "DELETE FROM settings WHERE name = 'payments_booked'",
        "UPDATE payments SET schema = 1, \
         state = json_remove(state, '$.told', '$.credited', '$.told_by_refunds', '$.heard')",
    ] {
        database.execute_unprepared(sql).await.unwrap();
    }
}

/// Starts the server, waits until all is told, and ends it: who has how much, and how often anybody decided anything.
async fn told(service: &mut Service, database: &DatabaseConnection) -> (Value, Vec<i64>) {
    service.start().await;
    let done = "SELECT COUNT(*) FROM settings WHERE name = 'payments_booked'";
    until("all payments were asked", async || count(database, done).await == 1).await;
    until("every input is answered", async || {
        count(database, "SELECT COUNT(*) FROM inputs WHERE status <> 'answered'").await == 0
    })
    .await;
    until("the books say that nothing is under way", async || {
        let books: Value = serde_json::from_str(&service.told(&["doctor", "--ledger", "--json"]).await).unwrap();
        assert_eq!(books["ok"], true, "{books}");
        books["books"]["underWay"] == 0
    })
    .await;
    let account = service.caller.get("/ops/actors/account/platform").await;
    let balances = account.data()["state"]["balances"]["usd"].clone();
    let mut counts = Vec::new();
    for sql in ["SELECT COUNT(*) FROM ledger", "SELECT COUNT(*) FROM journal", "SELECT SUM(version) FROM payments"] {
        counts.push(count(database, sql).await);
    }
    assert_eq!(service.terminate().await, Some(0));
    (balances, counts)
}

#[tokio::test]
async fn payments_that_are_older_than_accounts_are_told_to_theirs_once() {
    let mut service = Service::sqlite().await;
    service.start().await;
    let caller = service.caller.clone();
    caller.ask(caller.request(Method::POST, "/templates").json(&on_sale())).await.unwrap().data();
    let (_, given_back) = (paid(&service).await, paid(&service).await);
    buy(&service).await;
    let back = json!({ "reason": "user_request", "amount": 400 });
    let back = caller.request(Method::POST, &format!("/payment/refund/{given_back}")).json(&back);
    assert_eq!(caller.ask(back).await.unwrap().data()["status"], "succeeded");
    let database = service.database().await;
    let unsent = "SELECT COUNT(*) FROM sandbox_events WHERE due_at < 9000000000000000";
    until("the gateway has told all", async || count(&database, unsent).await == 0).await;
    until("every input is answered", async || {
        count(&database, "SELECT COUNT(*) FROM inputs WHERE status <> 'answered'").await == 0
    })
    .await;
    assert_eq!(service.terminate().await, Some(0));

    age(&database).await;
    let (balances, counts) = told(&mut service, &database).await;
    assert_eq!((&balances["available"], &balances["clearing"]), (&json!(1_600), &json!(-1_600)), "{balances}");
    assert_eq!(counts[0], 3, "two payments came in, and a part of one went back");
    assert_eq!(
        told(&mut service, &database).await,
        (balances.clone(), counts.clone()),
        "a start that has nothing to do"
    );

    // As if the process had died before it could note that all were asked.
    for sql in ["DELETE FROM settings WHERE name = 'payments_booked'", "UPDATE payments SET schema = 1"] {
        database.execute_unprepared(sql).await.unwrap();
    }
    assert_eq!(told(&mut service, &database).await, (balances, counts), "a start that asks again");
}
