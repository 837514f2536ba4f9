//! Templates at Stripe, as the endpoints tell it, against the double.

use reqwest::Method;
use serde_json::{Value, json};

use super::double::{Double, Fault};
use super::selling;
use crate::http::templates::{create, operate, update};
use crate::server::Server;

async fn synced(server: &Server, code: &str) -> Value {
    operate(server, Method::POST, &format!("/templates/sync/{code}"), json!({ "forceUpdate": true }))
        .await
        .data()
        .clone()
}

async fn issues(server: &Server, code: &str) -> Vec<String> {
    let verified = server.get_as(&server.operator, &format!("/templates/verify-sync/{code}")).await;
    let issues = verified.data()["issues"].as_array().unwrap();
    assert_eq!(verified.data()["synced"], issues.is_empty());
    issues.iter().map(|issue| issue.as_str().unwrap().to_owned()).collect()
}

fn prices(double: &Double) -> Vec<(i64, bool)> {
    let shown = |price: &Value| (price["unit_amount"].as_i64().unwrap(), price["active"].as_bool().unwrap());
    double.world().all("price").iter().map(shown).collect()
}

#[test]
fn a_template_becomes_a_product_and_a_price_and_its_changes_follow() {
    selling(async |server, double| {
        let new = json!({ "code": "sold", "name": "Sold", "description": "A film", "workflow": "noop",
            "creditCost": 15, "templateType": "VIDEO" });
        let made = create(&server, new).await;
        let product = double.world().get(made.data()["stripeProductId"].as_str().unwrap()).unwrap();
        assert_eq!(
            (&product["name"], &product["description"], &product["active"]),
            (&json!("Sold"), &json!("A film"), &json!(true))
        );
        assert_eq!(prices(&double), [(1_500, true)]);
        update(&server, "sold", json!({ "creditCost": 20, "description": "Another film" })).await.data();
        assert_eq!(prices(&double), [(2_000, true), (1_500, false)], "the old price is archived");
        update(&server, "sold", json!({ "creditCost": 15 })).await.data();
        assert_eq!(prices(&double), [(2_000, false), (1_500, true)], "an old price is offered again");
        let shown = server.get("/templates/get/sold").await;
        assert_eq!(shown.data()["stripePriceId"], made.data()["stripePriceId"]);
        operate(&server, Method::POST, "/templates/deactivate/sold", json!({})).await.data();
        let active = || double.world().get(product["id"].as_str().unwrap()).unwrap()["active"].clone();
        assert_eq!(active(), false);
        operate(&server, Method::POST, "/templates/activate/sold", json!({})).await.data();
        assert_eq!((active(), issues(&server, "sold").await), (json!(true), vec![]));
        operate(&server, Method::DELETE, "/templates/delete/sold", json!({})).await.data();
        assert_eq!(active(), false, "what is deleted is no longer sold");
    });
}

#[test]
fn what_differs_at_stripe_is_found_and_mended() {
    selling(async |server, double| {
        let known = synced(&server, "film").await;
        let (product, price) = (known["stripeProductId"].as_str().unwrap(), known["stripePriceId"].as_str().unwrap());
        assert_eq!(issues(&server, "film").await, Vec::<String>::new());
        double.world().set(product, "name", json!("Meddled"));
        double.world().set(product, "active", json!(false));
        double.world().set(price, "active", json!(false));
        assert_eq!(
            issues(&server, "film").await,
            [
                "Stripe product is named `Meddled`, the template `AI Video Generator`",
                "Stripe product is archived, the template is active",
                "Stripe price is archived"
            ]
        );
        assert_eq!(synced(&server, "film").await, known, "the same product and price");
        assert_eq!(issues(&server, "film").await, Vec::<String>::new());
        double.world().set(price, "unit_amount", json!(1));
        assert_eq!(issues(&server, "film").await, ["Stripe price is 1 usd, the template's 1000 usd"]);
        synced(&server, "film").await;
        assert_eq!(issues(&server, "film").await, Vec::<String>::new());
        assert_eq!(prices(&double), [(1_000, true), (1, false)]);
        double.world().remove(product);
        assert!(issues(&server, "film").await[0].ends_with("does not exist"));
    });
}

