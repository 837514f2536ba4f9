//! The face of payments in coins: lists of the refunds of every face.

use reqwest::Method;
use sea_orm::ConnectionTrait as _;
use serde_json::{Value, json};

use super::{WALLET, fields, key_for, list, pairs, received, uqpay, uqpay_body};
use crate::oidc::signing;
use crate::server::{Answer, Server, send, served};

fn ids(answer: &Answer) -> Vec<&str> {
    answer.body["refunds"].as_array().unwrap().iter().map(|refund| refund["_id"].as_str().unwrap()).collect()
}

/// Refunds of one payment of `receiver`, the oldest first.
async fn made(server: &Server, receiver: &str, amounts: &[i64]) -> (String, Vec<Value>) {
    let payment = received(server, receiver).await;
    let mut made = Vec::new();
    for amount in amounts {
        let body = json!({ "paymentId": payment, "refundTo": WALLET, "amount": amount });
        let answer = server.post("/refunds/partial", body).await;
        assert_eq!(answer.status, 200, "{}", answer.body);
        made.push(answer.body);
        // Times differ: they are sorted by.
        server.clock.advance(2);
    }
    (payment, made)
}

#[test]
fn pages_follow_each_other_the_newest_first() {
    served(async |server| {
        let empty = list(&server, &server.client, "").await;
        assert_eq!(empty.body, json!({ "refunds": [], "page": 1, "pageSize": 10, "totalPages": 0 }));
        let (_, made) = made(&server, "acct_1", &[1; 12]).await;
        let newest: Vec<&str> = made.iter().rev().map(|refund| refund["_id"].as_str().unwrap()).collect();
        let first = list(&server, &server.client, "").await;
        assert_eq!(fields(&first.body), ["page", "pageSize", "refunds", "totalPages"].into());
        assert_eq!(ids(&first), newest[..10]);
        assert_eq!((&first.body["pageSize"], &first.body["totalPages"]), (&json!(10), &json!(2)));
        let second = list(&server, &server.client, "page=2").await;
        assert_eq!((ids(&second), &second.body["page"]), (newest[10..].to_vec(), &json!(2)));
        let third = list(&server, &server.client, "page=3&limit=5").await;
        assert_eq!((ids(&third), &third.body["totalPages"]), (newest[10..].to_vec(), &json!(3)));
        assert_eq!(ids(&list(&server, &server.client, "page=4").await), Vec::<&str>::new());
        for (query, field) in [("page=0", "page"), ("page=x", "page"), ("limit=0", "limit"), ("limit=101", "limit")] {
            let answer = send(server.request(Method::GET, "/refunds").query(&pairs(query))).await;
            assert!(answer.faults()[0].starts_with(&format!("{field} must be")), "{query}: {}", answer.body);
        }
    });
}

#[test]
fn refunds_are_looked_for_by_every_field() {
    served(async |server| {
        let (payment, one) = made(&server, "acct_1", &[100, 200]).await;
        let (_, two) = made(&server, "acct_2", &[300]).await;
        let refund = &one[0];
        let (id, at) = (refund["_id"].as_str().unwrap(), refund["createdAt"].as_str().unwrap());
        let lower = WALLET.to_lowercase();
        for (query, count) in [
            (format!("_id:{id}"), 1),
            (format!("_id={id}"), 1),
            (format!("paymentId:{payment}"), 2),
            (format!("paymentIntentId={payment}"), 2),
            ("userId:user_123".to_owned(), 3),
            ("userId:user_1".to_owned(), 0),
            ("receiverId:acct_2".to_owned(), 1),
            (format!("refundTo:{WALLET}"), 3),
            (format!("refundTo:{lower}"), 3),
            ("amount:300".to_owned(), 1),
            ("status:PROCESSING".to_owned(), 3),
            ("status:SUCCEEDED".to_owned(), 0),
            (format!("createdAt:{at}"), 1),
            (format!("updatedAt:{}", two[0]["updatedAt"].as_str().unwrap()), 1),
            ("receiverId:acct_1,amount=200".to_owned(), 1),
            ("receiverId:acct_1,amount=300".to_owned(), 0),
        ] {
            let found = list(&server, &server.client, &format!("query={query}")).await;
            assert_eq!(ids(&found).len(), count, "{query}: {}", found.body);
            assert_eq!(found.body["totalPages"], usize::from(count > 0), "{query}");
        }
        for (query, wanted) in [
            ("query=color:red", "query names `color`"),
            ("query=status:DONE", "query has `DONE` as status"),
            ("query=amount", "query must be pairs"),
            ("sort=color", "sort names `color`"),
        ] {
            let answer = send(server.request(Method::GET, "/refunds").query(&pairs(query))).await;
            assert!(answer.faults()[0].starts_with(wanted), "{query}: {}", answer.body);
        }
    });
}

