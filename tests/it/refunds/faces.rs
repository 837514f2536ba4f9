//! All faces at once: what one did is seen in the others, and together they give back no more than was paid.

use futures_util::future::{BoxFuture, FutureExt as _, join_all};
use serde_json::{Value, json};

use super::{WALLET, list, received, unibee, unibee_body, uqpay, uqpay_body, uqpay_with};
use crate::payments::{actor, paid, quiet};
use crate::server::{Answer, Server, send, served};

/// A refund of so many minor units in each face.
fn in_every_face<'a>(server: &'a Server, payment: &'a str, minor: i64, round: usize) -> [BoxFuture<'a, Answer>; 4] {
    let decimal = format!("{}.{:02}", minor / 100, minor % 100);
    [
        async move {
            let body = json!({ "reason": "user_request", "amount": minor });
            server.post(&format!("/payment/refund/{payment}"), body).await
        }
        .boxed(),
        async move { send(uqpay(server, &uqpay_body(payment, &decimal))).await }.boxed(),
        async move { unibee(server, unibee_body(payment, minor, &format!("R-{round}"))).await }.boxed(),
        async move {
            let body = json!({ "paymentId": payment, "refundTo": WALLET, "amount": minor });
            server.post("/refunds/partial", body).await
        }
        .boxed(),
    ]
}

#[test]
fn a_refund_of_any_face_is_listed_with_the_names_of_this_one() {
    served(async |server| {
        let bought = paid(&server, "noop").await;
        let answers = join_all(in_every_face(&server, &bought.id, 100, 0)).await;
        let made: Vec<&Value> = [
            &answers[0].body["data"]["refundId"],
            &answers[1].body["payment_refund_id"],
            &answers[2].body["data"]["refund"]["refundId"],
            &answers[3].body["_id"],
        ]
        .into();
        let shown = list(&server, &server.client, "sort=_id").await;
        let listed: Vec<&Value> = shown.body["refunds"].as_array().unwrap().iter().map(|one| &one["_id"]).collect();
        assert_eq!(listed.len(), 4, "{}", shown.body);
        for (at, id) in made.iter().enumerate() {
            let refund = server.get(&format!("/refunds/{}", id.as_str().unwrap())).await.body;
            assert!(listed.contains(id), "{}", shown.body);
            assert_eq!((&refund["amount"], &refund["status"]), (&json!(100), &json!("SUCCEEDED")), "{refund}");
            assert_eq!(refund["paymentId"], bought.id);
            let wallet = if at == 3 { json!(WALLET) } else { Value::Null };
            assert_eq!(refund["refundTo"], wallet, "a face without addresses has none");
        }
        quiet(&server).await;
        assert_eq!(server.get(&bought.path()).await.data()["refundedAmount"], 400);
    });
}

#[test]
fn all_faces_together_give_back_no_more_than_was_paid() {
    served(async |server| {
        let bought = paid(&server, "noop").await;
        let asked = (0..3).flat_map(|round| in_every_face(&server, &bought.id, 300, round));
        let answers = join_all(asked).await;
        let taken = answers.iter().filter(|answer| answer.status == 200);
        assert_eq!(taken.count(), 3, "{:?}", answers.iter().map(|answer| &answer.body).collect::<Vec<_>>());
        assert!(answers.iter().all(|answer| [200, 400].contains(&answer.status.as_u16())));
        quiet(&server).await;
        let amounts = actor(&server, "payment", &bought.id).await["state"]["amounts"].clone();
        assert_eq!((&amounts["refunded"], &amounts["reserved"]), (&json!(900), &json!(0)));
    });
}

#[test]
fn a_refund_that_waits_for_an_operator_is_pending_in_every_face() {
    served(async |server| {
        let payment = received(&server, "acct_1").await;
        let [mixvideo, uqpay, unibee, crypto] = in_every_face(&server, &payment, 100, 0);
        let mixvideo = mixvideo.await;
        assert_eq!(mixvideo.data()["status"], "pending");
        assert_eq!(mixvideo.message(), "Refund is being processed");
        assert_eq!(uqpay.await.body["refund_status"], "PROCESSING");
        let crypto = crypto.await.body;
        assert_eq!(crypto["status"], "PROCESSING");
        let id = crypto["_id"].as_str().unwrap();
        let said = json!({ "reference": "0x5c50" });
        server.post_as(&server.operator, &format!("/ops/refunds/{id}/paid"), said).await.data();
        assert_eq!(server.get(&format!("/refunds/{id}")).await.body["status"], "SUCCEEDED");
        // What was given back elsewhere is done.
        assert_eq!(unibee.await.body["data"]["refund"]["status"], 20);
    });
}

#[test]
fn the_key_of_a_refund_is_kept_as_long_as_the_refund() {
    served(async |server| {
        let payment = received(&server, "acct_1").await;
        let key = uuid::Uuid::now_v7().to_string();
        let ask = async || send(uqpay_with(&server, &key, &uqpay_body(&payment, "1"))).await.body;
        let checkout = async || {
            let request =
                server.request(reqwest::Method::POST, "/payment/checkout/noop").header("idempotency-key", "o");
            send(request.json(&crate::payments::order())).await.data()["paymentId"].clone()
        };
        let (refund, bought) = (ask().await, checkout().await);
        let years = server.engine.journal().prune_claims(crate::server::now().plus_ms(100 * 366 * 86_400_000), 1_000);
        assert!(years.await.unwrap() > 0);
        assert_eq!(ask().await["payment_refund_id"], refund["payment_refund_id"]);
        assert_ne!(checkout().await, bought, "what is no refund is forgotten");
    });
}
