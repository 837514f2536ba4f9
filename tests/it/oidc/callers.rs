//! People as callers: what is theirs, and what is not.

use reqwest::Method;
use serde_json::{Value, json};

use super::{Signing, signing, text};
use crate::server::PICTURE;

async fn free_template(signing: &Signing) {
    let body = json!({
        "code": "gift", "name": "Gift", "description": "Costs nothing", "workflow": "noop", "creditCost": 0,
        "version": "1.0.0", "templateType": "VIDEO"
    });
    signing.server.post_as(&signing.server.operator, "/templates", body).await.data();
    let on = signing.server.post_as(&signing.server.operator, "/templates/activate/gift", json!({})).await;
    assert_eq!(on.status, 200, "{}", on.body);
}

fn task(template: &str) -> Value {
    json!({ "type": "video_generation", "templateCode": template, "parameters": { "imageUrl": PICTURE } })
}

#[test]
fn who_signed_in_runs_what_costs_nothing_and_is_asked_to_pay_for_the_rest() {
    signing(async |signing| {
        free_template(&signing).await;
        let (ada, ada_id) = signing.token_of("ada").await;
        let server = &signing.server;
        for (path, body) in [
            ("/task", task("film")),
            ("/task/x", task("film")),
            ("/templates/execute/film", json!({ "imageUrl": PICTURE })),
        ] {
            let answer = server.post_as(&ada, path, body).await;
            assert_eq!(answer.status, 402, "{path}: {}", answer.body);
            assert_eq!(answer.header("x-error-code"), "payment_required");
        }
        let started = server.post_as(&ada, "/templates/execute/gift", json!({})).await;
        let id = text(&started.data()["taskId"]);
        let list = server.get_as(&ada, &format!("/templates/executions/user/{ada_id}")).await;
        assert_eq!(list.data()["total"], 1, "the task is not for the user: {}", list.body);
        assert_eq!(server.get_as(&ada, &format!("/task/{id}")).await.status, 200);
        let other = server.post_as(&ada, "/templates/execute/gift", json!({ "userId": "user_other" })).await;
        assert_eq!(other.status, 403, "{}", other.body);
        assert_eq!(server.post("/task", task("film")).await.status, 200, "a client pays by other means");
    });
}

#[test]
fn who_signed_in_buys_for_nobody_else_and_asks_for_no_refund() {
    signing(async |signing| {
        let (ada, ada_id) = signing.token_of("ada").await;
        let checkout = async |user_id: &str| {
            let body = json!({ "userId": user_id, "metadata": { "imageUrl": PICTURE } });
            signing.server.post_as(&ada, "/payment/checkout/film", body).await.status.as_u16()
        };
        let own = checkout(&ada_id).await;
        assert!(![401, 402, 403, 404].contains(&own), "a user cannot buy what costs something: {own}");
        assert_eq!(checkout("user_other").await, 403);
        let history = async |user_id: &str| {
            signing.server.get_as(&ada, &format!("/payment/history?userId={user_id}")).await.status.as_u16()
        };
        assert_eq!((history(&ada_id).await, history("user_other").await), (200, 404));
        let refund = signing.server.post_as(&ada, "/payment/refund/pay_x", json!({ "reason": "user_request" })).await;
        assert_eq!(refund.status, 403, "{}", refund.body);
    });
}

#[test]
fn what_is_anothers_is_not_found() {
    signing(async |signing| {
        free_template(&signing).await;
        let (ada, ada_id) = signing.token_of("ada").await;
        let (bea, _) = signing.token_of("bea").await;
        let server = &signing.server;
        let held = server.hold("mine", 0.5);
        assert_eq!(server.post_as(&ada, "/task/mine", task("gift")).await.status, 200);
        server.make("shops", "noop", "completed").await;
        let mut body = task("gift");
        body["userId"] = json!(ada_id);
        assert_eq!(server.post("/task/for-ada", body).await.status, 200);
        for path in ["/task/mine", "/templates/execution/mine/progress", "/task/mine/events", "/task/for-ada"] {
            for stranger in [&bea, &server.other] {
                let theirs = server.get_as(stranger, path).await;
                assert_eq!(theirs.status, 404, "{path}");
            }
        }
        let cancel = server.post_as(&bea, "/task/mine/cancel", json!({})).await;
        assert_eq!(cancel.status, 404);
        let list = server.get_as(&bea, &format!("/templates/executions/user/{ada_id}")).await;
        assert_eq!(list.status, 404);
        assert_eq!(server.get_as(&ada, "/task/shops").await.status, 404);
        assert_eq!(server.get_as(&ada, "/task/for-ada").await.status, 200, "a client made it for this user");
        assert_eq!(server.get_as(&ada, "/task/mine").await.status, 200);
        held.add_permits(1);
    });
}

#[test]
fn on_every_route_what_is_anothers_is_not_found() {
    use mixvideo::auth::roles::{ROUTES, Role};
    signing(async |signing| {
        free_template(&signing).await;
        let server = &signing.server;
        let (ada, ada_id) = signing.token_of("ada").await;
        let (bea, _) = signing.token_of("bea").await;
        let held = server.hold("mine", 0.5);
        assert_eq!(server.post_as(&ada, "/task/mine", task("gift")).await.status, 200);
        let order = json!({ "userId": ada_id, "metadata": { "imageUrl": PICTURE } });
        let payment = text(&server.post_as(&ada, "/payment/checkout/gift", order).await.data()["paymentId"]);
        let mut walked = 0;
        for route in ROUTES.iter().filter(|route| route.access.admits(Role::User)) {
            let path = route.path.replace("{taskId}", "mine").replace("{paymentId}", &payment);
            let path = path.replace("{userId}", &ada_id);
            // What names nothing of anybody is walked by the others; a new task's id is its maker's choice.
            if path == route.path || route.method.names() == ["POST"] && route.path == "/task/{taskId}" {
                continue;
            }
            for name in route.method.names() {
                walked += 1;
                let ask = |token: &str| {
                    let request = server.bare(name.parse().unwrap(), &path).bearer_auth(token);
                    crate::server::send(if *name == "POST" { request.json(&json!({})) } else { request })
                };
                let theirs = ask(&bea).await;
                assert_eq!(theirs.status, 404, "{name} {path}: {}", theirs.body);
                // A stream of what has not ended does not end either.
                if !path.ends_with("/events") {
                    let own = ask(&ada).await;
                    assert!(own.status.is_success(), "{name} {path}: {}", own.body);
                }
            }
        }
        assert!(walked >= 6, "{walked} routes name something of somebody's");
        held.add_permits(1);
    });
}

#[test]
fn people_are_let_in_where_the_table_says() {
    use mixvideo::auth::roles::{Access, ROUTES, Role};
    signing(async |signing| {
        for route in ROUTES {
            // Every route gets users of its own: one of them revokes what it is called with.
            let path = crate::http::example_path(route.path);
            for name in route.method.names() {
                let (token, _) = signing.token_of("ada").await;
                let method: Method = name.parse().unwrap();
                let answer = crate::server::send(signing.server.bare(method, &path).bearer_auth(&token)).await;
                let status = answer.status.as_u16();
                let shown = format!("{name} {path}: {status} {}", answer.body);
                if route.access.admits(Role::User) {
                    assert!(status != 401 && (status != 403 || path.starts_with("/files")), "{shown}");
                } else {
                    assert_eq!(status, 403, "{shown}");
                    assert_ne!(route.access, Access::Open);
                }
                assert!(status < 500, "{shown}");
            }
        }
    });
}
