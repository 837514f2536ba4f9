//! Stripe's own description of its API, by which every request and every answer of the double is judged.
//!
//! `tests/run.sh` takes it from the package `seahaven-stripe-world` on PyPI, at a fixed version.

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;
use std::sync::{Mutex, OnceLock};

use jsonschema::Validator;
use serde_json::{Map, Value, json};

/// Where it lies.
const FILE: &str = "target/stripe/spec3.json";

pub struct Spec {
    root: Value,
    validators: Mutex<BTreeMap<String, std::sync::Arc<Validator>>>,
}

/// The description, read once.
pub fn spec() -> &'static Spec {
    static SPEC: OnceLock<Spec> = OnceLock::new();
    SPEC.get_or_init(|| {
        let path = Path::new(env!("CARGO_MANIFEST_DIR")).join(FILE);
        let text = std::fs::read(&path).unwrap_or_else(|error| {
            panic!("Stripe's description is missing, tests/run.sh gets it: {}: {error}", path.display())
        });
        Spec { root: serde_json::from_slice(&text).unwrap(), validators: Mutex::default() }
    })
}

impl Spec {
    /// What is wrong with a form that is posted to `path`, such as `/v1/refunds/{refund}`.
    pub fn faults_of_form(&self, path: &str, form: &Value) -> Vec<String> {
        let body = &self.root["paths"][path]["post"]["requestBody"]["content"];
        let schema = &body["application/x-www-form-urlencoded"]["schema"];
        if schema.is_null() {
            return vec![format!("nothing is posted to {path}")];
        }
        let typed = coerce(form, schema);
        self.judge(&format!("POST {path}"), schema, &typed)
    }

    /// What is wrong with the query of a read.
    pub fn faults_of_query(&self, path: &str, query: &Value) -> Vec<String> {
        let known = &self.root["paths"][path]["get"];
        if known.is_null() {
            return vec![format!("{path} is not read")];
        }
        let mut schema = json!({ "type": "object", "properties": {}, "additionalProperties": false });
        for parameter in known["parameters"].as_array().unwrap().iter().filter(|one| one["in"] == "query") {
            schema["properties"][parameter["name"].as_str().unwrap()] = parameter["schema"].clone();
        }
        let typed = coerce(query, &schema);
        self.judge(&format!("GET {path}"), &schema, &typed)
    }

    /// What is wrong with an answer.
    pub fn faults_of_answer(&self, method: &str, path: &str, status: u16, body: &Value) -> Vec<String> {
        let answers = &self.root["paths"][path][method.to_lowercase()]["responses"];
        let which = if status == 200 { "200" } else { "default" };
        let schema = &answers[which]["content"]["application/json"]["schema"];
        self.judge(&format!("{which} of {method} {path}"), schema, body)
    }

    /// What is wrong with an object of Stripe's, such as `event`.
    pub fn faults_of_object(&self, name: &str, object: &Value) -> Vec<String> {
        self.judge(name, &json!({ "$ref": format!("#/components/schemas/{name}") }), object)
    }

    fn judge(&self, name: &str, schema: &Value, value: &Value) -> Vec<String> {
        let validator = self.validators.lock().unwrap().get(name).cloned();
        let validator = validator.unwrap_or_else(|| {
            let made = std::sync::Arc::new(jsonschema::validator_for(&self.closed(schema)).unwrap());
            self.validators.lock().unwrap().insert(name.to_owned(), made.clone());
            made
        });
        let faults = validator.iter_errors(value);
        faults.map(|fault| format!("{name}: {fault} at {}", fault.instance_path())).collect()
    }

    /// The schema with what it refers to, and stricter: nothing that the description does not name.
    ///
    /// Stripe's answers hold the `type` of a product, which the description does not name and async-stripe insists on.
    fn closed(&self, schema: &Value) -> Value {
        let mut whole = strict(schema);
        let mut schemas = Map::new();
        let mut wanted = references(&whole);
        while let Some(name) = wanted.pop_first() {
            if !schemas.contains_key(&name) {
                let mut strict = strict(&self.root["components"]["schemas"][&name]);
                if name == "product" {
                    strict["properties"]["type"] = json!({ "enum": ["good", "service"] });
                }
                wanted.extend(references(&strict));
                schemas.insert(name, strict);
            }
        }
        whole["components"] = json!({ "schemas": schemas });
        whole
    }
}

/// JSON Schema from OpenAPI's dialect: null where it is allowed, nothing beyond what is named, and ids where another
/// object could stand whole: the double never puts one there.
fn strict(schema: &Value) -> Value {
    match schema {
        Value::Array(all) => Value::Array(all.iter().map(strict).collect()),
        Value::Object(fields) => {
            let mut strict_fields: Map<String, Value> = Map::new();
            for (name, value) in fields {
                match name.as_str() {
                    "nullable" | "x-expansionResources" | "description" | "title" => {}
                    "properties" => {
                        let each = value.as_object().unwrap().iter();
                        let each = each.map(|(name, schema)| (name.clone(), strict(schema)));
                        strict_fields.insert(name.clone(), Value::Object(each.collect()));
                    }
                    "anyOf" if fields.contains_key("x-expansionResources") => {
                        strict_fields.insert("type".to_owned(), json!("string"));
                    }
                    "enum" | "required" => drop(strict_fields.insert(name.clone(), value.clone())),
                    _ => drop(strict_fields.insert(name.clone(), strict(value))),
                }
            }
            if fields.get("properties").is_some_and(|known| !known.as_object().unwrap().is_empty())
                && !fields.contains_key("additionalProperties")
            {
                strict_fields.insert("additionalProperties".to_owned(), json!(false));
            }
            let strict = Value::Object(strict_fields);
            if fields.get("nullable") == Some(&json!(true)) {
                json!({ "anyOf": [strict, { "type": "null" }] })
            } else {
                strict
            }
        }
        plain => plain.clone(),
    }
}

fn references(schema: &Value) -> BTreeSet<String> {
    match schema {
        Value::Array(all) => all.iter().flat_map(references).collect(),
        Value::Object(fields) => {
            let own = fields.get("$ref").and_then(Value::as_str).and_then(|at| at.rsplit('/').next());
            own.map(str::to_owned).into_iter().chain(fields.values().flat_map(references)).collect()
        }
        _ => BTreeSet::new(),
    }
}

/// Texts of a form as what the schema says they are, when they can be read so.
pub fn coerce(value: &Value, schema: &Value) -> Value {
    if let Some(choices) = schema["anyOf"].as_array() {
        let fits = |choice: &&Value| match value {
            Value::Object(_) => choice["type"] == "object" || choice["type"] == "array",
            _ => choice["type"] != "object" && choice["type"] != "array",
        };
        return choices.iter().find(fits).map_or_else(|| value.clone(), |choice| coerce(value, choice));
    }
    match (schema["type"].as_str(), value) {
        (Some("integer" | "number"), Value::String(text)) => {
            text.parse::<i64>().map_or_else(|_| value.clone(), Value::from)
        }
        (Some("boolean"), Value::String(text)) => text.parse::<bool>().map_or_else(|_| value.clone(), Value::from),
        (Some("array"), Value::Object(entries)) => {
            Value::Array(entries.values().map(|entry| coerce(entry, &schema["items"])).collect())
        }
        (Some("object"), Value::Object(fields)) => {
            let known = |name: &str| schema["properties"].get(name).unwrap_or(&schema["additionalProperties"]);
            let each = fields.iter().map(|(name, value)| (name.clone(), coerce(value, known(name))));
            Value::Object(each.collect())
        }
        _ => value.clone(),
    }
}
