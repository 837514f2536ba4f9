//! Request bodies: read within a limit, as one JSON object, with the digest that tells one body from another.

use std::ops::RangeInclusive;

use actix_web::http::header;
use actix_web::{HttpMessage as _, HttpRequest, web};
use bytes::{Bytes, BytesMut};
use serde::Serialize;
use serde_json::{Map, Value};
use sha2::{Digest, Sha256};

use super::State;
use super::error::{Error, Fault};

/// The largest body of a call that carries pictures, in bytes.
pub const WITH_PICTURES_MAX: usize = 10 * 1024 * 1024;
/// The largest body of any other call, in bytes.
pub const PLAIN_MAX: usize = 256 * 1024;
/// So much of a body that is too large is read and thrown away, so that its sender gets to read the answer.
const DISCARDED_MAX: usize = 64 * 1024 * 1024;

/// So much of the name of an unknown field is repeated, in characters.
const FIELD_CHARS_SHOWN: usize = 100;

/// A body.
#[derive(Debug, PartialEq)]
pub struct Body {
    /// What it says.
    pub object: Map<String, Value>,
    /// SHA-256 of it in one spelling: the order of keys and the spaces between them do not matter.
    pub digest: String,
}

/// Reads a body of at most `limit` bytes that is a JSON object. No body at all reads as an empty object.
///
/// # Errors
/// [`Error::TooLarge`], and [`Error::BadRequest`] for what is no JSON object or holds U+0000.
pub async fn read(request: &HttpRequest, payload: web::Payload, limit: usize) -> Result<Body, Error> {
    let bytes = collect(request, payload, limit).await?;
    if bytes.is_empty() {
        return Ok(Body { object: Map::new(), digest: digest(&Value::Object(Map::new())) });
    }
    parse(&bytes)
}

/// The bytes of a body of at most `limit` bytes. Their room is given back when the request is over.
///
/// # Errors
/// [`Error::TooLarge`], [`Error::TooSlow`], [`Error::Unavailable`] without room, and [`Error::BadRequest`] for one that
/// is cut short.
pub async fn collect(request: &HttpRequest, mut payload: web::Payload, limit: usize) -> Result<Bytes, Error> {
    let state = request.app_data::<web::Data<State>>().ok_or_else(|| Error::internal("no state"))?;
    let too_large = || Error::TooLarge(format!("the body is larger than the {} KB allowed here", limit / 1024));
    // What is refused is read to its end, and thrown away.
    let announced: Option<usize> =
        request.headers().get(header::CONTENT_LENGTH).and_then(|length| length.to_str().ok()?.parse().ok());
    let mut body = BytesMut::new();
    let mut total = 0;
    let mut refused = announced.is_some_and(|length| length > limit).then(too_large);
    let mut arrival = state.arrivals.begin();
    while let Some(piece) = arrival.next(&mut payload).await? {
        let piece = piece.map_err(|error| Error::BadRequest(format!("the body was cut short: {error}")))?;
        total += piece.len();
        if total > DISCARDED_MAX {
            break;
        }
        if refused.is_none() {
            refused = if total > limit { Some(too_large()) } else { arrival.grow(total).err() };
        }
        if refused.is_none() {
            body.extend_from_slice(&piece);
        } else {
            body = BytesMut::new();
        }
    }
    if let Some(refused) = refused {
        return Err(refused);
    }
    request.extensions_mut().insert(arrival.room());
    Ok(body.freeze())
}

fn parse(bytes: &[u8]) -> Result<Body, Error> {
    let value: Value = serde_json::from_slice(bytes)
        .map_err(|error| Error::BadRequest(format!("the body is not valid JSON: {error}")))?;
    if holds_nul(&value) {
        return Err(Error::BadRequest("the character U+0000 is not allowed in any text".into()));
    }
    let digest = digest(&value);
    match value {
        Value::Object(object) => Ok(Body { object, digest }),
        _ => Err(Error::BadRequest("the body must be a JSON object".into())),
    }
}

fn holds_nul(value: &Value) -> bool {
    match value {
        Value::String(text) => text.contains('\0'),
        Value::Array(items) => items.iter().any(holds_nul),
        Value::Object(object) => object.iter().any(|(key, value)| key.contains('\0') || holds_nul(value)),
        Value::Null | Value::Bool(_) | Value::Number(_) => false,
    }
}

