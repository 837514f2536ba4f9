//! The sandbox's shop: what it offers, what it orders, and that it is there with the sandbox only.

use reqwest::Method;
use serde_json::json;

use super::{Bought, does, order};
use crate::crash::service::Service;
use crate::server::{send, served};

#[test]
fn the_shop_shows_what_a_picture_is_enough_for_and_its_price() {
    served(async |server| {
        let page = server.bare(Method::GET, "/sandbox/shop").send().await.unwrap();
        assert_eq!(page.status(), 200);
        assert!(page.headers()["content-security-policy"].to_str().unwrap().starts_with("default-src 'none'"));
        let text = page.text().await.unwrap();
        for shown in [r#"data-code="film""#, r#"data-code="still""#, r#"data-code="noop""#, "10.00 USD"] {
            assert!(text.contains(shown), "{shown} is missing in {text}");
        }
        for hidden in [r#"data-code="asleep""#, r#"data-code="lost""#] {
            assert!(!text.contains(hidden), "{hidden} cannot be ordered");
        }
    });
}

#[test]
fn an_order_is_a_checkout_of_a_client_of_its_own() {
    served(async |server| {
        let answer = send(server.bare(Method::POST, "/sandbox/shop/film").json(&order())).await;
        assert_eq!(answer.message(), "Checkout session created successfully");
        let bought = Bought::of(&answer);
        does(&server, &bought, "pay").await;
        server.until(&bought.path(), |data| data["status"] == "completed").await;
        for other in [&server.client, &server.other] {
            assert_eq!(server.get_as(other, &bought.path()).await.status, 404, "it belongs to the shop");
        }
        let wrong = json!({ "userId": "user_123", "metadata": { "imageUrl": "data:image/png;base64,AAAA" } });
        let wrong = send(server.bare(Method::POST, "/sandbox/shop/film").json(&wrong)).await;
        assert_eq!(wrong.faults().len(), 1, "{}", wrong.body);
        let none = send(server.bare(Method::POST, "/sandbox/shop/none").json(&order())).await;
        assert_eq!(none.status, 404);
    });
}

#[tokio::test]
async fn there_is_no_shop_where_money_moves() {
    let mut service = Service::sqlite().await;
    for (key, value) in [("PAYMENTS__GATEWAY", "stripe"), ("STRIPE__SECRET_KEY", "sk_test_x")] {
        service.set(key, value);
    }
    service.set("STRIPE__WEBHOOK_SECRET", "whsec_x");
    service.set("STRIPE__API_BASE", "http://127.0.0.1:1");
    service.start().await;
    let caller = service.caller.clone();
    assert_eq!(caller.get("/sandbox/shop").await.status, 404);
    let order = caller.request(Method::POST, "/sandbox/shop/film").json(&order());
    assert_eq!(caller.ask(order).await.unwrap().status, 404);
}
