//! Every line of what is checked before a template is written.

use reqwest::Method;
use serde_json::{Value, json};

use super::{body, create, operate, update};
use crate::server::{send, served};

/// Values of one field that are refused, and why.
fn refused() -> Vec<(&'static str, Value, &'static str)> {
    let code = "must be 1 to 64 letters, digits, `_` and `-`";
    let long = |count: usize| Value::from("x".repeat(count));
    let rows = vec![
        ("workflow", json!(""), code),
        ("workflow", json!("../noop"), code),
        ("workflow", long(65), code),
        ("name", json!(""), "must have 1 to 100 characters"),
        ("name", long(101), "must have 1 to 100 characters"),
        ("name", json!(" \t "), "must not be blank"),
        ("name", json!(7), "must be a text"),
        ("description", long(2_001), "must have 1 to 2000 characters"),
        ("description", json!([]), "must be a text"),
        ("creditCost", json!(-1), "must be a whole number from 0 to 1000000"),
        ("creditCost", json!(1_000_001), "must be a whole number from 0 to 1000000"),
        ("creditCost", json!(1.5), "must be a whole number from 0 to 1000000"),
        ("creditCost", json!("10"), "must be a whole number from 0 to 1000000"),
        ("version", json!("1.0"), "must be a version such as 1.0.0 (semver.org)"),
        ("version", json!("one"), "must be a version such as 1.0.0 (semver.org)"),
        ("version", json!(1), "must be a text"),
        ("templateType", json!("AUDIO"), "must be IMAGE or VIDEO"),
        ("templateType", json!("video"), "must be IMAGE or VIDEO"),
        ("templateType", json!(1), "must be a text"),
        ("tags", json!("ai"), "must be a list"),
        ("tags", json!([1]), "must be a list of texts of 1 to 50 characters"),
        ("tags", json!([""]), "must be a list of texts of 1 to 50 characters"),
        ("tags", json!(["a", "b", "a"]), "has `a` twice"),
        ("tags", json!((0..21).map(|n| n.to_string()).collect::<Vec<_>>()), "must have 0 to 20 entries"),
        ("imageModel", long(101), "must have 1 to 100 characters"),
        ("videoModel", json!({}), "must be a text"),
        ("imagePrompt", json!(""), "must have 1 to 4000 characters"),
        ("imagePrompt", json!("{prompt"), "has a brace without its partner"),
        ("videoPrompt", long(4_001), "must have 1 to 4000 characters"),
        ("videoPrompt", json!("{a.b}"), "has `{a.b}`; between braces stands the name of a parameter, such as {prompt}"),
        ("settings", json!([]), "must be an object"),
        ("settings", json!({ "x": "y".repeat(16_384) }), "must have at most 16384 bytes"),
        ("receiverId", json!(""), "must have 1 to 64 characters"),
        ("isActive", json!("yes"), "must be true or false"),
        ("stripeProductId", json!("prod_x"), "is not known here"),
        ("created_at", Value::Null, "is not known here"),
    ];
    rows
}

#[test]
fn every_field_of_a_new_template_is_checked() {
    served(async |server| {
        for (field, value, reason) in refused() {
            let answer = create(&server, body("t", json!({ field: value }))).await;
            assert_eq!(answer.faults(), [format!("{field} {reason}")], "{field}: {value}");
        }
        for code in [json!("a b"), json!("ä"), json!("a/b"), json!(""), json!("x".repeat(65)), json!(7)] {
            let answer = create(&server, body("t", json!({ "code": code }))).await;
            assert_eq!(answer.faults(), ["code must be 1 to 64 letters, digits, `_` and `-`"], "{code}");
        }
        assert_eq!(server.get("/templates/get/t").await.status, 404, "nothing was made");
    });
}

#[test]
fn every_field_of_a_change_is_checked_by_the_same_rules() {
    served(async |server| {
        let before = server.get("/templates/get/film").await;
        for (field, value, reason) in refused() {
            let answer = update(&server, "film", json!({ field: value })).await;
            assert_eq!(answer.faults(), [format!("{field} {reason}")], "{field}: {value}");
        }
        assert_eq!(update(&server, "film", json!({ "code": "other" })).await.faults(), ["code cannot be changed"]);
        for nothing in [json!({}), json!({ "name": null })] {
            let answer = update(&server, "film", nothing).await;
            assert_eq!((answer.status.as_u16(), answer.message()), (400, "The body names nothing to change"));
        }
        assert_eq!(server.get("/templates/get/film").await.body["data"], before.body["data"]);
    });
}

#[test]
fn what_must_be_there_is_named_at_once() {
    served(async |server| {
        let missing =
            ["code", "name", "workflow", "creditCost", "templateType"].map(|field| format!("{field} is required"));
        assert_eq!(create(&server, json!({})).await.faults(), missing);
        let nulls = json!({ "code": null, "name": null, "workflow": null, "creditCost": null, "templateType": null });
        assert_eq!(create(&server, nulls).await.faults(), missing);
    });
}

