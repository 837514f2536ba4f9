//! Stripe's own SDK, driven against the double: what it accepts is not just our opinion of Stripe.

use std::process::Stdio;

use tokio::process::Command;

use super::double::{Double, KEY, SECRET};

#[tokio::test(flavor = "multi_thread")]
async fn stripes_own_sdk_works_with_the_double() {
    let double = Double::open().await;
    let program = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/stripe/sdk.mjs");
    let mut child = Command::new("node")
        .args([program, &double.address.port().to_string(), KEY, SECRET])
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .kill_on_drop(true)
        .spawn()
        .expect("node is missing: install Node.js 20.15 or newer");
    // It says when the payer is to pay: a line with the session's id; and it is told of the events.
    let (mut lines, mut told) = (tokio::io::BufReader::new(child.stdout.take().unwrap()), child.stdin.take().unwrap());
    let mut session = String::new();
    tokio::io::AsyncBufReadExt::read_line(&mut lines, &mut session).await.unwrap();
    let session = session.trim();
    if session.starts_with("cs_") {
        double.world().pay(session);
        let event = double.world().events.last().unwrap().to_string();
        tokio::io::AsyncWriteExt::write_all(&mut told, format!("{event}\n").as_bytes()).await.unwrap();
    }
    drop(told);
    let output = child.wait_with_output().await.unwrap();
    let said = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{session}\n{said}");
    double.obeyed();
}
