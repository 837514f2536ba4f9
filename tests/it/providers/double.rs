//! Replicate as its documents describe it: predictions that are made, shown, listed and cancelled, files that are
//! given, signed webhooks. What it does wrong is told by the test.

use std::collections::VecDeque;
use std::net::SocketAddr;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use chrono::{DateTime, SecondsFormat};
use hmac::{Hmac, KeyInit, Mac};
use mixvideo::domain::Timestamp;
use mixvideo::runtime::clock::{Clock, SystemClock};
use serde_json::{Value, json};
use sha2::Sha256;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};

use super::{KEY, SECRET};
use crate::crash::service::until;

/// What every film is: the first box of an MP4, and something after it.
pub fn film() -> Vec<u8> {
    [&b"\0\0\0\x18ftypisom\0\0\x02\0isommp41"[..], &[7; 400]].concat()
}

/// What becomes of one call.
#[derive(Clone, Debug)]
pub enum Deed {
    /// It is answered as it should be.
    Answer,
    /// The line is cut before anything is done.
    HangUpBefore,
    /// It is done, and the line is cut without an answer.
    HangUpAfter,
    /// It waits, undone, for longer than any test.
    HoldBefore,
    /// It is done and never answered.
    HoldAfter,
    /// The webhook comes before the answer.
    CallFirst,
    /// Another answer: a status line, perhaps with headers.
    Say(&'static str),
}

/// A prediction.
#[derive(Clone, Debug)]
pub struct Prediction {
    pub id: String,
    pub prompt: String,
    pub webhook: Option<String>,
    pub cancelled: bool,
    created_at: String,
    looks: usize,
}

/// A submit as it came.
#[derive(Clone, Debug)]
pub struct Arrival {
    pub at: Instant,
    pub head: String,
    pub body: Vec<u8>,
}

#[derive(Default)]
pub struct World {
    pub predictions: Vec<Prediction>,
    /// Every submit that arrived, accepted or not.
    pub arrivals: Vec<Arrival>,
    /// What becomes of the next submits, looks and files; afterwards all goes well.
    pub submits: VecDeque<Deed>,
    pub looks: VecDeque<Deed>,
    pub files: VecDeque<Deed>,
    /// Looks at a prediction before it is done.
    pub looks_until_done: usize,
    /// Webhooks are sent when a prediction is done.
    pub calls: bool,
    /// Predictions are listed without their webhooks.
    pub lists_no_webhooks: bool,
    /// The same key is the same prediction.
    pub knows_keys: bool,
    /// Calls that are held at this moment or were.
    pub held: usize,
    pub asked: usize,
    pub looked: usize,
    pub fetched: usize,
}

/// A running double.
pub struct Replicate {
    pub address: SocketAddr,
    world: Arc<Mutex<World>>,
}

struct Request {
    method: String,
    path: String,
    head: String,
    body: Vec<u8>,
}

impl Replicate {
    pub async fn open() -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let replicate = Self { address: listener.local_addr().unwrap(), world: Arc::default() };
        let (world, address) = (replicate.world.clone(), replicate.address);
        tokio::spawn(async move {
            while let Ok((line, _)) = listener.accept().await {
                tokio::spawn(converse(line, world.clone(), address));
            }
        });
        replicate
    }

    /// What it does wrong, and what it has seen.
    pub fn world(&self) -> MutexGuard<'_, World> {
        self.world.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub fn base(&self) -> String {
        format!("http://{}/v1", self.address)
    }

    /// How often the prompt was taken up.
    pub fn accepted(&self, prompt: &str) -> usize {
        self.world().predictions.iter().filter(|prediction| prediction.prompt == prompt).count()
    }

    pub async fn until_held(&self) {
        until("a call is held", async || self.world().held > 0).await;
    }

    /// Sends a webhook about the newest prediction under an id; the answer's status.
    pub async fn call(&self, webhook_id: &str) -> u16 {
        let prediction = self.world().predictions.last().unwrap().clone();
        call(&prediction, webhook_id).await
    }
}

