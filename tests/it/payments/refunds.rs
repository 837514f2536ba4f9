//! Money that goes back because somebody asks.

use reqwest::Method;
use serde_json::{Value, json};

use super::{actor, buy, paid, quiet};
use crate::server::{Server, send, served};

async fn refund(server: &Server, id: &str, body: Value) -> crate::server::Answer {
    server.post(&format!("/payment/refund/{id}"), body).await
}

#[test]
fn the_documented_refund_gives_everything_back() {
    served(async |server| {
        let bought = paid(&server, "noop").await;
        let body =
            json!({ "reason": "user_request", "amount": 1000, "metadata": { "note": "Customer requested refund" } });
        let refunded = refund(&server, &bought.id, body).await;
        assert_eq!(refunded.message(), "Refund processed successfully");
        assert_eq!((&refunded.data()["amount"], &refunded.data()["status"]), (&json!(1000), &json!("succeeded")));
        assert!(refunded.data()["refundId"].as_str().unwrap().starts_with("re_"));
        let shown = server.until(&bought.path(), |data| data["status"] == "refunded").await;
        assert_eq!(shown["refundedAmount"], 1000);
        let again = refund(&server, &bought.id, json!({ "reason": "duplicate" })).await;
        assert_eq!(again.status, 400);
        assert!(again.message().to_lowercase().contains("nothing is left"), "{}", again.body);
    });
}

#[test]
fn parts_add_up_to_what_was_paid_and_not_to_more() {
    served(async |server| {
        let bought = paid(&server, "noop").await;
        let part = async |amount: i64| {
            refund(&server, &bought.id, json!({ "reason": "user_request", "amount": amount })).await
        };
        assert_eq!(part(300).await.data()["status"], "succeeded");
        server.until(&bought.path(), |data| data["refundedAmount"] == 300).await;
        assert_eq!(server.get(&bought.path()).await.data()["status"], "completed");
        let much = part(701).await;
        assert_eq!(much.faults().len(), 1, "{}", much.body);
        assert!(much.message().contains("7.00 usd left"), "{}", much.body);
        // All that is left.
        let rest = refund(&server, &bought.id, json!({ "reason": "user_request" })).await;
        assert_eq!(rest.data()["amount"], 700);
        server.until(&bought.path(), |data| data["status"] == "refunded").await;
    });
}

#[test]
fn refunds_that_race_never_give_back_more_than_was_paid() {
    served(async |server| {
        let bought = paid(&server, "noop").await;
        let one = || refund(&server, &bought.id, json!({ "reason": "user_request", "amount": 600 }));
        let answers = futures_util::future::join_all((0..6).map(|_| one())).await;
        let succeeded =
            answers.iter().filter(|answer| answer.status == 200 && answer.body["data"]["status"] == "succeeded");
        assert_eq!(succeeded.count(), 1, "{:?}", answers.iter().map(|answer| &answer.body).collect::<Vec<_>>());
        assert!(answers.iter().filter(|answer| answer.status != 200).all(|answer| answer.status == 400));
        quiet(&server).await;
        let amounts = actor(&server, "payment", &bought.id).await["state"]["amounts"].clone();
        assert_eq!((&amounts["refunded"], &amounts["reserved"]), (&json!(600), &json!(0)));
    });
}

#[test]
fn the_same_key_again_is_the_same_refund() {
    served(async |server| {
        let bought = paid(&server, "noop").await;
        let post = async || {
            let request = server.request(Method::POST, &format!("/payment/refund/{}", bought.id));
            send(request.header("idempotency-key", "r1").json(&json!({ "reason": "user_request", "amount": 100 })))
                .await
        };
        let (first, second) = tokio::join!(post(), post());
        assert_eq!(first.data(), second.data());
        assert_eq!(post().await.data(), first.data());
        quiet(&server).await;
        assert_eq!(actor(&server, "payment", &bought.id).await["state"]["amounts"]["refunded"], 100);
    });
}

#[test]
fn everything_wrong_with_a_refund_is_said() {
    served(async |server| {
        let bought = paid(&server, "noop").await;
        let faults = async |body: Value| refund(&server, &bought.id, body).await.faults();
        assert_eq!(faults(json!({})).await, ["reason is required"]);
        assert_eq!(
            faults(json!({ "reason": "because" })).await,
            ["reason must be user_request, technical_issue, duplicate or fraudulent"]
        );
        for amount in [json!(0), json!(-5), json!(1.5), json!("10")] {
            assert!(faults(json!({ "reason": "duplicate", "amount": amount })).await[0].starts_with("amount must be"));
        }
        assert_eq!(refund(&server, "pay_x", json!({ "reason": "duplicate" })).await.status, 404);
        let unpaid = buy(&server, "noop").await;
        let refused = refund(&server, &unpaid.id, json!({ "reason": "duplicate" })).await;
        assert_eq!((refused.status.as_u16(), refused.message().starts_with("Nothing was paid")), (400, true));
        let refunds = server.get_as(&server.operator, "/ops/actors?kind=refund").await;
        assert_eq!(refunds.data()["actors"], json!([]), "nothing was written");
    });
}

#[test]
fn the_table_itself_refuses_more_promises_than_came_in() {
    use mixvideo_entities::payment::{Column, Entity};
    use sea_orm::sea_query::Expr;
    use sea_orm::{ColumnTrait as _, EntityTrait as _, QueryFilter as _};
    served(async |server| {
        let bought = paid(&server, "noop").await;
        let promise = async |minor: i64| {
            let update = Entity::update_many().col_expr(Column::Reserved, Expr::value(minor));
            update.filter(Column::Id.eq(&bought.id)).exec(&server.database).await
        };
        assert!(promise(1_001).await.is_err());
        assert!(promise(-1).await.is_err());
        assert_eq!(promise(1_000).await.unwrap().rows_affected, 1);
    });
}
