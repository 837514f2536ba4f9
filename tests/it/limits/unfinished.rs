//! How many tasks of one owner may be under way.

use serde_json::json;

use super::rates;
use crate::server::{Server, guarded};

async fn asks(server: &Server, key: &str, id: &str) -> u16 {
    let body = json!({ "type": "video_generation", "templateCode": "noop" });
    server.post_as(key, &format!("/task/{id}"), body).await.status.as_u16()
}

#[test]
fn who_has_too_many_tasks_under_way_waits_for_one_to_end() {
    guarded(
        async || rates(|rates| rates.key.unfinished_tasks = 2),
        async |server| {
            let client = &server.client;
            let held = server.hold("one", 0.1);
            server.hold("two", 0.1);
            assert_eq!(asks(&server, client, "one").await, 200);
            assert_eq!(asks(&server, client, "two").await, 200);
            let body = json!({ "type": "video_generation", "templateCode": "noop" });
            let refused = server.post("/task/three", body).await;
            assert_eq!((refused.status.as_u16(), refused.header("retry-after")), (429, "5"), "{}", refused.body);
            assert!(refused.message().starts_with("2 of your tasks have not ended yet"), "{}", refused.message());
            assert_eq!(server.get("/task/three").await.status, 404, "nothing is left of it");
            assert_eq!(asks(&server, client, "one").await, 200, "what was accepted is answered again");
            assert_eq!(asks(&server, &server.other, "other").await, 200, "others are not held up");
            assert_eq!(asks(&server, &server.operator, "ours").await, 200);
            server.clock.advance(2_000);
            assert_eq!(asks(&server, client, "three").await, 429, "they are counted again, and have not ended");
            held.add_permits(100);
            server.until("/task/one", |task| task["status"] == "completed").await;
            server.clock.advance(5_000);
            assert_eq!(asks(&server, client, "three").await, 200);
            let health = server.get("/health").await;
            assert_eq!(health.data()["limits"]["refusedUnfinished"], 3, "{}", health.body);
        },
    );
}
