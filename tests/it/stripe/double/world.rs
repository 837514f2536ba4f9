//! What the double knows, and what it does of what it is asked: checkouts, payments, refunds with Stripe's limits and
//! wording, products, prices, idempotency keys.

use std::collections::{BTreeMap, VecDeque};

use mixvideo::runtime::clock::{Clock as _, SystemClock};
use serde_json::{Value, json};

use super::objects;

/// What goes wrong with a call.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Fault {
    /// A proxy answers 502 in HTML; the call is done or not.
    Html502 { done: bool },
    /// The line is cut without an answer.
    Reset { done: bool },
    /// No answer comes.
    Silence { done: bool },
    /// 409: the first call under this key still runs.
    KeyInUse,
    /// Stripe fails with 500, does nothing, and keeps that answer.
    Stored500,
    /// Too many calls: nothing is done.
    TooMany,
    /// The answer is 200 and cannot be read; the call is done.
    Garbage,
}

/// What becomes of events.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Delivery {
    #[default]
    Once,
    Twice,
    /// The newest of a happening first.
    Reversed,
    Dropped,
}

/// A call that came.
#[derive(Clone, Debug)]
pub struct Seen {
    pub method: String,
    pub path: String,
    pub key: Option<String>,
    pub version: String,
    pub body: String,
}

struct Kept {
    path: String,
    form: Value,
    status: u16,
    body: Value,
}

#[derive(Default)]
pub struct World {
    /// Every object, the oldest first.
    objects: Vec<Value>,
    keys: BTreeMap<String, Kept>,
    /// What happens to the next calls of a method to a path that holds the text.
    pub faults: VecDeque<(&'static str, &'static str, Fault)>,
    pub seen: Vec<Seen>,
    /// Events that nobody was told of yet.
    pub untold: Vec<Value>,
    pub events: Vec<Value>,
    pub delivery: Delivery,
    /// What is against Stripe's own description of its API.
    pub faulty: Vec<String>,
    pub connections: usize,
    /// What the metadata of a session's payment will be.
    wanted: BTreeMap<String, Value>,
    count: usize,
}

/// An answer: status, body, whether it is the kept one of an earlier call.
pub type Answer = (u16, Value, bool);

fn now() -> i64 {
    SystemClock.now().0 / 1_000
}

fn failed(status: u16, code: &str, message: &str) -> Answer {
    (status, objects::error("invalid_request_error", code, message), false)
}

fn missing(what: &str, id: &str) -> Answer {
    failed(404, "resource_missing", &format!("No such {what}: '{id}'"))
}

impl World {
    fn fresh(&mut self, prefix: &str) -> String {
        self.count += 1;
        format!("{prefix}_{:06}", self.count)
    }

    /// All objects of a kind, the newest first, as Stripe lists them.
    pub fn all(&self, kind: &str) -> Vec<Value> {
        self.objects.iter().rev().filter(|object| object["object"] == kind).cloned().collect()
    }

    pub fn get(&self, id: &str) -> Option<Value> {
        self.objects.iter().find(|object| object["id"] == id).cloned()
    }

    fn put(&mut self, object: Value) {
        match self.objects.iter_mut().find(|known| known["id"] == object["id"]) {
            Some(known) => *known = object,
            None => self.objects.push(object),
        }
    }

    /// Adds an object behind everyone's back.
    pub fn insert(&mut self, object: Value) {
        self.put(object);
    }

    /// Changes an object behind everyone's back, as somebody in the dashboard would.
    pub fn set(&mut self, id: &str, field: &str, value: Value) {
        let mut object = self.get(id).unwrap();
        object[field] = value;
        self.put(object);
    }

    /// Takes an object away behind everyone's back.
    pub fn remove(&mut self, id: &str) {
        self.objects.retain(|object| object["id"] != id);
    }

    /// Stripe forgets keys after a day.
    pub fn forget_keys(&mut self) {
        self.keys.clear();
    }

    fn happen(&mut self, kind: &str, object: &Value) {
        let event = objects::event(&self.fresh("evt"), kind, object, now());
        self.events.push(event.clone());
        self.untold.push(event);
    }

    /// The payer pays: the payment's id.
    pub fn pay(&mut self, session: &str) -> String {
        let mut session = self.get(session).unwrap();
        assert_eq!(session["status"], "open", "{session}");
        let (intent_id, charge_id) = (self.fresh("pi"), self.fresh("ch"));
        let wanted = self.wanted[session["id"].as_str().unwrap()].clone();
        let intent = objects::intent(&intent_id, Some(&charge_id), &session, &wanted, now());
        let charge = objects::charge(&charge_id, &intent, now());
        session["status"] = json!("complete");
        session["payment_status"] = json!("paid");
        session["payment_intent"] = json!(intent_id);
        session["url"] = json!(null);
        for (kind, object) in [
            ("payment_intent.succeeded", intent),
            ("charge.succeeded", charge),
            ("checkout.session.completed", session),
        ] {
            self.put(object.clone());
            self.happen(kind, &object);
        }
        intent_id
    }

