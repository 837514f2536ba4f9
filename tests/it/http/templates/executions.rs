//! What was run for a user.

use reqwest::Method;
use serde_json::{Value, json};

use crate::server::{Server, served};

async fn run(server: &Server, key: &str, user: &str) -> String {
    let started = server.post_as(key, "/templates/execute/noop", json!({ "userId": user })).await;
    started.data()["executionId"].as_str().unwrap().to_owned()
}

fn ids(list: &Value) -> Vec<&str> {
    list["executions"].as_array().unwrap().iter().map(|one| one["executionId"].as_str().unwrap()).collect()
}

#[test]
fn a_client_sees_what_it_asked_for_and_an_operator_everything() {
    served(async |server| {
        let mine = run(&server, &server.client, "user/1 ü").await;
        let theirs = run(&server, &server.other, "user/1 ü").await;
        run(&server, &server.client, "another").await;
        let path = "/templates/executions/user/user%2F1%20%C3%BC";
        for (key, expected) in
            [(&server.client, vec![&mine]), (&server.other, vec![&theirs]), (&server.operator, vec![&theirs, &mine])]
        {
            let list = server.get_as(key, path).await;
            assert_eq!(ids(list.data()), expected);
            assert_eq!(list.data()["total"], expected.len());
            assert_eq!(list.header("cache-control"), "no-store");
        }
        let nobody = server.get("/templates/executions/user/nobody").await;
        assert_eq!(nobody.data(), &json!({ "executions": [], "total": 0 }));
    });
}

#[test]
fn executions_are_listed_newest_first_page_by_page() {
    served(async |server| {
        let mut made = Vec::new();
        for _ in 0..5 {
            made.insert(0, run(&server, &server.client, "u").await);
        }
        let mut seen: Vec<String> = Vec::new();
        let mut query = String::new();
        loop {
            let page = server.get(&format!("/templates/executions/user/u?limit=2{query}")).await;
            assert_eq!(page.data()["total"], 5);
            seen.extend(ids(page.data()).into_iter().map(str::to_owned));
            match page.data()["nextCursor"].as_str() {
                Some(next) => query = format!("&cursor={next}"),
                None => break,
            }
        }
        assert_eq!(seen, made);
    });
}

#[test]
fn each_execution_shows_how_far_it_is() {
    served(async |server| {
        let body = |id: &str| json!({ "type": "video_generation", "templateCode": "noop", "userId": "u", "n": id });
        server.fail("broken");
        let held = server.hold("waits", 0.5);
        let _aside = server.hold("aside", 0.5);
        let _stopped = server.hold("stopped", 0.5);
        for id in ["done", "broken", "waits", "aside", "stopped"] {
            server.post(&format!("/task/{id}"), body(id)).await.data();
        }
        server.until("/task/done", |data| data["status"] == "completed").await;
        server.until("/task/broken", |data| data["status"] == "failed").await;
        server.post("/task/stopped/cancel", json!({})).await.data();
        let journal = server.engine.journal();
        let task = mixvideo::domain::ids::TaskId::parse("aside").unwrap();
        let effect = journal.outstanding(&mixvideo::domain::task::address(&task), 1).await.unwrap()[0].id.clone();
        assert!(journal.quarantine(&effect, "poison", None, crate::server::now()).await.unwrap());
        let list = server.get("/templates/executions/user/u").await;
        let shown: Vec<(&str, bool)> = list.data()["executions"]
            .as_array()
            .unwrap()
            .iter()
            .map(|one| (one["status"].as_str().unwrap(), one.get("attention").is_some()))
            .collect();
        for expected in [("completed", false), ("failed", false), ("pending", false), ("running", true)] {
            assert!(shown.contains(&expected), "{expected:?} is missing in {shown:?}");
        }
        assert_eq!(shown.iter().filter(|(status, _)| *status == "failed").count(), 2, "{shown:?}");
        held.add_permits(1);
        let forbidden = crate::server::send(server.bare(Method::GET, "/templates/executions/user/u")).await;
        assert_eq!(forbidden.status, 401);
    });
}
