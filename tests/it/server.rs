//! A whole server on a free port, with activities that do what a test tells them.

use std::collections::{BTreeMap, HashMap};
use std::sync::atomic::{AtomicI64, Ordering};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use actix_web::web::Data;
use actix_web::{App, HttpServer};
use async_trait::async_trait;
use mixvideo::activity::gateway;
use mixvideo::activity::provider::Callbacks;
use mixvideo::activity::{Fetcher, Providers, Storage};
use mixvideo::auth::api_key::{self, Keys, NewKey, Role};
use mixvideo::auth::google::{Google, Off};
use mixvideo::domain::money::Currency;
use mixvideo::domain::rail;
use mixvideo::domain::template::{Content, TemplateType};
use mixvideo::domain::workflow::{Activity, BUNDLED, Definition, Library, StepCall};
use mixvideo::domain::{Failure, Timestamp};
use mixvideo::gateway::Gateway;
use mixvideo::gateway::catalogue::{Catalogue, Terms};
use mixvideo::gateway::sandbox::{self, Sandbox};
use mixvideo::gateway::webhook::{Secrets, WEBHOOK_PATH};
use mixvideo::http::browsers::Settings;
use mixvideo::http::limit::shared::Shared;
use mixvideo::http::limit::{Limits, Rates};
use mixvideo::http::{Arrivals, Browsers, Connections, LINK_MS, Selling, State, configure};
use mixvideo::runtime::activity::{Activities, LaneOptions, Progress, Work};
use mixvideo::runtime::clock::{Clock, SystemClock};
use mixvideo::runtime::engine::{Engine, Parts};
use mixvideo::runtime::journal::committer::Committer;
use mixvideo::runtime::journal::{Journal, Options};
use mixvideo::runtime::mailbox::Memory;
use mixvideo::runtime::partition;
use mixvideo::store::tasks::Tasks;
use mixvideo::store::templates::{Created, NewTemplate, Templates};
use mixvideo::store::{Database, tables};
use reqwest::{Client, Method, RequestBuilder, StatusCode};
use sea_orm::DatabaseConnection;
use secrecy::ExposeSecret as _;
use serde_json::{Value, json};
use tokio::sync::Semaphore;
use tokio_util::sync::CancellationToken;

const PARTITIONS: u32 = 4;
const LIMIT: Duration = Duration::from_secs(20);
/// What every result holds.
pub const FILM: &[u8] = b"0123456789";
/// A PNG of one pixel.
pub const PICTURE: &str = "data:image/png;base64,iVBORw0KGgoAAAANSUhEUgAAAAEAAAABCAYAAAAfFcSJAAAADUlEQVR4nGNgYGBgAAAABQABh6FO1AAAAABJRU5ErkJggg==";

/// What the activities of a task do; tasks that are not mentioned do their work at once.
#[derive(Clone)]
enum Play {
    /// They tell this progress and wait.
    Hold(f32, Arc<Semaphore>),
    /// They fail for good.
    Fail,
}

#[derive(Clone)]
struct Script {
    gateway: Arc<std::sync::OnceLock<Arc<dyn Gateway>>>,
    plays: Arc<Mutex<HashMap<String, Play>>>,
    storage: Storage,
}

