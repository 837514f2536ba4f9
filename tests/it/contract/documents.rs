//! The description against every example of the four documents. `documents/` has them as they stand there, one file for
//! each document, with three liberties: times and ids that are placeholders there ("timestamp", "string", 123 for a
//! state) are such that they could be sent, and `more` is what this service says beside an example.

use jsonschema::error::ValidationErrorKind;
use serde_json::{Value, json};

use super::api::{Api, Operation};

const DOCUMENTS: [(&str, &str); 4] = [
    ("mixvideo", include_str!("documents/mixvideo.json")),
    ("uqpay", include_str!("documents/uqpay.json")),
    ("unibee", include_str!("documents/unibee.json")),
    ("crypto", include_str!("documents/crypto.json")),
];

/// What an example shows and a schema has not: properties, all the way down.
fn unknown(api: &Api, schema: &Value, shown: &Value, at: &str) -> Vec<String> {
    match shown {
        Value::Object(shown) => {
            let of_property = |(name, value): (&String, &Value)| match api.property(schema, name) {
                Some(says) => unknown(api, says, value, &format!("{at}.{name}")),
                None => vec![format!("{at}.{name} is not described")],
            };
            shown.iter().flat_map(of_property).collect()
        }
        Value::Array(shown) => {
            let items = api.items(schema);
            shown.iter().flat_map(|item| unknown(api, items, item, &format!("{at}[]"))).collect()
        }
        _ => Vec::new(),
    }
}

/// Puts `more` into an example.
fn merge(example: &mut Value, more: &Value) {
    match (example, more) {
        (Value::Object(example), Value::Object(more)) => {
            for (name, value) in more {
                merge(example.entry(name).or_insert(Value::Null), value);
            }
        }
        (Value::Array(example), more) if !more.is_array() => example.iter_mut().for_each(|item| merge(item, more)),
        (example, more) => *example = more.clone(),
    }
}

/// How a value differs from a schema.
fn differs(api: &Api, schema: &Value, value: &Value, at: &str) -> Vec<String> {
    let validator = api.validator(schema);
    let said = validator.iter_errors(value).map(|error| match error.kind() {
        ValidationErrorKind::Required { property } => format!("{at}{}: {property} is missing", error.instance_path()),
        _ => format!("{at}{}: {error}", error.instance_path()),
    });
    said.collect()
}

fn parameters(operation: &Operation, example: &Value) -> Vec<String> {
    let names = |place: &str| -> Vec<String> {
        operation.parameters(place).map(|parameter| parameter["name"].as_str().unwrap().to_lowercase()).collect()
    };
    let mut faults = Vec::new();
    for place in ["path", "query", "headers"] {
        for name in example[place].as_array().into_iter().flatten().map(|name| name.as_str().unwrap()) {
            let described = names(place.trim_end_matches('s')).contains(&name.to_lowercase());
            if !described && !is_credential(operation, name) {
                faults.push(format!("{place}: {name} is not described"));
            }
        }
    }
    faults
}

/// What opens a door is described among the security schemes.
fn is_credential(operation: &Operation, name: &str) -> bool {
    let api = Api::read();
    let schemes = &api.0["components"]["securitySchemes"];
    let ways = operation.says["security"].as_array().or_else(|| api.0["security"].as_array()).into_iter().flatten();
    ways.flat_map(|way| way.as_object().unwrap().keys()).any(|scheme| {
        let scheme = &schemes[scheme.as_str()];
        scheme["name"] == name || (name == "Authorization" && scheme["scheme"] == "bearer")
    })
}

