//! The API. Handlers read the store and ask the engine through the [`front`] actor; they decide nothing themselves.
//!
//! Every route stands in the table of `auth::roles`, is admitted by [`guard`], answers with a [`Reply`] and fails with
//! an [`Error`]. Reading order: `guard` (what stands before every route), `envelope` and `error` (what every answer
//! looks like), `body` and `idempotency` (what every request may bring), `wish` (how a request becomes a task), then
//! one file per controller.

mod ability;
mod arrival;
mod asking;
mod audit;
mod body;
pub mod browsers;
mod caller;
mod docs;
mod envelope;
mod error;
mod files;
mod front;
mod google;
mod guard;
mod health;
mod idempotency;
mod keys;
pub mod limit;
mod metrics;
mod nodes;
mod openapi;
mod ops;
mod payment;
mod pictures;
mod pieces;
mod providers;
mod query;
mod refunds;
mod sandbox;
mod shop;
mod streams;
mod tasks;
mod templates;
mod view;
mod wish;

use std::sync::Arc;

use actix_web::middleware::from_fn;
use actix_web::web::{self, Data, ServiceConfig};
use uuid::Uuid;

use self::limit::Limits;
use crate::activity::signed_url::Secret;
use crate::activity::{Fetcher, Providers, Storage};
use crate::auth::api_key::Keys;
use crate::auth::google::{Google, Off};
use crate::domain::Timestamp;
use crate::domain::workflow::Library;
use crate::gateway::Gateway;
use crate::gateway::catalogue::Catalogue;
use crate::gateway::sandbox::Sandbox;
use crate::gateway::webhook::Secrets;
use crate::runtime::clock::Clock;
use crate::runtime::engine::Engine;
use crate::runtime::redis::Redis;
use crate::store::Database;
use crate::store::tasks::Tasks;
use crate::store::templates::Templates;

pub use arrival::{Arrivals, Connections};
pub use body::{PLAIN_MAX, WITH_PICTURES_MAX};
pub use browsers::Browsers;
pub use caller::Caller;
pub use envelope::{Reply, TraceId};
pub use error::{CODE_HEADER, Error};
pub use openapi::document;
pub use payment::{Selling, reconcile};

/// How long a link to a result works, in milliseconds, unless configured otherwise.
pub const LINK_MS: i64 = 24 * 60 * 60 * 1_000;

/// What the API may touch.
pub struct State {
    /// The engine: births, news, and how it is doing.
    pub engine: Engine,
    /// The workflows that tasks may follow.
    pub library: Arc<Library>,
    /// Customers' pictures and results.
    pub storage: Storage,
    /// Which links may be followed.
    pub fetcher: Fetcher,
    /// Providers of models: which workflows can run here, and which links were given out.
    pub providers: Arc<Providers>,
    /// What credits cost, and who is paid.
    pub selling: Selling,
    /// The rail that payments travel on.
    pub gateway: Arc<dyn Gateway>,
    /// The sandbox, when payments go through it: it has pages of its own.
    pub sandbox: Option<Sandbox>,
    /// What the gateway's webhooks are signed with.
    pub webhooks: Secrets,
    /// What the gateway knows of templates.
    pub catalogue: Catalogue,
    /// Who may call.
    pub keys: Keys,
    /// Who everybody is, where nobody is asked, limited or traced: for measuring what that costs, and for nothing else.
    pub unguarded: Option<Caller>,
    /// How much each may call.
    pub limits: Limits,
    /// Room and time for bodies.
    pub arrivals: Arrivals,
    /// Connections that are open.
    pub connections: Connections,
    /// What browsers may do with answers.
    pub browsers: Arc<Browsers>,
    /// Signing in with Google, or why nobody can.
    pub google: Result<Google, Off>,
    /// Tasks, for reading.
    pub tasks: Tasks,
    /// What is offered.
    pub templates: Templates,
    /// Lists for operators.
    pub database: Database,
    /// The time.
    pub clock: Arc<dyn Clock>,
    /// Fresh ids: UUIDv7.
    pub fresh: fn() -> Uuid,
    /// What signs links to files.
    pub link_secret: Secret,
    /// How long a link to a result works, in milliseconds: [`LINK_MS`].
    pub link_ms: i64,
    /// Where clients reach the service, such as `https://mixvideo.example`; links begin with it.
    pub public_url: String,
    /// Redis, when the mailboxes are in it.
    pub redis: Option<Redis>,
    /// What is remembered between two calls for how the service is doing.
    pub figures: health::Figures,
    /// Room for streams of events.
    pub streams: streams::Room,
}

impl State {
    /// Now.
    #[must_use]
    pub fn now(&self) -> Timestamp {
        self.clock.now()
    }
}

/// Adds the API to an application of one HTTP worker. `state` is shared by all workers.
pub fn configure(state: Data<State>) -> impl FnOnce(&mut ServiceConfig) {
    move |config| {
        let door = Data::new(front::Door::new(state.engine.clone()));
        let cross_origin = state.browsers.cross_origin();
        config.app_data(state).app_data(door).service(
            web::scope("")
                .wrap(cross_origin)
                .wrap(from_fn(guard::outermost))
                .configure(google::routes)
                .configure(tasks::routes)
                .configure(templates::routes)
                .configure(health::routes)
                .configure(ops::routes)
                .configure(keys::routes)
                .configure(audit::routes)
                .configure(files::routes)
                .configure(providers::routes)
                .configure(refunds::routes)
                .configure(payment::routes)
                .configure(sandbox::routes)
                .configure(shop::routes)
                .configure(openapi::routes)
                .configure(docs::routes)
                .default_service(web::to(guard::nowhere)),
        );
        // What is no path at all, such as the `*` of OPTIONS, reaches no scope.
        config.default_service(web::to(guard::nowhere).wrap(from_fn(guard::outermost)));
    }
}
