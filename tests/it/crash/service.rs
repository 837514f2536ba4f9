//! `mixvideo serve` as a user runs it: a child process in a directory of its own, spoken to over HTTP.

use std::path::PathBuf;
use std::process::{Output, Stdio};
use std::sync::{Arc, PoisonError, RwLock};
use std::time::{Duration, Instant};

use base64::Engine as _;
use image::{ImageFormat, Rgb, RgbImage};
use reqwest::{Client, Method, RequestBuilder, StatusCode};
use rustix::process::{Pid, Signal};
use sea_orm::DatabaseConnection;
use serde_json::{Value, json};
use tokio::io::{AsyncBufReadExt, BufReader};
use tokio::process::{Child, Command};
use tokio::task::JoinHandle;

use crate::server::Answer;

/// Far longer than anything here takes on a busy machine.
pub const LIMIT: Duration = Duration::from_secs(90);
/// What a server begins its one line on standard output with.
const LISTENS: &str = "mixvideo listens on ";
/// Looks at the same thing are this far apart.
const LOOK: Duration = Duration::from_millis(10);

/// A film of the smallest size that has everything a film has.
pub const SMALL_FILM: &str = r#"
name = "video-generation-workflow"
description = "A small film."
produces = "video"

[parameters.imageUrl]
kind = "picture"
required = true

[[steps]]
name = "picture"
activity = "picture"
timeout = "60s"
with = { source = "{parameters.imageUrl}" }

[[steps]]
name = "render"
activity = "render"
needs = ["picture"]
timeout = "2m"
with = { picture = "{steps.picture.file}", seconds = 1, fps = 10, width = 64, height = 64 }

[[steps]]
name = "store"
activity = "store"
needs = ["render"]
timeout = "60s"
with = { file = "{steps.render.file}", kind = "video" }
"#;

/// The small film in another size, which takes longer the larger it is.
pub fn film(seconds: u32, fps: u32, width: u32, height: u32) -> String {
    let small = "seconds = 1, fps = 10, width = 64, height = 64";
    let wanted = format!("seconds = {seconds}, fps = {fps}, width = {width}, height = {height}");
    assert!(SMALL_FILM.contains(small));
    SMALL_FILM.replace(small, &wanted)
}

/// Long enough to be met at work, short enough to be waited for.
pub fn longer_film() -> String {
    film(2, 30, 640, 360)
}

/// A PNG of 64 x 64 pixels.
pub fn png() -> Vec<u8> {
    let mut bytes = std::io::Cursor::new(Vec::new());
    let painting = RgbImage::from_fn(64, 64, |x, y| Rgb([(x * 4) as u8, (y * 4) as u8, ((x ^ y) * 4) as u8]));
    painting.write_to(&mut bytes, ImageFormat::Png).unwrap();
    bytes.into_inner()
}

pub fn data_url(png: &[u8]) -> String {
    format!("data:image/png;base64,{}", base64::engine::general_purpose::STANDARD.encode(png))
}

pub fn noop() -> Value {
    json!({ "type": "video_generation", "templateCode": "noop" })
}

/// A film of `png`.
pub fn film_of(png: &[u8]) -> Value {
    json!({ "type": "video_generation", "templateCode": "photo-to-video", "parameters": { "imageUrl": data_url(png) } })
}

/// How clients find the server and who they are; it outlives the process.
#[derive(Clone)]
pub struct Caller {
    http: Client,
    base: Arc<RwLock<String>>,
    key: Arc<str>,
}

impl Caller {
    pub fn base(&self) -> String {
        self.base.read().unwrap_or_else(PoisonError::into_inner).clone()
    }

    pub fn key(&self) -> &str {
        &self.key
    }

    /// As somebody else.
    pub fn with_key(mut self, key: &str) -> Self {
        self.key = key.into();
        self
    }

    pub fn request(&self, method: Method, path: &str) -> RequestBuilder {
        self.http.request(method, format!("{}{path}", self.base())).bearer_auth(&self.key)
    }

    /// Asks once; an error when the server went away meanwhile.
    pub async fn ask(&self, request: RequestBuilder) -> reqwest::Result<Answer> {
        let response = request.send().await?;
        let (status, headers) = (response.status(), response.headers().clone());
        let text = response.text().await?;
        let body = serde_json::from_str(&text).unwrap_or(Value::String(text));
        Ok(Answer { status, headers, body })
    }

