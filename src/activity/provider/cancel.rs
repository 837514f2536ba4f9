//! Stopping a job that nobody wants any more. Its task has ended and hears nothing of it, so it is tried here, a few
//! times, and what could not be stopped is logged: it may go on and cost.

use std::time::Duration;

use super::client::{Answer, NoAnswer};
use super::{Errand, Preset, ask, openai_videos, replicate};
use crate::domain::job::{Fact, JobId};

/// Tries in all. A submit that was given up on its way may show up late, so an absent job is asked for as often.
const TRIES: u32 = 6;
/// The rest after the first try; each further one is twice as long, half a minute in all.
const REST: Duration = Duration::from_secs(1);

/// What became of a call that stops a job.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Stopped {
    /// It is stopped, or has ended already.
    Yes,
    /// The provider refuses: a job that is at work cannot be stopped there.
    Refused(String),
    /// It may work another time.
    NotYet(String),
}

impl Stopped {
    /// What a provider's answer to a cancel says.
    pub fn of(answer: Result<Answer, NoAnswer>) -> Self {
        match answer {
            Err(none) => Self::NotYet(none.why()),
            Ok(answer) if answer.status.is_success() || answer.status.as_u16() == 404 => Self::Yes,
            Ok(answer)
                if answer.status.is_client_error() && !matches!(answer.status.as_u16(), 401 | 403 | 408 | 429) =>
            {
                Self::Refused(format!("it answered {}: {}", answer.status, answer.words()))
            }
            Ok(answer) => Self::NotYet(format!("it answered {}", answer.status)),
        }
    }
}

/// Stops the job `known`, or the one that the provider shows for our token.
pub(super) async fn run(errand: Errand<'_>, known: Option<&JobId>) {
    let (provider, token) = (&*errand.job.provider, &errand.job.token);
    let task = &*errand.running.call.task;
    let mut known = known.cloned();
    let mut rest = REST;
    let mut last = String::new();
    for attempt in 1..=TRIES {
        if known.is_none() {
            match ask(errand).await {
                Fact::Accepted { id } => known = Some(id),
                Fact::CannotTell { why } => {
                    tracing::warn!(task, provider, %token, why, "it is not known whether a job is left at its provider");
                    return;
                }
                Fact::Silent { why, .. } => last = why,
                _ => {}
            }
        }
        if let Some(id) = &known {
            match stop(errand, id).await {
                Stopped::Yes => {
                    tracing::info!(task, provider, job = id.as_str(), "a job was cancelled at its provider");
                    return;
                }
                Stopped::Refused(why) => {
                    tracing::warn!(task, provider, job = id.as_str(), why, "a job cannot be cancelled at its provider");
                    return;
                }
                Stopped::NotYet(why) => last = why,
            }
        } else if attempt == TRIES && last.is_empty() {
            // Asked for all this time, and never seen: it did not arrive.
            return;
        }
        if attempt < TRIES {
            tokio::time::sleep(rest).await;
            rest *= 2;
        }
    }
    let job = known.as_ref().map_or("", JobId::as_str);
    tracing::error!(
        task, provider, job, %token, why = last,
        "a job could not be cancelled at its provider: it may go on and cost"
    );
}

async fn stop(errand: Errand<'_>, id: &JobId) -> Stopped {
    match errand.provider.preset {
        Preset::OpenaiImages => Stopped::Yes,
        Preset::OpenaiVideos => openai_videos::cancel(errand, id).await,
        Preset::Replicate => replicate::cancel(errand, id).await,
    }
}
