//! Refunds: how many a second when each is of another payment of one receiver, and when all are of one payment.
//!
//! The payments are paid for in the sandbox: a refund there ends by itself, while one of money that came elsewhere waits
//! for an operator to say how it ended, and that would be measured too.

use std::rc::Rc;
use std::time::{Duration, Instant};

use futures_util::{StreamExt as _, TryStreamExt as _, stream};
use serde::Serialize;
use serde_json::json;
use strum::IntoEnumIterator as _;

use super::checkouts::{self, Checkout, NOTHING, OPENED_AT_ONCE, Template};
use super::child::Child;
use super::http::{self, Connection};
use super::load::Quantiles;
use super::measure::{closed, sound};
use super::rows::Rows;
use crate::cli::Error;
use crate::domain::refund::{State, Status};
use crate::runtime::clock::{Clock, SystemClock};
use crate::store::sandbox::FAMILY_MAX;

/// What each refund gives back, in minor units: not one, so that a sum is told from a count.
const PART: u64 = 3;
/// Refunds of one payment, at most: the sandbox keeps its session, its intent and its charge with them.
pub(super) const HOT_REFUNDS_MAX: u64 = FAMILY_MAX - 3;
/// What the one payment is for: a credit costs at least one minor unit, so it is large enough for all its refunds.
const DEAR: Template = Template { code: "bench-dear", credits: PART * FAMILY_MAX };

const COMPLETED: &str = "SELECT COUNT(*) FROM payments WHERE status = 'completed'";
const SUCCEEDED: &str = "SELECT COUNT(*) FROM refunds WHERE status = 'succeeded'";
const FAILED: &str = "SELECT COUNT(*) FROM refunds WHERE status <> 'succeeded'";
const IN_REFUNDS: &str = "SELECT CAST(COALESCE(SUM(amount), 0) AS BIGINT) FROM refunds WHERE status = 'succeeded'";
const IN_PAYMENTS: &str = "SELECT CAST(COALESCE(SUM(refunded), 0) AS BIGINT) FROM payments";
const IN_LEDGER: &str = "SELECT CAST(COALESCE(SUM(amount), 0) AS BIGINT) FROM ledger WHERE cause = 'refund'";

/// How much is asked for.
#[derive(Clone, Copy, Debug)]
pub(super) struct Amounts {
    /// Payments that are refunded once each.
    pub payments: u64,
    /// Refunds of one payment.
    pub hot: u64,
}

/// What was found.
#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct Refunds {
    /// One refund of each of many payments of one receiver.
    pub once_each: Found,
    /// As many refunds of one payment.
    pub hot: Found,
}

/// Refunds that were asked for, and what became of them.
#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct Found {
    /// Calls answered with 200.
    pub accepted: u64,
    /// Others.
    pub refused: u64,
    /// What the first of those said.
    pub refusal: Option<String>,
    /// Accepted ones a second, to the last answer.
    pub accepted_per_second: f64,
    /// A call to its answer.
    pub answer: Quantiles,
    /// Refunds that succeeded, counted in SQL.
    pub succeeded: u64,
    /// Refunds that ended otherwise, counted in SQL.
    pub failed: u64,
    /// Why the first of those did.
    pub failure: Option<String>,
    /// Until all had ended, in seconds.
    pub seconds: f64,
    /// Succeeded ones a second, until all had ended.
    pub succeeded_per_second: f64,
    /// What they gave back in minor units, as refunds, payments and ledger say alike.
    pub given_back: u64,
}

/// Has a part of each of many payments refunded, then as many parts of one payment.
pub(super) async fn refunds(
    target: &Child,
    amounts: Amounts,
    connections: usize,
    limit: Duration,
) -> Result<Refunds, Error> {
    let database = target.database.as_ref();
    let database = database.ok_or_else(|| Error::Failed("refunds are counted in SQL: give --count-in".into()))?;
    let desk = Desk { target, rows: Rows::open(database).await?, connections, limit };
    let calls = desk.paid(NOTHING, amounts.payments).await?;
    let once_each = desk.refund(amounts.payments, calls).await?;
    let calls = desk.paid(DEAR, 1).await?;
    let hot = desk.refund(amounts.hot, calls).await?;
    Ok(Refunds { once_each, hot })
}