    pub async fn get(&self, path: &str) -> Answer {
        self.ask(self.request(Method::GET, path)).await.unwrap()
    }

    /// Makes a task under an id.
    pub async fn make(&self, id: &str, body: &Value) {
        self.ask(self.request(Method::POST, &format!("/task/{id}")).json(body)).await.unwrap().data();
    }

    pub async fn task(&self, id: &str) -> Value {
        self.get(&format!("/task/{id}")).await.data().clone()
    }

    /// Waits until a task is as wanted.
    pub async fn until_task(&self, id: &str, wanted: impl Fn(&Value) -> bool) -> Value {
        let begun = Instant::now();
        loop {
            let task = self.task(id).await;
            if wanted(&task) {
                return task;
            }
            assert!(begun.elapsed() < LIMIT, "the task {id} never became what it should: {task}");
            tokio::time::sleep(LOOK).await;
        }
    }

    pub async fn until_completed(&self, id: &str) -> Value {
        self.until_task(id, |task| {
            assert_ne!(task["status"], "failed", "{task}");
            task["status"] == "completed"
        })
        .await
    }

    /// What operators see of a task.
    pub async fn actor(&self, id: &str) -> Value {
        self.get(&format!("/ops/actors/task/{id}")).await.data().clone()
    }

    /// The names of a task's steps that have begun.
    pub async fn steps(&self, id: &str) -> Vec<String> {
        let actor = self.actor(id).await;
        actor["state"]["steps"].as_object().map(|steps| steps.keys().cloned().collect()).unwrap_or_default()
    }

    /// The video of a completed task plays: it is an MP4 with something in it.
    pub async fn assert_playable(&self, id: &str) {
        let task = self.task(id).await;
        let link = task["result"]["videoUrl"].as_str().unwrap_or_else(|| panic!("no video: {task}"));
        let response = self.http.get(link).send().await.unwrap();
        assert_eq!(response.status(), StatusCode::OK, "{link}");
        let bytes = response.bytes().await.unwrap();
        assert!(bytes.len() > 200 && &bytes[4..8] == b"ftyp", "{link} is no MP4: {} bytes", bytes.len());
    }
}

/// A process, and what waits for its first line.
struct Running {
    child: Child,
    listens: JoinHandle<()>,
}

/// A server, its data, and everything said about them.
pub struct Service {
    pub caller: Caller,
    home: PathBuf,
    url: String,
    settings: Vec<(String, String)>,
    environment: Vec<(&'static str, String)>,
    /// The network namespace that the server runs in.
    namespace: Option<String>,
    running: Option<Running>,
    _directory: tempfile::TempDir,
}

impl Service {
    /// A server on an embedded database of its own; not started.
    pub async fn sqlite() -> Self {
        Self::on(None).await
    }

    /// A server on `database`; not started.
    pub async fn postgres(database: String) -> Self {
        Self::on(Some(database)).await
    }

    /// A server on `database`, where its operator's `key` was made before; not started.
    pub fn postgres_with(database: String, key: &str) -> Self {
        Self::new(Some(database), key)
    }

    async fn on(database: Option<String>) -> Self {
        let mut service = Self::new(database, "");
        let key = service.told(&["keys", "create", "--role", "operator"]).await;
        service.caller.key = key.trim().into();
        service
    }

    fn new(database: Option<String>, key: &str) -> Self {
        let directory = tempfile::tempdir().unwrap();
        let home = directory.path().to_owned();
        let url = database.unwrap_or_else(|| format!("sqlite://{}", home.join("data/mixvideo.db").display()));
        let caller = Caller { http: client(), base: Arc::default(), key: key.into() };
        let (settings, environment) = (Vec::new(), Vec::new());
        let namespace = None;
        let mut service =
            Self { caller, home, url, settings, environment, namespace, running: None, _directory: directory };
        service.set("SERVER__BIND", "127.0.0.1:0");
        service.set("LOG__LEVEL", "warn");
        service.set("DATABASE__URL", service.url.clone());
        service
    }

    /// Sets a key of the configuration, such as `SERVER__DRAIN_SECONDS`, for the starts to come.
    pub fn set(&mut self, key: impl Into<String>, value: impl ToString) {
        let key = key.into();
        self.settings.retain(|(known, _)| *known != key);
        self.settings.push((key, value.to_string()));
    }

