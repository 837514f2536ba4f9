//! `/openapi.json`: the description of the API, generated from its handlers.

mod complete;

use std::sync::LazyLock;

use actix_web::HttpResponse;
use actix_web::web::ServiceConfig;
use bytes::Bytes;
use serde::Serialize;
use utoipa::openapi::RefOr;
use utoipa::openapi::header::HeaderBuilder;
use utoipa::openapi::path::Parameter;
use utoipa::openapi::security::{ApiKey, ApiKeyValue, HttpAuthScheme, HttpBuilder, SecurityScheme};
use utoipa::{IntoParams, IntoResponses, Modify, OpenApi, ToSchema};

use self::complete::AnyFailure;
use super::caller::UQPAY_TOKEN;
use super::error::{CODE_HEADER, Fault};
use super::guard::{get_and_head, resource};
use super::pieces::in_pieces;
use super::{
    audit, docs, files, google, health, keys, limit, metrics, ops, payment, providers, refunds, sandbox, shop, streams,
    tasks, templates,
};
use crate::gateway::webhook::SIGNATURE_HEADER;

/// A successful answer.
#[derive(Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub struct Success<T> {
    /// The HTTP status.
    #[schema(example = 200)]
    code: u16,
    /// A sentence.
    message: String,
    /// What was asked for.
    data: T,
    /// When it was answered: RFC 3339, UTC.
    #[schema(example = "2024-01-01T00:00:00.000Z")]
    timestamp: String,
    /// By which the call is found in the logs.
    trace_id: String,
}

/// A successful answer that has nothing more to say.
#[derive(Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub struct Bare {
    /// The HTTP status.
    #[schema(example = 200)]
    code: u16,
    /// A sentence.
    message: String,
    /// When it was answered: RFC 3339, UTC.
    timestamp: String,
    /// By which the call is found in the logs.
    trace_id: String,
}

/// A successful answer of the Auth Controller.
#[derive(Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub struct AuthSuccess<T> {
    /// `true`.
    success: bool,
    /// The HTTP status.
    #[schema(example = 200)]
    code: u16,
    /// A sentence.
    message: String,
    /// What was asked for.
    data: T,
    /// When it was answered: RFC 3339, UTC.
    timestamp: String,
    /// By which the call is found in the logs.
    trace_id: String,
}

/// The same that has nothing more to say.
#[derive(Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub struct AuthBare {
    /// `true`.
    success: bool,
    /// The HTTP status.
    #[schema(example = 200)]
    code: u16,
    /// A sentence.
    message: String,
    /// When it was answered: RFC 3339, UTC.
    timestamp: String,
    /// By which the call is found in the logs.
    trace_id: String,
}

/// Why a call to the Auth Controller failed.
#[derive(Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub struct AuthFailure {
    /// `false`.
    success: bool,
    /// The HTTP status.
    #[schema(example = 400)]
    code: u16,
    /// A sentence.
    message: String,
    /// Which fields are invalid.
    errors: Option<Vec<Fault>>,
    /// When it was answered: RFC 3339, UTC.
    timestamp: String,
    /// By which the call is found in the logs.
    trace_id: String,
}

/// Why a call failed.
#[derive(Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub struct Failure {
    /// The HTTP status.
    #[schema(example = 400)]
    code: u16,
    /// A sentence.
    message: String,
    /// Which fields are invalid.
    errors: Option<Vec<Fault>>,
    /// When it was answered: RFC 3339, UTC.
    timestamp: String,
    /// By which the call is found in the logs.
    trace_id: String,
}

