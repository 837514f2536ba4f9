//! `/ops/keys` and `/ops/audit`.

use serde_json::{Value, json};

use crate::server::{Server, send, served};

async fn made(server: &Server, body: Value) -> (String, String) {
    let answer = server.post_as(&server.operator, "/ops/keys", body).await;
    let text = |name: &str| answer.data()[name].as_str().unwrap().to_owned();
    (text("id"), text("key"))
}

async fn audit(server: &Server) -> Vec<Value> {
    server.get_as(&server.operator, "/ops/audit").await.data()["actions"].as_array().unwrap().clone()
}

#[test]
fn a_key_is_made_shown_once_used_and_revoked() {
    served(async |server| {
        let wanted = json!({ "role": "client", "clientId": "shop", "name": "till", "receivers": ["acct_1", "acct_2"], "expiresInSeconds": 60 });
        let (id, key) = made(&server, wanted).await;
        assert_eq!(server.get_as(&key, "/templates").await.status, 200);
        assert_eq!(server.get_as(&key, "/ops/keys").await.status, 403);
        let list = server.get_as(&server.operator, "/ops/keys").await;
        assert!(!list.body.to_string().contains(&key), "a key is shown again");
        let keys = list.data()["keys"].as_array().unwrap();
        assert_eq!(list.data()["total"], keys.len());
        let shown = keys.iter().find(|shown| shown["id"] == *id).unwrap();
        assert_eq!((&shown["clientId"], &shown["name"]), (&json!("shop"), &json!("till")));
        assert_eq!(shown["receivers"], json!(["acct_1", "acct_2"]));
        assert!(shown["expiresAt"].is_string() && shown["revokedAt"].is_null());
        let revoked = server.post_as(&server.operator, &format!("/ops/keys/{id}/revoke"), json!({})).await;
        assert_eq!(revoked.data()["revoked"], true);
        assert_eq!(server.get_as(&key, "/templates").await.status, 401);
        assert_eq!(server.post_as(&server.operator, &format!("/ops/keys/{id}/revoke"), json!({})).await.status, 404);
    });
}

#[test]
fn a_rotated_key_and_its_successor_work_side_by_side_until_the_overlap_is_over() {
    served(async |server| {
        let (id, old) = made(&server, json!({ "role": "client", "clientId": "shop", "receivers": ["acct_1"] })).await;
        let held = server.hold("mine", 0.5);
        let task = json!({ "type": "video_generation", "templateCode": "noop" });
        assert_eq!(server.post_as(&old, "/task/mine", task).await.status, 200);
        let rotated =
            server.post_as(&server.operator, &format!("/ops/keys/{id}/rotate"), json!({ "overlapSeconds": 60 })).await;
        let new = rotated.data()["key"].as_str().unwrap().to_owned();
        for key in [&old, &new] {
            assert_eq!(server.get_as(key, "/task/mine").await.status, 200, "one application, two keys");
        }
        let list = server.get_as(&server.operator, "/ops/keys").await;
        let keys = list.data()["keys"].as_array().unwrap();
        let successor = keys.iter().find(|shown| shown["id"] == rotated.data()["id"]).unwrap();
        assert_eq!((&successor["clientId"], &successor["receivers"]), (&json!("shop"), &json!(["acct_1"])));
        server.clock.advance(61_000);
        assert_eq!(server.get_as(&old, "/task/mine").await.status, 401);
        assert_eq!(server.get_as(&new, "/task/mine").await.status, 200);
        let again = server.post_as(&server.operator, &format!("/ops/keys/{id}/rotate"), json!({})).await;
        assert_eq!(again.status, 404, "a key that works no longer has no successor");
        held.add_permits(1);
    });
}

#[test]
fn a_rotation_never_makes_the_old_key_live_longer() {
    served(async |server| {
        let (id, old) = made(&server, json!({ "role": "client", "expiresInSeconds": 30 })).await;
        let path = format!("/ops/keys/{id}/rotate");
        server.post_as(&server.operator, &path, json!({ "overlapSeconds": 3600 })).await.data();
        server.clock.advance(31_000);
        assert_eq!(server.get_as(&old, "/templates").await.status, 401);
    });
}

#[test]
fn every_field_of_a_key_is_checked() {
    served(async |server| {
        for (body, fault) in [
            (json!({}), "role is required"),
            (json!({ "role": "user" }), "role must be operator or client"),
            (json!({ "role": "operator", "clientId": "shop" }), "clientId is for clients"),
            (json!({ "role": "operator", "receivers": ["a"] }), "receivers is for clients"),
            (json!({ "role": "client", "expiresInSeconds": 0 }), "expiresInSeconds must be"),
            (json!({ "role": "client", "receivers": ["a", "a"] }), "receivers has `a` twice"),
            (json!({ "role": "client", "scope": "x" }), "scope is not known here"),
        ] {
            let faults = server.post_as(&server.operator, "/ops/keys", body.clone()).await.faults();
            assert!(faults[0].starts_with(fault), "{body}: {faults:?}");
        }
        let request = server.bare(reqwest::Method::POST, "/ops/keys").bearer_auth(&server.operator);
        let keyed = request.header("Idempotency-Key", "a").json(&json!({ "role": "client" }));
        assert_eq!(send(keyed).await.status, 400, "a key would be stored in the clear to be answered again");
    });
}

#[test]
fn what_operators_change_is_written_down_with_its_trace_and_its_end() {
    served(async |server| {
        let trace = "0af7651916cd43dd8448eb211c80319c";
        let request = server.bare(reqwest::Method::POST, "/ops/keys").bearer_auth(&server.operator);
        let request = request.header("traceparent", format!("00-{trace}-b7ad6b7169203331-01"));
        let answer = send(request.json(&json!({ "role": "client" }))).await;
        let id = answer.data()["id"].clone();
        server.post_as(&server.operator, "/templates/deactivate/nothing?secret=swordfish", json!({})).await;
        server.get_as(&server.operator, "/templates/init").await;
        // Neither reads, nor others, nor tasks.
        server.get_as(&server.operator, "/ops/keys").await;
        server.post("/templates/deactivate/film", json!({})).await;
        server
            .post_as(&server.operator, "/task/mine", json!({ "type": "video_generation", "templateCode": "noop" }))
            .await;
        let actions = audit(&server).await;
        let shown: Vec<(&str, i64)> =
            actions.iter().map(|one| (one["action"].as_str().unwrap(), one["status"].as_i64().unwrap())).collect();
        assert_eq!(
            shown,
            [("GET /templates/init", 200), ("POST /templates/deactivate/nothing", 404), ("POST /ops/keys", 200)]
        );
        let made = &actions[2];
        assert_eq!((&made["target"], &made["traceId"]), (&id, &json!(trace)));
        assert!(made["by"].as_str().unwrap().starts_with("key_"));
        assert!(!json!(actions).to_string().contains("swordfish"));
        let first = server.get_as(&server.operator, "/ops/audit?limit=2").await;
        assert_eq!(first.data()["total"], 3);
        let cursor = first.data()["nextCursor"].as_str().unwrap();
        let second = server.get_as(&server.operator, &format!("/ops/audit?limit=2&cursor={cursor}")).await;
        assert_eq!(second.data()["actions"][0]["action"], "POST /ops/keys");
        assert!(second.data()["nextCursor"].is_null());
    });
}
