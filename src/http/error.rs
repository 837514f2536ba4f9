//! Every way a call can fail: its status, its stable code, and a sentence that a client's developer can act on.

use std::fmt;
use std::sync::Arc;

use actix_web::http::StatusCode;
use actix_web::http::header::{self, HeaderName, HeaderValue};
use actix_web::{HttpResponse, ResponseError};
use serde::Serialize;

use super::browsers::Browsers;
use super::envelope;
use super::limit::bucket::Standing;
use crate::auth::google;
use crate::domain::workflow::FieldFault;
use crate::runtime::journal::Reaction;

/// The header that carries an error's stable code.
pub const CODE_HEADER: &str = "x-error-code";

/// What is wrong with one field of a request.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, utoipa::ToSchema)]
pub struct Fault {
    /// Where: names joined by dots, such as `parameters.imageUrl`.
    pub field: String,
    /// What is wrong with it.
    pub reason: String,
}

impl Fault {
    /// A fault of `field`.
    #[must_use]
    pub fn new(field: impl Into<String>, reason: impl Into<String>) -> Self {
        Self { field: field.into(), reason: reason.into() }
    }
}

impl From<FieldFault> for Fault {
    fn from(fault: FieldFault) -> Self {
        Self::new(fault.field, fault.reason)
    }
}

/// Why a call failed.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// Fields of the request are invalid.
    #[error("{}", summary(.0))]
    Invalid(Vec<Fault>),
    /// The request cannot be read, or asks for what cannot be.
    #[error("{0}")]
    BadRequest(String),
    /// No key, or one that opens nothing.
    #[error("{0}")]
    Unauthenticated(String),
    /// It costs what the caller has not paid.
    #[error("{0}")]
    PaymentRequired(String),
    /// The key's role is not enough, or a link is not ours.
    #[error("{0}")]
    Forbidden(String),
    /// There is no such thing, or it belongs to another.
    #[error("{0}")]
    NotFound(String),
    /// The route is there; it is called in another way.
    #[error("this route is called with {allow}")]
    MethodNotAllowed {
        /// The methods that reach it, as the `Allow` header lists them.
        allow: String,
    },
    /// What is there already does not allow it.
    #[error("{0}")]
    Conflict(String),
    /// The body, or what it would leave in the journal, is too large.
    #[error("{0}")]
    TooLarge(String),
    /// No byte of the file is in the range asked for.
    #[error("the file has {size} bytes; the range asked for lies outside")]
    RangeNotSatisfiable {
        /// The file's size in bytes.
        size: u64,
    },
    /// An idempotency key came with another request than at first.
    #[error("this Idempotency-Key was used for another request; choose a new key for a new request")]
    KeyReused,
    /// The caller asks more than it may.
    #[error("{what}; try again in {retry_after_s} s")]
    TooMany {
        /// Of what.
        what: String,
        /// When to try again, in seconds.
        retry_after_s: u32,
    },
    /// The body did not arrive in time.
    #[error("{0}")]
    TooSlow(String),
    /// The headers are too large or too many.
    #[error("{0}")]
    HeadTooLarge(String),
    /// A limit is reached, or a part of the service does not answer; it may work again soon.
    #[error("{what}; try again in {retry_after_s} s")]
    Unavailable {
        /// What is not there, or which limit is reached.
        what: String,
        /// When to try again, in seconds.
        retry_after_s: u32,
    },
    /// A fault of the service.
    #[error("something went wrong on our side; name the traceId when you report it")]
    Internal(#[source] Box<dyn std::error::Error + Send + Sync>),
}

fn summary(faults: &[Fault]) -> String {
    match faults {
        [only] => format!("invalid request: {} {}", only.field, only.reason),
        faults => format!("invalid request: {} fields have faults", faults.len()),
    }
}

impl Error {
    /// One invalid field.
    #[must_use]
    pub fn field(field: &str, reason: impl Into<String>) -> Self {
        Self::Invalid(vec![Fault::new(field, reason)])
    }

