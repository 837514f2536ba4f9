//! `/auth/google`: signing in with Google, and what becomes of the tokens.

use actix_web::http::StatusCode;
use actix_web::http::header::{self, HeaderMap, HeaderValue};
use actix_web::web::{self, Data, ServiceConfig};
use actix_web::{HttpRequest, HttpResponse, Responder as _};
use secrecy::ExposeSecret as _;
use serde::Serialize;
use url::Url;
use utoipa::{IntoParams, ToSchema};

use super::body::{self, Fields};
use super::caller::{self, Caller};
use super::envelope::Reply;
use super::error::Error;
use super::guard::{get_and_head, resource};
use super::query::Query;
use super::{State, openapi};
use crate::auth::google::{self, Came, Finished, Google, SIGN_IN_MS, Wanted};
use crate::auth::roles::Role;
use crate::store::users;

/// The cookie of a sign-in under way.
const COOKIE: &str = "mixvideo_sign_in";
/// The same where browsers come over TLS: with this prefix no neighbouring host can set it (RFC 6265bis).
const COOKIE_SECURE: &str = "__Host-mixvideo_sign_in";
const TOKEN_CHARS_MAX: usize = 4_096;
const USER_ID_CHARS_MAX: usize = 100;

/// What an application asks of a sign-in.
#[derive(IntoParams)]
#[into_params(parameter_in = Query)]
#[expect(dead_code, reason = "it documents what `authorize` reads")]
pub struct AuthorizeQuery {
    /// Where to go on afterwards, on an origin that `auth.google.redirect_origins` lists: with `code`, to be exchanged
    /// once and within a minute, or with `error`. Without it the callback answers the browser itself.
    redirect_url: Option<String>,
    /// Scopes, separated by commas; `openid,email,profile` unless given.
    scopes: Option<String>,
    /// `consent` has Google ask again for what was granted before, and give a refresh token again.
    prompt: Option<String>,
}

/// What Google sends a browser back with.
#[derive(IntoParams)]
#[into_params(parameter_in = Query)]
#[expect(dead_code, reason = "it documents what `callback` reads")]
pub struct CallbackQuery {
    /// Google's code.
    code: Option<String>,
    /// The state that the sign-in began with.
    state: String,
    /// Why there is no code.
    error: Option<String>,
}

/// Who signed in.
#[derive(Serialize, ToSchema)]
pub struct User {
    /// Our id of the person.
    #[schema(example = "user_id")]
    id: String,
    /// The verified address.
    #[schema(example = "user@example.com")]
    email: String,
    /// The name; empty when Google was not asked for it.
    #[schema(example = "User Name")]
    name: String,
}

/// A sign-in that is done.
#[derive(Serialize, ToSchema)]
pub struct SignedIn {
    /// Who.
    user: User,
    /// Google's access token, which this API takes as well.
    #[schema(example = "ya29.xxx")]
    access_token: String,
    /// For how long it is good, in seconds.
    #[schema(example = 3600)]
    expires_in: i64,
}

impl From<Finished> for SignedIn {
    fn from(finished: Finished) -> Self {
        let Finished { user, access_token, expires_in_s } = finished;
        let access_token = access_token.expose_secret().to_owned();
        Self { user: User { id: user.id, email: user.email, name: user.name }, access_token, expires_in: expires_in_s }
    }
}

/// A code to exchange.
#[derive(ToSchema)]
#[expect(dead_code, reason = "it documents what `exchange` reads")]
pub struct Exchange {
    /// What came with the redirect.
    #[schema(example = "c0de_from_the_redirect")]
    code: String,
}

/// Whose token to refresh: one of the two.
#[derive(ToSchema)]
#[expect(dead_code, reason = "it documents what `refresh` reads")]
pub struct Refresh {
    /// A refresh token.
    #[schema(example = "refresh_token_here")]
    refresh_token: Option<String>,
    /// A user whom the caller may act for; whoever signed in may leave it out.
    user_id: Option<String>,
}

/// A fresh token.
#[derive(Serialize, ToSchema)]
pub struct Refreshed {
    /// Google's access token, which this API takes as well.
    access_token: String,
    /// For how long it is good, in seconds.
    #[schema(example = 3600)]
    expires_in: i64,
    /// What it is for, separated by spaces.
    #[schema(example = "openid email profile")]
    scope: String,
}

