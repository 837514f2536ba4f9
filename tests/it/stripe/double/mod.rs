//! A double of Stripe: its API over HTTP, signed webhooks, and whatever can go wrong between it and us. Every request
//! and every answer is judged by Stripe's own description of its API: see `spec`.

pub mod form;
mod objects;
pub mod spec;
mod world;

use std::net::SocketAddr;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use mixvideo::gateway::webhook::{SIGNATURE_HEADER, Secrets};
use mixvideo::runtime::clock::{Clock as _, SystemClock};
use serde_json::Value;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};

use crate::crash::service::until;
use spec::spec;
pub use world::{Delivery, Fault, World};

/// The key it takes, and what it signs webhooks with.
pub const KEY: &str = "sk_test_swordfish";
pub const SECRET: &str = "whsec_swordfish";

/// A running double.
#[derive(Clone)]
pub struct Double {
    pub address: SocketAddr,
    world: Arc<Mutex<World>>,
}

struct Request {
    method: String,
    path: String,
    query: String,
    head: String,
    body: String,
}

impl Request {
    fn header(&self, name: &str) -> Option<&str> {
        let named = |line: &&str| line.split_once(':').is_some_and(|(known, _)| known.eq_ignore_ascii_case(name));
        self.head.lines().find(named).and_then(|line| line.split_once(':')).map(|(_, value)| value.trim())
    }
}

impl Double {
    pub async fn open() -> Self {
        // It takes a while, and calls have their limit.
        spec();
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let double = Self { address: listener.local_addr().unwrap(), world: Arc::default() };
        let running = double.clone();
        tokio::spawn(async move {
            while let Ok((line, _)) = listener.accept().await {
                running.world().connections += 1;
                let running = running.clone();
                tokio::spawn(async move { running.converse(line).await });
            }
        });
        double
    }

    pub fn base(&self) -> String {
        format!("http://{}", self.address)
    }

    pub fn world(&self) -> MutexGuard<'_, World> {
        self.world.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// What goes wrong with the next post to a path that holds the text.
    pub fn fail(&self, path: &'static str, fault: Fault) {
        self.world().faults.push_back(("POST", path, fault));
    }

    /// The same with the next read.
    pub fn fail_reads(&self, path: &'static str, fault: Fault) {
        self.world().faults.push_back(("GET", path, fault));
    }

    /// Nothing that was said or answered is against Stripe's own description.
    pub fn obeyed(&self) {
        let world = self.world();
        assert_eq!(world.faulty, Vec::<String>::new());
        for event in &world.events {
            let kind = event["data"]["object"]["object"].as_str().unwrap();
            let faults = spec().faults_of_object("event", event);
            assert_eq!(faults, Vec::<String>::new(), "{event}");
            assert_eq!(spec().faults_of_object(kind, &event["data"]["object"]), Vec::<String>::new(), "{event}");
        }
    }

    /// Sends what nobody was told of yet to `url`; the statuses of the answers.
    pub async fn tell(&self, url: &str) -> Vec<u16> {
        let (mut events, delivery) = {
            let mut world = self.world();
            (std::mem::take(&mut world.untold), world.delivery)
        };
        match delivery {
            Delivery::Once => {}
            Delivery::Twice => events = events.iter().flat_map(|event| [event.clone(), event.clone()]).collect(),
            Delivery::Reversed => events.reverse(),
            Delivery::Dropped => events.clear(),
        }
        let mut statuses = Vec::new();
        for event in events {
            statuses.push(send(&event, url).await);
        }
        statuses
    }

    /// Sends an event to wherever `url` says, again and again until it is taken.
    pub async fn insist(&self, event: &Value, url: impl Fn() -> String) {
        until("the event is taken", async || send(event, &url()).await == 200).await;
    }

