//! What goes wrong between us and Stripe: every call ends in one of the three ways, and whatever happens there is one
//! effect.

use std::sync::Arc;

use mixvideo::domain::Timestamp;
use mixvideo::domain::gateway::{Answer, Call, Next, Reason, Refund};
use mixvideo::gateway::Gateway as _;
use mixvideo::gateway::stripe::Stripe;
use mixvideo::runtime::clock::Clock;

use super::double::{Double, Fault};
use super::{checkout_of, now, paid, refund_of, stripe, stripe_at};

/// A payment to be refunded, at a double of its own.
async fn refundable() -> (Double, Stripe, String) {
    let double = Double::open().await;
    let stripe = stripe(&double);
    let intent = paid(&double, &stripe, "pay_1").await;
    (double, stripe, intent)
}

fn refunds(double: &Double) -> usize {
    double.world().all("refund").len()
}

fn next<T: std::fmt::Debug>(answer: Answer<T>) -> Next {
    match answer {
        Answer::Unknown(doubt) => doubt.next,
        other => panic!("it is known: {other:?}"),
    }
}

fn done(answer: Answer<Refund>) -> Refund {
    match answer {
        Answer::Accepted(refund) => refund,
        other => panic!("it is not done: {other:?}"),
    }
}

#[tokio::test]
async fn an_answer_that_gets_lost_is_unknown_and_the_repetition_finds_one_refund() {
    for fault in [
        Fault::Html502 { done: true },
        Fault::Html502 { done: false },
        Fault::Reset { done: true },
        Fault::Reset { done: false },
        Fault::Silence { done: true },
        Fault::Silence { done: false },
        Fault::Garbage,
    ] {
        let (double, stripe, intent) = refundable().await;
        let call = Call::first("re_1", now());
        double.fail("/v1/refunds", fault);
        let lost = stripe.refund(&call, &refund_of(&intent, 1_500)).await;
        assert_eq!(next(lost), Next::Repeat, "{fault:?}");
        // Even when Stripe forgot the key meanwhile: it is asked first.
        double.world().forget_keys();
        let again = done(stripe.refund(&call.repeated(), &refund_of(&intent, 1_500)).await);
        assert_eq!((again.refund.as_deref(), refunds(&double)), (Some("re_1"), 1), "{fault:?}");
        double.obeyed();
    }
}

#[tokio::test]
async fn a_partial_refund_whose_key_was_forgotten_is_not_made_twice() {
    let (double, stripe, intent) = refundable().await;
    let call = Call::first("re_1", now());
    double.fail("/v1/refunds", Fault::Reset { done: true });
    assert_eq!(next(stripe.refund(&call, &refund_of(&intent, 500)).await), Next::Repeat);
    double.world().forget_keys();
    done(stripe.refund(&call.repeated(), &refund_of(&intent, 500)).await);
    assert_eq!(refunds(&double), 1);
}

#[tokio::test]
async fn a_key_in_use_is_unknown_until_the_first_call_is_through() {
    let (double, stripe, intent) = refundable().await;
    let call = Call::first("re_1", now());
    double.fail("/v1/refunds", Fault::KeyInUse);
    assert_eq!(next(stripe.refund(&call, &refund_of(&intent, 1_500)).await), Next::Repeat);
    double.fail("/v1/refunds", Fault::KeyInUse);
    assert_eq!(next(stripe.refund(&call.repeated(), &refund_of(&intent, 1_500)).await), Next::Repeat);
    done(stripe.refund(&call.repeated(), &refund_of(&intent, 1_500)).await);
    assert_eq!(refunds(&double), 1);
}

#[tokio::test]
async fn a_failure_that_stripe_keeps_frees_the_way_for_a_new_key_once_it_was_asked() {
    let (double, stripe, intent) = refundable().await;
    let call = Call::first("re_1:1", now());
    double.fail("/v1/refunds", Fault::Stored500);
    assert_eq!(next(stripe.refund(&call, &refund_of(&intent, 1_500)).await), Next::Repeat);
    assert_eq!(next(stripe.refund(&call.repeated(), &refund_of(&intent, 1_500)).await), Next::NewKey);
    done(stripe.refund(&Call::first("re_1:2", now()), &refund_of(&intent, 1_500)).await);
    assert_eq!(refunds(&double), 1);
}