/// What Google says of a person.
#[derive(Serialize, ToSchema)]
pub struct UserInfo {
    /// Our id of the person.
    #[schema(example = "user_id")]
    id: String,
    /// The address.
    #[schema(example = "user@example.com")]
    email: Option<String>,
    /// The name.
    #[schema(example = "User Name")]
    name: Option<String>,
    /// A link to a picture.
    #[schema(example = "https://...")]
    picture: Option<String>,
}

/// A token to revoke.
#[derive(ToSchema)]
#[expect(dead_code, reason = "it documents what `revoke` reads")]
pub struct Revoke {
    /// An access token or a refresh token.
    #[schema(example = "token_to_revoke")]
    token: String,
    /// Whose it is, for a token that is not known here any more.
    user_id: Option<String>,
}

/// Adds the routes.
pub(super) fn routes(config: &mut ServiceConfig) {
    config
        .service(resource("/auth/google/authorize", |at| at.route(web::get().to(authorize))))
        .service(resource("/auth/google/callback", |at| at.route(web::get().to(callback))))
        .service(resource("/auth/google/exchange", |at| at.route(web::post().to(exchange))))
        .service(resource("/auth/google/refresh", |at| at.route(web::post().to(refresh))))
        .service(resource("/auth/google/userinfo", |at| at.route(get_and_head().to(userinfo))))
        .service(resource("/auth/google/revoke", |at| at.route(web::post().to(revoke))));
}

fn google(state: &State) -> Result<Google, Error> {
    Ok(state.google.as_ref().map_err(|off| *off)?.clone())
}

/// Does it to the end, even when the caller goes away: a code and a refresh token work once, and what came for them must
/// be kept.
async fn to_the_end<T: 'static>(
    work: impl Future<Output = Result<T, google::Error>> + 'static,
) -> Result<T, google::Error> {
    match actix_web::rt::spawn(work).await {
        Ok(done) => done,
        Err(stopped) => Err(google::Error::Stopped(stopped.to_string())),
    }
}

/// Begins a sign-in: sends the browser to Google.
#[utoipa::path(get, path = "/auth/google/authorize", tag = "auth", security(()), params(AuthorizeQuery),
    responses((status = 302, description = "To Google's consent screen"),
        (status = 400, description = "An address or scope is not allowed, or Google is not set up here",
            body = openapi::AuthFailure)))]
pub(super) async fn authorize(request: HttpRequest, state: Data<State>) -> Result<HttpResponse, Error> {
    let google = google(&state)?;
    let query = Query::of(&request)?;
    let consent = match query.text("prompt") {
        None => false,
        Some("consent") => true,
        Some(_) => return Err(Error::field("prompt", "may be consent")),
    };
    let wanted = Wanted { redirect_url: query.text("redirect_url"), scopes: query.text("scopes"), consent };
    let begun = google.begin(&wanted, state.now())?;
    let mut response = redirect(&begun.location);
    response.insert_header((header::SET_COOKIE, set_cookie(&state, &begun.cookie, SIGN_IN_MS / 1_000)));
    Ok(response.finish())
}

/// Ends a sign-in: Google sends browsers here.
#[utoipa::path(get, path = "/auth/google/callback", tag = "auth", security(()), params(CallbackQuery),
    responses((status = 200, description = "Who signed in", body = openapi::AuthSuccess<SignedIn>),
        (status = 302, description = "Back to the application, with `code` or `error`"),
        (status = 400, description = "It was denied, or proves nothing: the sign-in begins again", body = openapi::AuthFailure),
        (status = 403, description = "Google has not verified the address", body = openapi::AuthFailure),
        (status = 503, description = "Google does not answer", body = openapi::AuthFailure)))]
pub(super) async fn callback(request: HttpRequest, state: Data<State>) -> Result<HttpResponse, Error> {
    let google = google(&state)?;
    let query = Query::of(&request)?;
    let text = |name| query.text(name).map(str::to_owned);
    let came = Came {
        cookie: cookie(request.headers(), cookie_name(&state)).map(str::to_owned),
        state: text("state"),
        code: text("code"),
        error: text("error"),
        issuer: text("iss"),
    };
    let now = state.now();
    let destination = google.destination(&came, now);
    let on = destination.is_some();
    let finished = to_the_end(async move {
        let finished = google.finish(&came, now).await?;
        let code = if on { Some(google.code_for(&finished, now).await?) } else { None };
        Ok((finished, code))
    });
    let mut response = match (destination, finished.await) {
        (None, finished) => {
            let signed_in = SignedIn::from(finished?.0);
            Reply::ok("OAuth authorization successful", &signed_in)?.no_store().respond_to(&request)
        }
        (Some(url), Ok((_, code))) => redirect(&with(&url, "code", code.as_deref().unwrap_or_default())?).finish(),
        (Some(url), Err(error)) => {
            tracing::info!(error = &error as &dyn std::error::Error, "a sign-in failed");
            redirect(&with(&url, "error", error.oauth_code())?).finish()
        }
    };
    if let Ok(cookie) = HeaderValue::from_str(&set_cookie(&state, "", 0)) {
        response.headers_mut().insert(header::SET_COOKIE, cookie);
    }
    Ok(response)
}

