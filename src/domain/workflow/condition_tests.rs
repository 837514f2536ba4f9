//! Conditions, alternatives, priorities and limits of steps, case by case.

use serde_json::{Value, json};

use super::tests::{HEAD, faults, faults_of, object, parse, step_faults, steps};
use crate::domain::Priority;

const STYLE: &str = "[parameters.style]\nkind = \"text\"\none_of = [\"poster\", \"sepia\"]\n";
const WHEN_POSTER: &str = "when = { parameter = \"style\", is = \"poster\" }\n";
const WHEN_SEPIA: &str = "when = { parameter = \"style\", is = \"sepia\" }\n";

#[test]
fn two_steps_give_the_result_only_when_they_differ_or_exclude_each_other() {
    let two = steps(&[("a", "result = true"), ("b", "result = true")]);
    let both = "steps.b.result: step `a` gives the result too, and both may run: let `when` decide between them by one \
                parameter";
    assert_eq!(faults(&two), [both]);
    let (poster, sepia) = (format!("result = true\n{WHEN_POSTER}"), format!("result = true\n{WHEN_SEPIA}"));
    assert_eq!(faults(&format!("{STYLE}{}", steps(&[("a", &poster), ("b", &sepia)]))), [""; 0]);
    assert_eq!(faults(&format!("{STYLE}{}", steps(&[("a", &poster), ("b", &poster)]))), [both]);
    let store = |name: &str, kind: &str| {
        format!("[[steps]]\nname = \"{name}\"\nactivity = \"store\"\nwith = {{ file = \"f\", kind = \"{kind}\" }}\n")
    };
    assert_eq!(faults(&(store("a", "video") + &store("b", "image"))), [""; 0]);
    assert_eq!(
        faults(&(store("a", "image") + &store("b", "image"))),
        [both.replace("the result too", "the result of kind \"image\" too")]
    );
}

#[test]
fn a_workflow_publishes_something_for_every_request() {
    let faults = |parameter: &str, whens: &[&str]| {
        let marked: Vec<String> = whens.iter().map(|when| format!("result = true\n{when}")).collect();
        let named: Vec<(&str, &str)> = ["a", "b"].into_iter().zip(marked.iter().map(String::as_str)).collect();
        faults_of(&format!("{}{parameter}{}", HEAD.replace("nothing", "image"), steps(&named)))
    };
    let nothing = ["produces: for some requests nothing is published: every step that could is skipped"];
    let default = format!("{STYLE}default = \"sepia\"\n");
    let flag = "[parameters.style]\nkind = \"flag\"\nrequired = true\n";
    let (on, off) = ("when = { parameter = \"style\", is = true }", "when = { parameter = \"style\", is = false }");
    assert_eq!(faults(&default, &[WHEN_POSTER, WHEN_SEPIA]), [""; 0]);
    assert_eq!(faults(&default, &[WHEN_POSTER]), nothing);
    assert_eq!(faults(STYLE, &[WHEN_POSTER, WHEN_SEPIA]), nothing, "a request may not say");
    assert_eq!(faults(flag, &[on, off]), [""; 0]);
    assert_eq!(faults(flag, &[on]), nothing);
}

#[test]
fn a_condition_is_about_a_value_that_its_parameter_can_have() {
    let when = |parameter: &str, is: &str| {
        let when = format!("when = {{ parameter = \"{parameter}\", is = {is} }}");
        let picture = "[parameters.photo]\nkind = \"picture\"\n[parameters.n]\nkind = \"number\"\nmax = 9\n";
        faults(&format!("{STYLE}{picture}{}", steps(&[("a", &when), ("b", "")])))
    };
    assert_eq!(when("style", "\"poster\""), [""; 0]);
    assert_eq!(when("n", "9"), [""; 0]);
    assert_eq!(when("color", "1"), ["steps.a.when.parameter: parameter `color` is not declared"]);
    assert_eq!(when("style", "\"mono\""), ["steps.a.when.is: must be one of: poster, sepia"]);
    assert_eq!(when("n", "10"), ["steps.a.when.is: must be at most 9"]);
    assert_eq!(when("photo", "\"x\""), ["steps.a.when.is: a picture cannot be compared; texts, numbers and flags can"]);
    assert_eq!(step_faults("when = \"poster\""), ["steps.a.when: must be a table, not a text"]);
    assert_eq!(
        step_faults("when = { parameters = \"style\" }"),
        [
            "steps.a.when.parameter: is missing",
            "steps.a.when.is: is missing",
            "steps.a.when.parameters: is unknown; known are parameter, is",
        ]
    );
}

