//! Pages of other origins: whose may call, and what the others are told.

use mixvideo::http::browsers::Settings;
use reqwest::{Method, RequestBuilder};

use crate::server::{Guards, Server, guarded, send};

const APP: &str = "https://app.example.com";

fn asks(server: &Server, origin: &str, headers: &str) -> RequestBuilder {
    let request = server.bare(Method::OPTIONS, "/task").header("origin", origin);
    request.header("access-control-request-method", "POST").header("access-control-request-headers", headers.to_owned())
}

#[test]
fn pages_of_configured_origins_may_call_and_read_the_limits() {
    let guards = async || {
        let browsers = Settings { origins: vec![APP.into()], frame_ancestors: Vec::new(), https_seconds: 0 };
        Guards { browsers, ..Guards::default() }
    };
    guarded(guards, async |server| {
        let allowed = send(asks(&server, APP, "authorization, content-type, idempotency-key")).await;
        assert_eq!((allowed.status.as_u16(), allowed.header("access-control-allow-origin")), (200, APP));
        assert!(allowed.header("access-control-allow-methods").contains("POST"), "{:?}", allowed.headers);
        assert!(!allowed.header("x-ratelimit-limit").is_empty());
        for denied in [asks(&server, "https://evil.example", "authorization"), asks(&server, APP, "x-other")] {
            let denied = send(denied).await;
            assert_eq!((denied.status.as_u16(), denied.header("access-control-allow-origin")), (400, ""));
            assert_eq!(denied.body["code"], 400, "{}", denied.body);
        }
        let read = send(server.request(Method::GET, "/templates").header("origin", APP)).await;
        assert_eq!((read.status.as_u16(), read.header("access-control-allow-origin")), (200, APP));
        for exposed in ["x-ratelimit-remaining", "retry-after", "x-trace-id", "x-error-code"] {
            assert!(read.header("access-control-expose-headers").contains(exposed), "{:?}", read.headers);
        }
        let failed = send(server.request(Method::GET, "/task/none").header("origin", APP)).await;
        assert_eq!((failed.status.as_u16(), failed.header("access-control-allow-origin")), (404, APP));
        let read = send(server.request(Method::GET, "/templates").header("origin", "https://evil.example")).await;
        assert_eq!((read.status.as_u16(), read.header("access-control-allow-origin")), (200, ""));
        assert_eq!(read.header("access-control-allow-credentials"), "");
    });
}

#[test]
fn by_default_no_page_of_another_origin_may_call() {
    guarded(
        async || Guards::default(),
        async |server| {
            let asked = send(asks(&server, APP, "authorization")).await;
            assert_eq!((asked.status.as_u16(), asked.header("access-control-allow-origin")), (405, ""));
            let read = send(server.request(Method::GET, "/templates").header("origin", APP)).await;
            assert_eq!(read.header("access-control-allow-origin"), "");
        },
    );
}
