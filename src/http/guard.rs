//! What stands before every route: its trace id, its log line, its key, and the envelope around whatever goes wrong.

use std::panic::AssertUnwindSafe;
use std::rc::Rc;
use std::time::Instant;

use actix_web::body::{BoxBody, MessageBody};
use actix_web::dev::{HttpServiceFactory, ServiceRequest, ServiceResponse};
use actix_web::http::Method as HttpMethod;
use actix_web::http::header::{HeaderMap, HeaderName, HeaderValue, VARY};
use actix_web::middleware::{Next, from_fn};
use actix_web::{HttpMessage as _, Resource, guard, web};
use futures_util::FutureExt as _;

use super::State;
use super::audit;
use super::caller::{self, Caller};
use super::envelope::{self, Dialect, Stamp, TraceId};
use super::error::{Error, Stamped};
use super::limit::Meter;
use super::limit::class::Class;
use super::query::Query;
use crate::auth::roles::{self, Access, Role, Route};
use crate::runtime::kind::panic_text;
use crate::runtime::trace::{self, Trace};

/// The header that carries the trace id of every answer, files and streams included.
const TRACE_HEADER: HeaderName = HeaderName::from_static("x-trace-id");

/// The one route that takes a token in its address as well, because its document says so.
const TOKEN_IN_QUERY: &str = "/auth/google/userinfo";

/// The largest head of a request, in bytes; a sign-in's cookie and a checkout's address are far smaller.
const HEAD_BYTES_MAX: usize = 32 * 1024;
/// Headers of a request, at most.
const HEADERS_MAX: usize = 64;

/// U+0000 as an address writes it: no id holds it, and PostgreSQL takes no text that does.
const NUL: &str = "%00";

