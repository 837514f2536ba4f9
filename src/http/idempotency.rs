//! `Idempotency-Key`: the same request sent twice happens once and is answered the same.
//!
//! The key's name and the answer are written together with what the request makes, in one transaction: there is no
//! moment in which one exists without the other. [`Once`] does this for requests whose answer is known later than what
//! they make: the claim leads to the actor that was made, and who repeats the request is told how that actor stands.

use actix_web::HttpRequest;
use actix_web::http::StatusCode;
use actix_web::http::header::{HeaderName, HeaderValue};
use serde::{Deserialize, Serialize};
use serde_json::value::RawValue;

use super::body::digest_of;
use super::caller::Caller;
use super::envelope::Reply;
use super::error::Error;
use super::front::Refused;
use super::wish::Desk;
use crate::domain::{Address, Timestamp};
use crate::runtime::engine::{Birth, NotBorn};
use crate::runtime::journal::{Claim, Journal, MessageId};

/// The request header.
pub const HEADER: &str = "idempotency-key";
/// The header of an answer that was given before.
pub const REPLAYED: HeaderName = HeaderName::from_static("idempotent-replayed");
/// How long a key is remembered, in milliseconds.
pub const KEPT_MS: i64 = 24 * 60 * 60 * 1_000;
/// The expiry of a claim that is kept as long as what it made, which is never forgotten.
const NEVER: Timestamp = Timestamp(i64::MAX);
const KEY_CHARS_MAX: usize = 255;

/// A key that came with a request.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Key {
    /// The name it claims: no two callers and no two routes share one.
    pub name: String,
    /// What a repeated request must repeat.
    pub fingerprint: String,
}

#[derive(Serialize, Deserialize)]
struct Answer<'a> {
    status: u16,
    #[serde(borrow)]
    message: std::borrow::Cow<'a, str>,
    #[serde(borrow)]
    data: Option<&'a RawValue>,
}

impl Key {
    /// The key that `caller` sent with a body of this digest, if there is one: a quoted string (as RFC 8941 has it) or
    /// bare.
    ///
    /// # Errors
    /// [`Error::BadRequest`] when it is empty, too long, not printable, or came twice.
    pub fn of(request: &HttpRequest, caller: &Caller, body_digest: &str) -> Result<Option<Self>, Error> {
        let mut lines = request.headers().get_all(HEADER);
        let Some(line) = lines.next() else {
            return Ok(None);
        };
        if lines.next().is_some() {
            return Err(Error::BadRequest("the Idempotency-Key header came twice".into()));
        }
        let key = line.to_str().ok().and_then(unquoted).filter(|key| (1..=KEY_CHARS_MAX).contains(&key.len()));
        let key = key.ok_or_else(|| {
            Error::BadRequest(format!("the Idempotency-Key must have 1 to {KEY_CHARS_MAX} printable ASCII characters"))
        })?;
        let route = request.match_pattern().unwrap_or_default();
        Ok(Some(Self {
            name: digest_of(&[caller.owner(), request.method().as_str(), &route, &key]),
            fingerprint: digest_of(&[request.path(), body_digest]),
        }))
    }

    /// A key that came in another way than in the header: `key` within `scope`, for a request that says `says`.
    #[must_use]
    pub fn of_parts(scope: &[&str], key: &str, says: &[&str]) -> Self {
        let mut name = scope.to_vec();
        name.push(key);
        Self { name: digest_of(&name), fingerprint: digest_of(says) }
    }

    /// What was answered when the key came before; `None` when it is new.
    ///
    /// # Errors
    /// [`Error::KeyReused`] when that was another request; a read that failed.
    pub async fn answered(&self, journal: &Journal) -> Result<Option<Reply>, Error> {
        let first = journal.claim(&self.name).await?;
        first.map(|(claim, _)| self.replay(&claim.fingerprint, &claim.answer)).transpose()
    }

    /// The claim that rides in the birth, with the answer it will be given.
    ///
    /// # Errors
    /// [`Error::Internal`] when the answer cannot be written as JSON.
    pub fn claim(&self, answer: &Reply, now: Timestamp) -> Result<Claim, Error> {
        let (status, message, data) = answer.parts();
        let answer = Answer { status, message: message.into(), data };
        Ok(Claim {
            name: self.name.clone(),
            fingerprint: self.fingerprint.clone(),
            answer: serde_json::to_string(&answer).map_err(Error::internal)?,
            expires: now.plus_ms(KEPT_MS),
        })
    }

    /// The answer that was stored with `fingerprint`.
    ///
    /// # Errors
    /// [`Error::KeyReused`] when it was for another request.
    pub fn replay(&self, fingerprint: &str, answer: &str) -> Result<Reply, Error> {
        self.same(fingerprint)?;
        let stored: Answer<'_> = serde_json::from_str(answer).map_err(Error::internal)?;
        let status = StatusCode::from_u16(stored.status).map_err(Error::internal)?;
        let reply = Reply::of_parts(status, stored.message.into_owned(), stored.data.map(ToOwned::to_owned));
        Ok(replayed(reply))
    }

