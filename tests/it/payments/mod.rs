//! `/payment`: what is bought is paid, executed once, and given back.

mod attention;
mod back;
mod booking;
mod buyers;
mod checkout;
mod chromium;
mod held;
mod kills;
mod ledger;
mod reconcile;
mod refunds;
mod retention;
mod shop;
mod stripe;
mod webhooks;

use std::time::{Duration, Instant};

use mixvideo::runtime::clock::Clock as _;
use reqwest::Method;
use serde_json::{Value, json};

use crate::server::{Answer, PICTURE, Server, now, send};

const LIMIT: Duration = Duration::from_secs(20);

/// A payment that waits for its payer.
pub struct Bought {
    pub id: String,
    pub session: String,
    pub url: String,
}

impl Bought {
    pub fn of(answer: &Answer) -> Self {
        let text = |field: &str| answer.data()[field].as_str().unwrap().to_owned();
        Self { id: text("paymentId"), session: text("sessionId"), url: text("url") }
    }

    /// Where the payer comes back to.
    pub fn back(&self, place: &str) -> String {
        format!("/payment/{place}?session_id={}&payment_id={}", self.session, self.id)
    }

    pub fn path(&self) -> String {
        format!("/payment/{}", self.id)
    }
}

/// A template that makes nothing, for 1000 cents.
pub fn on_sale() -> Value {
    json!({
        "code": "test-noop", "name": "Nothing", "description": "Makes nothing.", "creditCost": 10, "version": "1.0.0",
        "templateType": "VIDEO", "workflow": "noop", "tags": [],
    })
}

pub fn order() -> Value {
    json!({ "userId": "user_123", "metadata": { "imageUrl": PICTURE } })
}

pub async fn buy(server: &Server, template: &str) -> Bought {
    Bought::of(&server.post(&format!("/payment/checkout/{template}"), order()).await)
}

/// What the payer does on the gateway's page.
pub async fn does(server: &Server, bought: &Bought, deed: &str) {
    let answer = send(server.bare(Method::POST, &format!("/sandbox/checkout/{}/{deed}", bought.session))).await;
    assert!(answer.status.is_redirection() || answer.status.is_success(), "{deed}: {}", answer.body);
}

/// Buys, pays, and waits until the gateway's webhook has told.
pub async fn paid(server: &Server, template: &str) -> Bought {
    let bought = buy(server, template).await;
    does(server, &bought, "pay").await;
    server.until(&bought.path(), |data| data["status"] == "completed").await;
    bought
}

/// Sends an event of the gateway, signed.
pub async fn tell(server: &Server, event: &Value) -> Answer {
    let body = serde_json::to_vec(event).unwrap();
    let header = server.webhooks.sign(&body, now()).unwrap();
    send(server.bare(Method::POST, "/payment/webhook").header("stripe-signature", header).body(body)).await
}

pub fn event(id: &str, kind: &str, object: Value) -> Value {
    json!({ "id": id, "object": "event", "type": kind, "created": now().0 / 1_000, "data": { "object": object } })
}

/// A session as the gateway tells it.
pub fn session_of(bought: &Bought, status: &str, payment_status: &str) -> Value {
    json!({
        "id": bought.session, "object": "checkout.session", "status": status, "payment_status": payment_status,
        "amount_total": 1000, "currency": "usd", "payment_intent": format!("pi_of_{}", bought.id),
        "metadata": { "payment_id": bought.id },
    })
}

/// What the actor knows, and its history.
pub async fn actor(server: &Server, kind: &str, id: &str) -> Value {
    server.get_as(&server.operator, &format!("/ops/actors/{kind}/{id}")).await.data().clone()
}

/// How many tasks were ever born.
pub async fn tasks(server: &Server) -> usize {
    let list = server.get_as(&server.operator, "/ops/actors?kind=task").await;
    list.data()["actors"].as_array().unwrap().len()
}

/// Waits until nothing is on its way any more.
pub async fn quiet(server: &Server) {
    let begun = Instant::now();
    loop {
        let lanes = server.engine.journal().lanes().await.unwrap();
        // Timers that rest are no trouble: nothing is due.
        let due = lanes.iter().any(|lane| lane.oldest_due.is_some_and(|due| due <= server.clock.now()));
        if !due {
            return;
        }
        assert!(begun.elapsed() < LIMIT, "something is always on its way");
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
}
