//! The links that providers are given: where to call when a job is done, and where to read a picture.
//!
//! `/providers/{provider}/callback/{task}.{step}.{attempt}.{signature}`: the last part is a capability. Its signature is
//! HMAC-SHA256 with the server's secret, so nobody can make one for a job that was not given out.

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use hmac::{Hmac, KeyInit, Mac};
use sha2::Sha256;

use crate::activity::signed_url::{self, Secret};
use crate::domain::Timestamp;
use crate::domain::ids::TaskId;

/// How long a provider may read a picture, in milliseconds.
const PICTURE_MS: i64 = 24 * 3_600_000;
/// What is signed begins with this: no link to a file is signed alike.
const PURPOSE: &str = "provider callback";

/// Makes and reads the links that providers are given.
#[derive(Clone)]
pub struct Callbacks {
    public_url: String,
    secret: Secret,
}

impl std::fmt::Debug for Callbacks {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Callbacks").field("public_url", &self.public_url).finish_non_exhaustive()
    }
}

/// What a provider calls about.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Calling {
    /// The task.
    pub task: TaskId,
    /// The step.
    pub step: String,
    /// The attempt.
    pub attempt: u32,
}

impl Callbacks {
    /// Links that begin with `public_url` and are signed with `secret`.
    #[must_use]
    pub const fn new(public_url: String, secret: Secret) -> Self {
        Self { public_url, secret }
    }

    /// The capability of one attempt.
    #[must_use]
    pub fn capability(&self, provider: &str, task: &str, step: &str, attempt: u32) -> String {
        let signature = URL_SAFE_NO_PAD.encode(self.signature(provider, task, step, attempt).finalize().into_bytes());
        format!("{task}.{step}.{attempt}.{signature}")
    }

    /// Where `provider` calls.
    #[must_use]
    pub fn url(&self, provider: &str, capability: &str) -> String {
        format!("{}/providers/{provider}/callback/{capability}", self.public_url)
    }

    /// What a capability that `provider` was given names; `None` for one that is not ours. Compared in constant time.
    #[must_use]
    pub fn read(&self, provider: &str, capability: &str) -> Option<Calling> {
        let [task, step, attempt, signature] = capability.split('.').collect::<Vec<_>>().try_into().ok()?;
        let attempt = attempt.parse().ok()?;
        let given = URL_SAFE_NO_PAD.decode(signature).ok()?;
        self.signature(provider, task, step, attempt).verify_slice(&given).ok()?;
        Some(Calling { task: TaskId::parse(task).ok()?, step: step.to_owned(), attempt })
    }

    /// Where a provider reads a file of ours, from `since` on.
    #[must_use]
    pub fn file(&self, key: &str, since: Timestamp) -> String {
        format!("{}{}", self.public_url, signed_url::sign(&self.secret, key, since.plus_ms(PICTURE_MS)))
    }

    fn signature(&self, provider: &str, task: &str, step: &str, attempt: u32) -> Hmac<Sha256> {
        let mut mac = Hmac::<Sha256>::new_from_slice(&self.secret).expect("HMAC takes a key of any length");
        // A line end is in no name: no two lists are signed alike.
        mac.update([PURPOSE, provider, task, step, &attempt.to_string()].join("\n").as_bytes());
        mac
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn callbacks() -> Callbacks {
        Callbacks::new("https://mixvideo.example".into(), [7; 32])
    }

    #[test]
    fn a_capability_names_its_attempt_to_its_provider_alone() {
        let capability = callbacks().capability("replicate", "task_1", "film", 2);
        let calling = Calling { task: TaskId::parse("task_1").unwrap(), step: "film".into(), attempt: 2 };
        assert_eq!(callbacks().read("replicate", &capability), Some(calling));
        assert_eq!(callbacks().read("other", &capability), None);
        assert_eq!(Callbacks::new(String::new(), [8; 32]).read("replicate", &capability), None);
    }

    #[test]
    fn a_capability_that_was_changed_is_none() {
        let capability = callbacks().capability("replicate", "task_1", "film", 2);
        for changed in [
            capability.replace("task_1", "task_2"),
            capability.replace("film", "fil"),
            capability.replace(".2.", ".3."),
            capability[..capability.len() - 1].to_owned(),
            capability.clone() + ".x",
            String::new(),
        ] {
            assert_eq!(callbacks().read("replicate", &changed), None, "{changed}");
        }
    }
}
