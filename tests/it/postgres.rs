//! PostgreSQL for tests: a database of its own for each test, and a server of its own for those that break it.

use std::net::TcpListener;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::atomic::{AtomicU32, Ordering};

use sea_orm::{ConnectionTrait, Database, DatabaseConnection};

/// The address of the shared server.
fn shared() -> String {
    std::env::var("MIXVIDEO_TEST_POSTGRES")
        .expect("this test needs PostgreSQL, whose address is in MIXVIDEO_TEST_POSTGRES: run `bash tests/run.sh`")
}

/// Makes an empty database on the shared server; its address.
pub async fn database() -> String {
    database_on(&shared()).await
}

/// Makes a database on the shared server that holds what `database`, which nobody uses, holds; its address.
pub async fn copy_of(database: &str) -> String {
    let (_, name) = database.rsplit_once('/').unwrap();
    made_on(&shared(), &format!("TEMPLATE {name}")).await
}

async fn database_on(server: &str) -> String {
    made_on(server, "").await
}

async fn made_on(server: &str, how: &str) -> String {
    static NUMBER: AtomicU32 = AtomicU32::new(0);
    let name = format!("test_{}_{}", std::process::id(), NUMBER.fetch_add(1, Ordering::Relaxed));
    let connection = Database::connect(server).await.unwrap();
    connection.execute_unprepared(&format!("DROP DATABASE IF EXISTS {name}")).await.unwrap();
    connection.execute_unprepared(&format!("CREATE DATABASE {name} {how}")).await.unwrap();
    connection.close().await.unwrap();
    let (base, _) = server.rsplit_once('/').unwrap();
    format!("{base}/{name}")
}

/// Ends every other connection to the database, as an administrator would.
pub async fn end_connections(connection: &DatabaseConnection) {
    let sql = "SELECT pg_terminate_backend(pid) FROM pg_stat_activity \
               WHERE datname = current_database() AND pid <> pg_backend_pid()";
    connection.execute_unprepared(sql).await.unwrap();
}

/// A server of one test, stopped and removed with it.
pub struct Server {
    programs: PathBuf,
    home: tempfile::TempDir,
    port: u16,
}

impl Server {
    pub fn start() -> Self {
        let mut versions: Vec<PathBuf> = std::fs::read_dir("/usr/lib/postgresql")
            .expect("this test needs PostgreSQL's programs: run `bash tests/run.sh`")
            .map(|entry| entry.unwrap().path().join("bin"))
            .collect();
        versions.sort();
        let programs = versions.pop().expect("this test needs PostgreSQL's programs: run `bash tests/run.sh`");
        let home = tempfile::tempdir().unwrap();
        if is_root() {
            assert!(Command::new("chown").arg("postgres:").arg(home.path()).status().unwrap().success());
        }
        let port = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port();
        let server = Self { programs, home, port };
        let data = server.data();
        server.run("initdb", &["-D", &data, "-U", "mixvideo", "-A", "trust", "-E", "UTF8"]);
        server.launch();
        server
    }

    fn data(&self) -> String {
        self.home.path().join("data").to_str().unwrap().to_owned()
    }

    pub fn launch(&self) {
        let home = self.home.path().to_str().unwrap();
        let options = format!("-p {} -k {home} -c listen_addresses=127.0.0.1", self.port);
        let log = format!("{home}/log");
        self.run("pg_ctl", &["-D", &self.data(), "-l", &log, "-s", "-w", "-t", "60", "-o", &options, "start"]);
    }

    /// Stops it at once, as a crash would.
    pub fn crash(&self) {
        self.run("pg_ctl", &["-D", &self.data(), "-m", "immediate", "-s", "-w", "stop"]);
    }

    pub async fn database(&self) -> String {
        database_on(&format!("postgres://mixvideo@127.0.0.1:{}/postgres", self.port)).await
    }

    fn command(&self, program: &str) -> Command {
        let program = self.programs.join(program);
        if is_root() {
            let mut command = Command::new("runuser");
            command.args(["-u", "postgres", "--"]).arg(program);
            command
        } else {
            Command::new(program)
        }
    }

    fn run(&self, program: &str, arguments: &[&str]) {
        let output = self.command(program).args(arguments).current_dir(Path::new("/")).output().unwrap();
        assert!(output.status.success(), "{program} failed: {}", String::from_utf8_lossy(&output.stderr));
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        let stopped = self.command("pg_ctl").args(["-D", &self.data(), "-m", "immediate", "-s", "stop"]).output();
        drop(stopped);
    }
}

fn is_root() -> bool {
    let output = Command::new("id").arg("-u").output().unwrap();
    output.stdout == b"0\n"
}
