//! `/metrics`: the figures of `/health` in Prometheus' text format.

use std::fmt::{Display, Write as _};

use actix_web::HttpResponse;
use actix_web::http::header;
use actix_web::web::Data;

use super::health::{Health, gather};
use super::{State, openapi};

/// The figures of `/health` for Prometheus.
#[utoipa::path(get, path = "/metrics", tag = "health",
    responses((status = 200, description = "Figures", content_type = "text/plain", body = String), openapi::Operating))]
pub(super) async fn metrics(state: Data<State>) -> HttpResponse {
    HttpResponse::Ok()
        .insert_header((header::CACHE_CONTROL, "no-store"))
        .content_type("text/plain; version=0.0.4; charset=utf-8")
        .body(text(&gather(&state).await))
}

struct Page(String);

impl Page {
    fn family(&mut self, name: &str, kind: &str, help: &str) {
        self.write(format_args!("# HELP mixvideo_{name} {help}\n# TYPE mixvideo_{name} {kind}\n"));
    }

    fn sample(&mut self, name: &str, labels: &[(&str, &str)], value: impl Display) {
        let labels: Vec<String> =
            labels.iter().map(|(label, value)| format!("{label}=\"{}\"", escaped(value))).collect();
        let braces = if labels.is_empty() { String::new() } else { format!("{{{}}}", labels.join(",")) };
        self.write(format_args!("mixvideo_{name}{braces} {value}\n"));
    }

    fn single(&mut self, name: &str, kind: &str, help: &str, value: impl Display) {
        self.family(name, kind, help);
        self.sample(name, &[], value);
    }

    fn write(&mut self, text: std::fmt::Arguments<'_>) {
        self.0.write_fmt(text).expect("a String takes every text");
    }
}

fn escaped(value: &str) -> String {
    value.replace('\\', "\\\\").replace('"', "\\\"").replace('\n', "\\n")
}

fn text(health: &Health) -> String {
    let mut page = Page(String::new());
    page.single("up", "gauge", "1 while the service works.", u8::from(health.status != "down"));
    page.family("actors", "gauge", "Actors by kind and state.");
    for (kind, states) in &health.actors {
        for (status, count) in states {
            page.sample("actors", &[("kind", kind), ("status", status)], count);
        }
    }
    page.family("messages_waiting", "gauge", "Outstanding messages and activities by lane.");
    for (lane, figures) in &health.lanes {
        page.sample("messages_waiting", &[("lane", lane)], figures.waiting);
    }
    page.family("mailbox_messages", "gauge", "Messages that the mailboxes hold, by lane.");
    for (lane, figures) in &health.lanes {
        page.sample("mailbox_messages", &[("lane", lane)], figures.in_mailboxes);
    }
    let oldest = health.oldest_message_age_ms.unwrap_or(0) as f64 / 1e3;
    page.single("oldest_message_age_seconds", "gauge", "How long the oldest message that is due has waited.", oldest);
    if let Some(quarantined) = health.quarantined {
        page.single("quarantined", "gauge", "Messages that were set aside and wait for a person.", quarantined);
    }
    page.single("restarts_total", "counter", "Supervisors that were started again.", health.restarts);
    page.single("partitions_silent", "gauge", "Partitions that do not answer.", health.silent_partitions.len());
    if let Some(heard) = health.nodes.heard_ms_ago {
        page.single("nodes", "gauge", "Nodes that live.", health.nodes.living());
        page.single("partitions_owned", "gauge", "Partitions that this node owns.", health.nodes.owned_here());
        let heard = heard as f64 / 1e3;
        page.single("leases_age_seconds", "gauge", "For how long this node has heard nothing of the leases.", heard);
    }
    page.single("activities_running", "gauge", "Activities running.", health.running);
    page.single("permits_waiting", "gauge", "Activities that wait for a permit of their key.", health.permits.waiting);
    if let Some(everywhere) = &health.permits.everywhere {
        page.family(
            "permits_of_all_nodes",
            "gauge",
            "Activities with a key on all nodes, by whether they hold a permit.",
        );
        page.sample("permits_of_all_nodes", &[("state", "running")], everywhere.running);
        page.sample("permits_of_all_nodes", &[("state", "waiting")], everywhere.waiting);
    }
    let away = health.permits.unavailable_for_ms.unwrap_or(0) as f64 / 1e3;
    page.single("permits_unavailable_seconds", "gauge", "For how long shared permits cannot be had.", away);
    page.family("key_waiting", "gauge", "Activities that wait, by key: those for which most do.");
    for key in &health.busiest_keys {
        page.sample("key_waiting", &[("key", &key.key)], key.waiting);
    }
    page.family("key_permits_taken", "gauge", "Permits in use, by key: those for which most wait.");
    for key in &health.busiest_keys {
        page.sample("key_permits_taken", &[("key", &key.key), ("limit", &key.limit.to_string())], key.taken);
    }
    if let Some(redis) = &health.redis {
        page.single("redis_up", "gauge", "1 while Redis answers.", u8::from(redis.away_for_ms.is_none()));
        page.single("redis_hears", "gauge", "1 while news of other nodes arrive.", u8::from(redis.hears));
        let help = "How often Redis was found restarted or replaced.";
        page.single("redis_renewals_total", "counter", help, redis.renewals);
    }
    page.single("actors_in_memory", "gauge", "Actors in memory.", health.actors_in_memory);
    page.single("watched", "gauge", "Actors that clients watch.", health.watched);
    let limits = &health.limits;
    page.family("calls_refused_total", "counter", "Calls that were refused by their limits, by class.");
    for (class, count) in &limits.refused {
        page.sample("calls_refused_total", &[("class", class)], count);
    }
    let help = "Tasks that were refused because their owner has too many under way.";
    page.single("tasks_refused_total", "counter", help, limits.refused_unfinished);
    let help = "Clients whose bodies did not arrive in time.";
    page.single("slow_clients_cut_total", "counter", help, limits.slow_clients_cut);
    page.single("connections", "gauge", "Connections that are open.", limits.connections);
    let away = limits.unavailable_for_ms.unwrap_or(0) as f64 / 1e3;
    page.single("limits_unavailable_seconds", "gauge", "For how long limits are not shared by the nodes.", away);
    let commits = &health.commits;
    page.single("commits_total", "counter", "Commits of the journal.", commits.commits);
    page.single("commit_units_total", "counter", "Decisions in the commits of the journal.", commits.units);
    page.single("commit_waiting", "gauge", "Decisions that wait to be written.", commits.waiting);
    page.single("commit_size_max", "gauge", "Decisions in the largest of the latest commits.", commits.size_max);
    page.family("commit_seconds", "summary", "How long the latest commits took.");
    for (quantile, ms) in [("0.5", commits.latency_ms_p50), ("0.99", commits.latency_ms_p99)] {
        page.sample("commit_seconds", &[("quantile", quantile)], ms / 1e3);
    }
    page.0
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn labels_cannot_break_out() {
        let mut page = Page(String::new());
        page.sample("x", &[("a", "b\"c\\d\ne")], 1);
        assert_eq!(page.0, "mixvideo_x{a=\"b\\\"c\\\\d\\ne\"} 1\n");
    }
}