#[test]
fn a_sync_that_is_cut_short_leaves_one_product_and_one_price_and_is_gone_on_with() {
    for (path, fault) in [
        ("/v1/products", Fault::Reset { done: true }),
        ("/v1/prices", Fault::Reset { done: true }),
        ("/v1/prices", Fault::Silence { done: true }),
        ("/v1/prices", Fault::Html502 { done: false }),
        ("/v1/prices", Fault::Stored500),
    ] {
        selling(async |server, double| {
            // The first post changes a product that is not there; the one after makes it.
            if path == "/v1/products" {
                double.fail(path, Fault::Html502 { done: false });
                double.fail(path, fault);
            } else {
                double.fail(path, fault);
            }
            for _ in 0..3 {
                operate(&server, Method::POST, "/templates/sync/film", json!({})).await;
            }
            let known = synced(&server, "film").await;
            assert_eq!(double.world().all("product").len(), 1, "{path} {fault:?}");
            assert_eq!(prices(&double), [(1_000, true)], "{path} {fault:?}");
            assert_eq!(known["synced"], true);
        });
    }
}

#[test]
fn while_stripe_is_away_templates_are_made_and_changed_and_stripe_is_told_later() {
    selling(async |server, double| {
        for _ in 0..2 {
            double.fail("/v1/", Fault::TooMany);
        }
        let new =
            json!({ "code": "sold", "name": "Sold", "workflow": "noop", "creditCost": 15, "templateType": "VIDEO" });
        let made = create(&server, new).await;
        assert_eq!((&made.data()["stripeProductId"], &made.data()["stripePriceId"]), (&Value::Null, &Value::Null));
        assert!(made.data()["warnings"][0].as_str().unwrap().contains("it is tried again by itself"), "{}", made.body);
        let failed = operate(&server, Method::POST, "/templates/sync/sold", json!({})).await;
        assert_eq!((failed.status.as_u16(), failed.header("retry-after")), (503, "5"));
        let status = server.get_as(&server.operator, "/templates/sync-status").await;
        assert_eq!(status.data()["withStripeProduct"], 0);
        // As the look for what is left over does.
        let left = server.templates.untold(super::now(), "", 100).await.unwrap();
        assert!(left.contains(&"sold".to_owned()), "{left:?}");
        assert_eq!(synced(&server, "sold").await["synced"], true);
        let left = server.templates.untold(super::now(), "", 100).await.unwrap();
        assert!(!left.contains(&"sold".to_owned()), "{left:?}");
    });
}

#[test]
fn stripe_is_diagnosed_as_documented() {
    selling(async |server, _| {
        let diagnosed = server.get_as(&server.operator, "/templates/diagnose-stripe").await;
        assert_eq!(diagnosed.message(), "Stripe environment is healthy");
        assert_eq!(
            diagnosed.data(),
            &json!({
                "environment": "test", "apiKeyValid": true, "issues": [],
                "accountInfo": { "chargesEnabled": true, "country": "US" },
                "recommendations": ["Stripe configuration appears healthy"]
            })
        );
    });
}

#[test]
fn all_are_synced_also_in_one_go() {
    selling(async |server, double| {
        let all = server.get_as(&server.operator, "/templates/sync-all-stripe").await;
        assert_eq!(all.data(), &json!({ "successful": 5, "failed": 0, "total": 5 }));
        assert_eq!(double.world().all("product").len(), 5);
        assert_eq!(prices(&double).len(), 5);
        let calls = double.world().seen.len();
        server.get_as(&server.operator, "/templates/sync-all-stripe").await.data();
        assert_eq!(double.world().seen.len(), calls, "what is known is not told again");
    });
}
