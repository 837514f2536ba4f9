//! Requests that are almost right. Each follows from its seed alone.

use rand::rngs::StdRng;
use rand::seq::IndexedRandom as _;
use rand::{RngExt, SeedableRng};
use serde_json::{Map, Value, json};

use super::api::{Api, Operation};

/// Methods, most of which a route does not take.
const METHODS: [&str; 11] =
    ["GET", "HEAD", "POST", "PUT", "DELETE", "PATCH", "OPTIONS", "TRACE", "CONNECT", "get", "BREW"];
/// What stands where a part of a path or a parameter's value should.
const ODD_PARTS: [&str; 18] = [
    "",
    ".",
    "..",
    "%2e%2e%2f%2e%2e%2fetc%2fpasswd",
    "%00",
    "a%00b",
    "%ff%fe",
    "%",
    "%zz",
    "%F0%9F%8E%AC",
    "a%20b",
    "-1",
    "99999999999999999999",
    "%27%20OR%201=1--",
    "null",
    "%25%32%30",
    "a//b",
    "%E2%80%AE",
];
/// What stands where a body's kind should.
const ODD_KINDS: [&str; 8] = [
    "",
    "text/plain",
    "application/xml",
    "application/json; charset=utf-16",
    "multipart/form-data; boundary=x",
    "application/x-www-form-urlencoded",
    "application/json/json",
    "\u{fffd}",
];
/// Headers that the server reads, and what may stand in them.
const READ_HEADERS: [&str; 16] = [
    "Authorization",
    "Idempotency-Key",
    "x-idempotency-key",
    "x-auth-token",
    "x-client-id",
    "x-on-behalf-of",
    "traceparent",
    "Last-Event-ID",
    "Range",
    "If-Range",
    "Accept",
    "Accept-Encoding",
    "stripe-signature",
    "webhook-signature",
    "webhook-timestamp",
    "Origin",
];

/// A request as it goes over the wire.
#[derive(Clone, Debug)]
pub struct Request {
    pub method: String,
    /// The path and the query.
    pub target: String,
    pub headers: Vec<(String, Vec<u8>)>,
    pub body: Vec<u8>,
    /// How long the body is said to be, when it is not as long as it is.
    pub said_length: Option<usize>,
}

impl Request {
    /// The bytes to send.
    pub fn bytes(&self) -> Vec<u8> {
        let mut bytes = format!("{} {} HTTP/1.1\r\n", self.method, self.target).into_bytes();
        for (name, value) in &self.headers {
            bytes.extend_from_slice(name.as_bytes());
            bytes.extend_from_slice(b": ");
            bytes.extend_from_slice(value);
            bytes.extend_from_slice(b"\r\n");
        }
        let length = self.said_length.unwrap_or(self.body.len());
        bytes.extend_from_slice(format!("Content-Length: {length}\r\n\r\n").as_bytes());
        bytes.extend_from_slice(&self.body);
        bytes
    }

    fn set(&mut self, name: &str, value: impl Into<Vec<u8>>) {
        self.headers.retain(|(known, _)| !known.eq_ignore_ascii_case(name));
        self.headers.push((name.to_owned(), value.into()));
    }
}

/// What is there, for requests that find something.
pub struct Known {
    pub task: String,
    pub payment: String,
    pub session: String,
    /// Keys, one of which each request carries.
    pub keys: Vec<String>,
}

/// Makes requests.
pub struct Generator {
    api: Api,
    known: Known,
}

impl Generator {
    pub fn new(known: Known) -> Self {
        Self { api: Api::read(), known }
    }