    /// A fault of the service.
    pub fn internal(cause: impl Into<Box<dyn std::error::Error + Send + Sync>>) -> Self {
        Self::Internal(cause.into())
    }

    /// A limit, or a part that does not answer.
    pub fn unavailable(what: impl Into<String>, retry_after_s: u32) -> Self {
        Self::Unavailable { what: what.into(), retry_after_s }
    }

    /// More than the caller may ask.
    pub fn too_many(what: impl Into<String>, retry_after_s: u32) -> Self {
        Self::TooMany { what: what.into(), retry_after_s }
    }

    /// The HTTP status.
    #[must_use]
    pub const fn status(&self) -> StatusCode {
        match self {
            Self::Invalid(_) | Self::BadRequest(_) => StatusCode::BAD_REQUEST,
            Self::Unauthenticated(_) => StatusCode::UNAUTHORIZED,
            Self::PaymentRequired(_) => StatusCode::PAYMENT_REQUIRED,
            Self::Forbidden(_) => StatusCode::FORBIDDEN,
            Self::NotFound(_) => StatusCode::NOT_FOUND,
            Self::MethodNotAllowed { .. } => StatusCode::METHOD_NOT_ALLOWED,
            Self::Conflict(_) => StatusCode::CONFLICT,
            Self::TooLarge(_) => StatusCode::PAYLOAD_TOO_LARGE,
            Self::RangeNotSatisfiable { .. } => StatusCode::RANGE_NOT_SATISFIABLE,
            Self::KeyReused => StatusCode::UNPROCESSABLE_ENTITY,
            Self::TooMany { .. } => StatusCode::TOO_MANY_REQUESTS,
            Self::TooSlow(_) => StatusCode::REQUEST_TIMEOUT,
            Self::HeadTooLarge(_) => StatusCode::REQUEST_HEADER_FIELDS_TOO_LARGE,
            Self::Unavailable { .. } => StatusCode::SERVICE_UNAVAILABLE,
            Self::Internal(_) => StatusCode::INTERNAL_SERVER_ERROR,
        }
    }

    /// The stable code, in snake case.
    #[must_use]
    pub const fn code(&self) -> &'static str {
        match self {
            Self::Invalid(_) => "invalid_fields",
            Self::BadRequest(_) => "bad_request",
            Self::Unauthenticated(_) => "unauthenticated",
            Self::PaymentRequired(_) => "payment_required",
            Self::Forbidden(_) => "forbidden",
            Self::NotFound(_) => "not_found",
            Self::MethodNotAllowed { .. } => "method_not_allowed",
            Self::Conflict(_) => "conflict",
            Self::TooLarge(_) => "too_large",
            Self::RangeNotSatisfiable { .. } => "range_not_satisfiable",
            Self::KeyReused => "idempotency_key_reused",
            Self::TooMany { .. } => "too_many_requests",
            Self::TooSlow(_) => "request_timeout",
            Self::HeadTooLarge(_) => "headers_too_large",
            Self::Unavailable { .. } => "unavailable",
            Self::Internal(_) => "internal",
        }
    }

    /// The answer, in the envelope.
    #[must_use]
    pub fn response(&self, stamp: &envelope::Stamp) -> HttpResponse {
        let faults = if let Self::Invalid(faults) = self { faults.as_slice() } else { &[] };
        let mut response = HttpResponse::build(self.status());
        response.insert_header((CODE_HEADER, self.code()));
        response.insert_header((header::CACHE_CONTROL, "no-store"));
        if let Some(header) = self.header() {
            response.insert_header(header);
        }
        let (status, code, message) = (self.status().as_u16(), self.code(), &*self.sentence());
        let told = envelope::Told { status, code, message, faults };
        response.content_type("application/json").body(envelope::failure(&told, stamp))
    }

    /// What went wrong, as it is shown: the layers write their sentences in lower case.
    #[must_use]
    pub fn sentence(&self) -> String {
        let text = self.to_string();
        let mut letters = text.chars();
        letters.next().map_or_else(String::new, |first| first.to_uppercase().chain(letters).collect())
    }

    /// The header that the status promises.
    fn header(&self) -> Option<(HeaderName, HeaderValue)> {
        match self {
            Self::Unauthenticated(_) => Some((header::WWW_AUTHENTICATE, HeaderValue::from_static("Bearer"))),
            Self::MethodNotAllowed { allow } => Some((header::ALLOW, HeaderValue::from_str(allow).ok()?)),
            Self::RangeNotSatisfiable { size } => {
                Some((header::CONTENT_RANGE, HeaderValue::from_str(&format!("bytes */{size}")).ok()?))
            }
            Self::Unavailable { retry_after_s, .. } | Self::TooMany { retry_after_s, .. } => {
                Some((header::RETRY_AFTER, HeaderValue::from(*retry_after_s)))
            }
            // What is still to come of the request is not waited for.
            Self::TooSlow(_) => Some((header::CONNECTION, HeaderValue::from_static("close"))),
            _ => None,
        }
    }

    /// What one of actix's own refusals means.
    #[must_use]
    pub fn of_actix(error: &actix_web::Error) -> Self {
        let status = error.as_response_error().status_code();
        match status {
            StatusCode::NOT_FOUND => Self::NotFound(NO_ROUTE.into()),
            StatusCode::PAYLOAD_TOO_LARGE => Self::TooLarge("the request is too large".into()),
            status if status.is_client_error() => Self::BadRequest(format!("the request cannot be read: {error}")),
            _ => Self::internal(error.to_string()),
        }
    }
}

