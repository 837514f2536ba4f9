//! Every example of the Template Controller, field by field, with payments through the sandbox. `stripe/templates.rs` has
//! those that are about Stripe against its double.

use reqwest::Method;
use serde_json::{Value, json};

use super::{bulk, create, delete, operate, update};
use crate::http::documented::{as_documented, without};
use crate::server::{PICTURE, served};

#[test]
fn get_templates() {
    served(async |server| {
        as_documented(
            &server.get("/templates").await,
            json!({
                "code": 200, "message": "Templates retrieved successfully",
                "data": {
                    "templates": [{
                        "code": "template_001", "name": "AI Video Generator",
                        "description": "Generate videos from images using AI", "creditCost": 10,
                        "templateType": "VIDEO", "isActive": true, "tags": ["ai", "video", "generation"]
                    }],
                    "total": 1
                }
            }),
        );
    });
}

#[test]
fn get_templates_get_code() {
    served(async |server| {
        // What the example leaves out of what was written is shown as well.
        let more = ["version", "tags", "settings", "revision", "stripePriceId", "updatedAt"];
        as_documented(
            &without(server.get("/templates/get/film").await, &more),
            json!({
                "code": 200, "message": "Template retrieved successfully",
                "data": {
                    "code": "template_001", "name": "AI Video Generator",
                    "description": "Generate videos from images using AI", "creditCost": 10,
                    "templateType": "VIDEO", "workflow": "video-generation-workflow", "isActive": true,
                    "stripeProductId": null, "createdAt": "2024-01-01T00:00:00Z"
                }
            }),
        );
    });
}

#[test]
fn post_templates() {
    served(async |server| {
        let example = json!({
            "code": "template_002", "name": "New Template", "description": "Template description",
            "workflow": "workflow-name", "creditCost": 15, "version": "1.0.0", "templateType": "IMAGE",
            "tags": ["new", "template"], "imageModel": "dall-e-3", "imagePrompt": "Generate image based on: {prompt}"
        });
        let made = create(&server, example.clone()).await;
        // The example's workflow is not loaded here.
        assert_eq!(
            made.data()["warnings"],
            json!(["the template is inactive and cannot run here: its workflow `workflow-name` is not loaded"])
        );
        as_documented(
            &without(made, &["warnings"]),
            json!({
                "code": 200, "message": "Template created successfully",
                "data": { "code": "template_002", "stripeProductId": "prod_yyy", "stripePriceId": "price_yyy" }
            }),
        );
        let shown = server.get("/templates/get/template_002").await;
        for (field, value) in example.as_object().unwrap() {
            assert_eq!(&shown.data()[field], value, "{field}");
        }
        assert_eq!(shown.data()["isActive"], false);
        let mut runs = example;
        runs["code"] = json!("template_003");
        runs["workflow"] = json!("image-generation-workflow");
        runs.as_object_mut().unwrap().retain(|field, _| !field.starts_with("image"));
        let made = create(&server, runs).await;
        assert!(made.data()["stripeProductId"].as_str().unwrap().starts_with("prod_"), "{}", made.body);
        assert!(made.data()["stripePriceId"].as_str().unwrap().starts_with("price_"), "{}", made.body);
        assert_eq!(server.get("/templates/get/template_003").await.data()["isActive"], true);
    });
}

#[test]
fn put_templates_update_code() {
    served(async |server| {
        let example = json!({
            "name": "Updated Template Name", "description": "Updated description", "creditCost": 20, "isActive": true
        });
        let updated = update(&server, "asleep", example.clone()).await;
        as_documented(
            &updated,
            json!({
                "code": 200, "message": "Template updated successfully",
                "data": { "updated": true, "stripeSynced": true }
            }),
        );
        assert_eq!(updated.data(), &json!({ "updated": true, "stripeSynced": true }));
        let shown = server.get("/templates/get/asleep").await;
        for (field, value) in example.as_object().unwrap() {
            assert_eq!(&shown.data()[field], value, "{field}");
        }
        assert_eq!(shown.data()["workflow"], "noop", "what is not named stays");
    });
}

