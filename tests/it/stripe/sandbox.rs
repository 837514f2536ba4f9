//! The sandbox: its page, its refunds, its webhooks and what it does wrong when it is told to.

use std::sync::Arc;

use mixvideo::domain::gateway::{Answer, Call, Checkout, Next, PaymentStatus, Reason, What};
use mixvideo::gateway::Gateway;
use mixvideo::gateway::sandbox::{self, Deed, Fault, Parts, Sandbox};
use mixvideo::gateway::webhook::SIGNATURE_HEADER;
use mixvideo::runtime::clock::SystemClock;
use mixvideo::runtime::journal::{Journal, Options};
use mixvideo::store::{Database, tables};
use reqwest::{Client, Method, StatusCode, redirect};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpListener;
use tokio::sync::mpsc;
use tokio_util::sync::CancellationToken;

use super::{checkout_of, now, refund_of};
use crate::server::{Server, served};

async fn opened(sandbox: &Sandbox, payment: &str) -> Checkout {
    let call = Call::first(format!("{payment}:checkout"), now());
    match sandbox.open_checkout(&call, &checkout_of(payment)).await {
        Answer::Accepted(checkout) => checkout,
        other => panic!("{other:?}"),
    }
}

/// The sandbox of a database, as every start makes it.
async fn sandbox_of(url: &str, faults: &[Fault]) -> Sandbox {
    let database = Database::open(url).await.unwrap();
    Sandbox::new(Parts {
        database,
        clock: Arc::new(SystemClock),
        public_url: "https://shop.example".into(),
        secret: [7; 32],
        faults: faults.to_vec(),
    })
}

async fn database(directory: &tempfile::TempDir) -> String {
    let url = format!("sqlite://{}", directory.path().join("mixvideo.db").display());
    drop(Journal::open(&Options::new(&url), tables::ALL, 4).await.unwrap());
    url
}

/// Webhooks that came: signature and body.
pub type Coming = mpsc::UnboundedReceiver<(String, Vec<u8>)>;

/// Takes webhooks on a port of its own; `refusals` of the first are answered 500. What came: signature and body.
pub async fn receiver(mut refusals: usize) -> (String, Coming) {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!("http://{}/payment/webhook", listener.local_addr().unwrap());
    let (came, coming) = mpsc::unbounded_channel();
    tokio::spawn(async move {
        while let Ok((mut line, _)) = listener.accept().await {
            let mut head = Vec::new();
            while !head.ends_with(b"\r\n\r\n") {
                head.push(line.read_u8().await.unwrap());
            }
            let head = String::from_utf8(head).unwrap();
            let header = |name: &str| {
                let mut fields = head.lines().filter_map(|line| line.split_once(": "));
                fields.find(|(known, _)| known.eq_ignore_ascii_case(name)).map(|(_, value)| value.to_owned())
            };
            let mut body = vec![0; header("content-length").unwrap().parse().unwrap()];
            line.read_exact(&mut body).await.unwrap();
            let status = if refusals > 0 { "500 No" } else { "200 OK" };
            refusals = refusals.saturating_sub(1);
            let answer = format!("HTTP/1.1 {status}\r\nContent-Length: 0\r\nConnection: close\r\n\r\n");
            line.write_all(answer.as_bytes()).await.unwrap();
            if came.send((header(SIGNATURE_HEADER).unwrap(), body)).is_err() {
                return;
            }
        }
    });
    (url, coming)
}

/// The kinds of the next `count` events, each believed.
async fn kinds(
    sandbox: &Sandbox,
    coming: &mut mpsc::UnboundedReceiver<(String, Vec<u8>)>,
    count: usize,
) -> Vec<String> {
    let mut kinds = Vec::new();
    for _ in 0..count {
        let next = tokio::time::timeout(std::time::Duration::from_secs(20), coming.recv());
        let (signature, body) = next.await.expect("a webhook is missing").unwrap();
        let event = sandbox.webhook_secrets().event(&signature, &body, now()).unwrap();
        if let What::CheckoutCompleted(checkout) = &event.what {
            assert_eq!((checkout.payment_status, checkout.payment.as_deref()), (PaymentStatus::Paid, Some("pay_1")));
        }
        kinds.push(event.kind);
    }
    kinds
}

