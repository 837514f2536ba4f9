//! Every route against everybody who may knock.

use mixvideo::auth::api_key::{self, Role};
use mixvideo::auth::roles::{Access, ROUTES};
use mixvideo::domain::Timestamp;
use reqwest::Method;

use crate::server::{now, send, served};

/// An address of a route, of nothing that is there.
pub fn example_path(route: &str) -> String {
    let path = route.replace("{id:.*}", "task/x").replace("{key:.*}", "k").replace("{file:.*}", "index.html");
    path.replace("{taskId}", "nobody").replace("{code}", "nothing").replace(['{', '}'], "")
}

#[test]
fn every_route_admits_whom_the_table_admits_and_nobody_else() {
    served(async |server| {
        let revoked = server.key(Role::Operator, None, None).await;
        assert!(api_key::revoke(&server.database, &revoked.0, now()).await.unwrap());
        let expired = server.key(Role::Operator, None, Some(Timestamp(1))).await.1;
        for route in ROUTES {
            let path = example_path(route.path);
            for name in route.method.names() {
                let method: Method = name.parse().unwrap();
                let ask = |key: &str| {
                    let request = server.bare(method.clone(), &path);
                    send(if key.is_empty() { request } else { request.bearer_auth(key) })
                };
                let shown = format!("{name} {path}");
                for nobody in ["", "mv_unknown", "sk_other", &revoked.1, &expired] {
                    let status = ask(nobody).await.status.as_u16();
                    assert_eq!(status == 401, route.access != Access::Open, "{shown} with `{nobody}`: {status}");
                }
                for client in [&server.client, &server.other] {
                    let status = ask(client).await.status.as_u16();
                    assert_ne!(status, 401, "{shown}");
                    let forbidden = !route.access.admits(Role::Client);
                    assert!(status != 403 || forbidden || path.starts_with("/files"), "{shown}: {status}");
                    assert!(!forbidden || status == 403, "{shown}: {status}");
                }
                let status = ask(&server.operator).await.status.as_u16();
                let forbidden = !route.access.admits(Role::Operator);
                assert!(
                    status != 401 && (status != 403 || forbidden || path.starts_with("/files")),
                    "{shown}: {status}"
                );
                assert!(!forbidden || status == 403, "{shown}: {status}");
                assert!(status < 500, "{shown}: {status}");
            }
        }
    });
}

#[test]
fn a_revoked_key_stops_working_within_seconds() {
    served(async |server| {
        let (id, key) = server.key(Role::Client, Some("shop"), None).await;
        assert_eq!(server.get_as(&key, "/templates").await.status, 200);
        assert!(api_key::revoke(&server.database, &id, now()).await.unwrap());
        let begun = std::time::Instant::now();
        while server.get_as(&key, "/templates").await.status != 401 {
            assert!(begun.elapsed().as_secs() < 10, "the key still works");
            tokio::time::sleep(std::time::Duration::from_millis(100)).await;
        }
    });
}

#[test]
fn the_last_use_of_a_key_is_noted() {
    served(async |server| {
        let (id, key) = server.key(Role::Client, Some("shop"), None).await;
        server.get_as(&key, "/templates").await.data();
        let begun = std::time::Instant::now();
        loop {
            let keys = api_key::list(&server.database).await.unwrap();
            if keys.iter().any(|row| row.id == id && row.last_used_at.is_some()) {
                break;
            }
            assert!(begun.elapsed().as_secs() < 10, "the use was not noted");
            tokio::task::yield_now().await;
        }
    });
}

#[test]
fn what_belongs_to_another_client_is_not_found_and_operators_see_it() {
    served(async |server| {
        let held = server.hold("mine", 0.5);
        server.make("mine", "noop", "pending").await;
        let second_key = server.key(Role::Client, Some("shop"), None).await.1;
        for path in ["/task/mine", "/templates/execution/mine/progress", "/task/mine/events"] {
            let theirs = server.get_as(&server.other, path).await;
            let nobodys = server.get_as(&server.other, &path.replace("mine", "none")).await;
            assert_eq!(theirs.status, 404, "{path}");
            assert_eq!(theirs.message().replace("mine", "none"), nobodys.message(), "{path} tells that it exists");
        }
        assert_eq!(server.post_as(&server.other, "/task/mine/cancel", serde_json::json!({})).await.status, 404);
        assert_eq!(server.get_as(&second_key, "/task/mine").await.status, 200);
        assert_eq!(server.get_as(&server.operator, "/task/mine").await.status, 200);
        held.add_permits(1);
    });
}