macro_rules! failures {
    ($(#[$doc:meta])* $name:ident as $body:ident { $($(#[$variant_doc:meta])* $variant:ident $status:literal $text:literal),* $(,)? }) => {
        $(#[$doc])*
        #[derive(IntoResponses)]
        #[expect(dead_code, reason = "it documents how calls fail")]
        pub enum $name {
            $($(#[$variant_doc])* #[doc = $text] #[response(status = $status, description = $text)] $variant($body),)*
        }
    };
}

failures!(
    /// How calls fail that only read.
    Reading as Failure {
        Invalid 400 "A parameter is invalid",
        Unauthenticated 401 "No key, or one that opens nothing",
        NotFound 404 "There is no such thing, or it belongs to another",
        Internal 500 "A fault of the service",
        Unavailable 503 "A limit is reached or a part does not answer: see Retry-After",
    }
);

failures!(
    /// How calls fail whose secret link is all that they need.
    Linked as Failure {
        Invalid 400 "A parameter is invalid",
        NotFound 404 "There is no such thing",
        Internal 500 "A fault of the service",
        Unavailable 503 "A limit is reached or a part does not answer: see Retry-After",
    }
);

failures!(
    /// How calls fail that are for operators.
    Operating as Failure {
        Invalid 400 "A parameter is invalid",
        Unauthenticated 401 "No key, or one that opens nothing",
        Forbidden 403 "This route is for operators",
        NotFound 404 "There is no such thing",
        Internal 500 "A fault of the service",
        Unavailable 503 "A limit is reached or a part does not answer: see Retry-After",
    }
);

failures!(
    /// How calls fail that make something.
    Creating as Failure {
        Invalid 400 "Fields are invalid, or the body is no JSON object",
        Unauthenticated 401 "No key, or one that opens nothing",
        PaymentRequired 402 "It costs what the user has not paid",
        Forbidden 403 "A user asks for another user",
        NotFound 404 "There is no such thing, or it belongs to another",
        Conflict 409 "What is there already does not allow it",
        TooLarge 413 "The body is too large",
        KeyReused 422 "The Idempotency-Key was used for another request",
        Internal 500 "A fault of the service",
        Unavailable 503 "A limit is reached or a part does not answer: see Retry-After",
    }
);

failures!(
    /// How calls fail with which operators change something.
    Managing as Failure {
        Invalid 400 "Fields are invalid, the body is no JSON object, or it cannot be done here",
        Unauthenticated 401 "No key, or one that opens nothing",
        Forbidden 403 "This route is for operators",
        NotFound 404 "There is no such thing",
        Conflict 409 "What is there already does not allow it",
        TooLarge 413 "The body is too large",
        KeyReused 422 "The Idempotency-Key was used for another request",
        Internal 500 "A fault of the service",
        Unavailable 503 "A limit is reached or a part does not answer: see Retry-After",
    }
);

failures!(
    /// How calls about tokens of people fail.
    Signing as AuthFailure {
        Invalid 400 "Fields are invalid, or Google is not set up here",
        Unauthenticated 401 "No key or token, or one that opens nothing",
        Forbidden 403 "The route is about who signed in, and a key called",
        NotFound 404 "There is no such user or token, or it is another's",
        TooLarge 413 "The body is too large",
        Internal 500 "A fault of the service",
        Unavailable 503 "Google, or a part of the service, does not answer: see Retry-After",
    }
);

/// Why a call to UQPAY's face failed.
#[derive(Serialize, ToSchema)]
pub struct UqpayFailure {
    /// A stable code.
    #[schema(example = "invalid_fields")]
    code: String,
    /// A sentence that names every fault.
    #[schema(example = "Invalid request: amount is required")]
    message: String,
}

/// A successful answer of UniBee's face.
#[derive(Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub struct UnibeeSuccess<T> {
    /// 0.
    #[schema(example = 0)]
    code: u16,
    /// What was asked for.
    data: T,
    /// A sentence.
    message: String,
    /// Empty.
    #[schema(example = "")]
    redirect: String,
    /// By which the call is found in the logs.
    request_id: String,
}

/// Why a call to UniBee's face failed.
#[derive(Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub struct UnibeeFailure {
    /// The HTTP status.
    #[schema(example = 400)]
    code: u16,
    /// Null.
    #[schema(value_type = Option<Object>)]
    data: Option<()>,
    /// A sentence that names every fault.
    message: String,
    /// Empty.
    #[schema(example = "")]
    redirect: String,
    /// By which the call is found in the logs.
    request_id: String,
}

failures!(
    /// How calls to UQPAY's face fail.
    UqpayFailing as UqpayFailure {
        Invalid 400 "Headers or fields are invalid, or the payment cannot give so much back",
        Unauthenticated 401 "No key, or one that opens nothing",
        Forbidden 403 "The key is another client's, or does not act for the account",
        NotFound 404 "There is no such payment or attempt, or it belongs to another",
        Conflict 409 "The first request with this key is still running",
        TooLarge 413 "The body is too large",
        KeyReused 422 "The key was used for another request",
        Internal 500 "A fault of the service",
        Unavailable 503 "A limit is reached or a part does not answer: see Retry-After",
    }
);

failures!(
    /// How calls to UniBee's face fail.
    UnibeeFailing as UnibeeFailure {
        Invalid 400 "Fields are invalid, the number was used for another refund, or the payment cannot give so much back",
        Unauthenticated 401 "No key, or one that opens nothing",
        Forbidden 403 "This route is for applications and operators",
        NotFound 404 "There is no such invoice, or it belongs to another",
        TooLarge 413 "The body is too large",
        KeyReused 422 "The Idempotency-Key was used for another request",
        Internal 500 "A fault of the service",
        Unavailable 503 "A limit is reached or a part does not answer: see Retry-After",
    }
);

/// The header of a request that must happen once.
#[derive(IntoParams)]
#[into_params(parameter_in = Header)]
#[expect(dead_code, reason = "it documents what `idempotency::Key` reads")]
pub struct IdempotencyHeader {
    /// The same key and request again are answered as the first time, for 24 hours; where a refund is made, for as long as
    /// it exists.
    #[param(rename = "Idempotency-Key", max_length = 255)]
    idempotency_key: Option<String>,
}

/// Which part of a list.
#[derive(IntoParams)]
#[into_params(parameter_in = Query)]
#[expect(dead_code, reason = "it documents what `query::Query` reads")]
pub struct Paging {
    /// Entries of a page; 50 unless given.
    #[param(minimum = 1, maximum = 100)]
    limit: Option<u64>,
    /// `nextCursor` of the page before.
    cursor: Option<String>,
}

/// What holds for every call.
const ABOUT: &str = "Runs media templates: a photo in, a video out.

Every answer is an envelope: `code` (the HTTP status), `message`, `data` where there is something to say, `timestamp` and \
`traceId`. Errors have the same envelope without `data`, with `errors` for fields that are invalid, and a stable code in the \
header `x-error-code`. A route that is called with another method answers 405 and names the right ones in `Allow`; a route \
that is not described here answers 404.

Times are RFC 3339 in UTC. Amounts of money are whole numbers in minor units of their currency. Texts hold no U+0000.";

#[derive(OpenApi)]
#[openapi(
    info(title = "Mixvideo", description = ABOUT),
    servers((url = "/", description = "This service")),
    tags(
        (name = "auth", description = "Signing in with Google"),
        (name = "task", description = "Tasks: what makes a video or a picture"),
        (name = "templates", description = "What is offered, and what was made of it"),
        (name = "payment", description = "Buying a template's execution, and giving money back"),
        (name = "uqpay", description = "Refunds as UQPAY's document has them"),
        (name = "unibee", description = "Refunds as UniBee's document has them"),
        (name = "refunds", description = "Refunds of payments in coins, and those of every other face"),
        (name = "sandbox", description = "The pages of a gateway that moves no money"),
        (name = "files", description = "Results, under links that end by themselves"),
        (name = "providers", description = "What providers of models call"),
        (name = "health", description = "How the service is doing"),
        (name = "ops", description = "For operators"),
        (name = "docs", description = "This description, as pages"),
    ),
    paths(
        tasks::create, tasks::create_named, tasks::read, tasks::cancel, streams::events,
        templates::list::list, templates::list::get, templates::create::create, templates::create::create_test,
        templates::update::update, templates::delete::delete, templates::activation::activate,
        templates::activation::deactivate, templates::revisions::revisions, templates::bulk::bulk,
        templates::execute::execute, templates::executions::progress, templates::executions::of_user,
        templates::stripe::sync, templates::stripe::sync_all, templates::stripe::diagnose,
        templates::sync_status::status, templates::sync_status::verify, templates::init::init,
        templates::health::health,
        payment::checkout::checkout, payment::webhook::called, payment::back::success, payment::back::cancel,
        payment::details::history, payment::details::details, refunds::mixvideo::refund, payment::health::health,
        refunds::uqpay::create, refunds::uqpay::create_short, refunds::unibee::mark, refunds::crypto::list::list,
        refunds::crypto::list::show, refunds::crypto::create::full, refunds::crypto::create::partial,
        payment::received::receive, payment::received::withdraw,
        payment::attention::list, payment::attention::acknowledge, payment::attention::replay,
        payment::settling::sync, payment::settling::paid, payment::settling::failed,
        payment::reconcile::reconcile, payment::reconcile::sync, payment::held::release, payment::held::give_back,
        sandbox::page, sandbox::pay, sandbox::decline, sandbox::cancel, sandbox::expire, shop::page,
        shop::order,
        google::authorize, google::callback, google::exchange, google::refresh, google::userinfo, google::revoke,
        files::read, providers::called, health::health, health::live, health::ready, metrics::metrics, described, docs::door, docs::file,
        ops::list, ops::show, ops::dead, ops::dead_one, ops::replay, ops::drop_dead,
        keys::list, keys::create, keys::rotate, keys::revoke, audit::list,
    ),
    components(schemas(AuthFailure, Failure, UqpayFailure, UnibeeFailure)),
    modifiers(&Bearer, &AnyFailure, &Headers, &Names),
    security(("bearer" = []))
)]
struct Api;

