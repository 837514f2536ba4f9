//! What a provider's answer says about a job, whatever its dialect.

use reqwest::StatusCode;
use serde_json::Value;

use super::client::{Answer, NoAnswer};
use super::{Provider, silent};
use crate::domain::Failure;
use crate::domain::job::{Fact, JobId};

/// What a submit's answer says before it is read: the JSON of one that was accepted, or what is known otherwise.
///
/// A refusal is known. 429, and 503 that says when to come back, were not taken up. Everything else that is not a clear
/// answer may have acted.
pub(super) fn submitted(provider: &Provider, answer: Result<Answer, NoAnswer>) -> Result<Value, Fact> {
    let unknown = |why: String| Fact::Unknown { why, repeatable: provider.idempotency_header.is_some() };
    let answer = match answer {
        Ok(answer) => answer,
        Err(NoAnswer::NotSent(why)) => {
            let why = format!("the provider cannot be reached: {why}");
            return Err(Fact::Failed(Failure::passing("provider_unreachable", why)));
        }
        Err(NoAnswer::Lost(why)) => return Err(unknown(why)),
    };
    let status = answer.status;
    Err(match status {
        _ if status.is_success() => {
            return answer.json().ok_or_else(|| unknown("its answer is no JSON".to_owned()));
        }
        StatusCode::TOO_MANY_REQUESTS => Fact::Failed(busy(&answer)),
        StatusCode::SERVICE_UNAVAILABLE if answer.retry_after_ms.is_some() => Fact::Failed(busy(&answer)),
        // The request did not come whole, or is still being handled.
        StatusCode::REQUEST_TIMEOUT | StatusCode::CONFLICT => unknown(format!("it answered {status}")),
        StatusCode::UNAUTHORIZED | StatusCode::FORBIDDEN => {
            tracing::error!(%status, said = answer.words(), "a provider refuses our key");
            Fact::Failed(Failure::fatal("provider_key_refused", "the provider does not accept this service's key"))
        }
        _ if status.is_client_error() => {
            Fact::Failed(Failure::fatal("provider_refused", format!("the provider refused it: {}", answer.words())))
        }
        _ if status.is_redirection() => {
            Fact::Failed(Failure::fatal("provider_redirects", "the provider's address in the configuration redirects"))
        }
        _ => unknown(format!("it answered {status}")),
    })
}

fn busy(answer: &Answer) -> Failure {
    let busy = Failure::passing("provider_busy", format!("the provider is busy: {}", answer.words()));
    Failure { retry_after_ms: answer.retry_after_ms, ..busy }
}

/// The JSON of an answer to a question, or that there is none. A refused key may be mended: no job fails for it.
pub(super) fn read(answer: Result<Answer, NoAnswer>) -> Result<Value, Fact> {
    let answer = answer.map_err(|none| silent(none.why()))?;
    if answer.status.is_success() {
        return answer.json().ok_or_else(|| silent("its answer is no JSON"));
    }
    if answer.status == StatusCode::NOT_FOUND {
        return Err(Fact::Absent);
    }
    Err(quiet(&answer))
}

/// An answer that says nothing of the job.
pub(super) fn quiet(answer: &Answer) -> Fact {
    Fact::Silent { why: format!("it answered {}", answer.status), after_ms: answer.retry_after_ms }
}

/// The id that an accepted submit is answered with. Without one nothing is known but that something was done.
pub(super) fn accepted(provider: &Provider, job: &Value) -> Fact {
    match job["id"].as_str().map(JobId::parse) {
        Some(Ok(id)) => Fact::Accepted { id },
        None | Some(Err(_)) => {
            let why = "its answer names no job".to_owned();
            Fact::Unknown { why, repeatable: provider.idempotency_header.is_some() }
        }
    }
}
