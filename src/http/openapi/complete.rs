//! What the handlers leave to be said once for all of them: what a parameter of this name is, how any call may fail, how
//! times are written, which headers are always there. A new route has all of that by itself; what its handler says stands.

use serde_json::{Map, Value, json};
use utoipa::Modify;
use utoipa::openapi::content::ContentBuilder;
use utoipa::openapi::{Ref, RefOr, ResponseBuilder};

/// How any call may fail, whatever it is about.
const ANY_FAILURE: [(&str, &str); 5] = [
    ("400", "The address, a header or the body cannot be read"),
    ("429", "More calls of this kind than the caller may make in a minute, or more tasks under way"),
    ("431", "The headers are too large"),
    ("500", "A fault of the service"),
    ("503", "A limit is reached or a part does not answer: see Retry-After"),
];

/// How a call may fail that has a body.
const BODY_FAILURE: [(&str, &str); 1] = [("408", "The body did not arrive in time")];

/// The controllers with an envelope of their own, by tag; all others share one.
const ENVELOPES: [(&str, &str); 3] = [("auth", "AuthFailure"), ("uqpay", "UqpayFailure"), ("unibee", "UnibeeFailure")];

/// The tag of the controller whose answers are about money: nobody stores them.
const MONEY_TAG: &str = "payment";

/// Headers that an answer may have or not; all others that are described are always there.
const NOT_ALWAYS: [&str; 2] = ["Idempotent-Replayed", "Content-Range"];

/// The part of the envelope that is another in each answer.
const ENVELOPED: &str = "data";

/// What parameters are, by name, and an example of each.
const PARAMETERS: [(&str, &str, &str); 19] = [
    ("capability", "The secret part of the link that the provider was given", "cap_0193"),
    ("code", "The template's code", "photo-to-video"),
    ("cursor", "`nextCursor` of the page before", "photo-to-video"),
    ("expires", "When the link ends, in seconds since 1970", "1800000000"),
    ("id", "The id, as the list shows it", "task/task_0193"),
    ("inputId", "The input: what came from outside and was written down", "in_01930000000070008000000000000000"),
    ("key", "The file's name in the storage", "results/task_123/video.mp4"),
    ("paymentId", "The payment", "pay_01930000000070008000000000000000"),
    ("payment_id", "The payment", "pay_01930000000070008000000000000000"),
    ("provider", "The provider's name in the configuration", "studio"),
    ("sessionId", "The gateway's session", "cs_sandbox_0193"),
    ("session_id", "The gateway's session", "cs_sandbox_0193"),
    ("signature", "What proves that the link is ours", "bWl4dmlkZW8"),
    ("taskId", "The task", "task_123"),
    ("templateCode", "The template's code", "photo-to-video"),
    ("userId", "The customer", "user_123"),
    ("webhook-id", "The webhook's id, the same in every repetition", "msg_123"),
    ("webhook-signature", "`v1,` and the HMAC-SHA256 of id, time and body in base64", "v1,bWl4dmlkZW8="),
    ("webhook-timestamp", "When it was sent, in seconds since 1970", "1800000000"),
];

/// Adds to every operation how any call may fail.
pub(super) struct AnyFailure;

impl Modify for AnyFailure {
    fn modify(&self, api: &mut utoipa::openapi::OpenApi) {
        for item in api.paths.paths.values_mut() {
            for operation in [&mut item.get, &mut item.post, &mut item.put, &mut item.delete].into_iter().flatten() {
                let own = ENVELOPES.iter().find(|(tag, _)| operation.tags.iter().flatten().any(|known| known == tag));
                let body = Ref::from_schema_name(own.map_or("Failure", |(_, name)| name));
                let of_body = if operation.request_body.is_some() { &BODY_FAILURE[..] } else { &[] };
                for (status, text) in ANY_FAILURE.iter().chain(of_body) {
                    operation.responses.responses.entry((*status).to_owned()).or_insert_with(|| {
                        let content = ContentBuilder::new().schema(Some(RefOr::Ref(body.clone()))).build();
                        RefOr::T(ResponseBuilder::new().description(*text).content("application/json", content).build())
                    });
                }
            }
        }
    }
}