/// What the caller of an unknown route reads.
pub const NO_ROUTE: &str = "there is no such route; /openapi.json lists them all";

/// What a failed call leaves to be said by the middleware, which knows the trace id.
impl ResponseError for Error {
    fn status_code(&self) -> StatusCode {
        self.status()
    }

    fn error_response(&self) -> HttpResponse {
        HttpResponse::new(self.status())
    }
}

/// An error together with the stamp of its call, for failures outside of any route: a handler that panicked.
#[derive(Debug)]
pub struct Stamped {
    /// What failed.
    pub error: Error,
    /// The call's time and trace id.
    pub stamp: envelope::Stamp,
    /// How its caller stands, if that is known.
    pub standing: Option<Standing>,
    /// What browsers are told.
    pub browsers: Option<Arc<Browsers>>,
}

impl fmt::Display for Stamped {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(&self.error, f)
    }
}

impl ResponseError for Stamped {
    fn status_code(&self) -> StatusCode {
        self.error.status()
    }

    fn error_response(&self) -> HttpResponse {
        let mut response = self.error.response(&self.stamp);
        if let Some(standing) = self.standing {
            standing.write(response.headers_mut());
        }
        if let Some(browsers) = &self.browsers {
            browsers.write(response.headers_mut());
        }
        response
    }
}

impl From<crate::store::Error> for Error {
    fn from(error: crate::store::Error) -> Self {
        match error {
            crate::store::Error::TooSlow { .. } => Self::unavailable("the database does not answer in time", 1),
            error => Self::internal(error),
        }
    }
}

impl From<google::Off> for Error {
    fn from(off: google::Off) -> Self {
        Self::BadRequest(off.to_string())
    }
}

impl From<google::Error> for Error {
    fn from(error: google::Error) -> Self {
        match error {
            google::Error::Invalid { field, reason } => Self::field(field, reason),
            google::Error::Forged(why) => Self::BadRequest(why.to_owned()),
            google::Error::Denied(_) => Self::BadRequest(error.to_string()),
            google::Error::Unverified => Self::Forbidden(error.to_string()),
            google::Error::Refused(why) => Self::Unauthenticated(why.to_owned()),
            google::Error::Unknown(what) => Self::NotFound(what.to_owned()),
            google::Error::Google(fault) => {
                tracing::warn!(error = &fault as &dyn std::error::Error, "Google could not be asked");
                Self::unavailable("Google does not answer as it should right now", 5)
            }
            google::Error::IdToken(why) => {
                tracing::warn!(why, "an ID token is worth nothing");
                Self::BadRequest("Google's answer proves nothing: begin again at /auth/google/authorize".into())
            }
            google::Error::Store(error) => error.into(),
            google::Error::Seal(error) => Self::internal(error),
            google::Error::Stopped(_) => Self::internal(error),
        }
    }
}

