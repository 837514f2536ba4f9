//! A browser's way to Google and back.
//!
//! What must be known when it comes back (state, nonce, PKCE verifier, where to go on) travels in an encrypted cookie of
//! that browser: nobody can fill the database by beginning sign-ins, and a link made by somebody else carries no cookie.
//! A state that came back is written down until its cookie is void, so that it comes back once.

use oauth2::PkceCodeVerifier;
use secrecy::{ExposeSecret as _, SecretString};
use serde::{Deserialize, Serialize};
use subtle::ConstantTimeEq as _;
use url::Url;

use super::provider::{Departure, Fault, Person, Tokens};
use super::{Error, Google, hash, refresh_purpose};
use crate::domain::Timestamp;
use crate::store::access_tokens::{self, AccessTokenRow};
use crate::store::sign_ins::{self, CodeRow, SpentRow};
use crate::store::users::{self, UserRow};

/// How long a sign-in may take, in milliseconds.
pub const SIGN_IN_MS: i64 = 10 * 60 * 1_000;
/// How long a code may wait to be redeemed, in milliseconds.
const CODE_MS: i64 = 60 * 1_000;
/// Bytes of an address to go back to, at most: the cookie has to fit into 4 KB.
const REDIRECT_BYTES_MAX: usize = 1_500;
/// Bytes of what Google sends back, each, at most.
const CAME_BYTES_MAX: usize = 2_048;
/// What every sign-in asks for: without it nobody is known.
const SCOPES_ALWAYS: [&str; 2] = ["openid", "email"];
/// What a sign-in asks for unless the application says otherwise.
const SCOPES_DEFAULT: [&str; 3] = ["openid", "email", "profile"];
const COOKIE_PURPOSE: &str = "sign_in";

/// What an application asks of a sign-in.
#[derive(Clone, Debug, Default)]
pub struct Wanted<'a> {
    /// Where to go on with a one-time code; `None` answers the browser itself.
    pub redirect_url: Option<&'a str>,
    /// Scopes, separated by commas.
    pub scopes: Option<&'a str>,
    /// Google asks again for what was granted before, and gives a refresh token again.
    pub consent: bool,
}

/// A sign-in that begins.
#[derive(Clone, Debug)]
pub struct Begun {
    /// Where to send the browser.
    pub location: String,
    /// What the browser keeps meanwhile.
    pub cookie: String,
}

/// What a browser comes back with.
#[derive(Clone, Debug, Default)]
pub struct Came {
    /// What it kept.
    pub cookie: Option<String>,
    /// The state.
    pub state: Option<String>,
    /// Google's code.
    pub code: Option<String>,
    /// Google's reason for giving none.
    pub error: Option<String>,
    /// Who sent the browser back (RFC 9207).
    pub issuer: Option<String>,
}

/// A person who signed in.
#[derive(Clone, Debug)]
pub struct Finished {
    /// Who.
    pub user: UserRow,
    /// The access token.
    pub access_token: SecretString,
    /// For how long it is good, in seconds.
    pub expires_in_s: i64,
}

/// What the cookie says.
#[derive(Serialize, Deserialize)]
struct Kept {
    state: String,
    nonce: String,
    verifier: String,
    redirect_url: Option<String>,
    scopes: String,
    expires_at: i64,
}

impl Google {
    /// Begins a sign-in.
    ///
    /// # Errors
    /// [`Error::Invalid`] for an address or a scope that is not allowed.
    pub fn begin(&self, wanted: &Wanted<'_>, now: Timestamp) -> Result<Begun, Error> {
        let scopes = self.scopes(wanted.scopes)?;
        let redirect_url = wanted.redirect_url.map(|url| self.allowed(url)).transpose()?;
        let verifier = PkceCodeVerifier::new(token());
        let (state, nonce) = (token(), token());
        let departure = Departure {
            state: state.clone(),
            nonce: &nonce,
            verifier: &verifier,
            scopes: &scopes,
            consent: wanted.consent,
        };
        let location = self.provider.authorize_url(departure);
        let kept = Kept {
            state,
            nonce,
            verifier: verifier.into_secret(),
            redirect_url,
            scopes: scopes.join(" "),
            expires_at: now.plus_ms(SIGN_IN_MS).0,
        };
        let kept = serde_json::to_string(&kept).map_err(|_| super::Unsealable)?;
        Ok(Begun { location, cookie: self.seal.close(COOKIE_PURPOSE, &kept)? })
    }

