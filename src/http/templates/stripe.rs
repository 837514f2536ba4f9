//! What tells the gateway of templates, and how the gateway is set up here.

use std::time::Duration;

use actix_web::HttpRequest;
use actix_web::web::{self, Data, Path};
use futures_util::{StreamExt as _, stream};
use serde::Serialize;
use utoipa::ToSchema;

use super::no_template;
use crate::domain::gateway::{Account, Answer, Reason};
use crate::gateway::catalogue::{self, Known};
use crate::http::body::{self, Fields};
use crate::http::envelope::Reply;
use crate::http::error::Error;
use crate::http::{State, openapi};
use crate::store::templates::{Search, Template};

/// How long a call waits for the gateway; what was not told by then is told later, by itself.
const PATIENCE: Duration = Duration::from_secs(10);
/// Templates that are told side by side when all are.
const AT_ONCE: usize = 4;
/// Templates of one page when all are told.
const PAGE: u64 = 100;

/// The body of a sync.
#[derive(ToSchema)]
#[schema(rename_all = "camelCase")]
#[expect(dead_code, reason = "it documents what `sync` reads field by field")]
pub struct SyncTemplate {
    /// Tell Stripe even when it knows the template as it is.
    force_update: Option<bool>,
}

/// A template that was synced.
#[derive(Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub struct Synced {
    /// Stripe knows it as it is.
    synced: bool,
    /// Its product at Stripe.
    #[schema(example = "prod_xxx")]
    stripe_product_id: String,
    /// Its price at Stripe.
    #[schema(example = "price_xxx")]
    stripe_price_id: String,
}

/// What a sync of all did.
#[derive(Serialize, ToSchema)]
pub struct SyncedAll {
    /// Those that Stripe knows as they are.
    successful: u64,
    /// Those that it does not.
    failed: u64,
    /// How many there are.
    total: u64,
}

/// How the gateway is set up.
#[derive(Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub struct Diagnosis {
    /// `live` moves money, `test` is Stripe's test mode, `sandbox` plays a gateway.
    #[schema(example = "test")]
    environment: &'static str,
    /// Whether Stripe takes the key.
    api_key_valid: bool,
    /// What is wrong.
    issues: Vec<String>,
    /// What Stripe says of the account; null when it cannot be asked.
    account_info: Option<AccountInfo>,
    /// What can be done.
    recommendations: Vec<String>,
}

/// What Stripe says of the account.
#[derive(Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub struct AccountInfo {
    /// Whether it can take money.
    charges_enabled: bool,
    /// Its country.
    #[schema(example = "US")]
    country: Option<String>,
}

/// Tells Stripe of a template. One that Stripe knows as it is is told again only when the body says so.
#[utoipa::path(post, path = "/templates/sync/{code}", tag = "templates", request_body = Option<SyncTemplate>,
    params(("code" = String, Path)),
    responses((status = 200, description = "It is synced", body = openapi::Success<Synced>), openapi::Managing))]
pub(in crate::http) async fn sync(
    request: HttpRequest,
    payload: web::Payload,
    path: Path<String>,
    state: Data<State>,
) -> Result<Reply, Error> {
    let body = body::read(&request, payload, body::PLAIN_MAX).await?;
    let mut fields = Fields::of(&body.object);
    let force = fields.flag("forceUpdate").unwrap_or_default();
    fields.only(&["forceUpdate"]);
    fields.finish()?;
    let known = told(&state, &path, force).await?;
    let synced = Synced { synced: true, stripe_product_id: known.product, stripe_price_id: known.price };
    Reply::ok("Template sync completed", &synced)
}

/// Tells Stripe of the template `code`, unless it knows it and is not to be told again.
pub(super) async fn told(state: &State, code: &str, force: bool) -> Result<Known, Error> {
    let template = state.templates.by_code(code, state.now()).await?.ok_or_else(|| no_template(code))?;
    if let (false, true, Some(product), Some(price)) =
        (force, template.is_synced(), &template.stripe_product_id, &template.stripe_price_id)
    {
        return Ok(Known { product: product.clone(), price: price.clone() });
    }
    within(state, code).await
}

/// Tells Stripe of the template `code` within our patience.
async fn within(state: &State, code: &str) -> Result<Known, Error> {
    match tokio::time::timeout(PATIENCE, state.catalogue.sync(code)).await {
        Ok(told) => told.map_err(Error::from),
        Err(_) => {
            let why = format!("it did not answer within {} s", PATIENCE.as_secs());
            Err(catalogue::Error::NotNow { code: code.to_owned(), why }.into())
        }
    }
}

/// Tells Stripe of a change that is made already: what does not work now is a warning and is tried again by itself.
pub(super) async fn told_of_change(state: &State, code: &str, warnings: &mut Vec<String>) -> Option<Known> {
    match within(state, code).await {
        Ok(known) => Some(known),
        Err(error) => {
            tracing::warn!(code, %error, "the gateway was not told of a change");
            warnings.push(format!("{}; it is tried again by itself", error.sentence()));
            None
        }
    }
}

