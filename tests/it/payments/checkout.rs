//! From the checkout to the execution.

use reqwest::Method;
use serde_json::{Value, json};

use super::{Bought, actor, buy, does, order, paid, quiet, tasks};
use crate::server::{PICTURE, send, served};

#[test]
fn the_documented_checkout_is_answered_as_documented_and_paying_it_starts_the_execution() {
    served(async |server| {
        let answer = server.post("/payment/checkout/film", order()).await;
        assert_eq!(answer.message(), "Checkout session created successfully");
        assert_eq!(answer.header("cache-control"), "no-store");
        let bought = Bought::of(&answer);
        assert!(bought.id.starts_with("pay_") && bought.url.contains(&bought.session));
        let waiting = server.get(&bought.path()).await;
        assert_eq!(waiting.message(), "Payment details retrieved successfully");
        let shown = waiting.data();
        assert_eq!((&shown["status"], &shown["executionId"]), (&json!("pending"), &Value::Null));
        assert_eq!((&shown["amount"], &shown["currency"]), (&json!(1000), &json!("usd")));
        assert_eq!((&shown["templateCode"], &shown["userId"]), (&json!("film"), &json!("user_123")));
        assert_eq!(shown["stripeSessionId"], json!(bought.session));
        let digits = bought.id.strip_prefix("pay_").unwrap();
        assert_eq!(shown["invoiceId"], format!("inv_{digits}"));
        assert_eq!(shown["attemptId"], format!("att_{digits}"));
        assert_eq!((&shown["receiverId"], &shown["attention"]), (&json!("platform"), &json!(false)));
        assert_eq!(tasks(&server).await, 0, "nothing is executed before it is paid");

        does(&server, &bought, "pay").await;
        let shown = server.until(&bought.path(), |data| data["status"] == "completed").await;
        let execution = shown["executionId"].as_str().unwrap();
        let task = shown["taskId"].as_str().unwrap();
        assert_eq!(execution.strip_prefix("exec_"), task.strip_prefix("task_"));
        let made = server.until(&format!("/task/{task}"), |data| data["status"] == "completed").await;
        assert!(made["result"]["videoUrl"].is_string());
        let request = &actor(&server, "task", task).await["state"]["request"];
        assert_eq!((&request["payment"], &request["user_id"]), (&json!(bought.id), &json!("user_123")));
        server
            .until(&format!("/ops/actors/payment/{}", bought.id), |data| data["state"]["standing"] == "completed")
            .await;
        assert_eq!(tasks(&server).await, 1);
    });
}

#[test]
fn everything_wrong_with_a_checkout_is_said_before_anything_exists() {
    served(async |server| {
        let post =
            async |template: &str, body: Value| server.post(&format!("/payment/checkout/{template}"), body).await;
        assert_eq!(post("film", json!({})).await.faults(), ["userId is required"]);
        assert_eq!(
            post("film", json!({ "userId": 5, "metadata": [] })).await.faults(),
            ["userId must be a text", "metadata must be an object"]
        );
        let many: serde_json::Map<String, Value> = (0..51).map(|key| (format!("k{key}"), json!(1))).collect();
        assert_eq!(
            post("film", json!({ "userId": "u", "metadata": many })).await.faults(),
            ["metadata must have at most 50 keys"]
        );
        let large = "x".repeat(256 * 1024);
        let body = json!({ "userId": "u", "metadata": { "imageUrl": PICTURE, "note": large } });
        assert_eq!(post("film", body).await.status, 413);
        let missing = post("film", json!({ "userId": "u" })).await;
        assert_eq!(missing.faults(), ["metadata.imageUrl is required"]);
        let body = json!({ "userId": "u", "metadata": { "imageUrl": "http://127.0.0.1/x.png" } });
        assert!(post("film", body).await.faults()[0].starts_with("metadata.imageUrl is not taken"));
        assert_eq!(post("nowhere", order()).await.status, 404);
        assert_eq!(post("asleep", order()).await.status, 400);
        assert_eq!(post("lost", order()).await.status, 400);
        let nobody = send(server.bare(Method::POST, "/payment/checkout/film").json(&order())).await;
        assert_eq!(nobody.status, 401);
        let payments = server.get_as(&server.operator, "/ops/actors?kind=payment").await;
        assert_eq!(payments.data()["actors"], json!([]), "nothing exists");
    });
}

