//! Gateways: rails that payments travel on. `stripe` is the real one, `sandbox` plays one for whoever tries things out.
//!
//! A gateway carries out and reports; what follows is decided in the domain. Every call ends in one of three ways
//! ([`Answer`]), and a call that changes something is sent again only so that it cannot act twice: a repetition asks
//! first, goes out under the same key, and not at all once the gateway may have forgotten the key.

pub mod catalogue;
pub mod object;
pub mod sandbox;
pub mod stripe;
pub mod webhook;

use std::fmt::Debug;

use async_trait::async_trait;

use crate::domain::Timestamp;
use crate::domain::gateway::{
    Account, Answer, Call, Checkout, Events, NewCheckout, NewPrice, NewRefund, PaymentIntent, Price, Product, Refund,
};

/// A rail that payments travel on. Answers to what only reads are never stale: the gateway itself is asked.
#[async_trait]
pub trait Gateway: Send + Sync + Debug {
    /// Its name, as `payments.gateway` has it.
    fn name(&self) -> &'static str;

    /// Whether it moves real money.
    fn is_live(&self) -> bool;

    /// Opens a checkout.
    async fn open_checkout(&self, call: &Call, new: &NewCheckout) -> Answer<Checkout>;

    /// A checkout.
    async fn checkout(&self, id: &str) -> Answer<Checkout>;

    /// Closes a checkout that is open: nobody pays it any more. One that is closed already is a
    /// [`Reason::Invalid`](crate::domain::gateway::Reason::Invalid): read it.
    async fn expire_checkout(&self, call: &Call, id: &str) -> Answer<Checkout>;

    /// Gives money back.
    async fn refund(&self, call: &Call, new: &NewRefund) -> Answer<Refund>;

    /// All refunds of a payment, whoever made them, the newest first.
    async fn refunds(&self, payment_intent: &str) -> Answer<Vec<Refund>>;

    /// A payment with its charges.
    async fn payment_intent(&self, id: &str) -> Answer<PaymentIntent>;

    /// A product, active or not.
    async fn product(&self, id: &str) -> Answer<Product>;

    /// Makes a product under the id that it names, or changes it to what is said here.
    async fn put_product(&self, call: &Call, product: &Product) -> Answer<Product>;

    /// The prices of a product, active or not.
    async fn prices(&self, product: &str) -> Answer<Vec<Price>>;

    /// Makes a price. A call that is sent again says that the caller asked for the prices first, and it was not there.
    async fn create_price(&self, call: &Call, new: &NewPrice) -> Answer<Price>;

    /// Offers a price or archives it.
    async fn offer_price(&self, call: &Call, id: &str, active: bool) -> Answer<Price>;

    /// A page of what happened since a time and is acted upon here, whether its webhooks came or not: the newest, or what
    /// comes after the event `after`.
    async fn events(&self, since: Timestamp, after: Option<&str>) -> Answer<Events>;

    /// Whose account it is, and whether it can take money.
    async fn account(&self) -> Answer<Account>;
}
