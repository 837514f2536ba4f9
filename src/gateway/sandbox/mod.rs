//! The sandbox: a gateway that plays one, for whoever tries things out. It has a checkout page, sends signed webhooks in
//! Stripe's form over HTTP until they are taken, and keeps what it knows in SQL, so that a restart forgets nothing.
//!
//! It stands on the other side of the fence: nothing in here touches a payment's actor, and its money is none. What
//! [`Fault`]s are switched on, it does wrong as real gateways do.
//!
//! The id of what is made follows from the idempotency key, so the same call again finds what the first one made.

mod objects;
mod payer;
pub mod sender;

use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use hmac::{Hmac, KeyInit, Mac};
use serde::Deserialize;
use serde_json::Value;
use sha2::Sha256;
use tokio::sync::Notify;
use uuid::Uuid;

use super::Gateway;
use super::object;
use super::webhook::Secrets;
use crate::domain::Timestamp;
use crate::domain::gateway::{
    Account, Answer, Call, Checkout, Doubt, Events, NewCheckout, NewPrice, NewRefund, Next, PaymentIntent, Price,
    Product, Reason, Refund, Rejection,
};
use crate::runtime::clock::Clock;
use crate::store::sandbox::{Change, Object};
use crate::store::{self, Database};

pub use payer::{Deed, Seen};

/// How long a call takes while [`Fault::Slow`] is on.
const SLOW: Duration = Duration::from_secs(3);
/// Events of one page, as many as Stripe gives.
const EVENTS_MAX: u64 = 100;

/// What the sandbox does wrong.
#[derive(
    Clone, Copy, Debug, PartialEq, Eq, Deserialize, strum::EnumString, strum::IntoStaticStr, strum::VariantNames,
)]
#[serde(rename_all = "snake_case")]
#[strum(serialize_all = "snake_case")]
pub enum Fault {
    /// Calls take three seconds.
    Slow,
    /// What is asked for first is done, and the answer gets lost.
    LostAnswers,
    /// Every card is declined.
    Declined,
    /// Each webhook comes twice.
    DuplicateWebhooks,
    /// Webhooks come with the newest first.
    ReorderWebhooks,
    /// No webhook ever comes: what happened is found by asking.
    LostWebhooks,
}

/// The sandbox. Clones are the same one.
#[derive(Clone)]
pub struct Sandbox {
    kept: store::sandbox::Sandbox,
    clock: Arc<dyn Clock>,
    /// Where its pages are, such as `https://mixvideo.example`.
    public_url: String,
    /// Makes ids that nobody can guess.
    secret: [u8; 32],
    faults: Arc<[Fault]>,
    /// Rings when there is something to send.
    sending: Arc<Notify>,
}

impl std::fmt::Debug for Sandbox {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Sandbox").field("faults", &self.faults).finish_non_exhaustive()
    }
}

/// What a sandbox is made of.
pub struct Parts {
    /// Where it keeps what it knows.
    pub database: Database,
    /// The time.
    pub clock: Arc<dyn Clock>,
    /// Where clients reach the service.
    pub public_url: String,
    /// The service's secret, which its own follow from.
    pub secret: [u8; 32],
    /// What it does wrong.
    pub faults: Vec<Fault>,
}

impl Sandbox {
    /// A sandbox.
    #[must_use]
    pub fn new(parts: Parts) -> Self {
        Self {
            kept: store::sandbox::Sandbox::new(parts.database),
            clock: parts.clock,
            public_url: parts.public_url.trim_end_matches('/').to_owned(),
            secret: parts.secret,
            faults: parts.faults.into(),
            sending: Arc::default(),
        }
    }

    /// What its webhooks are signed with.
    #[must_use]
    pub fn webhook_secrets(&self) -> Secrets {
        webhook_secrets(&self.secret)
    }

    fn has(&self, fault: Fault) -> bool {
        self.faults.contains(&fault)
    }

    /// 32 hexadecimal digits that follow from `text` and that nobody else can make.
    fn digest(&self, text: &str) -> String {
        digest(&self.secret, text)
    }

    /// A fresh id.
    fn fresh(prefix: &str) -> String {
        format!("{prefix}_{}", Uuid::now_v7().simple())
    }

    async fn slowly(&self) {
        if self.has(Fault::Slow) {
            tokio::time::sleep(SLOW).await;
        }
    }