#[test]
fn what_is_at_its_limit_is_taken_and_given_back() {
    served(async |server| {
        let most = body(
            &"c".repeat(64),
            json!({
                "name": "ä".repeat(100), "description": "d".repeat(2_000), "creditCost": 1_000_000,
                "version": "1.2.3-rc.1+build", "tags": (0..20).map(|n| format!("{n:050}")).collect::<Vec<_>>(),
                "imageModel": "m".repeat(100), "videoPrompt": "p".repeat(4_000), "receiverId": "r".repeat(64),
                "isActive": false,
            }),
        );
        create(&server, most.clone()).await.data();
        let shown = server.get(&format!("/templates/get/{}", "c".repeat(64))).await;
        for (field, value) in most.as_object().unwrap() {
            assert_eq!(&shown.data()[field], value, "{field}");
        }
        let least = body("least", json!({ "creditCost": 0, "tags": [], "description": null }));
        assert_eq!(create(&server, least).await.data()["code"], "least");
        let shown = server.get("/templates/get/least").await;
        assert_eq!((&shown.data()["version"], &shown.data()["description"]), (&json!("1.0.0"), &json!("")));
    });
}

#[test]
fn a_template_must_fit_the_workflow_it_names() {
    served(async |server| {
        let film =
            json!({ "workflow": "video-generation-workflow", "templateType": "IMAGE", "settings": { "seconds": 31 } });
        let expected = [
            "templateType must be VIDEO: that is what the workflow `video-generation-workflow` makes",
            "settings.seconds must be from 1 to 30",
        ];
        assert_eq!(create(&server, body("t", film)).await.faults(), expected);
        let moved = update(&server, "film", json!({ "settings": { "move": "spin" } })).await.faults();
        assert_eq!(moved.len(), 1);
        assert!(moved[0].starts_with("settings.move must be one of"), "{moved:?}");
        assert_eq!(
            update(&server, "still", json!({ "workflow": "video-generation-workflow" })).await.faults(),
            ["templateType must be VIDEO: that is what the workflow `video-generation-workflow` makes"]
        );
        let odd = create(&server, body("odd", json!({ "settings": { "secs": 1 }, "videoModel": "x" }))).await;
        assert_eq!(
            odd.data()["warnings"],
            json!([
                "`settings.secs` has no effect: the workflow `noop` does not take it",
                "`videoModel` has no effect: the workflow `noop` does not take it"
            ])
        );
        assert_eq!(server.get("/templates/get/odd").await.data()["isActive"], true);
    });
}

#[test]
fn faults_come_before_what_is_missing_and_that_before_what_is_taken() {
    served(async |server| {
        assert_eq!(create(&server, body("film", json!({ "creditCost": -1 }))).await.status, 400);
        let taken = create(&server, body("film", json!({}))).await;
        assert_eq!((taken.status.as_u16(), taken.message()), (409, "The template `film` exists already"));
        assert_eq!(update(&server, "none", json!({ "creditCost": -1 })).await.status, 400);
        assert_eq!(update(&server, "none", json!({ "creditCost": 1 })).await.status, 404);
        let sync =
            async |code: &str, body| operate(&server, Method::POST, &format!("/templates/sync/{code}"), body).await;
        assert_eq!(sync("none", json!({ "forceUpdate": 1 })).await.faults(), ["forceUpdate must be true or false"]);
        assert_eq!(sync("none", json!({ "force": true })).await.faults(), ["force is not known here"]);
        assert_eq!(sync("none", json!({})).await.status, 404);
    });
}

#[test]
fn what_is_no_object_or_holds_the_nul_character_is_400() {
    served(async |server| {
        for text in
            ["[]", "{", "\"x\"", r#"{"code":"a\u0000"}"#, r#"{"tags":["\u0000"]}"#, r#"{"settings":{"\u0000":1}}"#]
        {
            for (method, path) in [(Method::POST, "/templates"), (Method::PUT, "/templates/update/film")] {
                let request = server.bare(method, path).bearer_auth(&server.operator).body(text);
                assert_eq!(send(request).await.status, 400, "{path} {text}");
            }
        }
        let large = create(&server, body("t", json!({ "description": "x".repeat(262_144) }))).await;
        assert_eq!(large.status, 413);
    });
}

#[test]
fn a_client_reads_and_runs_templates_and_writes_none() {
    served(async |server| {
        let forbidden = server.post("/templates", body("t", json!({}))).await;
        assert_eq!(forbidden.status, 403);
        assert_eq!(send(server.request(Method::PUT, "/templates/update/film").json(&json!({}))).await.status, 403);
        assert_eq!(send(server.request(Method::DELETE, "/templates/delete/film")).await.status, 403);
        assert_eq!(server.get("/templates/get/film").await.status, 200);
    });
}
