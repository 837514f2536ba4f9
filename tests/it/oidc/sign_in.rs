//! Ways in which a sign-in goes wrong, or is made to.

use serde_json::json;

use super::browser::Browser;
use super::{APP, parameter, signing, text};

const CALLBACK: &str = "/auth/google/callback";

#[test]
fn a_sign_in_leaves_with_everything_that_protects_it() {
    signing(async |signing| {
        let mut browser = Browser::new();
        let answer = browser.ask(&signing.authorize("?scopes=openid,email")).await;
        let url = answer.header("location").to_owned();
        assert!(url.starts_with(&signing.oidc.at("/o/oauth2/v2/auth?")), "{url}");
        for (name, value) in [
            ("response_type", "code"),
            ("client_id", "mixvideo"),
            ("code_challenge_method", "S256"),
            ("access_type", "offline"),
            ("scope", "openid email"),
            ("redirect_uri", &format!("{}{CALLBACK}", signing.server.base)),
        ] {
            assert_eq!(parameter(&url, name).as_deref(), Some(value), "{name}");
        }
        for name in ["state", "nonce", "code_challenge"] {
            let other = browser.sent_to(&signing.authorize("")).await;
            assert_eq!(parameter(&url, name).unwrap().len(), 43, "{name}");
            assert_ne!(parameter(&url, name), parameter(&other, name), "{name} repeats");
        }
        let cookie = answer.header("set-cookie");
        assert!(cookie.contains("HttpOnly") && cookie.contains("SameSite=Lax") && cookie.contains("Max-Age=600"));
        assert!(!cookie.contains(&parameter(&url, "state").unwrap()), "the cookie shows the state");
        assert_eq!(answer.header("cache-control"), "no-store");
    });
}

#[test]
fn addresses_and_scopes_that_are_not_allowed_are_refused() {
    signing(async |signing| {
        for url in [
            "http://127.0.0.1:2/landed",
            "https://127.0.0.1:1/landed",
            "http://127.0.0.1:1@evil.example/",
            "http://user@127.0.0.1:1/",
            "javascript:alert(1)",
            "//127.0.0.1:1/",
            "/landed",
            "http://127.0.0.1:1/%23x#y",
        ] {
            let url = url::form_urlencoded::byte_serialize(url.as_bytes()).collect::<String>();
            let answer = Browser::new().ask(&signing.authorize(&format!("?redirect_url={url}"))).await;
            assert!(answer.faults()[0].starts_with("redirect_url"), "{}", answer.body);
        }
        let answer = Browser::new().ask(&signing.authorize("?scopes=openid,drive")).await;
        assert_eq!(answer.faults(), ["scopes may hold openid, email, profile"]);
    });
}

#[test]
fn a_state_that_is_forged_used_or_of_another_browser_proves_nothing() {
    signing(async |signing| {
        let mut browser = Browser::new();
        let stop = format!("{}{CALLBACK}", signing.server.base);
        let back = browser.consent(&signing.authorize(""), "ada", &stop).await.url;
        let code = parameter(&back, "code").unwrap();

        // A link made by somebody else: no cookie, another cookie, another state, no state.
        assert_eq!(Browser::new().ask(&back).await.status, 400);
        let mut another = Browser::new();
        another.sent_to(&signing.authorize("")).await;
        assert_eq!(another.ask(&back).await.status, 400);
        let cookies = browser.cookies.clone();
        assert_eq!(browser.ask(&format!("{stop}?code={code}&state=forged")).await.status, 400);
        assert_eq!(browser.ask(&format!("{stop}?code={code}")).await.status, 400);
        let mut changed = Browser::new();
        changed.cookies = cookies.iter().map(|(name, value)| (name.clone(), format!("A{value}"))).collect();
        assert_eq!(changed.ask(&back).await.status, 400);
        assert_eq!(signing.oidc.calls("/token").await, 0, "a forged sign-in reached the provider");

        // The browser itself, once.
        browser.cookies = cookies.clone();
        let answer = browser.ask(&back).await;
        assert_eq!(answer.status, 200, "{}", answer.body);
        browser.cookies = cookies;
        let again = browser.ask(&back).await;
        assert_eq!(again.status, 400);
        assert!(again.message().contains("came back already"), "{}", again.body);
        assert_eq!(signing.oidc.calls("/token").await, 1);
    });
}