    /// The payer's bank disputes what was paid: the dispute's id.
    pub fn dispute(&mut self, intent: &str) -> String {
        let charge = self.all("charge").into_iter().find(|charge| charge["payment_intent"] == intent).unwrap();
        let dispute = objects::dispute(&self.fresh("dp"), &charge, now());
        self.put(dispute.clone());
        self.happen("charge.dispute.created", &dispute);
        dispute["id"].as_str().unwrap().to_owned()
    }

    /// A dispute is decided: `won` or `lost`.
    pub fn decide(&mut self, dispute: &str, how: &str) {
        self.set(dispute, "status", json!(how));
        let dispute = self.get(dispute).unwrap();
        self.happen("charge.dispute.closed", &dispute);
    }

    /// Nobody pays in time.
    pub fn expire(&mut self, session: &str) {
        let mut session = self.get(session).unwrap();
        session["status"] = json!("expired");
        session["url"] = json!(null);
        self.put(session.clone());
        self.happen("checkout.session.expired", &session);
    }

    /// A post, with its key minded: the same again is answered as before.
    pub fn post(&mut self, path: &str, key: Option<&str>, form: &Value, base: &str) -> Answer {
        if let Some(kept) = key.and_then(|key| self.keys.get(key)) {
            if kept.path != path || kept.form != *form {
                let message = format!(
                    "Keys for idempotent requests can only be used with the same parameters they were first used with. \
                     Try using a key other than '{}' if you meant to execute a different request.",
                    key.unwrap_or_default()
                );
                return (400, objects::error("idempotency_error", "", &message), false);
            }
            return (kept.status, kept.body.clone(), true);
        }
        let (status, body, _) = self.posted(path, form, base);
        // What fails its checks is not kept (docs.stripe.com/api/idempotent_requests); a refund that was tried is.
        let tried = path == "/v1/refunds" && status == 400 && body["error"]["code"] != "parameter_invalid_integer";
        if status == 200 || tried {
            self.keep(path, key, form, status, &body);
        }
        (status, body, false)
    }

    /// Stripe fails and keeps that.
    pub fn fail_for_good(&mut self, path: &str, key: Option<&str>, form: &Value) -> Answer {
        if key.is_some_and(|key| self.keys.contains_key(key)) {
            return self.post(path, key, form, "");
        }
        let body = objects::error("api_error", "", "An unknown error occurred");
        self.keep(path, key, form, 500, &body);
        (500, body, false)
    }

    fn keep(&mut self, path: &str, key: Option<&str>, form: &Value, status: u16, body: &Value) {
        if let Some(key) = key {
            let kept = Kept { path: path.to_owned(), form: form.clone(), status, body: body.clone() };
            self.keys.insert(key.to_owned(), kept);
        }
    }

    fn posted(&mut self, path: &str, form: &Value, base: &str) -> Answer {
        let parts: Vec<&str> = path.trim_start_matches("/v1/").split('/').collect();
        let object = match parts[..] {
            ["checkout", "sessions"] => {
                let id = self.fresh("cs_test");
                let wanted = form["payment_intent_data"].get("metadata").cloned().unwrap_or_else(|| json!({}));
                self.wanted.insert(id.clone(), wanted);
                objects::session(&id, base, form, now())
            }
            ["checkout", "sessions", id, "expire"] => match self.get(id) {
                None => return missing("checkout.session", id),
                Some(session) if session["status"] != "open" => {
                    let message = "Only Checkout Sessions with a status in [\"open\"] can be expired.";
                    return failed(
                        400,
                        "",
                        &format!("{message} This Checkout Session has a status of {}.", session["status"]),
                    );
                }
                Some(_) => {
                    self.expire(id);
                    return (200, self.get(id).unwrap(), false);
                }
            },
            ["refunds"] => return self.refund(form),
            ["products"] => {
                let id = form["id"].as_str().map_or_else(|| self.fresh("prod"), str::to_owned);
                if self.get(&id).is_some() {
                    return failed(400, "resource_already_exists", "Product already exists.");
                }
                objects::product(&id, form, now())
            }
            ["products", id] => match self.get(id) {
                None => return missing("product", id),
                Some(mut product) => {
                    for field in ["name", "description"] {
                        if let Some(text) = form[field].as_str() {
                            product[field] = if text.is_empty() { Value::Null } else { json!(text) };
                        }
                    }
                    if let Some(active) = form["active"].as_str() {
                        product["active"] = json!(active == "true");
                    }
                    product
                }
            },
            ["prices"] => match form["product"].as_str() {
                Some(product) if self.get(product).is_none() => {
                    return failed(400, "resource_missing", &format!("No such product: '{product}'"));
                }
                _ => objects::price(&self.fresh("price"), form, now()),
            },
            ["prices", id] => match self.get(id) {
                None => return missing("price", id),
                Some(mut price) => {
                    if let Some(active) = form["active"].as_str() {
                        price["active"] = json!(active == "true");
                    }
                    price
                }
            },
            _ => return failed(404, "", &format!("Unrecognized request URL (POST: {path}).")),
        };
        self.put(object.clone());
        (200, object, false)
    }

