//! `POST {base}/images/generations`, or `/images/edits` with a picture: one call, whose answer is the picture.
//!
//! There is no job and no list: an answer that is lost is lost.

use std::time::Duration;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use reqwest::header::CONTENT_TYPE;
use serde_json::{Map, Value};

use super::multipart::Form;
use super::request::Request;
use super::{Errand, answer, result};
use crate::domain::Failure;
use crate::domain::job::Fact;

/// The largest answer, in bytes: a picture in base64, with room for several.
const ANSWER_BYTES_MAX: u64 = 64 << 20;
/// How often keeping a picture is tried that nobody gives a second time.
const KEEP_TRIES: u32 = 3;
/// The rest between two tries.
const KEEP_REST: Duration = Duration::from_secs(1);

pub(super) async fn submit(errand: Errand<'_>, request: Request) -> Fact {
    let mut fields = request.options;
    fields.insert("model".to_owned(), request.model.into());
    fields.extend(request.prompt.map(|prompt| ("prompt".to_owned(), prompt.into())));
    let client = &errand.providers.client;
    let token = errand.job.token.as_str();
    let call = match &request.picture {
        None => client.post(&errand.url("/images/generations")).json(&fields),
        Some(picture) => {
            let form = Form::new(token).fields(&fields);
            let field = picture.field.as_deref().unwrap_or("image");
            let (kind, body) = form.jpeg(field, &picture.bytes).finish();
            client.post(&errand.url("/images/edits")).header(CONTENT_TYPE, kind).body(body)
        }
    };
    let call = match &errand.provider.idempotency_header {
        None => call,
        Some(header) => call.header(header, token),
    };
    // The provider works while it is waited for: it has the step's whole time.
    let limit = Duration::from_millis(errand.running.call.timeout_ms);
    let sent = client.send(errand.provider, call, ANSWER_BYTES_MAX, limit).await;
    match answer::submitted(errand.provider, sent) {
        Ok(Value::Object(answer)) => keep(errand, &answer).await,
        Ok(_) => unusable("its answer is no object"),
        Err(fact) => fact,
    }
}

async fn keep(errand: Errand<'_>, answer: &Map<String, Value>) -> Fact {
    let Some(picture) = answer.get("data").and_then(|data| data.get(0)) else {
        return unusable("its answer holds no picture");
    };
    let mut tries = 1;
    loop {
        let kept = match (picture["b64_json"].as_str(), picture["url"].as_str()) {
            (Some(base64), _) => match STANDARD.decode(base64) {
                Ok(bytes) => result::keep(errand, bytes.into()).await,
                Err(_) => return unusable("its picture is no base64"),
            },
            (None, Some(link)) => result::fetch(errand, link).await,
            (None, None) => return unusable("its answer holds no picture"),
        };
        match kept {
            Ok(result) => return Fact::Done { result },
            // Another attempt of the step would pay for another picture.
            Err(failure) if !failure.retryable || tries == KEEP_TRIES => {
                return Fact::Failed(Failure { retryable: false, ..failure });
            }
            Err(_) => {
                tries += 1;
                tokio::time::sleep(KEEP_REST).await;
            }
        }
    }
}

fn unusable(why: &str) -> Fact {
    Fact::Failed(Failure::fatal("provider_result_unusable", format!("the provider answered, but {why}")))
}
