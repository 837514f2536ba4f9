//! What was found, for people and for scripts.

use serde_json::{Value, json};

use super::child::Child;
use super::load::Quantiles;
use super::measure::{Latency, Limited, Reads, Size, Throughput};
use super::raw::Raw;
use super::refunds::Refunds;
use super::webhooks::Webhooks;
use crate::cli::table::aligned;

/// What was found; what was not asked for is absent.
pub(super) struct Report {
    described: String,
    /// By `throughput`.
    pub throughput: Option<Throughput>,
    /// By `latency`.
    pub latency: Option<Latency>,
    /// By `latency` too: two bare commits, one after the other.
    pub commits: Option<Quantiles>,
    /// By `reads`.
    pub reads: Option<Reads>,
    /// By `limits`.
    pub limits: Option<Limited>,
    /// By `size`.
    pub size: Option<Size>,
    /// By `webhooks`.
    pub webhooks: Option<Webhooks>,
    /// By `refunds`.
    pub refunds: Option<Refunds>,
    /// By `raw`.
    pub raw: Option<Raw>,
}

impl Report {
    /// Nothing found yet.
    pub(super) fn new(target: &Child) -> Self {
        let described = target.described.clone();
        Self {
            described,
            throughput: None,
            latency: None,
            commits: None,
            reads: None,
            limits: None,
            size: None,
            webhooks: None,
            refunds: None,
            raw: None,
        }
    }

    /// The part of the plain inserts' speed that whole tasks reach.
    fn of_raw(&self) -> Option<f64> {
        Some(self.throughput.as_ref()?.tasks_per_second / self.raw.as_ref()?.tasks_per_second)
    }

    /// For a script.
    pub(super) fn json(&self) -> Value {
        json!({
            "target": self.described,
            "debugBuild": cfg!(debug_assertions),
            "throughput": self.throughput,
            "latency": self.latency,
            "twoCommits": self.commits,
            "reads": self.reads,
            "limits": self.limits,
            "size": self.size,
            "webhooks": self.webhooks,
            "refunds": self.refunds,
            "raw": self.raw,
            "ratioToRaw": self.of_raw(),
        })
    }

    /// For people.
    pub(super) fn text(&self) -> String {
        let mut text = format!("{}\n", self.described);
        if cfg!(debug_assertions) {
            text.push_str("This is a debug build: its figures say nothing about a release.\n");
        }
        text + &aligned(&self.lines())
    }

    fn lines(&self) -> Vec<Vec<String>> {
        let mut lines = Vec::new();
        let mut line = |what: &str, found: String, more: String| lines.push(vec![what.to_owned(), found, more]);
        if let Some(found) = &self.throughput {
            let detail = format!("{} completed in {:.1} s, {} rows", found.completed, found.seconds, found.decisions);
            line("throughput", format!("{:.0} tasks/s", found.tasks_per_second), detail);
            let failed = match &found.failure {
                Some(first) => format!("{} failed, the first: {first}", found.failed),
                None => "0 failed".to_owned(),
            };
            line("  POST under load", quantiles(&found.post), failed);
            line("  resident memory", megabytes(found.resident_mb), String::new());
        }
        if let Some(found) = &self.latency {
            line("latency", quantiles(&found.post), format!("POST at {}/s, {} failed", found.rate, found.failed));
            line("  to completed", quantiles(&found.completed), String::new());
        }
        if let Some(found) = &self.commits {
            line("  two bare commits", quantiles(found), String::new());
        }
        if let Some(found) = &self.reads {
            line("reads", format!("{:.0}/s", found.reads_per_second), quantiles(&found.read));
            line("  bare actix-web", format!("{:.0}/s", found.bare_per_second), quantiles(&found.bare));
            line("  ratio", format!("{:.2}", found.ratio), String::new());
        }
        if let Some(found) = &self.limits {
            line("guarded reads", format!("{:.0}/s", found.guarded_per_second), quantiles(&found.guarded));
            line("  unguarded", format!("{:.0}/s", found.unguarded_per_second), quantiles(&found.unguarded));
            line("  ratio", format!("{:.2}", found.ratio), String::new());
        }
        if let Some(found) = &self.size {
            line("memory", format!("{} MB", found.start_mb), "at the start".to_owned());
            line("", format!("{} MB", found.finished_mb), format!("with {} finished tasks", found.finished));
            line("", format!("{} MB", found.waiting_mb), format!("and {} that wait", found.waiting));
        }
        if let Some(found) = &self.webhooks {
            for (what, sent) in [("webhooks", &found.distinct), ("  again and again", &found.repeated)] {
                let left = format!(
                    "{} accepted, {} failed; {} inputs, {} transitions after {:.1} s",
                    sent.accepted, sent.failed, sent.inputs, sent.transitions, sent.seconds
                );
                line(what, format!("{:.0}/s", sent.accepted_per_second), left);
                line("  to its answer", quantiles(&sent.answer), sent.failure.clone().unwrap_or_default());
            }
            let paid = format!("of {} payments, {} executed", found.payments, found.executed);
            line("  completed", found.completed.to_string(), paid);
        }
        if let Some(found) = &self.refunds {
            for (what, found) in [("refunds, one each", &found.once_each), ("refunds of one payment", &found.hot)] {
                let accepted = format!("{} accepted, {} refused", found.accepted, found.refused);
                line(what, format!("{:.0}/s", found.accepted_per_second), accepted);
                line("  to its answer", quantiles(&found.answer), found.refusal.clone().unwrap_or_default());
                let ended = format!(
                    "{} gave {} back, {} failed after {:.1} s",
                    found.succeeded, found.given_back, found.failed, found.seconds
                );
                line("  succeeded", format!("{:.0}/s", found.succeeded_per_second), ended);
                if let Some(failure) = &found.failure {
                    line("  the first that failed", String::new(), failure.clone());
                }
            }
        }
        if let Some(found) = &self.raw {
            line("plain inserts", format!("{:.0} tasks/s", found.tasks_per_second), format!("{} rows", found.rows));
        }
        if let Some(ratio) = self.of_raw() {
            line("  tasks to inserts", format!("{ratio:.2}"), String::new());
        }
        lines
    }
}

fn quantiles(found: &Quantiles) -> String {
    format!("p50 {:.2} ms, p99 {:.2} ms", found.p50_ms, found.p99_ms)
}

fn megabytes(found: Option<u64>) -> String {
    found.map_or_else(|| "not known".to_owned(), |found| format!("{found} MB"))
}
