//! A template, a workflow and a customer, case by case.

use serde_json::{Map, Value, json};

use super::{Content, TemplateType, prompt};
use crate::domain::workflow::{Definition, FieldFault};

/// A workflow that takes a picture, a model and a prompt.
const WORKFLOW: &str = r#"
name = "painter"
description = "Paints."
produces = "image"

[parameters.imageUrl]
kind = "picture"
required = true

[parameters.imageModel]
kind = "text"

[parameters.imagePrompt]
kind = "text"

[parameters.mood]
kind = "text"
default = "calm"

[parameters.seconds]
kind = "number"
min = 1
max = 30

[[steps]]
name = "picture"
activity = "picture"
timeout = "60s"
with = { source = "{parameters.imageUrl}" }

[[steps]]
name = "store"
activity = "store"
needs = ["picture"]
timeout = "60s"
with = { file = "{steps.picture.file}", kind = "image" }
"#;

fn workflow() -> Definition {
    Definition::parse("painter.toml", WORKFLOW).unwrap()
}

fn object(value: Value) -> Map<String, Value> {
    value.as_object().unwrap().clone()
}

fn content(more: Value) -> Content {
    let mut whole =
        json!({ "name": "n", "creditCost": 1, "version": "1.0.0", "templateType": "IMAGE", "workflow": "painter" });
    whole.as_object_mut().unwrap().extend(object(more));
    serde_json::from_value(whole).unwrap()
}

fn picture() -> Value {
    json!("data:image/png;base64,AA==")
}

fn lines(faults: Vec<FieldFault>) -> Vec<String> {
    faults.into_iter().map(|fault| format!("{} {}", fault.field, fault.reason)).collect()
}

fn parameters(template: Value, given: Value) -> Result<Value, Vec<String>> {
    content(template).parameters(object(given), &workflow()).map(Value::Object).map_err(lines)
}

#[test]
fn the_customer_is_heard_over_the_settings_and_what_nobody_knows_is_kept() {
    let made = parameters(
        json!({ "settings": { "seconds": 5, "mood": "glad" } }),
        json!({ "imageUrl": picture(), "seconds": 3, "note": 7 }),
    );
    assert_eq!(made, Ok(json!({ "imageUrl": picture(), "seconds": 3, "mood": "glad", "note": 7 })));
}

#[test]
fn a_prompt_is_filled_from_the_customer_the_settings_and_the_defaults() {
    let template = json!({
        "imageModel": "dall-e-3", "imagePrompt": "{prompt}, {style}, {mood}, for {seconds} s, {prompt}",
        "settings": { "style": "oil" },
    });
    let made = parameters(template, json!({ "imageUrl": picture(), "prompt": "a {cat}", "seconds": 3 })).unwrap();
    assert_eq!(made["imagePrompt"], "a {cat}, oil, calm, for 3 s, a {cat}");
    assert_eq!(made["imageModel"], "dall-e-3");
}

#[test]
fn what_a_prompt_needs_must_be_given_as_a_text() {
    let template = || json!({ "imagePrompt": "{prompt} {imageUrl}" });
    assert_eq!(
        parameters(template(), json!({ "imageUrl": picture() })),
        Err(vec![
            "prompt is required: the imagePrompt takes it".into(),
            "imageUrl must be a text or a number: the imagePrompt takes it".into()
        ])
    );
    let list = parameters(json!({ "imagePrompt": "{prompt}" }), json!({ "imageUrl": picture(), "prompt": ["a"] }));
    assert_eq!(list, Err(vec!["prompt must be a text or a number: the imagePrompt takes it".into()]));
    let null = parameters(json!({ "imagePrompt": "{prompt}" }), json!({ "imageUrl": picture(), "prompt": null }));
    assert_eq!(null, Err(vec!["prompt is required: the imagePrompt takes it".into()]));
}

#[test]
fn a_customer_cannot_choose_another_model_and_every_fault_is_named() {
    assert_eq!(
        parameters(json!({ "imageModel": "small" }), json!({ "imageModel": "huge", "seconds": 31 })),
        Err(vec![
            "imageModel is the template's own and cannot be given".into(),
            "imageUrl is required".into(),
            "seconds must be from 1 to 30".into()
        ])
    );
}

