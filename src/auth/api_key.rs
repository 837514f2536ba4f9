//! API keys: `mv_` and 43 random characters. Only a digest is stored.
//!
//! A key that was looked up is remembered for a few seconds, so that a poll costs no query; a revoked one stops
//! working within [`REMEMBERED_MS`].

use std::sync::Arc;

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use sea_orm::{DatabaseConnection, DbErr};
use secrecy::SecretString;
use sha2::{Digest, Sha256};

use crate::domain::Timestamp;
use crate::store::api_keys::{self, ApiKeyRow};
use crate::store::cache::Cache;
use crate::store::{self, Database};

/// What every key begins with.
pub const PREFIX: &str = "mv_";
/// For how long a key that was looked up is believed, in milliseconds.
pub const REMEMBERED_MS: i64 = 5_000;
/// Keys remembered, unknown ones included.
const REMEMBERED_MAX: usize = 10_000;
/// How exact the time of the last use is, in milliseconds.
const LAST_USE_MS: i64 = 60_000;

pub use super::roles::Role;

/// A key that was verified.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Holder {
    /// The key's public id.
    pub key_id: String,
    /// What its holder is.
    pub role: Role,
    /// The application that a client's key belongs to; its keys share what they may see.
    pub client_id: Option<String>,
    /// The receivers that a client may act for: its connected accounts.
    pub receivers: Vec<String>,
}

/// Why a key opens nothing.
#[derive(Debug, thiserror::Error)]
pub enum Refused {
    /// No such key.
    #[error("this key is not known")]
    Unknown,
    /// It was revoked.
    #[error("this key was revoked")]
    Revoked,
    /// Its time is over.
    #[error("this key has expired")]
    Expired,
    /// It could not be looked up.
    #[error("the key could not be looked up")]
    Unavailable(#[from] store::Error),
}

/// What a new key is to be.
#[derive(Clone, Debug)]
pub struct NewKey {
    /// What its holder is.
    pub role: Role,
    /// The application it belongs to; a client's key without one is an application of its own.
    pub client_id: Option<String>,
    /// A name for people.
    pub name: String,
    /// When it stops working.
    pub expires_at: Option<Timestamp>,
    /// The receivers that a client may act for: its connected accounts.
    pub receivers: Vec<String>,
}

/// For how long a key that was rotated works beside its successor, unless said otherwise, in milliseconds: a day.
pub const OVERLAP_MS: i64 = 24 * 60 * 60 * 1_000;
/// The longest overlap, in milliseconds: 30 days.
pub const OVERLAP_MS_MAX: i64 = 30 * OVERLAP_MS;

/// Makes a key and stores its digest; answers its public id and the key, which cannot be had again.
///
/// # Errors
/// A write that failed.
pub async fn create(
    database: &DatabaseConnection,
    new: NewKey,
    now: Timestamp,
) -> Result<(String, SecretString), DbErr> {
    let (row, key) = drawn(new, now);
    let id = row.id.clone();
    api_keys::insert(database, row).await?;
    Ok((id, key))
}

/// A fresh key and its row.
fn drawn(new: NewKey, now: Timestamp) -> (ApiKeyRow, SecretString) {
    let id = format!("key_{}", uuid::Uuid::now_v7().simple());
    let key = text_of(rand::random());
    let role: &str = new.role.into();
    let row = ApiKeyRow {
        hash: digest(&key),
        role: role.to_owned(),
        client_id: new.client_id.or_else(|| (new.role == Role::Client).then(|| id.clone())),
        name: new.name,
        created_at: now.0,
        expires_at: new.expires_at.map(|at| at.0),
        revoked_at: None,
        last_used_at: None,
        receivers: serde_json::to_string(&new.receivers).expect("a list of texts is JSON"),
        id,
    };
    (row, key.into())
}

/// Makes a key that takes the place of the key `id`: the same role, client, name and receivers, and the same time to live
/// from now on. The old one works for `overlap_ms` beside it, so that whoever uses it has time to change. `None` when there
/// is no such key, or it works no longer.
///
/// # Errors
/// A read or write that failed.
pub async fn rotate(
    database: &DatabaseConnection,
    id: &str,
    overlap_ms: i64,
    now: Timestamp,
) -> Result<Option<(String, SecretString)>, DbErr> {
    let Some(old) = api_keys::by_id(database, id).await? else { return Ok(None) };
    let Ok(holder) = holder(&old, now) else { return Ok(None) };
    let new = NewKey {
        role: holder.role,
        client_id: holder.client_id,
        name: old.name,
        expires_at: old.expires_at.map(|at| now.plus_ms(at.saturating_sub(old.created_at))),
        receivers: holder.receivers,
    };
    let (row, key) = drawn(new, now);
    let new_id = row.id.clone();
    let replaced = api_keys::replace(database, id, now.plus_ms(overlap_ms), row).await?;
    Ok(replaced.then_some((new_id, key)))
}

pub use api_keys::{list, revoke};

/// The receivers of a key. One that cannot be read acts for nobody, which is safe.
#[must_use]
pub fn receivers(row: &ApiKeyRow) -> Vec<String> {
    serde_json::from_str(&row.receivers).unwrap_or_default()
}

/// The key of 32 random bytes.
fn text_of(random: [u8; 32]) -> String {
    format!("{PREFIX}{}", URL_SAFE_NO_PAD.encode(random))
}

/// The digest under which a key is stored: SHA-256 in hexadecimal digits. Keys are random, so no salt is needed.
#[must_use]
pub fn digest(key: &str) -> String {
    hex::encode(Sha256::digest(key))
}

/// The keys of a database. Clones share what is remembered.
#[derive(Clone, Debug)]
pub struct Keys {
    database: Database,
    remembered: Arc<Cache<[u8; 32], Option<Arc<ApiKeyRow>>>>,
    used: Arc<Cache<String, ()>>,
}

impl Keys {
    /// The keys of `database`.
    #[must_use]
    pub fn new(database: Database) -> Self {
        Self {
            database,
            remembered: Arc::new(Cache::new(REMEMBERED_MAX, REMEMBERED_MS)),
            used: Arc::new(Cache::new(REMEMBERED_MAX, LAST_USE_MS)),
        }
    }

