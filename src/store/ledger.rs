//! The books: what an account holds, and whether accounts, postings, payments and refunds say the same.

use std::collections::BTreeMap;

use mixvideo_entities::{account, payment as payments, refund as refunds};
use sea_orm::{
    ColumnTrait, ConnectionTrait, DatabaseConnection, DbErr, EntityTrait, QueryFilter, QueryOrder, QuerySelect,
    Statement,
};
use serde::Serialize;
use serde::de::DeserializeOwned;
use strum::IntoEnumIterator as _;

use super::Database;
use crate::domain::account::{Balances, Bucket, State};
use crate::domain::money::{Currency, Money};
use crate::domain::{Timestamp, payment, refund};

/// Rows read in one go.
const PAGE: u64 = 500;
/// How often an account that changes while it is looked at is looked at again.
const LOOKS_MAX: u32 = 20;
/// Faults that are told, at most: the first ones say what went wrong.
const FAULTS_MAX: usize = 100;

/// What a receiver's account holds of a currency; nothing when there is none.
///
/// # Errors
/// A read that failed, or an account that cannot be read.
pub async fn balances(database: &Database, receiver: &str, currency: Currency) -> Result<Balances, super::Error> {
    let find = account::Entity::find_by_id(receiver);
    let row = database.read("read an account", async |db| find.one(db).await).await?;
    let Some(row) = row else { return Ok(Balances::default()) };
    let state: State = serde_json::from_str(&row.state).map_err(|error| super::Error::Corrupt {
        table: "accounts",
        id: row.id,
        what: format!("a state: {error}"),
    })?;
    Ok(state.of(currency))
}

/// What an audit of the books found.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Books {
    /// Accounts that were looked at.
    pub accounts: u64,
    /// Postings in the ledger.
    pub postings: u64,
    /// Payments that were looked at.
    pub payments: u64,
    /// Messages between payments, refunds and accounts that were on their way: while there are any, what these say of each
    /// other is not compared.
    pub under_way: u64,
    /// What is wrong, a sentence each, at most 100.
    pub faults: Vec<String>,
    /// What accounts, payments and refunds say of each other: wrong only if nothing moved meanwhile.
    #[serde(skip)]
    disagreements: Vec<String>,
}

impl Books {
    fn fault(&mut self, sentence: String) {
        if self.faults.len() < FAULTS_MAX {
            self.faults.push(sentence);
        }
    }

    fn disagreement(&mut self, sentence: String) {
        if self.disagreements.len() < FAULTS_MAX {
            self.disagreements.push(sentence);
        }
    }
}

/// Audits the books: every posting balances, every account is the sum of its postings and they are nothing together, the
/// limit holds for every payment, and, when nothing is on its way, accounts say what payments and refunds say.
///
/// # Errors
/// A read that failed.
pub async fn audit(db: &DatabaseConnection, now: Timestamp) -> Result<Books, DbErr> {
    const COUNT: &str = "SELECT COUNT(*) FROM ledger";
    let mut books = Books { postings: number(db, COUNT).await?, ..Books::default() };
    books.under_way = under_way(db, now).await?;
    postings_balance(db, &mut books).await?;
    limits_hold(db, &mut books).await?;
    let mut held: BTreeMap<Currency, i64> = BTreeMap::new();
    let mut after = String::new();
    loop {
        let find = account::Entity::find().filter(account::Column::Id.gt(&after)).order_by_asc(account::Column::Id);
        let page = find.limit(PAGE).all(db).await?;
        let Some(last) = page.last() else { break };
        after.clone_from(&last.id);
        for row in page {
            books.accounts += 1;
            let Some(state) = read::<State>(&mut books, "account", &row.id, &row.state) else { continue };
            account_is_its_postings(db, &mut books, &row.id).await?;
            payments_agree(db, &mut books, &row.id, &state).await?;
            for (currency, balances) in &state.balances {
                let sum = held.entry(*currency).or_default();
                *sum = sum.saturating_add(balances.reserved);
            }
        }
    }
    refunds_agree(db, &mut books, &held).await?;
    // Something may have moved since the first look: then what they say of each other was not said at one moment.
    let moved = number(db, COUNT).await?.saturating_sub(books.postings);
    books.under_way = books.under_way.max(under_way(db, now).await?).max(moved);
    if books.under_way == 0 {
        for sentence in std::mem::take(&mut books.disagreements) {
            books.fault(sentence);
        }
    }
    Ok(books)
}

