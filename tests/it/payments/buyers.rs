//! People who signed in buy for themselves.

use serde_json::{Value, json};

use super::{Bought, does, order};
use crate::oidc::signing;
use crate::server::PICTURE;

const CHECKOUT: &str = "/payment/checkout/noop";

#[test]
fn who_signed_in_buys_for_themselves_and_nobody_else_sees_it() {
    signing(async |signing| {
        let server = &signing.server;
        let ((ada, ada_id), (bea, bea_id)) = (signing.token_of("ada").await, signing.token_of("bea").await);
        let opened = server.post_as(&ada, CHECKOUT, json!({ "metadata": { "imageUrl": PICTURE } })).await;
        let bought = Bought::of(&opened);
        does(server, &bought, "pay").await;
        server.until(&bought.path(), |data| data["status"] == "completed").await;
        let shown = server.get_as(&ada, &bought.path()).await;
        assert_eq!(shown.data()["userId"], json!(ada_id));
        let task = format!("/task/{}", shown.data()["taskId"].as_str().unwrap());
        server.until(&task, |data| data["status"] == "completed").await;
        assert_eq!(server.get_as(&ada, &task).await.status, 200);
        for path in [bought.path(), task] {
            assert_eq!(server.get_as(&bea, &path).await.status, 404, "{path}");
            assert_eq!(server.get_as(&server.client, &path).await.status, 404, "{path}");
        }
        let history =
            async |token: &str, user: &str| server.get_as(token, &format!("/payment/history?userId={user}")).await;
        let own = history(&ada, &ada_id).await;
        assert_eq!((&own.data()["total"], &own.data()["payments"][0]["id"]), (&json!(1), &json!(bought.id)));
        assert_eq!(history(&bea, &bea_id).await.data()["total"], 0);
        assert_eq!(history(&bea, &ada_id).await.status, 404);
    });
}

#[test]
fn who_signed_in_neither_buys_for_another_nor_gives_money_back() {
    signing(async |signing| {
        let server = &signing.server;
        let (ada, ada_id) = signing.token_of("ada").await;
        let mut other = order();
        assert_eq!(server.post_as(&ada, CHECKOUT, other.clone()).await.status, 403);
        other["userId"] = json!(ada_id);
        let bought = Bought::of(&server.post_as(&ada, CHECKOUT, other).await);
        does(server, &bought, "pay").await;
        server.until(&bought.path(), |data| data["status"] == "completed").await;
        let refund = json!({ "reason": "user_request" });
        let refused = server.post_as(&ada, &format!("/payment/refund/{}", bought.id), refund).await;
        assert_eq!(refused.status, 403, "{}", refused.body);
        assert_eq!(server.get_as(&ada, &bought.path()).await.data()["refundedAmount"], 0);
    });
}

#[test]
fn a_person_sees_what_an_application_bought_for_them() {
    signing(async |signing| {
        let server = &signing.server;
        let (ada, ada_id) = signing.token_of("ada").await;
        let mut order = order();
        order["userId"] = json!(ada_id);
        let bought = Bought::of(&server.post(CHECKOUT, order).await);
        let shown = server.get_as(&ada, &bought.path()).await;
        assert_eq!((&shown.data()["status"], &shown.data()["executionId"]), (&json!("pending"), &Value::Null));
        let history = server.get_as(&ada, &format!("/payment/history?userId={ada_id}")).await;
        assert_eq!(history.data()["total"], 1);
    });
}