    /// Changes a family, and answers with what `read` makes of the object `id`.
    async fn changed<T>(
        &self,
        call: &Call,
        (family, id): (&str, &str),
        decide: impl FnOnce(&[Object]) -> Result<Change, Rejection>,
        read: impl FnOnce(&Value) -> Option<T>,
    ) -> Answer<T> {
        self.slowly().await;
        if call.again && !call.is_repeatable(self.clock.now()) {
            return unknown(Next::AskOnly, "the key is older than a gateway remembers keys");
        }
        let objects = match self.kept.change(family, decide).await {
            Ok(Ok(objects)) => objects,
            Ok(Err(rejection)) => return Answer::Rejected(rejection),
            Err(error) => return away(&error),
        };
        self.sending.notify_one();
        if self.has(Fault::LostAnswers) && !call.again {
            return unknown(Next::Repeat, "the sandbox was told to lose this answer");
        }
        let found = objects.iter().find(|object| object.id == id).and_then(|object| read(&object.body));
        found.map_or_else(|| unknown(Next::Repeat, "the sandbox cannot read what it wrote"), Answer::Accepted)
    }

    /// The objects of the family of `id`, the oldest first; empty when it is not known.
    async fn family(&self, id: &str) -> Result<Vec<Object>, store::Error> {
        self.slowly().await;
        match self.kept.family_of(id).await? {
            Some(family) => self.kept.family(&family).await,
            None => Ok(Vec::new()),
        }
    }

    /// What `read` makes of the object `id`.
    async fn one<T>(&self, kind: &str, id: &str, read: impl FnOnce(&Value) -> Option<T>) -> Answer<T> {
        match self.family(id).await {
            Err(error) => away(&error),
            Ok(family) => match family.iter().find(|object| object.id == id && object.kind == kind) {
                None => Answer::Rejected(missing(kind, id)),
                Some(found) => read(&found.body)
                    .map_or_else(|| unknown(Next::Repeat, "the sandbox cannot read what it wrote"), Answer::Accepted),
            },
        }
    }

    /// What `read` makes of those of `kind` in the family of `id`, the newest first.
    async fn all<T>(&self, id: &str, kind: &str, read: impl Fn(&Value) -> Option<T>) -> Answer<Vec<T>> {
        match self.family(id).await {
            Err(error) => away(&error),
            Ok(family) => {
                let of_kind = family.iter().rev().filter(|object| object.kind == kind);
                Answer::Accepted(of_kind.filter_map(|object| read(&object.body)).collect())
            }
        }
    }
}

/// What the webhooks of a service with this secret are signed with: there is nothing to configure.
#[must_use]
pub fn webhook_secrets(secret: &[u8; 32]) -> Secrets {
    Secrets::parse(&format!("whsec_{}", digest(secret, "webhook secret")))
}

fn digest(secret: &[u8; 32], text: &str) -> String {
    let mut mac = Hmac::<Sha256>::new_from_slice(secret).expect("HMAC takes a key of any length");
    mac.update(b"sandbox:");
    mac.update(text.as_bytes());
    hex::encode(&mac.finalize().into_bytes()[..16])
}

