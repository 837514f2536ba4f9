//! The step that has a provider of models make something: one call of its job at a time.
//!
//! What follows which call is decided by [`domain::job`](crate::domain::job); here it is carried out. One file per
//! dialect: `openai_images`, `openai_videos`, `replicate`. A call never fails as an activity: what happened, silence
//! included, is a [`Fact`].
//!
//! | preset | a lost answer to the submit | webhook | cancelled by |
//! |---|---|---|---|
//! | `openai_images` | nobody can be asked: `outcome_unknown` | none | nothing: it is one call |
//! | `openai_videos` | the list of videos can only show that none was begun since: then again, else `outcome_unknown` | none | `DELETE` |
//! | `replicate` | the list of predictions is searched for our webhook's address | Standard Webhooks | `POST .../cancel` |
//!
//! Where `idempotency_header` is configured, a lost answer is repeated under the same key instead.
//!
//! `{ "provider": name, "prompt"?, "picture"?: file, "picture_field"?, "model"?, "options"?: {...} }` ->
//! `{ "file", "type", ... }`: a picture as JPEG or a video as MP4, whichever the provider gives.

mod answer;
mod callback;
mod cancel;
mod client;
mod multipart;
mod openai_images;
mod openai_videos;
mod replicate;
mod request;
mod result;
pub mod webhook;

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use reqwest::header::HeaderName;
use secrecy::SecretString;
use serde_json::{Value, json};

pub use callback::{Callbacks, Calling};

use super::{Activities, Running};
use crate::domain::Failure;
use crate::domain::job::{Fact, JobCall, Leg, Pace, Told};
use crate::runtime::activity::{Beginning, Work};
use client::Client;

/// A provider's dialect. The names are configuration.
#[derive(Clone, Copy, Debug, PartialEq, Eq, strum::EnumString, strum::IntoStaticStr, strum::EnumIter)]
#[strum(serialize_all = "snake_case")]
pub enum Preset {
    /// `POST /images/generations` and `/images/edits`: the answer is the picture.
    OpenaiImages,
    /// `POST /videos`, then `GET /videos/{id}` and `/content`.
    OpenaiVideos,
    /// `POST /predictions`, then `GET /predictions/{id}`.
    Replicate,
}

/// A provider that is configured.
#[derive(Clone, Debug)]
pub struct Provider {
    /// Its dialect.
    pub preset: Preset,
    /// Where its API begins, such as `https://api.replicate.com/v1`, without a slash at the end.
    pub base_url: String,
    /// The key it knows us by; `None` for one that asks for none.
    pub key: Option<SecretString>,
    /// The model unless a step names another.
    pub model: String,
    /// What its webhooks are signed with; `None` for none.
    pub webhook_secret: Option<webhook::Secret>,
    /// The header in which it takes an idempotency key, when it does.
    pub idempotency_header: Option<HeaderName>,
    /// How long one call may take.
    pub request_limit: Duration,
    /// How long fetching a result may take.
    pub fetch_limit: Duration,
    /// How long to rest between calls.
    pub pace: Pace,
}

/// All providers that are configured.
#[derive(Clone, Debug)]
pub struct Providers {
    by_name: BTreeMap<String, Provider>,
    callbacks: Callbacks,
    client: Client,
}

impl Providers {
    /// The providers `by_name`, which are given links that `callbacks` makes.
    ///
    /// # Errors
    /// When TLS cannot be set up.
    pub fn new(by_name: BTreeMap<String, Provider>, callbacks: Callbacks) -> Result<Arc<Self>, reqwest::Error> {
        Ok(Arc::new(Self { by_name, callbacks, client: Client::new()? }))
    }

    /// The provider of that name.
    #[must_use]
    pub fn get(&self, name: &str) -> Option<&Provider> {
        self.by_name.get(name)
    }

    /// The links that providers are given.
    #[must_use]
    pub const fn callbacks(&self) -> &Callbacks {
        &self.callbacks
    }
}

/// One call of a job, and whatever it takes.
#[derive(Clone, Copy)]
struct Errand<'a> {
    activities: &'a Activities,
    running: Running<'a>,
    providers: &'a Providers,
    provider: &'a Provider,
    job: &'a JobCall,
}

impl Errand<'_> {
    /// The address below the provider's API.
    fn url(&self, path: &str) -> String {
        format!("{}{path}", self.provider.base_url)
    }

    /// The end of the link that the provider is given for this attempt: it tells the attempt from every other.
    fn capability(&self) -> String {
        let call = self.running.call;
        self.providers.callbacks.capability(&self.job.provider, &call.task, &call.step, call.attempt)
    }
}

/// Carries out the leg `job` of the step that runs.
pub(super) async fn run(activities: &Activities, running: Running<'_>, job: &JobCall, work: &Work) -> Value {
    let Some((providers, provider)) = activities.providers().and_then(|all| Some((all, all.get(&job.provider)?)))
    else {
        return json!(Told { fact: not_configured(job), pace: Pace::default() });
    };
    let errand = Errand { activities, running, providers, provider, job };
    let fact = match &job.leg {
        Leg::Submit => submit(errand, work).await,
        Leg::Ask => ask(errand).await,
        Leg::Look { id } => match provider.preset {
            Preset::OpenaiImages => silent("this provider has no jobs to look at"),
            Preset::OpenaiVideos => openai_videos::look(errand, id).await,
            Preset::Replicate => replicate::look(errand, id).await,
        },
        Leg::Cancel { id } => {
            cancel::run(errand, id.as_ref()).await;
            return Value::Null;
        }
    };
    let can_ask = provider.preset != Preset::OpenaiImages;
    let settle_ms = if can_ask { provider.pace.settle_ms } else { 0 };
    json!(Told { fact, pace: Pace { settle_ms, ..provider.pace } })
}

/// Sends the submit, unless it may have been sent before: then it is the job that decides what follows.
async fn submit(errand: Errand<'_>, work: &Work) -> Fact {
    if work.begin().await == Beginning::Again {
        let why = "the server ended while the request was on its way".to_owned();
        return Fact::Unknown { why, repeatable: errand.provider.idempotency_header.is_some() };
    }
    let request = match request::of(errand).await {
        Ok(request) => request,
        Err(failure) => return Fact::Failed(failure),
    };
    match errand.provider.preset {
        Preset::OpenaiImages => openai_images::submit(errand, request).await,
        Preset::OpenaiVideos => openai_videos::submit(errand, request).await,
        Preset::Replicate => replicate::submit(errand, request).await,
    }
}

async fn ask(errand: Errand<'_>) -> Fact {
    match errand.provider.preset {
        Preset::OpenaiImages => {
            Fact::CannotTell { why: "its answer got lost, and this kind of provider cannot be asked for it".to_owned() }
        }
        Preset::OpenaiVideos => openai_videos::ask(errand).await,
        Preset::Replicate => replicate::ask(errand).await,
    }
}

fn silent(why: impl Into<String>) -> Fact {
    Fact::Silent { why: why.into(), after_ms: None }
}

fn not_configured(job: &JobCall) -> Fact {
    let why = format!("the provider `{}` is not configured here", job.provider);
    match job.leg {
        Leg::Submit => Fact::Failed(Failure::fatal("provider_not_configured", why)),
        Leg::Ask | Leg::Look { .. } | Leg::Cancel { .. } => silent(why),
    }
}
