//! The models and prompts of a template, on their way into a workflow.

use serde_json::json;

use super::{body, create, state_of, update};
use crate::server::served;

#[test]
fn the_prompt_of_the_example_is_filled_from_the_executions_parameters() {
    served(async |server| {
        let more = json!({
            "workflow": "painter", "imageModel": "dall-e-3", "imagePrompt": "Generate image based on: {prompt}",
        });
        let made = create(&server, body("paint", more)).await;
        assert!(made.data().get("warnings").is_none(), "{}", made.body);
        let started = server.post("/templates/execute/paint", json!({ "prompt": "a {cat} on a \"mat\"" })).await;
        let first = started.data()["taskId"].as_str().unwrap();
        // What was filled in stays, whatever the template says later.
        update(&server, "paint", json!({ "imagePrompt": "Draw {prompt} in {style}", "imageModel": null })).await.data();
        let request = state_of(&server, first).await["request"].clone();
        assert_eq!(request["parameters"]["imagePrompt"], "Generate image based on: a {cat} on a \"mat\"");
        assert_eq!(request["parameters"]["imageModel"], "dall-e-3");
        let missing = server.post("/templates/execute/paint", json!({ "prompt": "a cat" })).await;
        assert_eq!(missing.faults(), ["style is required: the imagePrompt takes it"]);
        let task = json!({
            "type": "video_generation", "templateCode": "paint", "parameters": { "prompt": ["a"], "style": "oil" }
        });
        let faults = server.post("/task", task).await.faults();
        assert_eq!(faults, ["parameters.prompt must be a text or a number: the imagePrompt takes it"]);
        update(&server, "paint", json!({ "settings": { "style": "oil" } })).await.data();
        let started = server.post("/templates/execute/paint", json!({ "prompt": "a cat" })).await;
        let second = started.data()["taskId"].as_str().unwrap();
        let request = state_of(&server, second).await["request"].clone();
        assert_eq!(request["parameters"]["imagePrompt"], "Draw a cat in oil");
        assert!(request["parameters"].get("imageModel").is_none());
    });
}

#[test]
fn a_customer_cannot_choose_what_the_template_has_chosen() {
    served(async |server| {
        create(&server, body("paint", json!({ "workflow": "painter", "imageModel": "small" }))).await.data();
        let refused = server.post("/templates/execute/paint", json!({ "imageModel": "huge" })).await;
        assert_eq!(refused.faults(), ["imageModel is the template's own and cannot be given"]);
    });
}

#[test]
fn a_workflow_that_takes_no_prompt_asks_for_nothing_that_one_needs() {
    served(async |server| {
        let more = json!({ "imagePrompt": "Generate image based on: {prompt}" });
        let made = create(&server, body("plain", more)).await;
        assert_eq!(
            made.data()["warnings"],
            json!(["`imagePrompt` has no effect: the workflow `noop` does not take it"])
        );
        server.post("/templates/execute/plain", json!({})).await.data();
    });
}
