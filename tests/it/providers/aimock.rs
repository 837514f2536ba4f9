//! The dialects of OpenAI against `aimock`, a mock of others' making.

use std::path::Path;
use std::process::Stdio;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use serde_json::{Value, json};
use tokio::io::{AsyncBufReadExt, BufReader};
use tokio::process::{Child, Command};

use super::double::film;
use super::failed;
use crate::crash::service::{LIMIT, Service, data_url, png, until};
use crate::site::{Site, file};

const PICTURE_STEPS: &str = r#"
name = "image-generation-workflow"
description = "A picture by a provider."
produces = "image"

[parameters.imageUrl]
kind = "picture"
required = true

[parameters.prompt]
kind = "text"
required = true

[[steps]]
name = "picture"
activity = "picture"
with = { source = "{parameters.imageUrl}" }

[[steps]]
name = "image"
activity = "provider"
needs = ["picture"]
timeout = "60s"
retry = { attempts = 3, first_delay = "10ms", max_delay = "10ms", factor = 1 }
with = { provider = "openai", prompt = "{parameters.prompt}", picture = "{steps.picture.file}", options = { size = "64x64" } }

[[steps]]
name = "store"
activity = "store"
needs = ["image"]
with = { file = "{steps.image.file}", kind = "image" }
"#;

/// A running mock; it ends with the test.
pub struct Aimock {
    pub base: String,
    http: reqwest::Client,
    _child: Child,
    _directory: tempfile::TempDir,
}

impl Aimock {
    pub async fn start(fixtures: Value) -> Self {
        let program = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/aimock/node_modules/.bin/aimock");
        assert!(program.exists(), "{} is missing: `bash tests/run.sh` installs it", program.display());
        let directory = tempfile::tempdir().unwrap();
        let (config, answers) = (directory.path().join("aimock.json"), directory.path().join("fixtures.json"));
        std::fs::write(&answers, json!({ "fixtures": fixtures }).to_string()).unwrap();
        std::fs::write(&config, json!({ "port": 0, "llm": { "fixtures": answers } }).to_string()).unwrap();
        let mut command = Command::new(program);
        command.arg("--config").arg(&config).args(["--host", "127.0.0.1"]).stdin(Stdio::null()).kill_on_drop(true);
        let mut child = command.stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
        let mut lines = BufReader::new(child.stdout.take().unwrap()).lines();
        let listens = async {
            loop {
                let line = lines.next_line().await.unwrap().expect("it says where it listens");
                if let Some(at) = line.find("http://") {
                    break line[at..].split_whitespace().next().unwrap().trim_end_matches('/').to_owned();
                }
            }
        };
        let base = tokio::time::timeout(LIMIT, listens).await.expect("it listens in time");
        tokio::spawn(async move { while let Ok(Some(_)) = lines.next_line().await {} });
        Self { base, http: reqwest::Client::new(), _child: child, _directory: directory }
    }

    /// What it does wrong from now on.
    async fn chaos(&self, what: Value) {
        let answer = self.http.post(format!("{}/__aimock/chaos", self.base)).json(&what).send().await.unwrap();
        assert!(answer.status().is_success(), "{}", answer.text().await.unwrap());
    }

    /// The calls that came to a path.
    async fn calls(&self, path: &str) -> Vec<Value> {
        let journal: Value =
            self.http.get(format!("{}/__aimock/journal", self.base)).send().await.unwrap().json().await.unwrap();
        let entries = journal.as_array().or(journal["entries"].as_array()).unwrap_or_else(|| panic!("{journal}"));
        entries.iter().filter(|entry| entry["path"] == path).cloned().collect()
    }
}

async fn service(aimock: &Aimock, preset: &str) -> Service {
    let mut service = Service::sqlite().await;
    service.set("PROVIDERS__OPENAI__PRESET", preset);
    service.set("PROVIDERS__OPENAI__BASE_URL", format!("{}/v1", aimock.base));
    service.set("PROVIDERS__OPENAI__MODEL", "a-model");
    service.set("PROVIDERS__OPENAI__KEY_ENV", "OPENAI_KEY");
    service.set("PROVIDERS__OPENAI__POLL_MS", 20);
    service.set("PROVIDERS__OPENAI__SETTLE_SECONDS", 0);
    service.tell("OPENAI_KEY", "sk-swordfish");
    service
}

