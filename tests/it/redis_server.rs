//! Redis for tests: the shared servers, each test under a prefix of its own, and servers of their own for those that break
//! them.

use std::net::TcpListener;
use std::process::{Child, Command, Stdio};
use std::sync::Arc;
use std::time::{Duration, Instant};

use mixvideo::runtime::clock::SystemClock;
use mixvideo::runtime::redis::{Address, Redis};

/// How long a server may take for anything.
const LIMIT: Duration = Duration::from_secs(30);

fn shared(variable: &str) -> String {
    std::env::var(variable)
        .unwrap_or_else(|_| panic!("this test needs Redis, whose address is in {variable}: run `bash tests/run.sh`"))
}

/// The address of the shared server.
pub fn single() -> String {
    shared("MIXVIDEO_TEST_REDIS")
}

/// The address of the shared Cluster of three nodes.
pub fn cluster() -> String {
    shared("MIXVIDEO_TEST_REDIS_CLUSTER")
}

/// A prefix that nobody else has.
pub fn prefix() -> String {
    format!("test-{}", uuid::Uuid::now_v7().simple())
}

/// A node's connections to the Redis at `url`.
pub async fn connect(url: &str, prefix: &str) -> Redis {
    let redis = Redis::start(Address::parse(url).unwrap(), prefix, Arc::new(SystemClock)).unwrap();
    redis.reached(LIMIT).await.unwrap();
    redis
}

pub fn free_port() -> u16 {
    loop {
        // A node of a Cluster listens on another port as well, 10,000 higher.
        let port = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port();
        if port < 50_000 && TcpListener::bind(("127.0.0.1", port + 10_000)).is_ok() {
            return port;
        }
    }
}

/// A server of one test, killed and removed with it.
pub struct Server {
    home: tempfile::TempDir,
    pub port: u16,
    arguments: Vec<String>,
    child: Option<Child>,
}

impl Server {
    /// One that logs every second what it was told, as production does.
    pub fn start() -> Self {
        Self::with(&["--appendonly", "yes", "--appendfsync", "everysec", "--save", ""])
    }

    /// One with these arguments.
    pub fn with(arguments: &[&str]) -> Self {
        let home = tempfile::tempdir().unwrap();
        let arguments = arguments.iter().map(|argument| (*argument).to_owned()).collect();
        let mut server = Self { home, port: free_port(), arguments, child: None };
        server.launch();
        server
    }

    pub fn url(&self) -> String {
        format!("redis://127.0.0.1:{}", self.port)
    }

    /// Starts it, on what the last one left, and waits until it answers.
    pub fn launch(&mut self) {
        self.spawn();
        self.wait(|server| server.try_told(&["PING"]).is_some_and(|said| said.starts_with("PONG")));
    }

    fn spawn(&mut self) {
        assert!(self.child.is_none(), "it runs already");
        let home = self.home.path().to_str().unwrap();
        let mut command = Command::new("redis-server");
        command.args(["--port", &self.port.to_string(), "--bind", "127.0.0.1", "--dir", home]).args(&self.arguments);
        let log = std::fs::File::create(self.home.path().join("log")).unwrap();
        let child = command.stdin(Stdio::null()).stdout(log).stderr(Stdio::null()).spawn();
        self.child = Some(child.expect("this test needs redis-server: run `bash tests/run.sh`"));
    }

    pub fn wait(&self, holds: impl Fn(&Self) -> bool) {
        let begun = Instant::now();
        while !holds(self) {
            assert!(begun.elapsed() < LIMIT, "Redis is not as it should be in time");
            std::thread::sleep(Duration::from_millis(20));
        }
    }

    /// `kill -9`.
    pub fn kill(&mut self) {
        let mut child = self.child.take().expect("it runs");
        child.kill().unwrap();
        child.wait().unwrap();
    }

    fn try_told(&self, arguments: &[&str]) -> Option<String> {
        let port = self.port.to_string();
        let output = Command::new("redis-cli").args(["-p", &port]).args(arguments).output().ok()?;
        Some(String::from_utf8_lossy(&output.stdout).into_owned())
    }

    pub fn pid(&self) -> u32 {
        self.child.as_ref().expect("it runs").id()
    }

    /// What it answers to a command.
    pub fn told(&self, arguments: &[&str]) -> String {
        self.try_told(arguments).expect("this test needs redis-cli: run `bash tests/run.sh`").trim().to_owned()
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        if self.child.is_some() {
            self.kill();
        }
    }
}

/// A master, a replica of it, and a Sentinel that fails over within a few seconds.
pub struct Watched {
    pub master: Server,
    pub replica: Server,
    pub sentinel: Server,
}

impl Watched {
    pub fn start() -> Self {
        let master = Server::start();
        let leader = format!("127.0.0.1 {}", master.port);
        let replica = Server::with(&[
            "--appendonly",
            "yes",
            "--save",
            "",
            "--repl-diskless-sync-delay",
            "0",
            "--replicaof",
            &leader,
        ]);
        let file = tempfile::NamedTempFile::new().unwrap();
        let watch = format!(
            "sentinel monitor main 127.0.0.1 {} 1\nsentinel down-after-milliseconds main 1000\nsentinel failover-timeout main \
             3000\n",
            master.port
        );
        std::fs::write(file.path(), watch).unwrap();
        replica.wait(|replica| replica.told(&["INFO", "replication"]).contains("master_link_status:up"));
        let mut sentinel =
            Server { home: tempfile::tempdir().unwrap(), port: free_port(), arguments: vec![], child: None };
        let kept = sentinel.home.path().join("sentinel.conf");
        std::fs::copy(file.path(), &kept).unwrap();
        sentinel.spawn_sentinel(kept.to_str().unwrap());
        sentinel.wait(|sentinel| {
            let known = sentinel.try_told(&["SENTINEL", "REPLICAS", "main"]).unwrap_or_default();
            known.contains(&replica.port.to_string()) && known.contains("master-link-status\nok")
        });
        Self { master, replica, sentinel }
    }

    pub fn url(&self) -> String {
        format!("redis+sentinel://127.0.0.1:{}/main", self.sentinel.port)
    }
}

impl Server {
    fn spawn_sentinel(&mut self, file: &str) {
        let port = self.port.to_string();
        let mut command = Command::new("redis-server");
        command.args([file, "--sentinel", "--port", &port, "--bind", "127.0.0.1"]);
        self.child = Some(command.stdin(Stdio::null()).stdout(Stdio::null()).spawn().unwrap());
    }
}

/// A Cluster of three masters.
pub struct Cluster(pub Vec<Server>);

impl Cluster {
    pub fn start() -> Self {
        let on = ["--cluster-enabled", "yes", "--appendonly", "yes", "--save", "", "--cluster-node-timeout", "2000"];
        let nodes: Vec<Server> = (0..3).map(|_| Server::with(&on)).collect();
        let addresses: Vec<String> = nodes.iter().map(|node| format!("127.0.0.1:{}", node.port)).collect();
        let mut create = Command::new("redis-cli");
        create.args(["--cluster", "create"]).args(&addresses).args(["--cluster-replicas", "0", "--cluster-yes"]);
        assert!(create.stdout(Stdio::null()).status().unwrap().success(), "the Cluster is not made");
        for node in &nodes {
            node.wait(|node| node.told(&["CLUSTER", "INFO"]).contains("cluster_state:ok"));
        }
        Self(nodes)
    }

    pub fn url(&self) -> String {
        let nodes: Vec<String> = self.0.iter().map(|node| format!("127.0.0.1:{}", node.port)).collect();
        format!("redis+cluster://{}", nodes.join(","))
    }
}
