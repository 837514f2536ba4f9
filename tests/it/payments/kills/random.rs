//! `kill -9` at any time in checkouts, payments, webhooks, refunds and looks of the reconciler of many payers at once.

use std::time::{Duration, Instant};

use reqwest::Method;
use serde_json::{Value, json};

use super::insist;
use crate::crash::records::count;
use crate::crash::service::{Caller, LIMIT, Service};
use crate::payments::on_sale;

const PAYERS: usize = 6;
/// Payments of one payer.
const PAYMENTS: usize = 4;
const KILLS: u64 = 8;
/// What each payer wants back.
const BACK: i64 = 400;

/// Buys and pays; the payment's id once it is completed. A payer who comes back makes the payment ask, every other time.
async fn payer(caller: &Caller, number: usize, turn: usize, comes_back: bool) -> String {
    let key = format!("payer-{number}-{turn}");
    let order = json!({ "userId": "user_123" });
    let opened = insist(caller, Method::POST, "/payment/checkout/test-noop", Some(&key), Some(&order)).await;
    let text = |field: &str| opened.data()[field].as_str().unwrap().to_owned();
    let (id, session) = (text("paymentId"), text("sessionId"));
    insist(caller, Method::POST, &format!("/sandbox/checkout/{session}/pay"), None, None).await;
    let begun = Instant::now();
    loop {
        let shown = insist(caller, Method::GET, &format!("/payment/{id}"), None, None).await;
        if shown.data()["status"] == "completed" {
            return id;
        }
        assert!(begun.elapsed() < LIMIT, "{id} is paid and never completed: {}", shown.body);
        if comes_back && turn.is_multiple_of(2) {
            let back = format!("/payment/success?session_id={session}&payment_id={id}");
            insist(caller, Method::GET, &back, None, None).await;
        }
        if !comes_back && turn.is_multiple_of(2) {
            insist(caller, Method::POST, "/ops/payments/reconcile", None, None).await;
        }
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
}

/// The same, who then wants a part back.
async fn unhappy_payer(caller: &Caller, number: usize, turn: usize, comes_back: bool) -> String {
    let id = payer(caller, number, turn, comes_back).await;
    let (path, key) = (format!("/payment/refund/{id}"), format!("payer-{number}-{turn}-back"));
    let wanted = json!({ "reason": "user_request", "amount": BACK });
    let refund = insist(caller, Method::POST, &path, Some(&key), Some(&wanted)).await;
    assert_eq!(refund.data()["amount"], BACK);
    id
}

/// A service that sells nothing for 1000 cents, at the same address after every kill: payers come back to where they were
/// sent.
async fn shop(settings: &[(&str, &str)]) -> Service {
    let mut service = Service::sqlite().await;
    let free = std::net::TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
    service.set("SERVER__BIND", free);
    for (key, value) in settings {
        service.set(*key, value);
    }
    service.start_with_templates().await;
    insist(&service.caller, Method::POST, "/templates", None, Some(&on_sale())).await.data();
    service
}

#[tokio::test]
async fn what_is_paid_is_executed_once_and_given_back_once_through_kills() {
    through_kills(&[], true).await;
}

#[tokio::test]
async fn what_no_webhook_tells_is_found_by_the_reconciler_through_kills() {
    through_kills(&[("PAYMENTS__SANDBOX_FAULTS", "lost_webhooks"), ("PAYMENTS__RECONCILE_SECONDS", "1")], false).await;
}

async fn through_kills(settings: &[(&str, &str)], comes_back: bool) {
    let mut service = shop(settings).await;
    let caller = service.caller.clone();
    let payers: Vec<_> = (0..PAYERS)
        .map(|number| {
            let caller = caller.clone();
            tokio::spawn(async move {
                let mut paid = Vec::new();
                for turn in 0..PAYMENTS {
                    paid.push(unhappy_payer(&caller, number, turn, comes_back).await);
                }
                paid
            })
        })
        .collect();
    for kill in 0..KILLS {
        tokio::time::sleep(Duration::from_millis(120 + 90 * (kill % 5))).await;
        service.kill().await;
        service.start().await;
    }
    let mut paid = Vec::new();
    for payer in payers {
        paid.extend(payer.await.unwrap());
    }
    assert_eq!(paid.len(), PAYERS * PAYMENTS);
    for id in &paid {
        let begun = Instant::now();
        loop {
            let actor = caller.get(&format!("/ops/actors/payment/{id}")).await;
            let state = &actor.data()["state"];
            let amounts = &state["amounts"];
            if state["standing"] == "completed" && amounts["refunded"] == BACK {
                assert_eq!((&amounts["captured"], &amounts["reserved"]), (&json!(1000), &json!(0)));
                break;
            }
            assert!(begun.elapsed() < LIMIT, "{id} was not executed and given back: {state}");
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
    }
    // As many tasks, payments and refunds as were paid for, and not one more; at the gateway too.
    let database = service.database().await;
    let made = count(&database, "SELECT COUNT(*) FROM sandbox_objects WHERE kind = 'refund'").await;
    assert_eq!(usize::try_from(made).unwrap(), paid.len(), "refunds at the gateway");
    for kind in ["task", "payment", "refund"] {
        let listed = caller.get(&format!("/ops/actors?kind={kind}&limit=100")).await;
        assert_eq!(listed.data()["actors"].as_array().unwrap().len(), paid.len(), "{kind}");
    }
}

/// Asks for a refund of everything and waits for its end.
async fn refunder(caller: &Caller, payment: &str, number: usize) {
    let (path, key) = (format!("/payment/refund/{payment}"), format!("refund-{number}"));
    let begun = Instant::now();
    loop {
        let answer = insist(caller, Method::POST, &path, Some(&key), Some(&json!({ "reason": "user_request" }))).await;
        if answer.data()["status"] == "succeeded" {
            return;
        }
        assert_eq!(answer.data()["status"], "pending", "{}", answer.body);
        assert!(begun.elapsed() < LIMIT, "the refund of {payment} never ends: {}", answer.body);
    }
}

#[tokio::test]
async fn what_is_refunded_is_refunded_once_through_kills_by_a_gateway_that_loses_its_answers() {
    let mut service = shop(&[("PAYMENTS__SANDBOX_FAULTS", "lost_answers")]).await;
    let caller = service.caller.clone();
    let mut payments = Vec::new();
    for turn in 0..PAYERS {
        payments.push(payer(&caller, 0, turn, true).await);
    }
    let refunders: Vec<_> = payments
        .iter()
        .cloned()
        .enumerate()
        .map(|(number, payment)| {
            let caller = caller.clone();
            tokio::spawn(async move { refunder(&caller, &payment, number).await })
        })
        .collect();
    for kill in 0..KILLS {
        tokio::time::sleep(Duration::from_millis(60 + 130 * (kill % 5))).await;
        service.kill().await;
        service.start().await;
    }
    for refunder in refunders {
        refunder.await.unwrap();
    }
    let database = service.database().await;
    let begun = Instant::now();
    loop {
        let shown = service.told(&["doctor", "--ledger", "--json"]).await;
        let shown: Value = serde_json::from_str(&shown).unwrap();
        if shown["books"]["underWay"] == 0 {
            assert_eq!(shown["ok"], true);
            break;
        }
        assert!(begun.elapsed() < LIMIT, "something is always under way: {shown}");
    }
    let refunds = count(&database, "SELECT COUNT(*) FROM sandbox_objects WHERE kind = 'refund'").await;
    assert_eq!(usize::try_from(refunds).unwrap(), payments.len());
}
