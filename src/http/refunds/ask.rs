//! What every face does: it finds the payment, sees what can be seen to be refused, has the refund born once, and waits
//! for how it ends.

use std::time::Duration;

use actix_web::http::StatusCode;
use serde::Serialize;
use serde_json::{Map, Value};

use crate::domain::Address;
use crate::domain::ids::{PaymentId, RefundId};
use crate::domain::money::Money;
use crate::domain::payment;
use crate::domain::refund::{self, Message, Request};
use crate::http::State;
use crate::http::body::Fields;
use crate::http::caller::Caller;
use crate::http::envelope::Reply;
use crate::http::error::Error;
use crate::http::idempotency::{Made, Once, replayed};
use crate::http::payment::METADATA_KEYS_MAX;
use crate::http::payment::view::wait_until;
use crate::http::wish::Desk;
use crate::runtime::journal::MessageId;
use crate::store::payments;
use crate::store::refunds::{self, Known};

/// How long a call waits for how a refund ends.
pub const LIMIT: Duration = Duration::from_secs(10);
/// What may be kept with a refund, in bytes of JSON.
const METADATA_BYTES_MAX: usize = 16 * 1024;

/// A refund that was asked for.
#[derive(Debug)]
pub struct Asked {
    /// How it stands.
    pub known: Known,
    /// The same request came before.
    pub replayed: bool,
}

impl Asked {
    /// The answer that shows it.
    ///
    /// # Errors
    /// [`Error::Internal`] when it cannot be written as JSON.
    pub fn reply(&self, message: &str, shown: &impl Serialize) -> Result<Reply, Error> {
        let reply = Reply::new(StatusCode::OK, message, shown)?.no_store();
        Ok(if self.replayed { replayed(reply) } else { reply })
    }
}

/// The payment `id` when it is there and `is_theirs`; the caller named it `named`.
///
/// # Errors
/// [`Error::NotFound`] when there is none, or it belongs to another: nobody learns which.
pub async fn find(
    state: &State,
    id: Option<PaymentId>,
    named: &str,
    is_theirs: impl FnOnce(&payment::State) -> bool,
) -> Result<payment::State, Error> {
    let known = match id {
        Some(id) => payments::read(&state.database, id).await?,
        None => None,
    };
    let theirs = known.map(|known| known.state).filter(is_theirs);
    theirs
        .ok_or_else(|| Error::NotFound(format!("there is no payment `{}`", named.chars().take(64).collect::<String>())))
}

/// Whether `caller` may have it refunded: their own, and what a receiver was paid that they act for.
pub fn is_theirs(caller: &Caller, payment: &payment::State) -> bool {
    caller.may_touch_of(&payment.owner, Some(&payment.user_id)) || caller.may_act_for_receiver(&payment.receiver)
}

/// What is to be kept with a refund.
///
/// # Errors
/// [`Error::Internal`] when it cannot be written as JSON.
pub fn metadata(fields: &mut Fields<'_>) -> Result<Map<String, Value>, Error> {
    let Some(metadata) = fields.object("metadata") else { return Ok(Map::new()) };
    if metadata.len() > METADATA_KEYS_MAX {
        fields.fault("metadata", format!("must have at most {METADATA_KEYS_MAX} keys"));
    }
    if serde_json::to_string(metadata).map_err(Error::internal)?.len() > METADATA_BYTES_MAX {
        fields.fault("metadata", format!("must have at most {METADATA_BYTES_MAX} bytes"));
    }
    Ok(metadata.clone())
}

/// What can be seen to be refused before anything is written; the payment itself has the last word. `field` is where the
/// face reads the amount.
///
/// # Errors
/// Why it is refused.
pub fn refusal(payment: &payment::State, field: &str, minor: Option<i64>) -> Result<(), Error> {
    confirmed(payment)?;
    not_withdrawn(payment)?;
    within(payment, field, minor)
}

/// Money came.
///
/// # Errors
/// [`Error::BadRequest`].
pub fn confirmed(payment: &payment::State) -> Result<(), Error> {
    match payment.amounts.captured {
        0 => Err(Error::BadRequest(format!("nothing was paid for payment {}", payment.id))),
        _ => Ok(()),
    }
}

/// It is still here, on a rail where withdrawn money is gone.
///
/// # Errors
/// [`Error::BadRequest`].
pub fn not_withdrawn(payment: &payment::State) -> Result<(), Error> {
    if payment.is_withdrawn() && payment.rail.ends_at_withdrawal() {
        return Err(Error::BadRequest(format!("payment {} was withdrawn by its receiver", payment.id)));
    }
    Ok(())
}