struct Bearer;

impl Modify for Bearer {
    fn modify(&self, api: &mut utoipa::openapi::OpenApi) {
        let scheme = HttpBuilder::new()
            .scheme(HttpAuthScheme::Bearer)
            .description(Some(
                "A key made with `mixvideo keys create`, such as mv_..., or who signed in's access token",
            ))
            .build();
        let components = api.components.get_or_insert_default();
        components.add_security_scheme("bearer", SecurityScheme::Http(scheme));
        let header = ApiKeyValue::with_description(UQPAY_TOKEN, "A key, with or without `Bearer ` before it");
        components.add_security_scheme(UQPAY_TOKEN, SecurityScheme::ApiKey(ApiKey::Header(header)));
        let token = ApiKeyValue::with_description("access_token", "Who signed in's access token; prefer the header");
        components.add_security_scheme("access_token", SecurityScheme::ApiKey(ApiKey::Query(token)));
        let signature = ApiKeyValue::with_description(SIGNATURE_HEADER, "What proves that the gateway sent it");
        components.add_security_scheme("webhook_signature", SecurityScheme::ApiKey(ApiKey::Header(signature)));
    }
}

/// The headers that answers carry, by status.
struct Headers;

const EVERY_ANSWER: (&str, &str) = ("x-trace-id", "By which the call is found in the logs");
const EVERY_FAILURE: (&str, &str) = (CODE_HEADER, "The error's stable code");

