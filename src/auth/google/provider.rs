//! Calls to Google: each within a limit of time and size, never redirected, never repeated by itself.

use std::sync::Arc;
use std::time::Duration;

use jsonwebtoken::jwk::JwkSet;
use oauth2::basic::{
    BasicErrorResponse, BasicErrorResponseType, BasicRevocationErrorResponse, BasicTokenIntrospectionResponse,
    BasicTokenType,
};
use oauth2::{
    AuthType, AuthUrl, AuthorizationCode, Client, ClientId, ClientSecret, CsrfToken, EndpointNotSet, EndpointSet,
    ExtraTokenFields, HttpRequest, HttpResponse, PkceCodeChallenge, PkceCodeVerifier, RedirectUrl, RefreshToken,
    RequestTokenError, Scope, StandardRevocableToken, StandardTokenResponse, TokenResponse as _, TokenUrl,
};
use reqwest::{RequestBuilder, StatusCode, redirect, retry};
use secrecy::{ExposeSecret as _, SecretString};
use serde::{Deserialize, Serialize};
use tokio::sync::Semaphore;

use super::Settings;

/// How long one call may take.
const CALL_LIMIT: Duration = Duration::from_secs(10);
/// How long one connection may take to be made.
const CONNECT_LIMIT: Duration = Duration::from_secs(5);
/// Calls at once; one more is refused.
const CALLS_MAX: usize = 64;
/// The largest answer, in bytes.
const ANSWER_BYTES_MAX: usize = 256 * 1024;
/// How long an access token is good when Google does not say, in seconds.
const EXPIRES_IN_S_DEFAULT: u64 = 3_600;
/// How long one may be good at most, in seconds.
const EXPIRES_IN_S_MAX: u64 = 24 * 3_600;

/// A call that gave no usable answer.
#[derive(Debug, thiserror::Error)]
pub enum Fault {
    /// Too many calls are under way.
    #[error("too many calls to Google are under way")]
    Busy,
    /// It does not answer, or not what it should; whether it acted is not known.
    #[error("Google does not answer as it should: {0}")]
    Away(String),
    /// It answered, and refused what we presented: a code or a token.
    #[error("Google refused what was presented")]
    Rejected,
    /// It answered, and refused us: an error code of OAuth.
    #[error("Google refuses this service ({0}): is its client id, secret and callback address right?")]
    RefusesUs(String),
}

/// What OpenID Connect adds to the answer of the token endpoint.
#[derive(Clone, Debug, Deserialize, Serialize)]
pub(super) struct IdTokenField {
    id_token: Option<String>,
}

impl ExtraTokenFields for IdTokenField {}

/// Tokens that were issued to us.
pub(super) struct Tokens {
    pub access_token: SecretString,
    pub expires_in_s: u64,
    pub refresh_token: Option<SecretString>,
    /// Space-separated; none when it is what was asked for.
    pub scope: Option<String>,
    pub id_token: Option<String>,
}

/// What Google knows of a person (OpenID Connect Core 1.0, section 5.1).
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
pub struct Person {
    /// Google's id of the person, which never changes.
    pub sub: String,
    /// The address.
    pub email: Option<String>,
    /// Whether Google made sure that the address is the person's. Google writes it as a text in some answers.
    #[serde(default, deserialize_with = "flag")]
    pub email_verified: bool,
    /// The name.
    pub name: Option<String>,
    /// A link to a picture.
    pub picture: Option<String>,
}

fn flag<'de, D: serde::Deserializer<'de>>(value: D) -> Result<bool, D::Error> {
    let value = serde_json::Value::deserialize(value)?;
    Ok(value.as_bool().unwrap_or_else(|| value.as_str() == Some("true")))
}

/// Whom an access token was given to.
#[derive(Debug, Deserialize)]
pub(super) struct TokenFacts {
    #[serde(default)]
    pub aud: String,
}

type OAuthClient = Client<
    BasicErrorResponse,
    StandardTokenResponse<IdTokenField, BasicTokenType>,
    BasicTokenIntrospectionResponse,
    StandardRevocableToken,
    BasicRevocationErrorResponse,
    EndpointSet,
    EndpointNotSet,
    EndpointNotSet,
    EndpointNotSet,
    EndpointSet,
