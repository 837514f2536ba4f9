//! What opens a door, and what no longer does.

use std::collections::HashSet;

use serde_json::json;

use super::browser::Browser;
use super::{APP, Signing, parameter, signing, text};

/// A little more than Google's word is believed, in milliseconds.
const LATER_MS: i64 = 31_000;

/// A token that `name` gave to another application.
async fn of_another_application(signing: &Signing, name: &str) -> String {
    let back = "http://127.0.0.1:1/back";
    let url = signing.oidc.at(&format!(
        "/o/oauth2/v2/auth?client_id=another&response_type=code&redirect_uri={back}&scope=openid%20email"
    ));
    let page = Browser::new().consent(&url, name, back).await;
    let code = parameter(&page.url, "code").unwrap();
    let form = [
        ("grant_type", "authorization_code"),
        ("code", &code),
        ("redirect_uri", back),
        ("client_id", "another"),
        ("client_secret", "another-secret"),
    ];
    text(&signing.oidc.exchange(&form).await["access_token"])
}

#[test]
fn a_token_of_another_application_opens_nothing_here() {
    signing(async |signing| {
        signing.token_of("ada").await;
        let token = of_another_application(&signing, "ada").await;
        let userinfo = reqwest::Client::new().get(signing.oidc.at("/v1/userinfo")).bearer_auth(&token);
        assert!(userinfo.send().await.unwrap().status().is_success(), "the provider itself takes it");
        let answer = signing.userinfo(&token).await;
        assert_eq!(answer.status, 401, "{}", answer.body);
        assert!(answer.message().contains("another application"), "{}", answer.body);
        assert_eq!(signing.server.get_as(&token, "/templates").await.status, 401);
    });
}

#[test]
fn a_token_of_our_application_that_we_never_saw_is_taken() {
    signing(async |signing| {
        let stop = format!("{}/auth/google/callback", signing.server.base);
        let url = signing.oidc.at(&format!(
            "/o/oauth2/v2/auth?client_id=mixvideo&response_type=code&redirect_uri={stop}&scope=openid%20email"
        ));
        let page = Browser::new().consent(&url, "ada", &stop).await;
        let code = parameter(&page.url, "code").unwrap();
        let form = [
            ("grant_type", "authorization_code"),
            ("code", &*code),
            ("redirect_uri", &stop),
            ("client_id", "mixvideo"),
            ("client_secret", "mixvideo-secret"),
        ];
        let tokens = signing.oidc.exchange(&form).await;
        let answer = signing.userinfo(&text(&tokens["access_token"])).await;
        assert_eq!(answer.data()["email"], "ada@example.com");
        // An ID token is no access token.
        assert_eq!(signing.userinfo(&text(&tokens["id_token"])).await.status, 401);
    });
}

#[test]
fn google_is_asked_once_for_many_calls_and_a_token_revoked_there_ends_within_a_minute() {
    signing(async |signing| {
        let (token, _) = signing.token_of("ada").await;
        let before = signing.oidc.calls("/v1/userinfo").await;
        for _ in 0..5 {
            assert_eq!(signing.userinfo(&token).await.status, 200);
        }
        assert_eq!(signing.oidc.calls("/v1/userinfo").await, before + 1);
        signing.oidc.revoke(&token).await;
        signing.server.clock.advance(LATER_MS);
        assert_eq!(signing.userinfo(&token).await.status, 401);
    });
}

#[test]
fn a_token_whose_time_is_over_opens_nothing() {
    signing(async |signing| {
        let (token, _) = signing.token_of("ada").await;
        assert_eq!(signing.userinfo(&token).await.status, 200);
        signing.server.clock.advance(3_600_000);
        let answer = signing.userinfo(&token).await;
        assert_eq!(answer.status, 401);
        assert!(answer.message().contains("expired"), "{}", answer.body);
    });
}

