//! Reading a step's settings: each fault names the step, the key and what would be right.

use std::ops::RangeInclusive;

use serde::de::DeserializeOwned;
use serde_json::Value;

use crate::domain::Failure;
use crate::domain::workflow::{PICTURES, StepCall};

/// The most of a wrong value that is repeated in a message, in characters.
const SHOWN_MAX: usize = 40;

/// The settings of one step.
#[derive(Clone, Copy)]
pub(super) struct Settings<'a>(&'a StepCall);

impl<'a> Settings<'a> {
    /// The settings of `call`, which may have the keys `known` and no others.
    pub(super) fn of(call: &'a StepCall, known: &[&str]) -> Result<Self, Failure> {
        match call.with.keys().find(|key| !known.contains(&key.as_str())) {
            Some(key) => {
                let reason = format!("`{key}` of step `{}` is unknown; it takes {}", call.step, known.join(", "));
                Err(Failure::fatal("step_settings_invalid", reason))
            }
            None => Ok(Self(call)),
        }
    }

    /// The value of `key`; null counts as missing.
    pub(super) fn value(self, key: &str) -> Option<&'a Value> {
        self.0.with.get(key).filter(|value| !value.is_null())
    }

    /// What is wrong with `key`.
    pub(super) fn fault(self, key: &str, must: &str) -> Failure {
        let found = match self.value(key) {
            None => "missing".to_owned(),
            Some(value) => value.to_string().chars().take(SHOWN_MAX).collect(),
        };
        let reason = format!("`{key}` of step `{}` must be {must}; it is {found}", self.0.step);
        Failure::fatal("step_settings_invalid", reason)
    }

    /// A whole number within `range`, if there is one.
    pub(super) fn optional_whole(self, key: &str, range: &RangeInclusive<u32>) -> Result<Option<u32>, Failure> {
        let Some(value) = self.value(key) else { return Ok(None) };
        // Placeholders may leave a number as text, and a client may write 5.0.
        let number = match value {
            Value::String(text) => text.parse().ok(),
            value => value.as_f64(),
        };
        let whole = number.filter(|number| number.fract() == 0.0 && (0.0..=f64::from(u32::MAX)).contains(number));
        match whole.map(|number| number as u32).filter(|number| range.contains(number)) {
            Some(number) => Ok(Some(number)),
            None => Err(self.fault(key, &format!("a whole number from {} to {}", range.start(), range.end()))),
        }
    }

    /// A whole number within `range`, or `default`.
    pub(super) fn whole(self, key: &str, range: &RangeInclusive<u32>, default: u32) -> Result<u32, Failure> {
        Ok(self.optional_whole(key, range)?.unwrap_or(default))
    }

    /// One of the names of `T`.
    pub(super) fn choice<T: DeserializeOwned>(self, key: &str, names: &str) -> Result<Option<T>, Failure> {
        let Some(value) = self.value(key) else { return Ok(None) };
        T::deserialize(value).map(Some).map_err(|_| self.fault(key, &format!("one of {names}")))
    }

    /// The key of a working file of the step's own task.
    pub(super) fn working_file(self, key: &str) -> Result<&'a str, Failure> {
        let file = self.value(key).and_then(|file| self.own(file));
        file.ok_or_else(|| self.fault(key, "the file of an earlier step of this task"))
    }

    /// The keys of working files of the step's own task: of one, or of those in a list.
    pub(super) fn working_files(self, key: &str) -> Result<Vec<&'a str>, Failure> {
        let files = match self.value(key) {
            Some(Value::Array(list)) if (1..=*PICTURES.end()).contains(&list.len()) => {
                list.iter().map(|file| self.own(file)).collect()
            }
            file => file.and_then(|file| self.own(file)).map(|file| vec![file]),
        };
        let most = PICTURES.end();
        files.ok_or_else(|| {
            self.fault(key, &format!("the file of an earlier step of this task, or up to {most} of them"))
        })
    }

    fn own(self, file: &'a Value) -> Option<&'a str> {
        file.as_str().filter(|file| file.starts_with(&super::work_prefix(self.0)))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::domain::workflow::Activity;
    use serde_json::json;

    fn call(with: Value) -> StepCall {
        let with = with.as_object().cloned().unwrap();
        let (task, step) = ("task_1".into(), "film".into());
        StepCall { task, step, attempt: 1, activity: Activity::Render, timeout_ms: 1000, with, job: None }
    }

    #[test]
    fn a_number_is_taken_within_its_range_and_refused_by_name_outside() {
        let whole = |value: Value| Settings(&call(json!({ "seconds": value }))).whole("seconds", &(1..=30), 5);
        for (given, taken) in [(json!(7), 7), (json!(7.0), 7), (json!("7"), 7), (json!(null), 5)] {
            assert_eq!(whole(given).unwrap(), taken);
        }
        for wrong in [json!(0), json!(31), json!(-1), json!(2.5), json!("x"), json!([]), json!(true), json!(1e300)] {
            let failure = whole(wrong.clone()).unwrap_err();
            assert!(!failure.retryable, "{wrong}");
            assert!(
                failure.message.contains("`seconds` of step `film` must be a whole number from 1 to 30"),
                "{failure}"
            );
        }
    }

    #[test]
    fn an_unknown_key_is_refused_by_name() {
        let failure = Settings::of(&call(json!({ "secs": 3 })), &["seconds", "fps"]).err().unwrap();
        assert_eq!(failure.message, "`secs` of step `film` is unknown; it takes seconds, fps");
    }

    #[test]
    fn only_a_file_of_the_same_task_is_a_working_file() {
        let file = |key: &str| Settings(&call(json!({ "picture": key }))).working_file("picture").is_ok();
        assert!(file("work/task_1/picture.jpg"));
        assert!(!file("work/task_12/picture.jpg"));
        assert!(!file("results/task_1/video.mp4"));
    }
}
