//! Refunds by the thousand, through all faces and at two nodes at once: exactly what is there is promised, and not a cent
//! more.

use std::sync::Arc;
use std::time::{Duration, Instant};

use mixvideo::domain::refund::Face;
use mixvideo::runtime::clock::{Clock as _, SystemClock};
use mixvideo::store::ledger;
use reqwest::Method;
use sea_orm::DatabaseConnection;
use serde_json::{Value, json};
use strum::IntoEnumIterator as _;
use tokio::sync::Semaphore;
use tokio::task::JoinSet;
use uuid::Uuid;

use super::{Cluster, number};
use crate::crash::service::{Caller, LIMIT, until};
use crate::refunds::{WALLET, unibee_body, uqpay_body};

/// Connections at once, over both nodes.
const AT_ONCE: usize = 64;
/// What is paid with one payment.
const PAID: i64 = 1_000;
/// Addresses at which a refund can be asked for.
const FACES: usize = 5;

/// A refund as one of the faces asks for it.
struct Wish {
    path: String,
    /// Headers that no other face has.
    headers: Vec<(&'static str, String)>,
    body: Value,
}

impl Wish {
    /// A call without a body.
    fn of(path: String) -> Self {
        Self { path, headers: Vec::new(), body: Value::Null }
    }

    /// So many minor units, as the face of this turn says it: all of them come in turn, UQPAY's at both of its addresses.
    fn refund(turn: usize, payment: &str, minor: i64) -> Self {
        match turn % FACES {
            0 => Self {
                body: json!({ "reason": "user_request", "amount": minor }),
                ..Self::of(format!("/payment/refund/{payment}"))
            },
            at @ (1 | 2) => {
                let decimal = format!("{}.{:02}", minor / 100, minor % 100);
                let path = ["/api/v2/payment/refunds", "/v2/payment/refunds"][at - 1];
                Self {
                    path: path.to_owned(),
                    headers: vec![
                        ("x-client-id", "shop".to_owned()),
                        ("x-idempotency-key", Uuid::now_v7().to_string()),
                    ],
                    body: uqpay_body(payment, &decimal),
                }
            }
            3 => Self {
                body: unibee_body(payment, minor, &format!("R-{turn}")),
                ..Self::of("/merchant/invoice/mark_refund".to_owned())
            },
            _ => Self {
                body: json!({ "paymentId": payment, "refundTo": WALLET, "amount": minor }),
                ..Self::of("/refunds/partial".to_owned())
            },
        }
    }

