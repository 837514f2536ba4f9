//! Checkouts and refunds when all goes well, and Stripe's limits in its own words.

use mixvideo::domain::gateway::{Answer, Call, CheckoutStatus, PaymentStatus, Reason, RefundStatus};
use mixvideo::gateway::Gateway as _;

use super::double::Double;
use super::{checkout_of, now, paid, refund_of, stripe};

#[tokio::test]
async fn a_checkout_is_opened_read_paid_and_expired() {
    let double = Double::open().await;
    let stripe = stripe(&double);
    let call = Call::first("pay_1:checkout", now());
    let Answer::Accepted(session) = stripe.open_checkout(&call, &checkout_of("pay_1")).await else { panic!() };
    assert_eq!((session.status, session.payment_status), (CheckoutStatus::Open, PaymentStatus::Unpaid));
    assert_eq!((session.amount_total, session.payment.as_deref()), (Some(1_500), Some("pay_1")));
    assert!(session.url.is_some());
    let intent = double.world().pay(&session.id);
    let Answer::Accepted(paid) = stripe.checkout(&session.id).await else { panic!() };
    assert_eq!((paid.status, paid.payment_status), (CheckoutStatus::Complete, PaymentStatus::Paid));
    assert_eq!(paid.payment_intent.as_deref(), Some(&*intent));
    let Answer::Accepted(intent) = stripe.payment_intent(&intent).await else { panic!() };
    assert_eq!((intent.amount_received, intent.payment.as_deref()), (1_500, Some("pay_1")));
    assert_eq!((intent.charges.len(), intent.charges[0].amount_captured), (1, 1_500));
    let late = stripe.expire_checkout(&Call::first("pay_1:expire", now()), &session.id).await;
    let Answer::Rejected(late) = late else { panic!("{late:?}") };
    assert_eq!(late.reason, Reason::Invalid);
    let other = Call::first("pay_2:checkout", now());
    let Answer::Accepted(other) = stripe.open_checkout(&other, &checkout_of("pay_2")).await else { panic!() };
    let Answer::Accepted(gone) = stripe.expire_checkout(&Call::first("pay_2:expire", now()), &other.id).await else {
        panic!()
    };
    assert_eq!(gone.status, CheckoutStatus::Expired);
    double.obeyed();
}

#[tokio::test]
async fn refunds_end_where_the_money_does_in_stripes_own_words() {
    let double = Double::open().await;
    let stripe = stripe(&double);
    let intent = paid(&double, &stripe, "pay_1").await;
    let first = stripe.refund(&Call::first("re_1", now()), &refund_of(&intent, 500)).await;
    let Answer::Accepted(first) = first else { panic!("{first:?}") };
    assert_eq!((first.amount, first.status, first.refund.as_deref()), (500, RefundStatus::Succeeded, Some("re_1")));
    let more = stripe.refund(&Call::first("re_2", now()), &refund_of(&intent, 1_500)).await;
    let Answer::Rejected(more) = more else { panic!("{more:?}") };
    assert_eq!(more.reason, Reason::Invalid);
    assert_eq!(more.message, "Refund amount ($15.00) is greater than unrefunded amount on charge ($10.00)");
    let rest = stripe.refund(&Call::first("re_3", now()), &refund_of(&intent, 1_000)).await;
    assert!(matches!(rest, Answer::Accepted(_)), "{rest:?}");
    let none = stripe.refund(&Call::first("re_4", now()), &refund_of(&intent, 1)).await;
    let Answer::Rejected(none) = none else { panic!("{none:?}") };
    assert_eq!((none.reason, &*none.code), (Reason::Invalid, "charge_already_refunded"));
    let Answer::Accepted(all) = stripe.refunds(&intent).await else { panic!() };
    assert_eq!(all.iter().map(|refund| refund.amount).collect::<Vec<_>>(), [1_000, 500], "the newest first");
    double.obeyed();
}

#[tokio::test]
async fn lists_are_read_to_their_end_over_one_connection() {
    let double = Double::open().await;
    let stripe = stripe(&double);
    let intent = paid(&double, &stripe, "pay_1").await;
    for n in 0..101 {
        let answer = stripe.refund(&Call::first(format!("re_{n}"), now()), &refund_of(&intent, 1)).await;
        assert!(matches!(answer, Answer::Accepted(_)), "{answer:?}");
    }
    let Answer::Accepted(all) = stripe.refunds(&intent).await else { panic!() };
    assert_eq!(all.len(), 101);
    let world = double.world();
    assert_eq!(world.connections, 1, "a TLS handshake for each call would cost more than the call");
    assert!(world.seen.iter().all(|call| call.version == "2026-09-30.endive"));
    let keyless = world.seen.iter().filter(|call| call.method == "POST" && call.key.is_none()).count();
    assert_eq!(keyless, 0);
}

#[tokio::test]
async fn an_id_that_is_none_never_becomes_part_of_an_address() {
    let double = Double::open().await;
    let stripe = stripe(&double);
    for id in ["", "..", "../account", "cs_1/expire", "cs_1?x=1", "cs 1"] {
        let answer = stripe.checkout(id).await;
        assert!(matches!(&answer, Answer::Rejected(no) if no.reason == Reason::Missing), "{id}: {answer:?}");
    }
    assert_eq!(double.world().seen.len(), 0);
    let unknown = stripe.checkout("cs_unknown").await;
    assert!(matches!(&unknown, Answer::Rejected(no) if no.reason == Reason::Missing), "{unknown:?}");
}
