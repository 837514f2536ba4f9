//! Making, changing, switching and deleting templates.

use reqwest::Method;
use serde_json::{Value, json};

use super::{body, bulk, create, delete, operate, update};
use crate::server::served;

#[test]
fn a_workflow_that_is_not_loaded_leaves_the_template_inactive_with_a_warning() {
    served(async |server| {
        let warning = "the template is inactive and cannot run here: its workflow `later` is not loaded";
        let wanted = create(&server, body("t", json!({ "workflow": "later", "isActive": true }))).await;
        assert_eq!(wanted.data()["warnings"], json!([warning]));
        assert_eq!(server.get("/templates/get/t").await.data()["isActive"], false);
        for path in
            ["/templates/activate/t", "/templates/activate/lost", "/templates/execute/t", "/templates/execute/lost"]
        {
            assert_eq!(operate(&server, Method::POST, path, json!({})).await.status, 400, "{path}");
        }
        let activated = operate(&server, Method::POST, "/templates/activate/t", json!({})).await;
        assert_eq!(activated.message(), "The template `t` cannot run here: its workflow `later` is not loaded");
        let forced = update(&server, "t", json!({ "isActive": true })).await;
        assert_eq!(forced.faults(), ["isActive cannot be true: its workflow `later` is not loaded"]);
        let mended = update(&server, "t", json!({ "workflow": "noop", "isActive": true })).await;
        assert!(mended.data().get("warnings").is_none(), "{}", mended.body);
        server.post("/templates/execute/t", json!({})).await.data();
        let lost = update(&server, "t", json!({ "workflow": "later" })).await;
        assert_eq!(lost.data()["warnings"], json!([warning]));
        assert_eq!(server.get("/templates/get/t").await.data()["isActive"], false);
    });
}

#[test]
fn a_deactivated_template_is_not_run_until_it_is_activated() {
    served(async |server| {
        let held = server.hold("a", 0.5);
        server.make("a", "noop", "pending").await;
        operate(&server, Method::POST, "/templates/deactivate/noop", json!({})).await.data();
        let refused = server.post("/templates/execute/noop", json!({})).await;
        assert_eq!((refused.status.as_u16(), refused.message()), (400, "The template `noop` is not active"));
        held.add_permits(1);
        server.until("/task/a", |data| data["status"] == "completed").await;
        // Doing it again changes nothing.
        for _ in 0..2 {
            operate(&server, Method::POST, "/templates/activate/noop", json!({})).await.data();
        }
        server.post("/templates/execute/noop", json!({})).await.data();
        assert_eq!(server.get("/templates/get/noop").await.data()["revision"], 1);
    });
}

#[test]
fn a_deleted_template_is_gone_for_new_work_and_its_work_goes_on() {
    served(async |server| {
        let held = server.hold("a", 0.5);
        server.make("a", "film", "pending").await;
        delete(&server, "film").await.data();
        assert_eq!(delete(&server, "film").await.status, 404);
        assert_eq!(server.post("/templates/execute/film", json!({})).await.status, 404);
        assert_eq!(update(&server, "film", json!({ "name": "x" })).await.status, 404);
        assert_eq!(server.get("/templates/health").await.data()["totalTemplates"], 4);
        held.add_permits(3);
        let done = server.until("/task/a", |data| data["status"] == "completed").await;
        assert!(done["result"]["videoUrl"].is_string());
    });
}

#[test]
fn the_code_of_a_deleted_template_is_free_and_its_revisions_go_on() {
    served(async |server| {
        delete(&server, "film").await.data();
        create(&server, body("film", json!({ "name": "Another film" }))).await.data();
        let shown = server.get("/templates/get/film").await;
        assert_eq!((&shown.data()["name"], &shown.data()["revision"]), (&json!("Another film"), &json!(2)));
        assert_eq!(create(&server, body("film", json!({}))).await.status, 409);
    });
}

#[test]
fn null_takes_a_model_a_prompt_or_the_receiver_away_and_nothing_else() {
    served(async |server| {
        let full =
            json!({ "imageModel": "m", "imagePrompt": "p", "videoModel": "m", "videoPrompt": "p", "receiverId": "r" });
        create(&server, body("t", full)).await.data();
        update(&server, "t", json!({ "imageModel": null, "videoPrompt": null, "receiverId": null, "name": null }))
            .await
            .data();
        let shown = server.get("/templates/get/t").await;
        for gone in ["imageModel", "videoPrompt", "receiverId"] {
            assert!(shown.data().get(gone).is_none(), "{gone}");
        }
        assert_eq!((&shown.data()["imagePrompt"], &shown.data()["name"]), (&json!("p"), &json!("New Template")));
    });
}

#[test]
fn changes_at_the_same_time_are_all_kept() {
    served(async |server| {
        create(&server, body("t", json!({}))).await.data();
        let fields = ["name", "description", "imageModel", "imagePrompt", "videoModel", "videoPrompt", "receiverId"];
        let calls = fields.map(|field| update(&server, "t", json!({ field: format!("new {field}") })));
        for answer in futures_util::future::join_all(calls).await {
            answer.data();
        }
        let shown = server.get("/templates/get/t").await;
        for field in fields {
            assert_eq!(shown.data()[field], format!("new {field}"));
        }
        assert_eq!(shown.data()["revision"], fields.len() + 1);
    });
}

#[test]
fn many_who_make_the_same_template_make_one() {
    served(async |server| {
        let calls = (0..8).map(|n| create(&server, body("t", json!({ "name": format!("by {n}") }))));
        let mut made: Vec<u16> =
            futures_util::future::join_all(calls).await.iter().map(|answer| answer.status.as_u16()).collect();
        made.sort_unstable();
        assert_eq!(made, [200, 409, 409, 409, 409, 409, 409, 409]);
        assert_eq!(server.get("/templates/get/t").await.data()["revision"], 1);
    });
}

#[test]
fn the_bundled_set_runs_without_an_account_and_says_what_needs_one() {
    served(async |server| {
        let imported = server.get_as(&server.operator, "/templates/init").await;
        let details = imported.data()["details"].as_array().unwrap().clone();
        let runs: Vec<Value> = server.get("/templates?limit=100").await.data()["templates"].as_array().unwrap().clone();
        let of_type = |wanted: &str| runs.iter().filter(|one| one["templateType"] == wanted).count();
        assert!(of_type("VIDEO") >= 5 && of_type("IMAGE") >= 4, "{runs:?}");
        let mut needy = Vec::new();
        for one in &details {
            let code = one["code"].as_str().unwrap();
            let shown = server.get(&format!("/templates/get/{code}")).await;
            if code != "noop" {
                assert_eq!(shown.data()["isActive"], one.get("warnings").is_none(), "{one}");
            }
            if shown.data()["tags"].as_array().unwrap().contains(&json!("provider")) {
                assert!(one["warnings"][0].as_str().unwrap().contains("cannot run here"), "{one}");
                assert!(shown.data()["description"].as_str().unwrap().contains("needs an account"), "{code}");
                needy.push(code);
            }
        }
        assert!(needy.len() >= 3, "{needy:?}");
        let activated = bulk(&server, "activate", &needy).await;
        assert_eq!(activated.data()["failed"].as_array().unwrap().len(), needy.len());
    });
}
