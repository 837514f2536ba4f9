//! Calls to the gateway of payments, as the machines of payments and refunds order them.
//!
//! A call never fails as an activity: what the gateway answered, silence included, is a [`Fact`]. What is ordered is in
//! the journal before it is sent; a run that cannot know whether one before it sent says so, and the gateway is asked
//! first.

use serde::Serialize;
use serde_json::Value;

use crate::domain::Failure;
use crate::domain::gateway::{
    Answer, Checkout, CheckoutStatus, Doubt, Ids, NewCheckout, NewRefund, Next, PaymentStatus, Reason, Refund,
    RefundStatus, Rejection,
};
use crate::domain::ids::RefundId;
use crate::domain::money::{Currency, Money};
use crate::domain::rail::{self, Ask, Call, Fact, GatewayRefund, OpenSession, Session, SessionStatus};
use crate::domain::{gateway, ids::PaymentId};
use crate::gateway::Gateway;
use crate::runtime::activity::{Beginning, Work};

/// Carries out the call that `work` orders.
pub(super) async fn run(gateway: Option<&dyn Gateway>, work: &Work) -> Result<Value, Failure> {
    let call: Call = serde_json::from_str(&work.input).map_err(|error| {
        Failure::fatal("call_unreadable", format!("the call to the gateway cannot be read: {error}"))
    })?;
    let gateway = gateway.ok_or_else(|| Failure::passing("no_gateway", "no gateway of payments is configured"))?;
    // What only reads may be repeated blindly.
    let again = match call.ask {
        Ask::OpenSession(_) | Ask::Refund { .. } => call.again || work.begin().await == Beginning::Again,
        Ask::ReadSession { .. } | Ask::ExpireSession { .. } | Ask::ListRefunds { .. } => call.again,
    };
    value(&carry_out(gateway, Call { again, ..call }).await)
}

fn value(fact: &impl Serialize) -> Result<Value, Failure> {
    serde_json::to_value(fact).map_err(|error| Failure::fatal("fact_unwritable", error.to_string()))
}

/// Makes one call and says what it found out.
pub async fn carry_out(gateway: &dyn Gateway, call: Call) -> Fact {
    let sent = gateway::Call { key: call.key, first_sent: call.first_sent_at, again: call.again };
    match call.ask {
        Ask::OpenSession(open) => fact(gateway.open_checkout(&sent, &new_checkout(open)).await, session),
        Ask::ReadSession { session: id } => fact(gateway.checkout(&id).await, session),
        Ask::ExpireSession { session: id } => fact(gateway.expire_checkout(&sent, &id).await, session),
        Ask::Refund { intent, amount, refund, payment } => {
            let new = NewRefund {
                refund: refund.to_string(),
                payment: payment.to_string(),
                payment_intent: intent,
                amount: amount.minor,
            };
            fact(gateway.refund(&sent, &new).await, |refund| read_refund(refund).map(Fact::Refund))
        }
        Ask::ListRefunds { intent } => fact(gateway.refunds(&intent).await, |refunds| {
            refunds.into_iter().map(read_refund).collect::<Option<Vec<_>>>().map(Fact::Refunds)
        }),
    }
}

fn fact<T>(answer: Answer<T>, read: impl FnOnce(T) -> Option<Fact>) -> Fact {
    match answer {
        Answer::Accepted(known) => read(known).unwrap_or_else(|| Fact::Unknown {
            why: "the gateway answered with an amount or a currency that cannot be read".to_owned(),
            spent: false,
        }),
        Answer::Rejected(Rejection { reason, code, message }) => match reason {
            Reason::Declined | Reason::Invalid | Reason::Missing => Fact::Rejected { code, message },
            Reason::Busy { after_ms } => {
                Fact::NotDone { why: message, retry_after_ms: after_ms.and_then(|ms| u64::try_from(ms).ok()) }
            }
            Reason::Unauthorized => {
                tracing::error!(%message, "the gateway does not take our key: payments wait");
                Fact::NotDone { why: message, retry_after_ms: None }
            }
        },
        Answer::Unknown(Doubt { next, why }) => Fact::Unknown { why, spent: next == Next::NewKey },
    }
}

fn new_checkout(open: OpenSession) -> NewCheckout {
    let OpenSession { payment, price, name, success_url, cancel_url, expires_at } = open;
    NewCheckout {
        payment: payment.to_string(),
        amount: price.minor,
        currency: price.currency.to_string(),
        name,
        success_url,
        cancel_url,
        expires_at,
        ids: Ids::new(),
    }
}

