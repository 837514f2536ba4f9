//! Payments through Stripe and the sandbox: calls whose answers get lost, templates, webhooks, and the double of Stripe
//! that they are tried against, which is itself held to account by Stripe's description and its own SDK.

pub mod double;
mod emulate;
mod events;
mod faults;
mod recorded;
mod refunds;
mod sandbox;
mod sdk;
mod templates;

use std::sync::Arc;
use std::time::Duration;

use mixvideo::domain::Timestamp;
use mixvideo::domain::gateway::{Answer, Call, NewCheckout, NewRefund};
use mixvideo::gateway::Gateway as _;
use mixvideo::gateway::stripe::Stripe;
use mixvideo::gateway::webhook::Secrets;
use mixvideo::runtime::clock::{Clock, SystemClock};

use crate::server::{Server, served_by};
use double::{Double, KEY, SECRET};

/// How long a call may take in these tests.
const LIMIT: Duration = Duration::from_secs(4);

fn now() -> Timestamp {
    SystemClock.now()
}

/// A client of the double whose clock is `clock`.
fn stripe_at(double: &Double, clock: Arc<dyn Clock>) -> Stripe {
    Stripe::new(&double.base(), KEY.into(), LIMIT, clock).unwrap()
}

fn stripe(double: &Double) -> Stripe {
    stripe_at(double, Arc::new(SystemClock))
}

/// Runs a test against a server whose payments go through a double of Stripe.
pub fn selling<F: Future<Output = ()>>(test: impl FnOnce(Arc<Server>, Double) -> F) {
    actix::System::new().block_on(async {
        let double = Double::open().await;
        let rail = (Arc::new(stripe(&double)) as _, Secrets::parse(SECRET));
        served_by(rail, |server| test(server, double.clone())).await;
        double.obeyed();
    });
}

fn checkout_of(payment: &str) -> NewCheckout {
    NewCheckout {
        payment: payment.into(),
        amount: 1_500,
        currency: "usd".into(),
        name: "A film & more".into(),
        success_url: "https://shop.example/success?session_id={CHECKOUT_SESSION_ID}".into(),
        cancel_url: "https://shop.example/cancel".into(),
        expires_at: now().plus_ms(3_600_000),
        ids: [("task_id".to_owned(), "task_1".to_owned())].into(),
    }
}

/// A payment of 15.00 USD that is paid: the gateway's id of it.
async fn paid(double: &Double, stripe: &Stripe, payment: &str) -> String {
    let call = Call::first(format!("{payment}:checkout"), now());
    let Answer::Accepted(session) = stripe.open_checkout(&call, &checkout_of(payment)).await else { panic!() };
    double.world().pay(&session.id)
}

fn refund_of(payment_intent: &str, amount: i64) -> NewRefund {
    NewRefund { refund: "re_1".into(), payment: "pay_1".into(), payment_intent: payment_intent.into(), amount }
}
