//! `POST {base}/videos`, `GET {base}/videos/{id}`, its `/content`, `GET {base}/videos`, `DELETE {base}/videos/{id}`.
//!
//! A video says nothing of who asked for it, so a lost one is not recognised in the list, and with another customer's
//! it must not be confused: the list can only show that there is none.

use reqwest::StatusCode;
use reqwest::header::CONTENT_TYPE;
use serde_json::Value;

use super::cancel::Stopped;
use super::client::{Answer, JOBS_BYTES_MAX, NoAnswer};
use super::multipart::Form;
use super::request::Request;
use super::{Errand, answer, result, silent};
use crate::activity::FILE_BYTES_MAX;
use crate::domain::job::{Fact, JobId};
use crate::domain::{Failure, Timestamp};

/// How far the provider's clock may be behind ours, in milliseconds.
const CLOCK_SKEW_MS: i64 = 300_000;
/// Videos of one page of the list.
const PAGE: u32 = 20;

pub(super) async fn submit(errand: Errand<'_>, request: Request) -> Fact {
    let mut fields = request.options;
    fields.insert("model".to_owned(), request.model.into());
    fields.extend(request.prompt.map(|prompt| ("prompt".to_owned(), prompt.into())));
    let client = &errand.providers.client;
    let token = errand.job.token.as_str();
    let call = client.post(&errand.url("/videos"));
    let call = match &request.picture {
        None => call.json(&fields),
        Some(picture) => {
            let form = Form::new(token).fields(&fields);
            let field = picture.field.as_deref().unwrap_or("input_reference");
            let (kind, body) = form.jpeg(field, &picture.bytes).finish();
            call.header(CONTENT_TYPE, kind).body(body)
        }
    };
    let call = match &errand.provider.idempotency_header {
        None => call,
        Some(header) => call.header(header, token),
    };
    let sent = client.send(errand.provider, call, JOBS_BYTES_MAX, errand.provider.request_limit).await;
    match answer::submitted(errand.provider, sent) {
        Ok(job) => answer::accepted(errand.provider, &job),
        Err(fact) => fact,
    }
}

pub(super) async fn ask(errand: Errand<'_>) -> Fact {
    let page = get(errand, &format!("/videos?limit={PAGE}&order=desc")).await;
    let list = match answer::read(page) {
        Ok(list) => list,
        Err(Fact::Absent) => return cannot_tell("it has no list of its videos"),
        Err(fact) => return fact,
    };
    let Some(videos) = list["data"].as_array() else { return cannot_tell("its list of videos cannot be read") };
    let since = errand.job.first_sent_at.plus_ms(-CLOCK_SKEW_MS);
    let begun = |video: &Value| video["created_at"].as_i64().map(|seconds| Timestamp(seconds.saturating_mul(1_000)));
    if videos.iter().any(|video| begun(video).is_none_or(|begun| begun >= since)) {
        return cannot_tell("it has begun videos since, and none of them says who asked for it");
    }
    Fact::Absent
}

fn cannot_tell(why: &str) -> Fact {
    Fact::CannotTell { why: why.to_owned() }
}

pub(super) async fn look(errand: Errand<'_>, id: &JobId) -> Fact {
    let video = match answer::read(get(errand, &format!("/videos/{}", id.as_str())).await) {
        Ok(video) => video,
        Err(fact) => return fact,
    };
    match video["status"].as_str().unwrap_or_default() {
        "completed" | "succeeded" => result::told(fetch(errand, id, &video).await),
        "failed" | "cancelled" | "canceled" | "expired" => {
            let said = video["error"]["message"].as_str().or(video["error"].as_str()).unwrap_or("it does not say why");
            let why: String = said.chars().take(200).collect();
            Fact::Failed(Failure::fatal("provider_job_failed", format!("the provider could not make it: {why}")))
        }
        "" => silent("its answer has no status"),
        // Gateways have other words for a job that waits or is at work.
        _ => {
            let percent = video["progress"].as_f64().filter(|percent| percent.is_finite());
            Fact::Running { percent: percent.map(|percent| percent.clamp(0.0, 100.0) as u8) }
        }
    }
}

/// Gateways say where the file is; OpenAI has it at an address of its own API.
async fn fetch(errand: Errand<'_>, id: &JobId, video: &Value) -> Result<Value, Failure> {
    if let Some(link) = video["url"].as_str().filter(|link| !link.is_empty()) {
        return result::fetch(errand, link).await;
    }
    let content = errand.providers.client.get(&errand.url(&format!("/videos/{}/content", id.as_str())));
    let limit = errand.provider.fetch_limit;
    let answer = errand.providers.client.send(errand.provider, content, FILE_BYTES_MAX, limit).await;
    let answer = answer.map_err(|none| Failure::passing("provider_silent", none.why()))?;
    match &answer {
        Answer { status, body, .. } if status.is_success() => result::keep(errand, body.clone()).await,
        // It says where: then without our key, and only to a public address.
        Answer { status, location: Some(link), .. } if status.is_redirection() => result::fetch(errand, link).await,
        answer if answer.status == StatusCode::GONE => {
            Err(Failure::fatal("provider_result_gone", "the provider does not keep the result any more"))
        }
        answer => {
            let passing = Failure::passing("provider_silent", format!("the provider answered {}", answer.status));
            Err(Failure { retry_after_ms: answer.retry_after_ms, ..passing })
        }
    }
}

/// OpenAI deletes a finished video only; others stop the work.
pub(super) async fn cancel(errand: Errand<'_>, id: &JobId) -> Stopped {
    let call = errand.providers.client.delete(&errand.url(&format!("/videos/{}", id.as_str())));
    let limit = errand.provider.request_limit;
    Stopped::of(errand.providers.client.send(errand.provider, call, JOBS_BYTES_MAX, limit).await)
}

async fn get(errand: Errand<'_>, path: &str) -> Result<Answer, NoAnswer> {
    let call = errand.providers.client.get(&errand.url(path));
    errand.providers.client.send(errand.provider, call, JOBS_BYTES_MAX, errand.provider.request_limit).await
}
