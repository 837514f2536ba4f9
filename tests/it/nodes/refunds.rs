//! Refunds by the thousand at two nodes at once: exactly what is there is promised, and not a cent more.

use std::sync::Arc;
use std::time::{Duration, Instant};

use mixvideo::runtime::clock::{Clock as _, SystemClock};
use mixvideo::store::ledger;
use reqwest::Method;
use sea_orm::DatabaseConnection;
use serde_json::{Value, json};
use tokio::sync::Semaphore;
use tokio::task::JoinSet;

use super::{Cluster, number};
use crate::crash::service::{Caller, LIMIT, until};

/// Connections at once, over both nodes.
const AT_ONCE: usize = 64;
/// What is paid with one payment.
const PAID: i64 = 1_000;

/// Asks until the service answers something else than that it is away.
async fn insist(caller: &Caller, method: Method, path: &str, body: Option<&Value>) -> (u16, Value) {
    let begun = Instant::now();
    loop {
        let mut request = caller.request(method.clone(), path);
        if let Some(body) = body {
            request = request.json(body);
        }
        match caller.ask(request).await {
            Ok(answer) if answer.status.as_u16() < 500 && answer.status != 429 => {
                return (answer.status.as_u16(), answer.body);
            }
            Ok(_) | Err(_) => {
                assert!(begun.elapsed() < LIMIT, "{path} is never answered");
                tokio::time::sleep(Duration::from_millis(50)).await;
            }
        }
    }
}

/// Two nodes that sell a template for [`PAID`].
async fn shop() -> Cluster {
    let cluster = Cluster::start(2, |node| node.set("LIMITS__KEY__MONEY", 1_000_000)).await;
    let template = json!({
        "code": "test-noop", "name": "Nothing", "description": "Makes nothing.", "creditCost": 10, "version": "1.0.0",
        "templateType": "VIDEO", "workflow": "noop", "tags": [],
    });
    let made = insist(&cluster.nodes[0].caller, Method::POST, "/templates", Some(&template)).await;
    assert_eq!(made.0, 200, "{}", made.1);
    cluster
}

/// A payment that is paid.
async fn paid(caller: &Caller) -> String {
    let order = json!({ "userId": "user_123" });
    let (_, opened) = insist(caller, Method::POST, "/payment/checkout/test-noop", Some(&order)).await;
    let text = |field: &str| opened["data"][field].as_str().unwrap().to_owned();
    let (id, session) = (text("paymentId"), text("sessionId"));
    insist(caller, Method::POST, &format!("/sandbox/checkout/{session}/pay"), None).await;
    let (path, begun) = (format!("/payment/{id}"), Instant::now());
    while insist(caller, Method::GET, &path, None).await.1["data"]["status"] != "completed" {
        assert!(begun.elapsed() < LIMIT, "{id} is never completed");
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
    id
}

/// Asks for a refund in one of the faces; its id, unless it was refused.
async fn refund(caller: &Caller, payment: &str, minor: i64) -> Option<String> {
    let body = json!({ "reason": "user_request", "amount": minor });
    let (status, answer) = insist(caller, Method::POST, &format!("/payment/refund/{payment}"), Some(&body)).await;
    match status {
        200 => Some(answer["data"]["refundId"].as_str().unwrap().to_owned()),
        400 => None,
        _ => panic!("{status} {answer}"),
    }
}

/// Asks for all of these at once, at both nodes in turn; how many were not refused.
async fn storm(cluster: &Cluster, wishes: Vec<(String, i64)>) -> usize {
    let room = Arc::new(Semaphore::new(AT_ONCE));
    let mut calls = JoinSet::new();
    for (index, (payment, minor)) in wishes.into_iter().enumerate() {
        let caller = cluster.nodes[index % cluster.nodes.len()].caller.clone();
        let room = room.clone();
        calls.spawn(async move {
            let _place = room.acquire_owned().await.unwrap();
            refund(&caller, &payment, minor).await
        });
    }
    calls.join_all().await.into_iter().flatten().count()
}

/// Nothing is on its way any more, and the books add up.
async fn sound(database: &DatabaseConnection) {
    until("the books are still", async || {
        let books = ledger::audit(database, SystemClock.now()).await.unwrap();
        assert_eq!(books.faults, [""; 0]);
        books.under_way == 0
    })
    .await;
    let pending = "SELECT count(*) FROM refunds WHERE status NOT IN ('succeeded', 'failed', 'cancelled')";
    until("every refund has ended", async || number(database, pending).await == 0).await;
    let books = ledger::audit(database, SystemClock.now()).await.unwrap();
    assert_eq!((books.faults.as_slice(), books.under_way), ([].as_slice(), 0));
}

const SUCCEEDED: &str = "SELECT CAST(COALESCE(SUM(amount), 0) AS BIGINT) FROM refunds WHERE status = 'succeeded'";
const AT_THE_GATEWAY: &str = "SELECT count(*) FROM sandbox_objects WHERE kind = 'refund'";

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn ten_thousand_refunds_of_one_payment_get_what_was_paid_and_no_more() {
    const EACH: i64 = 7;
    let cluster = shop().await;
    let payment = paid(&cluster.nodes[0].caller).await;
    storm(&cluster, (0..10_000).map(|_| (payment.clone(), EACH)).collect()).await;
    let database = cluster.database().await;
    sound(&database).await;
    let refunds = PAID / EACH;
    assert_eq!(number(&database, SUCCEEDED).await, refunds * EACH);
    assert_eq!(number(&database, AT_THE_GATEWAY).await, refunds);
    assert_eq!(number(&database, "SELECT refunded FROM payments").await, refunds * EACH);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn refunds_of_a_hundred_payments_of_one_receiver_get_what_was_paid_and_no_more() {
    const EACH: i64 = 600;
    let cluster = shop().await;
    let mut buyers = JoinSet::new();
    for index in 0..100 {
        let caller = cluster.nodes[index % 2].caller.clone();
        buyers.spawn(async move { paid(&caller).await });
    }
    let payments = buyers.join_all().await;
    let wishes = (0..4).flat_map(|_| payments.iter().map(|payment| (payment.clone(), EACH)));
    storm(&cluster, wishes.collect()).await;
    let database = cluster.database().await;
    sound(&database).await;
    assert_eq!(number(&database, SUCCEEDED).await, 100 * EACH);
    assert_eq!(number(&database, AT_THE_GATEWAY).await, 100);
    assert_eq!(number(&database, "SELECT count(*) FROM payments WHERE refunded = 600").await, 100);
    let postings = "SELECT CAST(SUM(CASE WHEN credit = 'available' THEN amount ELSE 0 END) \
                    - SUM(CASE WHEN debit = 'available' THEN amount ELSE 0 END) AS BIGINT) FROM ledger";
    assert_eq!(number(&database, postings).await, 100 * (PAID - EACH));
}
