//! Jobs at providers of models, through the real program: one submit per step, whatever the provider and the machine do.

mod aimock;
mod bundled;
mod cancels;
pub mod double;
mod doubts;
mod jobs;
mod kills;
mod webhooks;

use serde_json::{Value, json};

use crate::crash::service::Service;
use double::Replicate;

/// A film that is made at the provider `films`.
const FILM: &str = r#"
name = "video-generation-workflow"
description = "A film by a provider."
produces = "video"

[parameters.prompt]
kind = "text"
required = true

[[steps]]
name = "film"
activity = "provider"
timeout = "60s"
retry = { attempts = 3, first_delay = "10ms", max_delay = "10ms", factor = 1 }
with = { provider = "films", prompt = "{parameters.prompt}", options = { seed = 7 } }

[[steps]]
name = "store"
activity = "store"
needs = ["film"]
timeout = "60s"
with = { file = "{steps.film.file}", kind = "video" }
"#;

/// What the webhooks of the doubles are signed with.
const SECRET: &str = "whsec_bWl4dmlkZW8gdGVzdHMgc2lnbiB3aXRoIHRoaXM=";
/// The key that the doubles ask for.
const KEY: &str = "r8_swordfish";

pub fn film_of(prompt: &str) -> Value {
    json!({ "type": "video_generation", "templateCode": "photo-to-video", "parameters": { "prompt": prompt } })
}

/// A server whose provider `films` is `replicate`; not started.
async fn service(replicate: &Replicate) -> Service {
    let mut service = Service::sqlite().await;
    set_up(&mut service, replicate);
    service
}

/// Has the provider `films` be `replicate`; it is looked at often and doubts are forgotten soon.
pub fn set_up(service: &mut Service, replicate: &Replicate) {
    service.define("film.toml", FILM);
    service.set("PROVIDERS__FILMS__PRESET", "replicate");
    service.set("PROVIDERS__FILMS__BASE_URL", replicate.base());
    service.set("PROVIDERS__FILMS__MODEL", "owner/name");
    service.set("PROVIDERS__FILMS__KEY_ENV", "FILMS_KEY");
    service.set("PROVIDERS__FILMS__WEBHOOK_SECRET_ENV", "FILMS_SECRET");
    service.set("PROVIDERS__FILMS__POLL_MS", 20);
    service.set("PROVIDERS__FILMS__POLL_MS_MAX", 100);
    service.set("PROVIDERS__FILMS__SETTLE_SECONDS", 1);
    service.set("FETCH__ALLOW_HOSTS", replicate.address);
    service.tell("FILMS_KEY", KEY);
    service.tell("FILMS_SECRET", SECRET);
}

/// The same, started with the bundled templates.
async fn started(replicate: &Replicate) -> Service {
    let mut service = service(replicate).await;
    service.start_with_templates().await;
    service
}

/// The code of the failure that the task ends with.
async fn failed(service: &Service, id: &str) -> Value {
    service.caller.until_task(id, |task| task["status"] == "failed").await["error"].clone()
}
