//! Fetching what a link leads to, when a stranger chose the link.
//!
//! No link makes the server talk to a private address: every name is looked up once per connection and connected to
//! only when all its addresses are public; redirects are followed by hand, each checked like the first link; no proxy,
//! cookie, key or referer goes along. Size and time are limited by whoever fetches. `fetch.allow_hosts` names hosts
//! that are exempt from the checks of address and port.

mod address;
mod dns;
mod error;
mod link;
#[cfg(test)]
mod tests;

use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use chrono::DateTime;
use reqwest::header::{
    ACCEPT_ENCODING, CONTENT_ENCODING, CONTENT_TYPE, DATE, HeaderMap, HeaderName, LOCATION, RETRY_AFTER,
};
use reqwest::{Client, Response, StatusCode, Url, redirect, retry};

pub use dns::Resolver;
pub use error::Error;
pub use link::{AllowedHost, LinkFault};

use dns::{Checked, SystemResolver};
use link::Rules;

/// How often a link may be redirected.
const REDIRECTS_MAX: usize = 5;
/// How long one connection may take to be made.
const CONNECT_LIMIT: Duration = Duration::from_secs(5);
/// The longest rest that a stranger's server may ask for.
const RETRY_AFTER_MAX: Duration = Duration::from_secs(10 * 60);
/// Who fetches.
const USER_AGENT: &str = concat!("mixvideo/", env!("CARGO_PKG_VERSION"));

/// What was found behind a link.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Fetched {
    /// The file.
    pub bytes: Bytes,
    /// What the server says the file is, without parameters, in lower case. Not to be believed.
    pub content_type: Option<String>,
}

/// Fetches links. Cloning it is cheap.
#[derive(Clone, Debug)]
pub struct Fetcher {
    rules: Arc<Rules>,
    /// Connects to public addresses alone.
    guarded: Client,
    /// For hosts that the configuration exempts.
    exempt: Client,
}

impl Fetcher {
    /// A fetcher that exempts `allowed` from the checks of address and port.
    ///
    /// # Errors
    /// When TLS cannot be set up.
    pub fn new(allowed: Vec<AllowedHost>) -> Result<Self, reqwest::Error> {
        Self::with(Rules::new(allowed), Arc::new(SystemResolver))
    }

    /// [`Fetcher::new`] with another resolver.
    ///
    /// # Errors
    /// When TLS cannot be set up.
    pub fn with_resolver(allowed: Vec<AllowedHost>, resolver: Arc<dyn Resolver>) -> Result<Self, reqwest::Error> {
        Self::with(Rules::new(allowed), resolver)
    }

    fn with(rules: Rules, resolver: Arc<dyn Resolver>) -> Result<Self, reqwest::Error> {
        let guarded = client(Checked { resolver: resolver.clone(), not_public: rules.not_public })?;
        let exempt = client(Checked { resolver, not_public: |_| None })?;
        Ok(Self { rules: Arc::new(rules), guarded, exempt })
    }

    /// Whether `link` may be followed, as far as it tells by itself. Nothing is looked up.
    ///
    /// # Errors
    /// [`LinkFault`].
    pub fn check(&self, link: &str) -> Result<(), LinkFault> {
        self.rules.read(link).map(|_| ())
    }

    /// Fetches the file of at most `limit_bytes` that `link` leads to, `within` a time that counts everything.
    ///
    /// # Errors
    /// [`Error`], which is a [`Failure`](crate::domain::Failure) of a step.
    pub async fn fetch(&self, link: &str, limit_bytes: u64, within: Duration) -> Result<Fetched, Error> {
        let url = self.rules.read(link)?;
        let fetching = async { read(self.follow(url).await?, limit_bytes).await };
        tokio::time::timeout(within, fetching).await.map_err(|_| Error::TimedOut)?
    }

    /// The answer at the end of all redirects.
    async fn follow(&self, mut url: Url) -> Result<Response, Error> {
        let mut passed: Vec<Url> = Vec::new();
        loop {
            // A fragment is not sent, so it makes no other link.
            url.set_fragment(None);
            self.rules.check(&url)?;
            if passed.contains(&url) {
                return Err(Error::RedirectLoop);
            }
            let client = if self.rules.allows(&url) { &self.exempt } else { &self.guarded };
            let request = client.get(url.clone()).header(ACCEPT_ENCODING, "identity");
            let response = request.send().await.map_err(|error| Error::of_request(&url, error))?;
            if !matches!(response.status().as_u16(), 301 | 302 | 303 | 307 | 308) {
                return Ok(response);
            }
            if passed.len() == REDIRECTS_MAX {
                return Err(Error::TooManyRedirects(REDIRECTS_MAX));
            }
            let target = response.headers().get(LOCATION).and_then(|target| str::from_utf8(target.as_bytes()).ok());
            let next = target.and_then(|target| url.join(target).ok()).ok_or(Error::RedirectNowhere)?;
            passed.push(std::mem::replace(&mut url, next));
        }
    }
}

/// A client that does one request at a time and remembers nothing between two: a connection that is kept would be one
/// that nobody checks again.
fn client(resolver: Checked) -> Result<Client, reqwest::Error> {
    Client::builder()
        .dns_resolver(Arc::new(resolver))
        .redirect(redirect::Policy::none())
        .retry(retry::never())
        .no_proxy()
        .referer(false)
        .http1_only()
        .pool_max_idle_per_host(0)
        .connect_timeout(CONNECT_LIMIT)
        .user_agent(USER_AGENT)
        .build()
}

/// The file that `response` brings.
async fn read(mut response: Response, limit_bytes: u64) -> Result<Fetched, Error> {
    let status = response.status();
    if status != StatusCode::OK {
        let retry_after = retry_after(response.headers()).map(|rest| rest.min(RETRY_AFTER_MAX));
        return Err(Error::Status { status, retry_after });
    }
    if text(response.headers(), CONTENT_ENCODING).is_some_and(|packing| !packing.eq_ignore_ascii_case("identity")) {
        return Err(Error::Packed);
    }
    let content_type = text(response.headers(), CONTENT_TYPE)
        .and_then(|text| text.split(';').next())
        .map(|kind| kind.trim().to_ascii_lowercase());
    let too_large = Error::TooLarge { limit_bytes };
    let announced = response.content_length().unwrap_or(0);
    if announced > limit_bytes {
        return Err(too_large);
    }
    // What is announced may never come: room is made for what has come.
    let mut bytes = Vec::new();
    while let Some(piece) = response.chunk().await.map_err(|error| Error::BrokenOff(Box::new(error.without_url())))? {
        if (bytes.len() + piece.len()) as u64 > limit_bytes {
            return Err(too_large);
        }
        bytes.extend_from_slice(&piece);
    }
    Ok(Fetched { bytes: bytes.into(), content_type })
}

/// How long the server asks to be left alone: in seconds, or until a time by its own clock (RFC 9110, 10.2.3).
pub(crate) fn retry_after(headers: &HeaderMap) -> Option<Duration> {
    let asked = text(headers, RETRY_AFTER)?;
    match asked.parse() {
        Ok(seconds) => Some(Duration::from_secs(seconds)),
        Err(_) => {
            let time = |text: &str| DateTime::parse_from_rfc2822(text).ok();
            (time(asked)? - time(text(headers, DATE)?)?).to_std().ok()
        }
    }
}

fn text(headers: &HeaderMap, name: HeaderName) -> Option<&str> {
    headers.get(name).and_then(|value| value.to_str().ok()).map(str::trim)
}
