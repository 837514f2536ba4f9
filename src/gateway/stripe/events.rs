//! Stripe's list of events (docs.stripe.com/api/events/list), which goes back for 30 days.
//!
//! async-stripe reads them by type, and would fail at another version of the API. Here they stay the text that a webhook
//! brings.

use miniserde::json::Value;
use serde::Serialize;
use stripe_client_core::{RequestBuilder, StripeMethod, StripeRequest};

use super::PAGE;
use crate::domain::Timestamp;
use crate::domain::gateway::Events;
use crate::gateway::webhook::KINDS;

/// Asks for a page.
pub(super) struct ListEvents<'a> {
    pub since: Timestamp,
    pub after: Option<&'a str>,
}

#[derive(Serialize)]
struct Query<'a> {
    created: Since,
    limit: i64,
    #[serde(skip_serializing_if = "Option::is_none")]
    starting_after: Option<&'a str>,
    types: &'static [&'static str],
}

#[derive(Serialize)]
struct Since {
    gte: i64,
}

/// A page as Stripe answers it.
#[derive(miniserde::Deserialize)]
pub(super) struct Page {
    data: Vec<Value>,
    has_more: bool,
}

impl StripeRequest for ListEvents<'_> {
    type Output = Page;

    fn build(&self) -> RequestBuilder {
        let created = Since { gte: self.since.0.div_euclid(1_000) };
        let query = Query { created, limit: PAGE, starting_after: self.after, types: &KINDS };
        RequestBuilder::new(StripeMethod::Get, "/events").query(&query)
    }
}

impl Page {
    /// What it says; a page whose last event has no id is the last.
    pub(super) fn read(self) -> Events {
        let last = self.data.last().filter(|_| self.has_more).and_then(id);
        Events { raw: self.data.iter().map(miniserde::json::to_string).collect(), next: last }
    }
}

fn id(event: &Value) -> Option<String> {
    match event {
        Value::Object(fields) => match fields.get("id") {
            Some(Value::String(id)) => Some(id.clone()),
            _ => None,
        },
        _ => None,
    }
}
