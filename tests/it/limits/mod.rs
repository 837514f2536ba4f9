//! What callers may ask: how often, how much, how slowly, from which pages, and how a call is found again.

mod answers;
mod browsers;
mod buckets;
mod connections;
mod garbled;
mod repeated;
mod shared;
mod slow;
mod traces;
mod unfinished;

use mixvideo::http::limit::Rates;

use crate::server::Guards;

/// Guards with these rates.
fn rates(change: impl FnOnce(&mut Rates)) -> Guards {
    let mut rates = Rates::highest();
    change(&mut rates);
    Guards { rates, ..Guards::default() }
}
