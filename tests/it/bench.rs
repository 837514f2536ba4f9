//! `mixvideo bench` in small: what it counts is right; its figures are for another day.

use serde_json::json;

use crate::crash::service::Service;

#[tokio::test]
async fn deliveries_of_the_same_events_leave_one_transition_for_each_event() {
    let service = Service::sqlite().await;
    let small = ["--payments", "6", "--events", "30", "--deliveries", "120", "--connections", "8"];
    let told = service.told(&[&["bench", "webhooks", "--json"], &small[..]].concat()).await;
    let report: serde_json::Value = serde_json::from_str(&told).unwrap();
    let found = &report["webhooks"];
    let left = |of: &str| ["accepted", "failed", "inputs", "transitions"].map(|name| found[of][name].clone());
    assert_eq!(left("distinct"), [json!(30), json!(0), json!(30), json!(30)], "{report}");
    assert_eq!(left("repeated"), [json!(120), json!(0), json!(6), json!(6)], "{report}");
    assert_eq!((&found["completed"], &found["executed"]), (&json!(6), &json!(6)), "{report}");
    assert!(found["distinct"]["acceptedPerSecond"].as_f64().unwrap() > 0.0, "{report}");
}
