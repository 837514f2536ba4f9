//! What every answer is wrapped in: `code`, `message`, `data`, `timestamp`, `traceId`.

use std::fmt;

use actix_web::body::BoxBody;
use actix_web::http::StatusCode;
use actix_web::http::header::{self, HeaderName, HeaderValue};
use actix_web::{HttpMessage as _, HttpRequest, HttpResponse, Responder};
use chrono::{DateTime, SecondsFormat};
use serde::Serialize;
use serde_json::value::RawValue;

use super::State;
use super::error::{Error, Fault};
use crate::domain::Timestamp;

/// The id by which one call is found in the logs: 32 hexadecimal digits.
#[derive(Clone, Copy, PartialEq, Eq)]
pub struct TraceId([u8; 32]);

impl TraceId {
    /// The trace id of a `traceparent` header (W3C Trace Context), or a fresh one when it is missing or invalid: a
    /// broken header never fails a call.
    #[must_use]
    pub fn parse(traceparent: Option<&str>) -> Self {
        Self::given(traceparent).unwrap_or_else(Self::fresh)
    }

    /// The trace id of a `traceparent` header that is there and valid.
    #[must_use]
    pub fn given(traceparent: Option<&str>) -> Option<Self> {
        traceparent.and_then(Self::of_traceparent)
    }

    /// One that nobody had before.
    #[must_use]
    pub fn fresh() -> Self {
        let mut digits = [0; 32];
        uuid::Uuid::new_v4().simple().encode_lower(&mut digits);
        Self(digits)
    }

    fn of_traceparent(text: &str) -> Option<Self> {
        let hex = |text: &str, length: usize| {
            text.len() == length && text.bytes().all(|byte| matches!(byte, b'0'..=b'9' | b'a'..=b'f'))
        };
        let mut parts = text.split('-');
        let (version, trace, parent, flags) = (parts.next()?, parts.next()?, parts.next()?, parts.next()?);
        let formed = hex(version, 2) && hex(trace, 32) && hex(parent, 16) && hex(flags, 2);
        let zero = |text: &str| text.bytes().all(|byte| byte == b'0');
        // Later versions may add parts; version 00 has four, and ff is none.
        let known = version != "ff" && (version != "00" || parts.next().is_none());
        if !formed || !known || zero(trace) || zero(parent) {
            return None;
        }
        trace.as_bytes().try_into().ok().map(Self)
    }

    /// The digits.
    #[must_use]
    pub fn as_str(&self) -> &str {
        std::str::from_utf8(&self.0).unwrap_or_default()
    }
}

impl fmt::Debug for TraceId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

/// When a call is answered, and its trace id.
#[derive(Clone, Copy, Debug)]
pub struct Stamp {
    /// The call's id.
    pub trace: TraceId,
    /// The time of the answer.
    pub now: Timestamp,
    /// How the envelope is written.
    pub dialect: Dialect,
}

/// How the envelope is written: each document has its own way.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Dialect {
    /// As everywhere.
    Plain,
    /// As the Auth Controller's: with `success`.
    Auth,
    /// As UQPAY's: successes without an envelope, failures with a stable code and a sentence.
    Uqpay,
    /// As UniBee's: `code` 0 for successes, with `redirect` and `requestId`.
    Unibee,
    /// As the crypto refunds': successes without an envelope, failures as everywhere.
    Crypto,
}

impl Dialect {
    /// The dialect of a route.
    #[must_use]
    pub fn of_path(path: &str) -> Self {
        let below = |root: &str| path.strip_prefix(root).is_some_and(|rest| rest.is_empty() || rest.starts_with('/'));
        match path {
            _ if below("/auth") => Self::Auth,
            _ if below("/api/v2/payment") || below("/v2/payment") => Self::Uqpay,
            _ if below("/merchant") => Self::Unibee,
            _ if below("/refunds") => Self::Crypto,
            _ => Self::Plain,
        }
    }
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Envelope<'a> {
    #[serde(skip_serializing_if = "Option::is_none")]
    success: Option<bool>,
    code: u16,
    message: &'a str,
    #[serde(skip_serializing_if = "Option::is_none")]
    data: Option<&'a RawValue>,
    #[serde(skip_serializing_if = "<[Fault]>::is_empty")]
    errors: &'a [Fault],
    timestamp: String,
    trace_id: &'a str,
}