fn read<S: DeserializeOwned>(books: &mut Books, what: &str, id: &str, state: &str) -> Option<S> {
    match serde_json::from_str(state) {
        Ok(state) => Some(state),
        Err(error) => {
            books.fault(format!("{what} {id} cannot be read: {error}"));
            None
        }
    }
}

/// Messages that are due and wait to be decided on by whoever keeps money. Timers that rest are none.
async fn under_way(db: &DatabaseConnection, now: Timestamp) -> Result<u64, DbErr> {
    let of = |kind: &str| format!("(target >= '{kind}/' AND target < '{kind}0')");
    let kinds = [of("account"), of("payment"), of("refund")].join(" OR ");
    number(db, &format!("SELECT COUNT(*) FROM outbox WHERE lane = 'decide' AND due <= {} AND ({kinds})", now.0)).await
}

async fn postings_balance(db: &DatabaseConnection, books: &mut Books) -> Result<(), DbErr> {
    for id in texts(db, "SELECT id FROM ledger WHERE amount <= 0 OR debit = credit LIMIT 100").await? {
        books.fault(format!("posting {id} does not balance"));
    }
    let orphans = "SELECT DISTINCT actor FROM ledger WHERE actor NOT IN (SELECT id FROM accounts) LIMIT 100";
    for receiver in texts(db, orphans).await? {
        books.fault(format!("there are postings of {receiver}, who has no account"));
    }
    Ok(())
}

async fn limits_hold(db: &DatabaseConnection, books: &mut Books) -> Result<(), DbErr> {
    let beyond = "SELECT id FROM payments WHERE refunded + reserved + disputed > captured + over_refunded LIMIT 100";
    for id in texts(db, beyond).await? {
        books.fault(format!("payment {id} has promised or given back more than it brought"));
    }
    Ok(())
}

async fn account_is_its_postings(db: &DatabaseConnection, books: &mut Books, receiver: &str) -> Result<(), DbErr> {
    for _ in 0..LOOKS_MAX {
        let look = async || account::Entity::find_by_id(receiver).one(db).await;
        let Some(before) = look().await? else { return Ok(()) };
        let sums = sums(db, books, receiver).await?;
        if look().await?.is_some_and(|after| after.version == before.version) {
            let Some(state) = read::<State>(books, "account", receiver, &before.state) else { return Ok(()) };
            compare(books, receiver, &state, &sums);
            return Ok(());
        }
    }
    books.fault(format!("the account of {receiver} changes too fast to be looked at"));
    Ok(())
}

/// What the postings of a receiver add up to.
async fn sums(
    db: &DatabaseConnection,
    books: &mut Books,
    receiver: &str,
) -> Result<BTreeMap<Currency, Balances>, DbErr> {
    let sql = "SELECT currency, debit, credit, CAST(SUM(amount) AS BIGINT) FROM ledger WHERE actor = $1 \
               GROUP BY currency, debit, credit";
    let statement = Statement::from_sql_and_values(db.get_database_backend(), sql, [receiver.into()]);
    let mut sums: BTreeMap<Currency, Balances> = BTreeMap::new();
    for row in db.query_all_raw(statement).await? {
        let text = |index| row.try_get_by_index::<String>(index);
        let (currency, debit, credit, amount) = (text(0)?, text(1)?, text(2)?, row.try_get_by_index::<i64>(3)?);
        let known = (Currency::parse(&currency), debit.parse::<Bucket>(), credit.parse::<Bucket>());
        let (Ok(currency), Ok(debit), Ok(credit)) = known else {
            books.fault(format!(
                "there are postings of {receiver} from {debit} to {credit} in {currency}, which is none"
            ));
            continue;
        };
        let sums = sums.entry(currency).or_default();
        *sums.of_mut(debit) = sums.of(debit).saturating_sub(amount);
        *sums.of_mut(credit) = sums.of(credit).saturating_add(amount);
    }
    Ok(sums)
}

fn compare(books: &mut Books, receiver: &str, state: &State, sums: &BTreeMap<Currency, Balances>) {
    let currencies = sums.keys().chain(state.balances.keys()).copied();
    for currency in currencies.collect::<std::collections::BTreeSet<_>>() {
        let (says, sum) = (state.of(currency), sums.get(&currency).copied().unwrap_or_default());
        for bucket in Bucket::iter().filter(|bucket| says.of(*bucket) != sum.of(*bucket)) {
            let shown = |minor| Money::new(minor, currency);
            let (name, says, sum): (&str, _, _) = (bucket.into(), shown(says.of(bucket)), shown(sum.of(bucket)));
            books.fault(format!("the account of {receiver} says {name} {says}, and its postings say {sum}"));
        }
        if Bucket::iter().map(|bucket| i128::from(says.of(bucket))).sum::<i128>() != 0 {
            books.fault(format!("the account of {receiver} does not sum to nothing in {currency}"));
        }
    }
}

