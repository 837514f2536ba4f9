//! `/sandbox/checkout/{sessionId}`: the page on which the sandbox gateway is paid, with money that is none.
//!
//! It is open to whoever has the session's id, as a real gateway's page is. Nothing here touches a payment: what the
//! payer does comes back as a signed webhook.

use actix_web::http::header;
use actix_web::web::{self, Data, Path, ServiceConfig};
use actix_web::{HttpResponse, HttpResponseBuilder};

use super::State;
use super::error::Error;
use super::guard::{get_and_head, resource};
use crate::domain::gateway::{Reason, Rejection};
use crate::gateway::sandbox::{Deed, Sandbox, Seen};

/// Adds the routes.
pub(super) fn routes(config: &mut ServiceConfig) {
    config
        .service(resource("/sandbox/checkout/{sessionId}", |at| at.route(get_and_head().to(page))))
        .service(resource("/sandbox/checkout/{sessionId}/pay", |at| at.route(web::post().to(pay))))
        .service(resource("/sandbox/checkout/{sessionId}/decline", |at| at.route(web::post().to(decline))))
        .service(resource("/sandbox/checkout/{sessionId}/cancel", |at| at.route(web::post().to(cancel))))
        .service(resource("/sandbox/checkout/{sessionId}/expire", |at| at.route(web::post().to(expire))));
}

/// The sandbox's checkout page.
#[utoipa::path(get, path = "/sandbox/checkout/{sessionId}", tag = "sandbox", security(()),
    params(("sessionId" = String, Path)),
    responses((status = 200, description = "The page", content_type = "text/html"),
        (status = 404, description = "No such session, or another gateway", body = super::openapi::Failure)))]
pub(super) async fn page(path: Path<String>, state: Data<State>) -> Result<HttpResponse, Error> {
    let seen = session(sandbox(&state)?, &path).await?;
    Ok(html(&mut HttpResponse::Ok(), &path, &seen))
}

/// Pays, and goes where the session says; a session that is paid already goes there too.
#[utoipa::path(post, path = "/sandbox/checkout/{sessionId}/pay", tag = "sandbox", security(()),
    params(("sessionId" = String, Path)),
    responses((status = 303, description = "Paid, or the page again when the card is declined"),
        (status = 404, description = "No such session, or another gateway", body = super::openapi::Failure),
        (status = 409, description = "It can no longer be paid: the page says why", content_type = "text/html")))]
pub(super) async fn pay(path: Path<String>, state: Data<State>) -> Result<HttpResponse, Error> {
    acted(&state, &path, Deed::Pay).await
}

/// Tries to pay with a card that is declined; the session stays open.
#[utoipa::path(post, path = "/sandbox/checkout/{sessionId}/decline", tag = "sandbox", security(()),
    params(("sessionId" = String, Path)),
    responses((status = 303, description = "The page again, with the reason"),
        (status = 404, description = "No such session, or another gateway", body = super::openapi::Failure),
        (status = 409, description = "It can no longer be paid: the page says why", content_type = "text/html")))]
pub(super) async fn decline(path: Path<String>, state: Data<State>) -> Result<HttpResponse, Error> {
    acted(&state, &path, Deed::Decline).await
}

/// Goes back without paying; the session stays open, as it does at Stripe.
#[utoipa::path(post, path = "/sandbox/checkout/{sessionId}/cancel", tag = "sandbox", security(()),
    params(("sessionId" = String, Path)),
    responses((status = 303, description = "Back to the seller"),
        (status = 404, description = "No such session, or another gateway", body = super::openapi::Failure)))]
pub(super) async fn cancel(path: Path<String>, state: Data<State>) -> Result<HttpResponse, Error> {
    let seen = session(sandbox(&state)?, &path).await?;
    Ok(to(&seen.cancel_url))
}

/// Lets the session end before its time.
#[utoipa::path(post, path = "/sandbox/checkout/{sessionId}/expire", tag = "sandbox", security(()),
    params(("sessionId" = String, Path)),
    responses((status = 303, description = "The page again: it is expired"),
        (status = 404, description = "No such session, or another gateway", body = super::openapi::Failure),
        (status = 409, description = "It is closed already: the page says how", content_type = "text/html")))]
pub(super) async fn expire(path: Path<String>, state: Data<State>) -> Result<HttpResponse, Error> {
    acted(&state, &path, Deed::Expire).await
}

pub(super) fn sandbox(state: &State) -> Result<&Sandbox, Error> {
    state.sandbox.as_ref().ok_or_else(|| Error::NotFound("payments do not go through the sandbox here".into()))
}

async fn session(sandbox: &Sandbox, id: &str) -> Result<Seen, Error> {
    let none = || Error::NotFound("there is no such checkout in the sandbox".into());
    sandbox.seen(id).await?.ok_or_else(none)
}

async fn acted(state: &State, id: &str, deed: Deed) -> Result<HttpResponse, Error> {
    let sandbox = sandbox(state)?;
    let refused = match sandbox.act(id, deed).await? {
        Err(Rejection { reason: Reason::Missing, message, .. }) => return Err(Error::NotFound(message)),
        refused => refused.is_err(),
    };
    let seen = session(sandbox, id).await?;
    Ok(match (deed, &*seen.status) {
        (Deed::Pay, "complete") => to(&seen.success_url),
        _ if refused => html(&mut HttpResponse::Conflict(), id, &seen),
        _ => to(&format!("/sandbox/checkout/{id}")),
    })
}