/// SHA-256, in hexadecimal digits, of `value` with its keys in order and no spaces.
#[must_use]
pub fn digest(value: &Value) -> String {
    let mut text = Vec::with_capacity(256);
    spell(value, &mut text);
    hex::encode(Sha256::digest(&text))
}

/// SHA-256, in hexadecimal digits, of `parts`: no two lists of parts are alike.
#[must_use]
pub fn digest_of(parts: &[&str]) -> String {
    let mut hash = Sha256::new();
    for part in parts {
        hash.update((part.len() as u64).to_be_bytes());
        hash.update(part);
    }
    hex::encode(hash.finalize())
}

/// The order of keys is made here: whether a map keeps them in order depends on how serde_json was built.
fn spell(value: &Value, text: &mut Vec<u8>) {
    match value {
        Value::Array(items) => {
            text.push(b'[');
            for item in items {
                spell(item, text);
                text.push(b',');
            }
            text.push(b']');
        }
        Value::Object(object) => {
            let mut fields: Vec<(&String, &Value)> = object.iter().collect();
            fields.sort_unstable_by_key(|(key, _)| *key);
            text.push(b'{');
            for (key, value) in fields {
                write(key, text);
                text.push(b':');
                spell(value, text);
                text.push(b',');
            }
            text.push(b'}');
        }
        Value::Null | Value::Bool(_) | Value::Number(_) | Value::String(_) => write(value, text),
    }
}

fn write(value: &impl Serialize, text: &mut Vec<u8>) {
    serde_json::to_writer(text, value).expect("texts and numbers are JSON, and a vector takes them");
}

/// Reads the fields of a body and gathers everything that is wrong with them.
pub struct Fields<'a> {
    object: &'a Map<String, Value>,
    faults: Vec<Fault>,
}

impl<'a> Fields<'a> {
    /// The fields of `object`.
    #[must_use]
    pub const fn of(object: &'a Map<String, Value>) -> Self {
        Self { object, faults: Vec::new() }
    }

    /// Notes a fault.
    pub fn fault(&mut self, field: &str, reason: impl Into<String>) {
        self.faults.push(Fault::new(field, reason));
    }

