//! What happens to tokens after a sign-in: they are presented, refreshed and revoked.

use secrecy::{ExposeSecret as _, SecretString};

use super::provider::{Fault, Person, Tokens};
use super::{Error, Google, hash, refresh_purpose};
use crate::domain::Timestamp;
use crate::store::access_tokens::{self, AccessTokenRow};
use crate::store::users::{self, KeptRefresh, UserRow};

/// The longest token that is looked at, in bytes.
const TOKEN_BYTES_MAX: usize = 4_096;
const NOBODY: &str = "this token is not known, or no longer good: sign in again at /auth/google/authorize";
const ANOTHERS: &str = "this token was given to another application";
const EXPIRED: &str = "this token has expired: refresh it, or sign in again at /auth/google/authorize";
const REVOKED: &str = "this token was revoked: sign in again at /auth/google/authorize";
const NO_REFRESH: &str =
    "Google gave no refresh token for this user: send the user to /auth/google/authorize?prompt=consent";
const REFRESH_OVER: &str = "Google no longer accepts the refresh token: sign in again at /auth/google/authorize";
const UNVERIFIED: &str = "Google has not verified the address of this account: verify it there first";
const NO_USER: &str = "there is no such user";

/// A person who presented an access token.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SignedIn {
    /// Our id of the person.
    pub user_id: String,
    /// What Google says of the person now.
    pub person: Person,
}

/// A fresh access token.
#[derive(Clone, Debug)]
pub struct Fresh {
    /// The token.
    pub access_token: SecretString,
    /// Until when it is good.
    pub expires_at: Timestamp,
    /// What it is for, space-separated.
    pub scope: String,
}

/// What became known of an access token: whose it is and until when that holds, or why it opens nothing.
pub(super) type Checked = Result<(SignedIn, Option<Timestamp>), &'static str>;

impl Google {
    /// Who presents this access token: one that was issued through us, or to us. Google is asked whether it still holds,
    /// at most once in [`super::CHECKED_MS`].
    ///
    /// # Errors
    /// [`Error::Refused`]; [`Error::Google`] when nobody can tell now.
    pub async fn identify(&self, token: &str, now: Timestamp) -> Result<SignedIn, Error> {
        if token.len() > TOKEN_BYTES_MAX {
            return Err(Error::Refused(NOBODY));
        }
        let hash = hash(token);
        let checked = match self.checked.get(&hash, now) {
            Some(checked) => checked,
            None => self.checked.get_or_read(&hash, now, async || self.check(token, &hash, now).await).await?,
        };
        let (signed_in, until) = checked.map_err(Error::Refused)?;
        if until.is_some_and(|until| now >= until) { Err(Error::Refused(EXPIRED)) } else { Ok(signed_in) }
    }

    async fn check(&self, token: &str, hash: &str, now: Timestamp) -> Result<Checked, Error> {
        let row = access_tokens::by_hash(&self.database, hash).await?;
        let token = SecretString::from(token);
        let checked = match row {
            Some(AccessTokenRow { revoked_at: Some(_), .. }) => Err(REVOKED),
            Some(row) if now.0 >= row.expires_at => Err(EXPIRED),
            Some(row) => self.ours(&row, &token).await?.map(|signed_in| (signed_in, Some(Timestamp(row.expires_at)))),
            None => self.unseen(&token, now).await?.map(|signed_in| (signed_in, None)),
        };
        Ok(checked)
    }

