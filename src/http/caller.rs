//! Who calls: found out once per request, before its route runs.

use std::future::{Ready, ready};

use actix_web::dev::Payload;
use actix_web::http::header::{self, HeaderMap};
use actix_web::{FromRequest, HttpMessage as _, HttpRequest};

use super::State;
use super::error::Error;
use crate::auth::api_key::{Holder, Refused, Role};

/// Who calls.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Caller {
    holder: Holder,
    owner: String,
}

impl Caller {
    fn new(holder: Holder) -> Self {
        let owner = match (holder.role, &holder.client_id) {
            (Role::Client, Some(client_id)) => format!("client:{client_id}"),
            (Role::Client, None) | (Role::Operator, _) => format!("{}:{}", <&str>::from(holder.role), holder.key_id),
        };
        Self { holder, owner }
    }

    /// The key's public id.
    #[must_use]
    pub fn key_id(&self) -> &str {
        &self.holder.key_id
    }

    /// What the caller is.
    #[must_use]
    pub const fn role(&self) -> Role {
        self.holder.role
    }

    /// Whom what this caller makes belongs to. The keys of one client share it.
    #[must_use]
    pub fn owner(&self) -> &str {
        &self.owner
    }

    /// Whether the caller may see and change what belongs to `owner`.
    #[must_use]
    pub fn may_touch(&self, owner: &str) -> bool {
        self.holder.role == Role::Operator || self.owner == owner
    }
}

impl FromRequest for Caller {
    type Error = Error;
    type Future = Ready<Result<Self, Error>>;

    fn from_request(request: &HttpRequest, _: &mut Payload) -> Self::Future {
        ready(request.extensions().get::<Self>().cloned().ok_or_else(no_key))
    }
}

fn no_key() -> Error {
    Error::Unauthenticated("this route needs a key: send `Authorization: Bearer mv_...`".into())
}

/// Who calls, by the `Authorization` header.
///
/// # Errors
/// [`Error::Unauthenticated`] without a key or with one that opens nothing; [`Error::Unavailable`] when it cannot be
/// looked up.
pub async fn identify(state: &State, headers: &HeaderMap) -> Result<Caller, Error> {
    let mut lines = headers.get_all(header::AUTHORIZATION);
    let line = lines.next().ok_or_else(no_key)?;
    if lines.next().is_some() {
        return Err(Error::Unauthenticated("the Authorization header came twice".into()));
    }
    let key = line.to_str().ok().and_then(bearer).ok_or_else(no_key)?;
    match state.keys.verify(key, state.now()).await {
        Ok(holder) => Ok(Caller::new(holder)),
        Err(Refused::Unavailable(error)) => Err(error.into()),
        Err(refused) => Err(Error::Unauthenticated(refused.to_string())),
    }
}

/// The token of `Bearer TOKEN`; the scheme's case does not matter (RFC 9110).
fn bearer(line: &str) -> Option<&str> {
    let (scheme, token) = line.split_once(' ')?;
    let token = token.trim();
    (scheme.eq_ignore_ascii_case("bearer") && !token.is_empty()).then_some(token)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn caller(role: Role, client_id: Option<&str>) -> Caller {
        Caller::new(Holder { key_id: "key_1".into(), role, client_id: client_id.map(str::to_owned) })
    }

    #[test]
    fn keys_of_one_client_share_what_they_own_and_see_nothing_of_others() {
        let shop = caller(Role::Client, Some("shop"));
        assert_eq!(shop.owner(), "client:shop");
        assert!(shop.may_touch("client:shop"));
        assert!(!shop.may_touch("client:other"));
        assert!(!shop.may_touch("operator:key_1"));
    }

    #[test]
    fn an_operator_sees_everything_and_owns_by_key() {
        let operator = caller(Role::Operator, None);
        assert_eq!(operator.owner(), "operator:key_1");
        assert!(operator.may_touch("client:shop"));
    }

    #[test]
    fn the_scheme_is_read_in_any_case_and_an_empty_token_is_none() {
        assert_eq!(bearer("Bearer mv_x"), Some("mv_x"));
        assert_eq!(bearer("bearer  mv_x "), Some("mv_x"));
        for line in ["mv_x", "Basic mv_x", "Bearer ", "Bearer", ""] {
            assert_eq!(bearer(line), None, "{line}");
        }
    }
}
