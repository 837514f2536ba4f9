//! The pages that a payer's browser sees: small, whole in themselves, asking the same address for JSON.

use actix_web::HttpResponse;
use actix_web::http::StatusCode;
use actix_web::http::header::{self, HeaderMap};

use super::back::PAGE_POLICY;

const SUCCESS: &str = include_str!("page.html");

/// Whether a browser asks, rather than a program: `text/html` stands in `Accept`, and JSON does not.
#[must_use]
pub(super) fn is_wanted(headers: &HeaderMap) -> bool {
    let accept = headers.get(header::ACCEPT).and_then(|accept| accept.to_str().ok()).unwrap_or_default();
    accept.contains("text/html") && !accept.contains("application/json")
}

/// The page that shows the progress and then the result.
pub(super) fn success() -> HttpResponse {
    page(StatusCode::OK, SUCCESS.to_owned())
}

/// A page that says one thing.
pub(super) fn message(status: StatusCode, title: &str, text: &str) -> HttpResponse {
    let (title, text) = (escaped(title), escaped(text));
    page(
        status,
        format!(
            "<!doctype html><html lang=\"en\"><head><meta charset=\"utf-8\">\
             <meta name=\"viewport\" content=\"width=device-width, initial-scale=1\"><title>{title}</title>\
             <style>:root{{color-scheme:light dark;font:16px/1.5 system-ui,sans-serif}}\
             body{{max-width:40rem;margin:10vh auto;padding:0 1rem}}</style></head>\
             <body><main><h1>{title}</h1><p>{text}</p></main></body></html>"
        ),
    )
}

/// The address holds what opens the payment, so it goes to nobody as a referer.
fn page(status: StatusCode, html: String) -> HttpResponse {
    HttpResponse::build(status)
        .insert_header((header::CACHE_CONTROL, "no-store"))
        .insert_header((header::VARY, "accept"))
        .insert_header(PAGE_POLICY)
        .content_type("text/html; charset=utf-8")
        .body(html)
}

fn escaped(text: &str) -> String {
    text.replace('&', "&amp;").replace('<', "&lt;").replace('>', "&gt;").replace('"', "&quot;")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_page_is_for_browsers_and_json_for_programs() {
        let wanted = |accept: &'static str| {
            let mut headers = HeaderMap::new();
            headers.insert(header::ACCEPT, header::HeaderValue::from_static(accept));
            is_wanted(&headers)
        };
        assert!(wanted("text/html,application/xhtml+xml,*/*;q=0.8"));
        assert!(!wanted("application/json"));
        assert!(!wanted("*/*"));
        assert!(!is_wanted(&HeaderMap::new()));
    }

    #[test]
    fn what_is_shown_is_text_and_no_markup() {
        assert_eq!(escaped("<script>\"&\""), "&lt;script&gt;&quot;&amp;&quot;");
    }

    #[test]
    fn the_page_loads_nothing_from_elsewhere() {
        assert!(!SUCCESS.contains("http://") && !SUCCESS.contains("https://") && !SUCCESS.contains("<link"));
    }
}
