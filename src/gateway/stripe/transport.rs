//! How async-stripe's requests travel: over one client that keeps its connections, under our own idempotency keys, with
//! the status, Stripe's own words and the request's id kept of whatever comes back. Nothing is redirected or repeated
//! by itself: what may be repeated is decided by whoever knows what was journaled.

use std::time::Duration;

use bytes::Bytes;
use reqwest::header::{AUTHORIZATION, CONTENT_TYPE, HeaderMap, HeaderValue};
use reqwest::{Client, StatusCode, redirect, retry};
use secrecy::{ExposeSecret as _, SecretString};
use serde::Deserialize;
use stripe_client_core::{
    CustomizedStripeRequest, RequestStrategy, StripeClient, StripeClientErr, StripeMethod, VERSION,
};

use crate::activity::fetch::retry_after;
use crate::domain::gateway::{Answer, Doubt, Next, Reason, Rejection};
use crate::runtime::trace;

/// How long one connection may take to be made.
const CONNECT_LIMIT: Duration = Duration::from_secs(10);
/// The largest answer, in bytes: a page of 100 sessions is less than 1 MB.
const ANSWER_BYTES_MAX: usize = 8 << 20;
/// Characters of Stripe's own words that are kept.
const WORDS_MAX: usize = 500;

/// The way to Stripe. Clones share their connections.
#[derive(Clone, Debug)]
pub(super) struct Transport {
    client: Client,
    /// Where the API begins, without a slash at the end.
    base: String,
    key: SecretString,
    limit: Duration,
}

/// Why there is no usable answer.
#[derive(Debug)]
pub(super) enum Failure {
    /// Nothing was sent.
    NotSent(String),
    /// It may have arrived; what came back says nothing.
    Lost(String),
    /// Stripe answered that it did not work.
    Said(Said),
}

/// What Stripe answered when it did not work.
#[derive(Debug)]
pub(super) struct Said {
    status: StatusCode,
    /// Its own words; `None` when somebody else answered, such as a proxy.
    error: Option<StripeError>,
    /// Whether it is the kept answer of an earlier call under the same key.
    replayed: bool,
    after_ms: Option<i64>,
}

/// `error` in Stripe's answers (docs.stripe.com/api/errors).
#[derive(Debug, Default, Deserialize)]
struct StripeError {
    #[serde(default, rename = "type")]
    kind: String,
    code: Option<String>,
    decline_code: Option<String>,
    message: Option<String>,
}

#[derive(Deserialize)]
struct Envelope {
    error: StripeError,
}

impl StripeClientErr for Failure {
    fn deserialize_err(msg: impl std::fmt::Display) -> Self {
        Self::Lost(format!("its answer cannot be read: {msg}"))
    }
}

impl Transport {
    pub fn new(base: &str, key: SecretString, limit: Duration) -> Result<Self, reqwest::Error> {
        let client = Client::builder()
            .redirect(redirect::Policy::none())
            .retry(retry::never())
            .no_proxy()
            .referer(false)
            .connect_timeout(CONNECT_LIMIT)
            .user_agent(concat!("mixvideo/", env!("CARGO_PKG_VERSION")))
            .build()?;
        Ok(Self { client, base: base.trim_end_matches('/').to_owned(), key, limit })
    }

