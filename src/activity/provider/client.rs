//! Calls to providers. Where to is an operator's configuration and no stranger's, so any address is called; but every
//! call has a limit of time and size, nothing is redirected or repeated by itself, and keys are never logged.

use std::time::Duration;

use bytes::Bytes;
use reqwest::header::{AUTHORIZATION, HeaderMap, HeaderValue, LOCATION};
use reqwest::{RequestBuilder, StatusCode, redirect, retry};
use secrecy::ExposeSecret as _;
use serde_json::Value;

use super::Provider;
use crate::activity::fetch::retry_after;
use crate::runtime::trace;

/// How long one connection may take to be made.
const CONNECT_LIMIT: Duration = Duration::from_secs(10);
/// The largest answer that describes jobs, in bytes.
pub(super) const JOBS_BYTES_MAX: u64 = 4 << 20;
/// Characters of a provider's own words that are repeated in a message.
const WORDS_MAX: usize = 200;

/// Calls providers.
#[derive(Clone, Debug)]
pub(super) struct Client(reqwest::Client);

/// What a provider answered.
#[derive(Debug)]
pub(super) struct Answer {
    pub status: StatusCode,
    /// When it asks to be asked again, in milliseconds.
    pub retry_after_ms: Option<u64>,
    /// Where it sends us instead.
    pub location: Option<String>,
    pub body: Bytes,
}

/// There is no answer.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum NoAnswer {
    /// Nothing was sent.
    NotSent(String),
    /// It may have arrived.
    Lost(String),
}

impl NoAnswer {
    pub fn why(self) -> String {
        match self {
            Self::NotSent(why) | Self::Lost(why) => why,
        }
    }
}

impl Client {
    pub fn new() -> Result<Self, reqwest::Error> {
        let client = reqwest::Client::builder()
            .redirect(redirect::Policy::none())
            .retry(retry::never())
            .no_proxy()
            .referer(false)
            .connect_timeout(CONNECT_LIMIT)
            .user_agent(concat!("mixvideo/", env!("CARGO_PKG_VERSION")))
            .build()?;
        Ok(Self(client))
    }

    pub fn get(&self, url: &str) -> RequestBuilder {
        self.0.get(url)
    }

    pub fn post(&self, url: &str) -> RequestBuilder {
        self.0.post(url)
    }

    pub fn delete(&self, url: &str) -> RequestBuilder {
        self.0.delete(url)
    }

    /// Sends `request` with the provider's key and reads at most `bytes_max` of the answer, within `limit` in all.
    pub async fn send(
        &self,
        provider: &Provider,
        request: RequestBuilder,
        bytes_max: u64,
        limit: Duration,
    ) -> Result<Answer, NoAnswer> {
        let request = match &provider.key {
            None => request,
            Some(key) => {
                let mut value = HeaderValue::from_str(&format!("Bearer {}", key.expose_secret()))
                    .map_err(|_| NoAnswer::NotSent("the key holds what no header may".to_owned()))?;
                value.set_sensitive(true);
                request.header(AUTHORIZATION, value)
            }
        };
        let request = match trace::current() {
            None => request,
            Some(trace) => request.header("traceparent", trace.parent()),
        };
        let sent = tokio::time::timeout(limit, answer(request, bytes_max)).await;
        sent.unwrap_or_else(|_| Err(NoAnswer::Lost(format!("it did not answer within {} s", limit.as_secs_f32()))))
    }
}

async fn answer(request: RequestBuilder, bytes_max: u64) -> Result<Answer, NoAnswer> {
    let mut response = request.send().await.map_err(no_answer)?;
    let (status, headers) = (response.status(), response.headers().clone());
    let mut body = Vec::new();
    while let Some(piece) = response.chunk().await.map_err(no_answer)? {
        if (body.len() + piece.len()) as u64 > bytes_max {
            return Err(NoAnswer::Lost(format!("its answer has more than {bytes_max} bytes")));
        }
        body.extend_from_slice(&piece);
    }
    Ok(Answer {
        status,
        retry_after_ms: retry_after(&headers).map(|rest| u64::try_from(rest.as_millis()).unwrap_or(u64::MAX)),
        location: location(&headers),
        body: body.into(),
    })
}

fn location(headers: &HeaderMap) -> Option<String> {
    headers.get(LOCATION).and_then(|location| location.to_str().ok()).map(str::to_owned)
}

/// An address may hold what is not to be logged, so it is left out.
fn no_answer(error: reqwest::Error) -> NoAnswer {
    let error = error.without_url();
    let mut why = error.to_string();
    let mut cause = std::error::Error::source(&error);
    while let Some(source) = cause {
        why = format!("{why}: {source}");
        cause = source.source();
    }
    if error.is_connect() || error.is_builder() { NoAnswer::NotSent(why) } else { NoAnswer::Lost(why) }
}

impl Answer {
    /// The answer as JSON, when it is.
    pub fn json(&self) -> Option<Value> {
        serde_json::from_slice(&self.body).ok()
    }

    /// What the provider says about an error, in its own words, on one line.
    pub fn words(&self) -> String {
        let json = self.json().unwrap_or_default();
        let said = [&json["error"]["message"], &json["detail"], &json["error"], &json["message"], &json["title"]];
        let said = said.into_iter().find_map(Value::as_str).map(str::to_owned);
        let said = said.unwrap_or_else(|| String::from_utf8_lossy(&self.body).into_owned());
        said.split_whitespace().collect::<Vec<_>>().join(" ").chars().take(WORDS_MAX).collect()
    }
}
