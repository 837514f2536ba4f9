//! Our side of Stripe against a stand-in of other people's making (npm `emulate`): its hosted page and its signed webhooks.
//!
//! It is thinner than Stripe: it knows no `price_data`, its sessions lack most fields, and its events have no id. What our
//! code makes of that is what it should make of any Stripe that does not speak as Stripe does: it acts upon nothing.

use std::path::Path;
use std::process::Stdio;
use std::sync::Arc;
use std::time::Duration;

use mixvideo::domain::gateway::{Answer, Call, Reason};
use mixvideo::gateway::Gateway as _;
use mixvideo::gateway::stripe::Stripe;
use mixvideo::gateway::webhook::{Error, SIGNATURE_HEADER, Secrets, WEBHOOK_PATH};
use mixvideo::runtime::clock::SystemClock;
use reqwest::redirect::Policy;
use reqwest::{Client, Method};
use serde_json::Value;
use tokio::io::{AsyncBufReadExt, BufReader};
use tokio::process::{Child, Command};

use super::double::{KEY, SECRET};
use super::sandbox::receiver;
use super::{LIMIT, checkout_of, now};
use crate::server::{send, served_by};

/// Far longer than anything here takes on a busy machine.
const PATIENCE: Duration = Duration::from_secs(60);

/// Starts it; where it is, and its process, which ends with the test.
async fn start(hook: &str) -> (String, Child) {
    let directory = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/emulate");
    assert!(directory.join("node_modules/emulate").exists(), "run `bash tests/run.sh`: it installs the stand-in");
    let mut command = Command::new("node");
    command.args(["stripe.mjs", hook, SECRET]).current_dir(directory).kill_on_drop(true);
    let mut child = command.stdin(Stdio::null()).stdout(Stdio::piped()).spawn().unwrap();
    let mut lines = BufReader::new(child.stdout.take().unwrap()).lines();
    let line = tokio::time::timeout(PATIENCE, lines.next_line()).await.expect("it listens in time");
    let line = line.unwrap().expect("it says where it listens");
    (line.strip_prefix("listens on ").unwrap_or_else(|| panic!("{line}")).to_owned(), child)
}

#[actix::test]
async fn a_page_of_others_is_paid_and_what_its_webhook_says_is_believed_only_as_far_as_it_goes() {
    let (hook, mut coming) = receiver(0).await;
    let (base, _child) = start(&hook).await;
    let stripe = Stripe::new(&base, KEY.into(), LIMIT, Arc::new(SystemClock)).unwrap();

    // It wants a price that it knows: a refusal in Stripe's own form, and so it is understood.
    let call = Call::first("pay_1:checkout", now());
    let Answer::Rejected(refused) = stripe.open_checkout(&call, &checkout_of("pay_1")).await else { panic!() };
    assert_eq!(refused.reason, Reason::Invalid);
    assert!(refused.message.contains("line_items[0][price]"), "{}", refused.message);

    // Opened by hand, it is paid on its hosted page, as a browser does that.
    let http = Client::builder().redirect(Policy::none()).build().unwrap();
    let form = [("mode", "payment"), ("metadata[payment_id]", "pay_1"), ("success_url", "https://shop.example/done")];
    let opened = http.post(format!("{base}/v1/checkout/sessions")).bearer_auth(KEY).form(&form).send().await.unwrap();
    let session: Value = serde_json::from_slice(&opened.bytes().await.unwrap()).unwrap();
    let id = session["id"].as_str().unwrap();
    let page = http.get(format!("{base}/checkout/{id}")).send().await.unwrap().text().await.unwrap();
    assert!(page.contains(&format!("action=\"/checkout/{id}/complete\"")), "{page}");
    let paid = http.post(format!("{base}/checkout/{id}/complete")).send().await.unwrap();
    assert!(paid.status().is_redirection(), "{}", paid.status());
    // Its session cannot be read, which says nothing of whether it is paid.
    let seen = stripe.checkout(id).await;
    assert!(matches!(seen, Answer::Unknown(_)), "{seen:?}");

    // Its webhook is signed as Stripe's are. Without an id, nobody could tell whether it came before.
    let (signature, body) = tokio::time::timeout(PATIENCE, coming.recv()).await.expect("it comes").unwrap();
    let secrets = Secrets::parse(SECRET);
    assert_eq!(secrets.verify(&signature, &body, now()), Ok(()));
    assert_eq!(Secrets::parse("whsec_other").verify(&signature, &body, now()), Err(Error::Forged));
    let event: Value = serde_json::from_slice(&body).unwrap();
    assert_eq!((&event["type"], &event["data"]["object"]["id"]), (&"checkout.session.completed".into(), &id.into()));
    served_by((Arc::new(stripe), secrets), async |server| {
        let post = server.bare(Method::POST, WEBHOOK_PATH).header(SIGNATURE_HEADER, signature).body(body);
        let answer = send(post).await;
        assert_eq!(
            (answer.status.as_u16(), answer.message()),
            (400, "The webhook is no event: the event has no usable `id`")
        );
        let inputs = server.get_as(&server.operator, "/ops/actors?kind=input").await;
        assert_eq!(inputs.data()["total"], 0, "nothing is acted upon");
    })
    .await;
}
