//! The double's webhooks, as our own reading of Stripe's sees them, and the bytes of what is sent again.

use mixvideo::domain::gateway::{Answer, Call, What};
use mixvideo::gateway::Gateway as _;
use mixvideo::gateway::webhook::Secrets;

use super::double::{Delivery, Double, Fault, SECRET};
use super::sandbox::{Coming, receiver};
use super::{checkout_of, now, paid, refund_of, stripe};

/// The kinds of all that came, each believed and read.
async fn kinds(coming: &mut Coming) -> Vec<String> {
    let mut kinds = Vec::new();
    while let Ok((signature, body)) = coming.try_recv() {
        let event = Secrets::parse(SECRET).event(&signature, &body, now()).unwrap();
        if let What::RefundChanged(refund) = &event.what {
            assert_eq!(refund.refund.as_deref(), Some("re_1"));
        }
        kinds.push(event.kind);
    }
    kinds
}

#[tokio::test]
async fn events_come_once_twice_reversed_or_not_at_all() {
    let double = Double::open().await;
    let stripe = stripe(&double);
    let intent = paid(&double, &stripe, "pay_1").await;
    let (hook, mut coming) = receiver(0).await;
    assert_eq!(double.tell(&hook).await, [200, 200, 200]);
    let once = ["payment_intent.succeeded", "charge.succeeded", "checkout.session.completed"];
    assert_eq!(kinds(&mut coming).await, once);
    for (delivery, expected) in [
        (Delivery::Once, &["refund.created", "charge.refunded"][..]),
        (Delivery::Twice, &["refund.created", "refund.created", "charge.refunded", "charge.refunded"]),
        (Delivery::Reversed, &["charge.refunded", "refund.created"]),
        (Delivery::Dropped, &[]),
    ] {
        double.world().delivery = delivery;
        let call = Call::first(format!("{delivery:?}"), now());
        assert!(matches!(stripe.refund(&call, &refund_of(&intent, 1)).await, Answer::Accepted(_)));
        double.tell(&hook).await;
        assert_eq!(kinds(&mut coming).await, expected, "{delivery:?}");
    }
    double.obeyed();
}

#[tokio::test]
async fn what_is_sent_again_is_the_same_bytes_under_the_same_key() {
    let double = Double::open().await;
    let stripe = stripe(&double);
    let (call, mut new) = (Call::first("pay_1:checkout", now()), checkout_of("pay_1"));
    new.ids = (0..20).map(|n| (format!("id_{n}"), n.to_string())).collect();
    double.fail("/v1/checkout/sessions", Fault::KeyInUse);
    for call in [&call, &call, &call, &call] {
        let _whatever_comes_back = stripe.open_checkout(call, &new).await;
    }
    let world = double.world();
    let posts: Vec<_> =
        world.seen.iter().filter(|seen| seen.path == "/v1/checkout/sessions" && seen.method == "POST").collect();
    assert!(posts.len() >= 3, "{posts:?}");
    for post in &posts {
        assert_eq!((&post.body, post.key.as_deref()), (&posts[0].body, Some("pay_1:checkout")));
    }
    assert_eq!(world.all("checkout.session").len(), 1);
}
