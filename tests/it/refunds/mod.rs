//! Refunds in every face: Mixvideo's own, UQPAY's, UniBee's and that of payments in coins.

mod crypto;
mod crypto_lists;
mod faces;
mod received;
mod unibee;
mod uqpay;

use std::collections::BTreeSet;

use mixvideo::auth::api_key::{self, NewKey, Role};
use reqwest::{Method, RequestBuilder};
use secrecy::ExposeSecret as _;
use serde_json::{Value, json};
use uuid::Uuid;

use crate::server::{Answer, Server, now, send};

/// An address with its checksum, from EIP-55.
pub const WALLET: &str = "0x5aAeb6053F3E94C9b9A09f33669435E7Ef1BeAed";

/// The key of a client that acts for receivers.
async fn key_for(server: &Server, client: &str, receivers: &[&str]) -> String {
    let new = NewKey {
        role: Role::Client,
        client_id: Some(client.into()),
        name: "test".into(),
        expires_at: None,
        receivers: receivers.iter().map(ToString::to_string).collect(),
    };
    api_key::create(&server.database, new, now()).await.unwrap().1.expose_secret().to_owned()
}

/// A payment that came elsewhere, of the client `shop`: 10.00 usd for `receiver`.
async fn received(server: &Server, receiver: &str) -> String {
    received_as(server, json!({ "receiver": receiver, "currency": "usd", "amount": 1000 })).await
}

async fn received_as(server: &Server, mut receipt: Value) -> String {
    for (field, value) in [("reference", "line 4"), ("clientId", "shop"), ("userId", "user_123")] {
        receipt[field] = json!(value);
    }
    let answer = server.post_as(&server.operator, "/ops/payments", receipt).await;
    answer.data()["id"].as_str().unwrap().to_owned()
}

/// UQPAY's call, with a fresh key, of the client `shop`.
fn uqpay(server: &Server, body: &Value) -> RequestBuilder {
    uqpay_with(server, &Uuid::now_v7().to_string(), body)
}

fn uqpay_with(server: &Server, key: &str, body: &Value) -> RequestBuilder {
    let request = server.bare(Method::POST, "/api/v2/payment/refunds").header("x-auth-token", &server.client);
    request.header("x-client-id", "shop").header("x-idempotency-key", key).json(body)
}

pub fn uqpay_body(payment: &str, amount: &str) -> Value {
    json!({ "payment_intent_id": payment, "amount": amount, "reason": "Return good" })
}

/// UniBee's call, of the client `shop`.
async fn unibee(server: &Server, body: Value) -> Answer {
    server.post("/merchant/invoice/mark_refund", body).await
}

fn invoice_of(payment: &str) -> String {
    payment.replace("pay_", "inv_")
}

pub fn unibee_body(payment: &str, amount: i64, number: &str) -> Value {
    json!({ "invoiceId": invoice_of(payment), "reason": "Paid in cash", "refundAmount": amount, "refundNo": number })
}

/// The fields of an object.
fn fields(value: &Value) -> BTreeSet<&str> {
    value.as_object().unwrap_or_else(|| panic!("no object: {value}")).keys().map(String::as_str).collect()
}

/// What is said in an answer of this status.
fn said(answer: &Answer, status: u16) -> &str {
    assert_eq!(answer.status, status, "{}", answer.body);
    answer.message()
}

async fn refunds(server: &Server) -> usize {
    let list = server.get_as(&server.operator, "/ops/actors?kind=refund").await;
    list.data()["actors"].as_array().unwrap().len()
}

async fn list(server: &Server, key: &str, query: &str) -> Answer {
    let answer = send(server.bare(Method::GET, "/refunds").query(&pairs(query)).bearer_auth(key)).await;
    assert_eq!(answer.status, 200, "{}", answer.body);
    answer
}

/// `a=b&c=d` as pairs, to be escaped.
fn pairs(query: &str) -> Vec<(&str, &str)> {
    query.split('&').filter_map(|pair| pair.split_once('=')).collect()
}
