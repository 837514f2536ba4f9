//! Whether the description is one, and says everything: rules that hold for every route, those to come included.

use std::collections::BTreeSet;

use serde_json::{Value, json};

use super::api::{Api, Operation};

/// The schema of OpenAPI 3.1, as its authors publish it (spec.openapis.org/oas/3.1/schema/2022-10-07).
const OPENAPI: &str = include_str!("openapi-3.1.json");

/// What is wrong with a description.
fn faults(api: &Api) -> Vec<String> {
    let mut faults = Vec::new();
    let tags: BTreeSet<&str> = api.0["tags"]
        .as_array()
        .into_iter()
        .flatten()
        .filter(|tag| has_text(tag))
        .filter_map(|tag| tag["name"].as_str())
        .collect();
    let mut ids = BTreeSet::new();
    for operation in api.operations() {
        let mut fault = |text: String| faults.push(format!("{}: {text}", operation.name()));
        let says = operation.says;
        if says["summary"].as_str().is_none_or(str::is_empty) {
            fault("has no summary".into());
        }
        if !ids.insert(says["operationId"].as_str().unwrap_or_default()) {
            fault(format!("shares its operationId {}, or has none", says["operationId"]));
        }
        let tag = says["tags"][0].as_str().unwrap_or_default();
        if !tags.contains(tag) {
            fault(format!("its tag `{tag}` is not described"));
        }
        of_parameters(api, &operation, &mut fault);
        of_answers(api, &operation, &mut fault);
        if let Some(schema) = operation.body() {
            let example = api.example(schema);
            for why in api.faults(schema, &example) {
                fault(format!("its body {example} is no example of itself: {why}"));
            }
        }
    }
    for (name, schema) in api.schemas() {
        of_schema(api, schema, name, &mut faults);
    }
    faults
}

fn has_text(described: &Value) -> bool {
    described["description"].as_str().is_some_and(|text| !text.trim().is_empty())
}

fn of_parameters(api: &Api, operation: &Operation, fault: &mut impl FnMut(String)) {
    for parameter in operation.says["parameters"].as_array().into_iter().flatten() {
        let name = &parameter["name"];
        if !has_text(parameter) {
            fault(format!("its parameter {name} is not described"));
        }
        if parameter["in"] == "path" && parameter.get("example").is_none() {
            fault(format!("its parameter {name} has no example"));
        }
        if let Some(example) = parameter.get("example") {
            for why in api.faults(&parameter["schema"], example) {
                fault(format!("its parameter {name} has an example that is none: {why}"));
            }
        }
    }
    let named: Vec<&str> = operation.path.split('{').skip(1).filter_map(|part| part.split('}').next()).collect();
    let known: Vec<&str> = operation.parameters("path").filter_map(|parameter| parameter["name"].as_str()).collect();
    if named.iter().collect::<BTreeSet<_>>() != known.iter().collect::<BTreeSet<_>>() {
        fault(format!("has {named:?} in its path and describes {known:?}"));
    }
}

fn of_answers(api: &Api, operation: &Operation, fault: &mut impl FnMut(String)) {
    let answers = operation.says["responses"].as_object().unwrap();
    if !answers.keys().any(|status| status.starts_with(['2', '3'])) {
        fault("never works".into());
    }
    for status in ["400", "500", "503"] {
        if !answers.contains_key(status) {
            fault(format!("does not say how it answers {status}"));
        }
    }
    for (status, answer) in answers {
        if !has_text(answer) {
            fault(format!("does not say what {status} means"));
        }
        for (name, header) in answer["headers"].as_object().into_iter().flatten() {
            if !has_text(header) || header.get("schema").is_none() {
                fault(format!("does not say what the header {name} of {status} is"));
            }
        }
        let failed = status.starts_with(['4', '5']);
        if failed && answer["content"].as_object().is_none_or(serde_json::Map::is_empty) {
            fault(format!("does not say what the body of {status} is"));
        }
        for (kind, content) in answer["content"].as_object().into_iter().flatten() {
            match content.get("schema") {
                None => fault(format!("does not say what the {kind} of {status} is")),
                Some(schema) if kind == "application/json" => {
                    let example = content.get("example").cloned().unwrap_or_else(|| api.example(schema));
                    for why in api.faults(schema, &example) {
                        fault(format!("its answer {status} {example} is no example of itself: {why}"));
                    }
                }
                Some(_) => {}
            }
        }
    }
}

