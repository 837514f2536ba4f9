//! Requests that are almost right, by the ten thousand: no answer is a fault of the server, every refusal is described,
//! nothing stays in memory, and the server works as before.
//!
//! `MIXVIDEO_MUTATIONS` sends another number of them; `MIXVIDEO_TEST_SEED` repeats a run. A fault names the seed of its
//! request, and `MIXVIDEO_MUTATION` sends that one alone.

use std::collections::{BTreeMap, HashMap};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use jsonschema::Validator;
use reqwest::Method;
use serde_json::{Value, json};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;

use super::api::Api;
use super::mutant::{Generator, Known, Request};
use crate::crash::service::{Service, until};

/// Requests that are sent, unless another number is asked for.
const REQUESTS: u64 = 50_000;
/// Callers at once.
const CALLERS: u64 = 8;
/// Requests after which caches and pools have the size that they keep.
const WARM: u64 = 2_000;
/// So much more memory than when it was warm the server may have in the end, in bytes: SQLite's cache, and actors that are
/// not put aside yet. A request that left a kilobyte behind would be seen.
const GROWTH_MAX: u64 = 48 * 1024 * 1024;
/// An answer comes within this time on a busy machine.
const LIMIT: Duration = Duration::from_secs(60);
/// Faults that are shown.
const SHOWN: usize = 12;

/// An answer as it came over the wire.
struct Answer {
    status: u16,
    headers: HashMap<String, String>,
    body: Vec<u8>,
}

impl Answer {
    fn header(&self, name: &str) -> &str {
        self.headers.get(name).map_or("", String::as_str)
    }
}

/// Sends a request, and reads the answer. `None` when the server cut the line without one.
async fn exchange(address: &str, request: &Request) -> std::io::Result<Option<Answer>> {
    let mut stream = TcpStream::connect(address).await?;
    // It may have been answered, and the line cut, before it was sent whole.
    let sent = stream.write_all(&request.bytes()).await;
    if request.said_length.is_some() && sent.is_ok() {
        stream.shutdown().await?;
    }
    let mut bytes = Vec::new();
    let mut buffer = vec![0; 16 * 1024];
    loop {
        match stream.read(&mut buffer).await {
            Ok(0) | Err(_) => break,
            Ok(read) => bytes.extend_from_slice(&buffer[..read]),
        }
        if let Some((head, whole)) = parse(&bytes, &request.method)
            && whole
        {
            return Ok(Some(head));
        }
    }
    Ok(parse(&bytes, &request.method).map(|(answer, _)| answer))
}

/// What has come of an answer, and whether that is all. A stream is all once it begins: nobody listens to it here.
fn parse(bytes: &[u8], method: &str) -> Option<(Answer, bool)> {
    let end = bytes.windows(4).position(|four| four == b"\r\n\r\n")?;
    let head = String::from_utf8_lossy(&bytes[..end]);
    let mut lines = head.split("\r\n");
    let status = lines.next()?.split(' ').nth(1)?.parse().ok()?;
    let headers: HashMap<String, String> = lines
        .filter_map(|line| line.split_once(':'))
        .map(|(name, value)| (name.to_ascii_lowercase(), value.trim().to_owned()))
        .collect();
    let body = bytes[end + 4..].to_vec();
    let length: Option<usize> = headers.get("content-length").and_then(|length| length.parse().ok());
    let bodiless = method == "HEAD" || matches!(status, 204 | 304);
    let whole = bodiless || length.is_none_or(|length| body.len() >= length);
    Some((Answer { status, headers, body }, whole))
}

/// Judges answers by the description.
struct Judge {
    api: Api,
    validators: Mutex<HashMap<String, Arc<Validator>>>,
}

impl Judge {
    fn new() -> Self {
        Self { api: Api::read(), validators: Mutex::default() }
    }

