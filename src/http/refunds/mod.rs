//! Money that goes back: one engine, and a face of it for each document. A refund asked for in one face is seen in the
//! others, and all of them together give back no more than was paid.
//!
//! `ask` holds the steps that all faces share; what a face reads, how it names things and what it answers stands in its
//! own file.

mod ask;
pub(super) mod crypto;
pub(super) mod mixvideo;
pub(super) mod unibee;
pub(super) mod uqpay;

use actix_web::web::{self, ServiceConfig};

use super::guard::{get_and_head, resource};

/// Adds the routes.
pub(super) fn routes(config: &mut ServiceConfig) {
    config
        .service(resource("/payment/refund/{paymentId}", |at| at.route(web::post().to(mixvideo::refund))))
        .service(resource("/api/v2/payment/refunds", |at| at.route(web::post().to(uqpay::create))))
        .service(resource("/v2/payment/refunds", |at| at.route(web::post().to(uqpay::create_short))))
        .service(resource("/merchant/invoice/mark_refund", |at| at.route(web::post().to(unibee::mark))))
        .service(resource("/refunds", |at| {
            at.route(get_and_head().to(crypto::list::list)).route(web::post().to(crypto::create::full))
        }))
        .service(resource("/refunds/partial", |at| at.route(web::post().to(crypto::create::partial))))
        .service(resource("/refunds/{id}", |at| at.route(get_and_head().to(crypto::list::show))));
}