    async fn send(&self, request: CustomizedStripeRequest) -> Result<Bytes, Failure> {
        let (request, custom) = request.into_pieces();
        let mut url = format!("{}/v1{}", self.base, request.path);
        if let Some(query) = request.query.filter(|query| !query.is_empty()) {
            url = format!("{url}?{query}");
        }
        let mut sending = match request.method {
            StripeMethod::Get => self.client.get(&url),
            StripeMethod::Post => self.client.post(&url),
            StripeMethod::Delete => self.client.delete(&url),
        };
        if let Some(body) = request.body {
            sending = sending.header(CONTENT_TYPE, "application/x-www-form-urlencoded").body(in_order(&body));
        }
        let mut key = HeaderValue::from_str(&format!("Bearer {}", self.key.expose_secret().trim()))
            .map_err(|_| Failure::NotSent("`stripe.secret_key` holds what no header may".to_owned()))?;
        key.set_sensitive(true);
        sending = sending.header(AUTHORIZATION, key).header("stripe-version", VERSION.as_str());
        if let Some(RequestStrategy::Idempotent(key)) = custom.request_strategy {
            sending = sending.header("idempotency-key", key.as_str());
        }
        if let Some(trace) = trace::current() {
            sending = sending.header("traceparent", trace.parent());
        }
        let answered = answer(sending);
        let limit = custom.timeout.unwrap_or(self.limit);
        let silent = || Failure::Lost(format!("Stripe did not answer within {} s", limit.as_secs_f32()));
        let (status, headers, body) = tokio::time::timeout(limit, answered).await.map_err(|_| silent())??;
        let header = |name: &str| headers.get(name).and_then(|value| value.to_str().ok());
        let request_id = header("request-id").unwrap_or_default();
        tracing::debug!(path = request.path, status = status.as_u16(), request_id, "Stripe answered");
        if status == StatusCode::OK {
            return Ok(body);
        }
        let error = serde_json::from_slice::<Envelope>(&body).ok().map(|envelope| envelope.error);
        let code = error.as_ref().and_then(|error| error.code.as_deref()).unwrap_or_default();
        tracing::warn!(path = request.path, status = status.as_u16(), request_id, code, "Stripe did not do it");
        Err(Failure::Said(Said {
            status,
            error,
            replayed: header("idempotent-replayed") == Some("true"),
            after_ms: retry_after(&headers).map(|rest| i64::try_from(rest.as_millis()).unwrap_or(i64::MAX)),
        }))
    }
}

impl StripeClient for Transport {
    type Err = Failure;

    fn execute(&self, request: CustomizedStripeRequest) -> impl Future<Output = Result<Bytes, Failure>> + Send {
        self.send(request)
    }
}

/// The fields of a form in one order: metadata come from hash maps, and the same call is to be the same bytes.
fn in_order(form: &str) -> String {
    let mut pairs: Vec<&str> = form.split('&').collect();
    pairs.sort_unstable();
    pairs.join("&")
}

async fn answer(request: reqwest::RequestBuilder) -> Result<(StatusCode, HeaderMap, Bytes), Failure> {
    let mut response = request.send().await.map_err(no_answer)?;
    let (status, headers) = (response.status(), response.headers().clone());
    let mut body = Vec::new();
    while let Some(piece) = response.chunk().await.map_err(no_answer)? {
        if body.len() + piece.len() > ANSWER_BYTES_MAX {
            return Err(Failure::Lost(format!("its answer has more than {ANSWER_BYTES_MAX} bytes")));
        }
        body.extend_from_slice(&piece);
    }
    Ok((status, headers, body.into()))
}

fn no_answer(error: reqwest::Error) -> Failure {
    let error = error.without_url();
    let mut why = error.to_string();
    let mut cause = std::error::Error::source(&error);
    while let Some(source) = cause {
        why = format!("{why}: {source}");
        cause = source.source();
    }
    if error.is_connect() || error.is_builder() { Failure::NotSent(why) } else { Failure::Lost(why) }
}

impl Failure {
    /// What follows from it. `asked` says that Stripe was asked before, and knew of nothing.
    ///
    /// A rejection is believed in Stripe's own words only: what a proxy says tells nothing of what Stripe did.
    pub fn answer<T>(self, asked: bool) -> Answer<T> {
        match self {
            Self::NotSent(why) => Answer::Rejected(Rejection {
                reason: Reason::Busy { after_ms: None },
                code: String::new(),
                message: format!("Stripe could not be reached: {why}"),
            }),
            Self::Lost(why) => doubt(Next::Repeat, why),
            Self::Said(said) => said.answer(asked),
        }
    }
}