    /// What is wrong with an answer.
    fn fault(&self, operation: &str, request: &Request, answer: &Answer) -> Option<String> {
        let status = answer.status;
        if status < 400 {
            return None;
        }
        // What is no HTTP at all is refused before it reaches anything of ours.
        if answer.header("x-trace-id").is_empty() {
            let garbled = answer.body.is_empty() && matches!(status, 400 | 408 | 413 | 431);
            return (!garbled).then(|| format!("{status} without a trace id"));
        }
        // So few callers at once are no reason to be away for anybody.
        if status >= 500 {
            return Some(format!("a fault of the server: {status}"));
        }
        if answer.header("content-type").starts_with("text/html") {
            let pages = ["/payment/", "/sandbox/"].iter().any(|pages| request.target.starts_with(pages));
            return (!pages).then(|| "a page where none is described".to_owned());
        }
        if request.method == "HEAD" {
            return None;
        }
        let Ok(body) = serde_json::from_slice::<Value>(&answer.body) else {
            return Some("its body is no JSON".into());
        };
        // A request whose address or method was changed is another route's, or no route's.
        let schema = self.schema(operation, request, status);
        let validator = self.validator(&schema);
        if let Some(error) = validator.iter_errors(&body).next() {
            return Some(format!("not as described: {error}"));
        }
        // UniBee's envelope has it in refusals as well, as null.
        (!body["data"].is_null()).then(|| "a refusal with data".to_owned())
    }

    /// How a refusal looks: as the operation that was asked describes it, or as every other does.
    fn schema(&self, operation: &str, request: &Request, status: u16) -> String {
        let asked = self.api.operations().find(|known| known.name() == operation).unwrap();
        let described = asked.answer(u64::from(status)).and_then(|schema| schema["$ref"].as_str()).map(str::to_owned);
        let fixed = asked.path.split('{').next().unwrap();
        let same_route = request.target.starts_with(fixed) && request.method == asked.method;
        match described {
            Some(described) if same_route => described,
            _ if request.target.starts_with("/auth/") => "#/components/schemas/AuthFailure".into(),
            _ => self.any_of_prefix(&request.target),
        }
    }

    /// The refusals of the routes that begin like this one.
    fn any_of_prefix(&self, target: &str) -> String {
        let begins = |path: &str| target.starts_with(path.split('{').next().unwrap_or(path));
        let mut routes: Vec<_> = self.api.operations().filter(|operation| begins(operation.path)).collect();
        routes.sort_by_key(|operation| operation.path.split('{').next().unwrap_or_default().len());
        let refusal = routes.last().and_then(|operation| operation.answer(400)?["$ref"].as_str().map(str::to_owned));
        refusal.unwrap_or_else(|| "#/components/schemas/Failure".into())
    }

    fn validator(&self, reference: &str) -> Arc<Validator> {
        let mut validators = self.validators.lock().unwrap();
        let made = validators
            .entry(reference.to_owned())
            .or_insert_with(|| Arc::new(self.api.validator(&json!({ "$ref": reference }))));
        made.clone()
    }
}

/// Memory of a process that is in use, in bytes.
fn resident(pid: u32) -> u64 {
    let status = std::fs::read_to_string(format!("/proc/{pid}/status")).unwrap();
    let line = status.lines().find(|line| line.starts_with("VmRSS:")).unwrap();
    line.split_whitespace().nth(1).unwrap().parse::<u64>().unwrap() * 1024
}

/// A server that counts calls, and lets everybody make as many as it takes.
pub async fn unlimited() -> Service {
    let mut service = Service::sqlite().await;
    for class in [
        "KEY__READING",
        "KEY__CREATING",
        "KEY__MONEY",
        "ADDRESS__OPEN",
        "ADDRESS__SIGN_IN",
        "ADDRESS__WEBHOOK",
        "ADDRESS__FAILED",
    ] {
        service.set(format!("LIMITS__{class}"), 1_000_000);
    }
    service
}

