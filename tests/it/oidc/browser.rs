//! As much of a browser as a sign-in takes: cookies, redirects, and two forms.

use std::collections::HashMap;

use reqwest::{Method, RequestBuilder, StatusCode, header, redirect};
use serde_json::Value;

use crate::server::Answer;

/// Redirects in a row, at most.
const HOPS: usize = 20;

/// Everything here is on one host, whose ports share cookies.
pub struct Browser {
    http: reqwest::Client,
    pub cookies: HashMap<String, String>,
}

/// Where a browser ended up.
pub struct Page {
    pub url: String,
    pub answer: Answer,
}

impl Browser {
    pub fn new() -> Self {
        let http = reqwest::Client::builder().redirect(redirect::Policy::none()).build().unwrap();
        Self { http, cookies: HashMap::new() }
    }

    async fn send(&mut self, request: RequestBuilder) -> Answer {
        let cookies: Vec<String> = self.cookies.iter().map(|(name, value)| format!("{name}={value}")).collect();
        let response = request.header(header::COOKIE, cookies.join("; ")).send().await.unwrap();
        let (status, headers) = (response.status(), response.headers().clone());
        for line in headers.get_all(header::SET_COOKIE) {
            let pair = line.to_str().unwrap().split(';').next().unwrap();
            let (name, value) = pair.split_once('=').unwrap();
            if value.is_empty() {
                self.cookies.remove(name);
            } else {
                self.cookies.insert(name.to_owned(), value.to_owned());
            }
        }
        let text = response.text().await.unwrap();
        let body = serde_json::from_str(&text).unwrap_or(Value::String(text));
        Answer { status, headers, body }
    }

    /// Asks once and follows nothing.
    pub async fn ask(&mut self, url: &str) -> Answer {
        let request = self.http.request(Method::GET, url);
        self.send(request).await
    }

    /// Where `url` sends the browser.
    pub async fn sent_to(&mut self, url: &str) -> String {
        let answer = self.ask(url).await;
        assert_eq!(answer.status, StatusCode::FOUND, "{}", answer.body);
        answer.header("location").to_owned()
    }

    /// Follows redirects until a page, or an address that begins with `stop`.
    async fn follow(&mut self, request: RequestBuilder, url: &str, stop: &str) -> Page {
        let (mut request, mut url) = (request, url.to_owned());
        for _ in 0..HOPS {
            let answer = self.send(request).await;
            if !answer.status.is_redirection() {
                return Page { url, answer };
            }
            let base = url::Url::parse(&url).unwrap();
            url = base.join(answer.header("location")).unwrap().into();
            if !stop.is_empty() && url.starts_with(stop) {
                return Page { url, answer };
            }
            request = self.http.request(Method::GET, &url);
        }
        panic!("{url} leads on and on");
    }

    async fn submit(&mut self, page: &Page, fields: &[(&str, &str)], stop: &str) -> Page {
        let action = between(page, "action=\"", "\"");
        let request = self.http.request(Method::POST, &action).form(fields);
        self.follow(request, &action, stop).await
    }

    /// Goes to `url`, logs in as `name` and consents; stops before an address that begins with `stop`.
    pub async fn consent(&mut self, url: &str, name: &str, stop: &str) -> Page {
        let request = self.http.request(Method::GET, url);
        let login = self.follow(request, url, stop).await;
        let consent = self.submit(&login, &[("prompt", "login"), ("login", name), ("password", "x")], stop).await;
        self.submit(&consent, &[("prompt", "consent")], stop).await
    }

    /// The same to the end.
    pub async fn sign_in(&mut self, url: &str, name: &str) -> Answer {
        self.consent(url, name, "").await.answer
    }

    /// Goes to `url` and turns away from what is asked there.
    pub async fn turn_away(&mut self, url: &str, stop: &str) -> Page {
        let request = self.http.request(Method::GET, url);
        let login = self.follow(request, url, stop).await;
        let abort = between(&login, "<a href=\"", "\"");
        let request = self.http.request(Method::GET, &abort);
        self.follow(request, &abort, stop).await
    }
}

fn between(page: &Page, start: &str, end: &str) -> String {
    let text = page.answer.body.as_str().unwrap_or_else(|| panic!("no page at {}: {}", page.url, page.answer.body));
    let (_, rest) = text.split_once(start).unwrap_or_else(|| panic!("no {start} at {}: {text}", page.url));
    rest.split_once(end).unwrap().0.to_owned()
}
