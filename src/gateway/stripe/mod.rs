//! Stripe: async-stripe's requests and answers over our own transport, and what is done when an answer gets lost.
//!
//! A call that may have been sent before is asked for first: a refund among the payment's refunds, a checkout among the
//! sessions since its first sending, each by our id in its metadata. Only when Stripe knows of nothing is it sent again,
//! under the same key, and never once the key is older than 23 hours.

mod convert;
mod events;
mod transport;

use std::collections::HashMap;
use std::fmt::{self, Debug};
use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use secrecy::{ExposeSecret as _, SecretString};
use stripe_checkout::checkout_session::{
    CreateCheckoutSession, CreateCheckoutSessionLineItems, CreateCheckoutSessionLineItemsPriceData,
    CreateCheckoutSessionPaymentIntentData, ExpireCheckoutSession, ListCheckoutSession, ProductData,
    RetrieveCheckoutSession,
};
use stripe_client_core::{IdempotencyKey, RequestStrategy, StripeRequest};
use stripe_connect::account::RetrieveForMyAccountAccount;
use stripe_core::charge::ListCharge;
use stripe_core::payment_intent::RetrievePaymentIntent;
use stripe_core::refund::{CreateRefund, ListRefund};
use stripe_product::price::{CreatePrice, ListPrice, UpdatePrice};
use stripe_product::product::{CreateProduct, RetrieveProduct, UpdateProduct};
use stripe_shared::CheckoutSessionMode;
use stripe_types::{Currency, List, RangeBoundsTs, RangeQueryTs};

use super::Gateway;
use crate::domain::Timestamp;
use crate::domain::gateway::{
    Account, Answer, Call, Checkout, CheckoutStatus, Events, NewCheckout, NewPrice, NewRefund, Next, PAYMENT,
    PaymentIntent, Price, Product, REFUND, Reason, Refund, Rejection,
};
use crate::runtime::clock::Clock;
use transport::{Failure, Transport, doubt};

/// Objects of one page, as many as Stripe gives.
const PAGE: i64 = 100;
/// Pages that are read of one list, at most.
const PAGES_MAX: usize = 20;
/// How far Stripe's clock may be behind ours, in milliseconds, when sessions are asked for since a call.
const SKEW_MS: i64 = 300_000;
/// Characters of an id of Stripe's, at most.
const ID_CHARS_MAX: usize = 255;

/// Stripe.
#[derive(Clone)]
pub struct Stripe {
    transport: Transport,
    clock: Arc<dyn Clock>,
    is_live: bool,
}

impl Debug for Stripe {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Stripe").field("is_live", &self.is_live).finish_non_exhaustive()
    }
}

impl Stripe {
    /// Stripe at `base`, such as `https://api.stripe.com`; each call may take `limit`.
    ///
    /// # Errors
    /// When TLS cannot be set up.
    pub fn new(base: &str, key: SecretString, limit: Duration, clock: Arc<dyn Clock>) -> Result<Self, reqwest::Error> {
        let is_live = ["sk_live_", "rk_live_"].iter().any(|live| key.expose_secret().trim().starts_with(live));
        Ok(Self { transport: Transport::new(base, key, limit)?, clock, is_live })
    }

    /// Reads something.
    async fn read<R>(&self, request: &R) -> Result<R::Output, Failure>
    where
        R: StripeRequest + Sync,
        R::Output: miniserde::Deserialize,
    {
        request.customize().send(&self.transport).await
    }

    /// Asks for something that is not to happen twice.
    async fn write<R>(&self, call: &Call, request: &R) -> Result<R::Output, Failure>
    where
        R: StripeRequest + Sync,
        R::Output: miniserde::Deserialize,
    {
        let key = IdempotencyKey::new(call.key.as_str())
            .map_err(|error| Failure::NotSent(format!("its idempotency key cannot be used: {error}")))?;
        request.customize().request_strategy(RequestStrategy::Idempotent(key)).send(&self.transport).await
    }

    /// Carries out a call: `ask` looks for what an earlier sending may have made, `send` makes it.
    async fn once<T>(
        &self,
        call: &Call,
        ask: impl Future<Output = Result<Option<T>, Failure>>,
        send: impl Future<Output = Result<T, Failure>>,
    ) -> Answer<T> {
        let repeatable = call.is_repeatable(self.clock.now());
        let asks = call.again || !repeatable;
        if asks {
            match ask.await {
                Ok(Some(known)) => return Answer::Accepted(known),
                Ok(None) => {}
                Err(failure) => return unanswered(failure),
            }
        }
        if !repeatable {
            let why = "Stripe knows of nothing, and the key is older than it remembers keys".to_owned();
            return doubt(Next::AskOnly, why);
        }
        send.await.map_or_else(|failure| failure.answer(asks), Answer::Accepted)
    }