    /// A key is for one request.
    fn same(&self, fingerprint: &str) -> Result<(), Error> {
        if self.fingerprint == fingerprint { Ok(()) } else { Err(Error::KeyReused) }
    }
}

/// How long a claim is kept.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kept {
    /// For [`KEPT_MS`].
    ADay,
    /// As long as what was made with it.
    AsLongAsMade,
}

/// A request that makes one actor, however often it is sent.
pub struct Once<'a> {
    desk: &'a Desk,
    key: Option<Key>,
    kept: Kept,
}

/// Whom such a request made.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Made {
    /// The actor that it asked for.
    Now,
    /// This one, when the same request came before.
    Before(Address),
}

impl<'a> Once<'a> {
    /// A request with `key`, or one that is made each time it comes.
    #[must_use]
    pub const fn new(desk: &'a Desk, key: Option<Key>, kept: Kept) -> Self {
        Self { desk, key, kept }
    }

    /// Whom the same request made before. To be asked before anything is checked: what was done once is answered, even
    /// when it could not be done now.
    ///
    /// # Errors
    /// [`Error::KeyReused`] when the key came with another request; a read that failed.
    pub async fn before(&self) -> Result<Option<Address>, Error> {
        let Some(key) = &self.key else { return Ok(None) };
        let first = self.desk.state.engine.journal().claim(&key.name).await?;
        first.map(|(claim, actor)| key.same(&claim.fingerprint).map(|()| actor)).transpose()
    }

    /// Makes `actor`, unless the same request has made another in the meantime.
    ///
    /// # Errors
    /// [`Error::KeyReused`]; why the engine does not take it.
    pub async fn bear(&self, actor: Address, message: MessageId, body: String) -> Result<Made, Error> {
        let now = self.desk.state.now();
        let claim = self.key.as_ref().map(|key| Claim {
            name: key.name.clone(),
            fingerprint: key.fingerprint.clone(),
            answer: "null".to_owned(),
            expires: match self.kept {
                Kept::ADay => now.plus_ms(KEPT_MS),
                Kept::AsLongAsMade => NEVER,
            },
        });
        match (self.desk.door.bear(Birth { actor, message, body, claim }).await, &self.key) {
            (Ok(_), _) => Ok(Made::Now),
            (Err(Refused::NotBorn(NotBorn::Claimed { fingerprint, actor, .. })), Some(key)) => {
                key.same(&fingerprint).map(|()| Made::Before(actor))
            }
            (Err(refused), _) => Err(refused.into()),
        }
    }
}

/// The same answer, marked as given before.
#[must_use]
pub fn replayed(reply: Reply) -> Reply {
    reply.with(REPLAYED, HeaderValue::from_static("true"))
}

/// The key without its quotes; `None` when the quotes do not match up.
fn unquoted(line: &str) -> Option<String> {
    let line = line.trim();
    let Some(rest) = line.strip_prefix('"') else {
        return (!line.contains('"')).then(|| line.to_owned());
    };
    let inner = rest.strip_suffix('"')?;
    let mut key = String::with_capacity(inner.len());
    let mut letters = inner.chars();
    while let Some(letter) = letters.next() {
        match letter {
            '\\' => key.push(letters.next().filter(|escaped| matches!(escaped, '"' | '\\'))?),
            '"' => return None,
            letter => key.push(letter),
        }
    }
    Some(key)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_quoted_key_and_a_bare_one_are_the_same() {
        assert_eq!(unquoted("abc"), Some("abc".into()));
        assert_eq!(unquoted(" \"abc\" "), Some("abc".into()));
        assert_eq!(unquoted(r#""a\"b\\c""#), Some(r#"a"b\c"#.into()));
        for broken in [r#""abc"#, r#"abc""#, r#"a"b"#, r#""a"b""#, r#""a\x""#, r#"""#] {
            assert_eq!(unquoted(broken), None, "{broken}");
        }
    }

    #[test]
    fn a_stored_answer_is_given_again_and_only_to_the_same_request() {
        let key = Key { name: "n".into(), fingerprint: "f".into() };
        let answer = Reply::ok("Sent \"it\"", &"task_1").unwrap();
        let claim = key.claim(&answer, Timestamp(5)).unwrap();
        assert_eq!(claim.expires, Timestamp(5 + KEPT_MS));
        let again = key.replay(&claim.fingerprint, &claim.answer).unwrap();
        assert_eq!(again.parts().0, 200);
        assert_eq!(again.parts().1, "Sent \"it\"");
        assert_eq!(again.parts().2.map(RawValue::get), Some("\"task_1\""));
        assert!(matches!(key.replay("other", &claim.answer), Err(Error::KeyReused)));
    }
}