fn judge(api: &Api, document: &Value, example: &Value) -> Vec<String> {
    let name = example["operation"].as_str().unwrap();
    let Some(operation) = api.operations().find(|operation| operation.name() == name) else {
        return vec!["is not described".into()];
    };
    let mut faults = parameters(&operation, example);
    if let Some(shown) = example.get("request") {
        match operation.body() {
            None => faults.push("its body is not described".into()),
            Some(schema) => {
                faults.extend(unknown(api, schema, shown, "request"));
                faults.extend(differs(api, schema, shown, "request"));
            }
        }
    }
    let status = example["status"].as_u64().unwrap();
    if operation.says["responses"].get(status.to_string()).is_none() {
        faults.push(format!("{status} is not described"));
    }
    for header in document["headers"].as_array().into_iter().flatten().map(|header| header.as_str().unwrap()) {
        let headers = operation.says["responses"][status.to_string()]["headers"].as_object();
        if !headers.is_some_and(|headers| headers.keys().any(|known| known.eq_ignore_ascii_case(header))) {
            faults.push(format!("the header {header} is not described"));
        }
    }
    if let Some(shown) = example.get("response") {
        match operation.answer(status) {
            None => faults.push("its answer is not described".into()),
            Some(schema) => {
                faults.extend(unknown(api, schema, shown, "response"));
                let mut said = shown.clone();
                for more in [document.get("more"), example.get("more")].into_iter().flatten() {
                    merge(&mut said, more);
                }
                faults.extend(differs(api, schema, &said, "response"));
            }
        }
    }
    // What is common to a document's routes holds where it can: who needs no key is not told that one is missing, and what
    // names nothing is not told that it is not there.
    let open = operation.answer(401).is_none();
    let names_something = operation.parameters("path").next().is_some();
    let common = document["errors"].as_array().unwrap().iter().filter(|status| match status.as_u64() {
        Some(401) => !open,
        Some(404) => names_something,
        _ => true,
    });
    let own = example["errors"].as_array().into_iter().flatten();
    for status in common.chain(own).map(|status| status.as_u64().unwrap()) {
        let Some(schema) = operation.answer(status) else {
            faults.push(format!("the error {status} is not described"));
            continue;
        };
        if let Some(shown) = document.get("error") {
            faults.extend(unknown(api, schema, shown, "error"));
            let mut said = shown.clone();
            if operation.path.starts_with("/auth/") {
                said["success"] = json!(false);
            }
            faults.extend(differs(api, schema, &said, "error"));
        }
    }
    faults
}

#[test]
fn the_description_agrees_with_every_example_of_the_documents() {
    let api = Api::read();
    let mut faults = Vec::new();
    let mut examples = 0;
    for (name, text) in DOCUMENTS {
        let document: Value = serde_json::from_str(text).unwrap();
        for example in document["examples"].as_array().unwrap() {
            examples += 1;
            let of_example = judge(&api, &document, example);
            faults.extend(of_example.iter().map(|fault| format!("{name}, {}: {fault}", example["operation"])));
        }
    }
    assert!(examples >= 35, "{examples}");
    assert!(faults.is_empty(), "{} faults:\n{}", faults.len(), faults.join("\n"));
}

#[test]
fn a_document_that_says_something_else_is_noticed() {
    let api = Api::read();
    let document: Value = serde_json::from_str(DOCUMENTS[0].1).unwrap();
    let example = |name: &str| {
        document["examples"].as_array().unwrap().iter().find(|example| example["operation"] == name).unwrap().clone()
    };
    let task = example("GET /task/{taskId}");
    assert_eq!(judge(&api, &document, &task), Vec::<String>::new());
    for (pointer, value, fault) in [
        ("/response/data/colour", json!("red"), "response.data.colour is not described"),
        ("/response/data/progress", json!("100"), "is not of type"),
        ("/status", json!(201), "201 is not described"),
        ("/operation", json!("GET /tasks"), "is not described"),
        ("/query", json!(["verbose"]), "verbose is not described"),
        ("/request", json!({ "a": 1 }), "its body is not described"),
    ] {
        let mut other = task.clone();
        let (parent, name) = pointer.rsplit_once('/').unwrap();
        other.pointer_mut(parent).unwrap()[name] = value;
        let faults = judge(&api, &document, &other).join("\n");
        assert!(faults.contains(fault), "{pointer}: {faults}");
    }
}