    fn given(&self, field: &str) -> Option<&'a Value> {
        self.object.get(field).filter(|value| !value.is_null())
    }

    /// A text of 1 to `chars_max` characters; null counts as not given.
    pub fn text(&mut self, field: &str, chars_max: usize) -> Option<&'a str> {
        match self.given(field)? {
            Value::String(text) if (1..=chars_max).contains(&text.chars().count()) => return Some(text),
            Value::String(_) => self.fault(field, format!("must have 1 to {chars_max} characters")),
            _ => self.fault(field, "must be a text"),
        }
        None
    }

    /// The same, and it must be there.
    pub fn required_text(&mut self, field: &str, chars_max: usize) -> Option<&'a str> {
        self.require(field);
        self.text(field, chars_max)
    }

    /// It must be there; null counts as not given.
    pub fn require(&mut self, field: &str) {
        if self.given(field).is_none() {
            self.fault(field, "is required");
        }
    }

    /// It may have these fields and no others.
    pub fn only(&mut self, known: &[&str]) {
        let unknown: Vec<&String> = self.object.keys().filter(|field| !known.contains(&field.as_str())).collect();
        for field in unknown {
            let shown: String = field.chars().take(FIELD_CHARS_SHOWN).collect();
            self.fault(&shown, "is not known here");
        }
    }

    /// Whether it is there and null.
    #[must_use]
    pub fn is_null(&self, field: &str) -> bool {
        self.object.get(field).is_some_and(Value::is_null)
    }

    /// A text that is a name: 1 to `chars_max` letters, digits, `_` and `-`; null counts as not given.
    pub fn name(&mut self, field: &str, chars_max: usize) -> Option<&'a str> {
        let value = self.given(field)?;
        let allowed = |byte: u8| byte.is_ascii_alphanumeric() || byte == b'_' || byte == b'-';
        let name = value.as_str().filter(|name| (1..=chars_max).contains(&name.len()) && name.bytes().all(allowed));
        if name.is_none() {
            self.fault(field, format!("must be 1 to {chars_max} letters, digits, `_` and `-`"));
        }
        name
    }

    /// A whole number; null counts as not given.
    pub fn whole(&mut self, field: &str, range: RangeInclusive<i64>) -> Option<i64> {
        let number = self.given(field)?.as_i64().filter(|number| range.contains(number));
        if number.is_none() {
            self.fault(field, format!("must be a whole number from {} to {}", range.start(), range.end()));
        }
        number
    }

    /// True or false; null counts as not given.
    pub fn flag(&mut self, field: &str) -> Option<bool> {
        let flag = self.given(field)?.as_bool();
        if flag.is_none() {
            self.fault(field, "must be true or false");
        }
        flag
    }

    /// A list of texts, each of 1 to `chars_max` characters and none twice; null counts as not given.
    pub fn texts(&mut self, field: &str, count: RangeInclusive<usize>, chars_max: usize) -> Option<Vec<&'a str>> {
        let good = |item: &'a Value| item.as_str().filter(|text| (1..=chars_max).contains(&text.chars().count()));
        let texts = self.given(field)?.as_array().map(|items| items.iter().map(good).collect::<Option<Vec<_>>>());
        match texts {
            None => self.fault(field, "must be a list"),
            Some(None) => self.fault(field, format!("must be a list of texts of 1 to {chars_max} characters")),
            Some(Some(texts)) if !count.contains(&texts.len()) => {
                self.fault(field, format!("must have {} to {} entries", count.start(), count.end()));
            }
            Some(Some(texts)) => match texts.iter().enumerate().find(|(at, text)| texts[..*at].contains(text)) {
                Some((_, twice)) => self.fault(field, format!("has `{twice}` twice")),
                None => return Some(texts),
            },
        }
        None
    }

    /// An object; null counts as not given.
    pub fn object(&mut self, field: &str) -> Option<&'a Map<String, Value>> {
        match self.given(field)? {
            Value::Object(object) => return Some(object),
            _ => self.fault(field, "must be an object"),
        }
        None
    }

    /// # Errors
    /// [`Error::Invalid`] with every fault that was noted.
    pub fn finish(self) -> Result<(), Error> {
        if self.faults.is_empty() { Ok(()) } else { Err(Error::Invalid(self.faults)) }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_same_body_in_another_spelling_has_the_same_digest() {
        let digest = |text: &str| parse(text.as_bytes()).unwrap().digest;
        assert_eq!(digest(r#"{"a":1,"b":{"x":[1,2],"y":null}}"#), digest(r#" {"b": {"y":null,"x":[1, 2]}, "a": 1} "#));
        for other in [r#"{"a":2}"#, r#"{"a":"1"}"#, r#"{"b":1}"#, r#"{"a":1,"b":null}"#, r#"{"a":[1]}"#, "{}"] {
            assert_ne!(digest(r#"{"a":1}"#), digest(other), "{other}");
        }
    }

    #[test]
    fn parts_do_not_run_into_each_other() {
        assert_ne!(digest_of(&["ab", "c"]), digest_of(&["a", "bc"]));
        assert_ne!(digest_of(&["a"]), digest_of(&["a", ""]));
    }

    #[test]
    fn what_is_no_object_is_refused() {
        for text in ["[]", "1", "\"x\"", "null", "{", "{\"a\":}", "\u{feff}{}", "{\"a\":\"\u{0}\"}"] {
            assert!(matches!(parse(text.as_bytes()), Err(Error::BadRequest(_))), "{text:?}");
        }
        assert!(matches!(parse(b"{\"a\":\"\xff\"}"), Err(Error::BadRequest(_))));
    }

    #[test]
    fn the_nul_character_is_refused_wherever_it_hides_and_its_spelling_is_not() {
        for text in [r#"{"a":"\u0000"}"#, r#"{"a":[{"b":"x\u0000y"}]}"#, r#"{"\u0000":1}"#] {
            assert!(parse(text.as_bytes()).is_err(), "{text}");
        }
        assert!(parse(br#"{"a":"\\u0000"}"#).is_ok());
    }

    #[test]
    fn every_fault_of_a_body_is_named_at_once() {
        let body = parse(br#"{"type":1,"userId":"","parameters":[]}"#).unwrap();
        let mut fields = Fields::of(&body.object);
        fields.required_text("type", 10);
        fields.required_text("templateCode", 10);
        fields.text("userId", 10);
        fields.object("parameters");
        let Err(Error::Invalid(faults)) = fields.finish() else { panic!("no faults") };
        let said: Vec<String> = faults.iter().map(|fault| format!("{} {}", fault.field, fault.reason)).collect();
        assert_eq!(
            said,
            [
                "type must be a text",
                "templateCode is required",
                "userId must have 1 to 10 characters",
                "parameters must be an object"
            ]
        );
    }
}
