//! `GET /payment/health`.

use actix_web::web::Data;
use serde::Serialize;
use utoipa::ToSchema;

use crate::http::envelope::{Reply, rfc3339};
use crate::http::error::Error;
use crate::http::{State, openapi};
use crate::store::payments;

/// How payments are.
#[derive(Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub struct PaymentHealth {
    /// When it was looked at.
    timestamp: String,
    /// `PaymentController`.
    service: &'static str,
    /// The rail that payments travel on.
    gateway: &'static str,
    /// Payments and refunds that a person should look at.
    attention: u64,
}

/// Whether payments can be read.
#[utoipa::path(get, path = "/payment/health", tag = "payment", security(()),
    responses((status = 200, description = "They can", body = openapi::Success<PaymentHealth>)))]
pub(in crate::http) async fn health(state: Data<State>) -> Result<Reply, Error> {
    let health = PaymentHealth {
        timestamp: rfc3339(state.now()),
        service: "PaymentController",
        gateway: state.gateway.name(),
        attention: payments::attention_count(&state.database).await?,
    };
    Ok(Reply::ok("Payment service is healthy", &health)?.no_store())
}
