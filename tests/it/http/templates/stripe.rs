//! How templates stand with the gateway, as the rows have it.

use mixvideo_entities::template::{Column, Entity};
use sea_orm::sea_query::Expr;
use sea_orm::{ColumnTrait as _, EntityTrait as _, QueryFilter as _};
use serde_json::json;

use super::{codes, operate, update};
use crate::server::{Server, served};
use reqwest::Method;

/// As if the gateway was told before the template was changed.
async fn told_long_ago(server: &Server, code: &str) {
    let told = Entity::update_many().col_expr(Column::LastStripeSyncAt, Expr::value(1)).filter(Column::Code.eq(code));
    told.exec(&server.database).await.unwrap();
}

#[test]
fn a_template_is_synced_until_it_changes() {
    served(async |server| {
        operate(&server, Method::POST, "/templates/sync/film", json!({})).await.data();
        let status = server.get_as(&server.operator, "/templates/sync-status").await;
        let data = status.data();
        assert_eq!((&data["withStripeProduct"], &data["needsSync"]), (&json!(1), &json!(3)));
        let film = data["templates"].as_array().unwrap().iter().find(|one| one["code"] == "film").unwrap();
        assert_eq!(film["hasStripeProduct"], true);
        assert!(film["lastStripeSyncAt"].as_str().unwrap().ends_with('Z'));
        let before = server.get("/templates/get/film").await;
        told_long_ago(&server, "film").await;
        // What was read a moment ago is forgotten by any change.
        server.templates.delete("none", crate::server::now()).await.unwrap();
        let changed = server.get_as(&server.operator, "/templates/verify-sync/film").await;
        assert_eq!(changed.data()["issues"], json!(["Template has changed since Stripe was told of it"]));
        let updated = update(&server, "film", json!({ "name": "New" })).await;
        assert_eq!(updated.data()["stripeSynced"], true, "whoever changes it tells the gateway");
        let shown = server.get("/templates/get/film").await;
        assert_eq!(shown.data()["stripeProductId"], before.data()["stripeProductId"]);
        assert_eq!(shown.data()["stripePriceId"], before.data()["stripePriceId"], "the price is the same");
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
