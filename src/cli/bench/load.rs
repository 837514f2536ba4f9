//! Closed and open loops of calls.

use std::cell::RefCell;
use std::collections::VecDeque;
use std::net::SocketAddr;
use std::rc::Rc;
use std::time::{Duration, Instant};

use hdrhistogram::Histogram;
use serde::Serialize;

use super::http::{Connection, Error};

/// The longest time that is told apart, in microseconds.
const LONGEST_US: u64 = 120_000_000;
/// Connections of an open loop, at most.
const OPEN_CONNECTIONS_MAX: usize = 1_024;
/// Times that one call is followed, at most.
const FOLLOWED_MAX: u32 = 50;

/// Times of calls.
#[derive(Debug)]
pub(super) struct Times(Histogram<u64>);

impl Times {
    /// No times.
    pub(super) fn new() -> Self {
        Self(Histogram::new_with_bounds(1, LONGEST_US, 3).expect("the bounds are constants"))
    }

    /// One more.
    pub(super) fn note(&mut self, time: Duration) {
        self.0.saturating_record(u64::try_from(time.as_micros()).unwrap_or(LONGEST_US).max(1));
    }

    /// What is reported of them.
    pub(super) fn quantiles(&self) -> Quantiles {
        let at = |quantile: f64| self.0.value_at_quantile(quantile) as f64 / 1_000.0;
        Quantiles { count: self.0.len(), p50_ms: at(0.5), p99_ms: at(0.99), max_ms: self.0.max() as f64 / 1_000.0 }
    }
}

/// Times in short, in milliseconds.
#[derive(Clone, Copy, Debug, PartialEq, Serialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct Quantiles {
    /// How many.
    pub count: u64,
    /// Half are shorter.
    pub p50_ms: f64,
    /// All but one in a hundred are shorter.
    pub p99_ms: f64,
    /// The longest.
    pub max_ms: f64,
}

/// When a closed loop ends: after so many calls, or at a time, whichever comes first.
#[derive(Clone, Copy, Debug)]
pub(super) struct Bounds {
    /// Calls in all.
    pub calls: u64,
    /// No call begins after it.
    pub until: Instant,
}

/// What a loop saw.
#[derive(Debug)]
pub(super) struct Seen {
    /// Answers of status 200.
    pub accepted: u64,
    /// Other answers and broken connections.
    pub failed: u64,
    /// The first failure, in words.
    pub failure: Option<String>,
    /// From the first call to the last answer.
    pub took: Duration,
    /// Of the accepted ones.
    pub times: Times,
}

impl Seen {
    fn new() -> Self {
        Self { accepted: 0, failed: 0, failure: None, took: Duration::ZERO, times: Times::new() }
    }

    /// Counts a call; a failure always, an accepted one where its time is wanted.
    fn note(&mut self, answer: Result<(u16, &[u8]), Error>, time: Option<Duration>) -> bool {
        let failure = match answer {
            Ok((200, _)) => {
                if let Some(time) = time {
                    self.accepted += 1;
                    self.times.note(time);
                }
                return true;
            }
            Ok((status, body)) => format!("status {status}: {}", String::from_utf8_lossy(body)),
            Err(error) => error.to_string(),
        };
        self.failed += 1;
        self.failure.get_or_insert(failure);
        false
    }
}