    /// Puts a variable into the environment for the starts to come.
    pub fn tell(&mut self, name: &'static str, value: &str) {
        self.environment.push((name, value.to_owned()));
    }

    /// Puts the starts to come into a network namespace.
    pub fn move_to(&mut self, namespace: &str) {
        self.namespace = Some(namespace.to_owned());
    }

    /// What the servers have written to their log.
    pub fn log(&self) -> String {
        std::fs::read_to_string(self.home.join("log")).unwrap_or_default()
    }

    /// Puts a workflow definition beside the bundled ones for the starts to come.
    pub fn define(&self, file: &str, definition: &str) {
        let directory = self.home.join("workflows");
        std::fs::create_dir_all(&directory).unwrap();
        std::fs::write(directory.join(file), definition).unwrap();
    }

    /// Where the storage keeps a file.
    pub fn file(&self, key: &str) -> PathBuf {
        self.home.join("data/files").join(key)
    }

    fn command(&self, arguments: &[&str]) -> Command {
        let program = env!("CARGO_BIN_EXE_mixvideo");
        let mut command = match &self.namespace {
            // It becomes the program: the process that is started is the one that runs.
            Some(namespace) => {
                let mut command = Command::new("ip");
                command.args(["netns", "exec", namespace, program]);
                command
            }
            None => Command::new(program),
        };
        for (name, _) in std::env::vars().filter(|(name, _)| name.starts_with("MIXVIDEO")) {
            command.env_remove(name);
        }
        // What the tests send is no measure for production; those of the limits set their own.
        for bucket in ["KEY__READING", "KEY__CREATING", "KEY__MONEY", "USER__READING", "USER__CREATING", "USER__MONEY"]
        {
            command.env(format!("MIXVIDEO__LIMITS__{bucket}"), "60000000");
        }
        for bucket in ["ADDRESS__OPEN", "ADDRESS__SIGN_IN", "ADDRESS__WEBHOOK", "ADDRESS__FAILED"] {
            command.env(format!("MIXVIDEO__LIMITS__{bucket}"), "60000000");
        }
        for (key, value) in &self.settings {
            command.env(format!("MIXVIDEO__{key}"), value);
        }
        command.envs(self.environment.iter().cloned());
        command.env("MIXVIDEO_KEY", &*self.caller.key).env("MIXVIDEO_SERVER", self.caller.base());
        command.args(arguments).current_dir(&self.home).stdin(Stdio::null()).kill_on_drop(true);
        command
    }

    /// Runs another command of the program beside the server.
    pub async fn run(&self, arguments: &[&str]) -> Output {
        tokio::time::timeout(LIMIT, self.command(arguments).output()).await.expect("it ends in time").unwrap()
    }

    /// What a command that must succeed prints.
    pub async fn told(&self, arguments: &[&str]) -> String {
        let output = self.run(arguments).await;
        let said = String::from_utf8_lossy(&output.stderr);
        assert!(output.status.success(), "{arguments:?} ended with {}: {said}", output.status);
        String::from_utf8(output.stdout).unwrap()
    }

    /// Starts the server on what the last one left, and waits until it listens.
    pub async fn start(&mut self) {
        self.launch();
        let running = self.running.as_mut().expect("it was launched");
        tokio::time::timeout(LIMIT, &mut running.listens).await.expect("it listens in time").unwrap();
    }

    /// The same on a machine that may be too busy for a start; whether it listens. Otherwise it has ended.
    pub async fn listens(&mut self) -> bool {
        self.launch();
        let running = self.running.as_mut().expect("it was launched");
        let listens = tokio::time::timeout(LIMIT, &mut running.listens).await.expect("it listens or ends in time");
        if listens.is_err() {
            self.ended().await;
        }
        listens.is_ok()
    }

    /// Starts the server and does not wait: it may be killed before it listens.
    pub fn launch(&mut self) {
        assert!(self.running.is_none(), "it runs already");
        let log = std::fs::OpenOptions::new().create(true).append(true).open(self.home.join("log")).unwrap();
        let mut command = self.command(&["serve"]);
        let mut child = command.stdout(Stdio::piped()).stderr(log).spawn().unwrap();
        let mut stdout = BufReader::new(child.stdout.take().unwrap());
        let base = self.caller.base.clone();
        let listens = tokio::spawn(async move {
            let mut line = String::new();
            stdout.read_line(&mut line).await.unwrap();
            let address = line.trim().strip_prefix(LISTENS).unwrap_or_else(|| panic!("it did not start: `{line}`"));
            address.clone_into(&mut base.write().unwrap_or_else(PoisonError::into_inner));
        });
        self.running = Some(Running { child, listens });
    }