fn redirect(location: &str) -> actix_web::HttpResponseBuilder {
    let mut response = HttpResponse::build(StatusCode::FOUND);
    response.insert_header((header::LOCATION, location));
    response.insert_header((header::CACHE_CONTROL, "no-store"));
    response.insert_header((header::REFERRER_POLICY, "no-referrer"));
    response
}

fn with(url: &str, name: &str, value: &str) -> Result<String, Error> {
    let mut url = Url::parse(url).map_err(Error::internal)?;
    url.query_pairs_mut().append_pair(name, value);
    Ok(url.into())
}

fn is_secure(state: &State) -> bool {
    state.public_url.starts_with("https://")
}

fn cookie_name(state: &State) -> &'static str {
    if is_secure(state) { COOKIE_SECURE } else { COOKIE }
}

/// `Lax`, since it is Google that sends the browser back.
fn set_cookie(state: &State, value: &str, seconds: i64) -> String {
    let secure = if is_secure(state) { "; Secure" } else { "" };
    format!("{}={value}; Path=/; Max-Age={seconds}; HttpOnly; SameSite=Lax{secure}", cookie_name(state))
}

fn cookie<'a>(headers: &'a HeaderMap, name: &str) -> Option<&'a str> {
    let lines = headers.get_all(header::COOKIE).filter_map(|line| line.to_str().ok());
    let mut pairs = lines.flat_map(|line| line.split(';')).filter_map(|pair| pair.trim().split_once('='));
    pairs.find(|(found, _)| *found == name).map(|(_, value)| value)
}

/// Exchanges the code of a redirect for what the sign-in gave, once. With a client's key, the client may act for the
/// user from now on.
#[utoipa::path(post, path = "/auth/google/exchange", tag = "auth", security((), ("bearer" = [])),
    request_body = Exchange,
    responses((status = 200, description = "Who signed in", body = openapi::AuthSuccess<SignedIn>),
        (status = 400, description = "The body is wrong", body = openapi::AuthFailure),
        (status = 404, description = "The code is not known, was exchanged, or is too old", body = openapi::AuthFailure)))]
pub(super) async fn exchange(request: HttpRequest, payload: web::Payload, state: Data<State>) -> Result<Reply, Error> {
    let google = google(&state)?;
    let body = body::read(&request, payload, body::PLAIN_MAX).await?;
    let mut fields = Fields::of(&body.object);
    let code = fields.required_text("code", TOKEN_CHARS_MAX).unwrap_or_default().to_owned();
    fields.finish()?;
    let caller = match request.headers().contains_key(header::AUTHORIZATION) {
        true => Some(caller::identify(&state, request.headers(), None).await?),
        false => None,
    };
    let (now, database) = (state.now(), state.database.clone());
    let finished = to_the_end(async move {
        let finished = google.redeem(&code, now).await?;
        if let Some(client_id) = caller.as_ref().and_then(Caller::client_id) {
            users::link(&database, &finished.user.id, client_id, now).await?;
        }
        Ok(finished)
    });
    Ok(Reply::ok("OAuth authorization successful", &SignedIn::from(finished.await?))?.no_store())
}

/// Whether `caller` may act for a user: operators for each, clients for those who signed in through them.
///
/// # Errors
/// [`Error::NotFound`] when it may not, or when there is no such user: nobody learns which.
async fn may_act_for(state: &State, caller: &Caller, user_id: &str) -> Result<(), Error> {
    let may = match (caller.role(), caller.person(), caller.client_id()) {
        (Role::Operator, ..) => true,
        (_, Some(person), _) => person.user_id == user_id,
        (_, None, Some(client_id)) => users::is_linked(&state.database, user_id, client_id).await?,
        (_, None, None) => false,
    };
    if may { Ok(()) } else { Err(Error::NotFound("there is no such user".into())) }
}

/// Refreshes an access token: with a refresh token, or for a user whose refresh token is kept here.
#[utoipa::path(post, path = "/auth/google/refresh", tag = "auth", request_body = Refresh,
    responses((status = 200, description = "A fresh token", body = openapi::AuthSuccess<Refreshed>), openapi::Signing))]