#[test]
fn a_condition_holds_for_the_value_given_or_the_default_and_for_no_other() {
    let skips = |declared: &str, is: &str, given: Value| {
        let when = format!("when = {{ parameter = \"p\", is = {is} }}");
        let source = format!("{HEAD}[parameters.p]\n{declared}\n{}", steps(&[("a", &when)]));
        let definition = parse(&source).unwrap();
        definition.skipped(&object(given)).count() == 1
    };
    assert!(!skips("kind = \"number\"", "5", json!({ "p": 5.0 })));
    assert!(skips("kind = \"number\"", "5", json!({ "p": 6 })));
    assert!(!skips("kind = \"flag\"\ndefault = true", "true", json!({})));
    assert!(!skips("kind = \"flag\"\ndefault = true", "true", json!({ "p": null })));
    assert!(skips("kind = \"flag\"\ndefault = true", "true", json!({ "p": false })));
    assert!(skips("kind = \"flag\"", "false", json!({})), "what has no value is equal to nothing");
}

#[test]
fn a_setting_that_cannot_be_missing_is_no_result_of_a_step_that_may_be_skipped() {
    let body = |when: &str, file: &str| {
        let store = "[[steps]]\nname = \"s\"\nactivity = \"store\"\nneeds = [\"a\", \"b\"]\n";
        let a = steps(&[("a", WHEN_POSTER), ("b", WHEN_SEPIA)]);
        format!("{STYLE}{a}{store}{when}with = {{ file = \"{file}\", kind = \"image\" }}\n")
    };
    let missing = "steps.s.with.file: has no value when `a` is skipped, which is unless `style` is \"poster\": give this \
                   step the same `when`";
    assert_eq!(faults(&body("", "{steps.a.file}")), [missing]);
    assert_eq!(faults(&body(WHEN_SEPIA, "{steps.a.file}")), [missing]);
    assert_eq!(faults(&body(WHEN_POSTER, "{steps.a.file}")), [""; 0]);
    assert_eq!(faults(&body("", "{steps.a.file}{steps.b.file}")), [""; 0], "one of them has a value");
}

#[test]
fn priority_and_concurrency_are_checked() {
    let source = |priority: &str| format!("priority = \"{priority}\"\n{HEAD}{}", steps(&[("a", "")]));
    assert_eq!(faults_of(&source("urgent")), ["priority: `urgent` is unknown; known are high, normal, low"]);
    assert_eq!(parse(&source("low")).unwrap().priority(), Priority::Low);
    let concurrency = |keys: &str| step_faults(&format!("concurrency = {{ {keys} }}"));
    assert_eq!(concurrency("key = \"gpu\", limit = 4"), [""; 0]);
    assert_eq!(concurrency("key = \"for {user}\", limit = 4"), [""; 0]);
    assert_eq!(concurrency("key = \"gpu\", limit = 0"), ["steps.a.concurrency.limit: must be from 1 to 10000, not 0"]);
    assert_eq!(concurrency("limit = 1"), ["steps.a.concurrency.key: is missing"]);
    assert_eq!(concurrency("key = \"gpu\""), ["steps.a.concurrency.limit: is missing"]);
    assert_eq!(
        concurrency("key = \"{parameters.x}\", limit = 1"),
        ["steps.a.concurrency.key: parameter `x` is not declared"]
    );
    assert_eq!(
        step_faults("with = { x = \"{user}\" }"),
        ["steps.a.with.x: `{user}` is for the key of `concurrency` alone"]
    );
}