/// A resource of the role table: `routes` adds its handlers, the table says who may call them.
pub fn resource(path: &'static str, routes: impl FnOnce(Resource) -> Resource) -> impl HttpServiceFactory {
    let known: Rc<[&'static Route]> = roles::of_path(path).collect();
    assert!(!known.is_empty(), "{path} is missing in the table of roles");
    routes(web::resource(path)).wrap(from_fn(move |request, next| admit(known.clone(), request, next)))
}

/// GET, and HEAD with it.
#[must_use]
pub fn get_and_head() -> actix_web::Route {
    web::route().guard(guard::Any(guard::Get()).or(guard::Head()))
}

/// Lets a request through to its handler when the table allows it.
async fn admit(
    known: Rc<[&'static Route]>,
    request: ServiceRequest,
    next: Next<impl MessageBody + 'static>,
) -> Result<ServiceResponse<BoxBody>, actix_web::Error> {
    if let Some(caller) = unguarded(&request) {
        request.extensions_mut().insert(caller);
        return next.call(request).await.map(ServiceResponse::map_into_boxed_body);
    }
    match admitted(&known, &request).await {
        Ok((route, caller)) => {
            let noted = match &caller {
                Some(caller) if caller.role() == Role::Operator && route.is_audited() => {
                    match audit::begin(&request, caller).await {
                        Ok(noted) => Some(noted),
                        Err(error) => return Ok(request.error_response(error)),
                    }
                }
                _ => None,
            };
            if let Some(caller) = caller {
                request.extensions_mut().insert(caller);
            }
            let answer = next.call(request).await.map(ServiceResponse::map_into_boxed_body);
            match (noted, &answer) {
                (Some(noted), Ok(response)) => noted.end(response).await,
                (Some(_), Err(_)) | (None, _) => {}
            }
            answer
        }
        Err(error) => Ok(request.error_response(error)),
    }
}

/// Who everybody is where nobody is asked.
fn unguarded(request: &ServiceRequest) -> Option<Caller> {
    request.app_data::<web::Data<State>>()?.unguarded.clone()
}

async fn admitted(
    known: &[&'static Route],
    request: &ServiceRequest,
) -> Result<(&'static Route, Option<Caller>), Error> {
    let route = of_method(known, request.method())?;
    let state = request.app_data::<web::Data<State>>().ok_or_else(|| Error::internal("no state"))?;
    let meter = request.extensions().get::<Meter>().cloned().ok_or_else(|| Error::internal("no meter"))?;
    let count = async |class, subject| meter.note(state.limits.take(class, subject, state.now()).await);
    if request.path().contains(NUL) || request.query_string().contains(NUL) {
        return Err(Error::BadRequest("the character U+0000 is not allowed in an address".into()));
    }
    if route.access == Access::Open {
        count(Class::of(route), meter.address()).await?;
        return Ok((route, None));
    }
    let query = if route.path == TOKEN_IN_QUERY { Query::of(request.request())? } else { Query::default() };
    let presented = match Dialect::of_path(route.path) {
        Dialect::Uqpay => caller::token_of_uqpay(request.headers()),
        _ => Ok(query.text("access_token")),
    };
    let identified = match presented {
        Ok(token) => caller::identify(state, request.headers(), token).await,
        Err(refused) => Err(refused),
    };
    let caller = match identified {
        Ok(caller) => caller,
        Err(refused @ Error::Unauthenticated(_)) => {
            count(Class::Failed, meter.address()).await?;
            return Err(refused);
        }
        Err(error) => return Err(error),
    };
    count(Class::of(route), caller.subject()).await?;
    if route.access.admits(caller.role()) {
        return Ok((route, Some(caller)));
    }
    Err(Error::Forbidden(match route.access {
        Access::Operators => "this route is for operators: ask for it with an operator's key".into(),
        Access::Users => "this route is about who signed in: ask for it with that person's access token".into(),
        Access::Open | Access::Key | Access::Clients => "this route needs a key: a person's token is not enough".into(),
    }))
}

fn of_method(known: &[&'static Route], method: &HttpMethod) -> Result<&'static Route, Error> {
    let serves = |route: &&&'static Route| route.method.names().contains(&method.as_str());
    known.iter().find(serves).copied().ok_or_else(|| {
        let names: Vec<&str> = known.iter().flat_map(|route| route.method.names()).copied().collect();
        Error::MethodNotAllowed { allow: names.join(", ") }
    })
}

/// Gives every call its trace id and its log line, and wraps errors and panics.
///
/// # Errors
/// Only a panic comes out as an error, wrapped already.
pub async fn outermost(
    request: ServiceRequest,
    next: Next<impl MessageBody + 'static>,
) -> Result<ServiceResponse<BoxBody>, actix_web::Error> {
    if unguarded(&request).is_some() {
        return next.call(request).await.map(ServiceResponse::map_into_boxed_body);
    }
    let begun = Instant::now();
    let given = TraceId::given(traceparent(request.headers()));
    let trace = given.unwrap_or_else(TraceId::fresh);
    request.extensions_mut().insert(trace);
    let line = Line { method: request.method().clone(), path: shown_path(request.path()), trace, begun };
    let dialect = Dialect::of_path(request.path());
    let state = request.app_data::<web::Data<State>>().cloned();
    let meter = state.as_ref().map(|state| Meter::of(&request, &state.limits));
    if let Some(meter) = &meter {
        request.extensions_mut().insert(meter.clone());
    }
    let passed_on = given.and_then(|given| Trace::parse(given.as_str()));
    let browsers = state.as_ref().map(|state| state.browsers.clone());
    let called = async {
        match head_fits(&request) {
            Ok(()) => next.call(request).await.map(ServiceResponse::map_into_boxed_body),
            Err(error) => Ok(request.error_response(error)),
        }
    };
    let mut response = match trace::within(passed_on, AssertUnwindSafe(called).catch_unwind()).await {
        Ok(answer) => answer?,
        Err(panic) => {
            let now = state.as_ref().map_or_else(Default::default, |state| state.now());
            let error = Error::internal(format!("the handler panicked: {}", panic_text(&*panic)));
            line.write(&error.status(), Some(&error));
            let standing = meter.and_then(|meter| meter.standing());
            return Err(Stamped { error, stamp: Stamp { trace, now, dialect }, standing, browsers }.into());
        }
    };
    // What reached no route is counted now: to answer it cost next to nothing.
    if let (Some(state), Some(meter)) = (&state, &meter)
        && meter.standing().is_none()
        && let Err(refused) = meter.note(state.limits.take(Class::Open, meter.address(), state.now()).await)
    {
        let (request, _) = response.into_parts();
        response = ServiceResponse::from_err(refused, request);
    }
    if let Some(error) = response.response().error() {
        let ours = error.as_error::<Error>();
        let translated = if ours.is_none() { Some(Error::of_actix(error)) } else { None };
        let answer = ours.or(translated.as_ref()).map(|error| {
            line.write(&error.status(), Some(error));
            error.response(&envelope::stamp(response.request()))
        });
        if let Some(mut answer) = answer {
            keep_cross_origin(response.headers(), answer.headers_mut());
            response = response.into_response(answer);
        }
    } else {
        line.write(&response.status(), None);
    }
    if let Ok(value) = HeaderValue::from_str(trace.as_str()) {
        response.headers_mut().insert(TRACE_HEADER, value);
    }
    if let Some(standing) = meter.and_then(|meter| meter.standing()) {
        standing.write(response.headers_mut());
    }
    if let Some(browsers) = browsers {
        browsers.write(response.headers_mut());
    }
    Ok(response)
}

/// What pages of other origins were told stays when an answer is written anew.
fn keep_cross_origin(told: &HeaderMap, answer: &mut HeaderMap) {
    let kept = |name: &HeaderName| *name == VARY || name.as_str().starts_with("access-control-");
    for (name, value) in told.iter().filter(|(name, _)| kept(name)) {
        answer.append(name.clone(), value.clone());
    }
}

/// What actix takes at most is more than anybody needs.
fn head_fits(request: &ServiceRequest) -> Result<(), Error> {
    let headers = request.headers();
    let address = request.uri().path_and_query().map_or(0, |address| address.as_str().len());
    let bytes = headers.iter().fold(address, |sum, (name, value)| sum + name.as_str().len() + value.len());
    if bytes > HEAD_BYTES_MAX || headers.len() > HEADERS_MAX {
        return Err(Error::HeadTooLarge(format!(
            "the address and the headers may have {} KB in all, and there may be {HEADERS_MAX} headers",
            HEAD_BYTES_MAX / 1024
        )));
    }
    Ok(())
}

/// The header when it came once.
fn traceparent(headers: &HeaderMap) -> Option<&str> {
    let mut lines = headers.get_all("traceparent");
    let line = lines.next()?.to_str().ok()?;
    if lines.next().is_some() { None } else { Some(line) }
}

/// The path as it may be logged: the query is left out, since it may hold a token, and so is what makes a link to a
/// file or a provider's callback work.
fn shown_path(path: &str) -> String {
    match path {
        _ if path.starts_with(crate::activity::signed_url::PREFIX) => "/files/...".to_owned(),
        _ if path.starts_with(super::providers::PREFIX) => "/providers/...".to_owned(),
        _ => path.to_owned(),
    }
}

/// One call in the log.
struct Line {
    method: HttpMethod,
    path: String,
    trace: TraceId,
    begun: Instant,
}

impl Line {
    /// Written once per call. A successful read is worth a line only when somebody looks closely: clients poll.
    fn write(&self, status: &actix_web::http::StatusCode, error: Option<&Error>) {
        let ms = self.begun.elapsed().as_secs_f64() * 1e3;
        let (trace, method, path, status) = (self.trace.as_str(), self.method.as_str(), &*self.path, status.as_u16());
        match error {
            Some(Error::Internal(cause)) => {
                tracing::error!(trace, method, path, status, ms, error = &**cause as &dyn std::error::Error, "failed");
            }
            Some(error) => tracing::info!(trace, method, path, status, ms, code = error.code(), "refused"),
            None if self.method.is_safe() => tracing::debug!(trace, method, path, status, ms, "answered"),
            None => tracing::info!(trace, method, path, status, ms, "answered"),
        }
    }
}

/// The route for what no other route takes.
///
/// # Errors
/// Always [`Error::NotFound`].
pub async fn nowhere() -> Result<super::Reply, Error> {
    Err(Error::NotFound(super::error::NO_ROUTE.into()))
}

#[cfg(test)]
mod tests {
    use actix_web::App;
    use actix_web::test::{TestRequest, init_service, try_call_service};

    use super::*;

    async fn breaks() -> Result<super::super::Reply, Error> {
        panic!("the secret is swordfish")
    }

    #[actix_web::test]
    async fn a_handler_that_panics_is_a_500_in_the_envelope_that_tells_nothing() {
        let app = init_service(
            App::new().service(web::scope("").wrap(from_fn(outermost)).route("/breaks", web::get().to(breaks))),
        )
        .await;
        let trace = "0af7651916cd43dd8448eb211c80319c";
        let request = TestRequest::get().uri("/breaks");
        let request = request.insert_header(("traceparent", format!("00-{trace}-b7ad6b7169203331-01")));
        let error = try_call_service(&app, request.to_request()).await.unwrap_err();
        let response = error.error_response();
        assert_eq!(response.status(), 500);
        let bytes = actix_web::body::to_bytes(response.into_body()).await.unwrap();
        let body: serde_json::Value = serde_json::from_slice(&bytes).unwrap();
        assert_eq!((&body["code"], &body["traceId"]), (&500.into(), &trace.into()));
        assert!(!body.to_string().contains("swordfish"), "{body}");
    }

    #[test]
    fn a_link_to_a_file_is_not_logged() {
        assert_eq!(shown_path("/files/1800000000/sig/results/a/video.mp4"), "/files/...");
        assert_eq!(shown_path("/task/a"), "/task/a");
    }
}
