//! `POST {base}/predictions`, `GET {base}/predictions/{id}`, `GET {base}/predictions`, `POST .../{id}/cancel`.
//!
//! Replicate has no idempotency keys. What tells our predictions apart is the webhook that each was given: its address
//! ends in the attempt's capability, and a prediction shows its webhook.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use chrono::DateTime;
use serde_json::{Map, Value, json};

use super::cancel::Stopped;
use super::client::{Answer, JOBS_BYTES_MAX, NoAnswer};
use super::request::{Picture, Request};
use super::{Errand, answer, result, silent};
use crate::domain::job::{Fact, JobId};
use crate::domain::{Failure, Timestamp};

/// The largest picture that goes along as a data URL, in bytes: Replicate asks for links beyond.
const DATA_URL_BYTES_MAX: usize = 256 * 1024;
/// How far the provider's clock may be behind ours, in milliseconds.
const CLOCK_SKEW_MS: i64 = 300_000;
/// Pages of predictions that are searched for one of ours.
const PAGES_MAX: usize = 20;

pub(super) async fn submit(errand: Errand<'_>, request: Request) -> Fact {
    let mut input = request.options;
    input.extend(request.prompt.map(|prompt| ("prompt".to_owned(), prompt.into())));
    if let Some(picture) = &request.picture {
        let field = picture.field.as_deref().unwrap_or("image");
        input.insert(field.to_owned(), link(errand, picture).into());
    }
    let mut body = Map::new();
    body.insert("version".to_owned(), request.model.into());
    body.insert("input".to_owned(), input.into());
    if errand.provider.webhook_secret.is_some() {
        let webhook = errand.providers.callbacks.url(&errand.job.provider, &errand.capability());
        body.insert("webhook".to_owned(), webhook.into());
        body.insert("webhook_events_filter".to_owned(), json!(["completed"]));
    }
    let client = &errand.providers.client;
    let call = client.post(&errand.url("/predictions")).json(&body);
    let call = match &errand.provider.idempotency_header {
        None => call,
        Some(header) => call.header(header, errand.job.token.as_str()),
    };
    let sent = client.send(errand.provider, call, JOBS_BYTES_MAX, errand.provider.request_limit).await;
    match answer::submitted(errand.provider, sent) {
        Ok(job) => answer::accepted(errand.provider, &job),
        Err(fact) => fact,
    }
}

fn link(errand: Errand<'_>, picture: &Picture) -> String {
    if picture.bytes.len() <= DATA_URL_BYTES_MAX {
        return format!("data:image/jpeg;base64,{}", STANDARD.encode(&picture.bytes));
    }
    errand.providers.callbacks.file(&picture.key, errand.job.first_sent_at)
}

/// Looks for the prediction that was given our webhook, newest first, back to before the submit.
pub(super) async fn ask(errand: Errand<'_>) -> Fact {
    let since = errand.job.first_sent_at.plus_ms(-CLOCK_SKEW_MS);
    let ours = errand.capability();
    let mut unclear = false;
    let mut cursor = String::new();
    for _ in 0..PAGES_MAX {
        let page = match answer::read(get(errand, &format!("/predictions{cursor}")).await) {
            Ok(page) => page,
            Err(Fact::Absent) => return cannot_tell("it has no list of its predictions"),
            Err(fact) => return fact,
        };
        let Some(predictions) = page["results"].as_array() else {
            return cannot_tell("its list of predictions cannot be read");
        };
        for prediction in predictions {
            let begun = prediction["created_at"].as_str().and_then(|text| DateTime::parse_from_rfc3339(text).ok());
            if begun.is_some_and(|begun| Timestamp(begun.timestamp_millis()) < since) {
                return verdict(unclear);
            }
            match prediction["webhook"].as_str() {
                Some(webhook) if webhook.ends_with(&ours) => {
                    return match prediction["id"].as_str().map(JobId::parse) {
                        Some(Ok(id)) => Fact::Accepted { id },
                        None | Some(Err(_)) => silent("it shows our job without a usable id"),
                    };
                }
                // It belongs to another attempt, or to another service.
                Some(_) => {}
                None => unclear = true,
            }
        }
        match page["next"].as_str().and_then(cursor_of) {
            Some(next) => cursor = format!("?cursor={next}"),
            None => return verdict(unclear),
        }
    }
    cannot_tell("it has begun more since than are looked through")
}