/// Completes the description, as JSON.
pub(super) fn complete(api: &mut Value) {
    for item in objects(&mut api["paths"]) {
        for operation in item.values_mut() {
            let parameters = operation.get_mut("parameters").and_then(Value::as_array_mut);
            parameters.into_iter().flatten().for_each(name_parameter);
            let money = operation["tags"].as_array().is_some_and(|tags| tags.iter().any(|tag| tag == MONEY_TAG));
            let answers = operation.get_mut("responses").and_then(Value::as_object_mut);
            for (status, answer) in answers.into_iter().flatten() {
                describe_headers(status, answer, money);
                for (kind, content) in answer.get_mut("content").and_then(Value::as_object_mut).into_iter().flatten() {
                    name_content(kind, content);
                }
            }
        }
    }
    for schema in objects(&mut api["components"]["schemas"]) {
        describe_properties(schema);
    }
}

fn objects(of: &mut Value) -> impl Iterator<Item = &mut Map<String, Value>> {
    of.as_object_mut().into_iter().flat_map(Map::values_mut).filter_map(Value::as_object_mut)
}

fn name_parameter(parameter: &mut Value) {
    let name = parameter["name"].as_str().unwrap_or_default();
    let Some((_, text, example)) = PARAMETERS.iter().find(|(known, ..)| *known == name) else { return };
    let number = parameter["schema"]["type"] == "integer";
    let example = example.parse::<u64>().ok().filter(|_| number).map_or_else(|| json!(example), Value::from);
    if let Some(parameter) = parameter.as_object_mut() {
        parameter.entry("description").or_insert_with(|| json!(text));
        parameter.entry("example").or_insert(example);
    }
}

/// A page or a file is of its kind, and no more is said of it.
fn name_content(kind: &str, content: &mut Value) {
    if let Some(content) = content.as_object_mut() {
        content.entry("schema").or_insert_with(|| json!({ "type": "string", "contentMediaType": kind }));
    }
}

fn describe_headers(status: &str, answer: &mut Value, money: bool) {
    let Some(answer) = answer.as_object_mut() else { return };
    let Some(headers) = answer.entry("headers").or_insert_with(|| json!({})).as_object_mut() else { return };
    if status.starts_with('3') {
        let text = json!({ "description": "Where it goes on", "schema": { "type": "string" } });
        headers.entry("Location").or_insert(text);
    }
    if money || status.starts_with(['4', '5']) {
        let text = json!({ "description": "`no-store`", "schema": { "type": "string", "const": "no-store" } });
        headers.entry("Cache-Control").or_insert(text);
    }
    for (name, header) in headers {
        header["required"] = json!(!NOT_ALWAYS.contains(&&**name));
        if name == "Retry-After" {
            header["schema"] = json!({ "type": "integer", "minimum": 0 });
        }
    }
}

/// Properties of an object, of what it is put together from, and of the objects within it.
fn describe_properties(schema: &mut Map<String, Value>) {
    for (name, property) in schema.get_mut("properties").and_then(Value::as_object_mut).into_iter().flatten() {
        let Some(property) = property.as_object_mut() else { continue };
        lift_description(property);
        if name == ENVELOPED {
            property.entry("description").or_insert_with(|| json!("What was asked for."));
        }
        if is_time(name) && is_text(property) {
            property.entry("format").or_insert_with(|| json!("date-time"));
        }
        describe_properties(property);
    }
    for part in ["allOf", "anyOf", "oneOf"] {
        let parts = schema.get_mut(part).and_then(Value::as_array_mut);
        parts.into_iter().flatten().filter_map(Value::as_object_mut).for_each(describe_properties);
    }
    for part in ["items", "additionalProperties"] {
        if let Some(part) = schema.get_mut(part).and_then(Value::as_object_mut) {
            describe_properties(part);
        }
    }
}

/// What may be null is described where it is described that it may: not one level below.
fn lift_description(property: &mut Map<String, Value>) {
    let below = property.get("oneOf").and_then(Value::as_array).into_iter().flatten();
    let description = below.filter_map(|choice| choice.get("description")).next().cloned();
    if let Some(description) = description {
        property.entry("description").or_insert(description);
    }
}

/// Whether a property of this name is a time: RFC 3339, wherever it is a text.
fn is_time(name: &str) -> bool {
    name.ends_with("At") || name == "timestamp"
}

fn is_text(property: &Map<String, Value>) -> bool {
    let kind = property.get("type");
    let kinds = kind.and_then(Value::as_array).into_iter().flatten();
    kind.into_iter().chain(kinds).any(|kind| kind == "string")
}
