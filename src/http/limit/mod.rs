//! How many calls a caller may make: a bucket for each caller and class of routes, in Redis where several nodes share
//! them, in memory elsewhere and while Redis is away.
//!
//! `class` says which bucket a call takes from, `bucket` is the arithmetic, [`Rates`] the table of how many calls a minute
//! each may make.

pub mod bucket;
pub mod class;
mod memory;
pub mod shared;
pub mod unfinished;

use std::cell::Cell;
use std::net::{IpAddr, Ipv4Addr};
use std::rc::Rc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use actix_web::dev::ServiceRequest;
use actix_web::http::header::{HeaderMap, HeaderName, HeaderValue};
use serde::Deserialize;
use strum::IntoEnumIterator as _;

use self::bucket::{Rate, Standing};
use self::class::{Class, Subject};
use self::memory::Memory;
use self::shared::Shared;
use self::unfinished::Unfinished;
use super::error::Error;
use crate::auth::roles::Role;
use crate::domain::Timestamp;

const LIMIT: HeaderName = HeaderName::from_static("x-ratelimit-limit");
const REMAINING: HeaderName = HeaderName::from_static("x-ratelimit-remaining");
const RESET: HeaderName = HeaderName::from_static("x-ratelimit-reset");
/// Whom each proxy heard.
const FORWARDED: HeaderName = HeaderName::from_static("x-forwarded-for");

/// The headers of every answer.
pub static HEADERS: [(HeaderName, &str); 3] = [
    (LIMIT, "Calls of this kind that the caller may make in a minute"),
    (REMAINING, "Calls of this kind that are left right now; they come back evenly"),
    (RESET, "When all of them are back: seconds since the Unix epoch"),
];

/// How many calls a minute everybody may make: `[limits]` of the configuration.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Rates {
    /// One key; its unfinished tasks are its application's.
    pub key: CallerLimits,
    /// One person.
    pub user: CallerLimits,
    /// One address, of whoever needs no key or has none.
    pub address: AddressLimits,
}

/// Of somebody who is known.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct CallerLimits {
    /// Calls that read.
    pub reading: u32,
    /// Calls that make or change something.
    pub creating: u32,
    /// Checkouts and refunds.
    pub money: u32,
    /// Tasks that have not ended, at the same time; 0 for any number.
    pub unfinished_tasks: u32,
}

/// Of an address.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct AddressLimits {
    /// Probes, descriptions, pages, files, and what is no route at all.
    pub open: u32,
    /// Signing in.
    pub sign_in: u32,
    /// Webhooks of gateways and providers.
    pub webhook: u32,
    /// Calls without a good key or token.
    pub failed: u32,
}

impl Rates {
    /// Nobody is held up: for tests and measurements.
    #[must_use]
    pub const fn highest() -> Self {
        let most = bucket::CALLS_MAX;
        let caller = CallerLimits { reading: most, creating: most, money: most, unfinished_tasks: 0 };
        let address = AddressLimits { open: most, sign_in: most, webhook: most, failed: most };
        Self { key: caller, user: caller, address }
    }

    const fn of(&self, class: Class, subject: Subject<'_>) -> Rate {
        let caller = match subject {
            Subject::Key(_) => self.key,
            Subject::User(_) | Subject::Address(_) => self.user,
        };
        Rate::a_minute(match class {
            Class::Reading => caller.reading,
            Class::Creating => caller.creating,
            Class::Money => caller.money,
            Class::Open => self.address.open,
            Class::SignIn => self.address.sign_in,
            Class::Webhook => self.address.webhook,
            Class::Failed => self.address.failed,
        })
    }
}

/// Everybody's buckets.
#[derive(Debug)]
pub struct Limits {
    rates: Rates,
    /// Proxies of ours before the server.
    proxies: usize,
    shared: Option<Shared>,
    memory: Memory,
    refused: [AtomicU64; Class::Failed as usize + 1],
    /// Tasks under way, by owner.
    pub unfinished: Unfinished,
}

