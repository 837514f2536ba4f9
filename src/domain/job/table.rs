//! Every phase of a job meets every fact, the end of a rest, and a call. The snapshot is the specification: read it
//! before accepting a change.

use std::fmt::Write as _;

use serde_json::json;

use super::tests::{BEGUN, DEADLINE, PACE, id, in_phase, told};
use super::*;

/// Far enough after the doubt for a lost submit to have shown up.
const NOW: Timestamp = Timestamp(BEGUN.0 + 100_000);

fn phases() -> Vec<(&'static str, Job)> {
    let doubt = |phase, ms: i64| Job { in_doubt_since: Some(NOW.plus_ms(-ms)), ..in_phase(phase) };
    let looking = |called| Phase::Looking { id: id("p1"), looks: 2, called };
    let settled = PACE.settle_ms.cast_signed();
    vec![
        ("submitting", in_phase(Phase::Submitting { sends: 1 })),
        ("submitting again", doubt(Phase::Submitting { sends: 2 }, 10)),
        ("resending", doubt(Phase::Resending { sends: 1 }, 10)),
        ("asking", doubt(Phase::Asking { asks: 1 }, 10)),
        ("asking, settled", doubt(Phase::Asking { asks: 2 }, settled)),
        ("doubting", doubt(Phase::Doubting { asks: 1 }, 10)),
        ("looking", in_phase(looking(false))),
        ("looking, called", in_phase(looking(true))),
        ("looking, in doubt", doubt(looking(false), settled)),
        ("waiting", in_phase(Phase::Waiting { id: id("p1"), looks: 2 })),
    ]
}

fn facts() -> Vec<(&'static str, Fact)> {
    vec![
        ("accepted", Fact::Accepted { id: id("p1") }),
        ("failed, passing", Fact::Failed(Failure::passing("provider_busy", "It is busy."))),
        ("failed, fatal", Fact::Failed(Failure::fatal("provider_refused", "It refuses."))),
        ("unknown", Fact::Unknown { why: "it hung up".into(), repeatable: false }),
        ("unknown, repeatable", Fact::Unknown { why: "it hung up".into(), repeatable: true }),
        ("absent", Fact::Absent),
        ("cannot tell", Fact::CannotTell { why: "it has no list".into() }),
        ("running", Fact::Running { percent: Some(40) }),
        ("silent", Fact::Silent { why: "it hung up".into(), after_ms: Some(5_000) }),
        ("done", Fact::Done { result: json!("f") }),
    ]
}

/// Fails to compile when a fact is added, so that the table is thought of; counts the kinds above.
fn kind(fact: &Fact) -> usize {
    match fact {
        Fact::Accepted { .. } => 0,
        Fact::Failed(_) => 1,
        Fact::Unknown { .. } => 2,
        Fact::Absent => 3,
        Fact::CannotTell { .. } => 4,
        Fact::Running { .. } => 5,
        Fact::Silent { .. } => 6,
        Fact::Done { .. } => 7,
    }
}

fn shown(job: &Job) -> String {
    let how = match &job.phase {
        Phase::Submitting { sends } => format!("submitting {sends}"),
        Phase::Resending { sends } => format!("resending after {sends}"),
        Phase::Asking { asks } => format!("asking {asks}"),
        Phase::Doubting { asks } => format!("doubting after {asks}"),
        Phase::Looking { looks, called, .. } => format!("looking {looks}{}", if *called { ", called" } else { "" }),
        Phase::Waiting { looks, .. } => format!("waiting after {looks}"),
    };
    let doubt = job.in_doubt_since.map_or(String::new(), |since| format!(", in doubt for {}ms", NOW.since_ms(since)));
    let percent = job.percent.map_or(String::new(), |percent| format!(", {percent}%"));
    format!("[{how}{doubt}{percent}]")
}

fn cell(next: Option<Next>) -> String {
    match next {
        None => "-".to_owned(),
        Some(Next::Run(job, leg)) => format!("run {} -> {}", serde_json::to_string(&leg).unwrap(), shown(&job)),
        Some(Next::Rest(job, due)) => format!("rest {}ms -> {}", due.since_ms(NOW), shown(&job)),
        Some(Next::Keep(job)) => format!("go on -> {}", shown(&job)),
        Some(Next::Done(result)) => format!("done {result}"),
        Some(Next::Failed(Failure { code, retryable, .. }, cancel)) => {
            let passing = if retryable { "passing" } else { "fatal" };
            let cancel = cancel.map_or(String::new(), |id| format!(", cancel {}", id.as_str()));
            format!("failed {code}, {passing}{cancel}")
        }
    }
}

#[test]
fn every_phase_meets_every_fact() {
    let mut table = String::new();
    for (name, job) in phases() {
        writeln!(table, "\n== {name}: {}", shown(&job)).unwrap();
        for (said, fact) in facts() {
            let next = job.told(told(fact), NOW, DEADLINE);
            writeln!(table, "{said:<20} {}", cell(Some(next))).unwrap();
        }
        writeln!(table, "{:<20} {}", "rest is over", cell(job.due())).unwrap();
        writeln!(table, "{:<20} {}", "called", cell(Some(job.called(&id("p1"))))).unwrap();
    }
    writeln!(table, "\n== the step's time is over").unwrap();
    for (name, job) in phases().into_iter().filter(|(_, job)| !job.rests()) {
        let late = |fact| cell(Some(job.told(told(fact), NOW, NOW)));
        writeln!(table, "{name:<20} running: {}", late(Fact::Running { percent: None })).unwrap();
        let why = || "it hung up".to_owned();
        writeln!(table, "{name:<20} unknown: {}", late(Fact::Unknown { why: why(), repeatable: true })).unwrap();
        writeln!(table, "{name:<20} silent: {}", late(Fact::Silent { why: why(), after_ms: None })).unwrap();
    }
    insta::assert_snapshot!(table.trim_start());
}

#[test]
fn the_table_has_every_phase_and_every_fact() {
    let phases = phases();
    let shown: std::collections::BTreeSet<&'static str> = phases.iter().map(|(_, job)| (&job.phase).into()).collect();
    let all = ["asking", "doubting", "looking", "resending", "submitting", "waiting"];
    assert_eq!(shown.into_iter().collect::<Vec<_>>(), all);
    let mut said: Vec<usize> = facts().iter().map(|(_, fact)| kind(fact)).collect();
    said.dedup();
    assert_eq!(said, [0, 1, 2, 3, 4, 5, 6, 7]);
}