impl Modify for Headers {
    fn modify(&self, api: &mut utoipa::openapi::OpenApi) {
        for item in api.paths.paths.values_mut() {
            for operation in [&mut item.get, &mut item.post, &mut item.put, &mut item.delete].into_iter().flatten() {
                let keyed = operation.parameters.iter().flatten().any(is_idempotency_key);
                for (status, response) in &mut operation.responses.responses {
                    if let RefOr::T(response) = response {
                        for (name, text) in headers_of(status, keyed) {
                            let header = HeaderBuilder::new().description(Some(text)).build();
                            response.headers.insert(name.to_owned(), RefOr::T(header));
                        }
                    }
                }
            }
        }
    }
}

/// The names of the operations: handlers of two controllers may share one, operations must not.
struct Names;

impl Modify for Names {
    fn modify(&self, api: &mut utoipa::openapi::OpenApi) {
        for item in api.paths.paths.values_mut() {
            for operation in [&mut item.get, &mut item.post, &mut item.put, &mut item.delete].into_iter().flatten() {
                let controller = operation.tags.iter().flatten().next();
                if let (Some(controller), Some(handler)) = (controller, &operation.operation_id) {
                    operation.operation_id = Some(format!("{controller}_{handler}"));
                }
            }
        }
    }
}

fn is_idempotency_key(parameter: &RefOr<Parameter>) -> bool {
    matches!(parameter, RefOr::T(parameter) if ["Idempotency-Key", "x-idempotency-key"].contains(&&*parameter.name))
}

