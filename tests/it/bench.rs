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

#[tokio::test]
async fn refunds_of_many_payments_and_of_one_succeed_and_give_back_what_was_asked_for() {
    let service = Service::sqlite().await;
    let small = ["--refunds", "12", "--hot-refunds", "30", "--connections", "8"];
    let told = service.told(&[&["bench", "refunds", "--json"], &small[..]].concat()).await;
    let report: serde_json::Value = serde_json::from_str(&told).unwrap();
    let left = |of: &str| {
        let found = &report["refunds"][of];
        ["accepted", "refused", "succeeded", "failed", "givenBack"].map(|name| found[name].clone())
    };
    assert_eq!(left("onceEach"), [json!(12), json!(0), json!(12), json!(0), json!(36)], "{report}");
    assert_eq!(left("hot"), [json!(30), json!(0), json!(30), json!(0), json!(90)], "{report}");
    for of in ["onceEach", "hot"] {
        let found = &report["refunds"][of];
        assert_eq!((&found["refusal"], &found["failure"]), (&json!(null), &json!(null)), "{report}");
        assert_eq!(found["answer"]["count"], found["accepted"], "{report}");
        let rates = ["acceptedPerSecond", "succeededPerSecond"].map(|name| found[name].as_f64().unwrap());
        assert!(rates[1] > 0.0 && rates[0] >= rates[1], "they succeed by the last answer or later: {report}");
    }
}