    /// A token that was issued through us.
    async fn ours(&self, row: &AccessTokenRow, token: &SecretString) -> Result<Result<SignedIn, &'static str>, Error> {
        let person = match self.provider.person(token).await {
            Ok(person) => person,
            Err(Fault::Rejected) => return Ok(Err(NOBODY)),
            Err(fault) => return Err(Error::Google(fault)),
        };
        let user = users::by_id(&self.database, &row.user_id).await?.filter(|user| user.google_sub == person.sub);
        Ok(user.map(|user| SignedIn { user_id: user.id, person }).ok_or(NOBODY))
    }

    /// A token that we never saw: it counts only when Google says that it was given to us. Whose it is proves nothing, since
    /// every application of the person has such tokens.
    async fn unseen(&self, token: &SecretString, now: Timestamp) -> Result<Result<SignedIn, &'static str>, Error> {
        let facts = match self.provider.facts(token).await {
            Ok(facts) => facts,
            Err(Fault::Rejected) => return Ok(Err(NOBODY)),
            Err(fault) => return Err(Error::Google(fault)),
        };
        if facts.aud != self.settings.client_id {
            return Ok(Err(ANOTHERS));
        }
        let person = match self.provider.person(token).await {
            Ok(person) => person,
            Err(Fault::Rejected) => return Ok(Err(NOBODY)),
            Err(fault) => return Err(Error::Google(fault)),
        };
        let known = users::by_google_sub(&self.database, &person.sub).await?;
        let user_id = match known {
            Some(user) => user.id,
            None => match self.note(person.clone(), None, now).await {
                Ok(user) => user.id,
                Err(Error::Unverified) => return Ok(Err(UNVERIFIED)),
                Err(error) => return Err(error),
            },
        };
        Ok(Ok(SignedIn { user_id, person }))
    }

    /// A fresh access token for a user, with the refresh token that is kept. Those who ask at the same time share one:
    /// a provider that gives a new refresh token each time takes the second use of an old one for a theft.
    ///
    /// # Errors
    /// [`Error::Unknown`] for a user who is not; [`Error::Refused`] when there is no good refresh token.
    pub async fn refresh_for(&self, user_id: &str, now: Timestamp) -> Result<Fresh, Error> {
        let read = async || self.refreshed(user_id, now).await;
        self.fresh.get_or_read(&user_id.to_owned(), now, read).await
    }

    async fn refreshed(&self, user_id: &str, now: Timestamp) -> Result<Fresh, Error> {
        let user = users::by_id(&self.database, user_id).await?.ok_or(Error::Unknown(NO_USER))?;
        let (Some(sealed), Some(old)) = (&user.refresh_token, &user.refresh_hash) else {
            return Err(Error::Refused(NO_REFRESH));
        };
        let Some(token) = self.seal.open(&refresh_purpose(&user.google_sub), sealed) else {
            tracing::warn!(
                user = user.id,
                "the refresh token was encrypted with a key that is not configured any more"
            );
            return Err(Error::Refused(NO_REFRESH));
        };
        let tokens = match self.provider.refresh(&token).await {
            Ok(tokens) => tokens,
            Err(Fault::Rejected) => {
                users::replace_refresh(&self.database, old, None).await?;
                return Err(Error::Refused(REFRESH_OVER));
            }
            Err(fault) => return Err(Error::Google(fault)),
        };
        if let Some(new) = &tokens.refresh_token {
            let new = new.expose_secret();
            let sealed = self.seal.close(&refresh_purpose(&user.google_sub), new)?;
            users::replace_refresh(&self.database, old, Some(KeptRefresh { sealed, hash: hash(new) })).await?;
        }
        self.issued(&user, &tokens, now).await
    }

    /// A fresh access token with a refresh token that the caller brings, and whose it is. `user_id` must be that user,
    /// where it is given.
    ///
    /// # Errors
    /// [`Error::Refused`] for a token that opens nothing; [`Error::Unknown`] when it is another user's.
    pub async fn refresh_with(&self, token: &str, user_id: Option<&str>, now: Timestamp) -> Result<Fresh, Error> {
        if token.len() > TOKEN_BYTES_MAX {
            return Err(Error::Refused(REFRESH_OVER));
        }
        let not_theirs = || Error::Unknown("this refresh token is not that user's");
        if let Some(user) = users::by_refresh_hash(&self.database, &hash(token)).await? {
            if user_id.is_some_and(|asked| asked != user.id) {
                return Err(not_theirs());
            }
            return self.refresh_for(&user.id, now).await;
        }
        let tokens = self.provider.refresh(&token.into()).await.map_err(|fault| match fault {
            Fault::Rejected => Error::Refused(REFRESH_OVER),
            fault => Error::Google(fault),
        })?;
        let user = self.welcome(&tokens, None, now).await?;
        if user_id.is_some_and(|asked| asked != user.id) {
            return Err(not_theirs());
        }
        self.issued(&user, &tokens, now).await
    }

    async fn issued(&self, user: &UserRow, tokens: &Tokens, now: Timestamp) -> Result<Fresh, Error> {
        let scope = tokens.scope.clone().unwrap_or_else(|| "openid email profile".to_owned());
        let finished = self.remember(user, tokens, &scope, now).await?;
        let expires_at = now.plus_ms(finished.expires_in_s.saturating_mul(1_000));
        Ok(Fresh { access_token: finished.access_token, expires_at, scope })
    }

    /// Whose token this is, when it is one that we hold something of.
    ///
    /// # Errors
    /// A read that failed.
    pub async fn holder(&self, token: &str) -> Result<Option<String>, Error> {
        let hash = hash(token);
        if let Some(row) = access_tokens::by_hash(&self.database, &hash).await? {
            return Ok(Some(row.user_id));
        }
        Ok(users::by_refresh_hash(&self.database, &hash).await?.map(|user| user.id))
    }

    /// Revokes `token`, and with it everything that we hold of its user: here at once, then at Google. When Google does
    /// not answer, nothing of it works here any more, and the same call again tells Google.
    ///
    /// # Errors
    /// [`Error::Google`] when Google could not be told.
    pub async fn revoke(&self, token: &str, user_id: Option<&str>, now: Timestamp) -> Result<(), Error> {
        self.checked.remove(&hash(token));
        let user = match user_id {
            Some(user_id) => users::by_id(&self.database, user_id).await?,
            None => None,
        };
        if let Some(user) = &user {
            for hash in access_tokens::revoke_all(&self.database, &user.id, now).await? {
                self.checked.remove(&hash);
            }
            self.fresh.remove(&user.id);
        }
        self.provider.revoke(&token.into()).await.map_err(Error::Google)?;
        let Some(user) = user else { return Ok(()) };
        let (Some(sealed), Some(old)) = (&user.refresh_token, &user.refresh_hash) else { return Ok(()) };
        if *old != hash(token)
            && let Some(refresh_token) = self.seal.open(&refresh_purpose(&user.google_sub), sealed)
        {
            self.provider.revoke(&refresh_token).await.map_err(Error::Google)?;
        }
        users::replace_refresh(&self.database, old, None).await?;
        Ok(())
    }
}
