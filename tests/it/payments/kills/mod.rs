//! `kill -9` in the life of a payment: at every step that others can see, by name ([`exhaustive`]), and at any time under
//! many payers ([`random`]). Each payment is executed once and given back once all the same.

mod case;
mod exhaustive;
mod random;

use std::time::{Duration, Instant};

use reqwest::Method;
use serde_json::Value;

use crate::crash::service::{Caller, LIMIT};
use crate::server::Answer;

/// A living server answers long before.
const ANSWER_LIMIT: Duration = Duration::from_secs(30);

/// Asks until the service answers something else than that it is away.
async fn insist(caller: &Caller, method: Method, path: &str, key: Option<&str>, body: Option<&Value>) -> Answer {
    let begun = Instant::now();
    loop {
        assert!(begun.elapsed() < LIMIT, "{path} is never answered");
        let mut request = caller.request(method.clone(), path).timeout(ANSWER_LIMIT);
        if let Some(key) = key {
            request = request.header("idempotency-key", key);
        }
        if let Some(body) = body {
            request = request.json(body);
        }
        match caller.ask(request).await {
            Ok(answer) if answer.status.as_u16() < 500 => return answer,
            Ok(_) | Err(_) => tokio::time::sleep(Duration::from_millis(20)).await,
        }
    }
}
