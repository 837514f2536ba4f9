//! Payments as their callers see them, and how a call waits for one.

use std::time::{Duration, Instant};

use serde::Serialize;
use utoipa::ToSchema;

use crate::domain::ids::PaymentId;
use crate::domain::payment::{self, documented_status};
use crate::domain::{Address, task};
use crate::http::State;
use crate::http::asking::{SLOW_POLL, wait_for};
use crate::http::caller::Caller;
use crate::http::envelope::rfc3339;
use crate::http::error::Error;
use crate::runtime::watch::Watcher;
use crate::store::payments::{self, Known};

/// A payment.
#[derive(Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub struct PaymentView {
    /// Its id.
    #[schema(example = "payment_123")]
    id: String,
    /// The template that is bought.
    template_code: String,
    /// The customer.
    user_id: String,
    /// `pending`, `completed`, `failed`, `cancelled` or `refunded`.
    status: &'static str,
    /// What it costs, in minor units.
    amount: i64,
    /// The currency.
    #[schema(example = "usd")]
    currency: String,
    /// The gateway's session; null until it is open, and when nothing is to be paid.
    stripe_session_id: Option<String>,
    /// The execution; null until it is paid.
    execution_id: Option<String>,
    /// The task that is the execution; null until it is paid.
    task_id: Option<String>,
    /// Its invoice.
    invoice_id: String,
    /// Its attempt.
    attempt_id: String,
    /// Who is paid.
    receiver_id: String,
    /// What was given back, in minor units.
    refunded_amount: i64,
    /// What a dispute holds back or took, in minor units.
    disputed_amount: i64,
    /// What its receiver has withdrawn, in minor units.
    withdrawn_amount: i64,
    /// A person should look at it, or at its execution.
    attention: bool,
    /// Why the latest attempt to pay was declined, or why it failed.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false)]
    failure: Option<String>,
    /// When it was asked for.
    created_at: String,
}

impl PaymentView {
    /// The payment of `state`.
    #[must_use]
    pub fn of(state: &payment::State, attention: bool) -> Self {
        let executed = state.is_executed();
        Self {
            id: state.id.to_string(),
            template_code: state.template_code.clone(),
            user_id: state.user_id.clone(),
            status: documented_status(state.status, &state.amounts),
            amount: state.price.minor,
            currency: state.price.currency.to_string(),
            stripe_session_id: state.session.as_ref().map(|session| session.id.clone()),
            execution_id: state.execution_id().filter(|_| executed).map(|id| id.to_string()),
            task_id: state.task.as_ref().filter(|_| executed).map(ToString::to_string),
            invoice_id: state.invoice_id().to_string(),
            attempt_id: state.attempt_id().to_string(),
            receiver_id: state.receiver.clone(),
            refunded_amount: state.amounts.refunded,
            disputed_amount: state.amounts.disputed,
            withdrawn_amount: state.withdrawn,
            attention,
            failure: state.failure.clone().or_else(|| state.declined.clone()),
            created_at: rfc3339(state.created_at),
        }
    }
}

/// The session by which a payer knows a payment: the gateway's, or the attempt when nothing is to be paid.
pub(super) fn session_of(state: &payment::State) -> Option<String> {
    let free = || (state.price.minor == 0).then(|| state.attempt_id().to_string());
    state.session.as_ref().map(|session| session.id.clone()).or_else(free)
}

/// Whether a person should look at it: it says so itself, or something of it or of its execution was set aside.
pub(super) async fn needs_attention(state: &State, payment: &payment::State) -> Result<bool, Error> {
    if !payment.attention.is_empty() {
        return Ok(true);
    }
    let own = payment::address(payment.id);
    let execution = payment.task.as_ref().map(task::address);
    let both: Vec<&Address> = std::iter::once(&own).chain(&execution).collect();
    Ok(!state.engine.journal().with_dead(&both).await?.is_empty())
}

/// The payment of that id that `caller` may see.
///
/// # Errors
/// [`Error::NotFound`] when there is none, or it belongs to another: nobody learns which.
pub(super) async fn find(state: &State, caller: &Caller, id: &str) -> Result<Known, Error> {
    let not_found = || Error::NotFound(format!("there is no payment `{}`", id.chars().take(64).collect::<String>()));
    let parsed = PaymentId::parse(id).map_err(|_| not_found())?;
    let known = payments::read(&state.database, parsed).await?;
    let theirs = |payment: &payment::State| caller.may_touch_of(&payment.owner, Some(&payment.user_id));
    known.filter(|known| theirs(&known.state)).ok_or_else(not_found)
}

/// Waits until what `read` gives is as wanted, or the limit is over: what is known then.
pub(in crate::http) async fn wait_until<T>(
    mut news: Option<Watcher>,
    limit: Duration,
    read: impl AsyncFn() -> Result<T, Error>,
    wanted: impl Fn(&T) -> bool,
) -> Result<T, Error> {
    let end = Instant::now() + limit;
    loop {
        let known = read().await?;
        let left = end.saturating_duration_since(Instant::now());
        if wanted(&known) || left.is_zero() {
            return Ok(known);
        }
        match &mut news {
            Some(news) => wait_for(news, left.min(SLOW_POLL)).await,
            None => tokio::time::sleep(left.min(SLOW_POLL)).await,
        }
    }
}
