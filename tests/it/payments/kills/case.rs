//! One server of one customer, whose wires can kill it: on a database of its own, with a double of Stripe of its own.

use std::collections::BTreeSet;
use std::time::Duration;

use mixvideo::gateway::webhook::WEBHOOK_PATH;
use mixvideo::runtime::clock::{Clock as _, SystemClock};
use mixvideo::store::ledger;
use reqwest::Method;
use sea_orm::DatabaseConnection;
use serde_json::{Value, json};
use tokio_util::task::AbortOnDropHandle;

use super::insist;
use crate::crash::records::count;
use crate::crash::service::{Caller, Service, until};
use crate::payments::on_sale;
use crate::postgres;
use crate::stripe::double::{Double, KEY, SECRET};
use crate::tripwire::{Moment, Tripwire};

/// Nothing of what is done here may take so long, kills included: long before the payment's own timer asks the gateway.
const PATIENCE: Duration = Duration::from_secs(45);

/// What all cases begin with: a database in which something is sold.
pub struct Shop {
    database: String,
    key: String,
}

impl Shop {
    pub async fn open() -> Self {
        let database = postgres::database().await;
        let mut service = Service::postgres(database.clone()).await;
        let double = Double::open().await;
        sell(&mut service, &double.base());
        service.start().await;
        insist(&service.caller, Method::POST, "/templates", None, Some(&on_sale())).await.data();
        let pool = service.database().await;
        let untold = "SELECT COUNT(*) FROM templates WHERE sync_wanted_at IS NOT NULL";
        until("the gateway knows what is sold", async || count(&pool, untold).await == 0).await;
        pool.close().await.unwrap();
        assert_eq!(service.terminate().await, Some(0));
        Self { database, key: service.caller.key().to_owned() }
    }
}

fn sell(service: &mut Service, gateway: &str) {
    service.set("PAYMENTS__GATEWAY", "stripe");
    service.set("STRIPE__SECRET_KEY", KEY);
    service.set("STRIPE__WEBHOOK_SECRET", SECRET);
    service.set("STRIPE__API_BASE", gateway);
    // Whoever pays comes back to where they were sent, wherever the server listens by then.
    service.set("SERVER__PUBLIC_URL", "https://shop.example");
}

/// A server, and its wires.
pub struct Case {
    service: Service,
    wire: Tripwire,
    _wires: [AbortOnDropHandle<()>; 2],
}

impl Case {
    /// With its one customer.
    pub async fn open(shop: &Shop) -> (Self, Customer) {
        let database = postgres::copy_of(&shop.database).await;
        let mut service = Service::postgres_with(database.clone(), &shop.key);
        let (double, wire) = (Double::open().await, Tripwire::default());
        let (gateway, to_gateway) = wire.to_gateway(double.address).await;
        let (journal, to_postgres) = wire.to_postgres(&database).await;
        sell(&mut service, &gateway);
        service.set("DATABASE__URL", journal);
        until("it listens", async || service.listens().await).await;
        let customer = Customer { caller: service.caller.clone(), double, database: service.database().await };
        (Self { service, wire, _wires: [to_gateway, to_postgres] }, customer)
    }

    /// The steps of what the customer does.
    pub async fn steps(&self, deed: impl Future<Output = ()>) -> BTreeSet<String> {
        self.wire.watch();
        deed.await;
        self.wire.met()
    }

    /// Kills the server at a step of what the customer does, and starts it again.
    pub async fn kill_at(&mut self, step: &str, moment: Moment, deed: impl Future<Output = ()>) {
        let Self { service, wire, .. } = self;
        wire.set(service.pid(), step, moment);
        let warden = async {
            wire.sprung().await;
            service.kill().await;
            until("it listens again", async || service.listens().await).await;
        };
        let done = tokio::time::timeout(PATIENCE, async { tokio::join!(warden, deed) }).await;
        assert!(done.is_ok(), "not everything was done within {PATIENCE:?}");
    }
}

/// Whoever buys, and the payer's bank, and Stripe: they live on when the server dies, and ask again.
pub struct Customer {
    caller: Caller,
    pub double: Double,
    database: DatabaseConnection,
}

/// What was bought.
pub struct Bought {
    pub id: String,
    pub session: String,
}

impl Customer {
    pub async fn checks_out(&self) -> Bought {
        let order = json!({ "userId": "user_123" });
        let path = "/payment/checkout/test-noop";
        let opened = insist(&self.caller, Method::POST, path, Some("checkout"), Some(&order)).await;
        let text = |field: &str| opened.data()[field].as_str().unwrap().to_owned();
        Bought { id: text("paymentId"), session: text("sessionId") }
    }