fn verdict(unclear: bool) -> Fact {
    if unclear { cannot_tell("it has begun predictions since that show no webhook") } else { Fact::Absent }
}

fn cannot_tell(why: &str) -> Fact {
    Fact::CannotTell { why: why.to_owned() }
}

/// The cursor of the next page. Only it is taken from the link: our key goes to no other address.
fn cursor_of(link: &str) -> Option<&str> {
    let query = link.split_once('?')?.1;
    let cursor = query.split('&').find_map(|pair| pair.strip_prefix("cursor="))?;
    let plain = |byte: u8| byte.is_ascii_alphanumeric() || b"-_.~%=".contains(&byte);
    (!cursor.is_empty() && cursor.bytes().all(plain)).then_some(cursor)
}

pub(super) async fn look(errand: Errand<'_>, id: &JobId) -> Fact {
    let prediction = match answer::read(get(errand, &format!("/predictions/{}", id.as_str())).await) {
        Ok(prediction) => prediction,
        Err(fact) => return fact,
    };
    let failed = |code, message| Fact::Failed(Failure::fatal(code, message));
    match prediction["status"].as_str().unwrap_or_default() {
        "succeeded" => match output(&prediction["output"]) {
            Some(link) => result::told(result::fetch(errand, link).await),
            None if prediction["data_removed"] == true => {
                failed("provider_result_gone", "the provider does not keep the result any more".to_owned())
            }
            None => failed("provider_result_unusable", "the provider's result holds no file".to_owned()),
        },
        "failed" => {
            let said: String =
                prediction["error"].as_str().unwrap_or("it does not say why").chars().take(200).collect();
            failed("provider_job_failed", format!("the provider could not make it: {said}"))
        }
        "canceled" | "cancelled" => {
            failed("provider_job_cancelled", "the job was cancelled at the provider".to_owned())
        }
        // It never began.
        "aborted" => Fact::Failed(Failure::passing("provider_job_aborted", "the provider gave the job up unbegun")),
        "" => silent("its answer has no status"),
        _ => Fact::Running { percent: None },
    }
}

/// The first file of a prediction's output, which is a link or a list of links.
fn output(output: &Value) -> Option<&str> {
    let link = output.as_str().or_else(|| output.get(0)?.as_str())?;
    ["https://", "http://", "data:"].iter().any(|scheme| link.starts_with(scheme)).then_some(link)
}

pub(super) async fn cancel(errand: Errand<'_>, id: &JobId) -> Stopped {
    let call = errand.providers.client.post(&errand.url(&format!("/predictions/{}/cancel", id.as_str())));
    let limit = errand.provider.request_limit;
    Stopped::of(errand.providers.client.send(errand.provider, call, JOBS_BYTES_MAX, limit).await)
}

async fn get(errand: Errand<'_>, path: &str) -> Result<Answer, NoAnswer> {
    let call = errand.providers.client.get(&errand.url(path));
    errand.providers.client.send(errand.provider, call, JOBS_BYTES_MAX, errand.provider.request_limit).await
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn of_a_link_to_the_next_page_only_the_cursor_is_taken() {
        let link = "https://evil.example/predictions?cursor=cD0yMDIy%3D&x=1";
        assert_eq!(cursor_of(link), Some("cD0yMDIy%3D"));
        for none in ["https://api.replicate.com/v1/predictions", "?cursor=", "?cursor=a/../b", "?cursor=a b", ""] {
            assert_eq!(cursor_of(none), None, "{none}");
        }
    }

    #[test]
    fn the_first_link_of_an_output_is_taken() {
        let first = |value: Value| output(&value).map(str::to_owned);
        assert_eq!(first(json!("https://a/b.mp4")).as_deref(), Some("https://a/b.mp4"));
        assert_eq!(first(json!(["https://a/1.png", "https://a/2.png"])).as_deref(), Some("https://a/1.png"));
        for none in [json!(null), json!([]), json!("a text"), json!({ "text": "x" }), json!([["https://a"]])] {
            assert_eq!(first(none.clone()), None, "{none}");
        }
    }
}