impl From<catalogue::Error> for Error {
    fn from(error: catalogue::Error) -> Self {
        match error {
            catalogue::Error::NoTemplate(code) => no_template(&code),
            refused @ catalogue::Error::Refused { .. } => Self::BadRequest(refused.to_string()),
            not_now @ catalogue::Error::NotNow { .. } => Self::unavailable(not_now.to_string(), 5),
            catalogue::Error::Store(error) => error.into(),
        }
    }
}

/// Tells Stripe of all templates that it does not know as they are.
#[utoipa::path(get, path = "/templates/sync-all-stripe", tag = "templates",
    responses((status = 200, description = "How many it knows", body = openapi::Success<SyncedAll>), openapi::Operating))]
pub(in crate::http) async fn sync_all(state: Data<State>) -> Result<Reply, Error> {
    let mut done = SyncedAll { successful: 0, failed: 0, total: 0 };
    let mut after = String::new();
    loop {
        let page = state.templates.search(&Search::default(), Some(&*after), PAGE).await?;
        let Some(last) = page.last() else { break };
        after.clone_from(&last.code);
        let (successful, failed) = told_page(&state, &page).await;
        done.successful += successful;
        done.failed += failed;
        done.total += successful + failed;
    }
    let message = match done.failed {
        0 => "All templates synced to Stripe".to_owned(),
        failed => format!("{failed} of {} templates could not be synced to Stripe", done.total),
    };
    Ok(Reply::ok(&message, &done)?.no_store())
}

/// How many of a page Stripe knows then, and how many it does not.
async fn told_page(state: &State, page: &[Template]) -> (u64, u64) {
    let each = page.iter().map(|template| async move {
        let told = told(state, &template.code, false).await;
        if let Err(error) = &told {
            tracing::warn!(code = template.code, %error, "the gateway was not told of a template");
        }
        told.is_ok()
    });
    let told: Vec<bool> = stream::iter(each).buffer_unordered(AT_ONCE).collect().await;
    let successful = told.iter().filter(|told| **told).count();
    (successful as u64, (told.len() - successful) as u64)
}

/// How the gateway is set up here.
#[utoipa::path(get, path = "/templates/diagnose-stripe", tag = "templates",
    responses((status = 200, description = "What was found", body = openapi::Success<Diagnosis>), openapi::Operating))]
pub(in crate::http) async fn diagnose(state: Data<State>) -> Result<Reply, Error> {
    let asked = tokio::time::timeout(PATIENCE, state.gateway.account()).await;
    let found = diagnosis(&state, asked.ok());
    let message = if found.issues.is_empty() {
        "Stripe environment is healthy".to_owned()
    } else {
        format!("Stripe environment has {} issues", found.issues.len())
    };
    Ok(Reply::ok(&message, &found)?.no_store())
}

fn diagnosis(state: &State, asked: Option<Answer<Account>>) -> Diagnosis {
    let environment = match (state.gateway.name(), state.gateway.is_live()) {
        ("sandbox", _) => "sandbox",
        (_, true) => "live",
        (_, false) => "test",
    };
    let mut found = Diagnosis {
        environment,
        api_key_valid: false,
        issues: Vec::new(),
        account_info: None,
        recommendations: Vec::new(),
    };
    let mut wrong = |issue: String, recommendation: &str| {
        found.issues.push(issue);
        found.recommendations.push(recommendation.to_owned());
    };
    match asked {
        Some(Answer::Accepted(account)) => {
            if !account.charges_enabled {
                wrong("The account cannot take money".into(), "Finish setting up the account in Stripe's dashboard");
            }
            found.api_key_valid = true;
            found.account_info =
                Some(AccountInfo { charges_enabled: account.charges_enabled, country: account.country });
        }
        Some(Answer::Rejected(rejection)) if rejection.reason == Reason::Unauthorized => {
            wrong(
                format!("Stripe does not take the key: {rejection}"),
                "Set stripe.secret_key to a key of the account",
            );
        }
        Some(Answer::Rejected(rejection)) => {
            wrong(
                format!("Stripe cannot be asked: {rejection}"),
                "Check stripe.api_base and the network, then ask again",
            );
        }
        Some(Answer::Unknown(doubt)) => {
            wrong(format!("Stripe cannot be asked: {doubt}"), "Check stripe.api_base and the network, then ask again");
        }
        None => wrong(
            format!("Stripe did not answer within {} s", PATIENCE.as_secs()),
            "Check stripe.api_base and the network, then ask again",
        ),
    }
    let mut wrong = |issue: &str, recommendation: &str| {
        found.issues.push(issue.to_owned());
        found.recommendations.push(recommendation.to_owned());
    };
    if state.webhooks.is_empty() {
        wrong("Webhooks cannot be verified", "Set stripe.webhook_secret to the signing secret of the webhook endpoint");
    }
    if environment == "live" && !state.public_url.starts_with("https://") {
        wrong(
            "Live payments come back over plain HTTP",
            "Set server.public_url to the https:// address that payers and Stripe reach",
        );
    }
    if found.issues.is_empty() {
        found.recommendations.push("Stripe configuration appears healthy".to_owned());
    }
    found
}