/// Where refunds are asked for.
struct Desk<'a> {
    target: &'a Child,
    rows: Rows,
    connections: usize,
    limit: Duration,
}

impl Desk<'_> {
    /// Pays for `count` of a template and waits until all of them are executed; the call that refunds a part of each.
    async fn paid(&self, bought: Template, count: u64) -> Result<Vec<Rc<[u8]>>, Error> {
        let until = Instant::now() + self.limit;
        let completed = self.rows.number(COMPLETED).await? + count;
        let opened = checkouts::open(self.target, bought, count).await?;
        stream::iter(&opened).map(|one| self.pay(one)).buffer_unordered(OPENED_AT_ONCE).try_collect::<()>().await?;
        let executed = self.rows.wait(COMPLETED, |found| found >= completed, until).await?;
        executed.ok_or_else(|| self.late("payments were not completed"))?;
        self.rows.nothing_outstanding(until).await?.ok_or_else(|| self.late("work was left"))?;
        let body = json!({ "reason": "user_request", "amount": PART }).to_string();
        let call = |one: &Checkout| {
            self.target.request("POST", &format!("/payment/refund/{}", one.payment), Some(&body)).into()
        };
        Ok(opened.iter().map(call).collect())
    }

    async fn pay(&self, checkout: &Checkout) -> Result<(), Error> {
        let call = http::request("POST", &format!("/sandbox/checkout/{}/pay", checkout.session), None, None);
        let mut connection = Connection::new(self.target.address);
        match connection.call(&call).await {
            Ok((303, _)) => Ok(()),
            Ok((status, _)) => Err(Error::Failed(format!("the sandbox was not paid, but answered {status}"))),
            Err(error) => Err(Error::Failed(format!("the sandbox was not paid: {error}"))),
        }
    }

    /// Makes `count` calls in turn, waits until every refund has ended, and compares what that left.
    async fn refund(&self, count: u64, calls: Vec<Rc<[u8]>>) -> Result<Found, Error> {
        let before = Left::read(&self.rows).await?;
        let (began, since) = (Instant::now(), SystemClock.now());
        let until = began + self.limit;
        let call = move |number: u64| calls[usize::try_from(number).unwrap_or_default() % calls.len()].clone();
        let seen = sound(closed(self.target.address, self.connections, count, until, call).await)?;
        let ended = self.rows.wait(&open(), |found| found == 0, until).await?;
        let seconds = (ended.ok_or_else(|| self.late("refunds had not ended"))? - began).as_secs_f64();
        // Payments and accounts are told by whoever has ended.
        self.rows.nothing_outstanding(until).await?.ok_or_else(|| self.late("work was left"))?;
        let left = Left::read(&self.rows).await?.since(before);
        left.is_exact(seen.accepted)?;
        let failure = if left.failed == 0 { None } else { Some(self.failure(since.0).await?) };
        Ok(Found {
            accepted: seen.accepted,
            refused: seen.failed,
            refusal: seen.failure,
            accepted_per_second: seen.accepted as f64 / seen.took.as_secs_f64(),
            answer: seen.times.quantiles(),
            succeeded: left.succeeded,
            failed: left.failed,
            failure,
            seconds,
            succeeded_per_second: left.succeeded as f64 / seconds,
            given_back: left.in_refunds,
        })
    }

    /// Why the first refund failed of those that were asked for since a time.
    async fn failure(&self, since: i64) -> Result<String, Error> {
        let first = format!(
            "SELECT state FROM refunds WHERE status <> 'succeeded' AND created_at >= {since} ORDER BY created_at LIMIT 1"
        );
        let state: State = serde_json::from_str(&self.rows.text(&first).await?)
            .map_err(|error| Error::Failed(format!("a refund that failed cannot be read: {error}")))?;
        Ok(state.failure.map_or_else(|| format!("it is {}", <&str>::from(state.status)), |failure| failure.message))
    }

    fn late(&self, what: &str) -> Error {
        Error::Failed(format!("{what} after {} s: --limit allows more", self.limit.as_secs()))
    }
}

