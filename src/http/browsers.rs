//! What browsers may do with answers: which pages of other origins may read them, where our own pages may be framed, and
//! what those may load.

use actix_cors::Cors;
use actix_web::http::header::{self, HeaderMap, HeaderName, HeaderValue};
use actix_web::middleware::Condition;
use serde::Deserialize;

use super::error::CODE_HEADER;
use super::{idempotency, limit};

/// How long a browser may remember what it was told about an origin, in seconds.
const REMEMBERED_S: usize = 3_600;
/// Headers that pages of other origins may send.
const SENT: [&str; 6] =
    ["authorization", "content-type", idempotency::HEADER, "last-event-id", "traceparent", "tracestate"];

/// `[browsers]` of the configuration.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Settings {
    /// Origins whose pages may call the API.
    pub origins: Vec<String>,
    /// Origins whose pages may show our pages in a frame.
    pub frame_ancestors: Vec<String>,
    /// How long a browser remembers to come over https alone, in seconds.
    pub https_seconds: u64,
}

/// What browsers are told.
#[derive(Debug)]
pub struct Browsers {
    origins: Vec<String>,
    /// Who may frame our pages, as a policy.
    framed: String,
    of_pages: HeaderValue,
    of_answers: HeaderValue,
    always: Vec<(HeaderName, HeaderValue)>,
}

impl Browsers {
    /// As `settings` say, for a service that clients reach at `public_url`.
    #[must_use]
    pub fn new(settings: Settings, public_url: &str) -> Self {
        let framed = match settings.frame_ancestors.join(" ") {
            none if none.is_empty() => "frame-ancestors 'none'".to_owned(),
            origins => format!("frame-ancestors {origins}"),
        };
        // Origins are checked with the configuration: they hold what a header may.
        let value =
            |text: String| HeaderValue::try_from(text).unwrap_or(HeaderValue::from_static("frame-ancestors 'none'"));
        let mut always = vec![
            (header::X_CONTENT_TYPE_OPTIONS, HeaderValue::from_static("nosniff")),
            (header::REFERRER_POLICY, HeaderValue::from_static("no-referrer")),
        ];
        if settings.frame_ancestors.is_empty() {
            // For browsers that do not know `frame-ancestors`.
            always.push((header::X_FRAME_OPTIONS, HeaderValue::from_static("DENY")));
        }
        if public_url.starts_with("https:") && settings.https_seconds > 0 {
            let age = value(format!("max-age={}", settings.https_seconds));
            always.push((header::STRICT_TRANSPORT_SECURITY, age));
        }
        Self {
            origins: settings.origins,
            of_pages: value(format!(
                "default-src 'self'; style-src 'self' 'unsafe-inline'; img-src 'self' data:; object-src 'none'; \
                 base-uri 'none'; form-action 'self'; {framed}"
            )),
            of_answers: value(format!("default-src 'none'; {framed}")),
            framed,
            always,
        }
    }

    /// Says it in an answer; what the answer says itself stays.
    pub fn write(&self, headers: &mut HeaderMap) {
        for (name, value) in &self.always {
            if !headers.contains_key(name) {
                headers.insert(name.clone(), value.clone());
            }
        }
        if let Some(own) = headers.get(header::CONTENT_SECURITY_POLICY) {
            // A page says what it may load, and the settings where it may be framed.
            let framed = own.to_str().ok().map(|own| format!("{own}; {}", self.framed));
            if let Some(framed) = framed.and_then(|framed| HeaderValue::try_from(framed).ok()) {
                headers.insert(header::CONTENT_SECURITY_POLICY, framed);
            }
            return;
        }
        let kind = headers.get(header::CONTENT_TYPE).map_or(&b""[..], HeaderValue::as_bytes);
        // A film or a picture that is opened by itself is shown in a page that the browser makes: it loads the file.
        if kind.starts_with(b"video/") || kind.starts_with(b"image/") {
            return;
        }
        let policy = if kind.starts_with(b"text/html") { &self.of_pages } else { &self.of_answers };
        headers.insert(header::CONTENT_SECURITY_POLICY, policy.clone());
    }

    /// Answers browsers that ask whether a page of another origin may call. Without origins nothing is answered.
    pub(super) fn cross_origin(&self) -> Condition<Cors> {
        let mut cors = Cors::default()
            .allowed_methods(["GET", "HEAD", "POST", "PUT", "DELETE"])
            .allowed_headers(SENT)
            .expose_headers(limit::HEADERS.iter().map(|(name, _)| name.clone()))
            .expose_headers(["retry-after", "x-trace-id", CODE_HEADER, "idempotent-replayed"])
            .max_age(REMEMBERED_S)
            .block_on_origin_mismatch(false);
        for origin in &self.origins {
            cors = cors.allowed_origin(origin);
        }
        Condition::new(!self.origins.is_empty(), cors)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn told(settings: Settings, public_url: &str, content_type: &str) -> HeaderMap {
        let mut headers = HeaderMap::new();
        headers.insert(header::CONTENT_TYPE, HeaderValue::try_from(content_type).unwrap());
        Browsers::new(settings, public_url).write(&mut headers);
        headers
    }

    fn safe() -> Settings {
        Settings { origins: Vec::new(), frame_ancestors: Vec::new(), https_seconds: 60 }
    }

    fn said<'a>(headers: &'a HeaderMap, name: &str) -> &'a str {
        headers.get(name).map_or("", |value| value.to_str().unwrap())
    }

    #[test]
    fn nothing_is_sniffed_framed_or_referred_and_https_stays_where_it_is() {
        let json = told(safe(), "https://video.example.com", "application/json");
        assert_eq!(said(&json, "x-content-type-options"), "nosniff");
        assert_eq!(said(&json, "referrer-policy"), "no-referrer");
        assert_eq!(said(&json, "x-frame-options"), "DENY");
        assert_eq!(said(&json, "content-security-policy"), "default-src 'none'; frame-ancestors 'none'");
        assert_eq!(said(&json, "strict-transport-security"), "max-age=60");
        assert_eq!(said(&told(safe(), "http://x", "application/json"), "strict-transport-security"), "");
        let off = Settings { https_seconds: 0, ..safe() };
        assert_eq!(said(&told(off, "https://x", "application/json"), "strict-transport-security"), "");
    }

    #[test]
    fn pages_load_their_own_files_and_films_are_shown_by_themselves() {
        let page = told(safe(), "http://x", "text/html; charset=utf-8");
        assert!(said(&page, "content-security-policy").starts_with("default-src 'self';"), "{page:?}");
        assert!(said(&page, "content-security-policy").ends_with("frame-ancestors 'none'"), "{page:?}");
        assert_eq!(said(&told(safe(), "http://x", "video/mp4"), "content-security-policy"), "");
        let shop = Settings { frame_ancestors: vec!["https://shop.example".into()], ..safe() };
        let framed = told(shop, "http://x", "text/html");
        assert!(said(&framed, "content-security-policy").ends_with("frame-ancestors https://shop.example"));
        assert_eq!(said(&framed, "x-frame-options"), "");
        let mut own = HeaderMap::new();
        own.insert(header::CONTENT_SECURITY_POLICY, HeaderValue::from_static("default-src 'none'"));
        Browsers::new(safe(), "http://x").write(&mut own);
        assert_eq!(said(&own, "content-security-policy"), "default-src 'none'; frame-ancestors 'none'");
    }
}