impl Limits {
    /// Limits of these rates, shared with other nodes through `shared`. `proxies` of ours stand before the server.
    #[must_use]
    pub fn new(rates: Rates, proxies: usize, shared: Option<Shared>) -> Self {
        Self {
            rates,
            proxies,
            shared,
            memory: Memory::default(),
            refused: Default::default(),
            unfinished: Unfinished::default(),
        }
    }

    /// Takes a call out of the bucket of `subject` for `class`.
    pub async fn take(&self, class: Class, subject: Subject<'_>, now: Timestamp) -> Standing {
        let (bucket, rate) = (subject.bucket(class), self.rates.of(class, subject));
        let everywhere = match &self.shared {
            Some(shared) => shared.take(&bucket, rate).await,
            None => None,
        };
        let taken = everywhere.unwrap_or_else(|| self.memory.take(&bucket, rate, now.0.saturating_mul(1_000)));
        if !taken.allowed {
            self.refused[class as usize].fetch_add(1, Ordering::Relaxed);
        }
        rate.standing(taken)
    }

    /// Tasks that a caller of this role may have under way; 0 for any number.
    #[must_use]
    pub const fn unfinished_tasks(&self, role: Role) -> u32 {
        match role {
            Role::Operator => 0,
            Role::Client => self.rates.key.unfinished_tasks,
            Role::User => self.rates.user.unfinished_tasks,
        }
    }

    /// Calls that were refused since the start, by class.
    pub fn refused(&self) -> impl Iterator<Item = (&'static str, u64)> {
        Class::iter().map(|class| (class.into(), self.refused[class as usize].load(Ordering::Relaxed)))
    }

    /// For how long the limits that all nodes share cannot be asked for, and why: each node counts for itself.
    #[must_use]
    pub fn away(&self) -> Option<(Duration, String)> {
        self.shared.as_ref()?.away()
    }
}

/// What is counted of one request: whose it is, and how its caller stands. It goes along with the request.
#[derive(Clone, Debug)]
pub struct Meter(Rc<Metered>);

#[derive(Debug)]
struct Metered {
    address: IpAddr,
    standing: Cell<Option<Standing>>,
}

impl Meter {
    /// Of a request that nobody has looked at yet.
    #[must_use]
    pub fn of(request: &ServiceRequest, limits: &Limits) -> Self {
        let peer = request.peer_addr().map_or(Ipv4Addr::UNSPECIFIED.into(), |peer| peer.ip());
        let lines = request.headers().get_all(FORWARDED).filter_map(|line| line.to_str().ok());
        let address = class::address_of(peer, lines, limits.proxies);
        Self(Rc::new(Metered { address, standing: Cell::new(None) }))
    }

    /// Where it comes from.
    #[must_use]
    pub fn address(&self) -> Subject<'static> {
        Subject::Address(self.0.address)
    }

    /// Notes how its caller stands; a call that is refused is an error.
    ///
    /// # Errors
    /// [`Error::TooMany`].
    pub fn note(&self, standing: Standing) -> Result<(), Error> {
        self.0.standing.set(Some(standing));
        match standing.wait_s {
            None => Ok(()),
            Some(wait_s) => Err(Error::too_many(
                format!("these are more than {} calls of this kind a minute", standing.limit),
                wait_s,
            )),
        }
    }

    /// How its caller stands, if that is known.
    #[must_use]
    pub fn standing(&self) -> Option<Standing> {
        self.0.standing.get()
    }
}

impl Standing {
    /// Says it in the headers of an answer.
    pub fn write(&self, headers: &mut HeaderMap) {
        headers.insert(LIMIT, HeaderValue::from(self.limit));
        headers.insert(REMAINING, HeaderValue::from(self.remaining));
        headers.insert(RESET, HeaderValue::from(self.reset_s));
    }
}