#[test]
fn what_is_revoked_here_is_forgotten_here_and_there() {
    signing(async |signing| {
        let (token, user) = signing.token_of("ada").await;
        let (second, _) = signing.token_of("ada").await;
        assert_eq!(signing.userinfo(&second).await.status, 200);
        let operator = &signing.server.operator;
        assert_eq!(signing.revoke(&token, &token).await.status, 200);
        for token in [&token, &second] {
            assert_eq!(signing.userinfo(token).await.status, 401);
        }
        let answer = signing.refresh(operator, json!({ "user_id": user })).await;
        assert_eq!(answer.status, 401, "{}", answer.body);
        assert!(answer.message().contains("prompt=consent"), "{}", answer.body);
        let there = reqwest::Client::new().get(signing.oidc.at("/v1/userinfo")).bearer_auth(&token);
        assert_eq!(there.send().await.unwrap().status(), 401);
        // Revoking again says the same: RFC 7009.
        assert_eq!(signing.revoke(operator, &token).await.status, 200);
    });
}

#[test]
fn a_revocation_that_google_does_not_hear_of_holds_here_at_once_and_can_be_repeated() {
    signing(async |signing| {
        let (token, _) = signing.token_of("ada").await;
        assert_eq!(signing.userinfo(&token).await.status, 200);
        signing.oidc.stop().await;
        assert_eq!(signing.revoke(&token, &token).await.status, 503);
        assert_eq!(signing.userinfo(&token).await.status, 401);
        assert_eq!(signing.revoke(&signing.server.operator, &token).await.status, 503, "it is not done yet");
    });
}

#[test]
fn many_who_refresh_at_once_cost_one_refresh_and_lose_nothing() {
    signing(async |signing| {
        let (token, user) = signing.token_of("ada").await;
        for round in 1..=3 {
            let before = signing.oidc.calls("/token").await;
            let ask = || signing.refresh(&token, json!({ "user_id": user }));
            let answers = futures_util::future::join_all((0..20).map(|_| ask())).await;
            let tokens: HashSet<String> = answers.iter().map(|answer| text(&answer.data()["access_token"])).collect();
            assert_eq!(tokens.len(), 1, "round {round}");
            assert_eq!(signing.oidc.calls("/token").await, before + 1, "round {round}");
            // The provider gave another refresh token: the next round fails unless that one was kept.
            signing.server.clock.advance(5_001);
        }
    });
}

#[test]
fn nobody_refreshes_or_revokes_for_another() {
    signing(async |signing| {
        let (ada, ada_id) = signing.token_of("ada").await;
        let (bea, bea_id) = signing.token_of("bea").await;
        let client = &signing.server.client;
        for (caller, user) in [(&bea, &ada_id), (&ada, &bea_id), (client, &ada_id)] {
            let answer = signing.refresh(caller, json!({ "user_id": user })).await;
            assert_eq!(answer.status, 404, "{}", answer.body);
            let unknown = signing.refresh(caller, json!({ "user_id": "user_none" })).await;
            assert_eq!(answer.message(), unknown.message(), "it tells that the user exists");
        }
        assert_eq!(signing.revoke(&bea, &ada).await.status, 404);
        assert_eq!(signing.revoke(client, &ada).await.status, 404);
        assert_eq!(signing.userinfo(&ada).await.status, 200);
        // Whoever signed in need not say who they are.
        assert_eq!(signing.refresh(&ada, json!({})).await.status, 200);
        let wrong = signing.refresh(&ada, json!({ "refresh_token": "wrong" })).await;
        assert_eq!(wrong.status, 401, "{}", wrong.body);
    });
}

#[test]
fn a_client_acts_for_those_who_signed_in_through_it() {
    signing(async |signing| {
        let url = signing.authorize(&format!("?redirect_url={APP}"));
        let landed = Browser::new().consent(&url, "ada", APP).await.url;
        let body = json!({ "code": parameter(&landed, "code").unwrap() });
        let answer = signing.server.post_as(&signing.server.client, "/auth/google/exchange", body).await;
        let user = text(&answer.data()["user"]["id"]);
        assert_eq!(signing.refresh(&signing.server.client, json!({ "user_id": user })).await.status, 200);
        assert_eq!(signing.refresh(&signing.server.other, json!({ "user_id": user })).await.status, 404);
        let revoked = signing.revoke(&signing.server.client, &text(&answer.data()["access_token"])).await;
        assert_eq!(revoked.status, 200, "{}", revoked.body);
    });
}