fn of_schema(api: &Api, schema: &Value, at: &str, faults: &mut Vec<String>) {
    for (name, property) in schema["properties"].as_object().into_iter().flatten() {
        let at = format!("{at}.{name}");
        let text = property["description"]
            .as_str()
            .unwrap_or_else(|| api.resolve(property)["description"].as_str().unwrap_or_default());
        if text.is_empty() {
            faults.push(format!("{at} is not described"));
        }
        if let Some(unit) = lacking_unit(name, property, text) {
            faults.push(format!("{at} does not say that it is {unit}: {property}"));
        }
        if let Some(example) = property.get("example") {
            faults.extend(
                api.faults(property, example).iter().map(|why| format!("{at} has an example that is none: {why}")),
            );
        }
        of_schema(api, property, &at, faults);
    }
    for part in ["allOf", "oneOf", "anyOf"] {
        for part in schema[part].as_array().into_iter().flatten() {
            of_schema(api, part, at, faults);
        }
    }
    if let Some(items) = schema.get("items") {
        of_schema(api, items, at, faults);
    }
}

/// The unit that a property of this name has, when it does not say it.
fn lacking_unit(name: &str, property: &Value, text: &str) -> Option<&'static str> {
    let is = |kind: &str| {
        property["type"] == kind || property["type"].as_array().is_some_and(|kinds| kinds.contains(&json!(kind)))
    };
    let lower = name.to_lowercase();
    let says = |words: &[&str]| words.iter().any(|word| text.to_lowercase().contains(word));
    let amount = ["amount", "price", "cost"].iter().any(|word| lower.contains(word));
    let span = ["seconds", "expires_in"].iter().any(|word| lower.contains(word)) || name.ends_with("Ms");
    let moment = name.ends_with("At") || lower == "timestamp" || lower.ends_with("_time") || name.ends_with("Time");
    if is("integer") && amount && !says(&["minor unit", "credit", "gwei"]) {
        return Some("an amount in minor units, in gwei or in credits");
    }
    if is("integer") && (span || moment) && !says(&["second"]) {
        return Some("in seconds or milliseconds");
    }
    if is("string") && moment && property["format"] != "date-time" && !says(&["rfc 3339"]) {
        return Some("a time in RFC 3339");
    }
    None
}

#[test]
fn the_description_is_openapi_3_1() {
    let schema: Value = serde_json::from_str(OPENAPI).unwrap();
    let validator = jsonschema::validator_for(&schema).unwrap();
    let api = Api::read();
    let errors: Vec<String> =
        validator.iter_errors(&api.0).map(|error| format!("{}: {error}", error.instance_path())).collect();
    assert!(errors.is_empty(), "{}", errors.join("\n"));
    assert!(api.0["openapi"].as_str().unwrap().starts_with("3.1."));
    for broken in ["openapi", "info"] {
        let mut other = api.0.clone();
        other.as_object_mut().unwrap().remove(broken);
        assert!(!validator.is_valid(&other), "it may have no {broken}");
    }
    let mut other = api.0.clone();
    other["paths"]["/task"]["post"]["responses"]["200"].as_object_mut().unwrap().remove("description");
    assert!(!validator.is_valid(&other), "an answer may say nothing");
}

#[test]
fn everything_is_described_with_its_unit_its_failures_and_an_example() {
    let faults = faults(&Api::read());
    assert!(faults.is_empty(), "{} faults:\n{}", faults.len(), faults.join("\n"));
}

#[test]
fn each_thing_that_is_left_out_is_noticed() {
    let cases: [(&str, Option<Value>, &str); 12] = [
        ("/paths/~1task/post/summary", None, "has no summary"),
        ("/paths/~1task/post/operationId", Some(json!("task_read")), "shares its operationId"),
        ("/paths/~1task/post/tags", Some(json!(["tasks"])), "its tag `tasks` is not described"),
        ("/paths/~1task~1{taskId}/get/parameters/0/description", None, "`taskId`"),
        ("/paths/~1task~1{taskId}/get/parameters/0/name", Some(json!("id")), "describes [\"id\"]"),
        ("/paths/~1task/post/responses/503", None, "how it answers 503"),
        ("/paths/~1task/post/responses/404/content", None, "the body of 404"),
        ("/paths/~1task/post/responses/200/headers/x-trace-id/description", None, "the header x-trace-id of 200"),
        ("/components/schemas/NewTask/properties/templateCode/description", None, "templateCode is not described"),
        ("/components/schemas/NewRefund/properties/amount/description", Some(json!("How much.")), "minor units"),
        ("/components/schemas/TaskView/properties/createdAt/format", None, "RFC 3339"),
        ("/components/schemas/NewTask/properties/type/example", Some(json!("film")), "an example that is none"),
    ];
    for (pointer, value, fault) in cases {
        let mut api = Api::read();
        let (parent, name) = pointer.rsplit_once('/').unwrap();
        let parent =
            api.0.pointer_mut(parent).unwrap_or_else(|| panic!("{pointer} is not there")).as_object_mut().unwrap();
        assert!(parent.remove(name).is_some(), "{pointer} is not there");
        if let Some(value) = value {
            parent.insert(name.to_owned(), value);
        }
        let found = faults(&api).join("\n");
        assert!(found.contains(&fault.replace('`', "\"")) || found.contains(fault), "{pointer}: {found}");
    }
}