    /// All refunds of a payment.
    async fn list_refunds(&self, payment_intent: &str) -> Result<Vec<Refund>, Failure> {
        let page = |last: Option<String>| {
            let list = ListRefund::new().payment_intent(payment_intent).limit(PAGE);
            if let Some(last) = last { list.starting_after(last) } else { list }
        };
        self.pages(page, convert::refund, |refund| refund.id.clone()).await
    }

    /// All of a list, a page at a time.
    async fn pages<R, O, T>(
        &self,
        page: impl Fn(Option<String>) -> R,
        convert: impl Fn(O) -> T,
        id: impl Fn(&T) -> String,
    ) -> Result<Vec<T>, Failure>
    where
        R: StripeRequest<Output = List<O>> + Sync,
        List<O>: miniserde::Deserialize,
    {
        let mut all: Vec<T> = Vec::new();
        for _ in 0..PAGES_MAX {
            let list = self.read(&page(all.last().map(&id))).await?;
            let before = all.len();
            all.extend(list.data.into_iter().map(&convert));
            if !list.has_more || all.len() == before {
                return Ok(all);
            }
        }
        Err(Failure::Lost(format!("the list has more than {} entries (PAGES_MAX)", all.len())))
    }

    /// The checkout that an earlier sending opened.
    async fn opened(&self, call: &Call, payment: &str) -> Result<Option<Checkout>, Failure> {
        let since = RangeBoundsTs { gte: Some((call.first_sent.0 - SKEW_MS) / 1_000), ..RangeBoundsTs::default() };
        let page = |last: Option<String>| {
            let list = ListCheckoutSession::new().created(RangeQueryTs::Bounds(since)).limit(PAGE);
            if let Some(last) = last { list.starting_after(last) } else { list }
        };
        let sessions = self.pages(page, convert::checkout, |session| session.id.clone()).await?;
        Ok(sessions.into_iter().find(|session| session.payment.as_deref() == Some(payment)))
    }
}

#[async_trait]
impl Gateway for Stripe {
    fn name(&self) -> &'static str {
        "stripe"
    }

    fn is_live(&self) -> bool {
        self.is_live
    }

    async fn open_checkout(&self, call: &Call, new: &NewCheckout) -> Answer<Checkout> {
        let request = new_checkout(new);
        let send = async { self.write(call, &request).await.map(convert::checkout) };
        self.once(call, self.opened(call, &new.payment), send).await
    }

    async fn checkout(&self, id: &str) -> Answer<Checkout> {
        let Some(id) = plain(id) else { return missing("checkout session") };
        read(self.read(&RetrieveCheckoutSession::new(id)).await.map(convert::checkout))
    }

    async fn expire_checkout(&self, call: &Call, id: &str) -> Answer<Checkout> {
        let Some(id) = plain(id) else { return missing("checkout session") };
        let ask = async {
            let known = self.read(&RetrieveCheckoutSession::new(id)).await.map(convert::checkout)?;
            Ok((known.status == CheckoutStatus::Expired).then_some(known))
        };
        let send = async { self.write(call, &ExpireCheckoutSession::new(id)).await.map(convert::checkout) };
        self.once(call, ask, send).await
    }

    async fn refund(&self, call: &Call, new: &NewRefund) -> Answer<Refund> {
        let metadata = [(REFUND, &new.refund), (PAYMENT, &new.payment)];
        let metadata: HashMap<String, String> =
            metadata.into_iter().map(|(name, id)| (name.to_owned(), id.clone())).collect();
        let request = CreateRefund::new().payment_intent(&new.payment_intent).amount(new.amount).metadata(metadata);
        let ask = async {
            let refunds = self.list_refunds(&new.payment_intent).await?;
            Ok(refunds.into_iter().find(|refund| refund.refund.as_ref() == Some(&new.refund)))
        };
        let send = async { self.write(call, &request).await.map(convert::refund) };
        self.once(call, ask, send).await
    }

    async fn refunds(&self, payment_intent: &str) -> Answer<Vec<Refund>> {
        read(self.list_refunds(payment_intent).await)
    }

    async fn payment_intent(&self, id: &str) -> Answer<PaymentIntent> {
        let Some(id) = plain(id) else { return missing("payment intent") };
        let intent = match self.read(&RetrievePaymentIntent::new(id)).await {
            Ok(intent) => intent,
            Err(failure) => return failure.answer(false),
        };
        let charges = self.read(&ListCharge::new().payment_intent(id).limit(PAGE)).await;
        let charges = charges.map(|list| list.data.into_iter().map(convert::charge).collect());
        read(charges.map(|charges| convert::payment_intent(intent, charges)))
    }

    async fn product(&self, id: &str) -> Answer<Product> {
        let Some(id) = plain(id) else { return missing("product") };
        read(self.read(&RetrieveProduct::new(id)).await.map(convert::product))
    }

    /// A change says how everything is to be and goes out without a key: sending it again changes nothing, while a kept
    /// answer to an earlier change would. Only the making of it has one.
    async fn put_product(&self, call: &Call, product: &Product) -> Answer<Product> {
        let Some(id) = plain(&product.id) else { return missing("product") };
        let update =
            UpdateProduct::new(id).name(&product.name).description(&product.description).active(product.active);
        let updated = read(self.read(&update).await.map(convert::product));
        match updated {
            Answer::Rejected(Rejection { reason: Reason::Missing, .. }) => {}
            known => return known,
        }
        let metadata = HashMap::from([(convert::SOURCE.0.to_owned(), convert::SOURCE.1.to_owned())]);
        let mut create = CreateProduct::new(&product.name).id(id).active(product.active).metadata(metadata);
        // An empty text means "take it away", which only a change may say.
        if !product.description.is_empty() {
            create = create.description(&product.description);
        }
        read(self.write(call, &create).await.map(convert::product))
    }

    async fn prices(&self, product: &str) -> Answer<Vec<Price>> {
        let page = |last: Option<String>| {
            let list = ListPrice::new().product(product).limit(PAGE);
            if let Some(last) = last { list.starting_after(last) } else { list }
        };
        read(self.pages(page, convert::price, |price| price.id.clone()).await)
    }

    async fn create_price(&self, call: &Call, new: &NewPrice) -> Answer<Price> {
        let metadata = HashMap::from([(convert::SOURCE.0.to_owned(), convert::SOURCE.1.to_owned())]);
        let create = CreatePrice::new(currency(&new.currency)).product(&new.product).unit_amount(new.amount);
        let created = self.write(call, &create.metadata(metadata)).await.map(convert::price);
        created.map_or_else(|failure| failure.answer(call.again), Answer::Accepted)
    }

    /// Without a key, as changes to products.
    async fn offer_price(&self, _: &Call, id: &str, active: bool) -> Answer<Price> {
        let Some(id) = plain(id) else { return missing("price") };
        read(self.read(&UpdatePrice::new(id).active(active)).await.map(convert::price))
    }

    async fn events(&self, since: Timestamp, after: Option<&str>) -> Answer<Events> {
        read(self.read(&events::ListEvents { since, after }).await.map(events::Page::read))
    }

    async fn account(&self) -> Answer<Account> {
        read(self.read(&RetrieveForMyAccountAccount::new()).await.map(convert::account))
    }
}