const PAID: [&str; 3] = ["payment_intent.succeeded", "charge.succeeded", "checkout.session.completed"];

#[actix::test]
async fn webhooks_are_signed_and_sent_until_they_are_taken_also_by_the_next_start() {
    let directory = tempfile::tempdir().unwrap();
    let url = database(&directory).await;
    let sandbox = sandbox_of(&url, &[]).await;
    let checkout = opened(&sandbox, "pay_1").await;
    sandbox.act(&checkout.id, Deed::Pay).await.unwrap().unwrap();
    // It ended before it sent anything; the next start has it all.
    drop(sandbox);
    let sandbox = sandbox_of(&url, &[]).await;
    let (hook, mut coming) = receiver(2).await;
    let stop = CancellationToken::new();
    sandbox::sender::spawn(sandbox.clone(), hook, stop.clone()).unwrap();
    let mut kinds = kinds(&sandbox, &mut coming, 5).await;
    kinds.sort();
    kinds.dedup();
    let mut paid = PAID.to_vec();
    paid.sort_unstable();
    assert_eq!(kinds, paid, "the two that were refused came again");
    stop.cancel();
}

#[actix::test]
async fn webhooks_come_twice_and_the_newest_first_when_they_are_told_to() {
    let directory = tempfile::tempdir().unwrap();
    let url = database(&directory).await;
    let sandbox = sandbox_of(&url, &[Fault::DuplicateWebhooks, Fault::ReorderWebhooks]).await;
    let checkout = opened(&sandbox, "pay_1").await;
    sandbox.act(&checkout.id, Deed::Pay).await.unwrap().unwrap();
    let (hook, mut coming) = receiver(0).await;
    let stop = CancellationToken::new();
    sandbox::sender::spawn(sandbox.clone(), hook, stop.clone()).unwrap();
    let twice = |kind: &str| [kind.to_owned(), kind.to_owned()];
    let expected: Vec<String> = PAID.iter().rev().flat_map(|kind| twice(kind)).collect();
    assert_eq!(kinds(&sandbox, &mut coming, 6).await, expected);
    stop.cancel();
}

#[actix::test]
async fn a_lost_answer_is_found_by_the_repetition_and_a_declined_card_leaves_it_open() {
    let directory = tempfile::tempdir().unwrap();
    let url = database(&directory).await;
    let sandbox = sandbox_of(&url, &[Fault::LostAnswers, Fault::Declined]).await;
    let call = Call::first("pay_1:checkout", now());
    let lost = sandbox.open_checkout(&call, &checkout_of("pay_1")).await;
    assert!(matches!(&lost, Answer::Unknown(doubt) if doubt.next == Next::Repeat), "{lost:?}");
    let Answer::Accepted(found) = sandbox.open_checkout(&call.repeated(), &checkout_of("pay_1")).await else {
        panic!()
    };
    sandbox.act(&found.id, Deed::Pay).await.unwrap().unwrap();
    let seen = sandbox.seen(&found.id).await.unwrap().unwrap();
    assert_eq!((&*seen.status, seen.declined.as_deref()), ("open", Some("Your card was declined.")));
}

#[actix::test]
async fn refunds_keep_stripes_limits_and_the_same_call_is_one_refund() {
    let directory = tempfile::tempdir().unwrap();
    let sandbox = sandbox_of(&database(&directory).await, &[]).await;
    let checkout = opened(&sandbox, "pay_1").await;
    sandbox.act(&checkout.id, Deed::Pay).await.unwrap().unwrap();
    let Answer::Accepted(paid) = sandbox.checkout(&checkout.id).await else { panic!() };
    let intent = paid.payment_intent.unwrap();
    let call = Call::first("re_1", now());
    let Answer::Accepted(first) = sandbox.refund(&call, &refund_of(&intent, 500)).await else { panic!() };
    let Answer::Accepted(again) = sandbox.refund(&call, &refund_of(&intent, 500)).await else { panic!() };
    assert_eq!((&first, first.refund.as_deref()), (&again, Some("re_1")));
    let code = async |key: &str, amount: i64| match sandbox
        .refund(&Call::first(key, now()), &refund_of(&intent, amount))
        .await
    {
        Answer::Rejected(rejection) => (rejection.reason, rejection.code),
        other => panic!("{other:?}"),
    };
    assert_eq!(code("re_2", 1_500).await, (Reason::Invalid, "amount_too_large".into()));
    assert_eq!(code("re_2", 0).await, (Reason::Invalid, "parameter_invalid_integer".into()));
    assert!(matches!(
        sandbox.refund(&Call::first("re_3", now()), &refund_of(&intent, 1_000)).await,
        Answer::Accepted(_)
    ));
    assert_eq!(code("re_4", 1).await, (Reason::Invalid, "charge_already_refunded".into()));
    let Answer::Accepted(all) = sandbox.refunds(&intent).await else { panic!() };
    assert_eq!(all.len(), 2);
    let Answer::Accepted(intent) = sandbox.payment_intent(&intent).await else { panic!() };
    assert_eq!((intent.charges[0].amount_captured, intent.charges[0].amount_refunded), (1_500, 1_500));
}