impl From<crate::store::tasks::Error> for Error {
    fn from(error: crate::store::tasks::Error) -> Self {
        match error {
            crate::store::tasks::Error::Busy => Self::unavailable(error.to_string(), 1),
            crate::store::tasks::Error::Read(cause) if cause.reaction() == Reaction::Retry => {
                tracing::warn!(error = &*cause as &dyn std::error::Error, "tasks could not be read");
                Self::unavailable("the database does not answer right now", 1)
            }
            error => Self::internal(error),
        }
    }
}

impl From<crate::runtime::journal::Error> for Error {
    fn from(error: crate::runtime::journal::Error) -> Self {
        match error.reaction() {
            Reaction::Retry => {
                tracing::warn!(error = &error as &dyn std::error::Error, "the journal did not answer");
                Self::unavailable("the database does not answer right now", 1)
            }
            Reaction::Fail => Self::internal(error),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::domain::Timestamp;

    async fn shown(error: Error) -> (HttpResponse<()>, serde_json::Value) {
        let stamp = envelope::Stamp {
            trace: envelope::TraceId::parse(Some(TRACEPARENT)),
            now: Timestamp(0),
            dialect: envelope::Dialect::Plain,
        };
        let (head, body) = error.response(&stamp).into_parts();
        let bytes = actix_web::body::to_bytes(body).await.unwrap();
        (head, serde_json::from_slice(&bytes).unwrap())
    }

    const TRACEPARENT: &str = "00-0123456789abcdef0123456789abcdef-0123456789abcdef-01";

    #[actix_web::test]
    async fn an_error_is_the_documented_envelope_and_nothing_else() {
        let (head, body) = shown(Error::NotFound("there is no task `x`".into())).await;
        assert_eq!(head.status(), 404);
        assert_eq!(
            body,
            serde_json::json!({
                "code": 404, "message": "There is no task `x`",
                "timestamp": "1970-01-01T00:00:00.000Z", "traceId": "0123456789abcdef0123456789abcdef",
            })
        );
    }

    #[actix_web::test]
    async fn invalid_fields_are_listed() {
        let (_, body) = shown(Error::field("type", "is required")).await;
        assert_eq!(body["errors"], serde_json::json!([{ "field": "type", "reason": "is required" }]));
        assert_eq!(body["message"], "Invalid request: type is required");
        let two = Error::Invalid(vec![Fault::new("a", "x"), Fault::new("b", "y")]);
        assert_eq!(shown(two).await.1["message"], "Invalid request: 2 fields have faults");
    }

    #[actix_web::test]
    async fn a_fault_of_ours_shows_its_trace_id_alone() {
        let (head, body) = shown(Error::internal("the password is swordfish")).await;
        assert_eq!(head.status(), 500);
        assert!(!body.to_string().contains("swordfish"), "{body}");
    }

    #[actix_web::test]
    async fn headers_say_what_the_status_promises() {
        let header =
            |head: &HttpResponse<()>, name: &str| head.headers().get(name).unwrap().to_str().unwrap().to_owned();
        let busy = shown(Error::unavailable("full", 2)).await.0;
        assert_eq!((busy.status().as_u16(), header(&busy, "retry-after")), (503, "2".into()));
        let method = shown(Error::MethodNotAllowed { allow: "GET, HEAD".into() }).await.0;
        assert_eq!((method.status().as_u16(), header(&method, "allow")), (405, "GET, HEAD".into()));
        let range = shown(Error::RangeNotSatisfiable { size: 7 }).await.0;
        assert_eq!((range.status().as_u16(), header(&range, "content-range")), (416, "bytes */7".into()));
        let nobody = shown(Error::Unauthenticated("no key".into())).await.0;
        assert_eq!((nobody.status().as_u16(), header(&nobody, "www-authenticate")), (401, "Bearer".into()));
    }
}