fn new_checkout(new: &NewCheckout) -> CreateCheckoutSession {
    let mut metadata: HashMap<String, String> = new.ids.clone().into_iter().collect();
    metadata.insert(PAYMENT.to_owned(), new.payment.clone());
    let mut price = CreateCheckoutSessionLineItemsPriceData::new(currency(&new.currency));
    price.product_data = Some(ProductData::new(&new.name));
    price.unit_amount = Some(new.amount);
    let mut item = CreateCheckoutSessionLineItems::new();
    item.price_data = Some(price);
    item.quantity = Some(1);
    // What happens to the money names our payment too.
    let mut money = CreateCheckoutSessionPaymentIntentData::new();
    money.metadata = Some(metadata.clone());
    CreateCheckoutSession::new()
        .mode(CheckoutSessionMode::Payment)
        .client_reference_id(&new.payment)
        .line_items(vec![item])
        .metadata(metadata)
        .payment_intent_data(money)
        .success_url(&new.success_url)
        .cancel_url(&new.cancel_url)
        .expires_at(new.expires_at.0.div_euclid(1_000))
}

fn currency(code: &str) -> Currency {
    match code.parse() {
        Ok(currency) => currency,
        Err(never) => match never {},
    }
}

fn read<T>(answered: Result<T, Failure>) -> Answer<T> {
    answered.map_or_else(|failure| failure.answer(false), Answer::Accepted)
}

/// The asking failed, whatever it said: of the call itself nothing is known.
fn unanswered<T>(failure: Failure) -> Answer<T> {
    let why = match failure.answer::<()>(false) {
        Answer::Rejected(rejection) => rejection.message,
        Answer::Unknown(doubt) => doubt.why,
        Answer::Accepted(()) => String::new(),
    };
    doubt(Next::Repeat, format!("whether it was done before cannot be asked: {why}"))
}

/// An id that can stand in an address. Nothing else is an id of Stripe's, and some come from callers.
fn plain(id: &str) -> Option<&str> {
    let allowed = |byte: u8| byte.is_ascii_alphanumeric() || byte == b'_' || byte == b'-';
    ((1..=ID_CHARS_MAX).contains(&id.len()) && id.bytes().all(allowed)).then_some(id)
}

fn missing<T>(what: &str) -> Answer<T> {
    let message = format!("there is no {what} of that id");
    Answer::Rejected(Rejection { reason: Reason::Missing, code: "resource_missing".to_owned(), message })
}
