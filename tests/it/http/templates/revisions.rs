//! A change makes a new revision, and never touches work under way.

use serde_json::{Value, json};

use super::{body, create, delete, state_of, update};
use crate::server::{PICTURE, served};

fn task(template: &str) -> Value {
    json!({ "type": "video_generation", "templateCode": template, "parameters": { "imageUrl": PICTURE } })
}

#[test]
fn a_task_under_way_ends_as_it_began_whatever_becomes_of_its_template() {
    served(async |server| {
        let film = json!({ "workflow": "video-generation-workflow", "settings": { "seconds": 5 } });
        create(&server, body("clip", film)).await.data();
        let held = server.hold("old", 0.5);
        let first = server.post("/task/old", task("clip")).await;
        update(&server, "clip", json!({ "settings": { "seconds": 9 } })).await.data();
        let second = server.post("/task/middle", task("clip")).await;
        second.data();
        update(&server, "clip", json!({ "workflow": "noop", "settings": {} })).await.data();
        server.post("/task/new", task("clip")).await.data();
        // The same request again is the same task, though the template says something else by now.
        assert_eq!(server.post("/task/old", task("clip")).await.data(), first.data());
        held.add_permits(3);
        for id in ["old", "middle", "new"] {
            server.until(&format!("/task/{id}"), |data| data["status"] == "completed").await;
        }
        for (id, revision, seconds, workflow) in [
            ("old", 1, json!(5), "video-generation-workflow"),
            ("middle", 2, json!(9), "video-generation-workflow"),
            ("new", 3, Value::Null, "noop"),
        ] {
            let state = state_of(&server, id).await;
            assert_eq!(state["request"]["template_revision"], revision, "{id}");
            assert_eq!(state["request"]["parameters"]["seconds"], seconds, "{id}");
            assert_eq!(state["workflow"]["name"], workflow, "{id}");
            assert_eq!(state["workflow"]["digest"].as_str().unwrap().len(), 64);
            let steps: Vec<&String> = state["steps"].as_object().unwrap().keys().collect();
            assert_eq!(steps.len(), if id == "new" { 1 } else { 3 }, "{steps:?}");
        }
    });
}

#[test]
fn every_revision_is_kept_and_only_what_changes_makes_one() {
    served(async |server| {
        create(&server, body("t", json!({ "settings": { "a": 1 } }))).await.data();
        update(&server, "t", json!({ "creditCost": 20 })).await.data();
        // The same again, and what is no part of what it says.
        update(&server, "t", json!({ "creditCost": 20 })).await.data();
        update(&server, "t", json!({ "isActive": false })).await.data();
        update(&server, "t", json!({ "settings": {}, "version": "2.0.0" })).await.data();
        delete(&server, "t").await.data();
        let get = async |query: &str| {
            server.get_as(&server.operator, &format!("/templates/revisions/t{query}")).await.data().clone()
        };
        let all = get("").await;
        assert_eq!(all["total"], 3);
        let said: Vec<(u64, i64, &str, &Value)> = all["revisions"]
            .as_array()
            .unwrap()
            .iter()
            .map(|one| {
                assert!(one["createdBy"].as_str().unwrap().starts_with("operator:key_"), "{one}");
                let (version, settings) = (one["version"].as_str().unwrap(), &one["settings"]);
                (one["revision"].as_u64().unwrap(), one["creditCost"].as_i64().unwrap(), version, settings)
            })
            .collect();
        let (none, some) = (json!({}), json!({ "a": 1 }));
        assert_eq!(said, [(3, 20, "2.0.0", &none), (2, 20, "1.0.0", &some), (1, 15, "1.0.0", &some)]);
        let first = get("?limit=2").await;
        assert_eq!(first["nextCursor"], "2");
        let second = get("?limit=2&cursor=2").await;
        assert_eq!((&second["revisions"][0]["revision"], second.get("nextCursor")), (&json!(1), None));
    });
}