    /// The first start: with the bundled templates.
    pub async fn start_with_templates(&mut self) {
        self.start().await;
        assert_eq!(self.caller.get("/templates/init").await.data()["failed"], 0);
    }

    pub fn pid(&self) -> u32 {
        self.running.as_ref().and_then(|running| running.child.id()).expect("it runs")
    }

    /// `kill -9`; its workers end by themselves.
    pub async fn kill(&mut self) {
        let mut running = self.running.take().expect("it runs");
        running.listens.abort();
        running.child.start_kill().unwrap();
        running.child.wait().await.unwrap();
    }

    /// Asks it to end.
    pub fn signal_the_end(&self) {
        signal(self.pid(), Signal::TERM);
    }

    /// Waits for its end; the exit code.
    pub async fn ended(&mut self) -> Option<i32> {
        let mut running = self.running.take().expect("it runs");
        tokio::time::timeout(LIMIT, running.child.wait()).await.expect("it ends in time").unwrap().code()
    }

    /// SIGTERM, and the exit code.
    pub async fn terminate(&mut self) -> Option<i32> {
        self.signal_the_end();
        self.ended().await
    }

    /// The processes that the server has started and that still run.
    pub fn workers(&self) -> Vec<u32> {
        children_of(self.pid())
    }

    /// Waits until a worker renders the film `id`; its process.
    pub async fn until_rendered_by(&self, id: &str) -> u32 {
        until("the film's turn has come", async || self.caller.steps(id).await.contains(&"render".to_owned())).await;
        until("a worker runs", async || !self.workers().is_empty()).await;
        self.workers()[0]
    }

    /// Holds the worker that renders the film `id`, which then gets no further; its process.
    pub async fn hold(&self, id: &str) -> u32 {
        let worker = self.until_rendered_by(id).await;
        signal(worker, Signal::STOP);
        assert!(self.caller.task(id).await["result"].is_null(), "the film was ready before it could be held");
        worker
    }

    /// The database, beside the server.
    pub async fn database(&self) -> DatabaseConnection {
        sea_orm::Database::connect(&self.url).await.unwrap()
    }
}

impl Drop for Service {
    fn drop(&mut self) {
        if std::thread::panicking() {
            let log = std::fs::read_to_string(self.home.join("log")).unwrap_or_default();
            let lines: Vec<&str> = log.lines().collect();
            eprintln!("the end of the server's log:\n{}", lines[lines.len().saturating_sub(80)..].join("\n"));
        }
    }
}

fn client() -> Client {
    // A connection of its own for each call: one that a dead server left behind tells nothing.
    Client::builder().timeout(LIMIT).pool_max_idle_per_host(0).build().unwrap()
}

/// The parent of a process; `None` when it is gone, or dead and not yet buried.
fn parent_of(pid: u32) -> Option<u32> {
    let stat = std::fs::read_to_string(format!("/proc/{pid}/stat")).ok()?;
    // The name before the state may hold anything; it ends with the last parenthesis.
    let mut rest = stat.rsplit(") ").next()?.split(' ');
    rest.next().filter(|state| *state != "Z")?;
    rest.next()?.parse().ok()
}

pub fn is_alive(pid: u32) -> bool {
    parent_of(pid).is_some()
}

fn children_of(parent: u32) -> Vec<u32> {
    let pids =
        std::fs::read_dir("/proc").unwrap().filter_map(|entry| entry.unwrap().file_name().to_str()?.parse().ok());
    pids.filter(|pid| parent_of(*pid) == Some(parent)).collect()
}

pub fn signal(pid: u32, signal: Signal) {
    let pid = Pid::from_raw(i32::try_from(pid).unwrap()).unwrap();
    rustix::process::kill_process(pid, signal).unwrap();
}

/// Waits until something holds.
pub async fn until(what: &str, mut holds: impl AsyncFnMut() -> bool) {
    let begun = Instant::now();
    while !holds().await {
        assert!(begun.elapsed() < LIMIT, "not within {LIMIT:?}: {what}");
        tokio::time::sleep(LOOK).await;
    }
}