    /// The scopes that `asked` means: each one allowed, none twice, and those that are always needed.
    fn scopes(&self, asked: Option<&str>) -> Result<Vec<String>, Error> {
        let mut scopes: Vec<&str> = SCOPES_ALWAYS.to_vec();
        let asked: Vec<&str> = match asked {
            None => SCOPES_DEFAULT.to_vec(),
            Some(text) => text.split(',').map(str::trim).filter(|scope| !scope.is_empty()).collect(),
        };
        for scope in asked {
            if !self.settings.scopes.iter().any(|allowed| allowed == scope) {
                let reason = format!("may hold {}", self.settings.scopes.join(", "));
                return Err(Error::Invalid { field: "scopes", reason });
            }
            if !scopes.contains(&scope) {
                scopes.push(scope);
            }
        }
        Ok(scopes.into_iter().map(str::to_owned).collect())
    }

    /// The address to go back to, when its origin is allowed.
    fn allowed(&self, text: &str) -> Result<String, Error> {
        let refused = |reason: &str| Error::Invalid { field: "redirect_url", reason: reason.to_owned() };
        if text.len() > REDIRECT_BYTES_MAX {
            return Err(refused("is too long"));
        }
        let url = Url::parse(text).map_err(|_| refused("is no address"))?;
        let plain = matches!(url.scheme(), "http" | "https")
            && url.username().is_empty()
            && url.password().is_none()
            && url.fragment().is_none();
        let origin = url.origin();
        let ours = std::iter::once(&self.settings.public_url).chain(&self.settings.redirect_origins);
        let known = ours.filter_map(|ours| Url::parse(ours).ok()).any(|ours| ours.origin() == origin);
        if plain && known {
            Ok(url.into())
        } else {
            Err(refused("leads where no sign-in may: an operator lists origins in auth.google.redirect_origins"))
        }
    }

    /// Where the sign-in that this browser began is to go on, whatever becomes of it.
    #[must_use]
    pub fn destination(&self, came: &Came, now: Timestamp) -> Option<String> {
        self.kept(came, now).ok()?.redirect_url
    }

    /// What the browser kept, when the state that came back is the one that it left with.
    fn kept(&self, came: &Came, now: Timestamp) -> Result<Kept, Error> {
        let again =
            "this sign-in was not begun in this browser, or too long ago: begin again at /auth/google/authorize";
        let state =
            came.state.as_deref().ok_or(Error::Forged("the state is missing: begin at /auth/google/authorize"))?;
        let opened = came.cookie.as_deref().and_then(|cookie| self.seal.open(COOKIE_PURPOSE, cookie));
        let kept: Option<Kept> = opened.and_then(|kept| serde_json::from_str(kept.expose_secret()).ok());
        let kept = kept.filter(|kept| now.0 < kept.expires_at).ok_or(Error::Forged(again))?;
        if bool::from(kept.state.as_bytes().ct_eq(state.as_bytes())) { Ok(kept) } else { Err(Error::Forged(again)) }
    }

    /// Ends a sign-in: the person is known from now on, and what Google gave is kept. Once begun it must not be dropped: a
    /// code works once.
    ///
    /// # Errors
    /// [`Error`]: every way in which it proves nothing, or Google does not answer.
    pub async fn finish(&self, came: &Came, now: Timestamp) -> Result<Finished, Error> {
        let kept = self.kept(came, now)?;
        let spent = SpentRow { hash: hash(&kept.state), expires_at: kept.expires_at };
        if !sign_ins::spend(&self.database, spent).await? {
            return Err(Error::Forged("this sign-in came back already: begin again at /auth/google/authorize"));
        }
        if came.issuer.as_ref().is_some_and(|issuer| *issuer != self.settings.issuer) {
            return Err(Error::Forged("this sign-in comes back from somebody else than Google"));
        }
        if let Some(error) = &came.error {
            return Err(Error::Denied(error.chars().take(100).filter(|letter| !letter.is_control()).collect()));
        }
        let code = came.code.as_ref().filter(|code| code.len() <= CAME_BYTES_MAX);
        let code = code.ok_or(Error::Forged("the code is missing: begin again at /auth/google/authorize"))?;
        let rejected = "Google does not know this code: begin again at /auth/google/authorize";
        let tokens = self.provider.exchange(code.clone(), &kept.verifier).await.map_err(|fault| match fault {
            Fault::Rejected => Error::Forged(rejected),
            fault => Error::Google(fault),
        })?;
        let id_token = tokens.id_token.as_deref().ok_or_else(|| Error::IdToken("there is none".into()))?;
        let sub = self.subject(id_token, Some(&kept.nonce), now).await?;
        let user = self.welcome(&tokens, Some(&sub), now).await?;
        self.remember(&user, &tokens, &kept.scopes, now).await
    }