#[test]
fn a_sign_in_that_takes_too_long_begins_again() {
    signing(async |signing| {
        let mut browser = Browser::new();
        let stop = format!("{}{CALLBACK}", signing.server.base);
        let back = browser.consent(&signing.authorize(""), "ada", &stop).await.url;
        signing.server.clock.advance(10 * 60 * 1_000 + 1);
        assert_eq!(browser.ask(&back).await.status, 400);
    });
}

#[test]
fn whoever_turns_away_is_told_so_and_an_application_too() {
    signing(async |signing| {
        let answer = Browser::new().turn_away(&signing.authorize(""), "").await.answer;
        assert_eq!(answer.status, 400);
        assert!(answer.message().contains("access_denied"), "{}", answer.body);
        let url = signing.authorize(&format!("?redirect_url={APP}"));
        let page = Browser::new().turn_away(&url, APP).await;
        assert_eq!(parameter(&page.url, "error").as_deref(), Some("access_denied"));
        assert_eq!(parameter(&page.url, "code"), None);
    });
}

#[test]
fn a_wrong_code_and_one_that_was_used_open_nothing() {
    signing(async |signing| {
        let stop = format!("{}{CALLBACK}", signing.server.base);
        let mut browser = Browser::new();
        let url = browser.sent_to(&signing.authorize("")).await;
        let state = parameter(&url, "state").unwrap();
        let answer = browser.ask(&format!("{stop}?code=wrong&state={state}")).await;
        assert_eq!(answer.status, 400);
        assert!(answer.message().contains("does not know this code"), "{}", answer.body);

        // The code of a sign-in that is done, brought to one that is not.
        let mut first = Browser::new();
        let back = first.consent(&signing.authorize(""), "ada", &stop).await.url;
        assert_eq!(first.ask(&back).await.status, 200);
        let mut second = Browser::new();
        let state = parameter(&second.sent_to(&signing.authorize("")).await, "state").unwrap();
        let replayed = format!("{stop}?code={}&state={state}", parameter(&back, "code").unwrap());
        assert_eq!(second.ask(&replayed).await.status, 400);
    });
}

#[test]
fn a_code_that_another_sign_in_got_is_worth_nothing_here() {
    signing(async |signing| {
        let stop = format!("{}{CALLBACK}", signing.server.base);
        let mut attacker = Browser::new();
        let back = attacker.consent(&signing.authorize(""), "mallory", &stop).await.url;
        let mut victim = Browser::new();
        let state = parameter(&victim.sent_to(&signing.authorize("")).await, "state").unwrap();
        let injected = format!("{stop}?code={}&state={state}", parameter(&back, "code").unwrap());
        assert_eq!(victim.ask(&injected).await.status, 400);
    });
}

#[test]
fn a_sign_in_whose_pkce_or_nonce_was_taken_away_fails() {
    signing(async |signing| {
        let stop = format!("{}{CALLBACK}", signing.server.base);
        for stripped in [&["code_challenge", "code_challenge_method"][..], &["nonce"]] {
            let mut browser = Browser::new();
            let mut url = url::Url::parse(&browser.sent_to(&signing.authorize("")).await).unwrap();
            let kept: Vec<(String, String)> = url::Url::parse(url.as_str())
                .unwrap()
                .query_pairs()
                .filter(|(name, _)| !stripped.contains(&&**name))
                .map(|(name, value)| (name.into_owned(), value.into_owned()))
                .collect();
            url.query_pairs_mut().clear().extend_pairs(kept);
            let back = browser.consent(url.as_str(), "ada", &stop).await.url;
            assert!(parameter(&back, "code").is_some(), "the provider refused it by itself: {back}");
            let answer = browser.ask(&back).await;
            assert_eq!(answer.status, 400, "without {stripped:?}: {}", answer.body);
        }
    });
}