    /// The request of a seed: a valid one with one to three mutations, and the operation that it was made from.
    pub fn request(&self, seed: u64) -> (String, Request) {
        let mut random = StdRng::seed_from_u64(seed);
        let operations: Vec<Operation> = self.api.operations().collect();
        let operation = operations.choose(&mut random).unwrap();
        let mut body = operation.body().map(|schema| self.fitting(operation.path, self.api.example(schema)));
        let mut parts: Vec<(String, String)> = operation
            .parameters("path")
            .map(|parameter| (name(parameter), self.value(operation.path, parameter)))
            .collect();
        let mut query: Vec<(String, String)> = operation
            .parameters("query")
            .filter(|parameter| parameter["required"] == true || random.random_bool(0.3))
            .map(|parameter| (name(parameter), self.value(operation.path, parameter)))
            .collect();
        let mut request = Request {
            method: operation.method.clone(),
            target: String::new(),
            headers: vec![("Host".into(), b"localhost".to_vec())],
            body: Vec::new(),
            said_length: None,
        };
        if let Some(key) = self.known.keys.choose(&mut random) {
            request.set("Authorization", format!("Bearer {key}"));
        }
        for parameter in operation.parameters("header") {
            request.set(&name(parameter), self.value(operation.path, parameter));
        }
        // What is about values comes before the text is made, what is about the text after it.
        let mutations = random.random_range(1..=3);
        for _ in 0..mutations {
            match random.random_range(0..8) {
                0..4 => {
                    if let Some(body) = &mut body {
                        mutate(body, &mut random);
                    } else {
                        odd_header(&mut request, &mut random);
                    }
                }
                4 => odd_pair(&mut parts, &mut random),
                5 => {
                    if random.random_bool(0.3) {
                        let odd =
                            ["limit", "cursor", "wait", "userId", "query", "page", "sort"].choose(&mut random).unwrap();
                        query.push(((*odd).to_owned(), String::new()));
                    }
                    odd_pair(&mut query, &mut random);
                }
                6 => odd_header(&mut request, &mut random),
                _ => request.method = (*METHODS.choose(&mut random).unwrap()).to_owned(),
            }
        }
        request.target = target(operation.path, &parts, &query);
        if let Some(body) = body {
            request.set("Content-Type", "application/json");
            request.body = serde_json::to_vec(&body).unwrap();
        }
        if random.random_bool(0.25) {
            odd_bytes(&mut request, &mut random);
        }
        if random.random_bool(0.1) {
            let kind = ODD_KINDS.choose(&mut random).unwrap();
            request.set("Content-Type", *kind);
        }
        (operation.name(), request)
    }

    /// The value of a parameter that finds something, where something is there.
    fn value(&self, path: &str, parameter: &Value) -> String {
        let found = match parameter["name"].as_str().unwrap() {
            "taskId" => &self.known.task,
            "paymentId" | "payment_id" => &self.known.payment,
            "sessionId" | "session_id" => &self.known.session,
            "code" | "templateCode" => template_of(path),
            _ => {
                let example =
                    parameter.get("example").cloned().unwrap_or_else(|| self.api.example(&parameter["schema"]));
                return example.as_str().map_or_else(|| example.to_string(), str::to_owned);
            }
        };
        found.to_owned()
    }

    /// A body that finds something, where something is there.
    fn fitting(&self, path: &str, mut body: Value) -> Value {
        if let Some(body) = body.as_object_mut() {
            for (name, value) in [
                ("templateCode", json!("noop")),
                ("code", json!(template_of(path))),
                ("templateCodes", json!([template_of(path)])),
                ("workflow", json!("noop")),
                ("templateType", json!("VIDEO")),
                ("paymentId", json!(self.known.payment)),
                ("payment_intent_id", json!(self.known.payment)),
            ] {
                if body.contains_key(name) {
                    body.insert(name.to_owned(), value);
                }
            }
        }
        body
    }
}

/// The template that calls of a route are about: what is run is not what is changed.
fn template_of(path: &str) -> &'static str {
    let runs = path.starts_with("/templates/execute") || path.starts_with("/payment");
    if runs { "noop" } else { "mutated" }
}

fn name(parameter: &Value) -> String {
    parameter["name"].as_str().unwrap().to_owned()
}

fn target(path: &str, parts: &[(String, String)], query: &[(String, String)]) -> String {
    let mut target = path.to_owned();
    for (name, value) in parts {
        target = target.replace(&format!("{{{name}}}"), value);
    }
    for (at, (name, value)) in query.iter().enumerate() {
        target.push(if at == 0 { '?' } else { '&' });
        target.push_str(&format!("{name}={value}"));
    }
    // What would end the line is the business of whoever speaks HTTP, not of a route.
    target.replace([' ', '\r', '\n'], "+")
}

fn odd_pair(pairs: &mut Vec<(String, String)>, random: &mut StdRng) {
    if pairs.is_empty() {
        return;
    }
    let at = random.random_range(0..pairs.len());
    match random.random_range(0..10) {
        0 => {
            pairs.remove(at);
        }
        1 => {
            let twice = pairs[at].clone();
            pairs.push(twice);
        }
        2 => pairs[at].1 = "x".repeat(random.random_range(65..3_000)),
        _ => pairs[at].1 = (*ODD_PARTS.choose(random).unwrap()).to_owned(),
    }
}

fn odd_header(request: &mut Request, random: &mut StdRng) {
    let name = READ_HEADERS.choose(random).unwrap();
    let value = match random.random_range(0..10) {
        0 => Vec::new(),
        1 => b"Bearer ".to_vec(),
        2 => vec![b'x'; random.random_range(200..6_000)],
        3 => b"\xff\xfe\xc3".to_vec(),
        4 => "\u{1F3AC}".as_bytes().to_vec(),
        5 => b"\"quoted".to_vec(),
        6 => b"0,0,0,,,;;;=".to_vec(),
        7 => b"bytes=0-,-1,5-2".to_vec(),
        8 => b"text/html".to_vec(),
        _ => {
            request.headers.retain(|(known, _)| !known.eq_ignore_ascii_case(name));
            return;
        }
    };
    if random.random_bool(0.2) {
        // A second line of the same name.
        request.headers.push(((*name).to_owned(), value));
    } else {
        request.set(name, value);
    }
}

