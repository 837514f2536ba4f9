//! `/templates`: what is offered, who may change it, and running it. One file for each thing that can be done.
//!
//! Operators write templates; every key may read and run them. The gateway is told of every change by whoever makes it,
//! and again by `gateway::catalogue` should that fail: see `stripe`.

pub(super) mod activation;
pub(super) mod bulk;
pub(super) mod create;
pub(super) mod delete;
mod draft;
pub(super) mod execute;
pub(super) mod executions;
pub(super) mod health;
pub(super) mod init;
pub(super) mod list;
pub(super) mod revisions;
pub(super) mod stripe;
pub(super) mod sync_status;
pub(super) mod update;

use actix_web::web::{self, ServiceConfig};

use super::error::Error;
use super::guard::{get_and_head, resource};

/// Adds the routes.
pub(super) fn routes(config: &mut ServiceConfig) {
    config
        .service(resource("/templates", |at| {
            at.route(get_and_head().to(list::list)).route(web::post().to(create::create))
        }))
        .service(resource("/templates/get/{code}", |at| at.route(get_and_head().to(list::get))))
        .service(resource("/templates/update/{code}", |at| at.route(web::put().to(update::update))))
        .service(resource("/templates/delete/{code}", |at| at.route(web::delete().to(delete::delete))))
        .service(resource("/templates/activate/{code}", |at| at.route(web::post().to(activation::activate))))
        .service(resource("/templates/deactivate/{code}", |at| at.route(web::post().to(activation::deactivate))))
        .service(resource("/templates/revisions/{code}", |at| at.route(get_and_head().to(revisions::revisions))))
        .service(resource("/templates/bulk", |at| at.route(web::post().to(bulk::bulk))))
        .service(resource("/templates/execute/{code}", |at| at.route(web::post().to(execute::execute))))
        .service(resource("/templates/execution/{taskId}/progress", |at| {
            at.route(get_and_head().to(executions::progress))
        }))
        .service(resource("/templates/executions/user/{userId}", |at| at.route(get_and_head().to(executions::of_user))))
        .service(resource("/templates/sync/{code}", |at| at.route(web::post().to(stripe::sync))))
        .service(resource("/templates/sync-all-stripe", |at| at.route(web::get().to(stripe::sync_all))))
        .service(resource("/templates/sync-status", |at| at.route(get_and_head().to(sync_status::status))))
        .service(resource("/templates/verify-sync/{code}", |at| at.route(get_and_head().to(sync_status::verify))))
        .service(resource("/templates/diagnose-stripe", |at| at.route(get_and_head().to(stripe::diagnose))))
        .service(resource("/templates/init", |at| at.route(web::get().to(init::init))))
        .service(resource("/templates/test/create", |at| at.route(web::post().to(create::create_test))))
        .service(resource("/templates/health", |at| at.route(get_and_head().to(health::health))));
}

/// There is no template of that code, or it was deleted.
fn no_template(code: &str) -> Error {
    Error::NotFound(format!("there is no template `{}`", code.chars().take(100).collect::<String>()))
}