#[test]
fn a_list_is_sorted_by_any_field_in_both_directions() {
    served(async |server| {
        let (_, made) = made(&server, "acct_1", &[200, 100, 300]).await;
        let body = json!({ "paymentId": "", "reason": "user_request", "amount": 50 });
        let plain = crate::payments::paid(&server, "noop").await;
        let plain = server.post(&format!("/payment/refund/{}", plain.id), body).await.data()["refundId"].clone();
        let id = |at: usize| made[at]["_id"].as_str().unwrap();
        let plain = plain.as_str().unwrap();
        for (sort, wanted) in [
            ("amount", [plain, id(1), id(0), id(2)]),
            ("-amount", [id(2), id(0), id(1), plain]),
            ("createdAt", [id(0), id(1), id(2), plain]),
            ("-createdAt", [plain, id(2), id(1), id(0)]),
            // PROCESSING before SUCCEEDED; of two alike the newest first.
            ("status", [id(2), id(1), id(0), plain]),
            ("-status", [plain, id(2), id(1), id(0)]),
            // What has none comes last.
            ("refundTo", [id(2), id(1), id(0), plain]),
            ("-refundTo", [id(2), id(1), id(0), plain]),
            ("receiverId", [id(2), id(1), id(0), plain]),
        ] {
            let found = list(&server, &server.client, &format!("sort={sort}")).await;
            assert_eq!(ids(&found), wanted, "{sort}: {}", found.body);
        }
        // It has the same name as those beside it, whatever it is called in the table.
        let renamed = format!("UPDATE refunds SET status = 'outcome_unknown' WHERE id = '{}'", id(0));
        assert_eq!(server.database.execute_unprepared(&renamed).await.unwrap().rows_affected(), 1);
        assert_eq!(ids(&list(&server, &server.client, "sort=status").await), [id(2), id(1), id(0), plain]);
        for sort in ["_id", "paymentId", "paymentIntentId", "userId", "updatedAt"] {
            assert_eq!(ids(&list(&server, &server.client, &format!("sort=-{sort}")).await).len(), 4, "{sort}");
        }
    });
}

#[test]
fn everybody_sees_the_refunds_of_their_own_payments() {
    served(async |server| {
        let (payment, _) = made(&server, "acct_1", &[1]).await;
        made(&server, "acct_2", &[1]).await;
        let body = uqpay_body(&payment, "0.01");
        assert_eq!(send(uqpay(&server, &body)).await.status, 200);
        let agency = key_for(&server, "agency", &["acct_1"]).await;
        let second = key_for(&server, "shop", &[]).await;
        for (key, count) in [(&server.client, 3), (&second, 3), (&agency, 2), (&server.other, 0), (&server.operator, 3)]
        {
            assert_eq!(ids(&list(&server, key, "").await).len(), count);
        }
    });
}

#[test]
fn a_person_sees_the_refunds_of_what_they_bought_and_asks_for_none() {
    signing(async |signing| {
        let server = &signing.server;
        let ((ada, ada_id), (bea, _)) = (signing.token_of("ada").await, signing.token_of("bea").await);
        let receipt = json!({
            "receiver": "acct_1", "currency": "usd", "amount": 1000, "reference": "line 4", "clientId": "shop",
            "userId": ada_id,
        });
        let payment = server.post_as(&server.operator, "/ops/payments", receipt).await.data()["id"].clone();
        let body = json!({ "paymentId": payment, "refundTo": WALLET });
        assert_eq!(server.post_as(&ada, "/refunds", body.clone()).await.status, 403);
        let made = server.post("/refunds", body).await.body;
        assert_eq!(ids(&list(server, &ada, "").await), [made["_id"].as_str().unwrap()]);
        assert_eq!(ids(&list(server, &bea, "").await), Vec::<&str>::new());
        let path = format!("/refunds/{}", made["_id"].as_str().unwrap());
        assert_eq!(server.get_as(&ada, &path).await.body, made);
        assert_eq!(server.get_as(&bea, &path).await.status, 404);
    });
}
