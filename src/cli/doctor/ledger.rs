//! Do the books add up?

use crate::cli::{Error, database, print_json};
use crate::config::Config;
use crate::runtime::clock::{Clock as _, SystemClock};
use crate::store::ledger::{self, Books};

/// Audits the books and says what it found; fails when something is wrong.
pub(super) async fn run(json: bool, config: &Config) -> Result<(), Error> {
    let db = database::connect_read_only(&config.database).await?;
    let failed = |error| Error::Database(config.database.shown(), error);
    let books = ledger::audit(&db, SystemClock.now()).await.map_err(failed)?;
    if json {
        print_json(&serde_json::json!({ "ok": books.faults.is_empty(), "books": books }));
    } else {
        for line in said(&books) {
            say!("{line}");
        }
    }
    match books.faults.len() {
        0 => Ok(()),
        1 => Err(Error::Failed("one thing is wrong in the books".to_owned())),
        wrong => Err(Error::Failed(format!("{wrong} things are wrong in the books"))),
    }
}

fn said(books: &Books) -> Vec<String> {
    let Books { accounts, postings, payments, under_way, faults, .. } = books;
    let mut lines = vec![format!("looked at {accounts} accounts, {postings} postings and {payments} payments")];
    if *under_way > 0 {
        lines.push(format!(
            "note: {under_way} messages were under way, so what accounts, payments and refunds say of each other was not compared"
        ));
    }
    lines.extend(faults.iter().map(|fault| format!("WRONG: {fault}")));
    if faults.is_empty() {
        lines.push(
            "ok: every posting balances, every account is the sum of its postings, every payment keeps its limit"
                .to_owned(),
        );
    }
    lines
}
