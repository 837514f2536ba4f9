//! Signing in against a real OpenID provider that has Google's paths.

mod browser;
mod callers;
mod chromium;
mod documented;
pub mod provider;
mod rest;
mod sign_in;
mod tokens;

use std::sync::Arc;

use mixvideo::auth::google::{Google, Settings};
use mixvideo::auth::seal::Seal;
use serde_json::{Value, json};

use self::browser::Browser;
use self::provider::Oidc;
use crate::server::{Answer, Server, send, served_with};

/// Where an application waits for those who signed in.
pub const APP: &str = "http://127.0.0.1:1/landed";
/// 32 bytes in base64.
const KEY: &str = "BwcHBwcHBwcHBwcHBwcHBwcHBwcHBwcHBwcHBwcHBwc=";

/// A server at which people sign in, and where they do.
pub struct Signing {
    pub server: Arc<Server>,
    pub oidc: Oidc,
}

/// Runs a test against a server of its own with a provider of its own.
pub fn signing<F: Future<Output = ()>>(test: impl FnOnce(Signing) -> F) {
    let (tell, told) = tokio::sync::oneshot::channel();
    served_with(
        async move |base, database| {
            let oidc = Oidc::start(&format!("{base}/auth/google/callback")).await;
            let settings = Settings {
                client_id: "mixvideo".into(),
                client_secret: "mixvideo-secret".into(),
                auth_url: oidc.at("/o/oauth2/v2/auth"),
                token_url: oidc.at("/token"),
                userinfo_url: oidc.at("/v1/userinfo"),
                tokeninfo_url: oidc.at("/tokeninfo"),
                revoke_url: oidc.at("/revoke"),
                jwks_url: oidc.at("/oauth2/v3/certs"),
                issuer: oidc.base.clone(),
                scopes: ["openid", "email", "profile"].map(str::to_owned).to_vec(),
                redirect_origins: vec!["http://127.0.0.1:1".into()],
                public_url: base.to_owned(),
            };
            assert!(tell.send(oidc).is_ok());
            Ok(Google::open(settings, Seal::parse(KEY).unwrap(), database, uuid::Uuid::now_v7).unwrap())
        },
        async |server| test(Signing { server, oidc: told.await.unwrap() }).await,
    );
}

impl Signing {
    /// The address that begins a sign-in.
    pub fn authorize(&self, query: &str) -> String {
        format!("{}/auth/google/authorize{query}", self.server.base)
    }

    /// Signs `name` in; the answer of the callback.
    pub async fn sign_in(&self, name: &str) -> Answer {
        Browser::new().sign_in(&self.authorize(""), name).await
    }

    /// Signs `name` in; the access token and the user's id.
    pub async fn token_of(&self, name: &str) -> (String, String) {
        let answer = self.sign_in(name).await;
        let data = answer.data();
        (text(&data["access_token"]), text(&data["user"]["id"]))
    }

    pub async fn refresh(&self, key: &str, body: Value) -> Answer {
        self.server.post_as(key, "/auth/google/refresh", body).await
    }

    pub async fn revoke(&self, key: &str, token: &str) -> Answer {
        self.server.post_as(key, "/auth/google/revoke", json!({ "token": token })).await
    }

    pub async fn userinfo(&self, token: &str) -> Answer {
        self.server.get_as(token, "/auth/google/userinfo").await
    }

    pub async fn exchange(&self, code: &str) -> Answer {
        send(self.server.bare(reqwest::Method::POST, "/auth/google/exchange").json(&json!({ "code": code }))).await
    }
}

pub fn text(value: &Value) -> String {
    value.as_str().unwrap_or_else(|| panic!("no text: {value}")).to_owned()
}

/// A parameter of an address.
pub fn parameter(url: &str, name: &str) -> Option<String> {
    let url = url::Url::parse(url).unwrap();
    url.query_pairs().find(|(found, _)| found == name).map(|(_, value)| value.into_owned())
}