#[test]
fn an_answer_in_anothers_name_is_refused() {
    signing(async |signing| {
        let stop = format!("{}{CALLBACK}", signing.server.base);
        let mut browser = Browser::new();
        let back = browser.consent(&signing.authorize(""), "ada", &stop).await.url;
        assert_eq!(parameter(&back, "iss").as_deref(), Some(&*signing.oidc.base));
        let forged = format!(
            "{stop}?code={}&state={}&iss=http://evil.example",
            parameter(&back, "code").unwrap(),
            parameter(&back, "state").unwrap()
        );
        assert_eq!(browser.ask(&forged).await.status, 400);
    });
}

#[test]
fn an_address_that_was_never_verified_makes_no_user() {
    signing(async |signing| {
        let answer = signing.sign_in("unverified-eve").await;
        assert_eq!(answer.status, 403, "{}", answer.body);
        assert!(answer.message().contains("verif"), "{}", answer.body);
    });
}

#[test]
fn a_provider_that_is_down_is_said_to_be_down() {
    signing(async |signing| {
        let stop = format!("{}{CALLBACK}", signing.server.base);
        let mut browser = Browser::new();
        let back = browser.consent(&signing.authorize(""), "ada", &stop).await.url;
        let mut app = Browser::new();
        let url = signing.authorize(&format!("?redirect_url={APP}"));
        let app_back = app.consent(&url, "ada", &stop).await.url;
        signing.oidc.stop().await;
        let answer = browser.ask(&back).await;
        assert_eq!(answer.status, 503, "{}", answer.body);
        assert!(!answer.header("retry-after").is_empty());
        let location = app.sent_to(&app_back).await;
        assert_eq!(parameter(&location, "error").as_deref(), Some("temporarily_unavailable"));
        // An unknown token cannot be judged now: that is not the same as a wrong one.
        assert_eq!(signing.userinfo("ya29.some-token").await.status, 503);
    });
}

#[test]
fn an_application_gets_a_code_that_is_exchanged_once_and_soon_and_never_a_token_in_an_address() {
    signing(async |signing| {
        let url = signing.authorize(&format!("?redirect_url={APP}%3Fmine%3D1"));
        let landed = Browser::new().consent(&url, "ada", APP).await.url;
        assert_eq!(parameter(&landed, "mine").as_deref(), Some("1"));
        let code = parameter(&landed, "code").unwrap();
        let answer = signing.exchange(&code).await;
        let token = text(&answer.data()["access_token"]);
        assert!(!landed.contains(&token), "{landed}");
        assert_eq!(signing.userinfo(&token).await.status, 200);
        assert_eq!(signing.exchange(&code).await.status, 404);
        assert_eq!(signing.exchange("never").await.status, 404);
        let late = Browser::new().consent(&url, "bea", APP).await.url;
        signing.server.clock.advance(61_000);
        assert_eq!(signing.exchange(&parameter(&late, "code").unwrap()).await.status, 404);
    });
}

#[test]
fn a_code_is_exchanged_by_one_of_many_who_try() {
    signing(async |signing| {
        let url = signing.authorize(&format!("?redirect_url={APP}"));
        let landed = Browser::new().consent(&url, "ada", APP).await.url;
        let code = parameter(&landed, "code").unwrap();
        let tries = futures_util::future::join_all((0..8).map(|_| signing.exchange(&code))).await;
        assert_eq!(tries.iter().filter(|answer| answer.status == 200).count(), 1);
    });
}

#[test]
fn who_signs_in_again_is_the_same_user() {
    signing(async |signing| {
        let (_, first) = signing.token_of("ada").await;
        let (_, again) = signing.token_of("ada").await;
        let (_, other) = signing.token_of("bea").await;
        assert_eq!(first, again);
        assert_ne!(first, other);
        assert!(first.starts_with("user_"));
        assert_eq!(signing.refresh(&signing.server.operator, json!({ "user_id": first })).await.status, 200);
    });
}
