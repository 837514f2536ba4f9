//! What a payer sees and clicks, in a real browser: a card that is declined, one that is not, the bar, the video.

use std::process::Stdio;
use std::time::Duration;

use reqwest::Method;
use rustix::process::Signal;
use serde_json::{Value, json};
use tokio::io::{AsyncBufReadExt, BufReader, Lines};
use tokio::process::{ChildStdout, Command};

use crate::crash::service::{Service, data_url, longer_film, png, signal, until};
use crate::oidc::provider::directory;

/// Far longer than anything here takes on a busy machine.
const LIMIT: Duration = Duration::from_secs(120);

/// The next thing that the payer has seen.
async fn seen(lines: &mut Lines<BufReader<ChildStdout>>) -> Value {
    let line = tokio::time::timeout(LIMIT, lines.next_line()).await.expect("the browser goes on").unwrap();
    serde_json::from_str(&line.expect("the browser failed: see its output")).unwrap()
}

#[tokio::test]
async fn a_payer_pays_in_a_browser_watches_the_bar_and_plays_the_video() {
    let mut service = Service::sqlite().await;
    service.define("video-generation-workflow.toml", &longer_film());
    service.start_with_templates().await;
    let caller = service.caller.clone();
    let order = json!({ "userId": "user_123", "metadata": { "imageUrl": data_url(&png()) } });
    let checkout = caller.request(Method::POST, "/payment/checkout/photo-to-video").json(&order);
    let opened = caller.ask(checkout).await.unwrap();
    let text = |field: &str| opened.data()[field].as_str().unwrap().to_owned();
    let (payment, url) = (format!("/payment/{}", text("paymentId")), text("url"));

    let mut browser = Command::new("node");
    browser.arg("buy.mjs").arg(&url).current_dir(directory()).kill_on_drop(true).stdout(Stdio::piped());
    let mut browser = browser.spawn().unwrap();
    let mut lines = BufReader::new(browser.stdout.take().unwrap()).lines();

    let checkout = seen(&mut lines).await;
    assert!(checkout["page"].as_str().unwrap().contains("Sandbox: no money moves."), "{checkout}");
    assert!(checkout["declined"].as_str().unwrap().contains("declined"), "{checkout}");
    assert_eq!(caller.get(&payment).await.data()["status"], "pending");

    until("it is paid", async || caller.get(&payment).await.data()["executionId"].is_string()).await;
    let task = caller.get(&payment).await.data()["taskId"].as_str().unwrap().to_owned();
    until("its task is born", async || caller.get(&format!("/task/{task}")).await.status == 200).await;
    // Held until the payer has seen that it is being made.
    let worker = service.hold(&task).await;
    let making = seen(&mut lines).await;
    assert_eq!(making["title"], "Paid. It is being made", "{making}");
    let (value, max) = (making["value"].as_f64().unwrap(), making["max"].as_f64().unwrap());
    assert!((0.0..100.0).contains(&value) && max == 100.0, "{making}");
    signal(worker, Signal::CONT);

    let ready = seen(&mut lines).await;
    assert_eq!((&ready["title"], &ready["bars"]), (&json!("It is ready"), &json!(0)), "{ready}");
    let film = &ready["film"];
    assert_eq!((&film["width"], &film["height"], &film["ended"]), (&json!(640), &json!(360), &json!(true)), "{ready}");
    assert!((film["seconds"].as_f64().unwrap() - 2.0).abs() < 0.2, "{ready}");
    assert_eq!((&ready["complaints"], &ready["elsewhere"]), (&json!([]), &json!([])), "{ready}");
    assert!(tokio::time::timeout(LIMIT, browser.wait()).await.expect("the browser ends").unwrap().success());
    assert_eq!(service.terminate().await, Some(0));
}