#[actix::test]
async fn a_session_ends_by_itself_when_its_time_is_over() {
    let directory = tempfile::tempdir().unwrap();
    let sandbox = sandbox_of(&database(&directory).await, &[]).await;
    let mut new = checkout_of("pay_1");
    new.expires_at = now();
    let Answer::Accepted(checkout) = sandbox.open_checkout(&Call::first("k", now()), &new).await else { panic!() };
    let (hook, mut coming) = receiver(0).await;
    let stop = CancellationToken::new();
    sandbox::sender::spawn(sandbox.clone(), hook, stop.clone()).unwrap();
    assert_eq!(kinds(&sandbox, &mut coming, 1).await, ["checkout.session.expired"]);
    let refused = sandbox.act(&checkout.id, Deed::Pay).await.unwrap();
    assert_eq!(refused.unwrap_err().reason, Reason::Invalid);
    stop.cancel();
}

/// A form of the page, as a browser sends it.
async fn press(server: &Server, checkout: &Checkout, deed: &str) -> (StatusCode, String, String) {
    let browser = Client::builder().redirect(redirect::Policy::none()).build().unwrap();
    let path = format!("{}/sandbox/checkout/{}{deed}", server.base, checkout.id);
    let method = if deed.is_empty() { Method::GET } else { Method::POST };
    let answer = browser.request(method, path).send().await.unwrap();
    let to = answer.headers().get("location").map_or("", |to| to.to_str().unwrap()).to_owned();
    (answer.status(), to, answer.text().await.unwrap())
}

#[test]
fn the_page_pays_declines_cancels_and_expires() {
    served(async |server| {
        let checkout = opened(&server.sandbox, "pay_1").await;
        assert_eq!(checkout.url.as_deref(), Some(&*format!("{}/sandbox/checkout/{}", server.base, checkout.id)));
        let (status, _, page) = press(&server, &checkout, "").await;
        assert_eq!(status, 200);
        for part in ["A film &amp; more", "15.00 USD", "/pay\"", "/decline\"", "/cancel\"", "/expire\""] {
            assert!(page.contains(part), "{part}: {page}");
        }
        let own = format!("/sandbox/checkout/{}", checkout.id);
        assert_eq!(press(&server, &checkout, "/decline").await.1, own);
        assert!(press(&server, &checkout, "").await.2.contains("Your card was declined."));
        assert_eq!(press(&server, &checkout, "/cancel").await.1, "https://shop.example/cancel");
        let success = format!("https://shop.example/success?session_id={}", checkout.id);
        for _ in 0..2 {
            let (status, to, _) = press(&server, &checkout, "/pay").await;
            assert_eq!((status.as_u16(), &to), (303, &success), "paying twice pays once");
        }
        assert_eq!(press(&server, &checkout, "/expire").await.0, 409);
        assert!(press(&server, &checkout, "").await.2.contains("Paid."));
        let other = opened(&server.sandbox, "pay_2").await;
        assert_eq!(press(&server, &other, "/expire").await.0, 303);
        let (status, _, page) = press(&server, &other, "/pay").await;
        assert_eq!(status, 409);
        assert!(page.contains("has expired") && !page.contains("<form"), "{page}");
        let unknown = Checkout { id: "cs_test_none".into(), ..other };
        for deed in ["", "/pay", "/decline", "/cancel", "/expire"] {
            assert_eq!(press(&server, &unknown, deed).await.0, 404, "{deed}");
        }
    });
}
