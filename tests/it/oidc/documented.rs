//! The examples of the Auth Controller.

use serde_json::json;

use super::signing;
use crate::http::as_documented;
use crate::server::{send, served};

#[test]
fn the_auth_examples_hold() {
    signing(async |signing| {
        let answer = signing.sign_in("ada").await;
        as_documented(
            &answer,
            json!({
                "success": true, "code": 200, "message": "OAuth authorization successful",
                "data": {
                    "user": { "id": "user_id", "email": "user@example.com", "name": "User Name" },
                    "access_token": "ya29.xxx", "expires_in": 3600
                }
            }),
        );
        assert_eq!(answer.body["success"], true);
        assert_eq!(answer.body["data"]["user"]["email"], "ada@example.com");
        assert_eq!(answer.header("cache-control"), "no-store");
        let token = answer.body["data"]["access_token"].as_str().unwrap().to_owned();
        let user = answer.body["data"]["user"]["id"].clone();

        let userinfo = json!({
            "success": true, "code": 200, "message": "User info retrieved successfully",
            "data": { "id": "user_id", "email": "user@example.com", "name": "User Name", "picture": "https://..." }
        });
        let by_header = signing.userinfo(&token).await;
        as_documented(&by_header, userinfo.clone());
        assert_eq!(by_header.body["data"]["id"], user);
        let path = format!("/auth/google/userinfo?access_token={token}");
        as_documented(&send(signing.server.bare(reqwest::Method::GET, &path)).await, userinfo);

        let refreshed = signing.refresh(&token, json!({ "user_id": user })).await;
        as_documented(
            &refreshed,
            json!({
                "success": true, "code": 200, "message": "Token refreshed successfully",
                "data": { "access_token": "new_access_token", "expires_in": 3600, "scope": "openid email profile" }
            }),
        );
        assert_eq!(refreshed.body["data"]["scope"], "openid email profile");
        let fresh = refreshed.body["data"]["access_token"].as_str().unwrap();
        assert_ne!(fresh, token);
        assert_eq!(signing.userinfo(fresh).await.body["data"]["id"], user);

        let revoked = signing.revoke(&token, &token).await;
        as_documented(&revoked, json!({ "success": true, "code": 200, "message": "Token revoked successfully" }));
        assert_eq!(signing.userinfo(&token).await.status, 401);
    });
}

#[test]
fn errors_of_the_auth_controller_say_so() {
    signing(async |signing| {
        for (answer, status) in [
            (signing.userinfo("nobody").await, 401),
            (signing.userinfo(&signing.server.client).await, 403),
            (signing.refresh(&signing.server.client, json!({})).await, 400),
            (signing.server.get_as("", "/auth/google/nowhere").await, 404),
            (signing.server.post_as("", "/auth/google/callback", json!({})).await, 405),
        ] {
            assert_eq!(answer.status, status, "{}", answer.body);
            assert_eq!((&answer.body["success"], &answer.body["code"]), (&json!(false), &json!(status)));
            assert!(answer.body["data"].is_null());
        }
        let both = format!("/auth/google/userinfo?access_token={}", signing.server.client);
        assert_eq!(signing.server.get_as(&signing.server.client, &both).await.status, 400);
    });
}

#[test]
fn where_google_is_not_set_up_each_endpoint_says_so() {
    served(async |server| {
        for path in ["/auth/google/authorize", "/auth/google/callback"] {
            let answer = send(server.bare(reqwest::Method::GET, path)).await;
            assert_eq!(answer.status, 400);
            assert!(answer.message().contains("auth.google.client_id"), "{}", answer.body);
        }
        for path in ["refresh", "revoke", "exchange"] {
            let answer = server.post(&format!("/auth/google/{path}"), json!({ "token": "x", "user_id": "x" })).await;
            assert_eq!(answer.status, 400);
            assert!(answer.message().contains("auth.google.client_id"), "{}", answer.body);
        }
    });
}