/// Each of `connections` calls as soon as its last call is answered. `request` writes the call of a number.
pub(super) async fn closed(
    server: SocketAddr,
    connections: usize,
    bounds: Bounds,
    request: impl Fn(u64) -> Rc<[u8]> + 'static,
) -> Seen {
    let seen = Rc::new(RefCell::new(Seen::new()));
    let next = Rc::new(RefCell::new(0_u64));
    let request = Rc::new(request);
    let began = Instant::now();
    let callers = (0..connections).map(|_| {
        let (seen, next, request) = (seen.clone(), next.clone(), request.clone());
        tokio::task::spawn_local(async move {
            let mut connection = Connection::new(server);
            loop {
                let sent = Instant::now();
                let number = next.replace_with(|next| *next + 1);
                if number >= bounds.calls || sent >= bounds.until {
                    return;
                }
                let call = request(number);
                let answer = connection.call(&call).await;
                if !seen.borrow_mut().note(answer, Some(sent.elapsed())) {
                    // A server in trouble is not pressed harder than one that works.
                    tokio::time::sleep(Duration::from_millis(10)).await;
                }
            }
        })
    });
    for caller in callers.collect::<Vec<_>>() {
        // A caller that panicked has noted what it saw.
        let _ = caller.await;
    }
    let mut seen = seen.replace(Seen::new());
    seen.took = began.elapsed();
    seen
}

/// What an open loop saw of its two calls.
#[derive(Debug)]
pub(super) struct OpenSeen {
    /// The first call, from the time it was due.
    pub first: Seen,
    /// Both calls, from the time the first was due.
    pub both: Seen,
}

/// Calls `rate` times a second for `warm_up` and `span`, whether answers come or not, and follows each answer with a second
/// call on the same connection, repeated until its answer holds `expected`. Times count from when a call was due, so that a
/// slow server is not spared; those of calls that were due in `warm_up` are left out.
pub(super) async fn open(
    server: SocketAddr,
    rate: u32,
    (warm_up, span): (Duration, Duration),
    request: Rc<[u8]>,
    follow: impl Fn(&[u8]) -> Option<Vec<u8>> + 'static,
    expected: &'static str,
) -> OpenSeen {
    let seen = Rc::new(RefCell::new(OpenSeen { first: Seen::new(), both: Seen::new() }));
    let idle = Rc::new(RefCell::new(VecDeque::new()));
    let follow = Rc::new(follow);
    let began = Instant::now();
    let mut callers = tokio::task::JoinSet::new();
    let step = Duration::from_secs(1) / rate.max(1);
    for number in 0.. {
        let due = began + step * number;
        if due >= began + warm_up + span {
            break;
        }
        wait_until(due).await;
        let connection: Option<Connection> = idle.borrow_mut().pop_front();
        if connection.is_none() && callers.len() >= OPEN_CONNECTIONS_MAX {
            seen.borrow_mut().first.note(Err(Error::Garbled("too many calls wait")), None);
            continue;
        }
        let mut connection = connection.unwrap_or_else(|| Connection::new(server));
        let (seen, idle, follow, request) = (seen.clone(), idle.clone(), follow.clone(), request.clone());
        let time = move || (due >= began + warm_up).then(|| due.elapsed());
        callers.spawn_local(async move {
            let answer = connection.call(&request).await;
            let second = answer.as_ref().ok().and_then(|(_, body)| follow(body));
            if seen.borrow_mut().first.note(answer, time())
                && let Some(second) = second
            {
                let answer = call_until(&mut connection, &second, expected).await;
                seen.borrow_mut().both.note(answer, time());
            }
            idle.borrow_mut().push_front(connection);
        });
        while callers.try_join_next().is_some() {}
    }
    while callers.join_next().await.is_some() {}
    let empty = OpenSeen { first: Seen::new(), both: Seen::new() };
    let mut seen = seen.replace(empty);
    seen.first.took = began.elapsed();
    seen
}

/// Calls until the answer holds `expected`: each change of what is waited for may be told.
async fn call_until(
    connection: &mut Connection,
    request: &[u8],
    expected: &str,
) -> Result<(u16, &'static [u8]), Error> {
    for _ in 0..FOLLOWED_MAX {
        let (status, body) = connection.call(request).await?;
        if status != 200 || std::str::from_utf8(body).is_ok_and(|body| body.contains(expected)) {
            return Ok((status, b""));
        }
    }
    Err(Error::Garbled("what was waited for never came"))
}

