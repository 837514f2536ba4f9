//! The whole way in a real browser.

use serde_json::{Value, json};
use tokio::process::Command;

use super::provider::directory;
use super::{parameter, signing, text};

async fn in_chromium(url: &str, name: &str) -> Value {
    let mut run = Command::new("node");
    run.arg("sign_in.mjs").arg(url).arg(name).current_dir(directory()).kill_on_drop(true);
    let output = tokio::time::timeout(std::time::Duration::from_secs(120), run.output()).await.unwrap().unwrap();
    let (out, err) = (String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr));
    serde_json::from_str(&out).unwrap_or_else(|_| panic!("the browser failed: {out} {err}"))
}

#[test]
fn a_person_signs_in_with_a_browser_and_refreshes_and_signs_out() {
    signing(async |signing| {
        let seen = in_chromium(&signing.authorize(""), "ada").await;
        assert!(text(&seen["consent"]).contains("email"), "{seen}");
        let body: Value = serde_json::from_str(&text(&seen["body"])).unwrap();
        assert_eq!((&body["success"], &body["code"]), (&json!(true), &json!(200)), "{body}");
        assert_eq!(body["data"]["user"]["email"], "ada@example.com");
        assert_eq!(seen["cookies"], "", "a script can read the cookie");
        let token = text(&body["data"]["access_token"]);
        assert!(!text(&seen["url"]).contains(&token));
        let fresh = signing.refresh(&token, json!({})).await;
        let fresh = text(&fresh.data()["access_token"]);
        assert_eq!(signing.userinfo(&fresh).await.data()["email"], "ada@example.com");
        assert_eq!(signing.revoke(&fresh, &fresh).await.status, 200);
        for token in [token, fresh] {
            assert_eq!(signing.userinfo(&token).await.status, 401);
        }
    });
}

#[test]
fn a_browser_goes_on_to_the_application_with_a_code() {
    signing(async |signing| {
        let landed = format!("{}/landed", signing.server.base);
        let seen = in_chromium(&signing.authorize(&format!("?redirect_url={landed}")), "bea").await;
        let url = text(&seen["url"]);
        assert!(url.starts_with(&landed), "{url}");
        let answer = signing.exchange(&parameter(&url, "code").unwrap()).await;
        assert_eq!(answer.data()["user"]["email"], "bea@example.com");
    });
}