    /// The person whom `tokens` were issued for: created or updated.
    pub(super) async fn welcome(&self, tokens: &Tokens, sub: Option<&str>, now: Timestamp) -> Result<UserRow, Error> {
        let person = self.provider.person(&tokens.access_token).await.map_err(Error::Google)?;
        if sub.is_some_and(|sub| sub != person.sub) {
            return Err(Error::IdToken("it is about another person than the access token".into()));
        }
        self.note(person, tokens.refresh_token.as_ref(), now).await
    }

    /// Writes down who signed in.
    pub(super) async fn note(
        &self,
        person: Person,
        refresh_token: Option<&SecretString>,
        now: Timestamp,
    ) -> Result<UserRow, Error> {
        let email = person.email.filter(|email| person.email_verified && !email.is_empty());
        let email = email.ok_or(Error::Unverified)?;
        let refresh = refresh_token.map(SecretString::expose_secret);
        let row = UserRow {
            id: format!("user_{}", (self.fresh_id)().simple()),
            refresh_token: refresh.map(|token| self.seal.close(&refresh_purpose(&person.sub), token)).transpose()?,
            refresh_hash: refresh.map(hash),
            google_sub: person.sub,
            email,
            name: person.name.unwrap_or_default(),
            picture: person.picture,
            created_at: now.0,
            seen_at: now.0,
        };
        Ok(users::signed_in(&self.database, row).await?)
    }

    /// Writes down that an access token was issued through us.
    pub(super) async fn remember(
        &self,
        user: &UserRow,
        tokens: &Tokens,
        scope: &str,
        now: Timestamp,
    ) -> Result<Finished, Error> {
        let expires_in_s = i64::try_from(tokens.expires_in_s).unwrap_or(0);
        let row = AccessTokenRow {
            hash: hash(tokens.access_token.expose_secret()),
            user_id: user.id.clone(),
            scope: tokens.scope.clone().unwrap_or_else(|| scope.to_owned()),
            created_at: now.0,
            expires_at: now.plus_ms(expires_in_s.saturating_mul(1_000)).0,
            revoked_at: None,
        };
        access_tokens::keep(&self.database, row).await?;
        Ok(Finished { user: user.clone(), access_token: tokens.access_token.clone(), expires_in_s })
    }

    /// A code with which an application fetches what `finished` holds: once, and soon.
    ///
    /// # Errors
    /// A write that failed.
    pub async fn code_for(&self, finished: &Finished, now: Timestamp) -> Result<String, Error> {
        let code = token();
        let row = CodeRow {
            hash: hash(&code),
            user_id: finished.user.id.clone(),
            access_token: self.seal.close(&code_purpose(&hash(&code)), finished.access_token.expose_secret())?,
            token_expires_at: now.plus_ms(finished.expires_in_s.saturating_mul(1_000)).0,
            expires_at: now.plus_ms(CODE_MS).0,
        };
        sign_ins::keep_code(&self.database, row).await?;
        Ok(code)
    }

    /// Redeems a code.
    ///
    /// # Errors
    /// [`Error::Unknown`] for one that was redeemed, is too old, or never was.
    pub async fn redeem(&self, code: &str, now: Timestamp) -> Result<Finished, Error> {
        let unknown = || Error::Unknown("this code is not known, was redeemed already, or is older than a minute");
        let row = sign_ins::take_code(&self.database, &hash(code)).await?;
        let row = row.filter(|row| now.0 < row.expires_at).ok_or_else(unknown)?;
        let access_token = self.seal.open(&code_purpose(&row.hash), &row.access_token).ok_or_else(unknown)?;
        let user = users::by_id(&self.database, &row.user_id).await?.ok_or_else(unknown)?;
        Ok(Finished { user, access_token, expires_in_s: Timestamp(row.token_expires_at).since_ms(now).max(0) / 1_000 })
    }
}

fn code_purpose(hash: &str) -> String {
    format!("code:{hash}")
}

/// 32 random bytes in base64 for URLs: 43 characters, which is also what a PKCE verifier takes at least.
fn token() -> String {
    use base64::Engine as _;
    base64::engine::general_purpose::URL_SAFE_NO_PAD.encode(rand::random::<[u8; 32]>())
}
