//! The payer comes back, before or after the gateway's webhook.

use reqwest::Method;
use serde_json::{Value, json};

use super::{buy, does, paid, quiet, tasks};
use crate::server::{send, served};

#[test]
fn coming_back_before_paying_says_so_and_starts_nothing() {
    served(async |server| {
        let bought = buy(&server, "noop").await;
        let back = send(server.bare(Method::GET, &bought.back("success"))).await;
        assert_eq!((&back.data()["payment"]["status"], &back.data()["execution"]), (&json!("pending"), &Value::Null));
        assert!(back.message().contains("not arrived"), "{}", back.body);
        assert_eq!(back.header("cache-control"), "no-store");
        assert_eq!(tasks(&server).await, 0);
    });
}

#[test]
fn coming_back_after_paying_is_answered_as_documented_however_often() {
    served(async |server| {
        let bought = buy(&server, "noop").await;
        does(&server, &bought, "pay").await;
        for _ in 0..3 {
            // The gateway is asked: whether its webhook was faster does not matter.
            let back = send(server.bare(Method::GET, &bought.back("success"))).await;
            assert_eq!(back.message(), "Payment successful, template execution started");
            let payment = &back.data()["payment"];
            assert_eq!(payment, &json!({ "id": bought.id, "status": "completed", "templateCode": "noop" }));
            assert!(back.data()["execution"]["executionId"].as_str().unwrap().starts_with("exec_"));
        }
        quiet(&server).await;
        assert_eq!(tasks(&server).await, 1);
    });
}

#[test]
fn a_session_opens_its_own_payment_and_no_other() {
    served(async |server| {
        let (one, two) = (buy(&server, "noop").await, buy(&server, "noop").await);
        for place in ["success", "cancel"] {
            let at = async |query: String| send(server.bare(Method::GET, &format!("/payment/{place}{query}"))).await;
            assert_eq!(at(format!("?session_id={}&payment_id={}", one.session, two.id)).await.status, 404);
            assert_eq!(at(format!("?session_id=cs_x&payment_id={}", one.id)).await.status, 404);
            assert_eq!(at(format!("?session_id={}&payment_id=pay_x", one.session)).await.status, 404);
            assert_eq!(at(format!("?payment_id={}", one.id)).await.faults(), ["session_id is required"]);
            assert_eq!(at(format!("?session_id={}", one.session)).await.faults(), ["payment_id is required"]);
        }
        assert_eq!(server.get(&one.path()).await.data()["status"], "pending", "nothing changed");
        let head = server.bare(Method::HEAD, &one.back("success")).send().await.unwrap();
        assert_eq!(head.status(), 405);
    });
}

#[test]
fn cancelling_closes_the_session_so_that_nobody_can_pay_any_more() {
    served(async |server| {
        let bought = buy(&server, "noop").await;
        for _ in 0..2 {
            let cancelled = send(server.bare(Method::GET, &bought.back("cancel"))).await;
            assert_eq!(cancelled.message(), "Payment cancelled");
            assert_eq!(cancelled.data()["payment"]["status"], "cancelled");
            assert_eq!(cancelled.data()["payment"]["id"], json!(bought.id));
        }
        let pay = send(server.bare(Method::POST, &format!("/sandbox/checkout/{}/pay", bought.session))).await;
        assert_eq!(pay.status, 409);
        assert_eq!(tasks(&server).await, 0);
    });
}

#[test]
fn what_is_paid_cannot_be_cancelled() {
    served(async |server| {
        let bought = paid(&server, "noop").await;
        let refused = send(server.bare(Method::GET, &bought.back("cancel"))).await;
        assert_eq!(refused.status, 409);
        assert!(refused.message().contains("can no longer be cancelled"), "{}", refused.body);
        // Nor what was paid a moment ago, before its webhook came: the gateway is asked, not the browser.
        let bought = buy(&server, "noop").await;
        does(&server, &bought, "pay").await;
        assert_eq!(send(server.bare(Method::GET, &bought.back("cancel"))).await.status, 409);
        assert_eq!(server.get(&bought.path()).await.data()["status"], "completed");
    });
}

#[test]
fn a_browser_gets_a_page_that_loads_nothing_from_elsewhere() {
    served(async |server| {
        let bought = paid(&server, "noop").await;
        let page =
            server.bare(Method::GET, &bought.back("success")).header("accept", "text/html").send().await.unwrap();
        assert_eq!(page.status(), 200);
        assert!(page.headers()["content-type"].to_str().unwrap().starts_with("text/html"));
        assert!(page.headers()["content-security-policy"].to_str().unwrap().starts_with("default-src 'none'"));
        assert_eq!(page.headers()["referrer-policy"], "no-referrer");
        let text = page.text().await.unwrap();
        assert!(text.contains("<progress") && !text.contains("https://"), "{text}");
    });
}