#[async_trait]
impl Activities for Script {
    async fn run(&self, work: &Work, progress: &Progress, cancel: &CancellationToken) -> Result<Value, Failure> {
        if *work.lane == *rail::LANE {
            let gateway = self.gateway.get().unwrap();
            let call = serde_json::from_str(&work.input).unwrap();
            return Ok(serde_json::to_value(gateway::carry_out(&**gateway, call).await).unwrap());
        }
        let call: StepCall = serde_json::from_str(&work.input).unwrap();
        let play = self.plays.lock().unwrap().get(&call.task).cloned();
        match play {
            None => {}
            Some(Play::Fail) => return Err(Failure::fatal("picture_damaged", "the picture is damaged")),
            Some(Play::Hold(fraction, held)) => {
                progress(fraction);
                tokio::select! {
                    permit = held.acquire() => permit.unwrap().forget(),
                    () = cancel.cancelled() => return Err(Failure::passing("stopped", "it was stopped")),
                }
            }
        }
        let result = match call.activity {
            Activity::Noop => Value::Null,
            Activity::Picture | Activity::Render | Activity::Image | Activity::Provider => json!({ "file": "work/x" }),
            Activity::Store => {
                let kind = call.with["kind"].as_str().unwrap().to_owned();
                let ending = if kind == "video" { "mp4" } else { "jpg" };
                let file = format!("results/{}/{kind}.{ending}", call.task);
                self.storage.put(&file, FILM).await.unwrap();
                json!({ "kind": kind, "file": file, "type": "x", "bytes": FILM.len() })
            }
        };
        Ok(result)
    }
}

/// The machine's clock, which a test may set forward.
#[derive(Default)]
pub struct TestClock(AtomicI64);

impl TestClock {
    pub fn advance(&self, ms: i64) {
        self.0.fetch_add(ms, Ordering::Relaxed);
    }
}

impl Clock for TestClock {
    fn now(&self) -> Timestamp {
        SystemClock.now().plus_ms(self.0.load(Ordering::Relaxed))
    }
}

/// A running server.
pub struct Server {
    pub base: String,
    pub clock: Arc<TestClock>,
    pub engine: Engine,
    pub operator: String,
    pub client: String,
    pub other: String,
    pub templates: Templates,
    pub sandbox: Sandbox,
    /// What the gateway's webhooks are signed with.
    pub webhooks: Secrets,
    pub database: DatabaseConnection,
    http: Client,
    script: Script,
    stop: CancellationToken,
    pub directory: tempfile::TempDir,
}

/// Runs a test against a server of its own.
pub fn served<F: Future<Output = ()>>(test: impl FnOnce(Arc<Server>) -> F) {
    served_with(async |_, _| Err(Off::NoClient), test);
}

/// The same, where people sign in as `google` says: it is told where the server is, and its database.
pub fn served_with<F: Future<Output = ()>>(
    google: impl AsyncFnOnce(&str, Database) -> Result<Google, Off>,
    test: impl FnOnce(Arc<Server>) -> F,
) {
    actix::System::new().block_on(run(None, Guards::default(), google, test));
}

/// What stands between callers and the server.
pub struct Guards {
    pub rates: Rates,
    pub proxies: usize,
    pub shared: Option<Shared>,
    pub browsers: Settings,
    /// How long a body may take, and be silent.
    pub body: Duration,
    /// Memory for bodies, in bytes.
    pub memory: usize,
}

impl Default for Guards {
    /// Nobody is held up.
    fn default() -> Self {
        let browsers = Settings { origins: Vec::new(), frame_ancestors: Vec::new(), https_seconds: 0 };
        Self { rates: Rates::highest(), proxies: 0, shared: None, browsers, body: LIMIT, memory: 64 << 20 }
    }
}

/// Runs a test against a server with these guards, which are made where it runs.
pub fn guarded<F: Future<Output = ()>>(guards: impl AsyncFnOnce() -> Guards, test: impl FnOnce(Arc<Server>) -> F) {
    let nobody = async |_: &str, _| Err(Off::NoClient);
    actix::System::new().block_on(async { run(None, guards().await, nobody, test).await });
}

/// A gateway beside the sandbox, and what its webhooks are signed with.
pub type Rail = (Arc<dyn Gateway>, Secrets);

/// Runs a test against a server whose payments go through `rail`.
pub async fn served_by<F: Future<Output = ()>>(rail: Rail, test: impl FnOnce(Arc<Server>) -> F) {
    run(Some(rail), Guards::default(), async |_, _| Err(Off::NoClient), test).await;
}

