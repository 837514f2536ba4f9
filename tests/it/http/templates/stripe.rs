//! What is told of Stripe without a gateway, and what the rows say once there was one.

use mixvideo_entities::template::{Column, Entity};
use sea_orm::sea_query::Expr;
use sea_orm::{ColumnTrait as _, EntityTrait as _, QueryFilter as _};
use serde_json::json;

use super::{codes, update};
use crate::server::{Server, now, served};

/// As a gateway would leave it.
async fn synced(server: &Server, code: &str, at: i64) {
    let told = Entity::update_many()
        .col_expr(Column::StripeProductId, Expr::value("prod_1"))
        .col_expr(Column::StripePriceId, Expr::value("price_1"))
        .col_expr(Column::LastStripeSyncAt, Expr::value(at))
        .filter(Column::Code.eq(code));
    told.exec(&server.database).await.unwrap();
}

#[test]
fn a_template_is_synced_until_it_changes() {
    served(async |server| {
        synced(&server, "film", now().0 + 60_000).await;
        let status = server.get_as(&server.operator, "/templates/sync-status").await;
        let data = status.data();
        assert_eq!((&data["withStripeProduct"], &data["needsSync"]), (&json!(1), &json!(3)));
        let film = data["templates"].as_array().unwrap().iter().find(|one| one["code"] == "film").unwrap();
        assert_eq!(film["hasStripeProduct"], true);
        assert!(film["lastStripeSyncAt"].as_str().unwrap().ends_with('Z'));
        let verified = server.get_as(&server.operator, "/templates/verify-sync/film").await;
        assert_eq!(
            verified.data(),
            &json!({
                "templateCode": "film", "synced": true, "issues": [], "stripeProductId": "prod_1",
                "stripePriceId": "price_1", "recommendations": ["Template is properly synced with Stripe"]
            })
        );
        synced(&server, "still", 1).await;
        let changed = server.get_as(&server.operator, "/templates/verify-sync/still").await;
        assert_eq!(changed.data()["synced"], false);
        assert_eq!(changed.data()["issues"], json!(["Template has changed since Stripe was told of it"]));
        let updated = update(&server, "still", json!({ "name": "New" })).await;
        assert_eq!(updated.data()["stripeSynced"], false);
        let shown = server.get("/templates/get/still").await;
        assert_eq!(shown.data()["stripeProductId"], "prod_1", "a change keeps what Stripe gave");
    });
}

#[test]
fn the_sync_status_is_read_page_by_page() {
    served(async |server| {
        let first = server.get_as(&server.operator, "/templates/sync-status?limit=3").await;
        assert_eq!(codes(first.data()), ["asleep", "film", "lost"]);
        let rest = server.get_as(&server.operator, "/templates/sync-status?limit=3&cursor=lost").await;
        assert_eq!((codes(rest.data()), &rest.data()["totalTemplates"]), (vec!["noop", "still"], &json!(5)));
    });
}
