//! `/sandbox/shop`: a small shop for trying out how a customer buys. It is there only while payments go through the sandbox,
//! and needs no key then: what is ordered belongs to a client of its own, and goes through the same checkout as any.

use actix_web::http::header;
use actix_web::web::{self, Data, Path, ServiceConfig};
use actix_web::{HttpRequest, HttpResponse};

use super::State;
use super::caller::Caller;
use super::envelope::Reply;
use super::error::Error;
use super::front::Door;
use super::guard::{get_and_head, resource};
use super::payment::checkout;
use super::sandbox::{escaped, price, sandbox};
use super::wish::Desk;
use crate::domain::template::TemplateType;
use crate::domain::workflow::{Definition, ParameterKind};
use crate::store::templates::{Search, Template};

/// The client that orders belong to, and the customer that the page names.
const CLIENT: &str = "sandbox-shop";
/// Templates on the page, at most.
const SHOWN_MAX: u64 = 60;
const PAGE: &str = include_str!("shop.html");
/// What the page may do: its own script and style, its own orders, and showing the picture that was chosen.
const POLICY: &str = "default-src 'none'; script-src 'unsafe-inline'; style-src 'unsafe-inline'; connect-src 'self'; \
                      img-src blob: data:; base-uri 'none'; form-action 'none'";

/// Adds the routes.
pub(super) fn routes(config: &mut ServiceConfig) {
    config
        .service(resource("/sandbox/shop", |at| at.route(get_and_head().to(page))))
        .service(resource("/sandbox/shop/{templateCode}", |at| at.route(web::post().to(order))));
}

/// The shop: what can be ordered with a picture, and what it costs.
#[utoipa::path(get, path = "/sandbox/shop", tag = "sandbox", operation_id = "shop", security(()),
    responses((status = 200, description = "The page", content_type = "text/html"),
        (status = 404, description = "Payments go through another gateway", body = super::openapi::Failure)))]
pub(super) async fn page(state: Data<State>) -> Result<HttpResponse, Error> {
    sandbox(&state)?;
    let search = Search { active_only: true, ..Search::default() };
    let templates = state.templates.search(&search, None, SHOWN_MAX).await?;
    let cards: Vec<String> = templates.iter().filter_map(|template| card(&state, template)).collect();
    let offers = match cards.is_empty() {
        true => r#"<p class="empty">Nothing is offered yet. <code>GET /templates/init</code> brings the bundled templates.</p>"#.to_owned(),
        false => cards.concat(),
    };
    Ok(HttpResponse::Ok()
        .content_type("text/html; charset=utf-8")
        .insert_header((header::CACHE_CONTROL, "no-store"))
        .insert_header((header::CONTENT_SECURITY_POLICY, POLICY))
        .insert_header((header::X_CONTENT_TYPE_OPTIONS, "nosniff"))
        .insert_header((header::REFERRER_POLICY, "no-referrer"))
        .body(PAGE.replace("<!--offers-->", &offers)))
}

/// Orders a template as a customer of the shop: the body and the answer are those of `POST /payment/checkout`.
#[utoipa::path(post, path = "/sandbox/shop/{templateCode}", tag = "sandbox", operation_id = "order_in_shop",
    security(()), request_body = checkout::NewCheckout, params(("templateCode" = String, Path)),
    responses((status = 200, description = "The session", body = super::openapi::Success<checkout::Opened>),
        super::openapi::Linked))]
pub(super) async fn order(
    request: HttpRequest,
    payload: web::Payload,
    path: Path<String>,
    state: Data<State>,
    door: Data<Door>,
) -> Result<Reply, Error> {
    sandbox(&state)?;
    let desk = Desk { state, door, caller: Caller::client(CLIENT) };
    checkout::checkout(request, payload, path, desk).await
}

/// A template as the page shows it; `None` when it cannot be ordered with a picture alone, or cannot run here.
fn card(state: &State, template: &Template) -> Option<String> {
    let content = &template.content;
    let definition = state.workflow(&content.workflow).ok()?;
    let picture = picture(definition, template)?;
    let cost = state.selling.price(content.credit_cost)?;
    let kind = match content.template_type {
        TemplateType::Video => "Video",
        TemplateType::Image => "Picture",
    };
    let (code, name, text) = (escaped(&template.code), escaped(&content.name), escaped(&content.description));
    let cost = escaped(&price(cost.minor, &cost.currency.to_string()));
    let field = picture.map_or_else(String::new, |parameter| {
        format!(
            r#"<label class="drop"><input type="file" accept="image/png,image/jpeg,image/webp" name="{}" required>
<img alt="" hidden><span>Choose a picture</span></label>"#,
            escaped(parameter)
        )
    });
    Some(format!(
        r#"<form class="card" data-code="{code}">
<p class="kind">{kind}</p>
<h2>{name}</h2>
<p class="about">{text}</p>
{field}
<p class="foot"><strong class="cost">{cost}</strong><button class="main">Order</button></p>
<p role="alert" hidden></p>
</form>
"#
    ))
}

/// The one picture that it needs, if any; `None` when it needs something else.
fn picture<'a>(definition: &'a Definition, template: &Template) -> Option<Option<&'a str>> {
    let given = |name: &String| template.content.settings.contains_key(name);
    let mut needed = definition.parameters().iter().filter(|(name, one)| one.required && !given(name));
    let first = needed.next();
    match (first, needed.next()) {
        (None, _) => Some(None),
        (Some((name, one)), None) if one.kind == ParameterKind::Picture => Some(Some(name)),
        (Some(_), _) => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_page_loads_nothing_from_elsewhere() {
        assert!(!PAGE.contains("http://") && !PAGE.contains("https://") && !PAGE.contains("<link"));
        assert!(PAGE.contains("<!--offers-->"));
    }
}