#[test]
fn delete_templates_delete_code() {
    served(async |server| {
        let deleted = delete(&server, "film").await;
        as_documented(
            &deleted,
            json!({ "code": 200, "message": "Template deleted successfully", "data": { "deleted": true } }),
        );
        assert_eq!(deleted.data()["deleted"], true);
        assert_eq!(server.get("/templates/get/film").await.status, 404);
    });
}

#[test]
fn post_templates_execute_code_and_its_progress() {
    served(async |server| {
        let started = server.post("/templates/execute/film", json!({ "userId": "u", "imageUrl": PICTURE })).await;
        as_documented(
            &started,
            json!({
                "code": 200, "message": "Template execution started",
                "data": { "executionId": "exec_123", "taskId": "task_123", "status": "running" }
            }),
        );
        assert_eq!(started.data()["status"], "running");
        let task = started.data()["taskId"].as_str().unwrap();
        let path = format!("/templates/execution/{task}/progress");
        server.until(&path, |data| data["status"] == "completed").await;
        let progress = server.get(&path).await;
        as_documented(
            &progress,
            json!({
                "code": 200, "message": "Execution progress retrieved",
                "data": {
                    "taskId": "task_123", "executionId": "exec_123", "status": "completed", "progress": 100,
                    "result": { "videoUrl": "https://example.com/output.mp4" }
                }
            }),
        );
        for field in ["taskId", "executionId"] {
            assert_eq!(progress.data()[field], started.data()[field]);
        }
        assert_eq!(progress.data()["progress"], 100);
    });
}

#[test]
fn post_templates_activate_and_deactivate_code() {
    served(async |server| {
        for (code, verb, is_active) in [("asleep", "activate", true), ("film", "deactivate", false)] {
            let path = format!("/templates/{verb}/{code}");
            let switched = operate(&server, Method::POST, &path, json!({})).await;
            as_documented(
                &switched,
                json!({
                    "code": 200, "message": format!("Template {verb}d successfully"),
                    "data": { "isActive": is_active, "stripeSynced": true }
                }),
            );
            assert_eq!(switched.data(), &json!({ "isActive": is_active, "stripeSynced": true }));
            assert_eq!(server.get(&format!("/templates/get/{code}")).await.data()["isActive"], is_active);
        }
    });
}

#[test]
fn get_templates_executions_user_user_id() {
    served(async |server| {
        let started =
            server.post("/templates/execute/film", json!({ "userId": "user_123", "imageUrl": PICTURE })).await;
        let path = "/templates/executions/user/user_123";
        server.until(path, |data| data["executions"][0]["status"] == "completed").await;
        let listed = server.get(path).await;
        as_documented(
            &listed,
            json!({
                "code": 200, "message": "User executions retrieved successfully",
                "data": {
                    "executions": [{
                        "executionId": "exec_123", "templateCode": "template_001", "status": "completed",
                        "createdAt": "2024-01-01T00:00:00Z"
                    }],
                    "total": 1
                }
            }),
        );
        let one = &listed.data()["executions"][0];
        assert_eq!((&one["executionId"], &one["templateCode"]), (&started.data()["executionId"], &json!("film")));
        assert_eq!(listed.data()["total"], 1);
    });
}

#[test]
fn post_templates_bulk() {
    served(async |server| {
        let done = bulk(&server, "deactivate", &["film", "still"]).await;
        as_documented(
            &done,
            json!({
                "code": 200, "message": "Bulk operation completed",
                "data": { "successful": ["template_001", "template_002"], "failed": [], "total": 2 }
            }),
        );
        assert_eq!(done.data(), &json!({ "successful": ["film", "still"], "failed": [], "total": 2 }));
        // The example's own operation.
        assert_eq!(
            bulk(&server, "sync_stripe", &["film", "still"]).await.data(),
            &json!({ "successful": ["film", "still"], "failed": [], "total": 2 })
        );
    });
}