async fn run<F: Future<Output = ()>>(
    rail: Option<Rail>,
    guards: Guards,
    google: impl AsyncFnOnce(&str, Database) -> Result<Google, Off>,
    test: impl FnOnce(Arc<Server>) -> F,
) {
    let (server, handle) = start(rail, guards, google).await;
    let server = Arc::new(server);
    test(server.clone()).await;
    handle.stop(false).await;
    server.release();
    server.stop.cancel();
    assert!(server.engine.drain(Duration::from_secs(10)).await, "the engine did not drain in time");
}

/// Takes a model and a prompt, and does nothing with them.
const PAINTER: &str = r#"
name = "painter"
description = "Would paint."
produces = "nothing"

[parameters.imageModel]
kind = "text"

[parameters.imagePrompt]
kind = "text"

[[steps]]
name = "paint"
activity = "noop"
timeout = "30s"
with = { model = "{parameters.imageModel}", prompt = "{parameters.imagePrompt}" }
"#;

pub fn library() -> Arc<Library> {
    let sources = BUNDLED.into_iter().chain([("painter.toml", PAINTER)]);
    Arc::new(Library::new(sources.map(|(file, source)| Definition::parse(file, source).unwrap())).unwrap())
}

async fn start(
    rail: Option<Rail>,
    guards: Guards,
    google: impl AsyncFnOnce(&str, Database) -> Result<Google, Off>,
) -> (Server, actix_web::dev::ServerHandle) {
    let directory = tempfile::tempdir().unwrap();
    let url = format!("sqlite://{}", directory.path().join("mixvideo.db").display());
    let storage = Storage::open(&format!("file://{}/files", directory.path().display())).unwrap();
    let library = library();
    let journal = Journal::open(&Options::new(&url), tables::ALL, PARTITIONS).await.unwrap();
    let script = Script { gateway: Arc::default(), plays: Arc::default(), storage: storage.clone() };
    let clock = Arc::new(TestClock::default());
    let engine = Engine::start(Parts {
        leases: None,
        kinds: tables::kinds(&library),
        committer: Committer::spawn(&journal).unwrap(),
        journal: journal.clone(),
        mailbox: Arc::new(Memory::new(PARTITIONS, clock.clone())),
        activities: Arc::new(script.clone()),
        lanes: ["local", "media", rail::LANE]
            .map(|name| LaneOptions { name: name.into(), concurrency: 64, ahead: 64 })
            .to_vec(),
        clock: clock.clone(),
        inflight: None,
        limits: partition::Limits::default(),
        partitions: PARTITIONS,
        wire: None,
        permits: None,
    })
    .await
    .unwrap();
    let database = Database::open(&url).await.unwrap();
    let templates = Templates::new(database.clone());
    let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let base = format!("http://{}", listener.local_addr().unwrap());
    let parts = sandbox::Parts {
        database: database.clone(),
        clock: clock.clone(),
        public_url: base.clone(),
        secret: [7; 32],
        faults: Vec::new(),
    };
    let sandbox = Sandbox::new(parts);
    let travels_on = if rail.is_some() { rail::Rail::Stripe } else { rail::Rail::Sandbox };
    let (gateway, webhooks) = rail.unwrap_or_else(|| (Arc::new(sandbox.clone()), sandbox.webhook_secrets()));
    assert!(script.gateway.set(gateway.clone()).is_ok());
    let terms = Terms { currency: "usd".into(), credit_price: 100 };
    let catalogue = Catalogue::new(gateway.clone(), templates.clone(), terms, &[7; 32], clock.clone());
    let signed_with = webhooks.clone();
    let stop = CancellationToken::new();
    sandbox::sender::spawn(sandbox.clone(), format!("{base}{WEBHOOK_PATH}"), stop.clone()).unwrap();
    let google = google(&base, database.clone()).await;
    let state = Data::new(State {
        engine: engine.clone(),
        selling: Selling {
            currency: Currency::parse("usd").unwrap(),
            credit_price: 100,
            receiver: "platform".into(),
            rail: travels_on,
        },
        gateway,
        sandbox: Some(sandbox.clone()),
        webhooks,
        catalogue,
        library,
        providers: Providers::new(BTreeMap::new(), Callbacks::new(base.clone(), [7; 32])).unwrap(),
        storage,
        fetcher: Fetcher::new(Vec::new()).unwrap(),
        keys: Keys::new(database.clone()),
        unguarded: None,
        limits: Limits::new(guards.rates, guards.proxies, guards.shared),
        browsers: Arc::new(Browsers::new(guards.browsers, &base)),
        arrivals: Arrivals::new(guards.body, guards.body, guards.memory),
        connections: Connections::default(),
        google,
        tasks: Tasks::start(journal),
        templates: templates.clone(),
        database,
        clock: clock.clone(),
        fresh: uuid::Uuid::now_v7,
        link_secret: [7; 32],
        link_ms: LINK_MS,
        public_url: format!("{base}/"),
        redis: None,
        figures: Default::default(),
        streams: Default::default(),
    });
    let running = HttpServer::new(move || App::new().configure(configure(state.clone())))
        .workers(1)
        .disable_signals()
        .listen(listener)
        .unwrap()
        .run();
    let handle = running.handle();
    actix::spawn(running);
    let database = sea_orm::Database::connect(&url).await.unwrap();
    let mut server = Server {
        base,
        clock,
        engine,
        operator: String::new(),
        client: String::new(),
        other: String::new(),
        templates,
        sandbox,
        webhooks: signed_with,
        database,
        http: Client::builder().redirect(reqwest::redirect::Policy::none()).build().unwrap(),
        script,
        stop,
        directory,
    };
    server.operator = server.key(Role::Operator, None, None).await.1;
    server.client = server.key(Role::Client, Some("shop"), None).await.1;
    server.other = server.key(Role::Client, Some("other"), None).await.1;
    for (code, template_type, workflow, is_active) in [
        ("film", TemplateType::Video, "video-generation-workflow", true),
        ("still", TemplateType::Image, "image-generation-workflow", true),
        ("noop", TemplateType::Video, "noop", true),
        ("asleep", TemplateType::Video, "noop", false),
        ("lost", TemplateType::Video, "gone-workflow", true),
    ] {
        server.template(code, template_type, workflow, is_active).await;
    }
    (server, handle)
}

