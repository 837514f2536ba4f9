//! The books: every move of money is a posting, and all of them add up.

use mixvideo::domain::account::Balances;
use mixvideo::domain::ids::PaymentId;
use mixvideo::domain::money::{Currency, Money};
use mixvideo::domain::payment::{self, Message, Receipt};
use mixvideo::runtime::clock::Clock as _;
use mixvideo::runtime::engine::Birth;
use mixvideo::runtime::journal::MessageId;
use mixvideo::store::ledger::{self, Books};
use mixvideo_entities::posting;
use reqwest::StatusCode;
use sea_orm::{ConnectionTrait as _, EntityTrait as _};
use serde_json::{Value, json};
use uuid::Uuid;

use super::{actor, paid, quiet};
use crate::server::{Answer, Server, served};
use crate::stripe::selling;

async fn books(server: &Server) -> Books {
    quiet(server).await;
    ledger::audit(&server.database, server.clock.now()).await.unwrap()
}

/// The books add up, and nothing is on its way.
async fn sound(server: &Server) -> Books {
    let books = books(server).await;
    assert_eq!((books.faults.as_slice(), books.under_way), ([].as_slice(), 0));
    books
}

async fn balances(server: &Server) -> Balances {
    let state = actor(server, "account", "platform").await["state"]["balances"]["usd"].clone();
    serde_json::from_value(state).unwrap()
}

/// Every posting: where it goes from and to, how much, and why.
async fn postings(server: &Server) -> Vec<String> {
    let mut rows = posting::Entity::find().all(&server.database).await.unwrap();
    rows.sort_by_key(|row| row.id.split(':').nth(1).and_then(|version| version.parse::<u64>().ok()));
    rows.iter().map(|row| format!("{} -> {} {} {}", row.debit, row.credit, row.amount, row.cause)).collect()
}

async fn refund(server: &Server, id: &str, body: Value) -> Answer {
    server.post(&format!("/payment/refund/{id}"), body).await
}

async fn operate(server: &Server, refund: &str, what: &str, body: Value) -> Answer {
    server.post_as(&server.operator, &format!("/ops/refunds/{refund}/{what}"), body).await
}

/// A payment that was received elsewhere.
async fn received(server: &Server, minor: i64) -> String {
    let id = PaymentId::new(Uuid::now_v7());
    let receipt = Receipt {
        id,
        paid: Money::new(minor, Currency::parse("usd").unwrap()),
        receiver: "platform".into(),
        reference: "0xabc".into(),
        owner: "client:shop".into(),
        user_id: String::new(),
    };
    let body = serde_json::to_string(&Message::ReceivedElsewhere(Box::new(receipt))).unwrap();
    let birth = Birth { actor: payment::address(id), message: MessageId::from("received"), body, claim: None };
    server.engine.birth(birth).await.unwrap();
    id.to_string()
}

#[test]
fn every_move_of_money_is_a_posting() {
    served(async |server| {
        let bought = paid(&server, "noop").await;
        let part = json!({ "reason": "user_request", "amount": 300 });
        assert_eq!(refund(&server, &bought.id, part).await.data()["status"], "succeeded");
        let books = sound(&server).await;
        assert_eq!((books.accounts, books.postings, books.payments), (1, 3, 1));
        let expected = [
            "clearing -> available 1000 capture",
            "available -> reserved 300 reservation",
            "reserved -> clearing 300 refund",
        ];
        assert_eq!(postings(&server).await, expected);
        let balances = balances(&server).await;
        assert_eq!(balances, Balances { available: 700, clearing: -700, ..Balances::default() });
    });
}

#[test]
fn an_operator_pays_where_no_gateway_can() {
    served(async |server| {
        let id = received(&server, 1_000).await;
        let asked = async |amount: i64| {
            let body = json!({ "reason": "user_request", "amount": amount });
            let answer = refund(&server, &id, body).await;
            assert_eq!(answer.data()["status"], "pending", "{}", answer.body);
            answer.data()["refundId"].as_str().unwrap().to_owned()
        };
        let (first, second) = (asked(400).await, asked(100).await);
        sound(&server).await;
        assert_eq!(balances(&server).await.reserved, 500);
        assert_eq!(operate(&server, &first, "sync", json!({})).await.status, StatusCode::CONFLICT);
        assert_eq!(operate(&server, &first, "paid", json!({})).await.faults(), ["reference is required"]);
        for _ in 0..2 {
            let done = operate(&server, &first, "paid", json!({ "reference": "0xdef" })).await;
            assert_eq!(done.data(), &json!({ "refundId": first, "amount": 400, "status": "succeeded" }));
        }
        let other = operate(&server, &first, "paid", json!({ "reference": "0xother" })).await;
        assert_eq!(other.status, StatusCode::CONFLICT, "{}", other.body);
        let failed = operate(&server, &second, "failed", json!({ "reason": "No such address." })).await;
        assert_eq!(failed.data()["status"], "failed");
        assert_eq!(
            operate(&server, &second, "failed", json!({ "reason": "Again." })).await.status,
            StatusCode::CONFLICT
        );
        for what in ["sync", "paid", "failed"] {
            let body = json!({ "reference": "0x", "reason": "x" });
            assert_eq!(operate(&server, "re_x", what, body).await.status, StatusCode::NOT_FOUND, "{what}");
        }
        sound(&server).await;
        let balances = balances(&server).await;
        assert_eq!(balances, Balances { available: 600, clearing: -600, ..Balances::default() });
    });
}