/// A webhook as Standard Webhooks signs it.
pub async fn call(prediction: &Prediction, webhook_id: &str) -> u16 {
    let body = json!({ "id": prediction.id, "status": "succeeded", "output": "not to be believed" }).to_string();
    let seconds = SystemClock.now().0 / 1_000;
    post(prediction.webhook.as_ref().unwrap(), webhook_id, seconds, &sign(webhook_id, seconds, &body), &body).await
}

pub fn sign(webhook_id: &str, seconds: i64, body: &str) -> String {
    let key = STANDARD.decode(SECRET.strip_prefix("whsec_").unwrap()).unwrap();
    let mut mac = Hmac::<Sha256>::new_from_slice(&key).unwrap();
    mac.update(format!("{webhook_id}.{seconds}.{body}").as_bytes());
    format!("v1,{}", STANDARD.encode(mac.finalize().into_bytes()))
}

pub async fn post(url: &str, webhook_id: &str, seconds: i64, signature: &str, body: &str) -> u16 {
    let request = reqwest::Client::new().post(url).header("webhook-id", webhook_id);
    let request = request.header("webhook-timestamp", seconds).header("webhook-signature", signature);
    // Whoever is called may be dead.
    request.body(body.to_owned()).send().await.map_or(0, |answer| answer.status().as_u16())
}

async fn converse(mut line: TcpStream, world: Arc<Mutex<World>>, address: SocketAddr) {
    let Some(request) = read(&mut line).await else { return };
    let locked = || world.lock().unwrap_or_else(PoisonError::into_inner);
    let path = request.path.split('?').next().unwrap().to_owned();
    let parts: Vec<&str> = path.trim_start_matches('/').split('/').collect();
    if !path.starts_with("/files/") {
        assert!(request.head.contains(&format!("authorization: Bearer {KEY}")), "{}", request.head);
    }
    let deed = {
        let mut world = locked();
        let deeds = match (request.method.as_str(), &parts[..]) {
            ("POST", ["v1", "predictions"]) => {
                let arrival = Arrival { at: Instant::now(), head: request.head.clone(), body: request.body.clone() };
                world.arrivals.push(arrival);
                &mut world.submits
            }
            ("GET", ["v1", "predictions", _]) => &mut world.looks,
            ("GET", ["files", _]) => &mut world.files,
            _ => &mut VecDeque::new(),
        };
        deeds.pop_front().unwrap_or(Deed::Answer)
    };
    match deed {
        Deed::HangUpBefore => return,
        Deed::HoldBefore => {
            locked().held += 1;
            return held(line).await;
        }
        Deed::Say(status) => {
            let answer = format!("HTTP/1.1 {status}\r\nContent-Length: 0\r\nConnection: close\r\n\r\n");
            return drop(line.write_all(answer.as_bytes()).await);
        }
        Deed::Answer | Deed::HangUpAfter | Deed::HoldAfter | Deed::CallFirst => {}
    }
    let (status, body, calls) = done(&mut locked(), &request, &parts, address);
    if let (Deed::CallFirst, Some(prediction)) = (&deed, &calls) {
        assert_eq!(call(prediction, &format!("first_{}", prediction.id)).await, 204);
    }
    match deed {
        Deed::HangUpAfter => return,
        Deed::HoldAfter => {
            locked().held += 1;
            return held(line).await;
        }
        _ => {}
    }
    let head = format!("HTTP/1.1 {status}\r\nContent-Length: {}\r\nConnection: close\r\n\r\n", body.len());
    // Whoever asked may be dead.
    let _ = line.write_all(&[head.as_bytes(), &body].concat()).await;
    if let Some(prediction) = calls.filter(|_| locked().calls) {
        call(&prediction, &format!("msg_{}", prediction.id)).await;
    }
}

/// Until whoever asked is gone.
async fn held(mut line: TcpStream) {
    let _ = tokio::time::timeout(Duration::from_secs(60), line.read_u8()).await;
}