/// The headers of an answer; `keyed` for routes that take an Idempotency-Key.
fn headers_of(status: &str, keyed: bool) -> Vec<(&'static str, &'static str)> {
    let mut headers = vec![EVERY_ANSWER];
    headers.extend(limit::HEADERS.iter().map(|(name, text)| (name.as_str(), *text)));
    if !status.starts_with(['2', '3']) {
        headers.push(EVERY_FAILURE);
    }
    match status {
        "200" if keyed => headers.push(("Idempotent-Replayed", "`true` when the answer was given before")),
        "401" => headers.push(("WWW-Authenticate", "`Bearer`")),
        "206" | "416" => headers.push(("Content-Range", "Which bytes, of how many")),
        "429" | "503" => headers.push(("Retry-After", "When to try again, in seconds")),
        _ => {}
    }
    headers
}

/// The description of the API, OpenAPI 3.1, as JSON.
#[must_use]
pub fn document() -> &'static str {
    &DOCUMENT
}

/// It never changes while the service runs, and everybody may ask for it.
static DOCUMENT: LazyLock<String> = LazyLock::new(|| {
    let mut api = serde_json::to_value(Api::openapi()).expect("a description has text keys only");
    complete::complete(&mut api);
    serde_json::to_string_pretty(&api).expect("a description has text keys only")
});

/// Adds the route.
pub(super) fn routes(config: &mut ServiceConfig) {
    config.service(resource("/openapi.json", |at| at.route(get_and_head().to(described))));
}

/// This description.
#[utoipa::path(get, path = "/openapi.json", tag = "health", security(()),
    responses((status = 200, description = "OpenAPI 3.1", content_type = "application/json", body = Object)))]
pub(super) async fn described() -> HttpResponse {
    let document = Bytes::from_static(document().as_bytes());
    HttpResponse::Ok().content_type("application/json").body(in_pieces(document))
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use serde_json::Value;

    use super::*;
    use crate::auth::roles::{Access, ROUTES};

    fn description() -> Value {
        serde_json::from_str(document()).unwrap()
    }

    #[test]
    fn every_route_is_described_and_nothing_else() {
        let api = description();
        assert!(api["openapi"].as_str().unwrap().starts_with("3.1"));
        let described: BTreeSet<String> = api["paths"]
            .as_object()
            .unwrap()
            .iter()
            .flat_map(|(path, item)| item.as_object().unwrap().keys().map(move |method| format!("{method} {path}")))
            .collect();
        let known: BTreeSet<String> = ROUTES
            .iter()
            .map(|route| format!("{} {}", route.method.names()[0].to_lowercase(), route.path.replace(":.*", "")))
            .collect();
        assert_eq!(described, known);
    }

    #[test]
    fn every_answer_is_described_with_its_headers() {
        let api = description();
        let mut answers = 0;
        for operation in api["paths"].as_object().unwrap().values().flat_map(|item| item.as_object().unwrap().values())
        {
            for (status, answer) in operation["responses"].as_object().unwrap() {
                let headers = &answer["headers"];
                assert!(headers["x-trace-id"].is_object(), "{operation}");
                assert_eq!(headers["x-error-code"].is_object(), !status.starts_with(['2', '3']), "{operation}");
                let waits = matches!(&**status, "429" | "503");
                assert_eq!(headers["Retry-After"].is_object(), waits, "{operation}");
                assert!(headers["x-ratelimit-remaining"].is_object(), "{operation}");
                answers += 1;
            }
        }
        assert!(answers > 100, "{answers}");
        assert!(api["paths"]["/task"]["post"]["responses"]["200"]["headers"]["Idempotent-Replayed"].is_object());
    }

    #[test]
    fn a_route_asks_for_a_key_exactly_when_the_table_does() {
        let api = description();
        for route in ROUTES {
            let path = route.path.replace(":.*", "");
            let operation = &api["paths"][&path][route.method.names()[0].to_lowercase()];
            let ways = operation["security"].as_array();
            let open = ways.is_some_and(|ways| {
                ways.contains(&serde_json::json!({})) || ways.iter().all(|way| way.get("webhook_signature").is_some())
            });
            assert_eq!(open, route.access == Access::Open, "{path}");
            let codes = operation["responses"].as_object().unwrap();
            assert_eq!(codes.contains_key("401"), route.access != Access::Open, "{path}");
        }
    }
}