#[test]
fn post_templates_sync_code() {
    served(async |server| {
        let synced = operate(&server, Method::POST, "/templates/sync/film", json!({ "forceUpdate": true })).await;
        as_documented(
            &synced,
            json!({
                "code": 200, "message": "Template sync completed",
                "data": { "synced": true, "stripeProductId": "prod_xxx", "stripePriceId": "price_xxx" }
            }),
        );
        let shown = server.get("/templates/get/film").await;
        assert_eq!(shown.data()["stripeProductId"], synced.data()["stripeProductId"]);
        let again = operate(&server, Method::POST, "/templates/sync/film", json!({})).await;
        assert_eq!(again.data(), synced.data());
    });
}

#[test]
fn get_templates_sync_all_stripe() {
    served(async |server| {
        let synced = server.get_as(&server.operator, "/templates/sync-all-stripe").await;
        as_documented(
            &synced,
            json!({
                "code": 200, "message": "All templates synced to Stripe",
                "data": { "successful": 10, "failed": 0, "total": 10 }
            }),
        );
        assert_eq!(synced.data(), &json!({ "successful": 5, "failed": 0, "total": 5 }));
        assert_eq!(synced.header("cache-control"), "no-store");
    });
}

#[test]
fn get_templates_sync_status() {
    served(async |server| {
        let status = server.get_as(&server.operator, "/templates/sync-status").await;
        as_documented(
            &status,
            json!({
                "code": 200, "message": "Sync status retrieved",
                "data": {
                    "totalTemplates": 10, "withStripeProduct": 8, "activeTemplates": 9, "needsSync": 1,
                    "templates": [{
                        "code": "template_001", "name": "Template Name", "isActive": true, "hasStripeProduct": true,
                        "lastStripeSyncAt": null
                    }]
                }
            }),
        );
        let counts = without(status, &["templates"]);
        assert_eq!(
            counts.data(),
            &json!({ "totalTemplates": 5, "withStripeProduct": 0, "activeTemplates": 4, "needsSync": 4 })
        );
    });
}

#[test]
fn get_templates_verify_sync_code() {
    served(async |server| {
        let path = "/templates/verify-sync/film";
        let before = server.get_as(&server.operator, path).await;
        assert_eq!(before.data()["synced"], false);
        assert_eq!(before.data()["issues"], json!(["Template has no Stripe product", "Template has no Stripe price"]));
        let recommended = json!(["Sync it: POST /templates/sync/film with forceUpdate true"]);
        assert_eq!(before.data()["recommendations"], recommended);
        operate(&server, Method::POST, "/templates/sync/film", json!({})).await.data();
        let verified = server.get_as(&server.operator, path).await;
        as_documented(
            &verified,
            json!({
                "code": 200, "message": "Template sync verified successfully",
                "data": {
                    "templateCode": "template_001", "synced": true, "issues": [], "stripeProductId": "prod_xxx",
                    "stripePriceId": "price_xxx", "recommendations": ["Template is properly synced with Stripe"]
                }
            }),
        );
        assert_eq!((&verified.data()["synced"], &verified.data()["issues"]), (&json!(true), &json!([])));
    });
}

#[test]
fn get_templates_diagnose_stripe() {
    served(async |server| {
        let diagnosed = server.get_as(&server.operator, "/templates/diagnose-stripe").await;
        as_documented(
            &diagnosed,
            json!({
                "code": 200, "message": "Stripe environment is healthy",
                "data": {
                    "environment": "test", "apiKeyValid": true, "issues": [],
                    "accountInfo": { "chargesEnabled": true, "country": "US" },
                    "recommendations": ["Stripe configuration appears healthy"]
                }
            }),
        );
        assert_eq!(diagnosed.data()["environment"], "sandbox", "it is not Stripe, and says so");
    });
}