    fn refund(&mut self, form: &Value) -> Answer {
        let (intent, charge) = (form["payment_intent"].as_str(), form["charge"].as_str());
        let paid = self.all("charge").into_iter().find(|known| {
            intent.is_some_and(|id| known["payment_intent"] == id) || charge.is_some_and(|id| known["id"] == id)
        });
        let Some(mut charge) = paid else { return missing("payment_intent", intent.unwrap_or_default()) };
        let captured = charge["amount_captured"].as_i64().unwrap();
        let refunded = charge["amount_refunded"].as_i64().unwrap();
        let left = captured - refunded;
        if left == 0 {
            let message = format!("Charge {} has already been refunded.", charge["id"].as_str().unwrap());
            return failed(400, "charge_already_refunded", &message);
        }
        let amount = form["amount"].as_str().map_or(left, |text| text.parse().unwrap());
        if amount <= 0 {
            return failed(400, "parameter_invalid_integer", "This value must be greater than or equal to 1.");
        }
        if amount > left {
            let dollars = |minor: i64| format!("${}.{:02}", minor / 100, minor % 100);
            let (amount, left) = (dollars(amount), dollars(left));
            return failed(
                400,
                "",
                &format!("Refund amount ({amount}) is greater than unrefunded amount on charge ({left})"),
            );
        }
        let refund = objects::refund(&self.fresh("re"), &charge, amount, form, now());
        charge["amount_refunded"] = json!(refunded + amount);
        charge["refunded"] = json!(amount == left);
        self.put(refund.clone());
        self.put(charge.clone());
        self.happen("refund.created", &refund);
        self.happen("charge.refunded", &charge);
        (200, refund, false)
    }

    /// What happened, of these types, the newest first.
    fn listed(&self, types: &Value) -> Vec<Value> {
        let wanted: Vec<&Value> = types.as_object().map(|types| types.values().collect()).unwrap_or_default();
        let is_wanted = |event: &&Value| wanted.is_empty() || wanted.contains(&&event["type"]);
        self.events.iter().rev().filter(is_wanted).cloned().collect()
    }

    pub fn read(&mut self, path: &str, query: &Value) -> Answer {
        let parts: Vec<&str> = path.trim_start_matches("/v1/").split('/').collect();
        let (kind, by) = match parts[..] {
            ["account"] => return (200, objects::account(), false),
            ["checkout", "sessions"] => ("checkout.session", "payment_intent"),
            ["charges"] => ("charge", "payment_intent"),
            ["refunds"] => ("refund", "payment_intent"),
            ["prices"] => ("price", "product"),
            ["products"] => ("product", "id"),
            ["events"] => ("event", "id"),
            ["checkout", "sessions", id] | ["payment_intents" | "products" | "refunds" | "charges" | "prices", id] => {
                return self
                    .get(id)
                    .map_or_else(|| missing(parts[0].trim_end_matches('s'), id), |known| (200, known, false));
            }
            _ => return failed(404, "", &format!("Unrecognized request URL (GET: {path}).")),
        };
        let number = |value: &Value| value.as_str().and_then(|text| text.parse::<i64>().ok());
        let since = number(&query["created"]["gte"]).unwrap_or_default();
        let of = query[by].as_str();
        let mut found = if kind == "event" { self.listed(&query["types"]) } else { self.all(kind) };
        found.retain(|one| of.is_none_or(|of| one[by] == of) && one["created"].as_i64().unwrap() >= since);
        if let Some(last) = query["starting_after"].as_str() {
            let at = found.iter().position(|one| one["id"] == last).unwrap();
            found.drain(..=at);
        }
        let limit = usize::try_from(number(&query["limit"]).unwrap_or(10)).unwrap();
        let has_more = found.len() > limit;
        found.truncate(limit);
        (200, json!({ "object": "list", "url": path, "has_more": has_more, "data": found }), false)
    }
}
