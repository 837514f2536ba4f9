//! A node of the engine with the product's kinds and activities that do nothing.

use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, LazyLock};
use std::time::{Duration, Instant};

use async_trait::async_trait;
use mixvideo::domain::ids::TaskId;
use mixvideo::domain::workflow::{Activity, BUNDLED, Definition, Library};
use mixvideo::domain::{Failure, Timestamp, task};
use mixvideo::runtime::activity::{Activities, LaneOptions, Progress, Work};
use mixvideo::runtime::clock::{Clock, SystemClock};
use mixvideo::runtime::engine::{Birth, Engine, Parts};
use mixvideo::runtime::journal::committer::Committer;
use mixvideo::runtime::journal::{Faults, Journal, MessageId, Options};
use mixvideo::runtime::kind::Kind;
use mixvideo::runtime::mailbox::Memory;
use mixvideo::runtime::partition::Limits;
use mixvideo::store::tables;
use tokio_util::sync::CancellationToken;

use super::toy;

pub const PARTITIONS: u32 = 4;

/// Runs a test that needs actors.
pub fn system(test: impl Future<Output = ()>) {
    actix::System::new().block_on(test);
}

/// A place for a database that is gone with the test.
pub struct Place {
    url: String,
    directory: PathBuf,
    _removed: Option<tempfile::TempDir>,
}

impl Place {
    /// A database in a directory of somebody else's.
    pub fn at(directory: PathBuf) -> Self {
        Self { url: format!("sqlite://{}", directory.join("mixvideo.db").display()), directory, _removed: None }
    }

    pub fn url(&self) -> &str {
        &self.url
    }

    pub fn directory(&self) -> &Path {
        &self.directory
    }
}

pub fn sqlite() -> Place {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().to_owned();
    Place { _removed: Some(directory), ..Place::at(path) }
}

pub fn now() -> Timestamp {
    SystemClock.now()
}

pub struct Node {
    pub engine: Engine,
    pub faults: Faults,
}

/// A clock that panics once when it is asked after it was broken. When nothing is being decided, only supervisors ask.
#[derive(Default)]
pub struct Brittle {
    broken: AtomicBool,
}

impl Brittle {
    pub fn break_once(&self) {
        self.broken.store(true, Ordering::SeqCst);
    }

    pub fn is_broken(&self) -> bool {
        self.broken.load(Ordering::SeqCst)
    }
}

impl Clock for Brittle {
    fn now(&self) -> Timestamp {
        assert!(!self.broken.swap(false, Ordering::SeqCst), "the clock was broken on purpose");
        SystemClock.now()
    }
}

/// Does nothing, at once.
pub struct Idle;

#[async_trait]
impl Activities for Idle {
    async fn run(&self, _: &Work, _: &Progress, _: &CancellationToken) -> Result<serde_json::Value, Failure> {
        Ok(serde_json::Value::Null)
    }
}

pub fn library() -> Arc<Library> {
    static LIBRARY: LazyLock<Arc<Library>> = LazyLock::new(|| {
        let parse = |(file, source): (&str, &str)| Definition::parse(file, source).unwrap();
        Arc::new(Library::new(BUNDLED.into_iter().map(parse)).unwrap())
    });
    LIBRARY.clone()
}

pub fn lanes() -> Vec<LaneOptions> {
    [Activity::Noop, Activity::Render]
        .map(|activity| LaneOptions { name: activity.lane().into(), concurrency: 1_024, ahead: 1_024 })
        .to_vec()
}

impl Node {
    pub async fn start(place: &Place) -> Self {
        let clock = Arc::new(SystemClock);
        Self::start_with(place, tables::kinds(&library()), Arc::new(Idle), Limits::default(), clock).await
    }

    /// A node whose tasks follow these definitions.
    pub async fn of_tasks(place: &Place, library: &Arc<Library>, activities: Arc<dyn Activities>) -> Self {
        Self::start_with(place, tables::kinds(library), activities, Limits::default(), Arc::new(SystemClock)).await
    }

    /// A node of these kinds.
    pub async fn of(place: &Place, kinds: Vec<Arc<dyn Kind>>, activities: Arc<dyn Activities>) -> Self {
        Self::start_with(place, kinds, activities, Limits::default(), Arc::new(SystemClock)).await
    }

    /// A node of toys.
    pub async fn of_toys(place: &Place, activities: Arc<dyn Activities>, limits: Limits) -> Self {
        Self::of_toys_at(place, activities, limits, Arc::new(SystemClock)).await
    }

    /// A node of toys with a clock of its own.
    pub async fn of_toys_at(
        place: &Place,
        activities: Arc<dyn Activities>,
        limits: Limits,
        clock: Arc<dyn Clock>,
    ) -> Self {
        Self::start_with(place, toy::kinds(), activities, limits, clock).await
    }

    async fn start_with(
        place: &Place,
        kinds: Vec<Arc<dyn Kind>>,
        activities: Arc<dyn Activities>,
        limits: Limits,
        clock: Arc<dyn Clock>,
    ) -> Self {
        let tables: Vec<_> = kinds.iter().map(|kind| kind.table()).collect();
        let options = Options::new(&place.url);
        let journal = Journal::open(&options, &tables, PARTITIONS).await.unwrap();
        let committer = Committer::spawn(&journal).unwrap();
        let inflight: PathBuf = place.directory.join("inflight");
        let engine = Engine::start(Parts {
            kinds,
            journal,
            committer,
            mailbox: Arc::new(Memory::new(PARTITIONS, Arc::new(SystemClock))),
            activities,
            lanes: lanes(),
            clock,
            leases: None,
            inflight: Some(inflight),
            limits,
            partitions: PARTITIONS,
            wire: None,
            permits: None,
        })
        .await
        .unwrap();
        Self { engine, faults: options.faults }
    }

    pub async fn count(&self, kind: &str, status: &str) -> u64 {
        self.engine.journal().counts(kind).await.unwrap().get(status).copied().unwrap_or(0)
    }

    pub async fn outstanding(&self) -> u64 {
        self.engine.journal().lanes().await.unwrap().iter().map(|lane| lane.waiting + lane.parked).sum()
    }

    pub async fn toy(&self, name: &str) -> toy::State {
        let address = toy::address(name);
        let found = self.engine.journal().load(std::slice::from_ref(&address)).await.unwrap();
        found.get(&address).map(|stored| serde_json::from_str(&stored.state).unwrap()).unwrap_or_default()
    }

    pub async fn stop(&self) -> bool {
        self.engine.drain(Duration::from_secs(10)).await
    }
}

/// Waits until something holds.
pub async fn until(what: &str, limit: Duration, mut holds: impl AsyncFnMut() -> bool) {
    let started = Instant::now();
    while !holds().await {
        assert!(started.elapsed() < limit, "not within {limit:?}: {what}");
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
}

pub fn noop_task() -> Birth {
    let id = TaskId::new(uuid::Uuid::now_v7());
    let request = task::Request {
        task_type: task::TaskType::VideoGeneration,
        template_code: "noop".to_owned(),
        template_revision: None,
        user_id: None,
        owner: "client".to_owned(),
        payment: None,
        parameters: serde_json::Map::new(),
    };
    let workflow = library().current("noop").unwrap().pinned();
    let create = task::Message::Create(Box::new(task::Create { id: id.clone(), request, workflow }));
    Birth {
        actor: task::address(&id),
        message: MessageId::from("birth"),
        body: serde_json::to_string(&create).unwrap(),
        claim: None,
    }
}