    /// Stripe sends what it has to tell, the newest first: each until it is taken, and the next once all is done that
    /// followed from it.
    pub async fn is_told(&self) {
        while let Some(event) = { self.double.world().untold.pop() } {
            self.double.insist(&event, || format!("{}{WEBHOOK_PATH}", self.caller.base())).await;
            self.sees_it_done().await;
        }
    }

    /// Comes back to the page of success until it says that it is paid.
    pub async fn comes_back(&self, bought: &Bought) {
        let back = format!("/payment/success?session_id={}&payment_id={}", bought.session, bought.id);
        until("the page says that it is paid", async || {
            tokio::time::sleep(Duration::from_millis(100)).await;
            insist(&self.caller, Method::GET, &back, None, None).await.data()["payment"]["status"] == "completed"
        })
        .await;
    }

    /// Wants a part back, and asks until it is.
    pub async fn wants_back(&self, bought: &Bought, amount: i64) {
        let (path, wanted) =
            (format!("/payment/refund/{}", bought.id), json!({ "reason": "user_request", "amount": amount }));
        until("it is refunded", async || {
            let refund = insist(&self.caller, Method::POST, &path, Some("refund"), Some(&wanted)).await;
            assert_ne!(refund.data()["status"], "failed", "{}", refund.body);
            refund.data()["status"] == "succeeded"
        })
        .await;
    }

    /// Waits until what was paid is executed and nothing is to be done any more.
    pub async fn sees_it_done(&self) {
        let executed = "SELECT COUNT(*) FROM tasks WHERE status = 'completed'";
        until("it is executed", async || count(&self.database, executed).await == 1).await;
        until("nothing is under way", async || count(&self.database, "SELECT COUNT(*) FROM outbox").await == 0).await;
    }

    /// Everything is there once, and the books add up. `webhooks`: how many of them mean something.
    pub async fn finds_all_once(&self, webhooks: i64, refunded: i64) {
        let count = async |sql: &str| count(&self.database, sql).await;
        for (table, wanted) in [("payments", 1), ("tasks", 1), ("refunds", i64::from(refunded > 0)), ("dead", 0)] {
            assert_eq!(count(&format!("SELECT COUNT(*) FROM {table}")).await, wanted, "{table}");
        }
        assert_eq!(count("SELECT COUNT(*) FROM tasks WHERE status = 'completed'").await, 1, "executions");
        assert_eq!(
            count("SELECT COUNT(*) FROM inputs WHERE status <> 'answered'").await,
            0,
            "inputs without an answer"
        );
        let stored = "SELECT COUNT(*) FROM journal WHERE message_id LIKE 'webhook:%'";
        assert_eq!(count(stored).await, webhooks, "webhooks");
        let twice = "SELECT COUNT(*) - COUNT(DISTINCT (actor, message_id)) FROM journal";
        assert_eq!(count(twice).await, 0, "messages that were decided twice");

        let get = async |path: &str| insist(&self.caller, Method::GET, path, None, None).await;
        let listed = get("/ops/actors?kind=payment").await;
        let payment = get(&format!("/ops/actors/{}", listed.data()["actors"][0]["id"].as_str().unwrap())).await;
        let amounts = &payment.data()["state"]["amounts"];
        let (captured, back, reserved) = (&amounts["captured"], &amounts["refunded"], &amounts["reserved"]);
        assert_eq!((captured, back, reserved), (&json!(1_000), &json!(refunded), &json!(0)), "{amounts}");

        self.gateway_has_all_once(refunded);
        let books = ledger::audit(&self.database, SystemClock.now()).await.unwrap();
        assert_eq!((&books.faults, books.under_way, books.payments), (&vec![], 0, 1));
    }

    fn gateway_has_all_once(&self, refunded: i64) {
        let world = self.double.world();
        assert_eq!(world.all("checkout.session").len(), 1, "sessions");
        let given: Vec<Value> = world.all("refund").iter().map(|refund| refund["amount"].clone()).collect();
        assert_eq!(given, (refunded > 0).then(|| json!(refunded)).into_iter().collect::<Vec<_>>(), "refunds");
        for path in ["/v1/checkout/sessions", "/v1/refunds"] {
            let keys: BTreeSet<_> = world
                .seen
                .iter()
                .filter(|call| call.method == "POST" && call.path == path)
                .map(|call| &call.key)
                .collect();
            assert!(keys.len() <= 1, "one key for one thing: {keys:?}");
        }
        drop(world);
        self.double.obeyed();
    }
}
