//! A job at a provider of models: submitted once, looked at until it is done, cancelled when nobody wants it any more.
//!
//! It is a small machine inside of a task's step, which is its only owner. One thing of it is under way at a time: a
//! [`Leg`], which is an activity that calls the provider, or a rest before the next one. A leg reports a [`Fact`], and
//! [`Job::told`] decides what follows.
//!
//! A submit whose answer is lost is *unknown*, never failed: it is repeated under the same key where the provider has
//! keys, and otherwise only after the provider was asked and shows no trace of it.

mod decide;

#[cfg(test)]
mod properties;
#[cfg(test)]
mod table;
#[cfg(test)]
mod tests;

use std::fmt;

use serde::{Deserialize, Deserializer, Serialize};
use serde_json::Value;
use sha2::{Digest, Sha256};

use super::{Failure, Timestamp};

/// The failure of a step of which nobody can say whether the provider did it. It is not tried again.
pub const OUTCOME_UNKNOWN: &str = "outcome_unknown";
/// The failure of a step whose request never reached the provider, as the provider shows. It may be tried again.
pub const REQUEST_LOST: &str = "provider_request_lost";
/// The failure of a step whose job was still at work when the step's time was over.
pub const TIMED_OUT: &str = "provider_timed_out";

/// The failure of a step whose job the provider does not know any more.
pub const JOB_GONE: &str = "provider_job_gone";

/// A provider forgets a key after 24 hours: so long after the first send it is trusted to remember, in milliseconds.
pub const KEY_AGE_MS_MAX: i64 = 23 * 3_600_000;
/// How long a provider that does not say how a job stands is asked beyond the step's time, in milliseconds.
pub const DOUBT_MS_MAX: i64 = 3_600_000;

/// Characters in a provider's id of a job, at most.
const JOB_ID_CHARS_MAX: usize = 256;

/// A provider's id of a job. It becomes part of addresses, so it holds only what is safe there.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(transparent)]
pub struct JobId(String);

/// A text that is no id of a job.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("a job's id has 1 to {JOB_ID_CHARS_MAX} letters, digits and `_ - . : = ~`, not points alone")]
pub struct MalformedJobId;

impl JobId {
    /// Reads an id as a provider gives it.
    ///
    /// # Errors
    /// [`MalformedJobId`].
    pub fn parse(text: &str) -> Result<Self, MalformedJobId> {
        let allowed = |byte: u8| byte.is_ascii_alphanumeric() || b"_-.:=~".contains(&byte);
        let good = (1..=JOB_ID_CHARS_MAX).contains(&text.len())
            && text.bytes().all(allowed)
            && text.bytes().any(|byte| byte != b'.');
        if good { Ok(Self(text.to_owned())) } else { Err(MalformedJobId) }
    }

    /// The id as the provider wrote it.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl<'de> Deserialize<'de> for JobId {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        Self::parse(&String::deserialize(deserializer)?).map_err(serde::de::Error::custom)
    }
}

/// What our side calls one attempt of a step at a provider: the idempotency key where there are keys.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Token(String);

impl Token {
    /// The token of an attempt: a digest, so that deciding again gives the same. The task's birth is part of it because
    /// two installations with one account may both have a task of that id.
    #[must_use]
    pub fn of(task: &str, born: Timestamp, step: &str, attempt: u32) -> Self {
        let digest = Sha256::digest(format!("{task}/{}/{step}/{attempt}", born.0));
        Self(digest[..16].iter().fold("mixvideo-".to_owned(), |text, byte| text + &format!("{byte:02x}")))
    }

    /// The token as it is sent.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for Token {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// One call to a provider, carried out as an activity. The tags are durable.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Leg {
    /// Ask for the work.
    Submit,
    /// Ask whether the provider has a job of this token.
    Ask,
    /// Look how the job stands; when it is done, fetch and keep its result.
    Look {
        /// The job.
        id: JobId,
    },
    /// Stop the job, of which perhaps only the token is known.
    Cancel {
        /// The job, when it is known.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        id: Option<JobId>,
    },
}

/// A leg as it is ordered: with what it must know of the job.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct JobCall {
    /// The provider, by its name in the configuration.
    pub provider: String,
    /// The attempt's token.
    pub token: Token,
    /// When the submit was ordered for the first time: it was not sent before.
    pub first_sent_at: Timestamp,
    /// What to do.
    pub leg: Leg,
}

