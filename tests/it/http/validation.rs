//! Every line of what is checked before anything is accepted.

use serde_json::{Value, json};

use crate::server::{PICTURE, Server, served};

fn task(template: &str, parameters: Value) -> Value {
    json!({ "type": "video_generation", "templateCode": template, "parameters": parameters })
}

async fn nothing_was_accepted(server: &Server) {
    let counts = server.engine.journal().counts("task").await.unwrap();
    assert!(counts.is_empty(), "{counts:?}");
}

#[test]
fn every_wrong_field_is_named_at_once() {
    served(async |server| {
        assert_eq!(server.post("/task", json!({})).await.faults(), ["type is required", "templateCode is required"]);
        let wrong = json!({ "type": 7, "templateCode": null, "userId": [], "parameters": "x" });
        assert_eq!(
            server.post("/task", wrong).await.faults(),
            [
                "type must be a text",
                "templateCode is required",
                "userId must be a text",
                "parameters must be an object"
            ]
        );
        let odd = json!({ "type": "film", "templateCode": "noop" });
        let named = server.post("/task/a", odd).await.faults();
        assert_eq!(named, ["type must be video_generation or image_generation"]);
        nothing_was_accepted(&server).await;
    });
}

#[test]
fn the_template_must_exist_be_active_run_here_and_make_what_is_asked_for() {
    served(async |server| {
        assert_eq!(server.post("/task", task("nothing", json!({}))).await.status, 404);
        let asleep = server.post("/task", task("asleep", json!({}))).await;
        assert_eq!((asleep.status.as_u16(), asleep.message()), (400, "The template `asleep` is not active"));
        let lost = server.post("/task", task("lost", json!({}))).await;
        assert_eq!(lost.status, 400);
        assert!(lost.message().contains("`gone-workflow` is not loaded"), "{}", lost.body);
        let still = server.post("/task", task("still", json!({ "imageUrl": PICTURE }))).await;
        assert_eq!(still.faults(), ["type must be image_generation for the template `still`"]);
        for code in ["asleep", "lost"] {
            assert_eq!(server.post(&format!("/templates/execute/{code}"), json!({})).await.status, 400);
        }
        assert_eq!(server.post("/templates/execute/nothing", json!({})).await.status, 404);
        nothing_was_accepted(&server).await;
    });
}

#[test]
fn parameters_are_checked_by_the_workflow() {
    served(async |server| {
        let faults = async |parameters| server.post("/task", task("film", parameters)).await.faults();
        assert_eq!(faults(json!({})).await, ["parameters.imageUrl is required"]);
        let wrong = json!({ "imageUrl": PICTURE, "seconds": 31, "move": "jump" });
        let said = faults(wrong).await;
        assert!(said.contains(&"parameters.seconds must be from 1 to 30".to_owned()), "{said:?}");
        assert!(said.iter().any(|fault| fault.starts_with("parameters.move must be one of")), "{said:?}");
        let execution = server.post("/templates/execute/film", json!({ "userId": "u" })).await;
        assert_eq!(execution.faults(), ["imageUrl is required"]);
        nothing_was_accepted(&server).await;
    });
}

#[test]
fn a_picture_must_be_one_and_come_as_a_data_url_or_a_link_that_may_be_followed() {
    served(async |server| {
        let fault = async |picture: Value| {
            let faults = server.post("/task", task("film", json!({ "imageUrl": picture }))).await.faults();
            assert_eq!(faults.len(), 1);
            faults.into_iter().next().unwrap()
        };
        for (link, word) in [
            ("http://127.0.0.1/a.jpg", "`127.0.0.1`, which is not on the public internet"),
            ("https://[::ffff:169.254.169.254]/", "not on the public internet"),
            ("http://me@example.com/a.jpg", "password"),
            ("https://example.com:5432/", "port 5432"),
            ("http://exa mple.com/", "no valid URL"),
        ] {
            let reason = fault(json!(link)).await;
            assert!(reason.starts_with("parameters.imageUrl is not taken: ") && reason.contains(word), "{reason}");
        }
        assert!(fault(json!("data:image/png;base64,SGVsbG8=")).await.contains("JPEG, PNG or WebP"));
        assert!(fault(json!("data:image/png;base64,!")).await.contains("base64 is damaged"));
        assert!(fault(json!("ftp://x")).await.contains("must be a picture"));
        assert!(fault(json!({ "file": "results/a/video.mp4" })).await.contains("data URL"));
        assert!(fault(json!(7)).await.contains("must be a picture"));
        nothing_was_accepted(&server).await;
    });
}

