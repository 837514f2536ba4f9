//! Signing in with Google: OAuth 2.0 with PKCE (RFC 9700) and OpenID Connect.
//!
//! `provider` calls Google, `id_token` checks what it signs, `sign_in` is the way of a browser there and back, and
//! `tokens` is what happens to tokens afterwards. A browser never gets a refresh token, and an address never holds an
//! access token.

mod id_token;
mod provider;
mod sign_in;
mod tokens;

use std::sync::Arc;

use jsonwebtoken::jwk::JwkSet;
use secrecy::SecretString;
use sha2::{Digest, Sha256};

pub use provider::{Fault, Person};
pub use sign_in::{Begun, Came, Finished, SIGN_IN_MS, Wanted};
pub use tokens::{Fresh, SignedIn};

use self::id_token::{Expected, Worthless};
use self::provider::Provider;
use self::tokens::Checked;
use super::seal::{Seal, Unsealable};
use crate::domain::Timestamp;
use crate::store::cache::Cache;
use crate::store::{self, Database};

/// For how long Google's keys are believed, in milliseconds.
const KEYS_MS: i64 = 60 * 60 * 1_000;
/// How often they are asked for again because a token names a key that is not among them, in milliseconds.
const KEYS_AGAIN_MS: i64 = 60 * 1_000;
/// For how long it is believed what Google said of an access token, in milliseconds: so late it is noticed here that
/// one was revoked there.
pub const CHECKED_MS: i64 = 30_000;
/// Access tokens remembered, refused ones included.
const CHECKED_MAX: usize = 10_000;
/// For how long a fresh access token serves everyone who asks for one of the same user, in milliseconds.
const FRESH_MS: i64 = 5_000;
/// Users whose fresh access tokens are remembered.
const FRESH_MAX: usize = 1_000;

/// How Google is reached, and what may be asked of it.
#[derive(Clone, Debug)]
pub struct Settings {
    /// The client id that Google gave this service.
    pub client_id: String,
    /// Its secret.
    pub client_secret: SecretString,
    /// Where browsers are sent.
    pub auth_url: String,
    /// Where codes become tokens.
    pub token_url: String,
    /// Whose a token is.
    pub userinfo_url: String,
    /// Whom a token was given to.
    pub tokeninfo_url: String,
    /// Where tokens are revoked.
    pub revoke_url: String,
    /// The keys that sign ID tokens.
    pub jwks_url: String,
    /// Who signs ID tokens.
    pub issuer: String,
    /// What applications may ask for.
    pub scopes: Vec<String>,
    /// Origins beside our own that a sign-in may lead back to.
    pub redirect_origins: Vec<String>,
    /// How browsers reach this service, without a slash at the end.
    pub public_url: String,
}

impl Settings {
    /// Where Google sends browsers back to.
    #[must_use]
    pub fn callback_url(&self) -> String {
        format!("{}/auth/google/callback", self.public_url.trim_end_matches('/'))
    }
}

/// Why nobody can sign in here.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Off {
    /// There is no client id or secret.
    #[error(
        "signing in with Google is not set up here: an operator sets auth.google.client_id and auth.google.client_secret"
    )]
    NoClient,
    /// There is no key to encrypt with.
    #[error(
        "signing in with Google is not set up here: an operator sets MIXVIDEO__AUTH__ENCRYPTION_KEY in the server's \
         environment to what `openssl rand -base64 32` prints"
    )]
    NoKey,
}

/// The settings cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum Unusable {
    /// An address is none.
    #[error("signing in with Google cannot be set up: {key} is no address")]
    Address {
        /// Which.
        key: &'static str,
        /// Why.
        #[source]
        error: url::ParseError,
    },
    /// TLS cannot be set up.
    #[error("calls to Google cannot be made")]
    Tls(#[source] reqwest::Error),
}