async fn known(service: &Service) -> Known {
    let caller = &service.caller;
    let ask = async |path: &str, body: Value| {
        caller.ask(caller.request(Method::POST, path).json(&body)).await.unwrap().data().clone()
    };
    let mutated =
        json!({ "code": "mutated", "name": "Mutated", "workflow": "noop", "creditCost": 3, "templateType": "VIDEO" });
    ask("/templates", mutated).await;
    let order = json!({ "userId": "user_123", "metadata": {} });
    let checkout = ask("/payment/checkout/mutated", order).await;
    let task = json!({ "type": "video_generation", "templateCode": "noop" });
    let task = ask("/task", task).await;
    let client = service.told(&["keys", "create", "--role", "client"]).await;
    let operator = service.told(&["keys", "create", "--role", "operator"]).await;
    Known {
        task: task.as_str().unwrap().to_owned(),
        payment: checkout["paymentId"].as_str().unwrap().to_owned(),
        session: checkout["sessionId"].as_str().unwrap().to_owned(),
        keys: vec![operator.trim().to_owned(), operator.trim().to_owned(), client.trim().to_owned()],
    }
}

/// What came of a run.
#[derive(Default)]
struct Tally {
    statuses: BTreeMap<u16, u64>,
    faults: Vec<String>,
    cut: u64,
}

#[tokio::test]
async fn no_mutated_request_breaks_the_server_or_stays_in_its_memory() {
    let mut service = unlimited().await;
    service.start_with_templates().await;
    let environment = |name: &str| std::env::var(name).ok().map(|text| text.parse::<u64>().unwrap());
    let seed = environment("MIXVIDEO_TEST_SEED").unwrap_or_else(|| u64::from(rand::random::<u32>()) << 20);
    let alone = environment("MIXVIDEO_MUTATION");
    let wanted = if alone.is_some() { 1 } else { environment("MIXVIDEO_MUTATIONS").unwrap_or(REQUESTS) };
    println!("the mutations follow seed {seed}: MIXVIDEO_TEST_SEED={seed} repeats them");

    let generator = Arc::new(Generator::new(known(&service).await));
    let judge = Arc::new(Judge::new());
    let next = Arc::new(AtomicU64::new(0));
    let tally = Arc::new(Mutex::new(Tally::default()));
    let address = service.caller.base().strip_prefix("http://").unwrap().to_owned();
    let pid = service.pid();
    let begun = Instant::now();
    let warm = Arc::new(AtomicU64::new(0));
    let callers = (0..CALLERS).map(|_| {
        let (generator, judge, next, tally) = (generator.clone(), judge.clone(), next.clone(), tally.clone());
        let (address, warm) = (address.clone(), warm.clone());
        tokio::spawn(async move {
            loop {
                let at = next.fetch_add(1, Ordering::Relaxed);
                if at >= wanted {
                    return;
                }
                if at == WARM {
                    warm.store(resident(pid), Ordering::Relaxed);
                }
                let which = alone.unwrap_or_else(|| seed.wrapping_add(at));
                let (operation, request) = generator.request(which);
                let answer = tokio::time::timeout(LIMIT, exchange(&address, &request)).await;
                let fault = match &answer {
                    Err(_) => Some("no answer in time".to_owned()),
                    Ok(Err(error)) => Some(format!("the server cannot be reached: {error}")),
                    Ok(Ok(None)) => None,
                    Ok(Ok(Some(answer))) => judge.fault(&operation, &request, answer).map(|fault| {
                        let said = String::from_utf8_lossy(&answer.body);
                        format!("{fault}: {} {}", answer.status, said.chars().take(400).collect::<String>())
                    }),
                };
                let mut tally = tally.lock().unwrap();
                match answer {
                    Ok(Ok(Some(answer))) => *tally.statuses.entry(answer.status).or_default() += 1,
                    _ => tally.cut += 1,
                }
                if let Some(fault) = fault {
                    let sent = String::from_utf8_lossy(&request.bytes()).chars().take(600).collect::<String>();
                    tally.faults.push(format!("MIXVIDEO_MUTATION={which} ({operation}): {fault}\n{sent}\n"));
                }
            }
        })
    });
    futures_util::future::join_all(callers.collect::<Vec<_>>()).await.into_iter().for_each(|caller| caller.unwrap());

    let tally = std::mem::take(&mut *tally.lock().unwrap());
    let sent: u64 = tally.statuses.values().sum::<u64>() + tally.cut;
    let (before, after) = (warm.load(Ordering::Relaxed), resident(pid));
    let took = begun.elapsed().as_secs();
    println!(
        "{sent} requests in {took} s, {:?}, {} cut; {} MB when warm, {} MB in the end",
        tally.statuses,
        tally.cut,
        before >> 20,
        after >> 20
    );
    let shown = tally.faults.iter().take(SHOWN).cloned().collect::<Vec<_>>().join("\n");
    assert!(tally.faults.is_empty(), "{} faults, seed {seed}:\n{shown}", tally.faults.len());
    if alone.is_some() {
        return;
    }
    // Something must have worked, and most must have been refused: else nothing was shown.
    assert!(tally.statuses.get(&200).is_some_and(|worked| worked * 50 > sent), "{:?}", tally.statuses);
    assert!(tally.statuses.get(&400).is_some_and(|refused| refused * 10 > sent), "{:?}", tally.statuses);
    assert!(tally.cut * 20 < sent, "{} of {sent} calls had no answer", tally.cut);
    if sent > 2 * WARM {
        assert!(after <= before + GROWTH_MAX, "the server grew from {before} to {after} bytes by {sent} requests");
    }
    works_as_before(&service).await;
}