/// A time as the API shows it: RFC 3339 in UTC, with milliseconds.
#[must_use]
pub fn rfc3339(time: Timestamp) -> String {
    DateTime::from_timestamp_millis(time.0).unwrap_or_default().to_rfc3339_opts(SecondsFormat::Millis, true)
}

#[derive(Serialize)]
struct UqpayFailure<'a> {
    code: &'a str,
    message: &'a str,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct UnibeeEnvelope<'a> {
    code: u16,
    data: Option<&'a RawValue>,
    message: &'a str,
    redirect: &'static str,
    request_id: &'a str,
}

fn json(body: &impl Serialize) -> String {
    serde_json::to_string(body).expect("an envelope has text keys only")
}

fn wrapped(code: u16, message: &str, data: Option<&RawValue>, errors: &[Fault], stamp: &Stamp) -> String {
    let timestamp = rfc3339(stamp.now);
    let success = (stamp.dialect == Dialect::Auth).then_some(code < 400);
    json(&Envelope { success, code, message, data, errors, timestamp, trace_id: stamp.trace.as_str() })
}

fn wrapped_by_unibee(code: u16, message: &str, data: Option<&RawValue>, stamp: &Stamp) -> String {
    json(&UnibeeEnvelope { code, data, message, redirect: "", request_id: stamp.trace.as_str() })
}

/// The body of a success.
fn success(code: u16, message: &str, data: Option<&RawValue>, stamp: &Stamp) -> String {
    match stamp.dialect {
        Dialect::Plain | Dialect::Auth => wrapped(code, message, data, &[], stamp),
        Dialect::Uqpay | Dialect::Crypto => data.map_or("{}", RawValue::get).to_owned(),
        Dialect::Unibee => wrapped_by_unibee(0, message, data, stamp),
    }
}

/// What is told about a failure.
pub struct Told<'a> {
    /// The HTTP status.
    pub status: u16,
    /// The stable code.
    pub code: &'a str,
    /// A sentence.
    pub message: &'a str,
    /// What is wrong with which field.
    pub faults: &'a [Fault],
}

/// The body of an error. Where the document has no place for a list of faults, the sentence holds them all.
#[must_use]
pub fn failure(told: &Told<'_>, stamp: &Stamp) -> String {
    let Told { status, code, message, faults } = *told;
    let full = || match faults {
        [] => message.to_owned(),
        faults => {
            let said: Vec<String> = faults.iter().map(|fault| format!("{} {}", fault.field, fault.reason)).collect();
            format!("Invalid request: {}", said.join("; "))
        }
    };
    match stamp.dialect {
        Dialect::Plain | Dialect::Auth | Dialect::Crypto => wrapped(status, message, None, faults, stamp),
        Dialect::Uqpay => json(&UqpayFailure { code, message: &full() }),
        Dialect::Unibee => wrapped_by_unibee(status, &full(), None, stamp),
    }
}

/// A successful answer.
#[derive(Debug)]
pub struct Reply {
    status: StatusCode,
    message: String,
    data: Option<Box<RawValue>>,
    headers: Vec<(HeaderName, HeaderValue)>,
}

impl Reply {
    /// 200, with `data`.
    ///
    /// # Errors
    /// [`Error::Internal`] when the data cannot be written as JSON.
    pub fn ok(message: &str, data: &impl Serialize) -> Result<Self, Error> {
        Self::new(StatusCode::OK, message, data)
    }

    /// Any status, with `data`.
    ///
    /// # Errors
    /// [`Error::Internal`] when the data cannot be written as JSON.
    pub fn new(status: StatusCode, message: &str, data: &impl Serialize) -> Result<Self, Error> {
        let data = serde_json::value::to_raw_value(data).map_err(Error::internal)?;
        Ok(Self::of_parts(status, message.to_owned(), Some(data)))
    }

    /// An answer whose data is JSON already.
    #[must_use]
    pub const fn of_parts(status: StatusCode, message: String, data: Option<Box<RawValue>>) -> Self {
        Self { status, message, data, headers: Vec::new() }
    }

    /// The same answer with a header.
    #[must_use]
    pub fn with(mut self, name: HeaderName, value: HeaderValue) -> Self {
        self.headers.push((name, value));
        self
    }

    /// The same answer, never to be stored by caches.
    #[must_use]
    pub fn no_store(self) -> Self {
        self.with(header::CACHE_CONTROL, HeaderValue::from_static("no-store"))
    }

    /// Its status, message and data, to be stored.
    #[must_use]
    pub fn parts(&self) -> (u16, &str, Option<&RawValue>) {
        (self.status.as_u16(), &self.message, self.data.as_deref())
    }
}