#[test]
fn what_the_gateway_takes_back_is_found_by_asking_about_a_refund_that_has_ended() {
    selling(async |server, double| {
        let bought = super::stripe::paid(&server, &double).await;
        let refunded = refund(&server, &bought.id, json!({ "reason": "user_request", "amount": 400 })).await;
        let id = refunded.data()["refundId"].as_str().unwrap().to_owned();
        assert_eq!(refunded.data()["status"], "succeeded");
        assert_eq!(operate(&server, &id, "sync", json!({})).await.data()["status"], "succeeded");
        let at_stripe = double.world().all("refund")[0].clone();
        double.world().set(at_stripe["id"].as_str().unwrap(), "status", json!("failed"));
        double.world().set(at_stripe["charge"].as_str().unwrap(), "amount_refunded", json!(0));
        operate(&server, &id, "sync", json!({})).await.data();
        sound(&server).await;
        assert_eq!(actor(&server, "refund", &id).await["state"]["status"], "reversal_succeeded");
        assert_eq!(operate(&server, &id, "paid", json!({ "reference": "0x" })).await.status, StatusCode::CONFLICT);
        assert_eq!(server.get(&bought.path()).await.data()["refundedAmount"], 0);
        assert_eq!(balances(&server).await, Balances { available: 1000, clearing: -1000, ..Balances::default() });
        assert_eq!(postings(&server).await.last().unwrap(), "clearing -> available 400 reversal");
        // What came back can be given back again.
        let again = refund(&server, &bought.id, json!({ "reason": "user_request" })).await;
        assert_eq!((&again.data()["amount"], &again.data()["status"]), (&json!(1000), &json!("succeeded")));
        sound(&server).await;
    });
}

#[test]
fn what_others_give_back_beyond_what_came_in_is_in_suspense() {
    selling(async |server, double| {
        let bought = super::stripe::paid(&server, &double).await;
        assert_eq!(
            refund(&server, &bought.id, json!({ "reason": "user_request", "amount": 400 })).await.data()["status"],
            "succeeded"
        );
        // Stripe itself would refuse so much: it is a gateway that does not.
        let at_stripe = double.world().all("refund")[0].clone();
        let mut other = at_stripe.clone();
        other["id"] = json!("re_somebody");
        other["metadata"] = json!({});
        other["amount"] = json!(900);
        double.world().insert(other);
        let event = json!({ "payment_intent": at_stripe["payment_intent"], "object": "refund", "id": "re_somebody" });
        super::tell(&server, &super::event("evt_other", "refund.created", event)).await;
        server.until(&bought.path(), |data| data["refundedAmount"] == 1_300).await;
        sound(&server).await;
        assert_eq!(balances(&server).await, Balances { suspense: -300, clearing: 300, ..Balances::default() });
    });
}

#[test]
fn books_that_were_tampered_with_are_told() {
    served(async |server| {
        let bought = paid(&server, "noop").await;
        refund(&server, &bought.id, json!({ "reason": "user_request", "amount": 300 })).await;
        sound(&server).await;
        let change = async |sql: &str| server.database.execute_unprepared(sql).await.unwrap();
        change("UPDATE accounts SET state = replace(state, '\"available\":700', '\"available\":701')").await;
        let faults = books(&server).await.faults;
        let said = |text: &str| faults.iter().any(|fault| fault.contains(text));
        assert!(said("says available 7.01 usd, and its postings say 7.00 usd"), "{faults:?}");
        assert!(said("does not sum to nothing in usd"), "{faults:?}");
        assert!(said("says available 7.01 usd, and its payments say 7.00 usd"), "{faults:?}");
        assert_eq!(faults.len(), 3);
        change("UPDATE accounts SET state = replace(state, '\"available\":701', '\"available\":700')").await;
        sound(&server).await;
        change("DROP TRIGGER ledger_delete").await;
        change("DELETE FROM ledger WHERE cause = 'refund'").await;
        let faults = books(&server).await.faults;
        assert!(faults[0].contains("says reserved 0.00 usd, and its postings say 3.00 usd"), "{faults:?}");
    });
}
