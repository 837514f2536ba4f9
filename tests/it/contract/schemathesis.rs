//! schemathesis against the running server: requests made from the description, those it allows and those it does not,
//! and every answer held to it.
//!
//! What it is not asked to check, and why: whether valid data is always accepted (`positive_data_acceptance`: a valid
//! request may name a template, a payment or a task that is not there), and what needs several calls in a row
//! (`use_after_free`, `ensure_resource_availability`, `object_level_authorization`: an id that was given out says
//! nothing of what may be done with it; `tests/it/http/roles.rs` walks every route with every caller instead).
//!
//! `MIXVIDEO_SCHEMATHESIS_EXAMPLES` asks for more examples of each operation, `MIXVIDEO_TEST_SEED` repeats a run.

use std::path::Path;
use std::time::Duration;

use tokio::process::Command;

use super::api::Api;
use super::mutations::unlimited;
use crate::crash::service::Service;

/// Examples of each operation, unless the environment says otherwise.
const EXAMPLES: &str = "2";
/// Far longer than it takes on a busy machine.
const LIMIT: Duration = Duration::from_secs(1_200);
const CHECKS: &str = "not_a_server_error,status_code_conformance,content_type_conformance,response_headers_conformance,\
                      response_schema_conformance,negative_data_rejection,missing_required_header,unsupported_method,\
                      allow_header_conformance,ignored_auth";

/// Holds the server to its description, asked by whoever has `key`. `phases` are schemathesis' own words: `coverage` goes
/// through the boundaries of every schema, `fuzzing` draws lots.
async fn held_to_its_word(service: &Service, key: Option<&str>, phases: &str) {
    let program = Path::new(env!("CARGO_MANIFEST_DIR")).join("target/schemathesis/bin/schemathesis");
    assert!(program.exists(), "run `bash tests/run.sh`: it installs schemathesis");
    let seed = std::env::var("MIXVIDEO_TEST_SEED").unwrap_or_else(|_| rand::random::<u32>().to_string());
    let examples = std::env::var("MIXVIDEO_SCHEMATHESIS_EXAMPLES").unwrap_or_else(|_| EXAMPLES.to_owned());
    let directory = tempfile::tempdir().unwrap();
    let mut run = Command::new(program);
    run.arg("run").arg(format!("{}/openapi.json", service.caller.base()));
    run.args(["--checks", CHECKS, "--phases", phases, "--max-examples", &examples, "--seed", &seed]);
    run.args([
        "--workers",
        "2",
        "--no-shrink",
        "--continue-on-failure",
        "--request-timeout",
        "60",
        "--warnings",
        "off",
    ]);
    run.args(["--suppress-health-check", "all"]);
    if let Some(key) = key {
        run.args(["--header", &format!("Authorization: Bearer {key}")]);
    }
    run.current_dir(directory.path()).env("NO_COLOR", "1").kill_on_drop(true);
    let output = tokio::time::timeout(LIMIT, run.output()).await.expect("schemathesis ends in time").unwrap();
    let (out, err) = (String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr));
    println!("schemathesis, seed {seed}");
    assert!(output.status.success(), "seed {seed}: {out}\n{err}");
    let all = Api::read().operations().count();
    assert!(out.contains(&format!("Selected: {all}/{all}")), "not all of {all} operations were asked: {out}");
}

async fn started() -> Service {
    let mut service = unlimited().await;
    service.start_with_templates().await;
    service
}

#[tokio::test]
async fn an_operator_gets_no_answer_that_is_not_described() {
    let service = started().await;
    let key = service.told(&["keys", "create", "--role", "operator"]).await;
    held_to_its_word(&service, Some(key.trim()), "examples,coverage").await;
    assert_eq!(service.caller.get("/health").await.data()["status"], "ok");
}

#[tokio::test]
async fn a_client_gets_no_answer_that_is_not_described() {
    let service = started().await;
    let key = service.told(&["keys", "create", "--role", "client"]).await;
    held_to_its_word(&service, Some(key.trim()), "examples,fuzzing").await;
}

#[tokio::test]
async fn somebody_without_a_key_gets_no_answer_that_is_not_described() {
    let service = started().await;
    held_to_its_word(&service, None, "examples,fuzzing").await;
}