fn picture_of(prompt: &str) -> Value {
    let parameters = json!({ "prompt": prompt, "imageUrl": data_url(&png()) });
    json!({ "type": "image_generation", "templateCode": "photo-restyle", "parameters": parameters })
}

/// Every cat is answered with a picture.
pub fn pictures() -> Value {
    json!([{ "match": { "userMessage": "cat" }, "response": { "image": { "b64Json": STANDARD.encode(png()) } } }])
}

async fn painter(aimock: &Aimock) -> Service {
    let mut service = service(aimock, "openai_images").await;
    service.define("picture.toml", PICTURE_STEPS);
    service.start_with_templates().await;
    service
}

#[tokio::test]
async fn a_picture_is_made_of_a_picture_in_one_call() {
    let aimock = Aimock::start(pictures()).await;
    let service = painter(&aimock).await;
    service.caller.make("picture", &picture_of("a cat")).await;
    let task = service.caller.until_completed("picture").await;
    assert!(task["result"]["imageUrl"].as_str().unwrap().ends_with("/image.jpg"), "{task}");
    assert_eq!(aimock.calls("/v1/images/edits").await.len(), 1);
}

#[tokio::test]
async fn a_picture_is_made_of_a_text_alone() {
    let aimock = Aimock::start(pictures()).await;
    let mut service = service(&aimock, "openai_images").await;
    service.define("picture.toml", &PICTURE_STEPS.replace("picture = \"{steps.picture.file}\", ", ""));
    service.start_with_templates().await;
    service.caller.make("picture", &picture_of("a cat")).await;
    service.caller.until_completed("picture").await;
    let calls = aimock.calls("/v1/images/generations").await;
    assert_eq!(calls.len(), 1);
    assert_eq!(calls[0]["body"]["model"], "a-model", "{}", calls[0]);
}

#[tokio::test]
async fn pictures_wait_for_a_busy_provider() {
    let aimock = Aimock::start(pictures()).await;
    aimock.chaos(json!({ "rateLimitRate": 1 })).await;
    let service = painter(&aimock).await;
    service.caller.make("picture", &picture_of("a cat")).await;
    until("it was turned away", async || !aimock.calls("/v1/images/edits").await.is_empty()).await;
    aimock.chaos(json!({ "rateLimitRate": 0 })).await;
    service.caller.until_completed("picture").await;
}

#[tokio::test]
async fn a_picture_whose_answer_is_lost_is_unknown_and_is_not_paid_for_again() {
    let aimock = Aimock::start(pictures()).await;
    aimock.chaos(json!({ "disconnectRate": 1 })).await;
    let service = painter(&aimock).await;
    service.caller.make("picture", &picture_of("a cat")).await;
    let error = failed(&service, "picture").await;
    assert_eq!(error["code"], "outcome_unknown", "{error}");
    assert_eq!(aimock.calls("/v1/images/edits").await.len(), 1);
}

#[tokio::test]
async fn a_video_is_made_and_fetched() {
    let site = Site::open(|_, _| file(&film())).await;
    let video = json!({ "id": "video_1", "status": "completed", "url": site.link("/film.mp4") });
    let aimock = Aimock::start(json!([{ "match": { "userMessage": "cat" }, "response": { "video": video } }])).await;
    let mut service = service(&aimock, "openai_videos").await;
    service.set("FETCH__ALLOW_HOSTS", site.address);
    service.define("film.toml", &super::FILM.replace("\"films\"", "\"openai\""));
    service.start_with_templates().await;
    service.caller.make("film", &super::film_of("a cat")).await;
    service.caller.until_completed("film").await;
    service.caller.assert_playable("film").await;
    assert_eq!(aimock.calls("/v1/videos").await.len(), 1);
}

#[tokio::test]
async fn a_video_whose_answer_is_lost_is_unknown_where_no_list_can_tell() {
    let aimock = Aimock::start(json!([])).await;
    aimock.chaos(json!({ "disconnectRate": 1 })).await;
    let mut service = service(&aimock, "openai_videos").await;
    service.define("film.toml", &super::FILM.replace("\"films\"", "\"openai\""));
    service.start_with_templates().await;
    service.caller.make("film", &super::film_of("a cat")).await;
    until("it was sent", async || !aimock.calls("/v1/videos").await.is_empty()).await;
    aimock.chaos(json!({ "disconnectRate": 0 })).await;
    assert_eq!(failed(&service, "film").await["code"], "outcome_unknown");
}