/// Waits until `due`. Timers count whole milliseconds, which is as long as what is measured: the last of the wait is spent
/// looking at the clock, and lets everything else run in between.
pub(super) async fn wait_until(due: Instant) {
    if let Some(early) = due.checked_sub(Duration::from_millis(2)) {
        tokio::time::sleep_until(early.into()).await;
    }
    while Instant::now() < due {
        tokio::task::yield_now().await;
    }
}

#[cfg(test)]
mod tests {
    use std::cell::Cell;

    use actix_web::{App, HttpResponse, HttpServer, web};

    use super::super::http::request;
    use super::*;

    /// A server whose answers are `{"data":"x"}`, and a refusal at `/no`.
    fn server() -> SocketAddr {
        let server = HttpServer::new(|| {
            App::new()
                .route("/no", web::get().to(|| async { HttpResponse::BadRequest().body("no") }))
                .default_service(web::to(|| async { HttpResponse::Ok().body("{\"data\":\"x\"}") }))
        });
        let server = server.workers(1).bind("127.0.0.1:0").unwrap();
        let address = server.addrs()[0];
        actix_web::rt::spawn(server.run());
        address
    }

    fn within(calls: u64) -> Bounds {
        Bounds { calls, until: Instant::now() + Duration::from_secs(20) }
    }

    #[actix_web::test]
    async fn a_closed_loop_makes_exactly_its_calls() {
        let numbers = Rc::new(Cell::new(0));
        let counted = numbers.clone();
        let call: Rc<[u8]> = request("GET", "/", None, None).into();
        let seen = closed(server(), 8, within(100), move |number| {
            counted.set(counted.get() + number);
            call.clone()
        });
        let seen = seen.await;
        assert_eq!((seen.accepted, seen.failed), (100, 0));
        assert_eq!(numbers.get(), (0..100).sum::<u64>());
        assert_eq!(seen.times.quantiles().count, 100);
    }

    #[actix_web::test]
    async fn refusals_are_counted_and_the_first_is_told() {
        let call: Rc<[u8]> = request("GET", "/no", None, None).into();
        let seen = closed(server(), 2, within(4), move |_| call.clone()).await;
        assert_eq!((seen.accepted, seen.failed), (0, 4));
        assert_eq!(seen.failure.as_deref(), Some("status 400: no"));
    }

    #[actix_web::test]
    async fn a_closed_loop_ends_in_time() {
        let bounds = Bounds { calls: u64::MAX, until: Instant::now() + Duration::from_millis(50) };
        let call: Rc<[u8]> = request("GET", "/", None, None).into();
        let seen = closed(server(), 2, bounds, move |_| call.clone()).await;
        assert!(seen.took < Duration::from_secs(10), "{:?}", seen.took);
    }

    #[actix_web::test]
    async fn an_open_loop_follows_every_answer() {
        let call: Rc<[u8]> = request("POST", "/", None, Some("{}")).into();
        let follow = |body: &[u8]| {
            assert_eq!(body, b"{\"data\":\"x\"}");
            Some(request("GET", "/task/x", None, None))
        };
        let spans = (Duration::from_millis(40), Duration::from_millis(100));
        let seen = open(server(), 500, spans, call, follow, "\"x\"").await;
        assert_eq!((seen.first.accepted, seen.both.accepted), (50, 50), "what was due after the warm-up is counted");
        assert!(seen.both.times.quantiles().p50_ms >= seen.first.times.quantiles().p50_ms);
    }

    #[test]
    fn quantiles_are_those_of_what_was_noted() {
        let mut times = Times::new();
        for ms in 1..=100 {
            times.note(Duration::from_millis(ms));
        }
        let Quantiles { count, p50_ms, p99_ms, max_ms } = times.quantiles();
        assert_eq!(count, 100);
        assert!(
            (49.9..=50.2).contains(&p50_ms) && (98.9..=99.2).contains(&p99_ms) && max_ms >= 99.9,
            "{p50_ms} {p99_ms}"
        );
        times.note(Duration::from_secs(100_000));
        assert_eq!(times.quantiles().count, 101);
    }
}