/// What an account must hold, by what its payments say.
async fn payments_agree(
    db: &DatabaseConnection,
    books: &mut Books,
    receiver: &str,
    state: &State,
) -> Result<(), DbErr> {
    let mut wanted: BTreeMap<Currency, Balances> = BTreeMap::new();
    let mut after = String::new();
    loop {
        let of_receiver = payments::Column::ReceiverId.eq(receiver);
        let find = payments::Entity::find().filter(of_receiver).filter(payments::Column::Id.gt(&after));
        let page = find.order_by_asc(payments::Column::Id).limit(PAGE).all(db).await?;
        let Some(last) = page.last() else { break };
        after.clone_from(&last.id);
        for row in page {
            books.payments += 1;
            let Some(payment) = read::<payment::State>(books, "payment", &row.id, &row.state) else { continue };
            if payment.told != payment.moved() {
                // It is older than the accounts, and tells on its next message.
                continue;
            }
            let (amounts, moved) = (payment.amounts, payment.moved());
            let wanted = wanted.entry(payment.price.currency).or_default();
            wanted.reserved += amounts.reserved;
            wanted.disputed += moved.disputed - moved.lost;
            wanted.withdrawn += payment.withdrawn;
            wanted.suspense -= amounts.over;
            wanted.available += amounts.captured + amounts.over
                - amounts.refunded
                - amounts.reserved
                - amounts.disputed
                - payment.withdrawn;
        }
    }
    let compared = [Bucket::Available, Bucket::Reserved, Bucket::Disputed, Bucket::Withdrawn, Bucket::Suspense];
    let currencies = wanted.keys().chain(state.balances.keys()).copied();
    for currency in currencies.collect::<std::collections::BTreeSet<_>>() {
        let (says, wanted) = (state.of(currency), wanted.get(&currency).copied().unwrap_or_default());
        for bucket in compared.into_iter().filter(|bucket| says.of(*bucket) != wanted.of(*bucket)) {
            let shown = |minor| Money::new(minor, currency);
            let (name, says, wanted): (&str, _, _) = (bucket.into(), shown(says.of(bucket)), shown(wanted.of(bucket)));
            books.disagreement(format!("the account of {receiver} says {name} {says}, and its payments say {wanted}"));
        }
    }
    Ok(())
}

/// What accounts hold for refunds is what refunds know to be held.
async fn refunds_agree(
    db: &DatabaseConnection,
    books: &mut Books,
    held: &BTreeMap<Currency, i64>,
) -> Result<(), DbErr> {
    let mut wanted: BTreeMap<Currency, i64> = BTreeMap::new();
    let mut after = String::new();
    loop {
        let open = refunds::Column::Status.is_in(["reserved", "submitted", "outcome_unknown"]);
        let find = refunds::Entity::find().filter(open).filter(refunds::Column::Id.gt(&after));
        let page = find.order_by_asc(refunds::Column::Id).limit(PAGE).all(db).await?;
        let Some(last) = page.last() else { break };
        after.clone_from(&last.id);
        for row in page {
            let Some(refund) = read::<refund::State>(books, "refund", &row.id, &row.state) else { continue };
            if let Some(amount) = refund.amount.filter(|_| refund.held) {
                *wanted.entry(amount.currency).or_default() += amount.minor;
            }
        }
    }
    for currency in held.keys().chain(wanted.keys()).copied().collect::<std::collections::BTreeSet<_>>() {
        let of = |sums: &BTreeMap<Currency, i64>| sums.get(&currency).copied().unwrap_or(0);
        let (held, wanted) = (Money::new(of(held), currency), Money::new(of(&wanted), currency));
        if held != wanted {
            books.disagreement(format!("accounts hold {held} for refunds, and refunds know of {wanted}"));
        }
    }
    Ok(())
}

async fn number(db: &DatabaseConnection, sql: &str) -> Result<u64, DbErr> {
    let row = db.query_one_raw(Statement::from_string(db.get_database_backend(), sql)).await?;
    let count: i64 = row.map_or(Ok(0), |row| row.try_get_by_index(0))?;
    Ok(count.unsigned_abs())
}

async fn texts(db: &DatabaseConnection, sql: &str) -> Result<Vec<String>, DbErr> {
    let rows = db.query_all_raw(Statement::from_string(db.get_database_backend(), sql)).await?;
    rows.iter().map(|row| row.try_get_by_index(0)).collect()
}