pub(super) async fn refresh(
    request: HttpRequest,
    payload: web::Payload,
    state: Data<State>,
    caller: Caller,
) -> Result<Reply, Error> {
    let google = google(&state)?;
    let body = body::read(&request, payload, body::PLAIN_MAX).await?;
    let mut fields = Fields::of(&body.object);
    let token = fields.text("refresh_token", TOKEN_CHARS_MAX).map(str::to_owned);
    let user_id = fields.text("user_id", USER_ID_CHARS_MAX).map(str::to_owned);
    let own = caller.person().map(|person| person.user_id.clone());
    let user_id = user_id.or_else(|| own.filter(|_| token.is_none()));
    if token.is_none() && user_id.is_none() {
        fields.fault("refresh_token", "is required, or user_id");
    }
    fields.finish()?;
    if let Some(user_id) = &user_id {
        may_act_for(&state, &caller, user_id).await?;
    }
    let now = state.now();
    let fresh = to_the_end(async move {
        match (token, user_id) {
            (None, user_id) => google.refresh_for(&user_id.unwrap_or_default(), now).await,
            (Some(token), user_id) => google.refresh_with(&token, user_id.as_deref(), now).await,
        }
    });
    let fresh = fresh.await?;
    let refreshed = Refreshed {
        access_token: fresh.access_token.expose_secret().to_owned(),
        expires_in: fresh.expires_at.since_ms(now).max(0) / 1_000,
        scope: fresh.scope,
    };
    Ok(Reply::ok("Token refreshed successfully", &refreshed)?.no_store())
}

/// Who signed in, as Google says it now.
#[utoipa::path(get, path = "/auth/google/userinfo", tag = "auth", security(("bearer" = []), ("access_token" = [])),
    responses((status = 200, description = "The person", body = openapi::AuthSuccess<UserInfo>), openapi::Signing))]
pub(super) async fn userinfo(caller: Caller) -> Result<Reply, Error> {
    let signed_in = caller.person().ok_or_else(|| Error::internal("a key came to a route of users"))?.clone();
    let person = signed_in.person;
    let info = UserInfo { id: signed_in.user_id, email: person.email, name: person.name, picture: person.picture };
    Ok(Reply::ok("User info retrieved successfully", &info)?.no_store())
}

/// Revokes a token, and forgets every token of its user that is kept here.
#[utoipa::path(post, path = "/auth/google/revoke", tag = "auth", request_body = Revoke,
    responses((status = 200, description = "It is revoked", body = openapi::AuthBare), openapi::Signing))]
pub(super) async fn revoke(
    request: HttpRequest,
    payload: web::Payload,
    state: Data<State>,
    caller: Caller,
) -> Result<Reply, Error> {
    let google = google(&state)?;
    let body = body::read(&request, payload, body::PLAIN_MAX).await?;
    let mut fields = Fields::of(&body.object);
    let token = fields.required_text("token", TOKEN_CHARS_MAX).unwrap_or_default().to_owned();
    let asked = fields.text("user_id", USER_ID_CHARS_MAX).map(str::to_owned);
    fields.finish()?;
    let holder = google.holder(&token).await?;
    if let (Some(holder), Some(asked)) = (&holder, &asked)
        && holder != asked
    {
        return Err(Error::NotFound("this token is not that user's".into()));
    }
    let own = caller.person().map(|person| person.user_id.clone());
    let user_id = holder.or(asked).or(own);
    if let Some(user_id) = &user_id {
        may_act_for(&state, &caller, user_id).await?;
    }
    let now = state.now();
    to_the_end(async move { google.revoke(&token, user_id.as_deref(), now).await }).await?;
    Ok(Reply::of_parts(StatusCode::OK, "Token revoked successfully".into(), None).no_store())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_cookie_is_found_among_others() {
        let mut headers = HeaderMap::new();
        headers.append(header::COOKIE, HeaderValue::from_static("a=1; mixvideo_sign_in=x=y; b=2"));
        headers.append(header::COOKIE, HeaderValue::from_static("c=3"));
        assert_eq!(cookie(&headers, COOKIE), Some("x=y"));
        assert_eq!(cookie(&headers, "c"), Some("3"));
        assert_eq!(cookie(&headers, COOKIE_SECURE), None);
    }

    #[test]
    fn a_code_is_added_to_what_the_application_wrote_itself() {
        assert_eq!(
            with("https://app.example/in?state=a%20b", "code", "c").unwrap(),
            "https://app.example/in?state=a%20b&code=c"
        );
    }
}
