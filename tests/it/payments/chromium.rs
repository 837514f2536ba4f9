//! What a customer sees and clicks, in a real browser: the shop, a card that is declined, one that is not, the bar, the
//! video.

use std::process::Stdio;
use std::time::Duration;

use rustix::process::Signal;
use serde_json::{Value, json};
use tokio::io::{AsyncBufReadExt, BufReader, Lines};
use tokio::process::{ChildStdout, Command};

use crate::crash::service::{Service, longer_film, png, signal, until};
use crate::oidc::provider::directory;

/// Far longer than anything here takes on a busy machine.
const LIMIT: Duration = Duration::from_secs(120);

/// The next thing that the payer has seen.
async fn seen(lines: &mut Lines<BufReader<ChildStdout>>) -> Value {
    let line = tokio::time::timeout(LIMIT, lines.next_line()).await.expect("the browser goes on").unwrap();
    serde_json::from_str(&line.expect("the browser failed: see its output")).unwrap()
}

#[tokio::test]
async fn a_customer_chooses_pays_watches_the_bar_and_plays_the_video_in_a_browser() {
    let mut service = Service::sqlite().await;
    service.define("video-generation-workflow.toml", &longer_film());
    service.start_with_templates().await;
    let caller = service.caller.clone();
    let picture = tempfile::Builder::new().suffix(".png").tempfile().unwrap();
    std::fs::write(picture.path(), png()).unwrap();

    let mut browser = Command::new("node");
    browser.arg("buy.mjs").arg(format!("{}/sandbox/shop", caller.base())).arg("Photo to Video").arg(picture.path());
    browser.args(std::env::var_os("SCREENSHOTS"));
    let mut browser = browser.current_dir(directory()).kill_on_drop(true).stdout(Stdio::piped()).spawn().unwrap();
    let mut lines = BufReader::new(browser.stdout.take().unwrap()).lines();

    let shop = seen(&mut lines).await;
    assert_eq!((&shop["price"], &shop["shown"]), (&json!("10.00 USD"), &json!(64)), "{shop}");
    assert!(shop["offers"].as_u64().unwrap() > 5, "{shop}");
    let checkout = seen(&mut lines).await;
    assert!(checkout["page"].as_str().unwrap().contains("Sandbox: no money moves."), "{checkout}");
    assert!(checkout["declined"].as_str().unwrap().contains("declined"), "{checkout}");
    let listed = caller.get("/ops/actors?kind=payment").await.data().clone();
    let payment = format!("/{}", listed["actors"][0]["id"].as_str().unwrap());
    let ordered = caller.get(&payment).await.data().clone();
    assert_eq!(ordered["userId"], "sandbox-customer", "{ordered}");

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
    assert!(film["moved"].as_f64().unwrap() > 1.0, "it plays: {ready}");
    assert!((film["seconds"].as_f64().unwrap() - 2.0).abs() < 0.2, "{ready}");
    assert_eq!((&ready["complaints"], &ready["elsewhere"]), (&json!([]), &json!([])), "{ready}");
    assert!(tokio::time::timeout(LIMIT, browser.wait()).await.expect("the browser ends").unwrap().success());
    assert_eq!(service.terminate().await, Some(0));
}
