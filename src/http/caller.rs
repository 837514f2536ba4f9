//! Who calls: found out once per request, before its route runs.

use std::future::{Ready, ready};

use actix_web::dev::Payload;
use actix_web::http::header::{self, HeaderMap};
use actix_web::{FromRequest, HttpMessage as _, HttpRequest};

use super::State;
use super::error::Error;
use super::limit::class::Subject;
use crate::auth::api_key::{self, Holder, Refused};
use crate::auth::google::SignedIn;
use crate::auth::roles::Role;

/// The header in which UQPAY's document sends the token.
pub const UQPAY_TOKEN: &str = "x-auth-token";

/// Who calls.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Caller {
    who: Who,
    owner: String,
}

#[derive(Clone, Debug, PartialEq, Eq)]
enum Who {
    /// With a key.
    Key(Holder),
    /// With a token of Google's.
    User(Box<SignedIn>),
}

impl Caller {
    fn with_key(holder: Holder) -> Self {
        let owner = match (holder.role, &holder.client_id) {
            (Role::Client, Some(client_id)) => format!("client:{client_id}"),
            (role, _) => format!("{}:{}", <&str>::from(role), holder.key_id),
        };
        Self { who: Who::Key(holder), owner }
    }

    /// Whom a server believes everybody to be that asks nobody.
    #[must_use]
    pub fn anybody() -> Self {
        let receivers = Vec::new();
        Self::with_key(Holder { key_id: "anybody".into(), role: Role::Operator, client_id: None, receivers })
    }

    /// The application `client_id`, where the service itself speaks for it.
    #[must_use]
    pub fn client(client_id: &str) -> Self {
        let (key_id, client_id) = (client_id.to_owned(), Some(client_id.to_owned()));
        Self::with_key(Holder { key_id, role: Role::Client, client_id, receivers: Vec::new() })
    }

    fn signed_in(person: SignedIn) -> Self {
        Self { owner: format!("user:{}", person.user_id), who: Who::User(Box::new(person)) }
    }

    /// The key's public id, or the user's.
    #[must_use]
    pub fn key_id(&self) -> &str {
        match &self.who {
            Who::Key(holder) => &holder.key_id,
            Who::User(person) => &person.user_id,
        }
    }

    /// Whose limits count.
    #[must_use]
    pub fn subject(&self) -> Subject<'_> {
        match &self.who {
            Who::Key(holder) => Subject::Key(&holder.key_id),
            Who::User(person) => Subject::User(&person.user_id),
        }
    }

    /// What the caller is.
    #[must_use]
    pub const fn role(&self) -> Role {
        match &self.who {
            Who::Key(holder) => holder.role,
            Who::User(_) => Role::User,
        }
    }

    /// The person, when one signed in.
    #[must_use]
    pub fn person(&self) -> Option<&SignedIn> {
        match &self.who {
            Who::Key(_) => None,
            Who::User(person) => Some(person),
        }
    }

    /// The application, when a client's key calls.
    #[must_use]
    pub fn client_id(&self) -> Option<&str> {
        match &self.who {
            Who::Key(holder) => holder.client_id.as_deref(),
            Who::User(_) => None,
        }
    }

    /// Whether the caller may act for the receiver: operators for each, clients for their connected accounts.
    #[must_use]
    pub fn may_act_for_receiver(&self, receiver: &str) -> bool {
        match &self.who {
            Who::Key(holder) => holder.role == Role::Operator || holder.receivers.iter().any(|own| own == receiver),
            Who::User(_) => false,
        }
    }

    /// The receivers that a client's key acts for.
    #[must_use]
    pub fn receivers(&self) -> &[String] {
        match &self.who {
            Who::Key(holder) => &holder.receivers,
            Who::User(_) => &[],
        }
    }

    /// Whom what this caller makes belongs to. The keys of one client share it.
    #[must_use]
    pub fn owner(&self) -> &str {
        &self.owner
    }

    /// Whether the caller may see and change what belongs to `owner`.
    #[must_use]
    pub fn may_touch(&self, owner: &str) -> bool {
        self.role() == Role::Operator || self.owner == owner
    }

    /// The same for what was made for a user: who signed in may touch what a client made for them.
    #[must_use]
    pub fn may_touch_of(&self, owner: &str, user_id: Option<&str>) -> bool {
        self.may_touch(owner) || self.person().is_some_and(|person| user_id == Some(person.user_id.as_str()))
    }

    /// The user that something is for, when `asked` names one or not: who signed in asks for nobody else.
    ///
    /// # Errors
    /// [`Error::Forbidden`].
    pub fn user_for(&self, asked: Option<String>) -> Result<Option<String>, Error> {
        match (self.person(), asked) {
            (None, asked) => Ok(asked),
            (Some(person), Some(asked)) if asked != person.user_id => {
                Err(Error::Forbidden("who signed in asks for nobody else: leave userId out".into()))
            }
            (Some(person), _) => Ok(Some(person.user_id.clone())),
        }
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
    let how = "send `Authorization: Bearer ` and a key (mv_...), or the access token of who signed in";
    Error::Unauthenticated(format!("this route needs to know who calls: {how}"))
}

