//! `/docs`: the description of the API as pages to read. They are kept inside of the binary and ask nobody but this
//! service for anything, so that they work without the internet.

use std::borrow::Cow;
use std::sync::Arc;

use actix_web::HttpResponse;
use actix_web::http::header::{self, HeaderName};
use actix_web::web::{Path, ServiceConfig};
use bytes::Bytes;
use utoipa_swagger_ui::Config;

use super::error::Error;
use super::guard::{get_and_head, resource};
use super::openapi;
use super::pieces::in_pieces;

/// What the pages may load and ask: this service alone. Their scripts are files; their styles are set by scripts too.
/// `browsers` adds who may show them in a frame.
const POLICY: (HeaderName, &str) = (
    header::CONTENT_SECURITY_POLICY,
    "default-src 'none'; script-src 'self'; style-src 'self' 'unsafe-inline'; img-src 'self' data:; \
     connect-src 'self'; base-uri 'none'; form-action 'none'",
);

/// Adds the routes.
pub(super) fn routes(config: &mut ServiceConfig) {
    config
        .service(resource("/docs", |at| at.route(get_and_head().to(door))))
        .service(resource("/docs/{file:.*}", |at| at.route(get_and_head().to(file))));
}

/// The pages find their files beside themselves, so they begin at `/docs/`.
#[utoipa::path(get, path = "/docs", tag = "docs", security(()),
    responses((status = 308, description = "The pages are at `/docs/`", headers(("Location" = String, description = "`docs/`"))),
        openapi::Linked))]
pub(super) async fn door() -> HttpResponse {
    HttpResponse::PermanentRedirect().insert_header((header::LOCATION, "docs/")).finish()
}

/// The description as pages to read in a browser, and their files.
#[utoipa::path(get, path = "/docs/{file}", tag = "docs", security(()),
    params(("file" = String, Path, description = "A file of the pages; `index.html` is the page itself", example = "index.html")),
    responses((status = 200, description = "The file", content_type = "text/html", body = String), openapi::Linked))]
pub(super) async fn file(path: Path<String>) -> Result<HttpResponse, Error> {
    let found =
        utoipa_swagger_ui::serve(&path, Arc::new(pages())).map_err(|error| Error::internal(error.to_string()))?;
    let found = found.ok_or_else(|| Error::NotFound("there is no such page; /docs/ is the first one".into()))?;
    let mut response = HttpResponse::Ok();
    if found.gzpipped {
        response.insert_header((header::CONTENT_ENCODING, "gzip"));
    }
    Ok(response
        .insert_header(POLICY)
        .insert_header((header::CACHE_CONTROL, "no-cache"))
        .content_type(found.content_type)
        .body(in_pieces(match found.bytes {
            Cow::Borrowed(whole) => Bytes::from_static(whole),
            Cow::Owned(whole) => whole.into(),
        })))
}

/// The description is found beside the pages, wherever the service is mounted. Nobody else is asked to judge it.
fn pages() -> Config<'static> {
    Config::from("../openapi.json").use_base_layout().validator_url("none").deep_linking(true)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_pages_read_this_services_description_and_send_it_to_nobody() {
        let start = utoipa_swagger_ui::serve("swagger-initializer.js", Arc::new(pages())).unwrap().unwrap();
        let start = String::from_utf8(start.bytes.into_owned()).unwrap();
        assert!(start.contains(r#""url": "../openapi.json""#), "{start}");
        assert!(start.contains(r#""validatorUrl": "none""#), "{start}");
        assert!(!start.contains("http"), "{start}");
    }
}