    /// Asks until the service answers something else than that it is away, or that the same is still under way.
    async fn insist(&self, caller: &Caller, method: Method) -> (u16, Value) {
        let begun = Instant::now();
        loop {
            let mut request = caller.request(method.clone(), &self.path);
            for (name, value) in &self.headers {
                request = request.header(*name, value);
            }
            if !self.body.is_null() {
                request = request.json(&self.body);
            }
            match caller.ask(request).await {
                Ok(answer) if answer.status.as_u16() < 500 && ![409, 429].contains(&answer.status.as_u16()) => {
                    return (answer.status.as_u16(), answer.body);
                }
                Ok(_) | Err(_) => {
                    assert!(begun.elapsed() < LIMIT, "{} is never answered", self.path);
                    tokio::time::sleep(Duration::from_millis(50)).await;
                }
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
    let making = Wish { body: template, ..Wish::of("/templates".to_owned()) };
    let made = making.insist(&cluster.nodes[0].caller, Method::POST).await;
    assert_eq!(made.0, 200, "{}", made.1);
    cluster
}

/// A payment that is paid.
async fn paid(caller: &Caller) -> String {
    let order = json!({ "userId": "user_123" });
    let order = Wish { body: order, ..Wish::of("/payment/checkout/test-noop".to_owned()) };
    let (_, opened) = order.insist(caller, Method::POST).await;
    let text = |field: &str| opened["data"][field].as_str().unwrap().to_owned();
    let (id, session) = (text("paymentId"), text("sessionId"));
    Wish::of(format!("/sandbox/checkout/{session}/pay")).insist(caller, Method::POST).await;
    let (shown, begun) = (Wish::of(format!("/payment/{id}")), Instant::now());
    while shown.insist(caller, Method::GET).await.1["data"]["status"] != "completed" {
        assert!(begun.elapsed() < LIMIT, "{id} is never completed");
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
    id
}

/// Asks for all of these at once, at both nodes in turn.
async fn storm(cluster: &Cluster, wishes: impl Iterator<Item = Wish>) {
    let room = Arc::new(Semaphore::new(AT_ONCE));
    let mut calls = JoinSet::new();
    for (index, wish) in wishes.enumerate() {
        let caller = cluster.nodes[index % cluster.nodes.len()].caller.clone();
        let room = room.clone();
        calls.spawn(async move {
            let _place = room.acquire_owned().await.unwrap();
            let (status, answer) = wish.insist(&caller, Method::POST).await;
            assert!([200, 400].contains(&status), "{}: {status} {answer}", wish.path);
        });
    }
    calls.join_all().await;
}

/// Nothing is on its way any more, and the books add up.
async fn sound(database: &DatabaseConnection) {
    let pending = "SELECT count(*) FROM refunds WHERE status NOT IN ('succeeded', 'failed', 'cancelled')";
    until("every refund has ended", async || number(database, pending).await == 0).await;
    until("the books are still", async || {
        let books = ledger::audit(database, SystemClock.now()).await.unwrap();
        assert_eq!(books.faults, [""; 0]);
        books.under_way == 0
    })
    .await;
}

/// What all refunds gave back, and what is left to the receiver, as the ledger has it, agree; so do the gateway and the
/// faces, of which each has its part in it. `refunds` of `each` are what there was for.
async fn gave_back(database: &DatabaseConnection, refunds: i64, each: i64, paid: i64) {
    sound(database).await;
    let amount = "SELECT CAST(COALESCE(SUM(amount), 0) AS BIGINT) FROM refunds WHERE status = 'succeeded'";
    assert_eq!(number(database, amount).await, refunds * each);
    let refunded = "SELECT CAST(SUM(refunded) AS BIGINT) FROM payments";
    assert_eq!(number(database, refunded).await, refunds * each);
    let mut by_face = Vec::new();
    for face in Face::iter() {
        let name: &str = face.into();
        let of_face = format!(
            "SELECT count(*) FROM refunds WHERE status = 'succeeded' AND state LIKE '%\"face\":\"{name}\"%' \
             AND amount = {each}"
        );
        by_face.push((face, number(database, &of_face).await));
    }
    println!("{refunds} refunds of {each}: {by_face:?}");
    assert!(by_face.iter().all(|(_, count)| *count > 0), "{by_face:?}");
    assert_eq!(by_face.iter().map(|(_, count)| count).sum::<i64>(), refunds, "{by_face:?}");
    // What is marked was given back elsewhere.
    let sent = by_face.iter().filter(|(face, _)| *face != Face::Unibee).map(|(_, count)| count).sum::<i64>();
    assert_eq!(number(database, "SELECT count(*) FROM sandbox_objects WHERE kind = 'refund'").await, sent);
    let postings = "SELECT CAST(SUM(CASE WHEN credit = 'available' THEN amount ELSE 0 END) \
                    - SUM(CASE WHEN debit = 'available' THEN amount ELSE 0 END) AS BIGINT) FROM ledger";
    assert_eq!(number(database, postings).await, paid - refunds * each);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn ten_thousand_refunds_of_one_payment_get_what_was_paid_and_no_more() {
    const EACH: i64 = 7;
    let cluster = shop().await;
    let payment = paid(&cluster.nodes[0].caller).await;
    storm(&cluster, (0..10_000).map(|turn| Wish::refund(turn, &payment, EACH))).await;
    gave_back(&cluster.database().await, PAID / EACH, EACH, PAID).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn refunds_of_a_hundred_payments_of_one_receiver_get_what_was_paid_and_no_more() {
    const PAYMENTS: usize = 100;
    const EACH: i64 = 600;
    let cluster = shop().await;
    let mut buyers = JoinSet::new();
    for index in 0..PAYMENTS {
        let caller = cluster.nodes[index % 2].caller.clone();
        buyers.spawn(async move { paid(&caller).await });
    }
    let payments = buyers.join_all().await;
    // Each payment is asked back by another face in each round.
    let wishes =
        (0..4 * PAYMENTS).map(|index| Wish::refund(index + index / PAYMENTS, &payments[index % PAYMENTS], EACH));
    storm(&cluster, wishes).await;
    let database = cluster.database().await;
    gave_back(&database, 100, EACH, 100 * PAID).await;
    assert_eq!(number(&database, "SELECT count(*) FROM payments WHERE refunded = 600").await, 100);
}