/// Nothing is left half-done, and the next caller is served.
async fn works_as_before(service: &Service) {
    let health = async || service.caller.get("/health").await.data().clone();
    until("everything that was accepted has ended", async || {
        let health = health().await;
        health["inHand"] == 0 && health["running"] == 0 && health["actors"]["task"].get("running").is_none()
    })
    .await;
    let health = health().await;
    assert_eq!((&health["quarantined"], &health["restarts"]), (&json!(0), &json!(0)), "{health}");
    let task = json!({ "type": "video_generation", "templateCode": "noop" });
    service.caller.make("afterwards", &task).await;
    service.caller.until_completed("afterwards").await;
    assert!(!service.log().contains("panicked"), "{}", service.log());
}

#[test]
fn each_way_to_answer_wrongly_is_noticed() {
    let judge = Judge::new();
    let request = Request {
        method: "POST".into(),
        target: "/task".into(),
        headers: Vec::new(),
        body: Vec::new(),
        said_length: None,
    };
    let refusal = json!({ "code": 400, "message": "No.", "timestamp": "2024-01-01T00:00:00.000Z", "traceId": "0193" });
    let answer = |status: u16, headers: &[(&str, &str)], body: &Value| {
        let always = [("x-trace-id", "0193"), ("content-type", "application/json")];
        let headers = always.iter().chain(headers).map(|(name, value)| ((*name).to_owned(), (*value).to_owned()));
        Answer { status, headers: headers.collect(), body: body.to_string().into_bytes() }
    };
    let fault = |answer: &Answer| judge.fault("POST /task", &request, answer).unwrap_or_default();
    assert_eq!(fault(&answer(400, &[], &refusal)), "");
    assert_eq!(fault(&answer(405, &[], &refusal)), "");
    let mut with_data = refusal.clone();
    with_data["data"] = json!({});
    let mut without_trace = refusal.clone();
    without_trace.as_object_mut().unwrap().remove("traceId");
    for (answer, said) in [
        (answer(500, &[], &refusal), "a fault of the server"),
        (answer(502, &[("retry-after", "1")], &refusal), "a fault of the server"),
        (answer(503, &[("retry-after", "1")], &refusal), "a fault of the server"),
        (answer(400, &[], &json!("No.")), "not as described"),
        (answer(400, &[], &without_trace), "not as described"),
        (answer(400, &[], &with_data), "a refusal with data"),
        (answer(400, &[("content-type", "text/html")], &refusal), "a page where none is described"),
        (answer(400, &[("x-trace-id", "")], &refusal), "without a trace id"),
    ] {
        assert!(fault(&answer).contains(said), "{said}: {}", fault(&answer));
    }
}