impl Responder for Reply {
    type Body = BoxBody;

    fn respond_to(self, request: &HttpRequest) -> HttpResponse<BoxBody> {
        let body = success(self.status.as_u16(), &self.message, self.data.as_deref(), &stamp(request));
        let mut response = HttpResponse::build(self.status);
        for header in self.headers {
            response.insert_header(header);
        }
        response.content_type("application/json").body(body)
    }
}

/// The stamp of an answer given now.
#[must_use]
pub fn stamp(request: &HttpRequest) -> Stamp {
    let trace = request.extensions().get::<TraceId>().copied().unwrap_or_else(TraceId::fresh);
    let now = request.app_data::<actix_web::web::Data<State>>().map_or_else(Timestamp::default, |state| state.now());
    Stamp { trace, now, dialect: Dialect::of_path(request.path()) }
}

#[cfg(test)]
mod tests {
    use super::*;

    const TRACE: &str = "0af7651916cd43dd8448eb211c80319c";

    #[test]
    fn a_valid_traceparent_names_the_trace() {
        for text in [
            format!("00-{TRACE}-b7ad6b7169203331-01"),
            format!("00-{TRACE}-b7ad6b7169203331-00"),
            format!("cc-{TRACE}-b7ad6b7169203331-01-what-the-future-will-be-like"),
        ] {
            assert_eq!(TraceId::parse(Some(&text)).as_str(), TRACE, "{text}");
        }
    }

    #[test]
    fn an_invalid_traceparent_is_replaced_by_a_fresh_trace() {
        for text in [
            String::new(),
            TRACE.to_owned(),
            format!("00-{TRACE}-b7ad6b7169203331"),
            format!("00-{TRACE}-b7ad6b7169203331-01-more"),
            format!("ff-{TRACE}-b7ad6b7169203331-01"),
            format!("00-{}-b7ad6b7169203331-01", TRACE.to_uppercase()),
            format!("00-{}-b7ad6b7169203331-01", "0".repeat(32)),
            format!("00-{TRACE}-{}-01", "0".repeat(16)),
            format!("00-{}-b7ad6b7169203331-01", &TRACE[1..]),
        ] {
            let fresh = TraceId::parse(Some(&text));
            assert_eq!(fresh.as_str().len(), 32);
            assert!(!text.contains(fresh.as_str()), "{text}");
        }
    }

    #[test]
    fn each_document_has_its_own_envelope() {
        for (path, dialect) in [
            ("/task", Dialect::Plain),
            ("/payment/refund/pay_1", Dialect::Plain),
            ("/auth/google/refresh", Dialect::Auth),
            ("/api/v2/payment/refunds", Dialect::Uqpay),
            ("/v2/payment/refunds", Dialect::Uqpay),
            ("/v2/payments", Dialect::Plain),
            ("/merchant/invoice/mark_refund", Dialect::Unibee),
            ("/refunds", Dialect::Crypto),
            ("/refunds/partial", Dialect::Crypto),
            ("/refundsx", Dialect::Plain),
        ] {
            assert_eq!(Dialect::of_path(path), dialect, "{path}");
        }
    }

    #[test]
    fn failures_are_told_as_each_document_tells_them() {
        let faults = [Fault::new("amount", "is required"), Fault::new("reason", "is required")];
        let told = Told { status: 400, code: "invalid_fields", message: "Two faults", faults: &faults };
        let said = |dialect| {
            let trace = TraceId::parse(Some(&format!("00-{TRACE}-b7ad6b7169203331-01")));
            let stamp = Stamp { trace, now: Timestamp(0), dialect };
            serde_json::from_str::<serde_json::Value>(&failure(&told, &stamp)).unwrap()
        };
        let all = "Invalid request: amount is required; reason is required";
        assert_eq!(said(Dialect::Uqpay), serde_json::json!({ "code": "invalid_fields", "message": all }));
        assert_eq!(
            said(Dialect::Unibee),
            serde_json::json!({ "code": 400, "data": null, "message": all, "redirect": "", "requestId": TRACE })
        );
        assert_eq!(said(Dialect::Crypto), said(Dialect::Plain));
        assert_eq!(said(Dialect::Plain)["errors"][1]["field"], "reason");
    }

    #[test]
    fn times_are_written_as_the_documents_do() {
        assert_eq!(rfc3339(Timestamp(1_704_067_200_000)), "2024-01-01T00:00:00.000Z");
    }
}