>;

/// What a sign-in sends the browser to Google with.
pub(super) struct Departure<'a> {
    pub state: String,
    pub nonce: &'a str,
    pub verifier: &'a PkceCodeVerifier,
    pub scopes: &'a [String],
    /// Google asks again for what was granted before, and gives a refresh token again.
    pub consent: bool,
}

/// Google, as it is configured.
pub(super) struct Provider {
    http: reqwest::Client,
    oauth: OAuthClient,
    settings: Arc<Settings>,
    room: Semaphore,
}

impl Provider {
    pub fn new(settings: Arc<Settings>) -> Result<Self, super::Unusable> {
        let address = |key: &'static str| move |error: url::ParseError| super::Unusable::Address { key, error };
        let oauth = Client::new(ClientId::new(settings.client_id.clone()))
            .set_client_secret(ClientSecret::new(settings.client_secret.expose_secret().to_owned()))
            .set_auth_type(AuthType::RequestBody)
            .set_auth_uri(AuthUrl::new(settings.auth_url.clone()).map_err(address("auth_url"))?)
            .set_token_uri(TokenUrl::new(settings.token_url.clone()).map_err(address("token_url"))?)
            .set_redirect_uri(RedirectUrl::new(settings.callback_url()).map_err(address("the callback"))?);
        let http = reqwest::Client::builder()
            .redirect(redirect::Policy::none())
            .retry(retry::never())
            .no_proxy()
            .referer(false)
            .connect_timeout(CONNECT_LIMIT)
            .user_agent(concat!("mixvideo/", env!("CARGO_PKG_VERSION")))
            .build()
            .map_err(super::Unusable::Tls)?;
        Ok(Self { http, oauth, settings, room: Semaphore::new(CALLS_MAX) })
    }

    /// Where to send the browser.
    pub fn authorize_url(&self, departure: Departure<'_>) -> String {
        let Departure { state, nonce, verifier, scopes, consent } = departure;
        let mut request = self
            .oauth
            .authorize_url(|| CsrfToken::new(state))
            .add_scopes(scopes.iter().cloned().map(Scope::new))
            .set_pkce_challenge(PkceCodeChallenge::from_code_verifier_sha256(verifier))
            .add_extra_param("nonce", nonce)
            .add_extra_param("access_type", "offline")
            .add_extra_param("include_granted_scopes", "true");
        if consent {
            request = request.add_extra_param("prompt", "consent");
        }
        request.url().0.into()
    }

    /// The tokens of an authorization code.
    pub async fn exchange(&self, code: String, verifier: &str) -> Result<Tokens, Fault> {
        let http = |request| self.oauth_call(request);
        let request = self.oauth.exchange_code(AuthorizationCode::new(code));
        let verifier = PkceCodeVerifier::new(verifier.to_owned());
        Ok(tokens(request.set_pkce_verifier(verifier).request_async(&http).await.map_err(fault)?))
    }

    /// Fresh tokens.
    pub async fn refresh(&self, token: &SecretString) -> Result<Tokens, Fault> {
        let http = |request| self.oauth_call(request);
        let token = RefreshToken::new(token.expose_secret().to_owned());
        Ok(tokens(self.oauth.exchange_refresh_token(&token).request_async(&http).await.map_err(fault)?))
    }

    /// Whose this access token is.
    pub async fn person(&self, token: &SecretString) -> Result<Person, Fault> {
        self.asked(self.http.get(&self.settings.userinfo_url).bearer_auth(token.expose_secret())).await
    }

    /// Whom this access token was given to.
    pub async fn facts(&self, token: &SecretString) -> Result<TokenFacts, Fault> {
        self.asked(self.http.get(&self.settings.tokeninfo_url).query(&[("access_token", token.expose_secret())])).await
    }

    /// The keys that sign ID tokens.
    pub async fn keys(&self) -> Result<JwkSet, Fault> {
        self.asked(self.http.get(&self.settings.jwks_url)).await
    }

