//! `/payment`: what is bought, how the payer comes back, and what the gateway says. Money that goes back is in `refunds`.
//!
//! Nothing a browser says about money is believed: the gateway is asked. What the gateway says is written down before it
//! is answered.

pub(super) mod attention;
pub(super) mod back;
pub(super) mod checkout;
pub(super) mod details;
pub(super) mod health;
pub(super) mod held;
mod page;
pub(super) mod received;
pub mod reconcile;
pub(super) mod settling;
pub(super) mod view;
pub(super) mod webhook;

use actix_web::web::{self, ServiceConfig};

use super::guard::{get_and_head, resource};
use crate::domain::money::{Currency, Money};
use crate::domain::rail::Rail;

pub use checkout::METADATA_KEYS_MAX;

/// What credits cost, and who is paid.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Selling {
    /// The currency.
    pub currency: Currency,
    /// What one credit costs, in minor units.
    pub credit_price: i64,
    /// Who is paid unless a template names another.
    pub receiver: String,
    /// What payments travel on.
    pub rail: Rail,
}

impl Selling {
    /// What so many credits cost; `None` beyond what an amount can be.
    #[must_use]
    pub fn price(&self, credits: i64) -> Option<Money> {
        Money::new(self.credit_price, self.currency).times(credits).filter(|price| price.minor >= 0)
    }
}

/// Adds the routes.
pub(super) fn routes(config: &mut ServiceConfig) {
    config
        .service(resource("/payment/checkout/{templateCode}", |at| at.route(web::post().to(checkout::checkout))))
        .service(resource("/payment/webhook", |at| at.route(web::post().to(webhook::called))))
        .service(resource("/payment/success", |at| at.route(web::get().to(back::success))))
        .service(resource("/payment/cancel", |at| at.route(web::get().to(back::cancel))))
        .service(resource("/payment/history", |at| at.route(get_and_head().to(details::history))))
        .service(resource("/payment/health", |at| at.route(get_and_head().to(health::health))))
        .service(resource("/ops/attention", |at| at.route(get_and_head().to(attention::list))))
        .service(resource("/ops/payments", |at| at.route(web::post().to(received::receive))))
        .service(resource("/ops/payments/reconcile", |at| at.route(web::post().to(reconcile::reconcile))))
        .service(resource("/ops/payments/{paymentId}/sync", |at| at.route(web::post().to(reconcile::sync))))
        .service(resource("/ops/payments/{paymentId}/withdraw", |at| at.route(web::post().to(received::withdraw))))
        .service(resource("/ops/payments/{paymentId}/release", |at| at.route(web::post().to(held::release))))
        .service(resource("/ops/payments/{paymentId}/give-back", |at| at.route(web::post().to(held::give_back))))
        .service(resource("/ops/payments/{paymentId}/acknowledge", |at| {
            at.route(web::post().to(attention::acknowledge))
        }))
        .service(resource("/ops/refunds/{refundId}/sync", |at| at.route(web::post().to(settling::sync))))
        .service(resource("/ops/refunds/{refundId}/paid", |at| at.route(web::post().to(settling::paid))))
        .service(resource("/ops/refunds/{refundId}/failed", |at| at.route(web::post().to(settling::failed))))
        .service(resource("/ops/inputs/{inputId}/replay", |at| at.route(web::post().to(attention::replay))))
        .service(resource("/payment/{paymentId}", |at| at.route(get_and_head().to(details::details))));
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ten_credits_cost_a_thousand_cents() {
        let currency = Currency::parse("usd").unwrap();
        let selling = Selling { currency, credit_price: 100, receiver: "platform".into(), rail: Rail::Sandbox };
        assert_eq!(selling.price(10).unwrap().to_string(), "10.00 usd");
        assert_eq!(selling.price(0).unwrap().minor, 0);
        assert_eq!(selling.price(i64::MAX), None);
    }
}