#[test]
fn a_model_that_the_workflow_does_not_take_stays_away_from_it() {
    let template = json!({ "videoPrompt": "{nobody gives this" , "videoModel": "x" });
    assert_eq!(parameters(template, json!({ "imageUrl": picture() })), Ok(json!({ "imageUrl": picture() })));
}

#[test]
fn a_workflow_that_makes_one_thing_calls_them_model_and_prompt() {
    let source = WORKFLOW
        .replace("parameters.imageModel", "parameters.model")
        .replace("parameters.imagePrompt", "parameters.prompt");
    let workflow = Definition::parse("painter.toml", &source).unwrap();
    let made = |template: Value, given: Value| {
        content(template)
            .parameters(object(given), &workflow)
            .map(|made| (made["model"].clone(), made["prompt"].clone()))
    };
    let template =
        json!({ "imageModel": "m", "imagePrompt": "Draw {prompt}!", "videoPrompt": "no", "videoModel": "no" });
    let given = json!({ "imageUrl": picture(), "prompt": "a cat" });
    assert_eq!(made(template.clone(), given.clone()), Ok((json!("m"), json!("Draw a cat!"))));
    assert_eq!(content(template).unused_by(&workflow).len(), 2);
    let fixed = made(json!({ "imageModel": "m", "imagePrompt": "Draw a dog" }), given).map_err(lines);
    assert_eq!(fixed, Err(vec!["prompt is the template's own and cannot be given".into()]));
}

#[test]
fn a_template_must_make_what_its_workflow_makes_with_settings_it_takes() {
    let faults = |more: Value| lines(content(more).faults_for(&workflow()));
    assert_eq!(faults(json!({ "settings": { "seconds": 30, "mood": null } })), Vec::<String>::new());
    assert_eq!(
        faults(json!({ "templateType": "VIDEO", "settings": { "seconds": 31 }, "imagePrompt": "see {imageUrl}" })),
        [
            "templateType must be IMAGE: that is what the workflow `painter` makes",
            "settings.seconds must be from 1 to 30",
            "imagePrompt takes {imageUrl}, which is a picture and no text"
        ]
    );
    let noop = Definition::parse(
        "n.toml",
        "name = \"n\"\ndescription = \"d\"\nproduces = \"nothing\"\n[[steps]]\nname = \"a\"\nactivity = \"noop\"\n",
    );
    assert_eq!(content(json!({ "templateType": "VIDEO" })).faults_for(&noop.unwrap()), []);
    assert_eq!(TemplateType::Video.task_type(), crate::domain::task::TaskType::VideoGeneration);
}

#[test]
fn what_has_no_effect_is_told() {
    let template = content(json!({ "settings": { "secs": 3, "mood": "x" }, "videoPrompt": "x", "imageModel": "y" }));
    assert_eq!(
        template.unused_by(&workflow()),
        [
            "`settings.secs` has no effect: the workflow `painter` does not take it",
            "`videoPrompt` has no effect: the workflow `painter` does not take it"
        ]
    );
}

#[test]
fn a_brace_in_a_prompt_has_one_use() {
    assert_eq!(prompt::check("Generate image based on: {prompt}"), Ok(()));
    assert_eq!(prompt::needs("{a} and {b_2} and {a}"), ["a", "b_2"]);
    for (text, reason) in [
        ("{prompt", "has a brace without its partner"),
        ("prompt}", "has a brace without its partner"),
        ("{}", "has `{}`"),
        ("{a b}", "has `{a b}`"),
        ("{{a}}", "has `{{a}`"),
        ("{parameters.a}", "has `{parameters.a}`"),
    ] {
        assert!(prompt::check(text).unwrap_err().starts_with(reason), "{text}");
    }
}

#[test]
fn a_customer_chooses_no_model_whether_the_template_names_one_or_not() {
    let own = Err(vec!["imageModel is the template's own and cannot be given".to_owned()]);
    let given = json!({ "imageUrl": picture(), "imageModel": "dear" });
    assert_eq!(parameters(json!({}), given.clone()), own);
    assert_eq!(parameters(json!({ "imageModel": "cheap" }), given), own);
    let made = parameters(json!({ "settings": { "imageModel": "cheap" } }), json!({ "imageUrl": picture() }));
    assert_eq!(made.unwrap()["imageModel"], "cheap");
}