/// Counts up to one refund that has not ended.
fn open() -> String {
    let names =
        Status::iter().filter(|status| !status.is_settled()).map(|status| format!("'{}'", <&str>::from(status)));
    let names = names.collect::<Vec<_>>().join(", ");
    format!("SELECT COUNT(*) FROM (SELECT 1 FROM refunds WHERE status IN ({names}) LIMIT 1) AS one")
}

/// What refunds left in the tables; sums are in minor units.
#[derive(Clone, Copy, Debug)]
struct Left {
    succeeded: u64,
    failed: u64,
    in_refunds: u64,
    in_payments: u64,
    in_ledger: u64,
}

impl Left {
    async fn read(rows: &Rows) -> Result<Self, Error> {
        Ok(Self {
            succeeded: rows.number(SUCCEEDED).await?,
            failed: rows.number(FAILED).await?,
            in_refunds: rows.number(IN_REFUNDS).await?,
            in_payments: rows.number(IN_PAYMENTS).await?,
            in_ledger: rows.number(IN_LEDGER).await?,
        })
    }

    fn since(self, before: Self) -> Self {
        Self {
            succeeded: self.succeeded.saturating_sub(before.succeeded),
            failed: self.failed.saturating_sub(before.failed),
            in_refunds: self.in_refunds.saturating_sub(before.in_refunds),
            in_payments: self.in_payments.saturating_sub(before.in_payments),
            in_ledger: self.in_ledger.saturating_sub(before.in_ledger),
        }
    }

    /// Every refund that was accepted ended, and what succeeded was given back once in every book. A call that was refused
    /// may have left a refund that failed.
    fn is_exact(&self, accepted: u64) -> Result<(), Error> {
        let Self { succeeded, failed, .. } = *self;
        if !(accepted.saturating_sub(failed)..=accepted).contains(&succeeded) {
            return Err(Error::Failed(format!(
                "{accepted} refunds were accepted, but {succeeded} succeeded and {failed} failed"
            )));
        }
        let books = [("refunds", self.in_refunds), ("payments", self.in_payments), ("ledger", self.in_ledger)];
        match books.into_iter().find(|(_, minor)| *minor != succeeded * PART) {
            Some((book, minor)) => Err(Error::Failed(format!(
                "{succeeded} refunds of {PART} succeeded, but {minor} were given back as the {book} say"
            ))),
            None => Ok(()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const TEN: Left = Left { succeeded: 10, failed: 0, in_refunds: 30, in_payments: 30, in_ledger: 30 };

    #[test]
    fn what_was_accepted_ended_and_was_given_back_in_every_book() {
        assert!(TEN.is_exact(10).is_ok());
        assert!(Left { failed: 2, ..TEN }.is_exact(12).is_ok(), "some were accepted and failed");
        assert!(Left { failed: 2, ..TEN }.is_exact(10).is_ok(), "some were refused once they were written down");
    }

    #[test]
    fn a_refund_that_is_missing_or_was_not_asked_for_is_told() {
        for (left, accepted) in [(TEN, 11), (TEN, 9), (Left { failed: 1, ..TEN }, 12)] {
            let told = left.is_exact(accepted).unwrap_err().to_string();
            assert!(told.contains(&format!("{accepted} refunds were accepted, but 10 succeeded")), "{told}");
        }
    }

    #[test]
    fn a_book_that_says_otherwise_is_told() {
        let wrong = [
            ("refunds", Left { in_refunds: 27, ..TEN }),
            ("payments", Left { in_payments: 33, ..TEN }),
            ("ledger", Left { in_ledger: 60, ..TEN }),
        ];
        for (book, left) in wrong {
            let told = left.is_exact(10).unwrap_err().to_string();
            assert!(told.contains(&format!("as the {book} say")), "{told}");
        }
    }

    #[test]
    fn only_refunds_that_go_on_are_waited_for() {
        assert!(open().contains("'requested'") && open().contains("'outcome_unknown'"), "{}", open());
        assert!(!open().contains("'succeeded'") && !open().contains("'failed'"), "{}", open());
    }
}