/// Who calls, by the `Authorization` header, or by `token`, which came another way.
///
/// # Errors
/// [`Error::Unauthenticated`] without a key or token, or with one that opens nothing; [`Error::BadRequest`] with two;
/// [`Error::Unavailable`] when it cannot be looked up.
pub async fn identify(state: &State, headers: &HeaderMap, token: Option<&str>) -> Result<Caller, Error> {
    let mut lines = headers.get_all(header::AUTHORIZATION);
    let (line, second) = (lines.next(), lines.next());
    if second.is_some() {
        return Err(Error::Unauthenticated("the Authorization header came twice".into()));
    }
    let presented = match (line, token) {
        (Some(_), Some(_)) => return Err(Error::BadRequest("a token came in two ways: send it in one".into())),
        (Some(line), None) => line.to_str().ok().and_then(bearer),
        (None, token) => token,
    };
    let presented = presented.ok_or_else(no_key)?;
    if presented.starts_with(api_key::PREFIX) {
        return match state.keys.verify(presented, state.now()).await {
            Ok(holder) => Ok(Caller::with_key(holder)),
            Err(Refused::Unavailable(error)) => Err(error.into()),
            Err(refused) => Err(Error::Unauthenticated(refused.to_string())),
        };
    }
    match &state.google {
        Ok(google) => Ok(Caller::signed_in(google.identify(presented, state.now()).await?)),
        Err(_) => Err(Error::Unauthenticated("this is no key: keys begin with mv_".into())),
    }
}

/// The token of UQPAY's header, which may stand there without its scheme.
///
/// # Errors
/// [`Error::Unauthenticated`] when the header came twice.
pub fn token_of_uqpay(headers: &HeaderMap) -> Result<Option<&str>, Error> {
    let mut lines = headers.get_all(UQPAY_TOKEN);
    let first = lines.next();
    if lines.next().is_some() {
        return Err(Error::Unauthenticated(format!("the {UQPAY_TOKEN} header came twice")));
    }
    let text = first.and_then(|line| line.to_str().ok());
    Ok(text.map(|text| bearer(text).unwrap_or_else(|| text.trim())).filter(|token| !token.is_empty()))
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
    use crate::auth::google::Person;

    fn caller(role: Role, client_id: Option<&str>) -> Caller {
        let receivers = if role == Role::Client { vec!["acct_1".to_owned()] } else { Vec::new() };
        Caller::with_key(Holder { key_id: "key_1".into(), role, client_id: client_id.map(str::to_owned), receivers })
    }

    fn user(id: &str) -> Caller {
        let person = Person { sub: "1".into(), email: None, email_verified: false, name: None, picture: None };
        Caller::signed_in(SignedIn { user_id: id.into(), person })
    }

    #[test]
    fn who_signed_in_sees_what_is_theirs_and_asks_for_nobody_else() {
        let ada = user("user_a");
        assert_eq!((ada.owner(), ada.role(), ada.client_id()), ("user:user_a", Role::User, None));
        assert!(ada.may_touch("user:user_a") && !ada.may_touch("user:user_b") && !ada.may_touch("client:shop"));
        assert!(ada.may_touch_of("client:shop", Some("user_a")));
        assert!(!ada.may_touch_of("client:shop", Some("user_b")) && !ada.may_touch_of("client:shop", None));
        assert_eq!(ada.user_for(None).unwrap().as_deref(), Some("user_a"));
        assert!(ada.user_for(Some("user_a".into())).is_ok());
        assert!(matches!(ada.user_for(Some("user_b".into())), Err(Error::Forbidden(_))));
        assert_eq!(caller(Role::Client, Some("shop")).user_for(Some("x".into())).unwrap().as_deref(), Some("x"));
    }

    #[test]
    fn a_client_acts_for_its_connected_accounts_and_an_operator_for_each() {
        assert!(caller(Role::Client, Some("shop")).may_act_for_receiver("acct_1"));
        assert!(!caller(Role::Client, Some("shop")).may_act_for_receiver("acct_2"));
        assert!(caller(Role::Operator, None).may_act_for_receiver("acct_2"));
        assert!(!user("user_a").may_act_for_receiver("acct_1"));
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
