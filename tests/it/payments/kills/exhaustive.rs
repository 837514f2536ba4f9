//! A server is killed before and after each step of what a customer does. The steps are recorded first; the snapshots name
//! them all, so that none is lost in silence.

use std::collections::BTreeSet;
use std::panic::AssertUnwindSafe;

use futures_util::{FutureExt as _, StreamExt as _, stream};

use super::case::{Bought, Case, Customer, Shop};
use crate::stripe::double::Fault;
use crate::tripwire::Moment;

/// Servers that live and die at the same time.
const AT_ONCE: usize = 3;
/// What is wanted back.
const BACK: i64 = 400;
/// What a server writes by its own clock, whatever its customers do.
const BESIDE: [&str; 5] = [
    "delete access_tokens",
    "delete sandbox_events",
    "delete sign_in_codes",
    "delete spent_states",
    "update api_keys.last_used_at",
];

/// What a customer does.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Deed {
    /// Checks out and pays; webhooks tell.
    Pays,
    /// Pays what is checked out; no webhook tells.
    ComesBack,
    /// Wants a part back of what is paid; the gateway does it and loses its answer.
    WantsBack,
}

impl Deed {
    async fn prepare(self, customer: &Customer) -> Option<Bought> {
        match self {
            Self::Pays => None,
            Self::ComesBack => Some(customer.checks_out().await),
            Self::WantsBack => Some(pay(customer).await),
        }
    }

    async fn act(self, customer: &Customer, bought: Option<&Bought>) {
        match (self, bought) {
            (Self::Pays, _) => drop(pay(customer).await),
            (Self::ComesBack, Some(bought)) => {
                customer.double.world().pay(&bought.session);
                customer.comes_back(bought).await;
            }
            (Self::WantsBack, Some(bought)) => {
                customer.double.fail("/v1/refunds", Fault::Reset { done: true });
                customer.wants_back(bought, BACK).await;
                customer.is_told().await;
            }
            (Self::ComesBack | Self::WantsBack, None) => unreachable!("it is bought first"),
        }
        customer.sees_it_done().await;
    }

    async fn check(self, customer: &Customer) {
        let (webhooks, refunded) = match self {
            Self::Pays => (2, 0),
            Self::ComesBack => (0, 0),
            Self::WantsBack => (4, BACK),
        };
        customer.finds_all_once(webhooks, refunded).await;
    }

    async fn steps(self, shop: &Shop) -> BTreeSet<String> {
        let (case, customer) = Case::open(shop).await;
        let bought = self.prepare(&customer).await;
        let mut steps = case.steps(self.act(&customer, bought.as_ref())).await;
        self.check(&customer).await;
        steps.retain(|step| !BESIDE.contains(&&**step));
        steps
    }

    async fn survives(self, shop: &Shop, step: &str, moment: Moment) {
        let (mut case, customer) = Case::open(shop).await;
        let bought = self.prepare(&customer).await;
        case.kill_at(step, moment, self.act(&customer, bought.as_ref())).await;
        customer.sees_it_done().await;
        self.check(&customer).await;
    }

    /// All steps, after the server was killed around each of them.
    async fn survives_everywhere(self) -> BTreeSet<String> {
        let shop = Shop::open().await;
        let steps = self.steps(&shop).await;
        let cases = steps.iter().flat_map(|step| Moment::ALL.map(|moment| (step, moment)));
        let lost: Vec<_> = stream::iter(cases)
            .map(|(step, moment)| {
                let shop = &shop;
                async move {
                    let survived = AssertUnwindSafe(self.survives(shop, step, moment)).catch_unwind().await;
                    survived.is_err().then(|| format!("{moment:?} `{step}`"))
                }
            })
            .buffer_unordered(AT_ONCE)
            .filter_map(std::future::ready)
            .collect()
            .await;
        assert_eq!(lost, Vec::<String>::new(), "where a kill does harm");
        steps
    }
}

async fn pay(customer: &Customer) -> Bought {
    let bought = customer.checks_out().await;
    customer.double.world().pay(&bought.session);
    customer.is_told().await;
    bought
}

#[tokio::test]
async fn a_payment_that_webhooks_tell_of_survives_a_kill_at_every_step() {
    insta::assert_json_snapshot!(Deed::Pays.survives_everywhere().await);
}

#[tokio::test]
async fn a_payment_whose_payer_comes_back_survives_a_kill_at_every_step() {
    insta::assert_json_snapshot!(Deed::ComesBack.survives_everywhere().await);
}

#[tokio::test]
async fn a_refund_whose_answer_is_lost_survives_a_kill_at_every_step_and_is_made_once() {
    insta::assert_json_snapshot!(Deed::WantsBack.survives_everywhere().await);
}
