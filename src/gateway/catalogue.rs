//! Templates at the gateway: a product for each, with the price that it is sold at.
//!
//! The product's id follows from the template's code, so a sync that is cut short finds what it made. A price cannot be
//! changed: another one is made, or an old one of that amount offered again, and the others that are ours are archived.
//! Everything is asked for before it is made, and how a template is when it was told is compared with how it is then:
//! whoever changes it meanwhile is told next.

use std::sync::Arc;
use std::time::Duration;

use sha2::{Digest, Sha256};
use tokio_util::sync::CancellationToken;

use super::Gateway;
use crate::domain::gateway::{Answer, Call, NewPrice, Next, Price, Product, REPEATABLE_MS, Reason};
use crate::runtime::clock::Clock;
use crate::store;
use crate::store::templates::{Template, Templates, Wish};

/// How often there is a look for what was not told.
const PERIOD: Duration = Duration::from_secs(30);
/// A change is told by whoever makes it; after this long without, in milliseconds, it is told by the next look.
const OVERDUE_MS: i64 = 60_000;
/// Templates of one page.
const PAGE: u64 = 100;
/// Times that a template may change while it is told before others get their turn.
const ROUNDS_MAX: usize = 4;
/// Keys that are tried for one price when the gateway keeps a failure under each.
const KEYS_MAX: usize = 3;

/// What templates are sold for.
#[derive(Clone, Debug)]
pub struct Terms {
    /// Three lower-case letters.
    pub currency: String,
    /// What one credit costs, in minor units.
    pub credit_price: i64,
}

impl Terms {
    /// What `credits` cost, in minor units; `None` when that is more than can be counted.
    #[must_use]
    pub const fn price_of(&self, credits: i64) -> Option<i64> {
        credits.checked_mul(self.credit_price)
    }
}

/// Tells the gateway of templates. Clones are the same one.
#[derive(Clone)]
pub struct Catalogue {
    gateway: Arc<dyn Gateway>,
    templates: Templates,
    terms: Terms,
    /// Tells this service's products from those of another that sells through the same account.
    namespace: Arc<str>,
    clock: Arc<dyn Clock>,
}

impl std::fmt::Debug for Catalogue {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Catalogue").field("gateway", &self.gateway).field("terms", &self.terms).finish_non_exhaustive()
    }
}

/// What the gateway calls a template.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Known {
    /// Its product.
    pub product: String,
    /// Its price.
    pub price: String,
}

/// Why the gateway was not told.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// There is no such template.
    #[error("there is no template `{0}`")]
    NoTemplate(String),
    /// The gateway says no.
    #[error("the gateway refuses the template `{code}`: {why}")]
    Refused {
        /// Which.
        code: String,
        /// Its words.
        why: String,
    },
    /// The gateway does not answer, or not now. What is to be told stands in the database, and is told later.
    #[error("the gateway was not told of the template `{code}` yet: {why}")]
    NotNow {
        /// Which.
        code: String,
        /// What happened.
        why: String,
    },
    /// The database does not answer.
    #[error(transparent)]
    Store(#[from] store::Error),
}

impl Catalogue {
    /// A catalogue of `templates` at `gateway`.
    #[must_use]
    pub fn new(
        gateway: Arc<dyn Gateway>,
        templates: Templates,
        terms: Terms,
        secret: &[u8; 32],
        clock: Arc<dyn Clock>,
    ) -> Self {
        let digest = Sha256::digest([b"catalogue:".as_slice(), secret].concat());
        let namespace = hex::encode(&digest[..4]).into();
        Self { gateway, templates, terms, namespace, clock }
    }

    /// The id of the product of a template.
    #[must_use]
    pub fn product_id(&self, code: &str) -> String {
        format!("prod_{}_{code}", self.namespace)
    }

    /// Tells the gateway of the template `code` as it is; a deleted one is withdrawn there too.
    ///
    /// # Errors
    /// [`Error`]. Unless it is [`Error::NoTemplate`], it is tried again by itself.
    pub async fn sync(&self, code: &str) -> Result<Known, Error> {
        for _ in 0..ROUNDS_MAX {
            let now = self.clock.now();
            let wish = self.templates.wish(code, now.plus_ms(-REPEATABLE_MS), now).await?;
            let wish = wish.ok_or_else(|| Error::NoTemplate(code.to_owned()))?;
            let known = self.tell(&wish).await?;
            let ids = (&*known.product, &*known.price);
            if self.templates.told(&wish.template, ids, self.clock.now()).await? {
                tracing::info!(code, product = known.product, price = known.price, "the gateway knows a template");
                return Ok(known);
            }
        }
        let why = format!("it changed {ROUNDS_MAX} times meanwhile");
        Err(Error::NotNow { code: code.to_owned(), why })
    }

