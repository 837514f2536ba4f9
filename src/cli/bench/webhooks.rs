//! Webhooks: how many are accepted a second, and whether one event that comes a hundred times is acted upon once.

use std::rc::Rc;
use std::time::{Duration, Instant};

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD_NO_PAD;
use serde::Serialize;
use serde_json::{Value, json};

use super::checkouts::{self, Checkout, NOTHING};
use super::child::Child;
use super::http;
use super::load::Quantiles;
use super::measure::{closed, sound};
use super::rows::Rows;
use crate::cli::Error;
use crate::domain::Timestamp;
use crate::gateway::sandbox;
use crate::gateway::webhook::{SIGNATURE_HEADER, Secrets, WEBHOOK_PATH};
use crate::runtime::clock::{Clock, SystemClock};

/// Decisions of payments that news of the gateway led to.
const TRANSITIONS: &str =
    "SELECT COUNT(*) FROM journal WHERE actor >= 'payment/' AND actor < 'payment0' AND body LIKE '{\"told\"%'";
/// Inputs that were ever written down.
const INPUTS: &str = "SELECT COUNT(*) FROM inputs";
const COMPLETED: &str = "SELECT COUNT(*) FROM payments WHERE status = 'completed'";
const EXECUTED: &str = "SELECT COUNT(*) FROM tasks WHERE template_code = 'bench-noop' AND status = 'completed'";

/// How much is sent.
#[derive(Clone, Copy, Debug)]
pub(super) struct Amounts {
    /// Payments that events are about; and events that come many times: one completes each.
    pub payments: u64,
    /// Events that come once.
    pub events: u64,
    /// Deliveries of the events that come many times, in all.
    pub deliveries: u64,
}

/// What was found.
#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct Webhooks {
    /// Payments that were opened for it.
    pub payments: u64,
    /// Distinct events.
    pub distinct: Sent,
    /// Events that came many times.
    pub repeated: Sent,
    /// Payments completed by them, counted in SQL.
    pub completed: u64,
    /// Executions that ran, counted in SQL.
    pub executed: u64,
}

/// Events that were sent, and what they left.
#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct Sent {
    /// Deliveries answered with 200.
    pub accepted: u64,
    /// Others.
    pub failed: u64,
    /// What the first of those said.
    pub failure: Option<String>,
    /// Accepted ones a second, to the last answer.
    pub accepted_per_second: f64,
    /// Until everything that follows had happened too, in seconds.
    pub seconds: f64,
    /// A delivery to its answer.
    pub answer: Quantiles,
    /// Inputs that they left, counted in SQL.
    pub inputs: u64,
    /// Decisions of payments that they led to, counted in SQL.
    pub transitions: u64,
}

/// Sends distinct events on real payments, then the events that complete these payments, many times each.
pub(super) async fn webhooks(
    target: &Child,
    amounts: Amounts,
    connections: usize,
    limit: Duration,
) -> Result<Webhooks, Error> {
    let database = target.database.as_ref();
    let database = database.ok_or_else(|| Error::Failed("what is left is counted in SQL: give --count-in".into()))?;
    let sender = Sender { target, rows: Rows::open(database).await?, connections, limit };
    let secrets = Rc::new(sender.secrets().await?);
    let payments: Rc<[Checkout]> = checkouts::open(target, NOTHING, amounts.payments).await?.into();
    let before = (sender.rows.number(COMPLETED).await?, sender.rows.number(EXECUTED).await?);

    let (known, signs) = (payments.clone(), secrets.clone());
    let declined = move |number: u64| signed(&signs, &declined(number, of(&known, number)));
    let distinct = sender.send(amounts.events, declined).await?;
    let known = payments.clone();
    let completed = move |number: u64| signed(&secrets, &completed(of(&known, number)));
    let repeated = sender.send(amounts.deliveries, completed).await?;
    Ok(Webhooks {
        payments: amounts.payments,
        distinct,
        repeated,
        completed: sender.rows.number(COMPLETED).await? - before.0,
        executed: sender.rows.number(EXECUTED).await? - before.1,
    })
}

struct Sender<'a> {
    target: &'a Child,
    rows: Rows,
    connections: usize,
    limit: Duration,
}

impl Sender<'_> {
    /// What the server's sandbox signs with: it follows from a secret in the database.
    async fn secrets(&self) -> Result<Secrets, Error> {
        let unusable = || Error::Failed("the server has no secret that its sandbox signs with".to_owned());
        let text = self.rows.text("SELECT value FROM settings WHERE name = 'link_secret'").await?;
        let secret = STANDARD_NO_PAD.decode(text).map_err(|_| unusable())?;
        Ok(sandbox::webhook_secrets(&secret.try_into().map_err(|_| unusable())?))
    }

    async fn send(&self, deliveries: u64, request: impl Fn(u64) -> Rc<[u8]> + 'static) -> Result<Sent, Error> {
        let (inputs, transitions) = (self.rows.number(INPUTS).await?, self.rows.number(TRANSITIONS).await?);
        let began = Instant::now();
        let until = began + self.limit;
        let seen = sound(closed(self.target.address, self.connections, deliveries, until, request).await)?;
        let drained = self.rows.nothing_outstanding(until).await?;
        let ended = drained.ok_or_else(|| Error::Failed(format!("work was left after {} s", self.limit.as_secs())))?;
        Ok(Sent {
            accepted: seen.accepted,
            failed: seen.failed,
            failure: seen.failure,
            accepted_per_second: seen.accepted as f64 / seen.took.as_secs_f64(),
            seconds: (ended - began).as_secs_f64(),
            answer: seen.times.quantiles(),
            inputs: self.rows.number(INPUTS).await? - inputs,
            transitions: self.rows.number(TRANSITIONS).await? - transitions,
        })
    }
}

/// The payment and the session that the delivery of this number is about.
fn of(payments: &[Checkout], number: u64) -> (&str, &str) {
    let index = usize::try_from(number).unwrap_or_default() % payments.len().max(1);
    payments.get(index).map(|one| (&*one.payment, &*one.session)).unwrap_or_default()
}

fn declined(number: u64, (payment, session): (&str, &str)) -> Value {
    let object = json!({ "id": format!("pi_{session}"), "object": "payment_intent", "amount": 1000, "amount_received": 0,
        "currency": "usd", "status": "requires_payment_method", "metadata": { "payment_id": payment },
        "last_payment_error": { "type": "card_error", "code": "card_declined", "message": "Your card was declined." } });
    event(&format!("{payment}_{number}"), "payment_intent.payment_failed", object)
}

fn completed((payment, session): (&str, &str)) -> Value {
    let object = json!({ "id": session, "object": "checkout.session", "status": "complete", "payment_status": "paid",
        "amount_total": 1000, "currency": "usd", "payment_intent": format!("pi_{session}"),
        "metadata": { "payment_id": payment } });
    event(payment, "checkout.session.completed", object)
}

fn event(id: &str, kind: &str, object: Value) -> Value {
    let created = SystemClock.now().0.div_euclid(1_000);
    json!({ "id": format!("evt_{id}"), "object": "event", "type": kind, "created": created, "data": { "object": object } })
}

/// The bytes of a delivery that is signed now.
fn signed(secrets: &Secrets, event: &Value) -> Rc<[u8]> {
    let now: Timestamp = SystemClock.now();
    let body = event.to_string();
    let signature = secrets.sign(body.as_bytes(), now).unwrap_or_default();
    http::request_with("POST", WEBHOOK_PATH, Some((SIGNATURE_HEADER, &signature)), Some(&body)).into()
}