    /// Who holds `key`, at `now`. Notes its use, at most once a minute and without waiting.
    ///
    /// # Errors
    /// [`Refused`].
    pub async fn verify(&self, key: &str, now: Timestamp) -> Result<Holder, Refused> {
        if !key.starts_with(PREFIX) {
            return Err(Refused::Unknown);
        }
        let fingerprint: [u8; 32] = Sha256::digest(key).into();
        let row = match self.remembered.get(&fingerprint, now) {
            Some(row) => row,
            None => {
                let read = async || Ok(api_keys::by_hash(&self.database, &digest(key)).await?.map(Arc::new));
                self.remembered.get_or_read(&fingerprint, now, read).await.map_err(Refused::Unavailable)?
            }
        };
        let row = row.ok_or(Refused::Unknown)?;
        let holder = holder(&row, now)?;
        self.note_use(&row.id, now);
        Ok(holder)
    }

    /// [`create`], within the database's limits.
    ///
    /// # Errors
    /// A write that failed.
    pub async fn create(&self, new: NewKey, now: Timestamp) -> Result<(String, SecretString), store::Error> {
        self.database.write("make a key", async |db| create(db, new, now).await).await
    }

    /// [`rotate`], within the database's limits.
    ///
    /// # Errors
    /// A read or write that failed.
    pub async fn rotate(
        &self,
        id: &str,
        overlap_ms: i64,
        now: Timestamp,
    ) -> Result<Option<(String, SecretString)>, store::Error> {
        let rotated = self.database.write("rotate a key", async |db| rotate(db, id, overlap_ms, now).await).await?;
        self.remembered.clear();
        Ok(rotated)
    }