#[test]
fn each_picture_of_several_is_checked_and_named_by_its_place() {
    served(async |server| {
        let slideshow = json!({
            "code": "slideshow", "name": "Slideshow", "description": "Several pictures", "creditCost": 1,
            "workflow": "slideshow-workflow", "version": "1.0.0", "templateType": "VIDEO", "tags": []
        });
        assert_eq!(server.post_as(&server.operator, "/templates", slideshow).await.status, 200);
        let pictures =
            json!([PICTURE, "http://10.0.0.1/a.jpg", "data:image/png;base64,SGVsbG8=", "https://example.com/"]);
        let faults = server.post("/task", task("slideshow", json!({ "pictures": pictures }))).await.faults();
        assert_eq!(faults.len(), 2, "{faults:?}");
        assert!(
            faults[0].starts_with("parameters.pictures[1] is not taken: the link leads to `10.0.0.1`"),
            "{faults:?}"
        );
        assert!(faults[1].starts_with("parameters.pictures[2] is not taken: this is no picture"), "{faults:?}");
        let faults = server.post("/task", task("slideshow", json!({ "pictures": [PICTURE] }))).await.faults();
        assert!(faults[0].starts_with("parameters.pictures must be a list of 2 to 20 pictures"), "{faults:?}");
        nothing_was_accepted(&server).await;
        let pictures = json!([PICTURE, "https://example.com/a.jpg"]);
        server.post("/task/show", task("slideshow", json!({ "pictures": pictures }))).await.data();
        let actor = server.get_as(&server.operator, "/ops/actors/task/show").await;
        let kept = &actor.data()["state"]["request"]["parameters"]["pictures"];
        assert!(kept[0]["file"].as_str().unwrap().starts_with("inputs/"), "{kept}");
        assert_eq!(kept[1], "https://example.com/a.jpg");
    });
}

#[test]
fn what_would_swell_the_journal_is_413() {
    served(async |server| {
        let large = server.post("/task", task("noop", json!({ "note": "x".repeat(33_000) }))).await;
        assert_eq!(large.status, 413);
        assert!(large.message().contains("32768"), "{}", large.body);
        nothing_was_accepted(&server).await;
        server.post("/task", task("noop", json!({ "note": "x".repeat(32_000) }))).await.data();
    });
}

#[test]
fn an_id_of_the_callers_has_its_form_and_is_checked_before_the_template() {
    served(async |server| {
        let long = "x".repeat(65);
        for id in ["a.b", "a%20b", "%C3%A4", "a%2Fb", &long] {
            let answer = server.post(&format!("/task/{id}"), task("nothing", json!({}))).await;
            assert_eq!(answer.faults(), ["taskId must be 1 to 64 letters, digits, `_` and `-`"], "{id}");
        }
        server.post(&format!("/task/{}", &long[1..]), task("noop", json!({}))).await.data();
    });
}

#[test]
fn numbers_in_queries_are_checked() {
    served(async |server| {
        server.make("a", "noop", "completed").await;
        for wait in ["31", "-1", "x", ""] {
            let answer = server.get(&format!("/task/a?wait={wait}")).await;
            assert_eq!(answer.faults(), ["wait must be a whole number from 0 to 30"], "{wait}");
        }
        let limit = server.get_as(&server.operator, "/ops/actors?limit=0").await;
        assert_eq!(limit.faults(), ["limit must be a whole number from 1 to 100"]);
        let kind = server.get_as(&server.operator, "/ops/actors?kind=cat").await;
        assert_eq!(kind.faults(), ["kind is no kind of actor"]);
    });
}
