//! The same thing done to many templates.

use serde_json::json;

use super::{bulk, operate};
use crate::server::served;
use reqwest::Method;

#[test]
fn what_fails_with_one_does_not_keep_the_others_from_it() {
    served(async |server| {
        let done = bulk(&server, "activate", &["asleep", "none", "lost", "film"]).await;
        assert_eq!(
            done.data(),
            &json!({
                "successful": ["asleep", "film"],
                "failed": [
                    { "code": "none", "error": "There is no template `none`" },
                    { "code": "lost",
                      "error": "The template `lost` cannot run here: its workflow `gone-workflow` is not loaded" },
                ],
                "total": 4,
            })
        );
        assert_eq!(server.get("/templates/get/asleep").await.data()["isActive"], true);
        let gone = bulk(&server, "delete", &["film", "none"]).await;
        assert_eq!((&gone.data()["successful"], &gone.data()["total"]), (&json!(["film"]), &json!(2)));
        assert_eq!(server.get("/templates/get/film").await.status, 404);
        let asleep = bulk(&server, "deactivate", &["asleep"]).await;
        assert_eq!(asleep.data()["successful"], json!(["asleep"]));
        assert_eq!(server.get("/templates/get/asleep").await.data()["isActive"], false);
        let synced = bulk(&server, "sync_stripe", &["none", "still"]).await;
        assert_eq!(synced.data()["failed"][0]["error"], "There is no template `none`");
        assert_eq!(synced.data()["successful"], json!(["still"]));
    });
}

#[test]
fn what_is_no_bulk_operation_is_refused_whole() {
    served(async |server| {
        let ask = async |body| operate(&server, Method::POST, "/templates/bulk", body).await.faults();
        assert_eq!(ask(json!({})).await, ["templateCodes is required", "operation is required"]);
        assert_eq!(
            ask(json!({ "templateCodes": ["film"], "operation": "explode" })).await,
            ["operation must be sync_stripe, activate, deactivate or delete"]
        );
        assert_eq!(
            ask(json!({ "templateCodes": "film", "operation": 7, "force": true })).await,
            ["templateCodes must be a list", "operation must be a text", "force is not known here"]
        );
        let many: Vec<String> = (0..101).map(|n| n.to_string()).collect();
        for (codes, reason) in [
            (json!([]), "must have 1 to 100 entries"),
            (json!(many), "must have 1 to 100 entries"),
            (json!(["film", "film"]), "has `film` twice"),
            (json!([7]), "must be a list of texts of 1 to 64 characters"),
        ] {
            let faults = ask(json!({ "templateCodes": codes, "operation": "delete" })).await;
            assert_eq!(faults, [format!("templateCodes {reason}")]);
        }
        assert_eq!(server.get("/templates/get/film").await.status, 200);
    });
}