    /// Tells the gateway of what was left over, on a period until `stop`.
    pub async fn run(self, stop: CancellationToken) {
        let mut period = tokio::time::interval(PERIOD);
        loop {
            tokio::select! {
                () = stop.cancelled() => return,
                _ = period.tick() => {}
            }
            if let Err(error) = self.sync_overdue(&stop).await {
                tracing::warn!(%error, "templates cannot be told to the gateway; there is another look later");
            }
        }
    }

    async fn sync_overdue(&self, stop: &CancellationToken) -> Result<(), store::Error> {
        let mut after = String::new();
        loop {
            let overdue = self.clock.now().plus_ms(-OVERDUE_MS);
            let codes = self.templates.untold(overdue, &after, PAGE).await?;
            let Some(last) = codes.last() else { return Ok(()) };
            after.clone_from(last);
            for code in &codes {
                if stop.is_cancelled() {
                    return Ok(());
                }
                if let Err(error) = self.sync(code).await {
                    tracing::warn!(code, %error, "the gateway was not told of a template; there is another look later");
                }
            }
        }
    }

    async fn tell(&self, wish: &Wish) -> Result<Known, Error> {
        let code = &wish.template.code;
        let product = self.product_of(&wish.template, wish.deleted);
        let call = self.call(wish, &format!("product:{}", wish.template.revision));
        let product = accepted(code, self.gateway.put_product(&call, &product).await)?;
        let prices = accepted(code, self.gateway.prices(&product.id).await)?;
        let amount = self.terms.price_of(wish.template.content.credit_cost);
        let amount = amount.ok_or_else(|| refused(code, "its price is too high to be counted"))?;
        let right = self.price(wish, &product.id, &prices, amount).await?;
        for old in prices.iter().filter(|old| old.active && old.ours && old.id != right.id) {
            let call = self.call(wish, &format!("archive:{}", old.id));
            accepted(code, self.gateway.offer_price(&call, &old.id, false).await)?;
        }
        Ok(Known { product: product.id, price: right.id })
    }

    /// The product as the gateway should know it.
    fn product_of(&self, template: &Template, deleted: bool) -> Product {
        Product {
            id: self.product_id(&template.code),
            name: template.content.name.clone(),
            description: template.content.description.clone(),
            active: template.is_active && !deleted,
        }
    }

    /// The price of `amount` among `prices`, offered; or a new one.
    async fn price(&self, wish: &Wish, product: &str, prices: &[Price], amount: i64) -> Result<Price, Error> {
        let code = &wish.template.code;
        let right =
            |price: &&Price| price.amount == Some(amount) && price.currency == self.terms.currency && price.ours;
        // One that is offered comes first: of two, the other is archived.
        let known = prices.iter().filter(right).max_by_key(|price| price.active);
        match known {
            Some(offered) if offered.active => return Ok(offered.clone()),
            Some(archived) => {
                let call = self.call(wish, &format!("offer:{}", archived.id));
                return accepted(code, self.gateway.offer_price(&call, &archived.id, true).await);
            }
            None => {}
        }
        let new = NewPrice { product: product.to_owned(), amount, currency: self.terms.currency.clone() };
        let mut answer = None;
        for attempt in 0..KEYS_MAX {
            let call = self.call(wish, &format!("price:{product}:{amount}:{}:{attempt}", self.terms.currency));
            let answered = self.gateway.create_price(&call.repeated(), &new).await;
            // It was asked for a moment ago, and is not there.
            let kept = matches!(&answered, Answer::Unknown(doubt) if doubt.next == Next::NewKey);
            answer = Some(answered);
            if !kept {
                break;
            }
        }
        let never = || refused(code, "no key was tried");
        accepted(code, answer.ok_or_else(never)?)
    }