fn to(url: &str) -> HttpResponse {
    HttpResponse::SeeOther()
        .insert_header((header::LOCATION, url))
        .insert_header((header::CACHE_CONTROL, "no-store"))
        .finish()
}

fn html(answer: &mut HttpResponseBuilder, id: &str, seen: &Seen) -> HttpResponse {
    answer
        .content_type("text/html; charset=utf-8")
        .insert_header((header::CACHE_CONTROL, "no-store"))
        .insert_header((header::CONTENT_SECURITY_POLICY, "default-src 'none'; style-src 'unsafe-inline'"))
        .body(document(id, seen))
}

/// The page. It has no script and nothing from elsewhere.
fn document(id: &str, seen: &Seen) -> String {
    let button = |deed: &str, class: &str, words: &str| {
        format!(
            r#"<form method="post" action="/sandbox/checkout/{id}/{deed}"><button class="{class}">{words}</button></form>"#
        )
    };
    let link = |url: &str, words: &str| format!(r#"<p><a href="{}">{words}</a></p>"#, escaped(url));
    let alert = |words: &str| format!(r#"<p role="alert">{}</p>"#, escaped(words));
    let declined = seen.declined.as_deref().map(alert).unwrap_or_default();
    let rest = match &*seen.status {
        "open" => [
            declined,
            button("pay", "main", "Pay"),
            button("decline", "", "Pay with a card that is declined"),
            button("cancel", "", "Cancel and go back"),
            button("expire", "", "Let this checkout expire"),
        ]
        .concat(),
        "complete" => format!(r#"<p role="status">Paid.</p>{}"#, link(&seen.success_url, "Continue")),
        _ => format!(r#"<p role="status">This checkout has expired.</p>{}"#, link(&seen.cancel_url, "Go back")),
    };
    let (name, amount) = (escaped(&seen.name), escaped(&price(seen.amount, &seen.currency)));
    format!(
        r#"<!doctype html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<title>Sandbox checkout</title>
<style>{STYLE}</style>
</head>
<body>
<main>
<p class="note">Sandbox: no money moves.</p>
<h1>{name}</h1>
<p class="price">{amount}</p>
{rest}
</main>
</body>
</html>
"#
    )
}

const STYLE: &str = "body{font:1rem/1.5 system-ui,sans-serif;margin:0;background:#f4f5f7;color:#1b1f24}\
main{max-width:24rem;margin:10vh auto;padding:2rem;background:#fff;border-radius:.75rem;box-shadow:0 1px 4px #0002}\
h1{font-size:1.25rem;margin:0}.price{font-size:2rem;margin:.25rem 0 1.5rem}.note{color:#57606a;margin:0 0 1rem}\
button{width:100%;padding:.75rem;margin:.25rem 0;font:inherit;border:1px solid #57606a;border-radius:.5rem;\
background:#fff;color:inherit;cursor:pointer}button.main{background:#0b5cad;border-color:#0b5cad;color:#fff}\
button:focus-visible,a:focus-visible{outline:3px solid #f2a900;outline-offset:2px}[role=alert]{color:#b3261e}\
@media(prefers-color-scheme:dark){body{background:#0d1117;color:#e6edf3}main,button{background:#161b22}\
.note{color:#9da7b3}a{color:#6cb6ff}[role=alert]{color:#ff8a80}}";

/// Currencies that have no smaller unit, and those with a thousandth (docs.stripe.com/currencies).
const ZERO_DECIMAL: [&str; 16] =
    ["bif", "clp", "djf", "gnf", "jpy", "kmf", "krw", "mga", "pyg", "rwf", "ugx", "vnd", "vuv", "xaf", "xof", "xpf"];
const THREE_DECIMAL: [&str; 5] = ["bhd", "jod", "kwd", "omr", "tnd"];

/// An amount as people read it, such as `10.00 USD`.
pub(super) fn price(minor: i64, currency: &str) -> String {
    let digits = match currency {
        _ if ZERO_DECIMAL.contains(&currency) => 0,
        _ if THREE_DECIMAL.contains(&currency) => 3,
        _ => 2,
    };
    let unit = 10_i64.pow(digits);
    let (whole, rest, code) = (minor / unit, minor % unit, currency.to_uppercase());
    if digits == 0 {
        format!("{whole} {code}")
    } else {
        format!("{whole}.{rest:0width$} {code}", width = digits as usize)
    }
}

pub(super) fn escaped(text: &str) -> String {
    text.replace('&', "&amp;").replace('<', "&lt;").replace('>', "&gt;").replace('"', "&quot;").replace('\'', "&#39;")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn open() -> Seen {
        Seen {
            status: "open".into(),
            name: "<b>A & B</b>".into(),
            amount: 1_005,
            currency: "usd".into(),
            success_url: "https://shop.example/?a=1&b=\"2\"".into(),
            cancel_url: "https://shop.example/".into(),
            declined: None,
        }
    }

    #[test]
    fn what_is_bought_is_shown_and_never_run() {
        let page = document("cs_test_1", &open());
        assert!(page.contains("&lt;b&gt;A &amp; B&lt;/b&gt;") && !page.contains("<b>A"), "{page}");
        let page = document("cs_test_1", &Seen { status: "complete".into(), ..open() });
        assert!(page.contains("?a=1&amp;b=&quot;2&quot;") && !page.contains("<form"), "{page}");
    }

    #[test]
    fn amounts_have_the_digits_of_their_currency() {
        assert_eq!(price(1_005, "usd"), "10.05 USD");
        assert_eq!(price(1_005, "jpy"), "1005 JPY");
        assert_eq!(price(1_005, "kwd"), "1.005 KWD");
    }
}