#[tokio::test]
async fn too_many_calls_are_not_done_and_say_when_to_come_back() {
    let (double, stripe, intent) = refundable().await;
    double.fail("/v1/refunds", Fault::TooMany);
    let answer = stripe.refund(&Call::first("re_1", now()), &refund_of(&intent, 1_500)).await;
    let Answer::Rejected(rejection) = answer else { panic!("{answer:?}") };
    assert_eq!(rejection.reason, Reason::Busy { after_ms: Some(2_000) });
    assert_eq!(refunds(&double), 0);
}

#[tokio::test]
async fn the_same_call_twice_is_answered_the_same_and_another_under_its_key_is_unknown() {
    let (double, stripe, intent) = refundable().await;
    let call = Call::first("re_1", now());
    let first = done(stripe.refund(&call, &refund_of(&intent, 500)).await);
    assert_eq!(done(stripe.refund(&call, &refund_of(&intent, 500)).await), first);
    assert_eq!(next(stripe.refund(&call, &refund_of(&intent, 700)).await), Next::Repeat);
    assert_eq!(refunds(&double), 1);
}

/// A clock that stands still.
struct Still(Timestamp);

impl Clock for Still {
    fn now(&self) -> Timestamp {
        self.0
    }
}

#[tokio::test]
async fn a_call_that_is_older_than_keys_are_remembered_is_only_asked_for() {
    let (double, _, intent) = refundable().await;
    let tomorrow = stripe_at(&double, Arc::new(Still(now().plus_ms(23 * 3_600_000 + 60_000))));
    let call = Call::first("re_1", now());
    assert_eq!(next(tomorrow.refund(&call, &refund_of(&intent, 500)).await), Next::AskOnly);
    assert_eq!(refunds(&double), 0);
    done(stripe(&double).refund(&call, &refund_of(&intent, 500)).await);
    assert_eq!(done(tomorrow.refund(&call, &refund_of(&intent, 500)).await).amount, 500);
    assert_eq!(refunds(&double), 1);
}

#[tokio::test]
async fn nobody_there_means_that_nothing_was_done() {
    let double = Double::open().await;
    let (gone, base) = (tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap(), double.base());
    let address = gone.local_addr().unwrap();
    drop(gone);
    let nobody = Stripe::new(&format!("http://{address}"), "sk_test_x".into(), super::LIMIT, Arc::new(Still(now())));
    let answer = nobody.unwrap().account().await;
    assert!(matches!(&answer, Answer::Rejected(no) if no.reason.is_passing()), "{answer:?}");
    let stranger = Stripe::new(&base, "sk_test_wrong".into(), super::LIMIT, Arc::new(Still(now()))).unwrap();
    let answer = stranger.account().await;
    assert!(matches!(&answer, Answer::Rejected(no) if no.reason == Reason::Unauthorized), "{answer:?}");
    assert!(!format!("{answer:?} {stranger:?}").contains("sk_test_wrong"));
}

#[tokio::test]
async fn a_checkout_whose_answer_gets_lost_is_found_again_also_when_its_key_is_forgotten() {
    let double = Double::open().await;
    let stripe = stripe(&double);
    let (call, new) = (Call::first("pay_1:checkout", now()), checkout_of("pay_1"));
    double.fail("/v1/checkout/sessions", Fault::Reset { done: true });
    assert_eq!(next(stripe.open_checkout(&call, &new).await), Next::Repeat);
    double.world().forget_keys();
    let Answer::Accepted(found) = stripe.open_checkout(&call.repeated(), &new).await else { panic!() };
    assert_eq!(found.payment.as_deref(), Some("pay_1"));
    assert_eq!(double.world().all("checkout.session").len(), 1);
    double.obeyed();
}