    /// Revokes a token; one that Google does not know is as good as revoked (RFC 7009, section 2.2).
    pub async fn revoke(&self, token: &SecretString) -> Result<(), Fault> {
        let form = [
            ("token", token.expose_secret()),
            ("client_id", &self.settings.client_id),
            ("client_secret", self.settings.client_secret.expose_secret()),
        ];
        let (status, body) = self.send(self.http.post(&self.settings.revoke_url).form(&form)).await?;
        match status {
            status if status.is_success() => Ok(()),
            StatusCode::BAD_REQUEST if error_code(&body) == "invalid_token" => Ok(()),
            status if status.is_client_error() => Err(Fault::RefusesUs(error_code(&body))),
            status => Err(Fault::Away(format!("it answered {status}"))),
        }
    }

    /// A JSON answer; refusals of any kind are about the token presented.
    async fn asked<T: serde::de::DeserializeOwned>(&self, request: RequestBuilder) -> Result<T, Fault> {
        let (status, body) = self.send(request).await?;
        match status {
            StatusCode::OK => {
                serde_json::from_slice(&body).map_err(|_| Fault::Away("its answer cannot be read".into()))
            }
            StatusCode::BAD_REQUEST | StatusCode::UNAUTHORIZED | StatusCode::FORBIDDEN => Err(Fault::Rejected),
            status => Err(Fault::Away(format!("it answered {status}"))),
        }
    }

    async fn oauth_call(&self, request: HttpRequest) -> Result<HttpResponse, Fault> {
        let request = reqwest::Request::try_from(request).map_err(away)?;
        let (status, body) = self.send(RequestBuilder::from_parts(self.http.clone(), request)).await?;
        if status.is_server_error() || status == StatusCode::TOO_MANY_REQUESTS {
            return Err(Fault::Away(format!("it answered {status}")));
        }
        let mut response = HttpResponse::new(body);
        *response.status_mut() = status;
        Ok(response)
    }

    async fn send(&self, request: RequestBuilder) -> Result<(StatusCode, Vec<u8>), Fault> {
        let _room = self.room.try_acquire().map_err(|_| Fault::Busy)?;
        let mut response = request.timeout(CALL_LIMIT).send().await.map_err(away)?;
        let mut body = Vec::new();
        while let Some(piece) = response.chunk().await.map_err(away)? {
            if body.len() + piece.len() > ANSWER_BYTES_MAX {
                return Err(Fault::Away(format!("its answer has more than {ANSWER_BYTES_MAX} bytes")));
            }
            body.extend_from_slice(&piece);
        }
        Ok((response.status(), body))
    }
}

/// An address may hold a token, so it is left out.
fn away(error: reqwest::Error) -> Fault {
    let error = error.without_url();
    let mut why = error.to_string();
    let mut cause = std::error::Error::source(&error);
    while let Some(source) = cause {
        why = format!("{why}: {source}");
        cause = source.source();
    }
    Fault::Away(why)
}

fn error_code(body: &[u8]) -> String {
    let json: serde_json::Value = serde_json::from_slice(body).unwrap_or_default();
    json["error"].as_str().unwrap_or("no reason given").chars().take(100).collect()
}

fn fault(error: RequestTokenError<Fault, BasicErrorResponse>) -> Fault {
    match error {
        RequestTokenError::Request(fault) => fault,
        RequestTokenError::ServerResponse(said) => match said.error() {
            BasicErrorResponseType::InvalidGrant => Fault::Rejected,
            other => Fault::RefusesUs(other.to_string()),
        },
        RequestTokenError::Parse(..) | RequestTokenError::Other(_) => Fault::Away("its answer cannot be read".into()),
    }
}

fn tokens(answer: StandardTokenResponse<IdTokenField, BasicTokenType>) -> Tokens {
    let scope = answer.scopes().map(|scopes| scopes.iter().map(|scope| scope.as_str()).collect::<Vec<_>>().join(" "));
    Tokens {
        access_token: answer.access_token().secret().as_str().into(),
        expires_in_s: answer.expires_in().map_or(EXPIRES_IN_S_DEFAULT, |limit| limit.as_secs()).min(EXPIRES_IN_S_MAX),
        refresh_token: answer.refresh_token().map(|token| token.secret().as_str().into()),
        scope,
        id_token: answer.extra_fields().id_token.clone(),
    }
}