#[test]
fn the_same_key_and_body_again_is_the_same_session_and_another_body_is_422() {
    served(async |server| {
        let post = async |body: Value| {
            let request = server.request(Method::POST, "/payment/checkout/film").header("idempotency-key", "k1");
            send(request.json(&body)).await
        };
        let (first, second) = tokio::join!(post(order()), post(order()));
        let third = post(order()).await;
        assert_eq!(first.data(), second.data());
        assert_eq!(first.data(), third.data());
        assert_eq!(third.header("idempotent-replayed"), "true");
        let mut other = order();
        other["userId"] = json!("somebody else");
        assert_eq!(post(other).await.status, 422);
        let payments = server.get_as(&server.operator, "/ops/actors?kind=payment").await;
        assert_eq!(payments.data()["actors"].as_array().unwrap().len(), 1);
    });
}

#[test]
fn a_template_that_costs_nothing_is_executed_without_a_gateway() {
    served(async |server| {
        let change = json!({ "creditCost": 0 });
        let update = server.bare(Method::PUT, "/templates/update/noop").bearer_auth(&server.operator).json(&change);
        send(update).await.data();
        let bought = loop {
            let bought = buy(&server, "noop").await;
            if server.get(&bought.path()).await.data()["amount"] == 0 {
                break bought;
            }
            tokio::time::sleep(std::time::Duration::from_millis(50)).await;
        };
        let shown = server.get(&bought.path()).await;
        assert_eq!((&shown.data()["status"], &shown.data()["stripeSessionId"]), (&json!("completed"), &Value::Null));
        let back = bought.url.split_once("/payment/").unwrap().1;
        let success = server.get(&format!("/payment/{back}")).await;
        assert_eq!(success.data()["payment"]["status"], "completed");
        assert!(success.data()["execution"]["taskId"].is_string());
    });
}

#[test]
fn a_payment_belongs_to_whoever_asked_for_it() {
    served(async |server| {
        let bought = paid(&server, "noop").await;
        assert_eq!(server.get_as(&server.other, &bought.path()).await.status, 404);
        assert_eq!(server.get_as(&server.operator, &bought.path()).await.status, 200);
        let history = server.get("/payment/history?userId=user_123").await;
        assert_eq!(history.message(), "Payment history retrieved successfully");
        let listed = &history.data()["payments"][0];
        assert_eq!(history.data()["total"], 1);
        assert_eq!(
            (&listed["id"], &listed["status"], &listed["amount"], &listed["currency"], &listed["templateCode"]),
            (&json!(bought.id), &json!("completed"), &json!(1000), &json!("usd"), &json!("noop"))
        );
        assert_eq!(server.get_as(&server.other, "/payment/history?userId=user_123").await.data()["total"], 0);
        assert_eq!(server.get("/payment/history").await.faults(), ["userId is required"]);
        let refund = format!("/payment/refund/{}", bought.id);
        assert_eq!(server.post_as(&server.other, &refund, json!({ "reason": "duplicate" })).await.status, 404);
        let health = server.bare(Method::GET, "/payment/health");
        let health = send(health).await;
        assert_eq!(health.message(), "Payment service is healthy");
        assert_eq!(health.data()["service"], "PaymentController");
    });
}

#[test]
fn an_execution_that_fails_for_good_is_paid_back_by_itself() {
    served(async |server| {
        let bought = buy(&server, "film").await;
        let task = actor(&server, "payment", &bought.id).await["state"]["task"].as_str().unwrap().to_owned();
        server.fail(&task);
        does(&server, &bought, "pay").await;
        let shown = server.until(&bought.path(), |data| data["status"] == "refunded").await;
        assert_eq!(shown["refundedAmount"], 1000);
        let refund = format!("re_{}", bought.id.strip_prefix("pay_").unwrap());
        let refund = actor(&server, "refund", &refund).await;
        assert_eq!(refund["state"]["request"]["reason"], "technical_issue");
        quiet(&server).await;
        let refunds = server.get_as(&server.operator, "/ops/actors?kind=refund").await;
        assert_eq!(refunds.data()["actors"].as_array().unwrap().len(), 1);
    });
}