/// Why something about a sign-in or a token failed.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// It was asked for wrongly.
    #[error("{reason}")]
    Invalid {
        /// Which parameter.
        field: &'static str,
        /// A sentence.
        reason: String,
    },
    /// The sign-in came back in a way that proves nothing.
    #[error("{0}")]
    Forged(&'static str),
    /// The person did not allow it, or Google did not.
    #[error("the sign-in was not completed: Google says `{0}`")]
    Denied(String),
    /// Nobody knows whether the address is the person's.
    #[error("Google has not verified the address of this account: verify it there first")]
    Unverified,
    /// What was presented opens nothing.
    #[error("{0}")]
    Refused(&'static str),
    /// There is no such user, token or code here.
    #[error("{0}")]
    Unknown(&'static str),
    /// Google gave no usable answer.
    #[error(transparent)]
    Google(Fault),
    /// What Google signed does not hold.
    #[error("an ID token by Google is worth nothing: {0}")]
    IdToken(String),
    /// It was stopped half-way.
    #[error("the sign-in was stopped: {0}")]
    Stopped(String),
    /// The database failed.
    #[error(transparent)]
    Store(#[from] store::Error),
    /// Nothing can be encrypted.
    #[error(transparent)]
    Seal(#[from] Unsealable),
}

impl Error {
    /// What an application that waits for a redirect is told: the codes of RFC 6749, section 4.1.2.1.
    #[must_use]
    pub fn oauth_code(&self) -> &'static str {
        match self {
            Self::Denied(_) | Self::Unverified => "access_denied",
            Self::Invalid { .. } | Self::Forged(_) | Self::IdToken(_) => "invalid_request",
            Self::Refused(_) | Self::Unknown(_) => "unauthorized_client",
            Self::Google(_) => "temporarily_unavailable",
            Self::Stopped(_) | Self::Store(_) | Self::Seal(_) => "server_error",
        }
    }
}

/// Signing in with Google. Clones share what is remembered.
#[derive(Clone)]
pub struct Google {
    database: Database,
    seal: Arc<Seal>,
    settings: Arc<Settings>,
    provider: Arc<Provider>,
    /// Draws ids for new users.
    fresh_id: fn() -> uuid::Uuid,
    keys: Arc<Cache<(), Arc<JwkSet>>>,
    asked_again: Arc<Cache<(), ()>>,
    checked: Arc<Cache<String, Checked>>,
    fresh: Arc<Cache<String, Fresh>>,
}

impl std::fmt::Debug for Google {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Google").field("settings", &self.settings).finish_non_exhaustive()
    }
}

impl Google {
    /// Google as `settings` say; `seal` encrypts what is kept.
    ///
    /// # Errors
    /// [`Unusable`].
    pub fn open(
        settings: Settings,
        seal: Seal,
        database: Database,
        fresh_id: fn() -> uuid::Uuid,
    ) -> Result<Self, Unusable> {
        let settings = Arc::new(settings);
        Ok(Self {
            database,
            seal: Arc::new(seal),
            provider: Arc::new(Provider::new(settings.clone())?),
            settings,
            fresh_id,
            keys: Arc::new(Cache::new(1, KEYS_MS)),
            asked_again: Arc::new(Cache::new(1, KEYS_AGAIN_MS)),
            checked: Arc::new(Cache::new(CHECKED_MAX, CHECKED_MS)),
            fresh: Arc::new(Cache::new(FRESH_MAX, FRESH_MS)),
        })
    }

    /// How many keys Google signs with: whether it can be reached.
    ///
    /// # Errors
    /// [`Fault`].
    pub async fn probe(&self) -> Result<usize, Fault> {
        Ok(self.provider.keys().await?.keys.len())
    }

    /// Whose the ID token is. An unknown key has Google's keys read again, since they change.
    async fn subject(&self, token: &str, nonce: Option<&str>, now: Timestamp) -> Result<String, Error> {
        let expected = Expected { issuer: &self.settings.issuer, client_id: &self.settings.client_id, nonce };
        let read = async || self.provider.keys().await.map(Arc::new);
        let keys = self.keys.get_or_read(&(), now, read).await.map_err(Error::Google)?;
        let found = match id_token::subject(token, &keys, &expected, now) {
            Err(Worthless::UnknownKey) if self.asked_again.get(&(), now).is_none() => {
                self.asked_again.put((), (), now);
                let keys = read().await.map_err(Error::Google)?;
                self.keys.put((), keys.clone(), now);
                id_token::subject(token, &keys, &expected, now)
            }
            found => found,
        };
        found.map_err(|worthless| Error::IdToken(worthless.to_string()))
    }
}

/// What is kept of a secret that must be recognised and never read: SHA-256 in hexadecimal digits.
fn hash(secret: &str) -> String {
    hex::encode(Sha256::digest(secret))
}

/// What a refresh token is encrypted for.
fn refresh_purpose(sub: &str) -> String {
    format!("refresh_token:{sub}")
}