/// Something is left of it, and enough.
///
/// # Errors
/// [`Error::BadRequest`]; [`Error::Invalid`] for an amount beyond what is left.
pub fn within(payment: &payment::State, field: &str, minor: Option<i64>) -> Result<(), Error> {
    let left = Money::new(payment.amounts.remainder(), payment.price.currency);
    if left.minor == 0 {
        return Err(Error::BadRequest(format!("nothing is left of payment {} to refund", payment.id)));
    }
    if minor.is_some_and(|minor| minor > left.minor) {
        return Err(Error::field(field, format!("must not be more than the {left} left of payment {}", payment.id)));
    }
    Ok(())
}

/// Has the refund born, unless the same request had one born meanwhile.
///
/// # Errors
/// Why nothing was written.
pub async fn bear(once: &Once<'_>, request: Request) -> Result<Made, Error> {
    let address = refund::address(request.id);
    let body = serde_json::to_string(&Message::Request(Box::new(request))).map_err(Error::internal)?;
    once.bear(address, MessageId::from("request"), body).await
}

/// The same, and how it ended, or how it stands once the limit is over.
///
/// # Errors
/// Why nothing was written, or why the payment refuses it.
pub async fn ask(desk: &Desk, once: &Once<'_>, request: Request) -> Result<Asked, Error> {
    let id = request.id;
    match bear(once, request).await? {
        Made::Now => Ok(Asked { known: ended(&desk.state, id).await?, replayed: false }),
        Made::Before(first) => again(desk, &first).await,
    }
}

/// The same request came before: how its refund ended, or stands once the limit is over.
///
/// # Errors
/// Why the payment refused it; a read that failed.
pub async fn again(desk: &Desk, first: &Address) -> Result<Asked, Error> {
    Ok(Asked { known: ended(&desk.state, id_of(first)?).await?, replayed: true })
}

/// The refund that a claim leads to.
///
/// # Errors
/// [`Error::Internal`] when it leads to something else.
pub fn id_of(first: &Address) -> Result<RefundId, Error> {
    RefundId::parse(first.key()).map_err(Error::internal)
}

/// A refund that was born.
///
/// # Errors
/// A read that failed.
pub async fn read(state: &State, id: RefundId) -> Result<Known, Error> {
    let known = refunds::read(&state.database, id).await?;
    known.ok_or_else(|| Error::internal(format!("refund {id} is gone")))
}

/// How a refund ended, or stands once the limit is over.
///
/// # Errors
/// Why the payment refused it; a read that failed.
pub async fn ended(state: &State, id: RefundId) -> Result<Known, Error> {
    let news = state.engine.watch(&refund::address(id)).ok();
    answered(wait_until(news, LIMIT, async || read(state, id).await, |known| is_decided(&known.state)).await?)
}

/// A refund as its caller is told of it: one that was refused is none.
///
/// # Errors
/// Why it was refused.
pub fn answered(known: Known) -> Result<Known, Error> {
    match &known.state.failure {
        Some(failure) if failure.is_refusal() => Err(Error::BadRequest(failure.message.clone())),
        Some(_) | None => Ok(known),
    }
}

/// What a refund is promised, for a face that shows none without its amount.
///
/// # Errors
/// [`Error::Unavailable`] as long as its payment has not answered.
pub fn promised(refund: &refund::State) -> Result<Money, Error> {
    refund.amount.ok_or_else(|| {
        Error::unavailable(
            format!(
                "refund {} still waits for its payment and goes on by itself: repeat the request under the same key or \
                 number",
                refund.request.id
            ),
            2,
        )
    })
}

/// Whether waiting longer tells nothing new: it has ended, or a person is to say how it ends.
pub fn is_decided(refund: &refund::State) -> bool {
    refund.status.is_settled() || refund.waits_for_operator()
}

#[cfg(test)]
mod tests {
    use uuid::Uuid;

    use super::*;
    use crate::domain::refund::{Reason, RefundMachine};
    use crate::domain::{Machine as _, Moment, Timestamp};

    #[test]
    fn who_asks_before_the_payment_has_answered_is_told_to_come_back() {
        let (id, payment) = (RefundId::new(Uuid::from_u128(1)), PaymentId::new(Uuid::from_u128(2)));
        let request = Request::new(id, payment, Reason::Duplicate, "client:shop".into());
        let moment = Moment { now: Timestamp(1), version: 1 };
        let born = RefundMachine.apply(None, Message::Request(Box::new(request)), moment).unwrap().state.unwrap();
        let told = promised(&born).unwrap_err();
        assert!(matches!(told, Error::Unavailable { .. }) && told.to_string().contains(&id.to_string()), "{told}");
    }
}
