//! Every answer says how its caller stands, and what browsers may do with it.

use reqwest::{Method, RequestBuilder};
use sea_orm::ConnectionTrait as _;
use serde_json::json;

use crate::server::{Answer, Guards, PICTURE, guarded, now, send};

fn number(answer: &Answer, header: &str) -> i64 {
    assert_eq!(answer.headers.get_all(header).iter().count(), 1, "{header}: {:?}", answer.headers);
    answer.header(header).parse().unwrap_or_else(|_| panic!("{header}: {:?}", answer.headers))
}

/// The answer, which has the status and all headers that every answer has.
async fn answered(request: RequestBuilder, status: u16) -> Answer {
    let answer = send(request).await;
    assert_eq!(answer.status.as_u16(), status, "{}", answer.body);
    let (limit, left) = (number(&answer, "x-ratelimit-limit"), number(&answer, "x-ratelimit-remaining"));
    assert!(limit > 0 && (0..limit).contains(&left), "{status}: {left} of {limit}");
    let reset = number(&answer, "x-ratelimit-reset") - now().0 / 1_000;
    assert!((-5..=61).contains(&reset), "{status}: {reset} s from now");
    assert_eq!(answer.header("x-trace-id").len(), 32);
    assert_eq!(answer.header("x-content-type-options"), "nosniff");
    assert_eq!(answer.header("referrer-policy"), "no-referrer");
    answer
}

#[test]
fn every_answer_says_how_its_caller_stands_and_what_browsers_may_do() {
    // As much room for bodies as a small one takes, and no more.
    let guards = async || Guards { memory: 16 << 10, ..Guards::default() };
    guarded(guards, async |server| {
        let server = &*server;
        let get = |path: &str| server.request(Method::GET, path);
        let operators = |path: &str| server.bare(Method::GET, path).bearer_auth(&server.operator);
        server.make("task-1", "film", "completed").await;
        answered(get("/task/task-1"), 200).await;
        answered(server.request(Method::HEAD, "/task/task-1"), 200).await;
        let post = server.request(Method::POST, "/task");
        answered(post.json(&json!({ "type": "video_generation", "templateCode": "noop" })), 200).await;
        answered(server.bare(Method::GET, "/task/task-1"), 401).await;
        answered(server.bare(Method::GET, "/task/task-1").bearer_auth("mv_nobody"), 401).await;
        answered(get("/ops/actors"), 403).await;
        answered(get("/task/nothing"), 404).await;
        answered(get("/nowhere"), 404).await;
        answered(server.request(Method::DELETE, "/task"), 405).await;
        answered(server.request(Method::OPTIONS, "/task"), 405).await;
        answered(get("/task/%00"), 400).await;
        answered(server.request(Method::POST, "/task").body("{"), 400).await;
        answered(server.request(Method::POST, "/task").body(vec![b' '; 64 << 10]), 503).await;
        answered(server.request(Method::POST, "/task").body(vec![b' '; 11 << 20]), 413).await;
        answered(get("/task/task-1").header("x-long", "a".repeat(40 << 10)), 431).await;
        let many = (0..70).fold(get("/task/task-1"), |request, at| request.header(format!("x-{at}"), "a"));
        answered(many, 431).await;
        for path in ["/health", "/health/live", "/health/ready", "/openapi.json"] {
            answered(server.bare(Method::GET, path), 200).await;
        }
        answered(operators("/metrics"), 200).await;
        let events = answered(get("/task/task-1/events"), 200).await;
        assert!(events.body.as_str().unwrap().contains("event: completed"), "{}", events.body);
        let film = server.get("/task/task-1").await.data()["result"]["videoUrl"].as_str().unwrap().to_owned();
        let film = film.strip_prefix(&format!("{}/", server.base)).unwrap();
        let file = |range: &str| {
            server.bare(Method::GET, &format!("/{}", film.trim_start_matches('/'))).header("range", range.to_owned())
        };
        answered(file("bytes=0-3"), 206).await;
        answered(file("bytes=50-"), 416).await;
        let page = answered(server.bare(Method::GET, "/sandbox/checkout/cs_none"), 404).await;
        assert!(page.header("content-security-policy").contains("frame-ancestors 'none'"), "{:?}", page.headers);
        server.database.execute_unprepared("DROP TABLE audit").await.unwrap();
        answered(operators("/ops/audit"), 500).await;
    });
}

#[test]
fn a_picture_still_fits_into_a_call() {
    guarded(
        async || Guards::default(),
        async |server| {
            let picture = format!("{PICTURE}{}", "A".repeat(9 << 20));
            let body =
                json!({ "type": "video_generation", "templateCode": "film", "parameters": { "imageUrl": picture } });
            // It is no picture any more, but it was read.
            assert_eq!(server.post("/task", body).await.status, 400);
        },
    );
}
