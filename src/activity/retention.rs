//! Which files may go, and when. Pure: [`Storage::sweep`](super::Storage::sweep) asks it file by file.
//!
//! | files | may go |
//! |---|---|
//! | `work/<task>/` | at once when the task is final (its whole [`working_folder`]), and by age in any case |
//! | `inputs/<sha256>` | by age since they were last sent |
//! | `results/<task>/` | by age |
//!
//! A task that ends while one of its steps still runs may get a working file after its folder was removed; the age
//! finds that one.
//!
//! Inputs are shared between tasks, and who refers to one is written in the tasks' states, which nobody searches.
//! Their age is enough because every birth that refers to an input writes it anew: an input older than the longest time
//! from a task's birth to the end of its first step is read by nobody. [`Retention::inputs_ms`] must be longer than
//! that time, a wait for a payment included. A customer who names an older input later is told that it is gone. Two
//! servers on one storage leave a gap of the moment between a sweep's last look and its removal, in which the other may
//! write the same input; within one server there is none.
//!
//! The step that publishes a result does not remove its working file, although it is the last to need it in the bundled
//! workflows: in another one a later step may read it too. It costs no room, because on a local directory both names
//! lead to the same bytes.

use super::storage::StoredFile;
use crate::domain::Timestamp;

/// The folders that have a retention, in the order in which a full disk gains most.
pub const FOLDERS: [&str; 3] = ["work", "inputs", "results"];

const DAY_MS: i64 = 24 * 60 * 60 * 1000;

/// How long files are kept, in milliseconds since they were written.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Retention {
    /// Working files. Longer than a task may take, because they are all that its finished steps have left.
    pub working_ms: i64,
    /// Customers' pictures. Longer than a task may wait for its first step.
    pub inputs_ms: i64,
    /// Results. As long as a link to one should work.
    pub results_ms: i64,
}

impl Default for Retention {
    fn default() -> Self {
        Self { working_ms: 7 * DAY_MS, inputs_ms: 30 * DAY_MS, results_ms: 30 * DAY_MS }
    }
}

impl Retention {
    /// Whether `file` is past its time at `now`. A file outside [`FOLDERS`] never is.
    #[must_use]
    pub fn is_over(&self, file: &StoredFile, now: Timestamp) -> bool {
        let kept_ms = match file.key.split('/').next() {
            Some("work") => self.working_ms,
            Some("inputs") => self.inputs_ms,
            Some("results") => self.results_ms,
            _ => return false,
        };
        now.since_ms(file.written) > kept_ms
    }
}

/// The folder of a task's working files: all of it may go once the task is final.
#[must_use]
pub fn working_folder(task: impl std::fmt::Display) -> String {
    format!("work/{task}")
}

#[cfg(test)]
mod tests {
    use super::*;

    const RETENTION: Retention = Retention { working_ms: 10, inputs_ms: 20, results_ms: 30 };

    fn over_at(key: &str, now: i64) -> bool {
        let file = StoredFile { key: key.to_owned(), bytes: 1, written: Timestamp(100) };
        RETENTION.is_over(&file, Timestamp(now))
    }

    #[test]
    fn each_folder_has_its_own_time() {
        for (key, kept) in [("work/t/a.jpg", 10), ("inputs/ab", 20), ("results/t/video.mp4", 30)] {
            assert!(!over_at(key, 100 + kept), "{key} went too early");
            assert!(over_at(key, 101 + kept), "{key} stayed");
        }
    }

    #[test]
    fn a_file_from_the_future_and_one_of_no_known_folder_stay() {
        assert!(!over_at("work/t/a.jpg", 50));
        for key in ["workflows/a.toml", "a", "other/work/a"] {
            assert!(!over_at(key, i64::MAX), "{key}");
        }
    }

    #[test]
    fn the_folder_of_a_task_is_its_own() {
        assert_eq!(working_folder("task_1"), "work/task_1");
        assert!(FOLDERS.iter().all(|folder| over_at(&format!("{folder}/x"), i64::MAX)));
    }
}