pub fn now() -> Timestamp {
    SystemClock.now()
}

/// An answer.
#[derive(Debug)]
pub struct Answer {
    pub status: StatusCode,
    pub headers: reqwest::header::HeaderMap,
    pub body: Value,
}

impl Answer {
    pub fn header(&self, name: &str) -> &str {
        self.headers.get(name).map_or("", |value| value.to_str().unwrap())
    }

    pub fn message(&self) -> &str {
        self.body["message"].as_str().unwrap()
    }

    /// Its data, when it is a success.
    pub fn data(&self) -> &Value {
        assert_eq!(self.status, 200, "{}", self.body);
        &self.body["data"]
    }

    /// `field reason` of every fault.
    pub fn faults(&self) -> Vec<String> {
        assert_eq!(self.status, 400, "{}", self.body);
        let faults = self.body["errors"].as_array().unwrap_or_else(|| panic!("no faults: {}", self.body));
        faults.iter().map(|f| format!("{} {}", f["field"].as_str().unwrap(), f["reason"].as_str().unwrap())).collect()
    }
}

impl Server {
    pub async fn key(&self, role: Role, client: Option<&str>, expires_at: Option<Timestamp>) -> (String, String) {
        let client_id = client.map(str::to_owned);
        let new = NewKey { role, client_id, name: "test".into(), expires_at, receivers: Vec::new() };
        let (id, key) = api_key::create(&self.database, new, now()).await.unwrap();
        (id, key.expose_secret().to_owned())
    }