    async fn converse(&self, mut line: TcpStream) {
        while let Some(request) = read(&mut line).await {
            let fault = self.fault_of(&request);
            let (status, body, replayed) = match fault {
                Some(Fault::Reset { done } | Fault::Silence { done } | Fault::Html502 { done }) => {
                    if done {
                        self.answer(&request);
                    }
                    match fault {
                        Some(Fault::Silence { .. }) => {
                            return drop(tokio::time::timeout(Duration::from_secs(60), line.read_u8()).await);
                        }
                        Some(Fault::Reset { .. }) => return,
                        _ => (502, "<html><h1>502 Bad Gateway</h1></html>".to_owned(), false),
                    }
                }
                Some(Fault::Garbage) => {
                    self.answer(&request);
                    (200, "{\"id\": \"re_".to_owned(), false)
                }
                Some(Fault::KeyInUse) => {
                    let message = "There is currently another in-progress request using this Idempotent Key";
                    (409, objects::error("idempotency_error", "idempotency_key_in_use", message).to_string(), false)
                }
                Some(Fault::TooMany) => {
                    let error = objects::error(
                        "invalid_request_error",
                        "rate_limit",
                        "Too many requests hit the API too quickly.",
                    );
                    (429, error.to_string(), false)
                }
                Some(Fault::Stored500) => {
                    let form = form::parse(&request.body);
                    let (status, body, replayed) =
                        self.world().fail_for_good(&request.path, request.header("idempotency-key"), &form);
                    (status, body.to_string(), replayed)
                }
                None => {
                    let (status, body, replayed) = self.answer(&request);
                    (status, body.to_string(), replayed)
                }
            };
            let retry = if status == 429 { "Retry-After: 2\r\n" } else { "" };
            let replay = if replayed { "Idempotent-Replayed: true\r\n" } else { "" };
            let head = format!(
                "HTTP/1.1 {status} Whatever\r\nContent-Type: application/json\r\nRequest-Id: req_double\r\n{retry}{replay}Content-Length: {}\r\n\r\n",
                body.len()
            );
            if line.write_all(&[head.as_bytes(), body.as_bytes()].concat()).await.is_err() {
                return;
            }
        }
    }

    fn fault_of(&self, request: &Request) -> Option<Fault> {
        let mut world = self.world();
        let (method, path, fault) = *world.faults.front()?;
        (request.method == method && request.path.contains(path)).then(|| {
            world.faults.pop_front();
            fault
        })
    }

    /// Does what is asked, judges both sides, and answers.
    fn answer(&self, request: &Request) -> (u16, Value, bool) {
        let form = form::parse(&request.body);
        let query = form::parse(&request.query);
        let mut world = self.world();
        world.seen.push(world::Seen {
            method: request.method.clone(),
            path: request.path.clone(),
            key: request.header("idempotency-key").map(str::to_owned),
            version: request.header("stripe-version").unwrap_or_default().to_owned(),
            body: request.body.clone(),
        });
        if request.header("authorization") != Some(&*format!("Bearer {KEY}")) {
            return (401, objects::error("invalid_request_error", "", "Invalid API Key provided"), false);
        }
        let template = template(&request.path);
        let faults = if request.method == "POST" {
            spec().faults_of_form(&template, &form)
        } else {
            spec().faults_of_query(&template, &query)
        };
        if let Some(fault) = faults.first() {
            let error = objects::error("invalid_request_error", "parameter_unknown", fault);
            world.faulty.extend(faults);
            return (400, error, false);
        }
        let answer = if request.method == "POST" {
            world.post(&request.path, request.header("idempotency-key"), &form, &self.base())
        } else {
            world.read(&request.path, &query)
        };
        let faults = spec().faults_of_answer(&request.method, &template, answer.0, &answer.1);
        world.faulty.extend(faults);
        answer
    }
}

/// Sends one event; the status of the answer, 0 when there is none: whoever is told may be dead.
async fn send(event: &Value, url: &str) -> u16 {
    let body = event.to_string();
    let signature = Secrets::parse(SECRET).sign(body.as_bytes(), SystemClock.now()).unwrap();
    let request = reqwest::Client::new().post(url).header(SIGNATURE_HEADER, signature).body(body);
    request.send().await.map_or(0, |answer| answer.status().as_u16())
}

/// The path as Stripe's description has it.
fn template(path: &str) -> String {
    let parts: Vec<&str> = path.trim_start_matches("/v1/").split('/').collect();
    match parts[..] {
        ["checkout", "sessions", _] => "/v1/checkout/sessions/{session}".to_owned(),
        ["checkout", "sessions", _, "expire"] => "/v1/checkout/sessions/{session}/expire".to_owned(),
        ["payment_intents", _] => "/v1/payment_intents/{intent}".to_owned(),
        ["products", _] => "/v1/products/{id}".to_owned(),
        ["prices", _] => "/v1/prices/{price}".to_owned(),
        ["refunds", _] => "/v1/refunds/{refund}".to_owned(),
        ["charges", _] => "/v1/charges/{charge}".to_owned(),
        _ => path.to_owned(),
    }
}

async fn read(line: &mut TcpStream) -> Option<Request> {
    let mut head = Vec::new();
    while !head.ends_with(b"\r\n\r\n") {
        head.push(line.read_u8().await.ok()?);
    }
    let head = String::from_utf8(head).unwrap();
    let mut words = head.split(' ');
    let (method, target) = (words.next()?.to_owned(), words.next()?.to_owned());
    let (path, query) = target.split_once('?').unwrap_or((&target, ""));
    let (path, query) = (path.to_owned(), query.to_owned());
    let mut request = Request { method, path, query, head, body: String::new() };
    let length = request.header("content-length").map_or(0, |text| text.parse().unwrap());
    let mut body = vec![0; length];
    line.read_exact(&mut body).await.ok()?;
    request.body = String::from_utf8(body).unwrap();
    Some(request)
}