    /// A call of this wish: the same for every try, another for the next wish.
    fn call(&self, wish: &Wish, what: &str) -> Call {
        let code = &wish.template.code;
        let text = format!("{}:{code}:{}:{what}", self.namespace, wish.since.0);
        let key = format!("mixvideo-{}", hex::encode(&Sha256::digest(text)[..16]));
        Call { key, first_sent: wish.since, again: false }
    }
}

fn refused(code: &str, why: impl Into<String>) -> Error {
    Error::Refused { code: code.to_owned(), why: why.into() }
}

fn accepted<T>(code: &str, answer: Answer<T>) -> Result<T, Error> {
    let not_now = |why| Error::NotNow { code: code.to_owned(), why };
    match answer {
        Answer::Accepted(known) => Ok(known),
        Answer::Rejected(rejection) if rejection.reason.is_passing() => Err(not_now(rejection.message)),
        Answer::Rejected(rejection) => Err(refused(code, rejection.message)),
        Answer::Unknown(doubt) => Err(not_now(doubt.why)),
    }
}

/// How a template stands at the gateway, as the gateway itself says.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Standing {
    /// What is not as it should be, a sentence each.
    pub issues: Vec<String>,
}

impl Catalogue {
    /// Compares what the gateway knows with the template.
    ///
    /// # Errors
    /// [`Error::NotNow`] when the gateway cannot be asked.
    pub async fn verify(&self, template: &Template) -> Result<Standing, Error> {
        let mut issues = Vec::new();
        match &template.stripe_product_id {
            None => issues.push("Template has no Stripe product".to_owned()),
            Some(id) => match self.gateway.product(id).await {
                Answer::Rejected(rejection) if rejection.reason == Reason::Missing => {
                    issues.push(format!("Stripe product `{id}` does not exist"));
                }
                answer => self.compare(template, &accepted(&template.code, answer)?, &mut issues),
            },
        }
        match (&template.stripe_product_id, &template.stripe_price_id) {
            (_, None) => issues.push("Template has no Stripe price".to_owned()),
            (None, Some(_)) => {}
            (Some(product), Some(id)) => {
                let prices = accepted(&template.code, self.gateway.prices(product).await)?;
                match prices.iter().find(|price| price.id == *id) {
                    None => issues.push(format!("Stripe price `{id}` does not exist")),
                    Some(price) => self.compare_price(template, price, &mut issues),
                }
            }
        }
        if issues.is_empty() && !template.is_synced() {
            issues.push("Template has changed since Stripe was told of it".to_owned());
        }
        Ok(Standing { issues })
    }

    fn compare(&self, template: &Template, known: &Product, issues: &mut Vec<String>) {
        let wanted = self.product_of(template, false);
        if known.name != wanted.name {
            issues.push(format!("Stripe product is named `{}`, the template `{}`", known.name, wanted.name));
        }
        if known.description != wanted.description {
            issues.push("Stripe product has another description than the template".to_owned());
        }
        match (known.active, wanted.active) {
            (false, true) => issues.push("Stripe product is archived, the template is active".to_owned()),
            (true, false) => issues.push("Stripe product is active, the template is not".to_owned()),
            _ => {}
        }
    }

    fn compare_price(&self, template: &Template, known: &Price, issues: &mut Vec<String>) {
        let wanted = self.terms.price_of(template.content.credit_cost);
        if known.amount != wanted || known.currency != self.terms.currency {
            let shown =
                |amount: Option<i64>| amount.map_or_else(|| "no fixed amount".to_owned(), |amount| amount.to_string());
            let (is, should) = (shown(known.amount), shown(wanted));
            issues.push(format!(
                "Stripe price is {is} {}, the template's {should} {}",
                known.currency, self.terms.currency
            ));
        }
        if !known.active {
            issues.push("Stripe price is archived".to_owned());
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::domain::Timestamp;

    #[test]
    fn a_price_that_cannot_be_counted_is_none() {
        let terms = Terms { currency: "usd".into(), credit_price: 100 };
        assert_eq!(terms.price_of(10), Some(1_000));
        assert_eq!(terms.price_of(i64::MAX), None);
    }

    #[test]
    fn a_wish_is_younger_than_what_gateways_remember() {
        let now = Timestamp(1_800_000_000_000);
        assert!(Call::first("k", now.plus_ms(-REPEATABLE_MS + 1)).is_repeatable(now));
        assert!(!Call::first("k", now.plus_ms(-REPEATABLE_MS)).is_repeatable(now));
    }
}