    async fn template(&self, code: &str, template_type: TemplateType, workflow: &str, is_active: bool) {
        let content = Content {
            name: "AI Video Generator".into(),
            description: "Generate videos from images using AI".into(),
            credit_cost: 10,
            version: "1.0.0".into(),
            template_type,
            workflow: workflow.into(),
            tags: vec!["ai".into()],
            image_model: None,
            image_prompt: None,
            video_model: None,
            video_prompt: None,
            settings: serde_json::Map::new(),
            receiver_id: None,
        };
        let new = NewTemplate { code: code.into(), content, is_active };
        assert_eq!(self.templates.create(&new, "test", None, now()).await.unwrap(), Created::Now);
    }

    pub fn request(&self, method: Method, path: &str) -> RequestBuilder {
        self.http.request(method, format!("{}{path}", self.base)).bearer_auth(&self.client)
    }

    pub fn bare(&self, method: Method, path: &str) -> RequestBuilder {
        self.http.request(method, format!("{}{path}", self.base))
    }

    pub async fn get(&self, path: &str) -> Answer {
        send(self.request(Method::GET, path)).await
    }

    pub async fn post(&self, path: &str, body: Value) -> Answer {
        send(self.request(Method::POST, path).json(&body)).await
    }

    pub async fn get_as(&self, key: &str, path: &str) -> Answer {
        send(self.bare(Method::GET, path).bearer_auth(key)).await
    }

    pub async fn post_as(&self, key: &str, path: &str, body: Value) -> Answer {
        send(self.bare(Method::POST, path).bearer_auth(key).json(&body)).await
    }

    /// Lets the activities of a task wait, each for one permit of what is answered.
    pub fn hold(&self, task: &str, fraction: f32) -> Arc<Semaphore> {
        let held = Arc::new(Semaphore::new(0));
        self.script.plays.lock().unwrap().insert(task.into(), Play::Hold(fraction, held.clone()));
        held
    }

    /// Lets everything go on that a test held.
    fn release(&self) {
        for play in self.script.plays.lock().unwrap().values() {
            if let Play::Hold(_, held) = play {
                held.add_permits(100);
            }
        }
    }

    /// Waits until somebody waits for news of an actor.
    pub async fn until_watched(&self) {
        let begun = Instant::now();
        while self.engine.health(Duration::from_secs(1)).await.watched == 0 {
            assert!(begun.elapsed() < LIMIT, "nobody watches");
            tokio::task::yield_now().await;
        }
    }

    pub fn fail(&self, task: &str) {
        self.script.plays.lock().unwrap().insert(task.into(), Play::Fail);
    }

    /// Makes a task under an id and waits until `status`.
    pub async fn make(&self, id: &str, template: &str, status: &str) -> Value {
        let kind = if template == "still" { "image_generation" } else { "video_generation" };
        let body = json!({ "type": kind, "templateCode": template, "parameters": { "imageUrl": PICTURE } });
        self.post(&format!("/task/{id}"), body).await.data();
        self.until(&format!("/task/{id}"), |data| data["status"] == status).await
    }

    /// Reads until what is read is as wanted.
    pub async fn until(&self, path: &str, wanted: impl Fn(&Value) -> bool) -> Value {
        let begun = Instant::now();
        loop {
            let answer = self.get_as(&self.operator, path).await;
            if wanted(&answer.body["data"]) {
                return answer.body["data"].clone();
            }
            assert!(begun.elapsed() < LIMIT, "{path} never became what it should: {}", answer.body);
            tokio::task::yield_now().await;
        }
    }
}

pub async fn send(request: RequestBuilder) -> Answer {
    let response = request.send().await.unwrap();
    let (status, headers) = (response.status(), response.headers().clone());
    let text = response.text().await.unwrap();
    let body = serde_json::from_str(&text).unwrap_or(Value::String(text));
    Answer { status, headers, body }
}

impl Answer {
    /// It is a success that says nothing more.
    pub fn data_free(&self) {
        assert_eq!(self.status, 200, "{}", self.body);
        assert!(self.body.get("data").is_none(), "{}", self.body);
    }
}