impl Said {
    fn answer<T>(self, asked: bool) -> Answer<T> {
        let status = self.status.as_u16();
        let Some(error) = self.error else {
            if status == 429 {
                return busy(self.after_ms, String::new(), "Stripe is asked too often".to_owned());
            }
            return doubt(Next::Repeat, format!("the answer was {status}, and not in Stripe's words"));
        };
        let message = error.message.unwrap_or_else(|| format!("Stripe answered {status}"));
        let message: String = message.chars().take(WORDS_MAX).collect();
        let code = error.decline_code.or(error.code).unwrap_or_default();
        let kept = if asked { Next::NewKey } else { Next::Repeat };
        let reason = match status {
            429 => return busy(self.after_ms, code, message),
            // This key was used for something else: what that did is not known.
            400 if error.kind == "idempotency_error" => return doubt(kept, message),
            400 => Reason::Invalid,
            401 | 403 => Reason::Unauthorized,
            402 => Reason::Declined,
            404 => Reason::Missing,
            _ if self.replayed => {
                return doubt(kept, format!("Stripe keeps answering this key with {status}: {message}"));
            }
            _ => return doubt(Next::Repeat, format!("Stripe answered {status}: {message}")),
        };
        Answer::Rejected(Rejection { reason, code, message })
    }
}

fn busy<T>(after_ms: Option<i64>, code: String, message: String) -> Answer<T> {
    Answer::Rejected(Rejection { reason: Reason::Busy { after_ms }, code, message })
}

pub(super) fn doubt<T>(next: Next, why: String) -> Answer<T> {
    Answer::Unknown(Doubt { next, why })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_same_fields_are_the_same_bytes() {
        assert_eq!(in_order("b[y]=2&a=1&b[x]=1"), in_order("a=1&b[x]=1&b[y]=2"));
    }

    fn said(status: u16, error: Option<&str>, replayed: bool, asked: bool) -> Answer<()> {
        let error = error.map(|kind| StripeError { kind: kind.to_owned(), ..StripeError::default() });
        let status = StatusCode::from_u16(status).unwrap();
        Failure::Said(Said { status, error, replayed, after_ms: Some(2_000) }).answer(asked)
    }

    #[test]
    fn only_stripes_own_words_are_a_rejection() {
        for status in [400, 401, 402, 403, 404] {
            assert!(
                matches!(said(status, Some("invalid_request_error"), false, false), Answer::Rejected(_)),
                "{status}"
            );
            assert!(matches!(said(status, None, false, false), Answer::Unknown(_)), "{status}");
        }
        for status in [302, 408, 409, 424, 500, 502, 503] {
            assert!(matches!(said(status, Some("api_error"), false, false), Answer::Unknown(_)), "{status}");
        }
    }

    #[test]
    fn too_often_is_not_done_and_may_be_repeated() {
        for error in [None, Some("invalid_request_error")] {
            let Answer::Rejected(rejection) = said(429, error, false, false) else { panic!() };
            assert_eq!(rejection.reason, Reason::Busy { after_ms: Some(2_000) });
            assert!(rejection.reason.is_passing());
        }
    }

    #[test]
    fn a_kept_failure_frees_the_way_for_a_new_key_only_after_asking() {
        let next = |answer: Answer<()>| match answer {
            Answer::Unknown(doubt) => doubt.next,
            other => panic!("{other:?}"),
        };
        assert_eq!(next(said(500, Some("api_error"), true, true)), Next::NewKey);
        assert_eq!(next(said(500, Some("api_error"), true, false)), Next::Repeat);
        assert_eq!(next(said(500, Some("api_error"), false, true)), Next::Repeat);
        assert_eq!(next(said(400, Some("idempotency_error"), false, false)), Next::Repeat);
        assert_eq!(next(said(409, Some("idempotency_error"), false, true)), Next::Repeat);
    }
}