/// Where a job stands. The tags are durable.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, strum::IntoStaticStr)]
#[serde(rename_all = "snake_case")]
#[strum(serialize_all = "snake_case")]
pub enum Phase {
    /// The submit is ordered, and nothing was heard of it.
    Submitting {
        /// Which send under this token, from 1.
        sends: u32,
    },
    /// Rests before the submit is repeated under the same key.
    Resending {
        /// The sends so far.
        sends: u32,
    },
    /// The provider is asked whether it has the job.
    Asking {
        /// Which asking, from 1.
        asks: u32,
    },
    /// Rests before the provider is asked again.
    Doubting {
        /// The askings so far.
        asks: u32,
    },
    /// The provider has the job, and is asked how it stands.
    Looking {
        /// The job.
        id: JobId,
        /// Which look, from 1.
        looks: u32,
        /// The provider called since this look was ordered: one more follows at once.
        #[serde(default, skip_serializing_if = "std::ops::Not::not")]
        called: bool,
    },
    /// Rests before the next look.
    Waiting {
        /// The job.
        id: JobId,
        /// The looks so far.
        looks: u32,
    },
}

/// A job at a provider.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Job {
    /// The provider, by its name in the configuration.
    pub provider: String,
    /// What our side calls it.
    pub token: Token,
    /// When its submit was ordered for the first time.
    pub first_sent_at: Timestamp,
    /// Where it stands.
    pub phase: Phase,
    /// Since when the provider has not said how it stands; `None` while it does.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub in_doubt_since: Option<Timestamp>,
    /// How much of it is done in percent, when the provider says so.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub percent: Option<u8>,
}

/// What a leg found out. The tags are durable.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Fact {
    /// The provider has the job under this id.
    Accepted {
        /// The id.
        id: JobId,
    },
    /// It is known that this attempt gives no result, and why.
    Failed(Failure),
    /// Whether the submit arrived is not known.
    Unknown {
        /// What happened, for a person.
        why: String,
        /// The provider has keys: the same bytes under the same key cannot act twice.
        #[serde(default, skip_serializing_if = "std::ops::Not::not")]
        repeatable: bool,
    },
    /// The provider answers and shows no trace of the submit.
    Absent,
    /// The provider answers, and its answer cannot tell whether it has the job.
    CannotTell {
        /// Why not, for a person.
        why: String,
    },
    /// The job is queued or at work.
    Running {
        /// How much of it is done, from 0 to 100.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        percent: Option<u8>,
    },
    /// The provider did not answer, or its result could not be fetched yet.
    Silent {
        /// What happened, for a person.
        why: String,
        /// How long the provider wants to be left alone, in milliseconds.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        after_ms: Option<u64>,
    },
    /// The result is kept.
    Done {
        /// What the step gives.
        result: Value,
    },
}

/// How long to rest between calls; the provider's configuration, which every report brings with it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Pace {
    /// The first rest between two looks, in milliseconds; each further one is half as long again.
    pub first_ms: u64,
    /// The longest rest, in milliseconds.
    pub max_ms: u64,
    /// How long a lost submit may take to show up at the provider, in milliseconds.
    pub settle_ms: u64,
}

impl Default for Pace {
    /// For a leg that broke down and could not say.
    fn default() -> Self {
        Self { first_ms: 2_000, max_ms: 30_000, settle_ms: 60_000 }
    }
}

impl Pace {
    /// The rest after call number `calls`, in milliseconds.
    #[must_use]
    pub fn rest_ms(self, calls: u32) -> u64 {
        let mut rest = self.first_ms;
        for _ in 1..calls {
            if rest >= self.max_ms {
                break;
            }
            rest = rest.saturating_add(rest / 2 + 1);
        }
        rest.min(self.max_ms)
    }
}

/// A leg's report.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Told {
    /// What it found out.
    pub fact: Fact,
    /// The provider's pace.
    #[serde(default)]
    pub pace: Pace,
}

impl Told {
    /// What an activity's end says. A leg that broke down, or whose report cannot be read, has found out nothing.
    #[must_use]
    pub fn of(outcome: Result<Value, Failure>) -> Self {
        let silent = |why, after_ms| Self { fact: Fact::Silent { why, after_ms }, pace: Pace::default() };
        match outcome {
            Ok(told) => serde_json::from_value(told)
                .unwrap_or_else(|error| silent(format!("the report cannot be read: {error}"), None)),
            Err(failure) => silent(failure.to_string(), failure.retry_after_ms),
        }
    }
}

/// What follows.
#[derive(Clone, Debug, PartialEq)]
pub enum Next {
    /// Carry out a leg.
    Run(Job, Leg),
    /// Rest until then; [`Job::due`] goes on.
    Rest(Job, Timestamp),
    /// What is under way goes on.
    Keep(Job),
    /// The step is done.
    Done(Value),
    /// The attempt has failed; a job that is still at work there is to be cancelled.
    Failed(Failure, Option<JobId>),
}