#[test]
fn get_templates_health() {
    served(async |server| {
        let health = server.get("/templates/health").await;
        as_documented(
            &health,
            json!({
                "code": 200, "message": "Template service is healthy",
                "data": { "totalTemplates": 10, "timestamp": "2024-01-01T00:00:00Z", "service": "TemplateService" }
            }),
        );
        assert_eq!(
            (&health.data()["totalTemplates"], &health.data()["service"]),
            (&json!(5), &json!("TemplateService"))
        );
    });
}

#[test]
fn get_templates_init_and_a_second_one_changes_nothing() {
    served(async |server| {
        let first = server.get_as(&server.operator, "/templates/init").await;
        let data = first.data().clone();
        assert_eq!(first.header("cache-control"), "no-store");
        as_documented(
            &without(first, &["details"]),
            json!({
                "code": 200, "message": "Templates initialization completed",
                "data": { "total": 10, "imported": 9, "failed": 1 }
            }),
        );
        // This server knows `noop` already.
        let total = data["total"].as_u64().unwrap();
        assert!(total > 12, "{data}");
        assert_eq!((&data["imported"], &data["failed"]), (&json!(total - 1), &json!(1)));
        let of = |data: &Value, code: &str| {
            data["details"].as_array().unwrap().iter().find(|one| one["code"] == code).unwrap().clone()
        };
        assert_eq!(of(&data, "photo-to-video"), json!({ "code": "photo-to-video", "status": "success" }));
        let taken = json!({ "code": "noop", "status": "error", "error": "Template already exists" });
        assert_eq!(of(&data, "noop"), taken);
        let before = server.get("/templates/get/noop").await;
        let second = server.get_as(&server.operator, "/templates/init").await;
        assert_eq!((&second.data()["imported"], &second.data()["failed"]), (&json!(0), &json!(total)));
        assert_eq!(server.get("/templates/get/noop").await.body["data"], before.body["data"]);
        assert_eq!(before.data()["name"], "AI Video Generator", "the row that was there is untouched");
    });
}

#[test]
fn post_templates_test_create_twice_gives_the_same_answer_and_a_template_that_runs() {
    served(async |server| {
        let ask = async || operate(&server, Method::POST, "/templates/test/create", json!({})).await;
        let first = ask().await;
        as_documented(
            &first,
            json!({
                "code": 200, "message": "Test template created successfully",
                "data": { "code": "test-image-generation", "stripeProductId": "prod_test", "stripePriceId": "price_test" }
            }),
        );
        assert_eq!(first.data()["code"], "test-image-generation");
        update(&server, "test-image-generation", json!({ "name": "Mine" })).await.data();
        assert_eq!(ask().await.data(), first.data());
        assert_eq!(server.get("/templates/get/test-image-generation").await.data()["name"], "Mine");
        let started = server.post("/templates/execute/test-image-generation", json!({ "imageUrl": PICTURE })).await;
        let task = started.data()["taskId"].as_str().unwrap();
        let done = server.until(&format!("/task/{task}"), |data| data["status"] == "completed").await;
        assert!(done["result"]["imageUrl"].is_string(), "{done}");
    });
}

#[test]
fn the_error_example_holds_for_what_is_not_there() {
    served(async |server| {
        for (method, path) in [
            (Method::GET, "/templates/get/none"),
            (Method::PUT, "/templates/update/none"),
            (Method::DELETE, "/templates/delete/none"),
            (Method::POST, "/templates/execute/none"),
            (Method::POST, "/templates/activate/none"),
            (Method::POST, "/templates/deactivate/none"),
            (Method::POST, "/templates/sync/none"),
            (Method::GET, "/templates/verify-sync/none"),
            (Method::GET, "/templates/revisions/none"),
        ] {
            let sent = if method == Method::PUT { json!({ "name": "x" }) } else { json!({}) };
            let answer = operate(&server, method, path, sent).await;
            let expected = json!({ "code": 404, "message": "There is no template `none`" });
            as_documented(&answer, expected);
        }
    });
}