fn session(checkout: Checkout) -> Option<Fact> {
    read_session(checkout).map(Fact::Session)
}

/// A session in the machine's words; `None` when it is paid in no currency that can be read.
#[must_use]
pub fn read_session(checkout: Checkout) -> Option<Session> {
    let is_paid = matches!(checkout.payment_status, PaymentStatus::Paid | PaymentStatus::NoPaymentRequired);
    let paid = match (is_paid, checkout.amount_total, checkout.currency.as_deref()) {
        (false, ..) => None,
        (true, Some(minor), Some(currency)) => Some(Money::new(minor, Currency::parse(currency).ok()?)),
        (true, ..) => return None,
    };
    let status = match checkout.status {
        CheckoutStatus::Open | CheckoutStatus::Other => SessionStatus::Open,
        CheckoutStatus::Complete => SessionStatus::Complete,
        CheckoutStatus::Expired => SessionStatus::Expired,
    };
    Some(Session { id: checkout.id, url: checkout.url, status, paid, intent: checkout.payment_intent })
}

fn read_refund(refund: Refund) -> Option<GatewayRefund> {
    let status = match refund.status {
        RefundStatus::Pending | RefundStatus::RequiresAction | RefundStatus::Other => rail::RefundStatus::Pending,
        RefundStatus::Succeeded => rail::RefundStatus::Succeeded,
        RefundStatus::Failed | RefundStatus::Canceled => rail::RefundStatus::Failed,
    };
    Some(GatewayRefund {
        id: refund.id,
        refund: refund.refund.and_then(|id| RefundId::parse(&id).ok()),
        amount: Money::new(refund.amount, Currency::parse(&refund.currency).ok()?),
        status,
        reason: refund.failure_reason,
    })
}

/// The payment that a gateway's object names as ours.
#[must_use]
pub fn payment_of(named: Option<&str>) -> Option<PaymentId> {
    named.and_then(|id| PaymentId::parse(id).ok())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn checkout(payment_status: PaymentStatus, currency: Option<&str>) -> Checkout {
        Checkout {
            id: "cs_1".into(),
            url: None,
            status: CheckoutStatus::Complete,
            payment_status,
            amount_total: Some(1000),
            currency: currency.map(str::to_owned),
            payment_intent: Some("pi_1".into()),
            payment: None,
            expires_at: None,
        }
    }

    #[test]
    fn a_session_is_paid_only_when_the_gateway_says_so() {
        let usd = Currency::parse("usd").unwrap();
        let paid = |status, currency| read_session(checkout(status, currency)).map(|session| session.paid);
        assert_eq!(paid(PaymentStatus::Paid, Some("usd")), Some(Some(Money::new(1000, usd))));
        assert_eq!(paid(PaymentStatus::Unpaid, Some("usd")), Some(None));
        assert_eq!(paid(PaymentStatus::Other, Some("usd")), Some(None));
        assert_eq!(paid(PaymentStatus::Paid, None), None, "money of no currency is no fact yet");
    }

    #[test]
    fn a_refund_that_was_cancelled_has_failed() {
        let refund = |status| Refund {
            id: "re_1".into(),
            payment_intent: None,
            charge: None,
            amount: 5,
            currency: "usd".into(),
            status,
            failure_reason: None,
            refund: None,
        };
        let read = |status| read_refund(refund(status)).map(|refund| refund.status);
        assert_eq!(read(RefundStatus::Canceled), Some(rail::RefundStatus::Failed));
        assert_eq!(read(RefundStatus::RequiresAction), Some(rail::RefundStatus::Pending));
    }

    #[test]
    fn an_answer_of_the_gateway_is_one_fact() {
        let of = |answer: Answer<()>| fact(answer, |()| None);
        let rejected = |reason| of(Answer::Rejected(Rejection { reason, code: "c".into(), message: "m".into() }));
        assert!(matches!(rejected(Reason::Invalid), Fact::Rejected { .. }));
        assert!(matches!(rejected(Reason::Unauthorized), Fact::NotDone { .. }), "it may be sent again");
        assert!(matches!(rejected(Reason::Busy { after_ms: Some(5) }), Fact::NotDone { retry_after_ms: Some(5), .. }));
        let doubt = |next| of(Answer::Unknown(Doubt { next, why: "w".into() }));
        assert!(matches!(doubt(Next::Repeat), Fact::Unknown { spent: false, .. }));
        assert!(matches!(doubt(Next::NewKey), Fact::Unknown { spent: true, .. }));
        assert!(matches!(of(Answer::Accepted(())), Fact::Unknown { .. }));
    }
}
