//! Who makes more calls than allowed is told so, and for how long; nobody else is.

use reqwest::Method;

use super::rates;
use crate::server::{Answer, Guards, Server, guarded, send};

async fn from(server: &Server, address: &str, path: &str) -> Answer {
    send(server.bare(Method::GET, path).header("x-forwarded-for", address)).await
}

#[test]
fn who_asks_too_often_hears_429_and_when_to_come_back_and_then_is_answered() {
    guarded(
        async || rates(|rates| rates.key.reading = 3),
        async |server| {
            for left in ["2", "1", "0"] {
                let answer = server.get("/templates").await;
                assert_eq!((answer.status.as_u16(), answer.header("x-ratelimit-remaining")), (200, left));
                assert_eq!(answer.header("x-ratelimit-limit"), "3");
                assert_eq!(answer.header("retry-after"), "");
            }
            let refused = server.get("/templates").await;
            assert_eq!((refused.status.as_u16(), &refused.body["code"]), (429, &429.into()), "{}", refused.body);
            assert_eq!(refused.header("x-error-code"), "too_many_requests");
            assert_eq!(refused.header("x-ratelimit-remaining"), "0");
            assert!(refused.message().contains("more than 3 calls of this kind a minute"), "{}", refused.message());
            let wait: i64 = refused.header("retry-after").parse().unwrap();
            assert!((1..=20).contains(&wait), "{wait}");
            // Neither other kinds of calls nor other keys are held up by it, and no other route of the kind lets it in.
            assert_eq!(server.get("/task/x").await.status, 429);
            assert_eq!(server.post("/task/x/cancel", serde_json::json!({})).await.status, 404);
            assert_eq!(server.get_as(&server.other, "/templates").await.status, 200);
            assert_eq!(server.get_as(&server.operator, "/templates").await.status, 200);
            server.clock.advance(wait * 1_000);
            assert_eq!(server.get("/templates").await.status, 200);
            assert_eq!(server.get("/templates").await.status, 429);

            let health = send(server.bare(Method::GET, "/health")).await;
            assert_eq!(health.data()["limits"]["refused"]["reading"], 3, "{}", health.body);
            assert!(
                health.data()["summary"].as_str().unwrap().contains("3 calls were refused by their limits (reading 3)")
            );
            let metrics = server.get_as(&server.operator, "/metrics").await;
            let metrics = metrics.body.as_str().unwrap();
            assert!(metrics.contains("mixvideo_calls_refused_total{class=\"reading\"} 3"), "{metrics}");
        },
    );
}

#[test]
fn who_needs_no_key_is_counted_by_address_and_so_is_what_is_no_route() {
    guarded(
        async || rates(|rates| rates.address.open = 3),
        async |server| {
            for path in ["/health/live", "/nowhere", "/task"] {
                assert_ne!(send(server.bare(Method::DELETE, path)).await.status, 429, "{path}");
            }
            for path in ["/health/live", "/nowhere", "/openapi.json"] {
                let refused = send(server.bare(Method::GET, path)).await;
                assert_eq!(refused.status, 429, "{path}");
                assert!(!refused.header("retry-after").is_empty(), "{path}");
            }
            assert_eq!(send(server.bare(Method::DELETE, "/task")).await.status, 429);
            assert_eq!(server.get("/templates").await.status, 200, "who has a key is");
        },
    );
}

#[test]
fn who_guesses_keys_is_held_up_and_who_has_one_at_the_same_address_is_not() {
    guarded(
        async || rates(|rates| rates.address.failed = 2),
        async |server| {
            let guess = async || server.get_as("mv_guess", "/templates").await.status.as_u16();
            assert_eq!([guess().await, guess().await, guess().await], [401, 401, 429]);
            assert_eq!(send(server.bare(Method::GET, "/templates")).await.status, 429, "without a key as well");
            assert_eq!(server.get("/templates").await.status, 200);
        },
    );
}

#[test]
fn behind_a_proxy_callers_are_told_apart_by_what_it_says_and_elsewhere_that_is_not_believed() {
    let behind = async || Guards { proxies: 1, ..rates(|rates| rates.address.open = 1) };
    guarded(behind, async |server| {
        assert_eq!(from(&server, "192.0.2.1", "/health/live").await.status, 200);
        assert_eq!(from(&server, "192.0.2.2", "/health/live").await.status, 200);
        assert_eq!(from(&server, "198.51.100.7, 192.0.2.1", "/health/live").await.status, 429);
    });
    guarded(
        async || rates(|rates| rates.address.open = 1),
        async |server| {
            assert_eq!(from(&server, "192.0.2.1", "/health/live").await.status, 200);
            assert_eq!(from(&server, "192.0.2.2", "/health/live").await.status, 429);
        },
    );
}