fn odd_bytes(request: &mut Request, random: &mut StdRng) {
    let length = request.body.len();
    match random.random_range(0..11) {
        0 => request.body.truncate(random.random_range(0..=length)),
        1 => request.said_length = Some(length + random.random_range(1..100)),
        2 if length > 0 => {
            let at = random.random_range(0..length);
            request.body[at] ^= 1 << random.random_range(0..8);
        }
        3 => request.body = b"\xef\xbb\xbf{}".to_vec(),
        4 => request.body = b"{\"a\":\"\xff\xfe\"}".to_vec(),
        5 => request.body = [b"[".repeat(random.random_range(100..20_000)), b"]".to_vec()].concat(),
        6 => request.body = [b"{\"a\":".repeat(random.random_range(100..20_000)), b"1".to_vec()].concat(),
        7 => request.body.extend_from_slice(b" {}"),
        8 => request.body = [b"{\"a\":".to_vec(), b"9".repeat(random.random_range(1..5_000)), b"}".to_vec()].concat(),
        9 if random.random_bool(0.05) => request.body = vec![b' '; 300 * 1024],
        _ => request.body = b"\0".repeat(random.random_range(0..64)),
    }
}

/// Changes one value somewhere inside.
fn mutate(value: &mut Value, random: &mut StdRng) {
    let deeper = random.random_bool(0.8);
    match value {
        Value::Object(object) if deeper && !object.is_empty() => of_object(object, random),
        Value::Array(items) if deeper && !items.is_empty() => {
            let at = random.random_range(0..items.len());
            match random.random_range(0..4) {
                0 => {
                    items.remove(at);
                }
                1 => {
                    let again = items[at].clone();
                    items.resize(items.len() + random.random_range(1..200), again);
                }
                _ => mutate(&mut items[at], random),
            }
        }
        value => *value = odd_value(random),
    }
}

fn of_object(object: &mut Map<String, Value>, random: &mut StdRng) {
    let names: Vec<String> = object.keys().cloned().collect();
    let name = names.choose(random).unwrap();
    match random.random_range(0..7) {
        0 => {
            object.remove(name);
        }
        1 => {
            let odd = ["", "\u{0}", "__proto__", "code", "id", "\u{1F3AC}", "a.b.c", "$ref"].choose(random).unwrap();
            object.insert((*odd).to_owned(), odd_value(random));
        }
        2 => {
            let other = names.choose(random).unwrap();
            let value = object[other].clone();
            object.insert(name.clone(), value);
        }
        _ => mutate(object.get_mut(name).unwrap(), random),
    }
}

fn odd_value(random: &mut StdRng) -> Value {
    match random.random_range(0..20) {
        0 => Value::Null,
        1 => json!(random.random_bool(0.5)),
        2 => json!(0),
        3 => json!(-1),
        4 => json!(i64::MAX),
        5 => json!(u64::MAX),
        6 => json!(i64::MIN),
        7 => json!(1e308),
        8 => json!(0.1),
        9 => json!(""),
        10 => json!("\u{0}"),
        11 => json!("a\u{0}b"),
        12 => json!("\u{202e}\u{1F3AC}\u{7f}\u{85}"),
        13 => json!("x".repeat(random.random_range(60..20_000))),
        14 => json!([]),
        15 => json!({}),
        16 => (0..random.random_range(1..120)).fold(json!(1), |inner, _| json!([inner])),
        17 => (0..random.random_range(1..120)).fold(json!(1), |inner, _| json!({ "a": inner })),
        18 => {
            json!(["data:image/png;base64,", "http://127.0.0.1/", "file:///etc/passwd", "javascript:1"].choose(random))
        }
        _ => Value::Object((0..random.random_range(1..300)).map(|at| (format!("k{at}"), json!(at))).collect()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_seed_makes_the_same_request_again_and_another_makes_another() {
        let known = || Known { task: "t".into(), payment: "p".into(), session: "s".into(), keys: vec!["k".into()] };
        let (one, two) = (Generator::new(known()), Generator::new(known()));
        let made: Vec<Vec<u8>> = (0..200).map(|seed| one.request(seed).1.bytes()).collect();
        assert_eq!(made, (0..200).map(|seed| two.request(seed).1.bytes()).collect::<Vec<_>>());
        let different: std::collections::BTreeSet<_> = made.iter().collect();
        assert!(different.len() > 190, "{}", different.len());
    }
}