async fn read(line: &mut TcpStream) -> Option<Request> {
    let mut head = Vec::new();
    while !head.ends_with(b"\r\n\r\n") {
        head.push(line.read_u8().await.ok()?);
    }
    let head = String::from_utf8(head).unwrap();
    let length =
        head.lines().find_map(|line| line.strip_prefix("content-length: ")).map_or(0, |text| text.parse().unwrap());
    let mut body = vec![0; length];
    line.read_exact(&mut body).await.ok()?;
    let mut words = head.split(' ');
    let (method, path) = (words.next()?.to_owned(), words.next()?.to_owned());
    Some(Request { method, path, head, body })
}

/// Does what is asked: status line, body, and the prediction to send a webhook about.
fn done(
    world: &mut World,
    request: &Request,
    parts: &[&str],
    address: SocketAddr,
) -> (&'static str, Vec<u8>, Option<Prediction>) {
    match (request.method.as_str(), parts) {
        ("POST", ["v1", "predictions"]) => {
            let asked: Value = serde_json::from_slice(&request.body).unwrap();
            assert!(asked["version"].is_string() && asked["input"]["prompt"].is_string(), "{asked}");
            let key = request.head.lines().find_map(|line| line.strip_prefix("idempotency-key: "));
            let known = key
                .filter(|_| world.knows_keys)
                .and_then(|key| world.predictions.iter().find(|prediction| prediction.id == id_of(key)).cloned());
            let prediction = known.unwrap_or_else(|| {
                let now = SystemClock.now();
                let prediction = Prediction {
                    id: key.map_or_else(|| format!("prediction{}", world.predictions.len()), id_of),
                    prompt: asked["input"]["prompt"].as_str().unwrap().to_owned(),
                    webhook: asked["webhook"].as_str().map(str::to_owned),
                    cancelled: false,
                    created_at: written(now),
                    looks: 0,
                };
                world.predictions.push(prediction.clone());
                prediction
            });
            ("201 Created", json!({ "id": prediction.id, "status": "starting" }).to_string().into(), Some(prediction))
        }
        ("GET", ["v1", "predictions"]) => {
            world.asked += 1;
            let plain = world.lists_no_webhooks;
            let shown = |prediction: &Prediction| {
                let webhook = prediction.webhook.as_ref().filter(|_| !plain);
                json!({ "id": prediction.id, "created_at": prediction.created_at, "webhook": webhook })
            };
            let results: Vec<Value> = world.predictions.iter().rev().map(shown).collect();
            ("200 OK", json!({ "results": results, "next": null }).to_string().into(), None)
        }
        ("GET", ["v1", "predictions", id]) => {
            world.looked += 1;
            let until_done = world.looks_until_done;
            let Some(prediction) = world.predictions.iter_mut().find(|prediction| prediction.id == *id) else {
                return ("404 Not Found", b"{}".to_vec(), None);
            };
            prediction.looks += 1;
            let status = match prediction {
                Prediction { cancelled: true, .. } => "canceled",
                Prediction { looks, .. } if *looks > until_done => "succeeded",
                _ => "processing",
            };
            let output = (status == "succeeded").then(|| [format!("http://{address}/files/{id}.mp4")]);
            ("200 OK", json!({ "id": id, "status": status, "output": output }).to_string().into(), None)
        }
        ("POST", ["v1", "predictions", id, "cancel"]) => {
            let prediction = world.predictions.iter_mut().find(|prediction| prediction.id == *id).unwrap();
            prediction.cancelled = true;
            ("200 OK", b"{}".to_vec(), None)
        }
        ("GET", ["files", _]) => {
            world.fetched += 1;
            ("200 OK", film(), None)
        }
        other => panic!("nobody asks a provider for {other:?}"),
    }
}

fn id_of(key: &str) -> String {
    key.trim().replace("mixvideo-", "keyed")
}

fn written(at: Timestamp) -> String {
    DateTime::from_timestamp_millis(at.0).unwrap().to_rfc3339_opts(SecondsFormat::Millis, true)
}