#[async_trait]
impl Gateway for Sandbox {
    fn name(&self) -> &'static str {
        "sandbox"
    }

    fn is_live(&self) -> bool {
        false
    }

    async fn open_checkout(&self, call: &Call, new: &NewCheckout) -> Answer<Checkout> {
        let id = format!("cs_test_{}", self.digest(&call.key));
        let url = format!("{}/sandbox/checkout/{id}", self.public_url);
        let now = self.clock.now();
        let open = |family: &[Object]| match family.iter().find(|object| object.id == id) {
            Some(known) => Ok(Change { objects: vec![known.clone()], events: Vec::new() }),
            None => objects::session(&id, &url, new, now).map(Change::of),
        };
        self.changed(call, (&id, &id), open, |json| object::checkout(json).ok()).await
    }

    async fn checkout(&self, id: &str) -> Answer<Checkout> {
        if let Err(error) = self.expire_due(id).await {
            return away(&error);
        }
        self.one(objects::SESSION, id, |json| object::checkout(json).ok()).await
    }

    async fn expire_checkout(&self, call: &Call, id: &str) -> Answer<Checkout> {
        let now = self.clock.now();
        let expire = |family: &[Object]| payer::expire(family, id, now);
        self.changed(call, (id, id), expire, |json| object::checkout(json).ok()).await
    }

    async fn refund(&self, call: &Call, new: &NewRefund) -> Answer<Refund> {
        let family = match self.kept.family_of(&new.payment_intent).await {
            Err(error) => return away(&error),
            Ok(None) => return Answer::Rejected(missing(objects::INTENT, &new.payment_intent)),
            Ok(Some(family)) => family,
        };
        let id = format!("re_{}", self.digest(&call.key));
        let now = self.clock.now();
        let refund = |family: &[Object]| match family.iter().find(|object| object.id == id) {
            Some(known) => Ok(Change { objects: vec![known.clone()], events: Vec::new() }),
            None => objects::refund(family, &id, new, now),
        };
        self.changed(call, (&family, &id), refund, |json| object::refund(json).ok()).await
    }

    async fn refunds(&self, payment_intent: &str) -> Answer<Vec<Refund>> {
        self.all(payment_intent, objects::REFUND, |json| object::refund(json).ok()).await
    }

    async fn payment_intent(&self, id: &str) -> Answer<PaymentIntent> {
        let charges = match self.all(id, objects::CHARGE, |json| object::charge(json).ok()).await {
            Answer::Accepted(charges) => charges,
            Answer::Rejected(rejection) => return Answer::Rejected(rejection),
            Answer::Unknown(doubt) => return Answer::Unknown(doubt),
        };
        let intent = self.one(objects::INTENT, id, |json| object::payment_intent(json).ok()).await;
        intent.map(|intent| PaymentIntent { charges, ..intent })
    }

    async fn product(&self, id: &str) -> Answer<Product> {
        self.one(objects::PRODUCT, id, objects::read_product).await
    }

    async fn put_product(&self, call: &Call, product: &Product) -> Answer<Product> {
        let now = self.clock.now();
        let put = |family: &[Object]| Ok(Change::of(objects::product(family, product, now)));
        self.changed(call, (&product.id, &product.id), put, objects::read_product).await
    }

    async fn prices(&self, product: &str) -> Answer<Vec<Price>> {
        self.all(product, objects::PRICE, objects::read_price).await
    }

    async fn create_price(&self, call: &Call, new: &NewPrice) -> Answer<Price> {
        let id = format!("price_{}", self.digest(&call.key));
        let now = self.clock.now();
        let create = |family: &[Object]| match family.iter().find(|object| object.id == id) {
            Some(known) => Ok(Change::of(known.clone())),
            None => objects::price(family, &id, new, now).map(Change::of),
        };
        self.changed(call, (&new.product, &id), create, objects::read_price).await
    }

    async fn offer_price(&self, call: &Call, id: &str, active: bool) -> Answer<Price> {
        let family = match self.kept.family_of(id).await {
            Err(error) => return away(&error),
            Ok(None) => return Answer::Rejected(missing(objects::PRICE, id)),
            Ok(Some(family)) => family,
        };
        let offer = |family: &[Object]| objects::offered(family, id, active).map(Change::of);
        self.changed(call, (&family, id), offer, objects::read_price).await
    }

    async fn events(&self, since: Timestamp, after: Option<&str>) -> Answer<Events> {
        self.slowly().await;
        let mut page = match self.kept.events(since, after, EVENTS_MAX + 1).await {
            Ok(page) => page,
            Err(error) => return away(&error),
        };
        let more = page.len() as u64 > EVENTS_MAX;
        page.truncate(usize::try_from(EVENTS_MAX).unwrap_or(usize::MAX));
        let next = page.last().filter(|_| more).map(|last| last.id.clone());
        Answer::Accepted(Events { raw: page.into_iter().map(|event| event.body).collect(), next })
    }

    async fn account(&self) -> Answer<Account> {
        self.slowly().await;
        Answer::Accepted(Account {
            id: "acct_sandbox".to_owned(),
            country: Some("US".to_owned()),
            charges_enabled: true,
            payouts_enabled: true,
        })
    }
}

impl Change {
    /// One object, and nothing to tell.
    fn of(object: Object) -> Self {
        Self { objects: vec![object], events: Vec::new() }
    }
}

/// The database did not answer: whether it was done is known once it does.
fn away<T>(error: &store::Error) -> Answer<T> {
    unknown(Next::Repeat, &format!("the sandbox cannot reach its database: {error}"))
}

fn unknown<T>(next: Next, why: &str) -> Answer<T> {
    Answer::Unknown(Doubt { next, why: why.to_owned() })
}

fn missing(kind: &str, id: &str) -> Rejection {
    Rejection {
        reason: Reason::Missing,
        code: "resource_missing".to_owned(),
        message: format!("No such {kind}: '{id}'"),
    }
}

fn invalid(code: &str, message: String) -> Rejection {
    Rejection { reason: Reason::Invalid, code: code.to_owned(), message }
}