    /// Revokes a key; `false` when there is none that could be revoked. Here it stops working at once.
    ///
    /// # Errors
    /// A write that failed.
    pub async fn revoke(&self, id: &str, now: Timestamp) -> Result<bool, store::Error> {
        let revoked = self.database.write("revoke a key", async |db| revoke(db, id, now).await).await?;
        self.remembered.clear();
        Ok(revoked)
    }

    fn note_use(&self, id: &str, now: Timestamp) {
        if self.used.get(id, now).is_some() {
            return;
        }
        self.used.put(id.to_owned(), (), now);
        let (database, id) = (self.database.clone(), id.to_owned());
        tokio::spawn(async move {
            if let Err(error) = api_keys::touch(&database, &id, now.plus_ms(-LAST_USE_MS), now).await {
                tracing::warn!(key = id, error = &error as &dyn std::error::Error, "the key's use was not noted");
            }
        });
    }
}

/// Who holds the key in `row`, unless its time is over.
fn holder(row: &ApiKeyRow, now: Timestamp) -> Result<Holder, Refused> {
    if row.revoked_at.is_some_and(|at| now.0 >= at) {
        return Err(Refused::Revoked);
    }
    if row.expires_at.is_some_and(|at| now.0 >= at) {
        return Err(Refused::Expired);
    }
    let role: Role = row.role.parse().map_err(|_| Refused::Unknown)?;
    if role == Role::User || (role == Role::Client && row.client_id.is_none()) {
        return Err(Refused::Unknown);
    }
    Ok(Holder { key_id: row.id.clone(), role, client_id: row.client_id.clone(), receivers: receivers(row) })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn row(role: &str, client_id: Option<&str>) -> ApiKeyRow {
        ApiKeyRow {
            id: "key_1".into(),
            hash: String::new(),
            role: role.into(),
            client_id: client_id.map(str::to_owned),
            name: "test".into(),
            created_at: 0,
            expires_at: None,
            revoked_at: None,
            last_used_at: None,
            receivers: r#"["shop-1"]"#.into(),
        }
    }

    #[test]
    fn a_key_is_its_prefix_and_its_random_bytes_and_its_digest_does_not_show_it() {
        let key = text_of([7; 32]);
        assert_eq!(key.len(), PREFIX.len() + 43);
        assert!(key.starts_with(PREFIX));
        assert_eq!(digest(&key).len(), 64);
        assert!(!digest(&key).contains(&key[3..10]));
        assert_ne!(digest(&text_of([8; 32])), digest(&key));
    }

    #[test]
    fn a_key_holds_until_the_moment_it_expires_or_is_revoked() {
        let expiring = ApiKeyRow { expires_at: Some(10), ..row("operator", None) };
        assert!(holder(&expiring, Timestamp(9)).is_ok());
        assert!(matches!(holder(&expiring, Timestamp(10)), Err(Refused::Expired)));
        let revoked = ApiKeyRow { revoked_at: Some(10), ..row("operator", None) };
        assert!(holder(&revoked, Timestamp(9)).is_ok());
        assert!(matches!(holder(&revoked, Timestamp(10)), Err(Refused::Revoked)));
    }

    #[test]
    fn a_row_that_names_no_role_of_ours_opens_nothing() {
        assert_eq!(holder(&row("operator", None), Timestamp(0)).unwrap().role, Role::Operator);
        assert_eq!(holder(&row("client", Some("shop")), Timestamp(0)).unwrap().client_id.as_deref(), Some("shop"));
        for (role, client_id) in [("client", None), ("user", None), ("root", None), ("", Some("x"))] {
            assert!(matches!(holder(&row(role, client_id), Timestamp(0)), Err(Refused::Unknown)), "{role}");
        }
    }
}
